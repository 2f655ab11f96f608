//! How much of everything a server can do at most.

/// Between two steps.
const FACTOR: f64 = 1.4;

/// Where the search ends in any case: no server does that much, and one that does less than that
/// does nothing.
const MOST: f64 = 10_000.0;
const LEAST: f64 = 0.01;

/// The scales that are tried, one after the other: upward from one until one does not hold; and
/// where already that does not, downward until one does.
#[derive(Debug)]
pub(super) struct Search {
    next: Option<f64>,
    /// The greatest that held.
    best: Option<f64>,
    failed: bool,
}

impl Search {
    pub(super) fn new() -> Search {
        Search {
            next: Some(1.0),
            best: None,
            failed: false,
        }
    }

    /// What is to be tried now; `None` when the search is over.
    pub(super) fn next(&self) -> Option<f64> {
        self.next
    }

    /// Whether that held.
    pub(super) fn tell(&mut self, held: bool) {
        let Some(scale) = self.next.take() else {
            return;
        };
        self.failed |= !held;
        if held {
            self.best = Some(scale);
        }
        self.next = match (self.best, self.failed) {
            (Some(_), true) => None,
            (_, false) => Some(scale * FACTOR).filter(|next| *next <= MOST),
            (None, true) => Some(scale / FACTOR).filter(|next| *next >= LEAST),
        };
    }

    /// The last that held; `None`: none did.
    pub(super) fn best(&self) -> Option<f64> {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, and in how many steps, where everything up to `limit` holds.
    fn found(limit: f64) -> (Option<f64>, usize) {
        let (mut search, mut steps) = (Search::new(), 0);
        while let Some(scale) = search.next() {
            search.tell(scale <= limit);
            steps += 1;
        }
        (search.best(), steps)
    }

    #[test]
    fn the_last_step_that_holds_is_found_from_below_and_from_above() {
        assert_eq!(found(2.0), (Some(1.4 * 1.4), 4));
        assert_eq!(found(1.0), (Some(1.0), 2));
        assert_eq!(found(0.6), (Some(1.0 / 1.4 / 1.4), 3));
    }

    #[test]
    fn a_search_ends_where_everything_or_nothing_holds() {
        assert_eq!(found(0.0).0, None);
        let (best, _) = found(f64::MAX);
        assert!(best.is_some_and(|best| best <= MOST && best * FACTOR > MOST));
    }
}
