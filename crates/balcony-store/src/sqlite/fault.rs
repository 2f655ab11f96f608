//! What SQLite says, in the store's words.

use std::path::Path;

use rusqlite::ErrorCode;
use rustix::fs::StatVfsMountFlags;

use crate::Error;

/// Why a write or a read did not happen.
#[derive(Debug)]
pub(super) enum Fault {
    /// A precondition or a bound said no: this set fails, its neighbours do not notice.
    Refused(Error),
    /// SQLite said no.
    Sql(rusqlite::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sql(error)
    }
}

impl Fault {
    /// Whether the disk, not the data, is the reason: the whole transaction is void then.
    pub(super) fn is_of_disk(&self) -> bool {
        let Fault::Sql(error) = self else {
            return false;
        };
        matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::ReadOnly
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::OutOfMemory
                    | ErrorCode::CannotOpen
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::DatabaseBusy
            )
        )
    }

    /// The store's word for it. `dir` is asked when SQLite only says that the disk failed.
    pub(super) fn into_error(self, dir: &Path) -> Error {
        let error = match self {
            Fault::Refused(error) => return error,
            Fault::Sql(error) => error,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::Full,
            Some(ErrorCode::ReadOnly) => Error::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy,
            // SQLite tells a missing file from a mount without writes as little as a bad block.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                disk_state(dir).unwrap_or_else(|| Error::Broken(error.to_string()))
            }
            _ => Error::Broken(error.to_string()),
        }
    }
}

/// Why writes to this directory fail, if the file system says it.
fn disk_state(dir: &Path) -> Option<Error> {
    let state = rustix::fs::statvfs(dir).ok()?;
    if state.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some(Error::ReadOnly);
    }
    (state.f_bavail == 0).then_some(Error::Full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: i32) -> Fault {
        Fault::Sql(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(code),
            None,
        ))
    }

    #[test]
    fn disk_troubles_have_their_own_errors() {
        let dir = Path::new("/");
        let told = |code| fault(code).into_error(dir);
        assert_eq!(told(rusqlite::ffi::SQLITE_FULL), Error::Full);
        assert_eq!(told(rusqlite::ffi::SQLITE_READONLY), Error::ReadOnly);
        assert_eq!(told(rusqlite::ffi::SQLITE_BUSY), Error::Busy);
        assert!(matches!(
            told(rusqlite::ffi::SQLITE_CORRUPT),
            Error::Broken(_)
        ));
    }

    #[test]
    fn refusal_is_not_of_the_disk() {
        assert!(!Fault::Refused(Error::Full).is_of_disk());
        assert!(!fault(rusqlite::ffi::SQLITE_CONSTRAINT).is_of_disk());
        assert!(fault(rusqlite::ffi::SQLITE_IOERR_FSYNC).is_of_disk());
    }
}
