//! What the DNS says of a domain, the records of each kind by themselves, and where they lead.

use std::net::{IpAddr, SocketAddr};

use balcony_net::{Dane, Endpoint, Found, LookupError, Service, SrvRecords};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::probe::{Place, is_out_of_reach};
use super::{Doctor, Finding, whom};

const ASK_AGAIN: &str = "ask again, or another resolver with `--resolver`; when none answers, \
                         the DNS servers of the domain are what is broken";

/// One of the four kinds of SRV record.
#[derive(Clone, Copy, Debug)]
struct Kind<'a> {
    domain: &'a str,
    service: Service,
    direct_tls: bool,
}

impl Kind<'_> {
    fn record(self) -> String {
        let label = self.service.label(self.direct_tls);
        format!("{label}._tcp.{}", self.domain)
    }

    /// What to write into the zone, with a host that is known or a likely one.
    fn example(self, host: Option<&str>) -> String {
        // RFC 6120 §14.7 registers 5222 and 5269. XEP-0368 §7 registers none for direct TLS; these
        // are what Balcony and others listen on.
        let port = self.service.default_port() + u16::from(self.direct_tls);
        let likely = format!("xmpp.{}", self.domain);
        let host = host.unwrap_or(&likely);
        format!("`{}. 86400 IN SRV 5 0 {port} {host}.`", self.record())
    }
}

impl Doctor<'_> {
    /// The DNS of a service, and then each endpoint that it names.
    pub(super) async fn service(&self, service: Service, findings: &mut Vec<Finding>) {
        let domain = &self.options.domain;
        let lookup = match self.resolver.lookup(domain, service).await {
            Ok(lookup) => lookup,
            Err(error) => return findings.push(unfound(domain, service, &error)),
        };
        if lookup.found != Found::Srv {
            findings.push(without_records(domain, service, &lookup));
            for endpoint in &lookup.endpoints {
                self.endpoint(service, endpoint, None, findings).await;
            }
            return;
        }
        // One that works, for an example of one that is missing.
        let host = lookup.endpoints.first().map(|one| one.host.as_str());
        for direct_tls in [false, true] {
            let kind = Kind {
                domain,
                service,
                direct_tls,
            };
            self.kind(kind, host, findings).await;
        }
    }

    async fn kind(&self, kind: Kind<'_>, host: Option<&str>, findings: &mut Vec<Finding>) {
        let (domain, service) = (kind.domain, kind.service);
        let said = self.resolver.srv_records(domain, service, kind.direct_tls);
        let said = said.await;
        let fallback = match said {
            Ok(SrvRecords::Missing) if !kind.direct_tls => self.fallback(service).await,
            _ => Fallback::NotTried,
        };
        findings.push(of_kind(kind, &said, host, fallback));
        let Ok(SrvRecords::Endpoints(endpoints)) = said else {
            return;
        };
        let proven = self.proven(kind).await;
        for endpoint in &endpoints {
            if let Ok(Some(target)) = self.resolver.alias(&endpoint.host).await {
                let note = alias(&endpoint.host, &target);
                // Several records may lead there.
                if !findings.contains(&note) {
                    findings.push(note);
                }
            }
            let same = |one: &&Endpoint| (&one.host, one.port) == (&endpoint.host, endpoint.port);
            let vouched = match proven.iter().find(same) {
                Some(endpoint) => self.validating.dane(endpoint).await.transpose(),
                None => None,
            };
            self.endpoint(service, endpoint, vouched, findings).await;
        }
    }

    /// The endpoints with what DNSSEC proves of them (RFC 7673 §3.1). For servers only: hardly any
    /// client asks for it, so that it does not help those who cannot believe the certificate.
    async fn proven(&self, kind: Kind<'_>) -> Vec<Endpoint> {
        if kind.service == Service::Client {
            return Vec::new();
        }
        let resolver = &self.validating;
        let asked = resolver.srv_records(kind.domain, kind.service, kind.direct_tls);
        match asked.await {
            Ok(SrvRecords::Endpoints(endpoints)) => endpoints,
            _ => Vec::new(),
        }
    }

    /// RFC 6120 §3.2.2: where those go who look for no other record than the missing one.
    async fn fallback(&self, service: Service) -> Fallback {
        let addresses = match self.addresses(&self.options.domain).await {
            Ok(addresses) => addresses,
            Err(error) if error.is_temporary() => return Fallback::Unknown,
            Err(_) => return Fallback::Closed,
        };
        for address in addresses {
            let connecting = TcpStream::connect((address, service.default_port()));
            match timeout(self.options.within, connecting).await {
                Ok(Ok(_)) => return Fallback::Open,
                Ok(Err(error)) if is_out_of_reach(&error) => return Fallback::Unknown,
                _ => {}
            }
        }
        Fallback::Closed
    }

    async fn endpoint(
        &self,
        service: Service,
        endpoint: &Endpoint,
        vouched: Option<Result<Dane, LookupError>>,
        findings: &mut Vec<Finding>,
    ) {
        let addresses = match self.addresses(&endpoint.host).await {
            Ok(addresses) => addresses,
            Err(error) if error.is_temporary() => {
                return findings.push(Finding::fault(error.to_string(), ASK_AGAIN));
            }
            Err(error) => {
                let advice = format!(
                    "give {} an A or AAAA record, or lead to another host that has one",
                    endpoint.host
                );
                return findings.push(Finding::fault(error.to_string(), advice));
            }
        };
        for address in addresses {
            let address = SocketAddr::new(address, endpoint.port);
            let place = Place {
                service,
                address,
                direct_tls: endpoint.direct_tls,
                vouched: vouched.as_ref(),
            };
            self.probe(place, findings).await;
        }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        self.resolver.addresses(host).await
    }
}

