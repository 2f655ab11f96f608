use super::MemoryStore;
use super::tables::Tables;
use crate::{BoxFuture, Error, Result, StreamId, StreamRow, Streams, Write};

impl Tables {
    pub(super) fn apply_stream(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::StreamCreate {
                id,
                account,
                handled,
                expires_at,
            } => {
                let number = self.login(account).ok_or(Error::NotFound)?.number;
                // One that a deleted account left is nobody's any more.
                if self.stream(*id).is_some_and(|stream| self.lives(stream)) {
                    return Err(Error::Conflict("stream"));
                }
                let row = StreamRow {
                    account: account.clone(),
                    handled: *handled,
                    state: None,
                    expires_at: *expires_at,
                };
                self.set_stream(*id, Some((number, row)));
            }
            Write::StreamHandled { id, handled } => {
                self.change_stream(*id, |row| row.handled = *handled);
            }
            Write::StreamKeep {
                id,
                handled,
                state,
                expires_at,
            } => self.change_stream(*id, |row| {
                row.handled = *handled;
                row.state.clone_from(state);
                row.expires_at = *expires_at;
            }),
            Write::StreamRenew { id, expires_at } => {
                self.change_stream(*id, |row| row.expires_at = *expires_at);
            }
            Write::StreamRemove { id } => self.set_stream(*id, None),
            Write::StreamsExpire { now, rows } => {
                let over = self.streams().filter(|(_, row)| row.expires_at <= *now);
                let over: Vec<StreamId> = over.map(|(id, _)| id).take(*rows as usize).collect();
                over.into_iter().for_each(|id| self.set_stream(id, None));
            }
            _ => {}
        }
        Ok(())
    }

    fn change_stream(&mut self, id: StreamId, change: impl FnOnce(&mut StreamRow)) {
        if let Some((number, mut row)) = self.stream(id).cloned() {
            change(&mut row);
            self.set_stream(id, Some((number, row)));
        }
    }

    /// Whether the account that the stream was made for is still there.
    fn lives(&self, (number, row): &(i64, StreamRow)) -> bool {
        self.account(&row.account)
            .is_some_and(|account| account.number == *number)
    }
}

impl Streams for MemoryStore {
    fn get(&self, id: StreamId) -> BoxFuture<'_, Result<Option<StreamRow>>> {
        self.read(|tables| {
            let found = tables.stream(id).filter(|stream| tables.lives(stream));
            found.map(|(_, row)| row.clone())
        })
    }

    fn kept(
        &self,
        after: Option<StreamId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(StreamId, StreamRow)>>> {
        self.read(|tables| {
            let rows = tables
                .streams()
                .filter(|(id, row)| row.state.is_some() && after.is_none_or(|after| *id > after));
            let rows = rows.filter(|(id, _)| tables.stream(*id).is_some_and(|s| tables.lives(s)));
            let rows = rows.map(|(id, row)| (id, row.clone()));
            rows.take(limit as usize).collect()
        })
    }
}
