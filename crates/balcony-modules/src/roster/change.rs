//! A change of one contact: read, decide, commit, push, one at a time for each account.

use std::sync::Arc;

use balcony_core::module::{Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Stanza, StanzaError};
use balcony_store::{Error, PendingIn, RosterItem, Write, WriteSet};

use super::cache::{contacts_in_turn, rosters};
use super::contacts::{Contacts, Standing};
use super::push;

/// How often a change is tried when another instance changed the roster in between. Each try
/// fails only if someone else's went through, so a third failure means a storm of edits.
const TRIES: usize = 3;

/// Subscription requests that wait for one account. With the bound on the size of each, no more
/// than 8 MB are kept for an account that strangers molest.
const PENDING_MAX: u32 = 500;

/// A contact before the change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    /// Its standing; `None` when it is not in the roster.
    pub(crate) standing: Option<Standing>,
    /// Whether a subscription request of the contact waits.
    pub(crate) pending: bool,
}

/// What the user calls a contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: Option<String>,
    pub(crate) groups: Vec<String>,
}

/// What becomes of the roster item.
pub(crate) enum ItemChange {
    /// It stays as it is; no version, no push (RFC 6121 §2.6.3, "roster modification").
    Keep,
    /// Another standing, under the name that it has.
    Stand(Standing),
    /// Another name and groups, with the standing that it has.
    Label(Label),
    /// It is removed.
    Remove,
}

/// What becomes of the contact's subscription request.
pub(crate) enum PendingChange {
    Keep,
    Set(PendingIn),
    Remove,
}

/// All that a change does.
pub(crate) struct Change {
    pub(crate) item: ItemChange,
    pub(crate) pending: PendingChange,
    /// Goes to the interested resources before the push (§3.1.6, §3.2.3, §3.3.3).
    pub(crate) tell: Option<Stanza>,
}

/// Why a change was not made.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The one who decided refused.
    Refused(StanzaError),
    /// The store refused or failed.
    Store(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for StanzaError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Store(error) => stanza_error(&error),
        }
    }
}

/// Makes a change that `decide` works out from how things stand; it may be asked more than once.
///
/// Answers how things stood. When it answers, the change is durable and pushed.
///
/// # Errors
/// What `decide` refused with, or those of the store.
pub(crate) async fn change(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    contact: &Jid,
    decide: impl Fn(Before) -> Result<Change, StanzaError> + Send,
) -> Result<Before, Failure> {
    let rosters = rosters(ctx)?;
    let _turn = rosters.turn(account).await;
    let mut tries = TRIES;
    loop {
        let contacts = contacts_in_turn(ctx, account).await?;
        let bare = contact.as_str();
        let before = Before {
            standing: contacts.standing(bare),
            pending: contacts.is_pending(bare),
        };
        let change = decide(before).map_err(Failure::Refused)?;
        let item = new_item(ctx, account, contact, before, &change.item).await?;
        let removes = matches!(change.item, ItemChange::Remove);
        let writes = writes(ctx, (account, contact), &contacts, &change, item.clone());
        tries -= 1;
        match ctx.commit(writes).await {
            Ok(_) => {}
            Err(Error::Conflict(_)) if tries > 0 => {
                rosters.forget(account);
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let changed = changed(&contacts, contact, &change, item.as_ref());
        let version = changed.version;
        rosters.keep(ctx, account, &Arc::new(changed));
        if let Some(stanza) = change.tell {
            tell(ctx, account, &stanza);
        }
        let shown = match item {
            Some(item) => push::shown(item),
            None => removes.then(|| push::removed(contact.clone())),
        };
        if let Some(item) = shown {
            push::push(ctx, account, version, item);
        }
        return Ok(before);
    }
}

/// The item as it is to be stored; `None` when it is not to be written.
async fn new_item(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    contact: &Jid,
    before: Before,
    change: &ItemChange,
) -> Result<Option<RosterItem>, Error> {
    let (standing, label) = match change {
        ItemChange::Keep | ItemChange::Remove => return Ok(None),
        ItemChange::Label(label) => (before.standing.unwrap_or_default(), label.clone()),
        ItemChange::Stand(standing) if before.standing.is_none() => (*standing, Label::default()),
        ItemChange::Stand(standing) => {
            let item = ctx
                .store()
                .roster()
                .item(account.as_str(), contact.as_str())
                .await?;
            let label = item.map(|item| Label {
                name: item.name,
                groups: item.groups,
            });
            (*standing, label.unwrap_or_default())
        }
    };
    Ok(Some(RosterItem {
        jid: contact.to_string(),
        name: label.name,
        groups: label.groups,
        subscription: standing.subscription,
        ask: standing.ask,
        approved: standing.approved,
        version: 0,
    }))
}

fn writes(
    ctx: &Ctx<'_>,
    (account, contact): (&Jid, &Jid),
    contacts: &Contacts,
    change: &Change,
    item: Option<RosterItem>,
) -> WriteSet {
    let (account, jid) = (account.to_string(), contact.to_string());
    let base = Some(contacts.version);
    let mut writes = WriteSet::new();
    if let Some(item) = item {
        let max_items = u32::try_from(ctx.config().limits.roster_items).unwrap_or(u32::MAX);
        writes.push(Write::RosterSet {
            account: account.clone(),
            item,
            base,
            max_items,
        });
    }
    if let ItemChange::Remove = change.item {
        writes.push(Write::RosterRemove {
            account: account.clone(),
            jid: jid.clone(),
            base,
        });
    }
    match &change.pending {
        PendingChange::Keep => {}
        PendingChange::Remove => writes.push(Write::PendingRemove { account, jid }),
        PendingChange::Set(request) => {
            let request = request.clone();
            writes.push(Write::PendingSet {
                account,
                request,
                max: PENDING_MAX,
            });
        }
    }
    writes
}

/// The cached roster after the change.
fn changed(
    contacts: &Contacts,
    contact: &Jid,
    change: &Change,
    item: Option<&RosterItem>,
) -> Contacts {
    let waits = match change.pending {
        PendingChange::Keep => contacts.is_pending(contact.as_str()),
        PendingChange::Set(_) => true,
        PendingChange::Remove => false,
    };
    let pended = contacts.with_pending(contact, waits);
    match (item, &change.item) {
        (Some(item), _) => pended.with_item(contact, Some(Standing::of(item))),
        (None, ItemChange::Remove) => pended.with_item(contact, None),
        (None, _) => pended,
    }
}

fn tell(ctx: &mut Ctx<'_>, account: &Jid, stanza: &Stanza) {
    for session in push::interested(ctx, account) {
        ctx.push(&session, stanza.clone());
    }
}