/// What is at the domain itself, on the default port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fallback {
    /// There are records, or none of those who look for them falls back.
    NotTried,
    /// Somebody takes connections.
    Open,
    /// Nobody does.
    Closed,
    /// It cannot be told from here.
    Unknown,
}

/// There is no way to the service.
fn unfound(domain: &str, service: Service, error: &LookupError) -> Finding {
    let whom = whom(service);
    match error {
        LookupError::NotOffered { .. } => Finding::note(
            format!("{whom}: DNS says that the service is not offered"),
            "nothing, if that is on purpose; else replace the record with the target `.`",
        ),
        error if error.is_temporary() => Finding::fault(format!("{whom}: {error}"), ASK_AGAIN),
        error => {
            let kind = Kind {
                domain,
                service,
                direct_tls: false,
            };
            let advice = format!(
                "put {} into DNS, and an A or AAAA record for xmpp.{domain}",
                kind.example(None)
            );
            Finding::fault(format!("{whom}: {error}"), advice)
        }
    }
}

/// The service is found without SRV records.
fn without_records(domain: &str, service: Service, lookup: &balcony_net::Lookup) -> Finding {
    let (whom, there) = (whom(service), told(&lookup.endpoints));
    if lookup.found == Found::Address {
        return Finding::good(format!("{whom} go to {there}"));
    }
    let kind = Kind {
        domain,
        service,
        direct_tls: false,
    };
    Finding::note(
        format!("{whom} find no SRV record and try {there}"),
        format!(
            "add {}; then the server can be anywhere",
            kind.example(None)
        ),
    )
}

/// What the records of one kind mean, where at least one of the two leads somewhere, as to `host`.
fn of_kind(
    kind: Kind<'_>,
    said: &Result<SrvRecords, LookupError>,
    host: Option<&str>,
    fallback: Fallback,
) -> Finding {
    let (whom, record) = (whom(kind.service), kind.record());
    let example = kind.example(host);
    match (said, kind.direct_tls) {
        (Ok(SrvRecords::Endpoints(endpoints)), _) => {
            Finding::good(format!("{whom} find {} by {record}", told(endpoints)))
        }
        // XEP-0368 §5: a dot here is about direct TLS only.
        (Ok(SrvRecords::NotOffered), true) => Finding::good(format!(
            "{whom} do not try direct TLS: {record} says that there is none"
        )),
        (Ok(SrvRecords::Missing), true) => Finding::note(
            format!("{whom} do not try direct TLS: there is no record {record}"),
            format!("when the server listens for it, add {example}"),
        ),
        (Ok(SrvRecords::NotOffered), false) => Finding::note(
            format!("{whom} that do not know direct TLS stay away: {record} says so"),
            format!("nothing, if that is on purpose; else replace it by {example}"),
        ),
        (Ok(SrvRecords::Missing), false) => {
            let what = format!("{whom} that do not know direct TLS find no record {record}");
            let there = format!("try {} port {}", kind.domain, kind.service.default_port());
            let advice =
                format!("add {example}, or one with the target `.` if they are to stay away");
            match fallback {
                Fallback::Closed => Finding::fault(format!("{what} and {there}, in vain"), advice),
                _ => Finding::note(format!("{what} and {there}"), advice),
            }
        }
        (Err(error), _) => Finding::fault(format!("{whom}: {record}: {error}"), ASK_AGAIN),
    }
}

