//! XEP-0484: logging in by a token, and getting one.

use balcony_proto::sasl::{Mechanism, encode, ht};

use super::bind::bound;
use super::bind2;
use crate::harness::{CLIENT, HEADER, Server, tls13, token};
use crate::receiving::{Answer, Credentials, Input, TokenAnswer};

const SECRET: &str = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm";
const FAST: &str = "<fast xmlns='urn:xmpp:fast:0'/>";
const BIND2: &str = "<bind xmlns='urn:xmpp:bind:0'/>";
const EXPR: Mechanism = Mechanism::HtSha256Expr;

/// A host with tokens, of which the client has one.
fn open() -> Server {
    let mut server = Server::encrypted();
    server.facts.mechanisms = vec![Mechanism::Plain];
    server.facts.fast = true;
    server.tokens = vec![token(EXPR, SECRET)];
    let features = server.feed(HEADER);
    assert!(!features.contains("tls-0rtt"), "{features}");
    server
}

fn agent() -> String {
    format!("<user-agent id='{CLIENT}'/>")
}

fn binding(mechanism: Mechanism) -> Vec<u8> {
    let tls = tls13();
    ht::binding(mechanism, &tls.bindings).unwrap().to_vec()
}

fn login(mechanism: Mechanism, user: &str, secret: &str, inner: &str) -> String {
    let message = encode(&ht::initiate(user, secret, &binding(mechanism)));
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>\
         <initial-response>{message}</initial-response>{inner}</authenticate>"
    )
}

/// By the token, with the client's id and these children.
fn by_token(inner: &str) -> String {
    login(EXPR, "romeo", SECRET, &format!("{}{inner}", agent()))
}

/// By the password, with the client's id and these children.
fn by_password(inner: &str) -> String {
    bind2::authenticate(&format!("{}{inner}", agent()))
}

fn condition(answer: &str) -> &str {
    let failure = answer.split("<failure xmlns='urn:xmpp:sasl:2'><").nth(1);
    let name = failure.unwrap_or_else(|| panic!("{answer}"));
    name.split(' ').next().unwrap()
}

#[test]
fn mechanisms_are_announced_inline_and_nowhere_else() {
    let features = |exporter: bool, fast: bool| {
        let mut server = Server::new(Default::default(), crate::Security::DirectTls);
        let mut tls = tls13();
        tls.version13 = exporter;
        server.input(Input::TlsReady(tls));
        server.facts.fast = fast;
        server.feed(HEADER)
    };
    let all = "<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism>\
               <mechanism>HT-SHA-256-ENDP</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast></inline>";
    let offered = features(true, true);
    assert!(offered.contains(all), "{offered}");
    assert_eq!(offered.matches("HT-SHA-256").count(), 3);
    assert!(!features(false, true).contains("HT-SHA-256-EXPR"));
    assert!(!features(true, false).contains("urn:xmpp:fast:0"));
}

#[test]
fn a_token_is_given_for_the_password() {
    let mut server = open();
    let wish = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>";
    let answer = server.feed(&by_password(&format!("{BIND2}{wish}")));
    let request = &server.token_requests[0];
    let issued = request.issue.as_ref().unwrap();
    assert_eq!(request.client.id.as_deref(), Some(CLIENT));
    assert_eq!(request.account.as_str(), "romeo@localhost");
    assert!(request.used.is_none());
    assert_eq!((issued.mechanism, issued.secret.0.len()), (EXPR, 43));
    let expected = format!(
        "<token xmlns='urn:xmpp:fast:0' expiry='2020-03-12T14:36:15Z' token='{}'/>",
        issued.secret.0
    );
    assert!(answer.contains(&expected), "{answer}");
    assert_eq!(server.asked[server.asked.len() - 2..], ["token", "bind"]);
}

#[test]
fn a_token_is_not_given_without_an_id_or_for_what_is_not_offered() {
    let wish = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>";
    for inner in [
        wish.to_owned(),
        format!("<user-agent/>{wish}"),
        format!("{}{}", agent(), wish.replace("EXPR", "UNIQ")),
        format!("{}{}", agent(), wish.replace("HT-SHA-256-EXPR", "PLAIN")),
        format!("{}<request-token xmlns='urn:xmpp:fast:0'/>", agent()),
    ] {
        let mut server = open();
        let answer = server.feed(&bind2::authenticate(&inner));
        assert!(answer.contains("<success "), "{answer}");
        assert!(server.token_requests.is_empty(), "{inner}");
    }
}

