//! What a certificate is worth to those who come to the domain.

use std::time::SystemTime;

use balcony_net::{Dane, Distrust, PeerCertificate, Roots, Service};

use super::Finding;

/// Days before its end at which a certificate should have been renewed: authorities that give
/// certificates for three months renew after two.
const RENEW_DAYS: i64 = 14;

/// What is known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// To those who trust the authorities.
    by_roots: Result<(), Distrust>,
    /// To those who also ask the DNS (RFC 7673), where DNSSEC proves what it says.
    by_dns: Option<Result<(), Distrust>>,
    /// Until its end.
    days: i64,
}

impl Judged {
    pub(super) fn new(
        certificate: &PeerCertificate,
        domain: &str,
        service: Service,
        dane: Option<&Dane>,
        now: SystemTime,
        roots: &Roots,
    ) -> Judged {
        // RFC 6120 §13.7.1.2.1: whoever comes as a client looks for another name in it.
        let by_roots = match service {
            Service::Server => certificate.proves(domain, now, roots),
            Service::Client => certificate.proves_to_clients(domain, now, roots),
        };
        let seconds = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let days = certificate.facts().map_or(0, |facts| {
            (facts.not_after - i64::try_from(seconds).unwrap_or(i64::MAX)) / 86_400
        });
        Judged {
            by_roots,
            by_dns: dane.map(|dane| certificate.proves_with(domain, dane, now, roots)),
            days,
        }
    }

    /// `at` is where it was shown.
    pub(super) fn finding(&self, at: &str, domain: &str, service: Service) -> Finding {
        match (&self.by_roots, &self.by_dns) {
            (Err(distrust), Some(Ok(()))) => Finding::note(
                format!("{at}: {distrust}; it is valid for servers that check DANE only"),
                format!(
                    "get a certificate for {domain} from an authority, if others are to believe \
                     it too"
                ),
            ),
            (Err(distrust), _) => Finding::fault(
                format!("{at}: {distrust}"),
                remedy(distrust, domain, service),
            ),
            // RFC 7673 §4.2: usable TLSA records decide, whatever the authorities say.
            (Ok(()), Some(Err(distrust))) => Finding::fault(
                format!("{at}: {distrust}, so servers that check DANE do not connect"),
                "put a TLSA record for this certificate into DNS, or take the old ones out; a new \
                 certificate needs its record before it is used",
            ),
            (Ok(()), _) => self.valid(at, domain),
        }
    }

    fn valid(&self, at: &str, domain: &str) -> Finding {
        let days = self.days;
        let what = format!("{at}: the certificate is valid for {domain}, {days} days more");
        match days < RENEW_DAYS {
            true => Finding::note(
                what,
                "renew it, and look why that has not happened by itself",
            ),
            false => Finding::good(what),
        }
    }
}

/// What to do about a certificate that is not believed.
fn remedy(distrust: &Distrust, domain: &str, service: Service) -> String {
    match distrust {
        Distrust::MissingIssuer { issuer } => format!(
            "let the server send the whole chain: the certificate of {issuer:?} has to follow in \
             the same file; only if that is an authority of your own, get a certificate for \
             {domain} from one that others trust"
        ),
        Distrust::WrongName { .. } => format!(
            "get a certificate for {domain}: one with this DNS name, or with the SRV name \
             {}.{domain}",
            service.label(false)
        ),
        _ => format!("get a certificate for {domain} from an authority, with its whole chain"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn judged(by_roots: Result<(), Distrust>, by_dns: Option<Result<(), Distrust>>) -> Judged {
        Judged {
            by_roots,
            by_dns,
            days: 60,
        }
    }

    fn finding(judged: &Judged) -> Finding {
        judged.finding("servers", "verona.example", Service::Server)
    }

    fn not_in_dns() -> Distrust {
        Distrust::NotInDns {
            host: "host.example".to_owned(),
        }
    }

    #[test]
    fn dane_alone_is_no_fault() {
        let found = finding(&judged(Err(Distrust::SelfSigned), Some(Ok(()))));
        assert_eq!(found.state, State::Note);
        assert!(found.what.contains("self-signed"), "{found}");
        assert!(
            found.what.contains("servers that check DANE only"),
            "{found}"
        );
    }

    #[test]
    fn a_certificate_that_the_dns_contradicts_is_a_fault_whoever_issued_it() {
        let found = finding(&judged(Ok(()), Some(Err(not_in_dns()))));
        assert_eq!(found.state, State::Fault);
        assert!(found.to_string().contains("TLSA"), "{found}");
        for by_dns in [None, Some(Err(not_in_dns()))] {
            let found = finding(&judged(Err(Distrust::SelfSigned), by_dns));
            assert_eq!(found.state, State::Fault);
        }
    }

    #[test]
    fn a_certificate_that_ends_soon_is_worth_a_note() {
        for (days, state) in [(13, State::Note), (14, State::Good)] {
            let valid = Judged {
                days,
                ..judged(Ok(()), Some(Ok(())))
            };
            assert_eq!(finding(&valid).state, state);
        }
    }

    #[test]
    fn a_chain_with_a_gap_is_told_from_one_that_nobody_trusts() {
        let issuer = "CN=Middle".to_owned();
        let gap = finding(&judged(
            Err(Distrust::MissingIssuer {
                issuer: issuer.clone(),
            }),
            None,
        ));
        assert!(gap.to_string().contains("send the whole chain"), "{gap}");
        let unknown = finding(&judged(Err(Distrust::UnknownIssuer { issuer }), None));
        assert!(
            unknown.to_string().contains("from an authority"),
            "{unknown}"
        );
        assert_eq!((gap.state, unknown.state), (State::Fault, State::Fault));
    }

    #[test]
    fn the_name_that_is_wanted_is_that_of_the_service() {
        let wrong = judged(
            Err(Distrust::WrongName {
                wanted: "verona.example".to_owned(),
                names: vec!["_xmpp-server.verona.example".to_owned()],
            }),
            None,
        );
        let found = wrong.finding("clients", "verona.example", Service::Client);
        let advice = found.advice.unwrap();
        assert!(advice.contains("_xmpp-client.verona.example"), "{advice}");
    }
}
