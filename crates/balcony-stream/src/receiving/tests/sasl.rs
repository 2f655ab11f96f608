//! RFC 6120 §6 and XEP-0388: authentication that goes wrong. What goes right is in `crate::tests`.

use balcony_proto::sasl::{Mechanism, encode};

use crate::harness::{HEADER, PASSWORD, Server};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const SASL2: &str = "urn:xmpp:sasl:2";

fn auth(mechanism: &str, text: &str) -> String {
    format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{text}</auth>")
}

fn failure(condition: &str) -> String {
    format!("<failure xmlns='{SASL}'><{condition}/></failure>")
}

/// Over TLS, with PLAIN and ANONYMOUS too.
fn open() -> Server {
    let mut server = Server::encrypted();
    server.facts.mechanisms = Mechanism::ALL.to_vec();
    server.feed(HEADER);
    server
}

fn plain(authzid: &str, user: &str, password: &str) -> String {
    auth(
        "PLAIN",
        &encode(format!("{authzid}\0{user}\0{password}").as_bytes()),
    )
}

#[test]
fn of_3273_a_mechanism_that_is_not_offered_is_refused() {
    let answer = |element: &str| {
        let mut server = Server::encrypted();
        server.feed(HEADER);
        server.feed(element)
    };
    for name in [
        "PLAIN",
        "ANONYMOUS",
        "EXTERNAL",
        "CRAM-MD5",
        "scram-sha-1",
        "",
    ] {
        assert_eq!(
            answer(&auth(name, "")),
            failure("invalid-mechanism"),
            "{name}"
        );
    }
    assert_eq!(
        answer(&format!("<auth xmlns='{SASL}'/>")),
        failure("invalid-mechanism")
    );
    assert!(answer(&auth("SCRAM-SHA-1", "")).starts_with("<challenge "));
}

#[test]
fn plain_in_clear_needs_encryption_even_where_scram_does_not() {
    let mut server = Server::clear();
    server.facts.mechanisms = Mechanism::ALL.to_vec();
    let features = server.feed(HEADER);
    assert!(
        !features.contains("PLAIN") && features.contains("<mechanism>SCRAM-SHA-1<"),
        "{features}"
    );
    assert!(
        !features.contains("-PLUS") && !features.contains(SASL2),
        "{features}"
    );
    assert_eq!(
        server.feed(&plain("", "romeo", PASSWORD)),
        failure("encryption-required")
    );
}

#[test]
fn ejabberd_26_07_plain_authzid_of_another_is_refused() {
    for authzid in [
        "juliet@localhost",
        "admin@localhost",
        "romeo@mantua.example",
        "romeo@localhost/x",
        "@",
    ] {
        let mut server = open();
        assert_eq!(
            server.feed(&plain(authzid, "romeo", PASSWORD)),
            failure("invalid-authzid")
        );
        assert_eq!(server.asked, ["host"], "{authzid}");
    }
    let own = open().feed(&plain("ROMEO@localhost", "romeo", PASSWORD));
    assert_eq!(own, format!("<success xmlns='{SASL}'/>"));
}

#[test]
fn ejabberd_26_07_scram_authzid_of_another_is_refused() {
    let message = encode(b"n,a=juliet@localhost,n=romeo,r=fyko");
    assert_eq!(
        open().feed(&auth("SCRAM-SHA-256", &message)),
        failure("invalid-authzid")
    );
}

#[test]
fn of_3257_an_unknown_user_looks_like_a_wrong_password() {
    let challenge = |user: &str| {
        let mut server = open();
        let message = encode(format!("n,,n={user},r=fyko").as_bytes());
        let answer = server.feed(&auth("SCRAM-SHA-256", &message));
        assert!(answer.starts_with("<challenge "), "{user}: {answer}");
        let text = answer.split(['>', '<']).nth(2).unwrap();
        let text = String::from_utf8(balcony_proto::sasl::decode(text).unwrap()).unwrap();
        let nonce = text.split(['=', ',']).nth(1).unwrap().to_string();
        let proof = format!("c=biws,r={nonce},p={}", encode(&[1; 32]));
        let response = format!(
            "<response xmlns='{SASL}'>{}</response>",
            encode(proof.as_bytes())
        );
        (text, server.feed(&response))
    };
    let (known, refused) = challenge("romeo");
    let (unknown, also_refused) = challenge("paris");
    assert_eq!(refused, failure("not-authorized"));
    assert_eq!(also_refused, refused);
    let salt_of = |text: &str| {
        text.split(",s=")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap()
            .to_string()
    };
    assert_eq!(known.len(), unknown.len(), "{known} {unknown}");
    assert_ne!(salt_of(&known), salt_of(&unknown));
    assert_eq!(salt_of(&challenge("paris").0), salt_of(&unknown), "stable");
    assert_ne!(
        salt_of(&challenge("benvolio").0),
        salt_of(&unknown),
        "each its own"
    );
    assert_eq!(challenge("no such=2Cname@x").1, refused);
}

