//! From a write to the kind of data that it belongs to.

use std::sync::Arc;

use rusqlite::Connection;
use smallvec::SmallVec;

use super::fault::Fault;
use super::{
    accounts, archive, blocking, invites, last, offline, private, roster, secrets, streams, vcards,
};
use crate::archive_id::ArchiveIds;
use crate::{ArchiveId, Error, Write};

/// What the writer knows beside the database.
pub(super) struct Applying {
    pub(super) key: Arc<ArchiveIds>,
    /// The last time stamp of any archive. One clock for all of them is enough for each, and needs
    /// no look into the database.
    pub(super) stamp: i64,
    pub(super) moving: archive::Moving,
    pub(super) cursors: archive::Cursors,
    /// What the set at hand archived.
    pub(super) archived: SmallVec<[ArchiveId; 2]>,
    /// Account and place of the last of it.
    pub(super) last_push: Option<(i64, i64)>,
}

/// Applies one write inside the writer's transaction.
pub(super) fn apply(conn: &Connection, state: &mut Applying, write: &Write) -> Result<(), Fault> {
    match write {
        Write::CreateAccount { .. }
        | Write::SetKeys { .. }
        | Write::SetEnabled { .. }
        | Write::DeleteAccount { .. } => accounts::apply(conn, write),
        Write::RosterSet { .. }
        | Write::RosterRemove { .. }
        | Write::PendingSet { .. }
        | Write::PendingRemove { .. } => roster::apply(conn, write),
        Write::OfflinePush { .. } | Write::OfflineDelete { .. } | Write::OfflineExpire { .. } => {
            offline::apply(conn, state, write)
        }
        Write::PrivateSet { .. } | Write::PrivateRemove { .. } => private::apply(conn, write),
        Write::VCardSet { .. } | Write::VCardRemove { .. } => vcards::apply(conn, write),
        Write::BlockAdd { .. } | Write::BlockRemove { .. } | Write::BlockClear { .. } => {
            blocking::apply(conn, write)
        }
        Write::LastSeenSet { .. } => last::apply(conn, write),
        Write::InviteCreate { .. }
        | Write::InviteUse { .. }
        | Write::InviteRemove { .. }
        | Write::InvitesExpire { .. } => invites::apply(conn, write),
        Write::SecretCreate { .. } => secrets::apply(conn, write),
        Write::ArchivePush { .. }
        | Write::ArchiveDelivered { .. }
        | Write::ArchiveRetract { .. }
        | Write::ArchiveExpire { .. }
        | Write::ArchiveTrim { .. }
        | Write::ArchivePrefsSet { .. }
        | Write::TakeUp
        | Write::LayDown => archive::apply(conn, state, write),
        Write::StreamCreate { .. }
        | Write::StreamHandled { .. }
        | Write::StreamKeep { .. }
        | Write::StreamRemove { .. }
        | Write::StreamsExpire { .. } => streams::apply(conn, write),
    }
}

/// For the kinds: a write that is not theirs, so that none is ever taken for done.
pub(super) fn misplaced() -> Fault {
    Error::Broken("a write reached the wrong kind of data".to_owned()).into()
}
