//! RFC 6698, RFC 7671 and RFC 7673: a certificate that the DNS vouches for.

use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256, Sha512};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Distrust, PeerCertificate};
use crate::dns::{Dane, Service, Tlsa};
use crate::peer::Roots;

/// RFC 7218 §2.1 names the numbers.
const PKIX_TA: u8 = 0;
const PKIX_EE: u8 = 1;
const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;
const WHOLE: u8 = 0;
const PUBLIC_KEY: u8 = 1;
const EXACT: u8 = 0;
const SHA2_256: u8 = 1;
const SHA2_512: u8 = 2;

impl Tlsa {
    /// RFC 6698 §4.1: whether anything can match it. A digest of the wrong length, or a number that
    /// nobody has defined, makes a record as good as none.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let long_enough = match self.matching {
            EXACT => !self.data.is_empty(),
            SHA2_256 => self.data.len() == 32,
            SHA2_512 => self.data.len() == 64,
            _ => false,
        };
        long_enough && self.usage <= DANE_EE && self.selector <= PUBLIC_KEY
    }

    /// RFC 6698 §2.1.2 and §2.1.3: whether this certificate, in DER, or its public key is meant.
    #[must_use]
    pub fn matches(&self, certificate: &[u8]) -> bool {
        let key;
        let selected = match self.selector {
            WHOLE => certificate,
            PUBLIC_KEY => match X509Certificate::from_der(certificate) {
                Ok((_, parsed)) => {
                    key = parsed;
                    key.public_key().raw
                }
                Err(_) => return false,
            },
            _ => return false,
        };
        match self.matching {
            EXACT => selected == self.data,
            SHA2_256 => Sha256::digest(selected).as_slice() == self.data,
            SHA2_512 => Sha512::digest(selected).as_slice() == self.data,
            _ => false,
        }
    }
}

impl PeerCertificate {
    /// [`PeerCertificate::proves`] for a peer that we connected to at an endpoint which DNSSEC
    /// proves to be the domain's ([`crate::Resolver::dane`]). Usable TLSA records decide; where
    /// there are none, the roots do.
    ///
    /// # Errors
    /// Why it does not.
    pub fn proves_with(
        &self,
        domain: &str,
        dane: &Dane,
        now: SystemTime,
        roots: &Roots,
    ) -> Result<(), Distrust> {
        // RFC 7673 §4.1: the name of the host is as good as the domain's, since the DNS proves
        // that one leads to the other.
        let names = [domain, &dane.host];
        let mut usable = dane.records.iter().filter(|record| record.is_usable());
        let Some(first) = usable.next() else {
            return self.proves_one_of(&names, Service::Server, now, &roots.store);
        };
        let mut reason = Distrust::NotInDns {
            host: dane.host.clone(),
        };
        // RFC 6698 §2.1: one that is met suffices.
        for record in std::iter::once(first).chain(usable) {
            match self.meets(record, &names, now, roots) {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => reason = error,
                None => {}
            }
        }
        Err(reason)
    }

    /// `None` if the record is about other certificates.
    fn meets(
        &self,
        record: &Tlsa,
        names: &[&str],
        now: SystemTime,
        roots: &Roots,
    ) -> Option<Result<(), Distrust>> {
        let (first, issuers) = self.chain.split_first()?;
        match record.usage {
            // RFC 7671 §5.1: neither names nor dates matter.
            DANE_EE => record.matches(first).then_some(Ok(())),
            // RFC 7671 §5.3: as without DANE, and this certificate.
            PKIX_EE => {
                let meant = record.matches(first);
                meant.then(|| self.proves_one_of(names, Service::Server, now, &roots.store))
            }
            // RFC 7671 §5.2: the issuer is the root.
            DANE_TA => {
                let store = anchors(record, issuers)?;
                Some(self.proves_one_of(names, Service::Server, now, &store))
            }
            // RFC 7671 §5.4: a trusted chain that this issuer is part of.
            // DEVIATION: roots that the peer does not send are not compared, as the TLS library
            // does not tell which one a chain has led to.
            PKIX_TA => {
                let store = anchors(record, issuers)?;
                let both = [&*roots.store, &store];
                let mut proofs = both.into_iter();
                Some(
                    proofs.try_for_each(|roots| {
                        self.proves_one_of(names, Service::Server, now, roots)
                    }),
                )
            }
            _ => None,
        }
    }
}

