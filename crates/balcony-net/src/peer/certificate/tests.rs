//! What certificates prove, with issuers made here.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, OtherNameValue, SanType, date_time_ymd,
};

use super::*;

/// An issuer with its certificate.
pub(super) struct Authority {
    pub(super) certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn issuing(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Authority {
    pub(super) fn root(name: &str) -> Self {
        let (params, key) = (issuing(name), KeyPair::generate().unwrap());
        Self {
            certificate: params.self_signed(&key).unwrap().der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(super) fn below(&self, name: &str) -> Self {
        let (params, key) = (issuing(name), KeyPair::generate().unwrap());
        Self {
            certificate: params.signed_by(&key, &self.issuer).unwrap().der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(super) fn issue(
        &self,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> CertificateDer<'static> {
        let mut params = named("a server");
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().clone()
    }

    pub(super) fn roots(&self) -> Roots {
        let mut store = RootCertStore::empty();
        store.add(self.certificate.clone()).unwrap();
        Roots::from(store)
    }
}

pub(super) fn dns(names: &[&str]) -> impl FnOnce(&mut CertificateParams) {
    let names = names
        .iter()
        .map(|name| SanType::DnsName((*name).try_into().unwrap()))
        .collect();
    move |params| params.subject_alt_names = names
}

/// A subjectAltName with one SRVName, which the library cannot write.
fn srv(name: &str) -> impl FnOnce(&mut CertificateParams) {
    let wrap = |tag: u8, content: &[u8]| {
        let mut der = vec![tag, u8::try_from(content.len()).unwrap()];
        der.extend_from_slice(content);
        der
    };
    let kind = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 8, 7];
    let text = wrap(0xa0, &wrap(0x16, name.as_bytes()));
    let names = wrap(0x30, &wrap(0xa0, &[&kind[..], &text].concat()));
    move |params| {
        let extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
        params.custom_extensions.push(extension);
    }
}

fn xmpp(address: &str) -> impl FnOnce(&mut CertificateParams) {
    let name = OtherNameValue::Utf8String(address.to_owned());
    let name = SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], name));
    move |params| params.subject_alt_names = vec![name]
}

fn proves(chain: &[&CertificateDer<'static>], domain: &str, roots: &Roots) -> Result<(), Distrust> {
    let chain = PeerCertificate::new(chain.iter().copied().cloned());
    chain.proves(domain, SystemTime::now(), roots)
}

/// A certificate of a trusted issuer for one domain, or not.
fn check(edit: impl FnOnce(&mut CertificateParams), domain: &str) -> Result<(), Distrust> {
    let authority = Authority::root("root");
    proves(&[&authority.issue(edit)], domain, &authority.roots())
}

fn wrong_name(result: Result<(), Distrust>) -> Vec<String> {
    match result {
        Err(Distrust::WrongName { names, .. }) => names,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_for_servers_proves_a_client_too() {
    let server = |params: &mut CertificateParams| {
        dns(&["example.org"])(params);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    assert_eq!(check(server, "example.org"), Ok(()));
    assert_eq!(check(dns(&["example.org"]), "example.org"), Ok(()));
}

#[test]
fn one_that_is_not_for_servers_proves_nothing() {
    let client = |params: &mut CertificateParams| {
        dns(&["example.org"])(params);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    assert_eq!(check(client, "example.org"), Err(Distrust::NotForServers));
}

#[test]
fn another_name_is_told_with_the_names_there_are() {
    let result = check(dns(&["a.example", "b.example"]), "example.org");
    let words = result.clone().unwrap_err().to_string();
    assert_eq!(wrong_name(result), ["a.example", "b.example"]);
    assert_eq!(
        words,
        "its certificate is for a.example, b.example, not for example.org"
    );
}

#[test]
fn a_common_name_is_no_name() {
    let named = |params: &mut CertificateParams| {
        params
            .distinguished_name
            .push(DnType::CommonName, "example.org");
    };
    assert!(wrong_name(check(named, "example.org")).is_empty());
}

#[test]
fn an_srv_name_proves_its_service() {
    assert_eq!(
        check(srv("_xmpp-server.example.org"), "example.org"),
        Ok(())
    );
    assert_eq!(
        check(srv("_xmpp-server.*.example.org"), "im.example.org"),
        Ok(())
    );
    let names = wrong_name(check(srv("_xmpp-client.example.org"), "example.org"));
    assert_eq!(names, ["_xmpp-client.example.org"]);
}

#[test]
fn an_xmpp_address_proves_its_domain() {
    assert_eq!(check(xmpp("bücher.example"), "bücher.example"), Ok(()));
    let names = wrong_name(check(xmpp("a@example.org"), "example.org"));
    assert_eq!(names, ["xmpp:a@example.org"]);
}

#[test]
fn a_wildcard_proves_one_label() {
    let wild = || dns(&["*.example.org"]);
    assert_eq!(check(wild(), "im.example.org"), Ok(()));
    wrong_name(check(wild(), "example.org"));
    wrong_name(check(wild(), "a.im.example.org"));
}

#[test]
fn domains_are_compared_as_a_labels() {
    let name = || dns(&["xn--bcher-kva.example"]);
    assert_eq!(check(name(), "bücher.example"), Ok(()));
    assert_eq!(check(name(), "XN--BCHER-KVA.example"), Ok(()));
}

#[test]
fn an_expired_certificate_is_told_with_its_date() {
    let old = |params: &mut CertificateParams| {
        dns(&["example.org"])(params);
        params.not_after = date_time_ymd(2020, 1, 2);
    };
    let words = check(old, "example.org").unwrap_err().to_string();
    assert!(
        words.contains("expired") && words.contains("2020"),
        "{words}"
    );
}

#[test]
fn the_time_that_counts_is_the_one_handed_in() {
    let authority = Authority::root("root");
    let bounded = authority.issue(|params| {
        dns(&["example.org"])(params);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    });
    let chain = PeerCertificate::new([bounded]);
    let at = |seconds| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        chain.proves("example.org", now, &authority.roots())
    };
    assert_eq!(at(1_578_000_000), Ok(()));
    assert!(matches!(at(1_577_000_000), Err(Distrust::NotYetValid(_))));
    assert!(matches!(at(1_581_000_000), Err(Distrust::Expired(_))));
}

#[test]
fn a_self_signed_certificate_proves_something_only_if_it_is_a_root_itself() {
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = named("a server");
        dns(&["example.org"])(&mut params);
        let plain = is_ca == IsCa::NoCa;
        params.is_ca = is_ca;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let certificate = certificate.der().clone();
        let others = Authority::root("root").roots();
        assert_eq!(
            proves(&[&certificate], "example.org", &others),
            Err(Distrust::SelfSigned)
        );
        if plain {
            let mut own = RootCertStore::empty();
            own.add(certificate.clone()).unwrap();
            assert_eq!(proves(&[&certificate], "example.org", &own.into()), Ok(()));
        }
    }
}

#[test]
fn an_issuer_that_nobody_trusts_is_named() {
    let stranger = Authority::root("a stranger");
    let leaf = stranger.issue(dns(&["example.org"]));
    let whole = [&leaf, &stranger.certificate];
    let result = proves(&whole, "example.org", &Authority::root("root").roots());
    assert_eq!(
        result,
        Err(Distrust::UnknownIssuer {
            issuer: "CN=a stranger".to_owned()
        })
    );
}

#[test]
fn an_intermediate_has_to_be_shown() {
    let root = Authority::root("root");
    let middle = root.below("middle");
    let leaf = middle.issue(dns(&["example.org"]));
    let whole = [&leaf, &middle.certificate];
    assert_eq!(proves(&whole, "example.org", &root.roots()), Ok(()));
    assert_eq!(
        proves(&[&leaf], "example.org", &root.roots()),
        Err(missing("CN=middle"))
    );
}

fn missing(issuer: &str) -> Distrust {
    Distrust::MissingIssuer {
        issuer: issuer.to_owned(),
    }
}

#[test]
fn the_place_where_a_chain_breaks_off_is_told() {
    let root = Authority::root("root");
    let (upper, other) = (root.below("upper"), root.below("other"));
    let leaf = upper.below("lower").issue(dns(&["example.org"]));
    let roots = root.roots();
    // What was sent beside has nothing to do with it.
    for beside in [&other.certificate, &root.certificate] {
        let broken = proves(&[&leaf, beside], "example.org", &roots);
        assert_eq!(broken, Err(missing("CN=lower")));
    }
    let lower = upper.below("lower");
    let leaf = lower.issue(dns(&["example.org"]));
    let broken = proves(&[&leaf, &lower.certificate], "example.org", &roots);
    assert_eq!(broken, Err(missing("CN=upper")));
}

#[test]
fn one_that_only_bears_the_name_of_a_root_is_not_missing() {
    let false_root = Authority::root("root");
    let leaf = false_root.issue(dns(&["example.org"]));
    let result = proves(&[&leaf], "example.org", &Authority::root("root").roots());
    assert!(
        !matches!(result, Ok(()) | Err(Distrust::MissingIssuer { .. })),
        "{result:?}"
    );
}

#[test]
fn issuers_in_a_circle_come_to_an_end() {
    let (one, other) = (Authority::root("one"), Authority::root("other"));
    let crossed = |name: &str, by: &Authority| by.below(name).certificate;
    let (upper, lower) = (crossed("one", &other), crossed("other", &one));
    let leaf = one.issue(dns(&["example.org"]));
    let result = proves(&[&leaf, &upper, &lower], "example.org", &Roots::none());
    assert!(matches!(result, Err(Distrust::UnknownIssuer { .. })));
}

#[test]
fn clients_and_servers_mind_names_of_their_own() {
    let authority = Authority::root("root");
    let to_clients = |certificate: CertificateDer<'static>| {
        let chain = PeerCertificate::new([certificate]);
        chain.proves_to_clients("example.org", SystemTime::now(), &authority.roots())
    };
    assert_eq!(to_clients(authority.issue(dns(&["example.org"]))), Ok(()));
    let client = authority.issue(srv("_xmpp-client.example.org"));
    assert_eq!(to_clients(client), Ok(()));
    let server = authority.issue(srv("_xmpp-server.example.org"));
    assert_eq!(wrong_name(to_clients(server)), ["_xmpp-server.example.org"]);
    let address = authority.issue(xmpp("example.org"));
    assert_eq!(wrong_name(to_clients(address)), ["xmpp:example.org"]);
}

#[test]
fn a_server_is_no_issuer() {
    let root = Authority::root("root");
    let key = KeyPair::generate().unwrap();
    let mut params = named("a server");
    dns(&["evil.example"])(&mut params);
    let server = params.signed_by(&key, &root.issuer).unwrap().der().clone();
    let false_authority = Authority {
        certificate: server,
        issuer: Issuer::new(params, key),
    };
    let leaf = false_authority.issue(dns(&["example.org"]));
    let chain = [&leaf, &false_authority.certificate];
    assert!(proves(&chain, "example.org", &root.roots()).is_err());
}

#[test]
fn nothing_shown_and_nonsense_shown_prove_nothing() {
    let roots = Authority::root("root").roots();
    assert_eq!(
        proves(&[], "example.org", &roots),
        Err(Distrust::NoCertificate)
    );
    let nonsense = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    assert!(matches!(
        proves(&[&nonsense], "example.org", &roots),
        Err(Distrust::Unreadable(_))
    ));
    assert_eq!(PeerCertificate::new([nonsense]).facts(), None);
}

#[test]
fn facts_say_what_a_doctor_asks_for() {
    let authority = Authority::root("root");
    let leaf = authority.issue(|params| {
        dns(&["example.org", "*.example.org"])(params);
        params.not_after = date_time_ymd(2040, 1, 1);
    });
    let chain = PeerCertificate::new([leaf, authority.certificate.clone()]);
    let facts = chain.facts().unwrap();
    assert_eq!(facts.names, ["example.org", "*.example.org"]);
    assert_eq!(facts.issuer, "CN=root");
    assert_eq!(facts.subject, "CN=a server");
    assert_eq!(facts.not_after, 2_208_988_800);
    assert!(!facts.self_signed);
    assert_eq!(facts.chain, 2);
}

#[test]
fn no_more_of_a_chain_is_kept_than_is_looked_at() {
    let one = CertificateDer::from(vec![0]);
    let chain = PeerCertificate::new(std::iter::repeat_n(one, 100));
    assert_eq!(chain.chain.len(), MAX_CHAIN);
}
