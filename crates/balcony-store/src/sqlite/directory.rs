//! The data directory: one process at a time, for nobody else's eyes.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::{Error, Result};

const DATABASE: &str = "balcony.sqlite3";
const LOCK: &str = "balcony.lock";

/// A data directory that this process holds the lock of, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// The kernel drops the lock with the file, also when the process is killed.
    _lock: File,
}

impl Directory {
    /// Makes the directory and the database file where they are missing, and takes the lock.
    pub(super) fn open(path: &Path) -> Result<Directory> {
        // An existing directory keeps its mode: it may be the operator's choice.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| failed(path, &error))?;
        let lock = take_lock(&path.join(LOCK))?;
        let database = path.join(DATABASE);
        // SQLite gives its journal files the mode of the database.
        let file = open_private(&database).map_err(|error| failed(&database, &error))?;
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(|error| failed(&database, &error))?;
        // Without this the name of a new database might not survive a power cut, its content would.
        let synced = File::open(path).and_then(|dir| dir.sync_all());
        synced.map_err(|error| failed(path, &error))?;
        let path = fs::canonicalize(path).map_err(|error| failed(path, &error))?;
        Ok(Directory { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn take_lock(path: &Path) -> Result<File> {
    let mut file = open_private(path).map_err(|error| failed(path, &error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok();
            let pid = pid.and_then(|_| text.trim().parse().ok());
            return Err(Error::InUse { pid });
        }
        Err(error) => return Err(failed(path, &error.into())),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    // The number is for people only: on a full disk the lock holds without it.
    if let Err(error) = written {
        tracing::warn!(%error, "cannot write the process id into the lock file");
    }
    Ok(file)
}

fn failed(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
        io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly,
        _ => {
            let mut text = path.display().to_string();
            text.push_str(": ");
            text.push_str(&error.to_string());
            Error::Broken(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn second_opener_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::open(dir.path()).unwrap();
        let pid = Some(std::process::id());
        assert_eq!(
            Directory::open(dir.path()).unwrap_err(),
            Error::InUse { pid }
        );
        drop(first);
        Directory::open(dir.path()).unwrap();
    }

    #[test]
    fn what_is_made_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let held = Directory::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&held.database()), 0o600);
        assert_eq!(mode(&path.join(LOCK)), 0o600);
    }

    #[test]
    fn open_database_file_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join(DATABASE);
        fs::write(&database, "").unwrap();
        fs::set_permissions(&database, Permissions::from_mode(0o644)).unwrap();
        let _held = Directory::open(dir.path()).unwrap();
        assert_eq!(mode(&database), 0o600);
    }

    #[test]
    fn unusable_path_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Directory::open(&file).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
}
