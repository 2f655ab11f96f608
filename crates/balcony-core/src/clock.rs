//! The only place where the core learns the time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Wall clock and uptime of one server.
///
/// Tests make one by [`Clock::virtual_at`], which advances with the runtime's paused time only.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// `Some`: the wall clock at `start`, in microseconds; time then goes on with the runtime's.
    virtual_start: Option<i64>,
    /// Whole seconds of uptime at the last tick: cheap to read for every stanza.
    coarse: AtomicU32,
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self {
            start: Instant::now(),
            virtual_start: None,
            coarse: AtomicU32::new(0),
        }
    }

    /// A wall clock that stands at `micros` since the Unix epoch and advances with the runtime's
    /// time, which tests pause.
    #[must_use]
    pub fn virtual_at(micros: i64) -> Self {
        Self {
            virtual_start: Some(micros),
            ..Self::system()
        }
    }

    /// Microseconds since the Unix epoch, UTC. Follows the machine's clock, so it may jump.
    #[must_use]
    pub fn utc_micros(&self) -> i64 {
        let since = match self.virtual_start {
            Some(start) => return start.saturating_add(micros(self.uptime())),
            None => SystemTime::now().duration_since(UNIX_EPOCH),
        };
        since.map_or(0, micros)
    }

    /// The same as a time of the standard library, for certificates.
    #[must_use]
    pub fn utc(&self) -> SystemTime {
        let micros = u64::try_from(self.utc_micros()).unwrap_or(0);
        UNIX_EPOCH + Duration::from_micros(micros)
    }

    /// Time since the start. Never runs backwards.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// Uptime in whole seconds as of the last [`Clock::tick`]: at most a second old.
    #[must_use]
    pub fn coarse_seconds(&self) -> u32 {
        self.coarse.load(Ordering::Relaxed)
    }

    /// Renews what [`Clock::coarse_seconds`] answers. The server calls it once a second.
    pub fn tick(&self) {
        let seconds = u32::try_from(self.uptime().as_secs()).unwrap_or(u32::MAX);
        self.coarse.store(seconds, Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_virtual_clock_starts_where_it_is_told() {
        let clock = Clock::virtual_at(1_000_000);
        assert!(clock.utc_micros() >= 1_000_000);
        assert!(clock.utc_micros() < 60_000_000);
    }
}
