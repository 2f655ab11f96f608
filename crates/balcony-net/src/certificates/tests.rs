//! Loading, reloading and choosing certificates.

use super::*;
use std::fs;

use rcgen::{CertificateParams, KeyPair};

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// An operator's pair, not made by us, for these names.
fn place(directory: &Path, host: &str, names: &[&str], edit: impl FnOnce(&mut CertificateParams)) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(hosts(names)).unwrap();
    edit(&mut params);
    let certificate = params.self_signed(&key).unwrap();
    fs::write(directory.join(format!("{host}.crt")), certificate.pem()).unwrap();
    fs::write(directory.join(format!("{host}.key")), key.serialize_pem()).unwrap();
}

fn load_error(directory: &Path, names: &[&str]) -> String {
    Certificates::load(directory, &hosts(names))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_host_without_files_gets_a_self_signed_certificate_that_stays() {
    let directory = tempfile::tempdir().unwrap();
    let names = hosts(&["localhost"]);
    let first = Certificates::load(directory.path(), &names)
        .unwrap()
        .facts()
        .remove(0);
    assert!(first.made_here && first.self_signed);
    assert_eq!(first.names, ["localhost"]);
    assert!((729..=730).contains(&first.days_left(SystemTime::now())));
    assert_eq!(first.end_point.as_ref().map(Vec::len), Some(32));
    let again = Certificates::load(directory.path(), &names)
        .unwrap()
        .facts()
        .remove(0);
    assert_eq!(again, first);
}

#[test]
fn our_own_certificate_is_made_anew_when_it_ends_and_an_operators_never() {
    let directory = tempfile::tempdir().unwrap();
    let three_years_ago = SystemTime::now() - Duration::from_secs(3 * 365 * 24 * 3600);
    self_signed::make(directory.path(), "localhost", three_years_ago).unwrap();
    place(
        directory.path(),
        "example.org",
        &["example.org"],
        |params| {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        },
    );
    let loaded =
        Certificates::load(directory.path(), &hosts(&["localhost", "example.org"])).unwrap();
    let [ours, theirs] = loaded.facts().try_into().unwrap();
    assert!(ours.days_left(SystemTime::now()) > 700);
    assert!(theirs.days_left(SystemTime::now()) < 0);
    assert!(!theirs.made_here);
}

#[test]
fn a_key_of_another_certificate_is_found_at_load() {
    let directory = tempfile::tempdir().unwrap();
    place(directory.path(), "example.org", &["example.org"], |_| ());
    place(directory.path(), "other", &["other"], |_| ());
    fs::rename(
        directory.path().join("other.key"),
        directory.path().join("example.org.key"),
    )
    .unwrap();
    let error = load_error(directory.path(), &["example.org"]);
    assert!(
        error.contains("example.org.key") && error.contains("does not belong"),
        "{error}"
    );
}

#[test]
fn every_error_is_told_at_once_and_names_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    place(path, "nokey", &["nokey"], |_| ());
    fs::remove_file(path.join("nokey.key")).unwrap();
    place(path, "garbage", &["garbage"], |_| ());
    fs::write(path.join("garbage.crt"), "not PEM").unwrap();
    place(path, "badkey", &["badkey"], |_| ());
    fs::write(
        path.join("badkey.key"),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    place(path, "badder", &["badder"], |_| ());
    fs::write(
        path.join("badder.crt"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let error = load_error(path, &["nokey", "garbage", "badkey", "badder", "fine"]);
    assert_eq!(error.lines().count(), 4, "{error}");
    for file in ["nokey.key", "garbage.crt", "badkey.key", "badder.crt"] {
        assert!(error.contains(file), "{file} in {error}");
    }
    assert!(
        !path.join("fine.crt").exists(),
        "nothing is made when something is wrong"
    );
}

#[test]
fn a_server_without_hosts_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    assert!(load_error(directory.path(), &[]).contains("[[host]]"));
}

#[test]
fn a_sub_domain_is_served_by_the_wildcard_of_its_parent_without_a_certificate_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    place(
        directory.path(),
        "example.org",
        &["example.org", "*.example.org"],
        |_| (),
    );
    let names = hosts(&["example.org", "conference.example.org"]);
    let loaded = Certificates::load(directory.path(), &names).unwrap();
    assert_eq!(loaded.facts().len(), 1);
    assert!(!directory.path().join("conference.example.org.crt").exists());
}

#[test]
fn the_name_that_a_client_gives_finds_the_nearest_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    place(path, "first.example", &["first.example"], |_| ());
    place(
        path,
        "example.org",
        &["example.org", "also.example"],
        |_| (),
    );
    place(path, "chat.example.org", &["chat.example.org"], |_| ());
    place(path, "example.net", &["*.example.net"], |_| ());
    let names = hosts(&[
        "first.example",
        "example.org",
        "chat.example.org",
        "example.net",
    ]);
    let loaded = load_all(path, &names, None).unwrap();
    let resolver = Resolver::new(&loaded.entries).unwrap();
    let found = |name| resolver.find(name).facts.host.clone();
    assert_eq!(found(Some("Example.ORG")), "example.org");
    assert_eq!(found(Some("chat.example.org")), "chat.example.org");
    assert_eq!(found(Some("a.b.example.org")), "example.org");
    assert_eq!(found(Some("also.example")), "example.org");
    assert_eq!(found(Some("any.example.net")), "example.net");
    assert_eq!(found(Some("unknown.example.com")), "first.example");
    assert_eq!(found(None), "first.example");
}

