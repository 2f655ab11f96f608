//! Latencies with a relative error under 1 %, in a fixed amount of memory.

use std::time::Duration;

/// Linear buckets in each power of two: 256, of which the upper half is used, keep the error below
/// 1/128.
const SUB_BITS: u32 = 8;
const SUB: u64 = 1 << SUB_BITS;
/// Nanoseconds up to 2^42, over an hour; what is longer counts as that.
const MAX_BITS: u32 = 42;
const BUCKETS: usize = ((MAX_BITS - SUB_BITS + 1) as usize) << SUB_BITS;

/// Counts of durations in buckets whose width grows with the value.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram {
            counts: vec![0; BUCKETS],
            total: 0,
            max: 0,
        }
    }

    pub(crate) fn record_nanos(&mut self, nanos: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// The value that `share` (0 to 1) of what was recorded does not exceed; zero when empty.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let rank = (share.clamp(0.0, 1.0) * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper(at).min(self.max));
            }
        }
        self.max()
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }
}

/// The bucket of a value. Below `SUB` each value has its own.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min((1 << MAX_BITS) - 1);
    let exponent = (nanos | (SUB - 1)).ilog2() + 1 - SUB_BITS;
    let row = u64::from(exponent) << SUB_BITS;
    // In every row but the first only the upper half is used: its values begin with a one.
    (row + (nanos >> exponent)) as usize
}

/// The greatest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let exponent = bucket >> SUB_BITS;
    let sub = bucket as u64 & (SUB - 1);
    ((sub + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_one_percent_below_the_end_of_its_bucket() {
        let mut value = 1_u64;
        while value < 1 << MAX_BITS {
            let end = upper(bucket(value));
            assert!(end >= value, "{value} {end}");
            assert!(
                (end - value) as f64 <= value as f64 / 128.0,
                "{value} {end}"
            );
            value = value * 21 / 20 + 1;
        }
    }

    #[test]
    fn quantiles_of_a_known_series() {
        let mut histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.record_nanos(micros * 1000);
        }
        let near = |share, micros: f64| {
            let found = histogram.quantile(share).as_nanos() as f64 / 1000.0;
            assert!((found - micros).abs() / micros < 0.02, "{share}: {found}");
        };
        near(0.5, 500.0);
        near(0.99, 990.0);
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(1));
    }

    #[test]
    fn nothing_recorded_is_zero_and_too_long_is_kept_as_the_maximum() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        histogram.record_nanos(u64::MAX);
        assert_eq!(histogram.max(), Duration::from_nanos(u64::MAX));
    }
}