#[test]
fn wrong_encodings_and_messages_have_their_conditions() {
    for (element, condition) in [
        (auth("SCRAM-SHA-1", "=="), "incorrect-encoding"),
        (auth("SCRAM-SHA-1", " biws"), "incorrect-encoding"),
        (auth("SCRAM-SHA-1", "biw"), "incorrect-encoding"),
        (auth("SCRAM-SHA-1", "="), "malformed-request"),
        (auth("SCRAM-SHA-1", "Zm9v"), "malformed-request"),
        (auth("PLAIN", "Zm9v"), "malformed-request"),
        (auth("ANONYMOUS", "/w=="), "malformed-request"),
        (
            format!("<response xmlns='{SASL}'>Zm9v</response>"),
            "malformed-request",
        ),
        (format!("<abort xmlns='{SASL}'/>"), "aborted"),
        (auth("PLAIN", &encode(b"\0romeo\0guess")), "not-authorized"),
        (auth("PLAIN", &encode(b"\0paris\0guess")), "not-authorized"),
        (
            auth("PLAIN", &encode(format!("\0juliet\0{PASSWORD}").as_bytes())),
            "account-disabled",
        ),
        (auth("PLAIN", &encode(b"\0juliet\0guess")), "not-authorized"),
    ] {
        assert_eq!(open().feed(&element), failure(condition), "{element}");
    }
}

#[test]
fn the_third_failure_ends_the_stream() {
    let mut server = open();
    for _ in 0..2 {
        assert_eq!(
            server.feed(&plain("", "romeo", "guess")),
            failure("not-authorized")
        );
    }
    let last = server.feed(&plain("", "romeo", "guess"));
    assert!(last.starts_with(&failure("not-authorized")), "{last}");
    assert!(
        last.contains("<policy-violation ") && server.closed,
        "{last}"
    );
}

#[test]
fn without_initial_response_the_client_is_asked_for_it() {
    let mut server = open();
    assert_eq!(
        server.feed(&auth("PLAIN", "")),
        format!("<challenge xmlns='{SASL}'/>")
    );
    let message = encode(format!("\0romeo\0{PASSWORD}").as_bytes());
    let answer = server.feed(&format!("<response xmlns='{SASL}'>{message}</response>"));
    assert_eq!(answer, format!("<success xmlns='{SASL}'/>"));
}

#[test]
fn another_auth_replaces_the_handshake_under_way() {
    let mut server = open();
    server.feed(&auth("SCRAM-SHA-1", ""));
    assert!(
        server
            .feed(&plain("", "romeo", PASSWORD))
            .starts_with("<success")
    );
}

#[test]
fn a_store_that_is_down_is_a_temporary_failure() {
    use crate::receiving::{Answer, Input};
    let mut server = open();
    server.silent = true;
    assert_eq!(server.feed(&plain("", "romeo", PASSWORD)), "");
    let answer = server.input(Input::Answer(Answer::Failed));
    assert_eq!(
        String::from_utf8(answer).unwrap(),
        failure("temporary-auth-failure")
    );
}

#[test]
fn an_owner_cannot_hand_out_an_address_of_another_host() {
    use crate::harness::jid;
    use crate::receiving::{Answer, Input};
    for wrong in [
        "mercutio@mantua.example",
        "mercutio@localhost/x",
        "localhost",
    ] {
        let mut server = open();
        server.silent = true;
        server.feed(&auth("ANONYMOUS", "="));
        let answer = server.input(Input::Answer(Answer::Anonymous(Some(jid(wrong)))));
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            failure("temporary-auth-failure"),
            "{wrong}"
        );
    }
}

#[test]
fn sasl2_tolerates_nothing_else_during_authentication() {
    let begin = format!("<authenticate xmlns='{SASL2}' mechanism='SCRAM-SHA-1'/>");
    for intruder in [
        " ",
        "<presence/>",
        "<a xmlns='urn:x'/>",
        begin.as_str(),
        &auth("PLAIN", ""),
    ] {
        let mut server = open();
        assert_eq!(server.feed(&begin), format!("<challenge xmlns='{SASL2}'/>"));
        let answer = server.feed(intruder);
        assert!(
            server.closed && answer.ends_with("</stream:stream>"),
            "{intruder}: {answer}"
        );
    }
}

#[test]
fn sasl2_fails_in_its_own_words() {
    let abort = format!("<abort xmlns='{SASL2}'/>");
    let failed =
        |condition| format!("<failure xmlns='{SASL2}'><{condition} xmlns='{SASL}'/></failure>");
    let mut server = open();
    server.feed(&format!(
        "<authenticate xmlns='{SASL2}' mechanism='SCRAM-SHA-1'/>"
    ));
    assert_eq!(server.feed(&abort), failed("aborted"));
    let unknown = format!("<authenticate xmlns='{SASL2}' mechanism='CRAM-MD5'/>");
    assert_eq!(server.feed(&unknown), failed("invalid-mechanism"));
}

#[test]
fn from_on_the_protected_header_must_be_the_account() {
    let mut server = Server::encrypted();
    server.facts.mechanisms = Mechanism::ALL.to_vec();
    server.feed(&HEADER.replace("to=", "from='juliet@localhost' to="));
    let answer = server.feed(&plain("", "romeo", PASSWORD));
    assert!(
        answer.contains("<invalid-from ") && server.closed,
        "{answer}"
    );
}