#[test]
fn a_failed_reload_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let names = hosts(&["localhost"]);
    let certificates = Certificates::load(directory.path(), &names).unwrap();
    let (facts, config) = (certificates.facts(), certificates.config());
    fs::write(directory.path().join("localhost.crt"), "").unwrap();
    assert!(certificates.reload(&names).is_err());
    assert_eq!(certificates.facts(), facts);
    assert!(Arc::ptr_eq(&certificates.config(), &config));
}

#[test]
fn ticket_keys_change_with_the_certificates_and_only_then() {
    let directory = tempfile::tempdir().unwrap();
    let names = hosts(&["localhost"]);
    let certificates = Certificates::load(directory.path(), &names).unwrap();
    let before = certificates.config();
    certificates.reload(&names).unwrap();
    assert!(Arc::ptr_eq(
        &certificates.config().ticketer,
        &before.ticketer
    ));
    place(directory.path(), "localhost", &["localhost"], |_| ());
    certificates.reload(&names).unwrap();
    assert!(!Arc::ptr_eq(
        &certificates.config().ticketer,
        &before.ticketer
    ));
}

#[test]
fn a_subdomain_uses_its_own_files_then_one_that_covers_it_then_its_hosts() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    place(at, "example.org", &["example.org"], |_| {});
    place(at, "example.net", &["example.net", "*.example.net"], |_| {});
    place(at, "rooms.example.org", &["rooms.example.org"], |_| {});
    place(at, "elsewhere.test", &["elsewhere.test"], |_| {});
    let loaded = Certificates::load(at, &hosts(&["example.org", "example.net"])).unwrap();
    let files: Vec<String> = loaded.facts().into_iter().map(|facts| facts.host).collect();
    assert_eq!(files, ["example.org", "example.net", "rooms.example.org"]);
    let names = |domain: &str| {
        let key = loaded.key(domain);
        CertificateFacts::read("", key.end_entity_cert().unwrap())
            .unwrap()
            .names
    };
    assert_eq!(names("rooms.example.org"), ["rooms.example.org"]);
    assert_eq!(names("Upload.example.org"), ["example.org"]);
    assert_eq!(names("rooms.example.net"), ["example.net", "*.example.net"]);
    assert_eq!(names("example.org"), ["example.org"]);
}

#[test]
fn a_broken_certificate_of_a_subdomain_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    place(directory.path(), "example.org", &["example.org"], |_| {});
    fs::write(directory.path().join("rooms.example.org.crt"), "nothing").unwrap();
    let loaded = Certificates::load(directory.path(), &hosts(&["example.org"])).unwrap();
    assert_eq!(loaded.facts().len(), 1);
}
