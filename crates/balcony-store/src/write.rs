use crate::{
    ArchiveEntry, ArchiveId, ArchivePrefs, Bounds, Invite, NodeAffiliation, NodeSubscription,
    PendingIn, PubsubItem, PushRegistration, RemoteRow, RoomAffiliation, RosterItem, ScramKey,
    Stored, StreamId, Token, TokenClient, VCard, Waiting,
};

/// Writes that are committed together or not at all, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSet {
    ops: Vec<Write>,
}

/// One write. `account` is a bare JID; archives and vCards may be those of a room. A write to an
/// account that does not exist (any more) fails with [`Error::NotFound`](crate::Error::NotFound),
/// so that nothing is ever kept for an account that was deleted meanwhile. Removing what is not
/// there is no error unless it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Creates an account. Conflict when it exists, or a room of that name.
    CreateAccount {
        /// Domainpart.
        host: String,
        /// Localpart.
        user: String,
        /// The time now.
        created: i64,
        /// Its keys, one for each hash.
        keys: Vec<ScramKey>,
    },
    /// Replaces all keys of an account: a change of password.
    SetKeys {
        /// Domainpart.
        host: String,
        /// Localpart.
        user: String,
        /// The new keys; empty: nobody can log in by password.
        keys: Vec<ScramKey>,
    },
    /// Adds keys for hashes that an account has none for; those that it has stay.
    AddKeys {
        /// Domainpart.
        host: String,
        /// Localpart.
        user: String,
        /// Keys of the same password as the others.
        keys: Vec<ScramKey>,
    },
    /// Allows or forbids an account to log in.
    SetEnabled {
        /// Domainpart.
        host: String,
        /// Localpart.
        user: String,
        /// Whether the account may log in.
        enabled: bool,
    },
    /// Deletes an account and all that belongs to it, invitations by it too, and what it is to the
    /// nodes of other accounts; or a room; or, with an empty localpart, a service. Gone for every
    /// reader with the commit; the space is given back in slices afterwards.
    DeleteAccount {
        /// Domainpart.
        host: String,
        /// Localpart.
        user: String,
    },
    /// Adds or replaces a roster item. The roster's version grows by one.
    RosterSet {
        /// Whose roster.
        account: String,
        /// The item; its `version` is ignored.
        item: RosterItem,
        /// The version that the caller read; Conflict when it changed since. The new one is then
        /// `base + 1` (and each further roster write in the same set builds on that). `None`:
        /// whatever it is.
        base: Option<u64>,
        /// How many items the roster may have; Limit when a new one would be more.
        max_items: u32,
    },
    /// Removes a roster item. The roster's version grows by one. NotFound when it is not there.
    RosterRemove {
        /// Whose roster.
        account: String,
        /// The contact's bare JID.
        jid: String,
        /// As in [`Write::RosterSet`].
        base: Option<u64>,
    },
    /// Keeps a subscription request, in place of an earlier one of the same contact.
    PendingSet {
        /// Whom it asks.
        account: String,
        /// The request.
        request: PendingIn,
        /// How many of them an account may have; Limit when a new one would be more.
        max: u32,
    },
    /// Forgets a subscription request.
    PendingRemove {
        /// Whom it asked.
        account: String,
        /// Who asked: a bare JID.
        jid: String,
    },
    /// Appends to the offline queue, or fails with Limit.
    OfflinePush {
        /// For whom.
        account: String,
        /// When the server received it.
        received_at: i64,
        /// The stanza, or where it is.
        stanza: Waiting,
        /// How much may wait, this one included; what is archived counts with its size there.
        bounds: Bounds,
    },
    /// Deletes from the offline queue what has been delivered.
    OfflineDelete {
        /// For whom.
        account: String,
        /// From behind this row (0: from the beginning).
        after: i64,
        /// Up to this row and with it.
        up_to: i64,
    },
    /// Deletes what has waited for too long, of all accounts: a slice of the work, to be asked for
    /// again and again.
    OfflineExpire {
        /// Goes what was received before.
        before: i64,
        /// Rows that are looked at, those that have waited for longest; bounds the time it takes.
        oldest: u32,
    },
    /// Appends to an account's archive. The ticket answers with its id, see
    /// [`Committed`](crate::Committed).
    ArchivePush {
        /// Whose archive.
        account: String,
        /// The message.
        entry: ArchiveEntry,
    },
    /// Notes that all that came for an account up to this message of its archive was taken by a
    /// client, or is in the offline queue. A message that is not there any more is no error, and
    /// neither is one of another archive, which changes nothing.
    ArchiveDelivered {
        /// Whose archive.
        account: String,
        /// The last message.
        id: ArchiveId,
    },
    /// A server starts to work with the store. If the last did not end with [`Write::LayDown`], all
    /// that came behind what was noted as delivered goes into the offline queues, whatever their
    /// bounds. Before anybody is connected.
    TakeUp,
    /// The last write of an orderly stop.
    LayDown,
    /// Puts a tombstone in the place of a message (XEP-0424 §4), which keeps its id and time. The
    /// newest of this id and party within the last thousand messages with that party is meant, and
    /// within the last twenty thousand of the archive; when there is none, nothing happens.
    ArchiveRetract {
        /// Whose archive.
        account: String,
        /// The other party; a bare JID stands for all its resources.
        with: String,
        /// The sender of the message that is retracted; a bare JID stands for all its resources.
        sender: String,
        /// Its [`ArchiveEntry::message_id`].
        message_id: String,
        /// What takes its place.
        tombstone: Stored,
    },
    /// Puts a tombstone in the place of the message with this id (XEP-0425 §4), which keeps its id
    /// and time. NotFound when the archive has no such message.
    ArchiveReplace {
        /// Whose archive.
        account: String,
        /// The message.
        id: ArchiveId,
        /// What takes its place.
        tombstone: Stored,
    },
    /// Deletes archived messages of a host that are too old: a slice of the work, to be asked for
    /// again and again.
    ArchiveExpire {
        /// Whose accounts.
        host: String,
        /// Goes what was received before.
        before: i64,
        /// Rows that are deleted at most, the oldest of each archive; bounds the time it takes.
        oldest: u32,
    },
    /// Deletes the oldest messages of archives of a host that are too large: a slice of the work,
    /// to be asked for again and again.
    ArchiveTrim {
        /// Whose accounts.
        host: String,
        /// Bytes of messages that an archive may hold.
        max_bytes: u64,
        /// Rows that are deleted at most; bounds the time it takes.
        rows: u32,
    },
    /// Stores what an account wants archived (XEP-0441).
    ArchivePrefsSet {
        /// Whose.
        account: String,
        /// The preferences.
        prefs: ArchivePrefs,
    },
    /// Notes a stream that can be resumed. Conflict when its id is taken.
    StreamCreate {
        /// What the client names to resume it.
        id: StreamId,
        /// Whose: a bare JID.
        account: String,
        /// How many of the client's stanzas are committed.
        handled: u32,
        /// When it may be forgotten.
        expires_at: i64,
    },
    /// Notes how many of a client's stanzas are committed, in one set with the effects of the last
    /// of them. A stream that is not there (any more) is no error.
    StreamHandled {
        /// Which stream.
        id: StreamId,
        /// The count, modulo 2^32.
        handled: u32,
    },
    /// Keeps a session over a restart, or with `None` takes it up again. A stream that is not there
    /// is no error.
    StreamKeep {
        /// Which stream.
        id: StreamId,
        /// How many of the client's stanzas are committed.
        handled: u32,
        /// The session. `None`: it runs.
        state: Option<Stored>,
        /// When it may be forgotten.
        expires_at: i64,
    },
    /// A stream is not forgotten before this; nothing if there is none.
    StreamRenew {
        /// Which.
        id: StreamId,
        /// When it may be forgotten, in microseconds since the Unix epoch, UTC.
        expires_at: i64,
    },
    /// Forgets a stream.
    StreamRemove {
        /// Which.
        id: StreamId,
    },
    /// Forgets streams that have expired: a slice of the work.
    StreamsExpire {
        /// The time now.
        now: i64,
        /// How many at most.
        rows: u32,
    },
    /// Stores a private element, in place of an earlier one (XEP-0049).
    PrivateSet {
        /// Whose.
        account: String,
        /// Namespace of the root element.
        ns: String,
        /// Name of the root element.
        name: String,
        /// The element.
        payload: Stored,
        /// How much of this kind the account may keep, this one included; else Limit.
        bounds: Bounds,
    },
    /// Deletes a private element.
    PrivateRemove {
        /// Whose.
        account: String,
        /// Namespace of the root element.
        ns: String,
        /// Name of the root element.
        name: String,
    },
    /// Stores a vCard in place of an earlier one.
    VCardSet {
        /// Whose.
        account: String,
        /// The vCard.
        vcard: VCard,
    },
    /// Deletes a vCard.
    VCardRemove {
        /// Whose.
        account: String,
    },
    /// Adds JIDs to the block list; those that are on it stay.
    BlockAdd {
        /// Whose.
        account: String,
        /// Whom, as normalised JIDs of any form.
        jids: Vec<String>,
        /// How many JIDs the list may have; else Limit.
        max: u32,
    },
    /// Takes JIDs off the block list.
    BlockRemove {
        /// Whose.
        account: String,
        /// Whom.
        jids: Vec<String>,
    },
    /// Empties the block list.
    BlockClear {
        /// Whose.
        account: String,
    },
    /// Registers for push notifications, in place of an earlier registration for the same service
    /// and node. Of more than `max` registrations the disabled ones go first, then the oldest; the
    /// new one stays.
    PushEnable {
        /// Whose.
        account: String,
        /// Where they go.
        registration: PushRegistration,
        /// How many the account may have.
        max: u32,
    },
    /// Takes registrations for push notifications back.
    PushDisable {
        /// Whose.
        account: String,
        /// The push service.
        jid: String,
        /// The node; `None`: all of that service.
        node: Option<String>,
    },
    /// Nothing goes there any more, until the client registers again; nothing if it has meanwhile.
    PushFail {
        /// Whose.
        account: String,
        /// The push service.
        jid: String,
        /// The node, as in the registration.
        node: String,
        /// When the registration was made.
        created: i64,
        /// Why.
        reason: String,
    },
    /// Notes that a client has logged in with the password, which gets no token. Of more than `max`
    /// clients those go that were unused for the longest time, first of those without tokens: this
    /// one, too, where all others have some. [`Error::NotFound`](crate::Error::NotFound) when the
    /// account has another password than `proved`, or may not log in.
    ClientSeen {
        /// Whose.
        account: String,
        /// The client.
        client: TokenClient,
        /// Now.
        at: i64,
        /// The StoredKey that the password was compared with.
        proved: Box<[u8]>,
        /// How many clients the account may have.
        max: u32,
    },
    /// Gives a client a token, in place of an earlier one that it has not used; one that it has
    /// used stays good. Of more than `max` clients those go that were unused for the longest time,
    /// first of those without tokens; this one stays.
    /// [`Error::NotFound`](crate::Error::NotFound) when the account has another password than
    /// `proved`, or may not log in.
    TokenSet {
        /// Whose.
        account: String,
        /// The client.
        client: TokenClient,
        /// The token.
        token: Token,
        /// Now.
        at: i64,
        /// The client has logged in with the password: the StoredKey that it was compared with.
        /// With a new password all of them are others, as their salts are.
        proved: Option<Box<[u8]>>,
        /// How many clients the account may have.
        max: u32,
    },
    /// A client has logged in by a token: the older one is good for nothing any more.
    /// [`Error::NotFound`](crate::Error::NotFound) when the token is none of the client's, as it
    /// was revoked meanwhile.
    TokenUsed {
        /// Whose.
        account: String,
        /// The client.
        client: TokenClient,
        /// The token's secret.
        secret: String,
        /// The count that came with it.
        count: Option<u32>,
        /// Now.
        at: i64,
    },
    /// Revokes the tokens of a client. It is forgotten unless it has logged in with the password.
    TokenRemove {
        /// Whose.
        account: String,
        /// The client's id.
        client: String,
    },
    /// Revokes all tokens of an account, and forgets its clients.
    TokensRemoveAll {
        /// Whose.
        account: String,
    },
    /// Forgets clients that have not logged in for long, those first that did so least recently.
    TokensExpire {
        /// Clients that have logged in since stay.
        before: i64,
        /// How many may go at once.
        rows: u32,
    },
    /// Remembers when and how an account went offline.
    LastSeenSet {
        /// Whose.
        account: String,
        /// When.
        at: i64,
        /// The status of its last presence.
        status: Option<String>,
    },
    /// Creates a room. Conflict when it exists, or an account of that name.
    RoomCreate {
        /// Domainpart: that of a service.
        host: String,
        /// Localpart.
        room: String,
        /// The time now.
        created: i64,
        /// Its configuration.
        config: Stored,
    },
    /// Replaces the configuration of a room.
    RoomConfigSet {
        /// The room's bare JID.
        room: String,
        /// The configuration.
        config: Stored,
    },
    /// Replaces the subject of a room.
    RoomSubjectSet {
        /// The room's bare JID.
        room: String,
        /// The subject. `None`: there is none any more.
        subject: Option<Stored>,
    },
    /// Gives somebody an affiliation in a room, in place of an earlier one. Conflict when the
    /// nickname is reserved for somebody else.
    RoomAffiliationSet {
        /// The room's bare JID.
        room: String,
        /// Whom: a bare JID, or a domain.
        jid: String,
        /// The affiliation. `None`: they have none any more.
        affiliation: Option<RoomAffiliation>,
        /// How many may have one; Limit when a new one would be more.
        max: u32,
    },
    /// Deletes a room and all that belongs to it, as [`Write::DeleteAccount`] does.
    RoomDelete {
        /// The room's bare JID.
        room: String,
    },
    /// Lets a service own nodes under its domain. Nothing when it may already.
    ServiceCreate {
        /// Its domain, which is no host that has accounts.
        host: String,
    },
    /// Creates a node. Conflict when it exists.
    NodeCreate {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
        /// The time now.
        created: i64,
        /// Its configuration.
        config: Stored,
        /// How many the owner may have; Limit when this one would be more.
        max_nodes: u32,
    },
    /// Replaces the configuration of a node. This and all that follow for nodes: NotFound when
    /// there is no such node.
    NodeConfigSet {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
        /// The configuration.
        config: Stored,
    },
    /// Deletes a node with its items, affiliations and subscriptions.
    NodeDelete {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
    },
    /// Publishes an item, in place of an earlier one of the same id: it is the newest then.
    ItemPublish {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
        /// The item.
        item: PubsubItem,
        /// How many items stay, the newest.
        max_items: u32,
    },
    /// Deletes an item. NotFound when it is not there.
    ItemRetract {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
        /// Its id.
        id: String,
    },
    /// Deletes all items of a node.
    NodePurge {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
    },
    /// Deletes the items of a node that are too old.
    ItemsExpire {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
        /// Goes what was published before.
        before: i64,
    },
    /// Gives somebody an affiliation with a node, in place of an earlier one.
    NodeAffiliationSet {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
        /// Whom: a bare JID.
        jid: String,
        /// The affiliation. `None`: they have none any more.
        affiliation: Option<NodeAffiliation>,
        /// How many may have one; Limit when a new one would be more.
        max: u32,
    },
    /// Adds a subscription to a node, or replaces the one of the same JID and subid.
    SubscriptionSet {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
        /// The subscription.
        subscription: NodeSubscription,
        /// How many the node may have; Limit when a new one would be more.
        max: u32,
    },
    /// Takes subscriptions to a node back.
    SubscriptionRemove {
        /// Whose node: the bare JID of an account, or the domain of a service.
        owner: String,
        /// The node's name.
        node: String,
        /// Whose: the JID as it was subscribed.
        jid: String,
        /// Which of them. `None`: all of that JID.
        subid: Option<String>,
    },
    /// Creates an invitation. Conflict when its token is taken.
    InviteCreate {
        /// Hash of its token.
        token_hash: Vec<u8>,
        /// The invitation.
        invite: Invite,
    },
    /// Uses an invitation up by one; in one set with the `CreateAccount` it is for. NotFound when
    /// it does not exist, is for another host, has expired or is used up.
    InviteUse {
        /// Hash of its token.
        token_hash: Vec<u8>,
        /// The host of the new account.
        host: String,
        /// The time now.
        now: i64,
    },
    /// Withdraws an invitation.
    InviteRemove {
        /// Hash of its token.
        token_hash: Vec<u8>,
    },
    /// Deletes the invitations that have expired.
    InvitesExpire {
        /// The time now.
        now: i64,
    },
    /// Keeps a stanza for another domain. Conflict when its id is taken.
    RemotePush {
        /// The stanza and its place.
        row: RemoteRow,
    },
    /// Forgets stanzas for other domains: they arrived, or their senders got an error.
    RemoteDone {
        /// Their ids.
        ids: Vec<i64>,
    },
    /// Stores a secret of the server. Conflict when there is one of that name: secrets do not
    /// change. See [`secret_or_create`](crate::secret_or_create).
    SecretCreate {
        /// Its name.
        name: String,
        /// Its bytes.
        value: Vec<u8>,
    },
}

