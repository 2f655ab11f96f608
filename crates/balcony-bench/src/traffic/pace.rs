//! When messages go.

use std::time::{Duration, Instant};

/// How messages follow one another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many are under way on each route; the next one goes when one has arrived everywhere.
    Window(u32),
    /// So many a second over all routes, whether they arrive or not.
    Rate(f64),
}

/// When the next message is due.
#[derive(Debug)]
pub(crate) struct Due {
    begin: Instant,
    per_second: f64,
    /// Messages that were due so far.
    pub(crate) count: u64,
}

impl Due {
    /// From `begin` on; `None` where they follow one another in another way.
    pub(crate) fn new(pace: Pace, begin: Instant) -> Option<Due> {
        let Pace::Rate(per_second) = pace else {
            return None;
        };
        Some(Due {
            begin,
            per_second,
            count: 0,
        })
    }

    /// When the next message is due.
    pub(crate) fn next(&self) -> Instant {
        self.begin + Duration::from_secs_f64((self.count + 1) as f64 / self.per_second)
    }

    /// When the next message should have gone, if that is over.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Instant> {
        let at = self.next();
        (at <= now).then(|| {
            self.count += 1;
            at
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_evenly() {
        let begin = Instant::now();
        let mut due = Due::new(Pace::Rate(1000.0), begin).unwrap();
        assert_eq!(due.pop(begin), None);
        let later = begin + Duration::from_millis(3);
        let popped: Vec<_> = std::iter::from_fn(|| due.pop(later)).collect();
        assert_eq!(popped.len(), 3);
        assert_eq!(
            popped.first().map(|at| *at - begin),
            Some(Duration::from_millis(1))
        );
        assert_eq!(due.next() - begin, Duration::from_millis(4));
    }
}
