//! How fast bytes are taken from one stream.

use std::time::Duration;

use crate::config::Rate;

/// A bucket of bytes that fills at a steady rate. A peer that sends faster is read later, so it
/// meets the bound as back-pressure and loses nothing.
#[derive(Debug)]
pub struct Bucket {
    /// When the bucket would have been full, as uptime in microseconds: ahead of now by as much
    /// as was taken.
    full_at_micros: u64,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            full_at_micros: micros(now),
        }
    }

    /// Takes `bytes`, and answers how long to wait before more is read.
    pub fn take(&mut self, bytes: usize, rate: Rate, now: Duration) -> Option<Duration> {
        let now = micros(now);
        let refill = |bytes: usize| {
            let per_second = rate.bytes_per_second.max(1) as u64;
            (bytes as u64).saturating_mul(1_000_000) / per_second
        };
        self.full_at_micros = self.full_at_micros.max(now).saturating_add(refill(bytes));
        let owed = self.full_at_micros.saturating_sub(now);
        let wait = owed.saturating_sub(refill(rate.burst_bytes));
        (wait > 0).then(|| Duration::from_micros(wait))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        bytes_per_second: 1_000,
        burst_bytes: 2_000,
    };

    #[test]
    fn a_burst_passes_and_what_goes_beyond_it_waits() {
        let mut bucket = Bucket::new(Duration::ZERO);
        assert_eq!(bucket.take(2_000, RATE, Duration::ZERO), None);
        assert_eq!(
            bucket.take(500, RATE, Duration::ZERO),
            Some(Duration::from_millis(500))
        );
        assert_eq!(
            bucket.take(1, RATE, Duration::from_secs(3)),
            None,
            "time fills the bucket"
        );
    }
}