impl WriteSet {
    /// An empty set.
    pub fn new() -> WriteSet {
        WriteSet::default()
    }

    /// Adds a write at the end.
    pub fn push(&mut self, write: Write) {
        self.ops.push(write);
    }

    /// Adds all writes of another set at the end.
    pub fn append(&mut self, mut other: WriteSet) {
        self.ops.append(&mut other.ops);
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many writes there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// The writes, in order.
    pub fn ops(&self) -> &[Write] {
        &self.ops
    }

    /// About how many bytes the set holds while it is queued.
    pub(crate) fn weight(&self) -> usize {
        self.ops.iter().map(Write::weight).sum()
    }
}

impl From<Write> for WriteSet {
    fn from(write: Write) -> WriteSet {
        WriteSet { ops: vec![write] }
    }
}

impl FromIterator<Write> for WriteSet {
    fn from_iter<I: IntoIterator<Item = Write>>(writes: I) -> WriteSet {
        WriteSet {
            ops: writes.into_iter().collect(),
        }
    }
}

impl Extend<Write> for WriteSet {
    fn extend<I: IntoIterator<Item = Write>>(&mut self, writes: I) {
        self.ops.extend(writes);
    }
}

impl Write {
    fn weight(&self) -> usize {
        let payload = match self {
            Write::OfflinePush {
                stanza: Waiting::Stanza(stanza),
                ..
            } => stanza.bytes.len(),
            Write::ArchivePush { entry, .. } => entry.stanza.bytes.len(),
            Write::ArchiveRetract { tombstone, .. } | Write::ArchiveReplace { tombstone, .. } => {
                tombstone.bytes.len()
            }
            Write::StreamKeep {
                state: Some(state), ..
            } => state.bytes.len(),
            Write::ArchivePrefsSet { prefs, .. } => {
                let lists = prefs.always.iter().chain(&prefs.never);
                lists.map(String::len).sum()
            }
            Write::RemotePush { row } => row.stanza.bytes.len(),
            Write::RemoteDone { ids } => size_of_val(ids.as_slice()),
            Write::PrivateSet { payload, .. } => payload.bytes.len(),
            Write::PushEnable { registration, .. } => {
                let options = registration.options.as_ref();
                registration.node.len() + options.map_or(0, |options| options.bytes.len())
            }
            Write::TokenSet { client, token, .. } => {
                let names = client.software.iter().chain(&client.device);
                token.secret.len() + names.map(String::len).sum::<usize>()
            }
            Write::ClientSeen { client, .. } => {
                let names = client.software.iter().chain(&client.device);
                names.map(String::len).sum::<usize>()
            }
            Write::VCardSet { vcard, .. } => vcard.payload.bytes.len(),
            Write::RoomCreate { config, .. }
            | Write::RoomConfigSet { config, .. }
            | Write::NodeCreate { config, .. }
            | Write::NodeConfigSet { config, .. } => config.bytes.len(),
            Write::ItemPublish { item, .. } => item.payload.bytes.len(),
            Write::SubscriptionSet {
                subscription:
                    NodeSubscription {
                        options: Some(options),
                        ..
                    },
                ..
            } => options.bytes.len(),
            Write::RoomSubjectSet {
                subject: Some(subject),
                ..
            } => subject.bytes.len(),
            Write::RoomAffiliationSet {
                affiliation: Some(affiliation),
                ..
            } => affiliation.reason.as_ref().map_or(0, String::len),
            Write::PendingSet { request, .. } => request.stanza.bytes.len(),
            Write::RosterSet { item, .. } => item.groups.iter().map(String::len).sum(),
            Write::BlockAdd { jids, .. } | Write::BlockRemove { jids, .. } => {
                jids.iter().map(String::len).sum()
            }
            _ => 0,
        };
        // The strings of the others are names, short by the limits of RFC 7622.
        size_of::<Write>() + payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_counts_the_payload() {
        let push = |bytes: usize| Write::OfflinePush {
            account: "romeo@localhost".into(),
            received_at: 0,
            stanza: Waiting::Stanza(Stored {
                format: 1,
                bytes: vec![0; bytes],
            }),
            bounds: Bounds { rows: 1, bytes: 1 },
        };
        let small = WriteSet::from(push(0)).weight();
        assert!(small > 0);
        let both: WriteSet = [push(1000), push(0)].into_iter().collect();
        assert_eq!(both.weight(), 2 * small + 1000);
    }
}
