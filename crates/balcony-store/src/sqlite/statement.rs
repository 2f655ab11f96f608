//! The only way to SQL for the kinds of data: texts known at compile time, prepared once for each
//! connection, values bound. `&'static str` keeps anyone from gluing a value into a text.

use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::fault::Fault;

/// Runs a statement; tells how many rows changed.
pub(super) fn run(
    conn: &Connection,
    sql: &'static str,
    params: impl Params,
) -> Result<usize, Fault> {
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}

/// The first row, if there is one.
pub(super) fn one<T>(
    conn: &Connection,
    sql: &'static str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row(params, read).optional()?)
}

/// All rows.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &'static str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Runs a statement once for each of these.
pub(super) fn each<P: Params>(
    conn: &Connection,
    sql: &'static str,
    params: impl IntoIterator<Item = P>,
) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    for params in params {
        statement.execute(params)?;
    }
    Ok(())
}

/// Goes through the rows for as long as `read` answers that it wants more.
pub(super) fn walk(
    conn: &Connection,
    sql: &'static str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()?
        && read(row)?
    {}
    Ok(())
}

/// Has all that `read` asks answered from one state of the database.
pub(super) fn snapshot<T>(
    conn: &Connection,
    read: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    /// Ends it when the read is over, also by a panic.
    struct Reading<'a>(&'a Connection);
    impl Drop for Reading<'_> {
        fn drop(&mut self) {
            if run(self.0, "ROLLBACK", []).is_err() {
                tracing::error!("a read could not be ended");
            }
        }
    }
    run(conn, "BEGIN", [])?;
    let _reading = Reading(conn);
    read()
}

/// A stored text that is none of the words it may be: a damaged row or a newer program's.
pub(super) fn unknown_word(column: usize, word: &str) -> rusqlite::Error {
    let mut text = String::from("unknown word ");
    text.push_str(word);
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, text.into())
}
