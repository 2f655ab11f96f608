//! What waits for somebody who never comes back goes after a time, `[offline] keep`.

use balcony_core::module::{Ctx, Event};
use balcony_store::{Write, WriteSet};

use super::flush::oldest_kept;

/// Seconds from one slice to the next: what has waited for weeks may wait for a minute more.
const EVERY: u32 = 60;

/// Rows in a slice. It takes some milliseconds, no longer than a large commit, and with one a
/// minute more than a million rows a day can go.
const SLICE: u32 = 1_000;

/// A tick that comes late may miss its turn; the next one has it.
pub(super) fn on_tick(ctx: &mut Ctx<'_>, _: &Event) {
    if !ctx.core().clock().coarse_seconds().is_multiple_of(EVERY) {
        return;
    }
    let expire = Write::OfflineExpire {
        before: oldest_kept(&ctx.config(), ctx.utc_micros()),
        oldest: SLICE,
    };
    let done = ctx.commit(WriteSet::from(expire));
    tokio::spawn(async move {
        if let Err(cause) = done.await {
            tracing::warn!(%cause, "offline messages that waited too long are still there");
        }
    });
}
