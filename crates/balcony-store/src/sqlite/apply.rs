//! From a write to the kind of data that it belongs to.

use rusqlite::Connection;

use super::fault::Fault;
use super::known::Known;
use super::{
    accounts, archive, blocking, invites, last, offline, private, pubsub, push, remote, rooms,
    roster, secrets, streams, tokens, vcards,
};
use crate::{Error, Write};

/// Applies one write inside the writer's transaction.
pub(super) fn apply(conn: &Connection, known: &mut Known, write: &Write) -> Result<(), Fault> {
    match write {
        Write::CreateAccount { .. }
        | Write::SetKeys { .. }
        | Write::AddKeys { .. }
        | Write::SetEnabled { .. }
        | Write::DeleteAccount { .. } => accounts::apply(conn, known, write),
        Write::RosterSet { .. }
        | Write::RosterRemove { .. }
        | Write::PendingSet { .. }
        | Write::PendingRemove { .. } => roster::apply(conn, write),
        Write::OfflinePush { .. } | Write::OfflineDelete { .. } | Write::OfflineExpire { .. } => {
            offline::apply(conn, known, write)
        }
        Write::PrivateSet { .. } | Write::PrivateRemove { .. } => private::apply(conn, write),
        Write::VCardSet { .. } | Write::VCardRemove { .. } => vcards::apply(conn, write),
        Write::BlockAdd { .. } | Write::BlockRemove { .. } | Write::BlockClear { .. } => {
            blocking::apply(conn, write)
        }
        Write::LastSeenSet { .. } => last::apply(conn, write),
        Write::PushEnable { .. } | Write::PushDisable { .. } | Write::PushFail { .. } => {
            push::apply(conn, write)
        }
        Write::ClientSeen { .. }
        | Write::TokenSet { .. }
        | Write::TokenUsed { .. }
        | Write::TokenRemove { .. }
        | Write::TokensRemoveAll { .. }
        | Write::TokensExpire { .. } => tokens::apply(conn, write),
        Write::RoomCreate { .. }
        | Write::RoomConfigSet { .. }
        | Write::RoomSubjectSet { .. }
        | Write::RoomAffiliationSet { .. }
        | Write::RoomDelete { .. } => rooms::apply(conn, known, write),
        Write::ServiceCreate { .. }
        | Write::NodeCreate { .. }
        | Write::NodeConfigSet { .. }
        | Write::NodeDelete { .. }
        | Write::ItemPublish { .. }
        | Write::ItemRetract { .. }
        | Write::NodePurge { .. }
        | Write::ItemsExpire { .. }
        | Write::NodeAffiliationSet { .. }
        | Write::SubscriptionSet { .. }
        | Write::SubscriptionRemove { .. } => pubsub::apply(conn, write),
        Write::InviteCreate { .. }
        | Write::InviteUse { .. }
        | Write::InviteRemove { .. }
        | Write::InvitesExpire { .. } => invites::apply(conn, write),
        Write::RemotePush { .. } | Write::RemoteDone { .. } => remote::apply(conn, write),
        Write::SecretCreate { .. } => secrets::apply(conn, write),
        Write::ArchivePush { .. }
        | Write::ArchiveDelivered { .. }
        | Write::TakeUp
        | Write::LayDown
        | Write::ArchiveRetract { .. }
        | Write::ArchiveReplace { .. }
        | Write::ArchiveExpire { .. }
        | Write::ArchiveTrim { .. }
        | Write::ArchivePrefsSet { .. } => archive::apply(conn, known, write),
        Write::StreamCreate { .. }
        | Write::StreamHandled { .. }
        | Write::StreamKeep { .. }
        | Write::StreamRenew { .. }
        | Write::StreamRemove { .. }
        | Write::StreamsExpire { .. } => streams::apply(conn, known, write),
    }
}

/// For the kinds: a write that is not theirs, so that none is ever taken for done.
pub(super) fn misplaced() -> Fault {
    Error::Broken("a write reached the wrong kind of data".to_owned()).into()
}
