//! XEP-0480: keys of a stronger hash, made by the client.

use balcony_proto::sasl::scram::salt_password;
use balcony_proto::sasl::{HashKind, Mechanism, encode, ht};
use balcony_proto::xml::Element;

use super::bind::bound;
use super::bind2::authenticate;
use crate::harness::{CLIENT, HEADER, ITERATIONS, PASSWORD, Server, tls13, token};

const BIND2: &str = "<bind xmlns='urn:xmpp:bind:0'/>";

fn open(lacks: &[HashKind]) -> Server {
    let mut server = Server::encrypted();
    server.facts.mechanisms = Mechanism::ALL.to_vec();
    server.facts.upgrades = vec![HashKind::Sha256, HashKind::Sha512];
    server.lacks = lacks.to_vec();
    let features = server.feed(HEADER);
    let offer = "</inline><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>\
                 <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade></authentication>";
    assert!(features.contains(offer), "{features}");
    server
}

fn wish(bits: &str) -> String {
    format!("<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-{bits}</upgrade>")
}

fn next(bits: &str) -> String {
    format!("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-{bits}'/>")
}

fn continued(bits: &str) -> String {
    format!(
        "<continue xmlns='urn:xmpp:sasl:2'><tasks><task>UPGR-SCRAM-SHA-{bits}</task></tasks></continue>"
    )
}

/// The answer to the server's salt.
fn salted(hash: HashKind, task_data: &str) -> String {
    let element = Element::parse(task_data.as_bytes(), "").unwrap();
    let salt = element.children().next().unwrap();
    assert!(salt.is("urn:xmpp:scram-upgrade:0", "salt"), "{task_data}");
    let iterations = salt.attr("iterations").unwrap().parse().unwrap();
    assert_eq!(iterations, ITERATIONS);
    let salt = balcony_proto::sasl::decode(&salt.text()).unwrap();
    assert_eq!(salt.len(), 16);
    let salted = salt_password(hash, PASSWORD, &salt, iterations).unwrap();
    hash_of(&encode(&salted))
}

fn hash_of(text: &str) -> String {
    format!(
        "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>\n {text}\n</hash></task-data>"
    )
}

#[test]
fn a_client_makes_the_keys_that_are_missing() {
    let mut server = open(&[HashKind::Sha256, HashKind::Sha512]);
    let wishes = format!("{}{}{BIND2}", wish("256"), wish("512"));
    assert_eq!(server.feed(&authenticate(&wishes)), continued("512"));
    assert!(server.binds.is_empty());
    let task = server.feed(&next("512"));
    let answer = server.feed(&salted(HashKind::Sha512, &task));
    assert_eq!(answer, continued("256"));
    let task = server.feed(&next("256"));
    let answer = server.feed(&salted(HashKind::Sha256, &task));
    assert!(
        answer.starts_with("<success xmlns='urn:xmpp:sasl:2'><auth"),
        "{answer}"
    );
    assert!(bound(&server).bind2);
    assert_eq!(server.added.len(), 2);
    assert!(
        server
            .added
            .iter()
            .all(|keys| keys.verify_password(PASSWORD))
    );
    assert_ne!(server.added[0].salt, server.added[1].salt);
}

#[test]
fn nothing_happens_where_nothing_is_missing_or_wanted() {
    let cases: [(&[HashKind], String); 3] = [
        (&[], wish("256")),
        (&[HashKind::Sha256], String::new()),
        (&[HashKind::Sha256], wish("1")),
    ];
    for (lacks, wishes) in cases {
        let mut server = open(lacks);
        let answer = server.feed(&authenticate(&wishes));
        assert!(answer.starts_with("<success "), "{answer}");
    }
}

