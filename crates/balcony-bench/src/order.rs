//! Whether what was sent arrived once and in order.

use std::collections::BTreeSet;

use crate::error::{Error, Result};

/// Numbers that may be missing on one route at a time; beyond that the run is lost anyway.
const MISSING: usize = 10_000;

/// What came on one route to one receiver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// The number that has to come now.
    next: u32,
    /// Numbers that were passed over.
    missing: BTreeSet<u32>,
}

/// Faults of all routes together. A run counts only when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Sent and never acknowledged by the server, where it had to be (XEP-0198).
    pub(crate) unacknowledged: u64,
}

impl Faults {
    /// Of both together.
    pub(crate) fn add(&mut self, other: Faults) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.unacknowledged += other.unacknowledged;
    }

    /// # Errors
    /// [`Error::Faults`] when there are any.
    pub(crate) fn verdict(self) -> Result<()> {
        if self == Faults::default() {
            return Ok(());
        }
        Err(Error::Faults {
            lost: self.lost,
            duplicated: self.duplicated,
            reordered: self.reordered,
            unacknowledged: self.unacknowledged,
        })
    }
}

impl Order {
    /// A number came. What is wrong with that; that some are missing shows at the end.
    pub(crate) fn take(&mut self, number: u32, faults: &mut Faults) -> Option<&'static str> {
        if number == self.next {
            self.next += 1;
            return None;
        }
        if number > self.next {
            let room = MISSING.saturating_sub(self.missing.len());
            self.missing.extend((self.next..number).take(room));
            self.next = number + 1;
            return None;
        }
        if self.missing.remove(&number) {
            faults.reordered += 1;
            return Some("late");
        }
        faults.duplicated += 1;
        Some("twice")
    }

    /// Adds what never came of the `sent` first numbers.
    pub(crate) fn finish(&self, sent: u32, faults: &mut Faults) {
        faults.lost += self.missing.len() as u64 + u64::from(sent.saturating_sub(self.next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[u32], sent: u32) -> (u64, u64, u64) {
        let mut order = Order::default();
        let mut faults = Faults::default();
        for number in numbers {
            order.take(*number, &mut faults);
        }
        order.finish(sent, &mut faults);
        (faults.lost, faults.duplicated, faults.reordered)
    }

    #[test]
    fn a_fault_is_told_as_it_comes() {
        let (mut order, mut faults) = (Order::default(), Faults::default());
        let told = [0, 2, 1, 2].map(|number| order.take(number, &mut faults));
        assert_eq!(told, [None, None, Some("late"), Some("twice")]);
    }

    #[test]
    fn what_is_never_acknowledged_voids_a_run() {
        let faults = Faults {
            unacknowledged: 1,
            ..Faults::default()
        };
        assert!(faults.verdict().is_err());
        assert!(Faults::default().verdict().is_ok());
    }

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        assert_eq!(check(&[0, 1, 2], 3), (0, 0, 0));
        assert_eq!(check(&[0, 2], 3), (1, 0, 0));
        assert_eq!(check(&[0, 1], 3), (1, 0, 0));
        assert_eq!(check(&[0, 1, 1, 2], 3), (0, 1, 0));
        assert_eq!(check(&[0, 2, 1], 3), (0, 0, 1));
        assert_eq!(check(&[0, 2, 1, 1], 3), (0, 1, 1));
        assert_eq!(check(&[], 2), (2, 0, 0));
    }
}
