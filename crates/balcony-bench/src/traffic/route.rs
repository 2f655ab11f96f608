//! From whom to whom.

use crate::order::Order;
use crate::stamp::LENGTH;

/// Where a session stands among the receivers of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is this one of them.
    At(usize),
    /// It gets a copy that does not count.
    Beside,
    /// It must not get any.
    Nowhere,
}

/// One sender and those who get what it sends.
#[derive(Debug)]
pub(crate) struct Route {
    pub(super) sender: usize,
    /// The stanza before and behind the stamp.
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
    pub(super) sent: u32,
    /// How many are sent at most.
    pub(super) limit: u32,
    /// By receiver.
    pub(super) orders: Vec<Order>,
    /// Copies that arrived.
    pub(super) copies: u64,
}

impl Route {
    /// `size`: bytes between head and tail, the stamp among them.
    pub(crate) fn new(
        sender: usize,
        receivers: usize,
        head: Vec<u8>,
        tail: &[u8],
        size: usize,
    ) -> Self {
        let mut filled = vec![b'x'; size.saturating_sub(LENGTH)];
        filled.extend_from_slice(tail);
        Route {
            sender,
            head,
            tail: filled,
            sent: 0,
            limit: u32::MAX,
            orders: vec![Order::default(); receivers],
            copies: 0,
        }
    }

    /// Everything that was sent has arrived everywhere.
    pub(super) fn is_whole(&self) -> bool {
        self.copies >= u64::from(self.sent) * self.orders.len() as u64
    }

    /// The same, and no more is to be sent.
    pub(super) fn is_over(&self) -> bool {
        self.sent >= self.limit && self.is_whole()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_size_that_was_asked_for() {
        let route = Route::new(0, 1, Vec::new(), b"</body>", 100);
        assert_eq!(route.tail.len() + LENGTH, 100 + b"</body>".len());
    }

    #[test]
    fn a_route_is_over_when_all_that_it_may_carry_has_come() {
        let mut route = Route::new(0, 2, Vec::new(), b"", 100);
        assert!(route.is_whole() && !route.is_over());
        (route.limit, route.sent) = (1, 1);
        assert!(!route.is_whole());
        route.copies = 2;
        assert!(route.is_over());
    }
}
