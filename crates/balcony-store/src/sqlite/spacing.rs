//! How far apart commits begin, when there are many small ones.
//!
//! A commit costs a sync, a wake-up of the writer and one of each worker, whatever is in it: with a
//! thousand messages a second, each committed alone, that is most of what a message costs. So a
//! commit begins some milliseconds after the one before at the earliest, and carries all that came
//! meanwhile. What comes after a pause longer than that is committed at once.

use std::time::{Duration, Instant};

/// Between the beginnings of two commits. An acknowledgement that takes this much longer is nothing
/// that a person could notice, and at 200 commits a second their own price is small.
const SPACING: Duration = Duration::from_millis(5);

/// After as many vain waits in a row the next ones are this rare (as a power of two): whoever sends
/// only when he was answered has no company, and is answered at once.
const RAREST: u32 = 6;

/// When to wait.
#[derive(Debug, Default)]
pub(super) struct Spacing {
    /// When the last commit began.
    last: Option<Instant>,
    /// Waits in a row in which nobody came.
    vain: u32,
    /// Commits that do not wait.
    skip: u32,
}

impl Spacing {
    /// How long the next commit waits for company, with its first set there now. `None`: not at
    /// all.
    pub(super) fn stay(&self, now: Instant) -> Option<Duration> {
        let last = self.last.filter(|_| self.skip == 0)?;
        let left = SPACING.checked_sub(now.saturating_duration_since(last))?;
        (!left.is_zero()).then_some(left)
    }

    /// A commit begins; `joined` tells whether somebody came while it waited, if it did.
    pub(super) fn begin(&mut self, now: Instant, joined: Option<bool>) {
        self.last = Some(now);
        match joined {
            Some(true) => self.vain = 0,
            Some(false) => {
                self.vain = (self.vain + 1).min(RAREST);
                self.skip = 1 << self.vain;
            }
            None => self.skip = self.skip.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_first_or_after_a_pause_is_not_held_up() {
        let now = Instant::now();
        let mut spacing = Spacing::default();
        assert_eq!(spacing.stay(now), None);
        spacing.begin(now, None);
        assert_eq!(spacing.stay(now + SPACING), None);
        assert_eq!(spacing.stay(now + SPACING * 100), None);
    }

    #[test]
    fn commits_wait_for_the_rest_of_the_time_while_others_join_them() {
        let mut spacing = Spacing::default();
        let now = Instant::now();
        for _ in 0..10 {
            spacing.begin(now, Some(true));
            assert_eq!(spacing.stay(now + SPACING / 4), Some(SPACING * 3 / 4));
        }
    }

    #[test]
    fn vain_waits_become_rare_and_end_with_the_first_that_is_not() {
        let mut spacing = Spacing::default();
        let now = Instant::now();
        let mut waits = 0;
        for _ in 0..1_000 {
            let waited = spacing.stay(now).is_some();
            waits += u32::from(waited);
            spacing.begin(now, waited.then_some(false));
        }
        assert!((10..30).contains(&waits), "{waits}");
        while spacing.stay(now).is_none() {
            spacing.begin(now, None);
        }
        spacing.begin(now, Some(true));
        assert!(spacing.stay(now).is_some());
    }
}
