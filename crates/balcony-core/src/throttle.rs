//! Bounds on how often an address or an account may try something, in bounded memory.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::map::Map;
use parking_lot::Mutex;

/// Addresses that are remembered at once. An attacker with more addresses than this is not
/// stopped by a bound per address, and must not cost more memory: about 10 MB.
const ADDRESSES_MAX: usize = 100_000;

/// Counts tries per address in a window of time.
pub struct Throttle<Who: Counted = IpAddr> {
    tries: Mutex<Map<Who, Window>>,
}

/// Whose tries are counted.
pub trait Counted: Eq + Hash {
    /// The address that stands for all that count as one.
    #[must_use]
    fn group(self) -> Self;
}

/// By its /64 for IPv6, which is what one household or machine gets.
impl Counted for IpAddr {
    fn group(self) -> Self {
        match self.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            v4 @ IpAddr::V4(_) => v4,
        }
    }
}

/// By the account.
impl Counted for Jid {
    fn group(self) -> Self {
        self.bare().compact()
    }
}

#[derive(Clone, Copy, Default)]
struct Window {
    began: Duration,
    /// Tries that count.
    count: u32,
    /// Tries whose outcome is not known.
    under_way: u32,
}

impl<Who: Counted> Default for Throttle<Who> {
    fn default() -> Self {
        Self {
            tries: Mutex::new(Map::default()),
        }
    }
}

/// Tries of one address that may be under way at a time, for each that may fail in a window: many
/// who log in from behind one address do not keep each other out, and who guesses in parallel
/// gains little by it.
const UNDER_WAY: u32 = 4;

impl<Who: Counted> Throttle<Who> {
    /// Whether the address has used up `max` tries within `window` before `now` (uptime).
    #[must_use]
    pub fn is_spent(&self, address: Who, max: u32, window: Duration, now: Duration) -> bool {
        let tries = self.tries.lock();
        tries
            .get(&address.group())
            .is_some_and(|w| w.count >= max && now < w.began + window)
    }

    /// Counts a try, if the address has one left: `false` when it has used up `max` tries within
    /// `window`.
    #[must_use]
    pub fn take(&self, address: Who, max: u32, window: Duration, now: Duration) -> bool {
        let mut tries = self.tries.lock();
        let entry = entry(&mut tries, address, window, now);
        let may = entry.count < max;
        entry.count += u32::from(may);
        may
    }

    /// Counts a try.
    pub fn count(&self, address: Who, window: Duration, now: Duration) {
        let mut tries = self.tries.lock();
        entry(&mut tries, address, window, now).count += 1;
    }

    /// Begins a try that counts only if it fails. `false` when the address may not try: it has
    /// failed `max` times within `window`, or has too many tries under way.
    #[must_use]
    pub fn begin(&self, address: Who, max: u32, window: Duration, now: Duration) -> bool {
        let mut tries = self.tries.lock();
        let entry = entry(&mut tries, address, window, now);
        let may = entry.count < max && entry.under_way < max.saturating_mul(UNDER_WAY);
        entry.under_way += u32::from(may);
        may
    }

    /// Ends a try that was begun.
    pub fn end(&self, address: Who, failed: bool, window: Duration, now: Duration) {
        let mut tries = self.tries.lock();
        let entry = entry(&mut tries, address, window, now);
        entry.under_way = entry.under_way.saturating_sub(1);
        entry.count += u32::from(failed);
    }
}

/// The window of an address, a new one when the last is over.
fn entry<Who: Counted>(
    tries: &mut Map<Who, Window>,
    address: Who,
    window: Duration,
    now: Duration,
) -> &mut Window {
    let address = address.group();
    if tries.len() >= ADDRESSES_MAX && !tries.contains_key(&address) {
        make_room(tries, window, now);
    }
    let entry = tries.entry(address).or_insert(Window {
        began: now,
        ..Window::default()
    });
    if now >= entry.began + window {
        entry.began = now;
        entry.count = 0;
    }
    entry
}

/// Forgets windows that are over; if that is not enough, addresses that tried once; if not, all.
fn make_room<Who>(tries: &mut Map<Who, Window>, window: Duration, now: Duration) {
    tries.retain(|_, entry| entry.under_way > 0 || now < entry.began + window);
    if tries.len() >= ADDRESSES_MAX {
        tries.retain(|_, entry| entry.under_way > 0 || entry.count > 1);
    }
    if tries.len() >= ADDRESSES_MAX {
        tries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn tries_are_spent_within_a_window_and_come_back_after_it() {
        let throttle = Throttle::default();
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let stranger: IpAddr = "2001:db9::1".parse().unwrap();
        for second in 0..3 {
            assert!(!throttle.is_spent(address, 3, WINDOW, Duration::from_secs(second)));
            throttle.count(address, WINDOW, Duration::from_secs(second));
        }
        assert!(throttle.is_spent(neighbour, 3, WINDOW, Duration::from_secs(59)));
        assert!(!throttle.is_spent(stranger, 3, WINDOW, Duration::from_secs(59)));
        assert!(!throttle.is_spent(address, 3, WINDOW, Duration::from_secs(60)));
    }

    #[test]
    fn all_resources_of_an_account_take_from_the_same_tries() {
        let throttle = Throttle::default();
        let take = |jid, second| {
            let jid = Jid::parse(jid).unwrap();
            throttle.take(jid, 2, WINDOW, Duration::from_secs(second))
        };
        assert!(take("juliet@localhost/balcony", 0) && take("juliet@localhost/chamber", 1));
        assert!(!take("juliet@localhost/balcony", 59));
        assert!(take("romeo@localhost/orchard", 59));
        assert!(take("juliet@localhost/balcony", 60));
    }

    #[test]
    fn only_failed_tries_count_and_those_under_way_are_bounded() {
        let throttle = Throttle::default();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let begin = || throttle.begin(address, 3, WINDOW, Duration::ZERO);
        let end = |failed| throttle.end(address, failed, WINDOW, Duration::ZERO);
        for _ in 0..12 {
            assert!(begin());
        }
        assert!(!begin(), "too many at a time");
        for failed in [false, false, true, true] {
            end(failed);
        }
        assert!(begin(), "two failures of three");
        end(true);
        assert!(!begin(), "three failures");
    }
}