#[test]
fn a_token_gives_no_right_to_set_keys() {
    let mut server = open(&[HashKind::Sha256]);
    server.facts.fast = true;
    server.tokens = vec![token(Mechanism::HtSha256None, "x")];
    let mut server = {
        // The features are read anew.
        let mut again = Server::encrypted();
        again.facts = server.facts.clone();
        again.tokens = server.tokens.clone();
        again.lacks = server.lacks.clone();
        again.feed(HEADER);
        again
    };
    let tls = tls13();
    let none = ht::binding(Mechanism::HtSha256None, &tls.bindings).unwrap();
    let message = encode(&ht::initiate("romeo", "x", none));
    let answer = server.feed(&format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'>\
         <initial-response>{message}</initial-response><user-agent id='{CLIENT}'/>\
         <fast xmlns='urn:xmpp:fast:0'/>{}</authenticate>",
        wish("256")
    ));
    assert!(answer.starts_with("<success "), "{answer}");
    assert!(!server.asked.contains(&"lacks"));
}

#[test]
fn a_task_that_goes_wrong_fails_the_login_and_the_client_may_try_again() {
    let short = hash_of(&encode(b"short"));
    let cases = [
        (next("512"), None, "malformed-request"),
        (short.clone(), None, "malformed-request"),
        ("<abort xmlns='urn:xmpp:sasl:2'/>".into(), None, "aborted"),
        (next("256"), Some(short), "malformed-request"),
        (next("256"), Some(hash_of("?")), "malformed-request"),
        (next("256"), Some(next("256")), "malformed-request"),
        (
            next("256"),
            Some("<abort xmlns='urn:xmpp:sasl:2'/>".into()),
            "aborted",
        ),
    ];
    for (first, second, condition) in cases {
        let mut server = open(&[HashKind::Sha256]);
        server.feed(&authenticate(&wish("256")));
        let mut answer = server.feed(&first);
        if let Some(second) = second {
            answer = server.feed(&second);
        }
        let expected = format!("<failure xmlns='urn:xmpp:sasl:2'><{condition} ");
        assert!(answer.starts_with(&expected), "{answer}");
        assert!(server.added.is_empty() && !server.closed);
        assert!(server.feed(&authenticate("")).starts_with("<success "));
    }
}

#[test]
fn during_a_task_there_is_nothing_else() {
    let register = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>";
    for (element, error) in [
        (authenticate(""), "not-authorized"),
        (
            "<response xmlns='urn:xmpp:sasl:2'/>".into(),
            "policy-violation",
        ),
        (" ".into(), "policy-violation"),
        ("<resume xmlns='urn:xmpp:sm:3'/>".into(), "policy-violation"),
        (register.into(), "not-authorized"),
    ] {
        let mut server = open(&[HashKind::Sha256]);
        server.facts.registration = true;
        server.feed(&authenticate(&wish("256")));
        let answer = server.feed(&element);
        assert!(
            answer.contains(&format!("<{error} ")),
            "{element}: {answer}"
        );
        assert!(server.closed && server.bound.is_none());
    }
}

#[test]
fn decoys_have_the_iterations_of_accounts() {
    use balcony_proto::sasl::decode;
    let mut seen = std::collections::BTreeMap::new();
    for number in 0..200 {
        let mut server = Server::encrypted();
        let counts = vec![(HashKind::Sha256, 4096, 1), (HashKind::Sha256, 10_000, 3)];
        server.facts.key_counts = std::sync::Arc::new(crate::KeyCounts(counts));
        server.feed(HEADER);
        let first = encode(format!("n,,n=tybalt{number},r=fyko").as_bytes());
        let answer = server.feed(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>{first}</auth>"
        ));
        let challenge = Element::parse(answer.as_bytes(), "").unwrap();
        let challenge = String::from_utf8(decode(&challenge.text()).unwrap()).unwrap();
        let iterations = challenge.split(",i=").nth(1).unwrap();
        let iterations = iterations.split(',').next().unwrap().to_owned();
        *seen.entry(iterations).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    // A quarter of 200, within what chance does.
    assert!((25..80).contains(&seen["4096"]), "{seen:?}");
}
