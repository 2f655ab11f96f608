//! The connections to the database and how they are set up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::archive::Recent;
use super::fault::Fault;
use super::known::{Archives, End};
use super::{Settings, Synchronous, cleaning, migrations, secrets, streams};
use crate::Error;

/// 8 KB: a stanza of the usual size stays on one page with its neighbours, and the measured rates
/// are a little above those of SQLite's own 4 KB.
const PAGE_BYTES: u32 = 8_192;
/// What stays of the log file after a burst, instead of its largest size ever.
const LOG_BYTES_KEPT: i64 = 64 << 20;
/// Statements kept prepared: more than there are.
const STATEMENTS: usize = 200;
/// Only another program, a backup say, can hold the database locked; it gets a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// All connections, the schema being up to date.
pub(super) struct Connections {
    pub(super) writer: Connection,
    pub(super) readers: Vec<Connection>,
    pub(super) checkpointer: Connection,
    pub(super) archives: Arc<Archives>,
    pub(super) end: End,
    /// Whether deleted accounts left rows behind.
    pub(super) cleaning: bool,
}

impl Connections {
    pub(super) fn open(database: &Path, settings: Settings) -> Result<Connections, Fault> {
        let mut writer = connect(database, settings.writer_cache_kib)?;
        // Before anything else: the page size of a file is set with its first page.
        writer.pragma_update(None, "page_size", PAGE_BYTES)?;
        let mode: String =
            writer.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if mode != "wal" {
            let text = "the file system does not allow a write-ahead log".to_owned();
            return Err(Error::Broken(text).into());
        }
        let synchronous = match settings.synchronous {
            Synchronous::Full => "full",
            Synchronous::Off => "off",
        };
        writer.pragma_update(None, "synchronous", synchronous)?;
        writer.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        // What a savepoint may have to undo stays in memory; groups are bounded.
        writer.pragma_update(None, "temp_store", "memory")?;
        if let Some(bytes) = settings.max_bytes {
            let pages = bytes / u64::from(PAGE_BYTES);
            writer.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        migrations::migrate(&mut writer)?;
        let cleaning = cleaning::is_due(&writer)?;
        streams::fold_all(&writer)?;
        let end = End::load(&writer)?;
        let archives = Arc::new(Archives {
            ids: secrets::archive_ids(&writer)?,
            recent: Recent::load(&writer)?,
        });
        let readers = (0..settings.readers.max(1))
            .map(|_| reader(database, settings.reader_cache_kib))
            .collect::<Result<_, Fault>>()?;
        let checkpointer = connect(database, settings.reader_cache_kib)?;
        Ok(Connections {
            writer,
            readers,
            checkpointer,
            archives,
            end,
            cleaning,
        })
    }
}

fn reader(database: &Path, cache_kib: i32) -> Result<Connection, Fault> {
    let conn = connect(database, cache_kib)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn connect(database: &Path, cache_kib: i32) -> Result<Connection, Fault> {
    // Each connection stays on one thread, so SQLite need not lock it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(database, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Plans that do not depend on the values: else a statement is compiled again for each.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // Negative: KiB, not pages.
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    Ok(conn)
}
