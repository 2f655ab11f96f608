//! RFC 6120 §13.7.1.2: for which domains a certificate of a server is.

use std::fmt;
use std::net::IpAddr;

use x509_parser::der_parser::asn1_rs::{Any, FromDer as _, Tag};
use x509_parser::prelude::{GeneralName, X509Certificate};

use crate::certificates::ascii;
use crate::dns::Service;

/// id-on-dnsSRV (RFC 4985 §2).
const SRV_NAME: &str = "1.3.6.1.5.5.7.8.7";
/// id-on-xmppAddr (RFC 6120 §13.7.1.4).
const XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";

/// One of the names in a certificate's subjectAltName. The common name is none of them, whatever it
/// says (RFC 6125 §6.4.4 lets it be a last resort, which no issuer has needed for long).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// DNS-ID.
    Dns(String),
    /// SRV-ID: service, with its underscore, and domain.
    Srv(String, String),
    /// XmppAddr.
    Xmpp(String),
    /// iPAddress, for domains that are addresses.
    Address(IpAddr),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "{name}"),
            Self::Srv(service, domain) => write!(f, "{service}.{domain}"),
            Self::Xmpp(address) => write!(f, "xmpp:{address}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl Name {
    /// Whether this is the name of the server of a domain, which is in A-labels, for those who come
    /// to it for this service.
    pub(super) fn is_for(&self, domain: &str, service: Service) -> bool {
        match self {
            Self::Dns(name) => matches(name, domain),
            // RFC 6125 §6.5.1: an SRV-ID is for one service. XEP-0368 §3: direct TLS has no other
            // rules, so that there is no `_xmpps-…` in certificates.
            Self::Srv(for_whom, name) => {
                for_whom.eq_ignore_ascii_case(service.label(false)) && matches(name, domain)
            }
            // RFC 6120 §13.7.1.2.1 encourages clients to know it and requires it of none; most do
            // not.
            Self::Xmpp(_) if service == Service::Client => false,
            // A domainpart alone: an address with a localpart is a person's. No wildcards: RFC 6120
            // §13.7.1.4 knows none.
            Self::Xmpp(address) => !address.contains(['@', '/', '*']) && ascii(address) == domain,
            Self::Address(address) => {
                let bare = domain.trim_start_matches('[').trim_end_matches(']');
                bare.parse() == Ok(*address)
            }
        }
    }
}

/// RFC 6125 §6.4.1 and §6.4.3: label by label without regard to case; `*` stands for the whole of
/// the left-most label and for nothing else.
fn matches(presented: &str, domain: &str) -> bool {
    // A name in the DNS is never an address.
    if domain.parse::<IpAddr>().is_ok() {
        return false;
    }
    match presented.strip_prefix("*.") {
        Some(parent) => {
            let labels = domain.split_once('.');
            !parent.contains('*') && labels.is_some_and(|(_, rest)| rest == ascii(parent))
        }
        None => !presented.contains('*') && ascii(presented) == domain,
    }
}

/// The names of a certificate; none if it has no subjectAltName that can be read.
pub(super) fn of(certificate: &X509Certificate<'_>) -> Vec<Name> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names.filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<Name> {
    match name {
        GeneralName::DNSName(name) => Some(Name::Dns((*name).to_owned())),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(Name::Address)
        }
        GeneralName::OtherName(kind, value) => match kind.to_id_string().as_str() {
            // RFC 4985 §2: `_Service.Name`.
            SRV_NAME => {
                let text = text(value, Tag::Ia5String)?;
                let (service, domain) = text.split_once('.')?;
                Some(Name::Srv(service.to_owned(), domain.to_owned()))
            }
            XMPP_ADDR => Some(Name::Xmpp(text(value, Tag::Utf8String)?)),
            _ => None,
        },
        _ => None,
    }
}

/// The text of an otherName: `[0] EXPLICIT` around a string of this kind (RFC 5280 §4.2.1.6).
fn text(value: &[u8], tag: Tag) -> Option<String> {
    let (_, outer) = Any::from_der(value).ok()?;
    let (_, inner) = Any::from_der(outer.data).ok()?;
    if inner.tag() != tag {
        return None;
    }
    String::from_utf8(inner.data.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Name {
        fn is_for_servers(&self, domain: &str) -> bool {
            self.is_for(domain, Service::Server)
        }
    }

    fn dns(name: &str) -> Name {
        Name::Dns(name.to_owned())
    }

    fn srv(name: &str) -> Name {
        Name::Srv("_xmpp-server".to_owned(), name.to_owned())
    }

    #[test]
    fn a_dns_id_is_compared_without_regard_to_case_and_as_a_labels() {
        assert!(dns("IM.Example.ORG").is_for_servers("im.example.org"));
        assert!(dns("bücher.example").is_for_servers("xn--bcher-kva.example"));
        assert!(!dns("example.org").is_for_servers("im.example.org"));
        assert!(!dns("im.example.org").is_for_servers("example.org"));
        assert!(!dns("example.org.evil.test").is_for_servers("example.org"));
    }

    #[test]
    fn a_wildcard_is_the_whole_left_most_label() {
        for name in [dns("*.example.org"), srv("*.example.org")] {
            assert!(name.is_for_servers("im.example.org"), "{name}");
            assert!(!name.is_for_servers("example.org"), "{name}");
            assert!(!name.is_for_servers("a.im.example.org"), "{name}");
            assert!(!name.is_for_servers("imexample.org"), "{name}");
        }
        for bad in [
            "i*.example.org",
            "*m.example.org",
            "im.*.org",
            "*.*.org",
            "*",
        ] {
            assert!(!dns(bad).is_for_servers("im.example.org"), "{bad}");
            assert!(!srv(bad).is_for_servers("im.example.org"), "{bad}");
        }
        assert!(!dns("*").is_for_servers("localhost"));
    }

    #[test]
    fn an_srv_id_is_for_its_service_only() {
        assert!(srv("example.org").is_for_servers("example.org"));
        assert!(!srv("example.org").is_for("example.org", Service::Client));
        let client = Name::Srv("_XMPP-Client".to_owned(), "example.org".to_owned());
        assert!(client.is_for("example.org", Service::Client));
        assert!(!client.is_for_servers("example.org"));
    }

    #[test]
    fn an_xmpp_address_is_a_domainpart_alone() {
        let xmpp = |address: &str| Name::Xmpp(address.to_owned());
        assert!(xmpp("example.org").is_for_servers("example.org"));
        assert!(xmpp("Bücher.example").is_for_servers("xn--bcher-kva.example"));
        assert!(!xmpp("juliet@example.org").is_for_servers("example.org"));
        assert!(!xmpp("example.org/server").is_for_servers("example.org"));
        assert!(!xmpp("*.example.org").is_for_servers("im.example.org"));
        assert!(!xmpp("example.org").is_for("example.org", Service::Client));
    }

    #[test]
    fn an_address_is_no_dns_name() {
        let address = Name::Address("::1".parse().unwrap());
        assert!(address.is_for_servers("[::1]"));
        assert!(!address.is_for_servers("[::2]"));
        assert!(!dns("127.0.0.1").is_for_servers("127.0.0.1"));
        assert!(!dns("*.0.0.1").is_for_servers("127.0.0.1"));
    }
}
