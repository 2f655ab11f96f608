//! From a host's name to its addresses, in the order in which they are to be tried.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::proto::rr::{RData, RecordType};

use super::{Failure, LookupError, Resolver, ascii, literal};

/// More addresses than a host needs; what a zone can make us try is bounded by it.
const MAX_ADDRESSES: usize = 8;

/// RFC 8305 §3: how long the answer for one family is waited for after the other's has come.
/// DEVIATION: the RFC waits 50 ms, and takes the late answer in when it comes. Here it is lost, so
/// it gets more time; nobody watches a connection between servers being made.
const GRACE: Duration = Duration::from_millis(300);

impl Resolver {
    /// The addresses of a host, which may be an IP address itself: IPv6 and IPv4 in turn
    /// (RFC 8305 §4), at most 8.
    ///
    /// # Errors
    /// The host does not exist, has no address that can be connected to, or nobody answers.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Some(address) = literal(host) {
            return Ok(vec![address]);
        }
        let host = ascii(host)?;
        let found = tokio::time::timeout(self.total, self.ask_addresses(&host)).await;
        found.unwrap_or(Err(LookupError::TimedOut { domain: host }))
    }

    /// [`Resolver::addresses`] for a name in A-labels, without a bound in time.
    pub(super) async fn ask_addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let name = format!("{host}.");
        let (six, four) = both(
            self.family(&name, RecordType::AAAA, host),
            self.family(&name, RecordType::A, host),
        )
        .await;
        let addresses = interleave(six.as_deref(), four.as_deref());
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        let domain = host.to_owned();
        match (six, four) {
            (Err(Failure::Other(error)), _) | (_, Err(Failure::Other(error))) => Err(error),
            (Err(Failure::NoName), _) | (_, Err(Failure::NoName)) => {
                Err(LookupError::NoSuchDomain { domain })
            }
            _ => Err(LookupError::NoAddress { domain }),
        }
    }

    async fn family(
        &self,
        name: &str,
        kind: RecordType,
        host: &str,
    ) -> Result<Vec<IpAddr>, Failure> {
        let answers = self.ask(name, kind, host).await?;
        let addresses = answers.data.iter().filter_map(RData::ip_addr);
        Ok(addresses.collect())
    }
}

/// Waits for both answers, but not long for the second when the first has addresses.
async fn both(
    six: impl Future<Output = Result<Vec<IpAddr>, Failure>>,
    four: impl Future<Output = Result<Vec<IpAddr>, Failure>>,
) -> (Result<Vec<IpAddr>, Failure>, Result<Vec<IpAddr>, Failure>) {
    tokio::pin!(six, four);
    tokio::select! {
        first = &mut six => {
            let second = second(&first, four).await;
            (first, second)
        }
        first = &mut four => {
            let second = second(&first, six).await;
            (second, first)
        }
    }
}

async fn second(
    first: &Result<Vec<IpAddr>, Failure>,
    second: impl Future<Output = Result<Vec<IpAddr>, Failure>>,
) -> Result<Vec<IpAddr>, Failure> {
    let enough = first.as_ref().is_ok_and(|found| !found.is_empty());
    if !enough {
        return second.await;
    }
    let late = tokio::time::timeout(GRACE, second).await;
    late.unwrap_or(Err(Failure::NoRecords))
}

/// IPv6 first, then in turn, without those that name no host.
fn interleave<E>(six: Result<&[IpAddr], E>, four: Result<&[IpAddr], E>) -> Vec<IpAddr> {
    let (mut six, mut four) = (
        six.unwrap_or_default().iter().copied().filter(usable),
        four.unwrap_or_default().iter().copied().filter(usable),
    );
    let mut addresses = Vec::new();
    while addresses.len() < MAX_ADDRESSES {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            break;
        }
        for address in pair.into_iter().flatten() {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

/// The unspecified address would be this machine, which nobody means by it.
fn usable(address: &IpAddr) -> bool {
    !address.is_unspecified()
        && !address.is_multicast()
        && *address != IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn mixed(six: &[&str], four: &[&str]) -> Vec<IpAddr> {
        interleave::<()>(Ok(&of(six)), Ok(&of(four)))
    }

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        assert_eq!(
            mixed(&["::2", "::3"], &["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
            of(&["::2", "192.0.2.1", "::3", "192.0.2.2", "192.0.2.3"])
        );
        assert_eq!(mixed(&[], &["192.0.2.1"]), of(&["192.0.2.1"]));
    }

    #[test]
    fn nobody_makes_us_connect_to_ourselves_or_to_all() {
        assert_eq!(
            mixed(
                &["::", "ff02::1"],
                &["0.0.0.0", "224.0.0.1", "255.255.255.255"]
            ),
            of(&[])
        );
    }

    #[test]
    fn no_more_than_eight_are_kept() {
        let many: Vec<String> = (1..50).map(|n| format!("192.0.2.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(mixed(&["::2", "::3"], &many).len(), 8);
    }

    #[tokio::test]
    async fn a_family_that_is_not_answered_does_not_hold_up_the_other() {
        let four = async { Ok(of(&["192.0.2.1"])) };
        let (six, four) = both(std::future::pending(), four).await;
        assert!(six.is_err());
        assert_eq!(four.ok(), Some(of(&["192.0.2.1"])));
    }

    #[tokio::test]
    async fn an_empty_family_waits_for_the_other() {
        let six = async { Err(Failure::NoRecords) };
        let four = async {
            tokio::task::yield_now().await;
            Ok(of(&["192.0.2.1"]))
        };
        let (_, four) = both(six, four).await;
        assert_eq!(four.ok(), Some(of(&["192.0.2.1"])));
    }
}