/// The issuers that a record means, as roots; `None` if it means none of them.
fn anchors(record: &Tlsa, issuers: &[CertificateDer<'static>]) -> Option<RootCertStore> {
    let mut store = RootCertStore::empty();
    let meant = issuers.iter().filter(|issuer| record.matches(issuer));
    store.add_parsable_certificates(meant.cloned());
    // RFC 7671 §5.2.2: a certificate that stands in the DNS need not be shown.
    if (record.selector, record.matching) == (WHOLE, EXACT) {
        store.add_parsable_certificates([CertificateDer::from(record.data.clone())]);
    }
    (!store.is_empty()).then_some(store)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Authority, dns};
    use super::*;
    use rcgen::date_time_ymd;

    fn record(usage: u8, selector: u8, matching: u8, certificate: &[u8]) -> Tlsa {
        let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
        let selected = match selector {
            0 => certificate,
            _ => parsed.public_key().raw,
        };
        let data = match matching {
            0 => selected.to_vec(),
            1 => Sha256::digest(selected).to_vec(),
            _ => Sha512::digest(selected).to_vec(),
        };
        Tlsa {
            usage,
            selector,
            matching,
            data,
        }
    }

    fn check(
        chain: &[&CertificateDer<'static>],
        records: Vec<Tlsa>,
        roots: &Roots,
    ) -> Result<(), Distrust> {
        let dane = Dane {
            host: "host.example".to_owned(),
            records,
        };
        PeerCertificate::new(chain.iter().copied().cloned()).proves_with(
            "example.org",
            &dane,
            SystemTime::now(),
            roots,
        )
    }

    fn not_in_dns() -> Result<(), Distrust> {
        Err(Distrust::NotInDns {
            host: "host.example".to_owned(),
        })
    }

    #[test]
    fn each_selector_and_matching_type_means_its_certificate_only() {
        let authority = Authority::root("root");
        let (one, other) = (
            authority.issue(dns(&["a.example"])),
            authority.issue(dns(&["a.example"])),
        );
        for selector in 0..=1 {
            for matching in 0..=2 {
                let record = record(3, selector, matching, &one);
                assert!(record.is_usable());
                assert!(record.matches(&one), "{selector} {matching}");
                assert!(!record.matches(&other), "{selector} {matching}");
            }
        }
    }

    #[test]
    fn what_nobody_has_defined_is_not_usable() {
        let good = Tlsa {
            usage: 3,
            selector: 1,
            matching: 1,
            data: vec![0; 32],
        };
        assert!(good.is_usable());
        for (usage, selector, matching, length) in [
            (4, 1, 1, 32),
            (255, 1, 1, 32),
            (3, 2, 1, 32),
            (3, 1, 3, 32),
            (3, 1, 1, 31),
            (3, 1, 2, 32),
            (3, 1, 0, 0),
        ] {
            let bad = Tlsa {
                usage,
                selector,
                matching,
                data: vec![0; length],
            };
            assert!(!bad.is_usable(), "{bad:?}");
        }
    }

    #[test]
    fn an_end_entity_in_the_dns_needs_neither_issuer_nor_name_nor_date() {
        let stranger = Authority::root("stranger");
        let leaf = stranger.issue(|params| params.not_after = date_time_ymd(2001, 1, 1));
        let roots = Roots::none();
        assert_eq!(
            check(&[&leaf], vec![record(3, 1, 1, &leaf)], &roots),
            Ok(())
        );
        let other = stranger.issue(dns(&["example.org"]));
        let records = vec![record(3, 1, 1, &leaf)];
        assert_eq!(check(&[&other], records, &roots), not_in_dns());
    }

    #[test]
    fn a_trusted_chain_does_not_help_against_a_record_that_says_otherwise() {
        let authority = Authority::root("root");
        let leaf = authority.issue(dns(&["example.org"]));
        let other = authority.issue(dns(&["example.org"]));
        let records = vec![record(3, 0, 2, &other)];
        assert_eq!(check(&[&leaf], records, &authority.roots()), not_in_dns());
    }

    #[test]
    fn a_constrained_end_entity_needs_both() {
        let authority = Authority::root("root");
        let leaf = authority.issue(dns(&["example.org"]));
        let records = || vec![record(1, 1, 1, &leaf)];
        assert_eq!(check(&[&leaf], records(), &authority.roots()), Ok(()));
        assert!(matches!(
            check(&[&leaf], records(), &Roots::none()),
            Err(Distrust::MissingIssuer { .. })
        ));
    }

    #[test]
    fn an_issuer_in_the_dns_is_a_root_for_this_host() {
        let authority = Authority::root("private root");
        let leaf = authority.issue(dns(&["host.example"]));
        let whole = [&leaf, &authority.certificate];
        for (selector, matching) in [(0, 1), (1, 2), (1, 0), (0, 0)] {
            let records = vec![record(2, selector, matching, &authority.certificate)];
            assert_eq!(check(&whole, records, &Roots::none()), Ok(()));
        }
        // It need not be shown when it stands in the DNS as a whole.
        let records = |matching| vec![record(2, 0, matching, &authority.certificate)];
        assert_eq!(check(&[&leaf], records(0), &Roots::none()), Ok(()));
        assert_eq!(check(&[&leaf], records(1), &Roots::none()), not_in_dns());
        let misnamed = authority.issue(dns(&["other.example"]));
        let chain = [&misnamed, &authority.certificate];
        assert!(matches!(
            check(&chain, records(1), &Roots::none()),
            Err(Distrust::WrongName { .. })
        ));
    }

    #[test]
    fn a_constrained_issuer_has_to_be_in_a_trusted_chain() {
        let root = Authority::root("root");
        let (middle, other) = (root.below("middle"), root.below("other"));
        let leaf = middle.issue(dns(&["example.org"]));
        let chain = [&leaf, &middle.certificate, &other.certificate];
        let records = |issuer: &Authority| vec![record(0, 0, 1, &issuer.certificate)];
        assert_eq!(check(&chain, records(&middle), &root.roots()), Ok(()));
        assert!(check(&chain, records(&middle), &Roots::none()).is_err());
        assert!(check(&chain, records(&other), &root.roots()).is_err());
    }

    #[test]
    fn without_usable_records_the_roots_decide_for_either_name() {
        let authority = Authority::root("root");
        let unusable = Tlsa {
            usage: 9,
            selector: 0,
            matching: 0,
            data: vec![1],
        };
        for name in ["example.org", "host.example"] {
            let leaf = authority.issue(dns(&[name]));
            let records = vec![unusable.clone()];
            assert_eq!(check(&[&leaf], records, &authority.roots()), Ok(()));
            assert!(check(&[&leaf], Vec::new(), &Roots::none()).is_err());
        }
    }

    #[test]
    fn one_record_that_is_met_suffices() {
        let authority = Authority::root("root");
        let (old, new) = (authority.issue(|_| {}), authority.issue(|_| {}));
        let records = vec![record(3, 1, 1, &old), record(3, 1, 1, &new)];
        assert_eq!(check(&[&new], records, &Roots::none()), Ok(()));
    }
}
