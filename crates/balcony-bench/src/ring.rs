//! Who has whom in the roster: all users stand in a ring, each has its nearest neighbours.

/// A ring in which each user has the same number of contacts, half on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    users: usize,
    reach: usize,
}

impl Ring {
    /// As many contacts as asked for, less one where that is odd; `None` when there are too few
    /// users for them.
    pub(crate) fn new(users: usize, contacts: usize) -> Option<Ring> {
        let reach = contacts / 2;
        (users > 2 * reach).then_some(Ring { users, reach })
    }

    pub(crate) fn contacts(self) -> usize {
        2 * self.reach
    }

    /// The contacts of a user, first those behind it, the farthest first.
    pub(crate) fn of(self, user: usize) -> impl Iterator<Item = usize> {
        let Ring { users, reach } = self;
        let behind = (1..=reach)
            .rev()
            .map(move |step| (user + users - step) % users);
        behind.chain((1..=reach).map(move |step| (user + step) % users))
    }

    /// Where `other` stands in [`Ring::of`]; `None` if it is no contact.
    pub(crate) fn place(self, user: usize, other: usize) -> Option<usize> {
        let ahead = (other + self.users - user) % self.users;
        let behind = self.users - ahead;
        match (ahead, behind) {
            (0, _) => None,
            (ahead, _) if ahead <= self.reach => Some(self.reach + ahead - 1),
            (_, behind) if behind <= self.reach => Some(self.reach - behind),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_mutual_and_found_at_their_places() {
        let ring = Ring::new(21, 20).unwrap();
        for user in 0..21 {
            let contacts: Vec<usize> = ring.of(user).collect();
            assert_eq!(contacts.len(), 20);
            for (place, contact) in contacts.into_iter().enumerate() {
                assert_eq!(ring.place(user, contact), Some(place));
                assert!(ring.place(contact, user).is_some());
            }
            assert_eq!(ring.place(user, user), None);
        }
    }

    #[test]
    fn who_is_far_away_is_no_contact() {
        let ring = Ring::new(100, 20).unwrap();
        assert_eq!(ring.place(0, 11), None);
        assert_eq!(ring.place(0, 90), Some(0));
        assert_eq!(Ring::new(20, 20), None);
    }
}