#[test]
fn a_token_logs_in_within_one_round_trip() {
    let mut server = open();
    let answer = server.feed(&by_token(&format!("{FAST}{BIND2}")));
    let proof = encode(&ht::respond(SECRET, &binding(EXPR)));
    let expected =
        format!("<success xmlns='urn:xmpp:sasl:2'><additional-data>{proof}</additional-data>");
    assert!(answer.starts_with(&expected), "{answer}");
    assert!(!answer.contains("<token "), "{answer}");
    assert_eq!(bound(&server).mechanism, EXPR);
    let used = server.token_requests[0].used.as_ref().unwrap();
    assert_eq!((used.secret.0.as_str(), used.count), (SECRET, None));
    assert!(!used.invalidate && server.token_requests[0].issue.is_none());
}

#[test]
fn every_mechanism_logs_in_by_its_own_tokens_only() {
    for given in Mechanism::FAST {
        for used in Mechanism::FAST {
            let mut server = open();
            server.tokens = vec![token(given, SECRET)];
            let message = login(used, "romeo", SECRET, &format!("{}{FAST}", agent()));
            let answer = server.feed(&message);
            match given == used {
                true => assert!(answer.contains("<success "), "{answer}"),
                false => assert_eq!(condition(&answer), "not-authorized"),
            }
        }
    }
}

#[test]
fn either_of_two_tokens_logs_in_and_is_named() {
    for secret in ["new", "old"] {
        let mut server = open();
        server.tokens = vec![token(EXPR, "new"), token(EXPR, "old")];
        server.feed(&login(EXPR, "romeo", secret, &format!("{}{FAST}", agent())));
        let used = server.token_requests[0].used.as_ref().unwrap();
        assert_eq!(used.secret.0, secret);
    }
}

#[test]
fn strangers_and_wrong_tokens_get_the_same_answer() {
    let answers = ["romeo", "paris", "a@b"].map(|user| {
        let mut server = open();
        let guess = login(EXPR, user, "guess", &format!("{}{FAST}", agent()));
        server.feed(&guess)
    });
    assert_eq!(condition(&answers[0]), "not-authorized");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    // Another client of the same account.
    let mut server = open();
    let other = by_token(FAST).replace("d4565fa7", "d4565fa8");
    assert_eq!(server.feed(&other), answers[0]);
}

#[test]
fn another_channel_is_not_authorized() {
    let mut server = open();
    let message = encode(&ht::initiate("romeo", SECRET, &[8; 32]));
    let login = format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-EXPR'>\
         <initial-response>{message}</initial-response>{}{FAST}</authenticate>",
        agent()
    );
    assert_eq!(condition(&server.feed(&login)), "not-authorized");
}

#[test]
fn an_expired_token_says_so_only_to_who_has_it() {
    let mut server = open();
    server.tokens[0].expired = true;
    assert_eq!(
        condition(&server.feed(&by_token(FAST))),
        "credentials-expired"
    );
    let wrong = login(EXPR, "romeo", "guess", &format!("{}{FAST}", agent()));
    assert_eq!(condition(&server.feed(&wrong)), "not-authorized");
    // Another way is open.
    assert!(server.feed(&by_password("")).contains("<success "));
}

#[test]
fn a_disabled_account_says_so_only_to_who_has_a_token() {
    let answer = |secret| {
        let mut server = open();
        server.feed(&login(
            EXPR,
            "juliet",
            secret,
            &format!("{}{FAST}", agent()),
        ))
    };
    assert_eq!(condition(&answer(SECRET)), "account-disabled");
    assert_eq!(condition(&answer("guess")), "not-authorized");
}

#[test]
fn a_count_must_grow() {
    for (last, count, good) in [
        (None, "0", true),
        (Some(7), "8", true),
        (Some(7), "7", false),
        (Some(7), "6", false),
    ] {
        let mut server = open();
        server.tokens[0].count = last;
        let fast = format!("<fast xmlns='urn:xmpp:fast:0' count='{count}'/>");
        let answer = server.feed(&by_token(&fast));
        match good {
            true => {
                let used = server.token_requests[0].used.as_ref().unwrap();
                assert_eq!(used.count.unwrap().to_string(), count);
            }
            false => assert_eq!(condition(&answer), "not-authorized"),
        }
    }
    // Without early data it may be left out.
    let mut server = open();
    server.tokens[0].count = Some(7);
    assert!(server.feed(&by_token(FAST)).contains("<success "));
}