/// RFC 2782 "Target": the name must not be an alias. Most resolvers follow it all the same.
fn alias(host: &str, target: &str) -> Finding {
    Finding::note(
        format!("{host}, which SRV records name, is an alias (CNAME) of {target}"),
        format!(
            "name {target} in the SRV records, or give {host} an A or AAAA record instead of the \
             CNAME: RFC 2782 forbids an alias, and not everybody follows it"
        ),
    )
}

fn told(endpoints: &[Endpoint]) -> String {
    let told = endpoints.iter().map(|endpoint| {
        let tls = match endpoint.direct_tls {
            true => ", direct TLS",
            false => "",
        };
        format!("{} port {}{tls}", endpoint.host, endpoint.port)
    });
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    const HOST: Option<&str> = Some("host.example");

    fn kind(service: Service, direct_tls: bool) -> Kind<'static> {
        Kind {
            domain: "verona.example",
            service,
            direct_tls,
        }
    }

    fn endpoints(direct_tls: bool) -> SrvRecords {
        let endpoint = |port| Endpoint {
            host: "host.example".to_owned(),
            port,
            direct_tls,
            priority: 0,
            validated: false,
        };
        SrvRecords::Endpoints(vec![endpoint(5222), endpoint(443)])
    }

    fn check(finding: &Finding, state: State, words: &[&str]) {
        assert_eq!(finding.state, state, "{finding}");
        let text = finding.to_string();
        for word in words {
            assert!(text.contains(word), "no {word:?} in {text}");
        }
    }

    #[test]
    fn each_kind_of_record_is_told_by_its_name() {
        let of = |direct, said| of_kind(kind(Service::Client, direct), &said, HOST, Fallback::Open);
        check(
            &of(false, Ok(endpoints(false))),
            State::Good,
            &[
                "clients find host.example port 5222; host.example port 443 by \
               _xmpp-client._tcp.verona.example",
            ],
        );
        check(
            &of(true, Ok(endpoints(true))),
            State::Good,
            &["port 443, direct TLS by _xmpps-client._tcp.verona.example"],
        );
    }

    #[test]
    fn direct_tls_may_be_missing_or_refused() {
        let of = |said| {
            let kind = kind(Service::Server, true);
            of_kind(kind, &Ok(said), HOST, Fallback::NotTried)
        };
        check(
            &of(SrvRecords::Missing),
            State::Note,
            &["`_xmpps-server._tcp.verona.example. 86400 IN SRV 5 0 5270 host.example.`"],
        );
        check(&of(SrvRecords::NotOffered), State::Good, &["there is none"]);
    }

    #[test]
    fn without_starttls_some_fall_back_and_may_get_through() {
        let of = |said, fallback| {
            let kind = kind(Service::Server, false);
            of_kind(kind, &Ok(said), HOST, fallback)
        };
        let example = "`_xmpp-server._tcp.verona.example. 86400 IN SRV 5 0 5269 host.example.`";
        let tried = ["try verona.example port 5269", example];
        for fallback in [Fallback::Open, Fallback::Unknown] {
            check(&of(SrvRecords::Missing, fallback), State::Note, &tried);
        }
        let closed = of(SrvRecords::Missing, Fallback::Closed);
        check(&closed, State::Fault, &tried);
        check(&closed, State::Fault, &["in vain"]);
        let refused = of(SrvRecords::NotOffered, Fallback::NotTried);
        check(&refused, State::Note, &["on purpose", example]);
    }

    #[test]
    fn a_kind_that_cannot_be_asked_for_is_a_fault() {
        let error = LookupError::TimedOut {
            domain: "verona.example".to_owned(),
        };
        for direct in [false, true] {
            let kind = kind(Service::Server, direct);
            let finding = of_kind(kind, &Err(error.clone()), HOST, Fallback::NotTried);
            check(&finding, State::Fault, &[&kind.record(), "--resolver"]);
        }
    }

    #[test]
    fn no_way_at_all_is_a_fault_unless_it_is_on_purpose() {
        let domain = || "verona.example".to_owned();
        let of = |error| unfound("verona.example", Service::Client, &error);
        let refused = of(LookupError::NotOffered { domain: domain() });
        check(&refused, State::Note, &["not offered"]);
        let nowhere = of(LookupError::NoSuchDomain { domain: domain() });
        check(
            &nowhere,
            State::Fault,
            &["IN SRV 5 0 5222 xmpp.verona.example."],
        );
        let silent = of(LookupError::TimedOut { domain: domain() });
        check(&silent, State::Fault, &["--resolver"]);
        assert!(!silent.to_string().contains("IN SRV"));
    }

    #[test]
    fn an_alias_works_for_most() {
        let note = alias("xmpp.verona.example", "host.example");
        check(
            &note,
            State::Note,
            &["CNAME", "name host.example in the SRV"],
        );
    }
}
