//! How long messages stay in the archives (`[archive] keep`), and how much of them (`bytes`).

use balcony_core::module::{Ctx, Event};
use balcony_store::{Write, WriteSet};

/// Seconds from one slice to the next, as what has stayed for months may stay for a minute more.
/// So often the store is asked for two slices of each host, and looks first if anything is due.
const EVERY: u32 = 60;

/// Rows in a slice: some milliseconds, and with one a minute more than a million rows a day can go.
const SLICE: u32 = 1_000;

/// A tick that comes late may miss its turn; the next one has it.
pub(super) fn on_tick(ctx: &mut Ctx<'_>, _: &Event) {
    // Half a minute away from what the offline queue does.
    if ctx.core().clock().coarse_seconds() % EVERY != EVERY / 2 {
        return;
    }
    let config = ctx.config();
    let keep = i64::try_from(config.archive.keep.as_micros()).unwrap_or(i64::MAX);
    let before = ctx.utc_micros().saturating_sub(keep);
    let max_bytes = u64::try_from(config.archive.bytes).unwrap_or(u64::MAX);
    let hosts = config.hosts.iter().map(|host| &host.name);
    // Archives of rooms, too.
    for name in hosts.chain(&config.muc.hosts) {
        let (name, rows) = (name.clone(), SLICE);
        let expire = Write::ArchiveExpire {
            host: name.clone(),
            before,
            oldest: rows,
        };
        let trim = Write::ArchiveTrim {
            host: name,
            max_bytes,
            rows,
        };
        // Each by itself, so that none makes the others wait for all of them.
        for write in [expire, trim] {
            let done = ctx.commit(WriteSet::from(write));
            tokio::spawn(async move {
                if let Err(cause) = done.await {
                    tracing::warn!(%cause, "messages that are too old are still archived");
                }
            });
        }
    }
}
