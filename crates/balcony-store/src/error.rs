/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store refused or failed. Operational: the cause is for the log, never for a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More is queued than the store takes on. Passes by itself; the caller may try again.
    #[error("the store is busy")]
    Busy,
    /// No space is left. Passes when there is space again, without a restart.
    #[error("no space left for the store")]
    Full,
    /// The file system does not take writes. Passes when it does again, without a restart.
    #[error("the store is read-only")]
    ReadOnly,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// What is to be created exists already, or was changed meanwhile; says what.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// The account, or the thing to be changed, does not exist (any more).
    #[error("not found")]
    NotFound,
    /// A bound that the caller gave would be passed; says which.
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// Another process has the data directory open; its process id, where the lock tells it.
    #[error("the data directory is in use by {}", process(.pid))]
    InUse {
        /// The process that holds the lock.
        pid: Option<u32>,
    },
    /// The data was written by a newer version of this program, which must be used instead.
    #[error("the database has schema {found}, this program knows up to {known}")]
    SchemaNewer {
        /// The schema number in the database.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// An applied migration differs from the one in this program: not a release of ours.
    #[error("migration {number} is not the one that the database was made with")]
    SchemaChanged {
        /// The migration's number.
        number: u32,
    },
    /// Anything else: a damaged file, a failing disk, a bug. The text is for the log.
    #[error("the store failed: {0}")]
    Broken(String),
}

fn process(pid: &Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_use_names_the_process() {
        let told = Error::InUse { pid: Some(77) }.to_string();
        assert_eq!(told, "the data directory is in use by process 77");
        let unknown = Error::InUse { pid: None }.to_string();
        assert_eq!(unknown, "the data directory is in use by another process");
    }
}
