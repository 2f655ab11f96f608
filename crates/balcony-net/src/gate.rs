//! How many connections an address may have, and how fast it may open them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

/// Limits on the connections of a server or listener.
#[derive(Debug, Clone)]
pub struct GateLimits {
    /// Connections in all at one time; `None`: as many as there are descriptors. Default `None`.
    pub total: Option<usize>,
    /// Connections of one address at one time; `None`: any. An IPv6 address counts as its /64,
    /// which is what one customer gets. Default 500: offices and mobile networks share an address.
    pub per_address: Option<u32>,
    /// New connections of one address in a second, on average; `None`: any. Default 50.
    pub accepts_per_second: Option<u32>,
    /// New connections of one address at once, before the average counts. Default 200: all clients
    /// of an office come back in one second after its network did.
    pub accept_burst: u32,
    /// Connections from this machine count only towards the total. Default `true`: they all share
    /// one address, and come from proxies, bridges and tests.
    pub exempt_loopback: bool,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            total: None,
            per_address: Some(500),
            accepts_per_second: Some(50),
            accept_burst: 200,
            exempt_loopback: true,
        }
    }
}

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refused {
    /// [`GateLimits::total`].
    Total,
    /// [`GateLimits::per_address`].
    PerAddress,
    /// [`GateLimits::accepts_per_second`].
    TooFast,
}

/// Addresses that have no connection are forgotten when so many are remembered: their buckets are
/// then full again, or soon will be.
const SWEEP_AT: usize = 4096;

/// One address's connections and its bucket, in thousandths of a connection.
#[derive(Debug)]
struct Address {
    open: u32,
    tokens: u64,
    refilled: Instant,
}

/// The addresses that are remembered.
#[derive(Debug)]
struct Addresses {
    by_ip: HashMap<IpAddr, Address>,
    /// How many there are when those without a connection are forgotten.
    sweep_at: usize,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            by_ip: HashMap::new(),
            sweep_at: SWEEP_AT,
        }
    }
}

/// Counts connections and refuses those past the limits. Several listeners may share one.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    open: AtomicUsize,
    refused: AtomicU64,
    addresses: Mutex<Addresses>,
}

impl Gate {
    /// A gate with these limits.
    #[must_use]
    pub fn new(limits: GateLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            addresses: Mutex::default(),
        })
    }

    /// Connections that hold a permit.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Lets one more connection of `peer` in, for as long as the permit lives.
    ///
    /// # Errors
    /// Which limit it is past.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Permit, Refused> {
        self.admit_at(peer, Instant::now()).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn admit_at(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Result<Permit, Refused> {
        let address = counted_as(peer);
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        // From here on dropping it takes the count back.
        let mut permit = Permit {
            gate: Arc::clone(self),
            address: None,
        };
        if self.limits.total.is_some_and(|total| before >= total) {
            return Err(Refused::Total);
        }
        let limited = self.limits.per_address.is_some() || self.limits.accepts_per_second.is_some();
        if limited && !(self.limits.exempt_loopback && address.is_loopback()) {
            self.count(address, now)?;
            permit.address = Some(address);
        }
        Ok(permit)
    }

    fn count(&self, address: IpAddr, now: Instant) -> Result<(), Refused> {
        let mut addresses = self.addresses.lock();
        // Swept again only at twice what was left: with many addresses connected a sweep at each
        // accept would hold everybody up.
        let Addresses {
            by_ip: addresses,
            sweep_at,
        } = &mut *addresses;
        if addresses.len() >= *sweep_at && !addresses.contains_key(&address) {
            addresses.retain(|_, entry| entry.open > 0 || self.tokens(entry, now) < self.full());
            *sweep_at = SWEEP_AT.max(addresses.len() * 2);
        }
        let fresh = Address {
            open: 0,
            tokens: self.full(),
            refilled: now,
        };
        let entry = addresses.entry(address).or_insert(fresh);
        entry.tokens = self.tokens(entry, now);
        entry.refilled = now;
        if self
            .limits
            .per_address
            .is_some_and(|limit| entry.open >= limit)
        {
            return Err(Refused::PerAddress);
        }
        if self.limits.accepts_per_second.is_some() {
            entry.tokens = entry.tokens.checked_sub(1000).ok_or(Refused::TooFast)?;
        }
        entry.open = entry.open.saturating_add(1);
        Ok(())
    }

    fn full(&self) -> u64 {
        u64::from(self.limits.accept_burst.max(1)).saturating_mul(1000)
    }

    /// What is in the bucket at `now`.
    fn tokens(&self, entry: &Address, now: Instant) -> u64 {
        let Some(rate) = self.limits.accepts_per_second else {
            return self.full();
        };
        let passed = now.saturating_duration_since(entry.refilled).as_millis();
        let gained = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(rate));
        entry.tokens.saturating_add(gained).min(self.full())
    }

    fn leave(&self, address: Option<IpAddr>) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = address else { return };
        let addresses = &mut self.addresses.lock().by_ip;
        if let Some(entry) = addresses.get_mut(&address) {
            entry.open = entry.open.saturating_sub(1);
            // Without a rate nothing else is to be remembered.
            if entry.open == 0 && self.limits.accepts_per_second.is_none() {
                addresses.remove(&address);
            }
        }
    }
}

