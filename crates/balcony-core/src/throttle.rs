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

#[derive(Clone, Copy)]
struct Window {
    began: Duration,
    count: u32,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            tries: Mutex::new(HashMap::new()),
        }
    }
}

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
        if tries.len() >= ADDRESSES_MAX {
            tries.retain(|_, entry| now < entry.began + window);
        }
        if tries.len() >= ADDRESSES_MAX {
            tries.clear();
        }
        let entry = tries.entry(group(address)).or_insert(Window {
            began: now,
            count: 0,
        });
        if now >= entry.began + window {
            *entry = Window {
                began: now,
                count: 0,
            };
        }
        entry.count = entry.count.saturating_add(1);
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
}
