//! Bounds on how often an address may try something, in bounded memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

/// Addresses that are remembered at once. An attacker with more addresses than this is not
/// stopped by a bound per address, and must not cost more memory: about 10 MB.
const ADDRESSES_MAX: usize = 100_000;

/// Counts tries per address in a window of time.
///
/// An IPv6 address counts by its /64, which is what one household or machine gets.
pub struct Throttle {
    tries: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    began: Duration,
    /// Tries that count.
    count: u32,
    /// Tries whose outcome is not known.
    under_way: u32,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            tries: Mutex::new(HashMap::new()),
        }
    }
}

/// Tries of one address that may be under way at a time, for each that may fail in a window: many
/// who log in from behind one address do not keep each other out, and who guesses in parallel
/// gains little by it.
const UNDER_WAY: u32 = 4;

impl Throttle {
    /// Whether the address has used up `max` tries within `window` before `now` (uptime).
    #[must_use]
    pub fn is_spent(&self, address: IpAddr, max: u32, window: Duration, now: Duration) -> bool {
        let tries = self.tries.lock();
        tries
            .get(&group(address))
            .is_some_and(|w| w.count >= max && now < w.began + window)
    }

    /// Counts a try.
    pub fn count(&self, address: IpAddr, window: Duration, now: Duration) {
        let mut tries = self.tries.lock();
        entry(&mut tries, address, window, now).count += 1;
    }

    /// Begins a try that counts only if it fails. `false` when the address may not try: it has
    /// failed `max` times within `window`, or has too many tries under way.
    #[must_use]
    pub fn begin(&self, address: IpAddr, max: u32, window: Duration, now: Duration) -> bool {
        let mut tries = self.tries.lock();
        let entry = entry(&mut tries, address, window, now);
        let may = entry.count < max && entry.under_way < max.saturating_mul(UNDER_WAY);
        entry.under_way += u32::from(may);
        may
    }

    /// Ends a try that was begun.
    pub fn end(&self, address: IpAddr, failed: bool, window: Duration, now: Duration) {
        let mut tries = self.tries.lock();
        let entry = entry(&mut tries, address, window, now);
        entry.under_way = entry.under_way.saturating_sub(1);
        entry.count += u32::from(failed);
    }
}

/// The window of an address, a new one when the last is over.
fn entry(
    tries: &mut HashMap<IpAddr, Window>,
    address: IpAddr,
    window: Duration,
    now: Duration,
) -> &mut Window {
    let address = group(address);
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
fn make_room(tries: &mut HashMap<IpAddr, Window>, window: Duration, now: Duration) {
    tries.retain(|_, entry| entry.under_way > 0 || now < entry.began + window);
    if tries.len() >= ADDRESSES_MAX {
        tries.retain(|_, entry| entry.under_way > 0 || entry.count > 1);
    }
    if tries.len() >= ADDRESSES_MAX {
        tries.clear();
    }
}

fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
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