#[test]
fn what_a_token_needs_is_demanded() {
    let count = "<fast xmlns='urn:xmpp:fast:0' count='-1'/>";
    for message in [
        by_token(""),
        by_token(count),
        login(EXPR, "romeo", SECRET, FAST),
        login(EXPR, "romeo", SECRET, &format!("<user-agent id=''/>{FAST}")),
    ] {
        let mut server = open();
        assert_eq!(condition(&server.feed(&message)), "malformed-request");
        assert!(!server.asked.contains(&"tokens"));
    }
}

#[test]
fn a_token_is_for_sasl2_and_where_it_is_offered_only() {
    let mut server = open();
    let message = encode(&ht::initiate("romeo", SECRET, &binding(EXPR)));
    let classic = format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='HT-SHA-256-EXPR'>{message}</auth>"
    );
    assert!(server.feed(&classic).contains("<invalid-mechanism/>"));
    server.facts.fast = false;
    let mut closed = Server::encrypted();
    closed.tokens = vec![token(EXPR, SECRET)];
    closed.feed(HEADER);
    let answer = closed.feed(&by_token(FAST));
    assert_eq!(condition(&answer), "invalid-mechanism");
}

#[test]
fn a_token_that_is_due_is_replaced_unasked() {
    let mut server = open();
    server.tokens[0].due = true;
    let answer = server.feed(&by_token(FAST));
    let request = &server.token_requests[0];
    let issued = request.issue.as_ref().unwrap();
    assert_eq!(issued.mechanism, EXPR);
    assert!(request.used.is_some(), "both in one");
    assert!(answer.contains(&issued.secret.0), "{answer}");
}

#[test]
fn an_invalidated_token_is_not_replaced_unless_asked() {
    let fast = "<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>";
    let wish = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";
    for (inner, issued) in [
        (fast.to_owned(), None),
        (format!("{fast}{wish}"), Some(Mechanism::HtSha256None)),
    ] {
        let mut server = open();
        server.tokens[0].due = true;
        let answer = server.feed(&by_token(&inner));
        let request = &server.token_requests[0];
        assert!(request.used.as_ref().unwrap().invalidate);
        let new = request.issue.as_ref().map(|new| new.mechanism);
        assert_eq!(new, issued);
        assert_eq!(answer.contains("<token "), issued.is_some());
    }
}

#[test]
fn a_token_that_is_revoked_meanwhile_does_not_log_in() {
    let mut server = open();
    server.revoked = true;
    let answer = server.feed(&by_token(&format!("{FAST}{BIND2}")));
    assert_eq!(condition(&answer), "credentials-expired");
    assert!(server.binds.is_empty() && server.bound.is_none());
    // Whose password is another one meanwhile.
    let wish = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>";
    let answer = server.feed(&by_password(wish));
    assert_eq!(condition(&answer), "not-authorized");
    assert!(server.feed(&by_password("")).contains("<success "));
}

#[test]
fn answers_that_do_not_come_fail_the_login_and_not_the_stream() {
    for number in 0..2 {
        let mut server = open();
        server.silent = true;
        server.feed(&by_token(FAST));
        if number == 1 {
            let known = crate::receiving::Tokens {
                disabled: false,
                tokens: server.tokens.clone(),
            };
            server.input(Input::Answer(Answer::Tokens(known)));
        }
        let answer = server.input(Input::Answer(Answer::Failed));
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(condition(&answer), "temporary-auth-failure");
    }
}

#[test]
fn an_answer_to_another_question_ends_the_stream() {
    let mut server = open();
    server.silent = true;
    server.feed(&by_token(FAST));
    server.input(Input::Answer(Answer::Credentials(Credentials::Unknown)));
    assert!(server.closed);
}

#[test]
fn a_refused_token_is_not_told() {
    let mut server = open();
    server.silent = true;
    let wish = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>";
    server.feed(&by_password(wish));
    server.input(Input::Answer(Answer::Verdict(
        crate::receiving::Verdict::Right,
    )));
    let done = TokenAnswer::Done { expires: None };
    let answer = server.input(Input::Answer(Answer::Token(done)));
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("<success ") && !answer.contains("<token "));
}