/// A place in a [`Gate`], given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    /// `None` if only the total counts it.
    address: Option<IpAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.leave(self.address);
    }
}

/// The address under which a peer is counted: itself for IPv4 (mapped ones too), the /64 for IPv6.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn gate(limits: GateLimits) -> Arc<Gate> {
        Gate::new(limits)
    }

    fn none() -> GateLimits {
        GateLimits {
            total: None,
            per_address: None,
            accepts_per_second: None,
            accept_burst: 1,
            exempt_loopback: false,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_past_its_limit_is_refused_until_one_of_its_connections_ends() {
        let gate = gate(GateLimits {
            per_address: Some(2),
            ..none()
        });
        let one = gate.admit(ip("192.0.2.1")).unwrap();
        let _two = gate.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(
            gate.admit(ip("192.0.2.1")).unwrap_err(),
            Refused::PerAddress
        );
        let _other = gate.admit(ip("192.0.2.2")).unwrap();
        drop(one);
        assert!(gate.admit(ip("192.0.2.1")).is_ok());
        assert_eq!(gate.refused(), 1);
    }

    #[test]
    fn ipv6_is_counted_by_its_network() {
        let gate = gate(GateLimits {
            per_address: Some(1),
            ..none()
        });
        let _one = gate.admit(ip("2001:db8:0:1::1")).unwrap();
        assert!(gate.admit(ip("2001:db8:0:1:ffff::2")).is_err());
        assert!(gate.admit(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn a_burst_is_let_in_and_then_the_rate_counts() {
        let gate = gate(GateLimits {
            accepts_per_second: Some(10),
            accept_burst: 3,
            ..none()
        });
        let start = Instant::now();
        let peer = ip("192.0.2.1");
        for _ in 0..3 {
            assert!(gate.admit_at(peer, start).is_ok());
        }
        assert_eq!(gate.admit_at(peer, start).unwrap_err(), Refused::TooFast);
        assert!(
            gate.admit_at(peer, start + Duration::from_millis(100))
                .is_ok()
        );
        assert!(
            gate.admit_at(peer, start + Duration::from_millis(150))
                .is_err()
        );
    }

    #[test]
    fn the_total_counts_everyone_and_refusals_give_their_place_back() {
        let gate = gate(GateLimits {
            total: Some(1),
            exempt_loopback: true,
            ..none()
        });
        let one = gate.admit(ip("127.0.0.1")).unwrap();
        assert_eq!(gate.admit(ip("192.0.2.1")).unwrap_err(), Refused::Total);
        drop(one);
        assert_eq!(gate.open(), 0);
        assert!(gate.admit(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn loopback_is_exempt_only_where_the_limits_say_so() {
        let limits = GateLimits {
            per_address: Some(1),
            ..none()
        };
        let strict = gate(limits.clone());
        let _one = strict.admit(ip("127.0.0.1")).unwrap();
        assert!(strict.admit(ip("127.0.0.1")).is_err());
        let lenient = gate(GateLimits {
            exempt_loopback: true,
            ..limits
        });
        let _one = lenient.admit(ip("::1")).unwrap();
        assert!(lenient.admit(ip("::1")).is_ok());
    }

    #[test]
    fn addresses_that_are_gone_are_forgotten() {
        let gate = gate(GateLimits {
            accepts_per_second: Some(1),
            accept_burst: 1,
            ..none()
        });
        let start = Instant::now();
        for index in 0..SWEEP_AT {
            let peer = IpAddr::V4(u32::try_from(index).unwrap().into());
            drop(gate.admit_at(peer, start).unwrap());
        }
        let later = start + Duration::from_secs(5);
        drop(gate.admit_at(ip("192.0.2.1"), later).unwrap());
        assert_eq!(gate.addresses.lock().by_ip.len(), 1);
    }
}
