//! When a server that could not be reached is tried again.

use std::time::Duration;

/// After the first failure: a server that is being restarted is back soon.
pub(crate) const FIRST: Duration = Duration::from_secs(1);
/// At most: a domain that is gone for good costs a lookup a minute while something waits for it.
const MOST: Duration = Duration::from_secs(60);

/// How long to wait after so many failures in a row: twice as long each time, and between three
/// quarters and five quarters of that by `chance`, so that all who lost a server at the same moment
/// do not come back at the same moment.
pub(crate) fn pause(failures: u32, chance: u8) -> Duration {
    let doubled = FIRST.saturating_mul(
        1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    let whole = doubled.min(MOST);
    whole.mul_f64(0.75 + f64::from(chance) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let middle = |failures| pause(failures, 127).as_secs_f64().round();
        assert_eq!(
            [1, 2, 3, 4, 7, 99].map(middle),
            [1.0, 2.0, 4.0, 8.0, 60.0, 60.0]
        );
    }

    #[test]
    fn pauses_differ_by_chance() {
        assert_eq!(pause(1, 0), Duration::from_millis(750));
        assert_eq!(pause(1, 255), Duration::from_millis(1_250));
    }
}
