//! XEP-0220 and XEP-0178, each side by hand.

use super::*;
use balcony_proto::stanza::StanzaError;

#[test]
fn a_claim_is_handed_out_and_its_verdict_told() {
    let mut hearer = Hearer::encrypted(false);
    let features = hearer.feed(HEADER);
    assert!(
        features.contains("<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"),
        "{features}"
    );
    assert!(features.contains("xmlns:db='jabber:server:dialback'"));
    assert!(!features.contains("EXTERNAL"), "{features}");
    assert_eq!(hearer.feed(CLAIM), "");
    let [Output::Claim { pair, key, .. }] = hearer.seen.as_slice() else {
        panic!("{:?}", hearer.seen);
    };
    assert_eq!((pair, key.as_str()), (&capulet(), "b483"));
    assert_eq!(
        hearer.decide("capulet.example", Verdict::Valid),
        "<db:result from='montague.example' to='capulet.example' type='valid'/>"
    );
    hearer.feed(MESSAGE);
    assert_eq!(stanzas(&hearer.seen).len(), 1);
}

#[test]
fn a_forged_claim_closes_a_stream_that_has_proved_nothing() {
    // XEP-0220 §2.2.1
    let mut hearer = Hearer::encrypted(false);
    hearer.feed(HEADER);
    hearer.feed(CLAIM);
    let answer = hearer.decide("capulet.example", Verdict::Invalid);
    assert!(
        answer.contains("type='invalid'/></stream:stream>"),
        "{answer}"
    );
    assert!(hearer.is_closed());
}

#[test]
fn a_forged_claim_leaves_those_alone_that_are_proved() {
    let mut hearer = Hearer::proved();
    hearer.feed("<db:result from='rooms.capulet.example' to='montague.example'>x</db:result>");
    let answer = hearer.decide("rooms.capulet.example", Verdict::Invalid);
    assert!(
        answer.contains("<forbidden ") && !hearer.is_closed(),
        "{answer}"
    );
    hearer.feed(MESSAGE);
    assert_eq!(stanzas(&hearer.seen).len(), 1);
    hearer.feed("<message from='rooms.capulet.example' to='montague.example'/>");
    assert!(hearer.is_closed());
}

#[test]
fn a_claim_that_nobody_could_verify_is_an_error_and_no_more() {
    let mut hearer = Hearer::encrypted(false);
    hearer.feed(HEADER);
    hearer.feed(CLAIM);
    let error = Verdict::Error(StanzaError::remote_server_not_found());
    let answer = hearer.decide("capulet.example", error);
    assert!(answer.contains("type='error'><error type='cancel'><remote-server-not-found"));
    assert!(!hearer.is_closed());
    assert_eq!(hearer.decide("capulet.example", Verdict::Valid), "");
    assert!(hearer.feed(MESSAGE).contains("<not-authorized "));
}

#[test]
fn our_own_keys_are_known_and_no_others() {
    // XEP-0220 §2.2.2, the key of §2.1.2.
    let key = Secret::new(SECRET).key("capulet.example", "montague.example", "417GAF25");
    let verify = |key: &str| {
        let mut hearer = Hearer::encrypted(false);
        hearer.feed(HEADER);
        hearer.feed(&format!(
            "<db:verify from='CAPULET.example' to='montague.example' id='417GAF25'>\n{key}\n</db:verify>"
        ))
    };
    let answer = |verdict: &str| {
        format!(
            "<db:verify from='montague.example' to='capulet.example' id='417GAF25' type='{verdict}'/>"
        )
    };
    assert_eq!(verify(&key), answer("valid"));
    assert_eq!(verify("225cc5aa"), answer("invalid"));
}

#[test]
fn a_server_before_xmpp_1_0_is_answered_as_such() {
    let old = HEADER.replace(" version='1.0'>", ">");
    let mut hearer = Hearer::clear();
    let answer = hearer.feed(&old);
    // The other version is that of XML.
    assert_eq!(answer.matches("version=").count(), 1, "{answer}");
    assert!(!answer.contains("features"), "{answer}");
    hearer.feed(CLAIM);
    assert_eq!(hearer.claims(), 1);
    for hearer in [&mut Hearer::new(Security::Plain), &mut Hearer::clear()] {
        let undeclared = match hearer.terms.as_ref().unwrap().tls_required {
            true => old.clone(),
            false => old.replace("xmlns:db='jabber:server:dialback' ", ""),
        };
        let answer = hearer.feed(&undeclared);
        assert!(answer.contains("<unsupported-version "), "{answer}");
    }
}

fn auth(authzid: &str) -> String {
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{authzid}</auth>")
}

#[test]
fn external_is_for_the_domain_of_the_header_and_no_other() {
    // XEP-0178 §3; capulet.example and montague.example in base64.
    for (authzid, good) in [
        ("=", true),
        ("Y2FwdWxldC5leGFtcGxl", true),
        ("bW9udGFndWUuZXhhbXBsZQ==", false),
        ("!", false),
    ] {
        let mut hearer = Hearer::encrypted(true);
        assert!(
            hearer
                .feed(HEADER)
                .contains("<mechanism>EXTERNAL</mechanism>")
        );
        let answer = hearer.feed(&auth(authzid));
        assert_eq!(answer.contains("<success "), good, "{authzid}: {answer}");
        let after = hearer.feed(HEADER);
        assert_eq!(
            after.contains("<sm xmlns='urn:xmpp:sm:3'/>"),
            good,
            "{after}"
        );
        assert!(!after.contains("EXTERNAL"), "{after}");
        hearer.feed(MESSAGE);
        assert_eq!(stanzas(&hearer.seen).len(), usize::from(good));
    }
}

#[test]
fn external_is_nothing_without_a_certificate_and_tries_are_counted() {
    let mut hearer = Hearer::encrypted(false);
    hearer.feed(HEADER);
    assert!(hearer.feed(&auth("=")).contains("<invalid-mechanism"));
    hearer.feed(&auth("="));
    let answer = hearer.feed(&auth("="));
    assert!(
        answer.contains("<policy-violation ") && hearer.is_closed(),
        "{answer}"
    );
}

#[test]
fn a_speaker_claims_by_the_key_of_the_stream() {
    let mut speaker = Speaker::new(options(), Security::DirectTls);
    speaker.input(Input::TlsReady(handshake()));
    speaker.feed(ANSWER);
    let claim = speaker.feed("<stream:features/>");
    let key = Secret::new(SECRET).key("capulet.example", "montague.example", "D60000229F");
    assert_eq!(
        claim,
        format!("<db:result from='montague.example' to='capulet.example'>{key}</db:result>")
    );
    speaker.feed("<db:result from='capulet.example' to='montague.example' type='valid'/>");
    assert_eq!(speaker.ready(), [("montague.example", How::Claim)]);
    speaker.machine.claim("rooms.montague.example");
    assert!(
        speaker
            .drain()
            .contains("from='rooms.montague.example' to='capulet.example'")
    );
    speaker.feed(
        "<db:result from='capulet.example' to='rooms.montague.example' type='error'>\
         <error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
    );
    let refused = |output: &Output| matches!(output, Output::PairRefused { .. });
    assert!(speaker.seen.iter().any(refused) && speaker.failure().is_none());
}

#[test]
fn who_is_not_believed_at_all_learns_why() {
    let mut speaker = Speaker::offered("");
    speaker.feed("<db:result from='capulet.example' to='montague.example' type='invalid'/>");
    let failure = speaker.failure().unwrap().to_string();
    assert!(failure.contains("dialback failed"), "{failure}");
}

#[test]
fn refused_by_external_a_speaker_goes_on_with_dialback() {
    let mut speaker = Speaker::offered(
        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>",
    );
    let claim = speaker
        .feed("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>");
    assert!(claim.starts_with("<db:result "), "{claim}");
}

#[test]
fn a_question_during_sasl_waits_till_the_stream_that_follows() {
    let mut speaker = Speaker::offered(
        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>",
    );
    speaker.machine.verify("montague.example", "id", "key");
    assert_eq!(speaker.drain(), "");
    let header = speaker.feed("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(header.starts_with("<?xml") && !header.contains("db:verify"));
    speaker.feed(ANSWER);
    let asked = speaker.feed("<stream:features/>");
    assert!(asked.contains("<db:verify "), "{asked}");
    assert_eq!(speaker.ready(), [("montague.example", How::External)]);
}

#[test]
fn only_what_was_asked_is_answered() {
    // XEP-0220 §3.1
    let mut speaker = Speaker::offered("");
    let verified = |speaker: &Speaker| {
        let verified = |output: &&Output| matches!(output, Output::Verified { .. });
        speaker.seen.iter().filter(verified).count()
    };
    let answer = "<db:verify from='capulet.example' to='montague.example' id='x' type='valid'/>";
    speaker.feed(answer);
    assert_eq!(verified(&speaker), 0);
    speaker.machine.verify("montague.example", "x", "key");
    assert!(speaker.drain().contains("id='x'>key</db:verify>"));
    speaker.feed(answer);
    speaker.feed(answer);
    assert_eq!(verified(&speaker), 1);
    // A result that was never claimed makes nothing ready.
    speaker.feed("<db:result from='capulet.example' to='other.example' type='valid'/>");
    assert!(speaker.ready().is_empty());
}

#[test]
fn a_certificate_that_proves_nothing_stops_a_speaker_before_it_says_a_word() {
    let mut speaker = Speaker::new(options(), Security::DirectTls);
    speaker.trust = Trust::Refused("it is one of evil.example".into());
    assert_eq!(speaker.input(Input::TlsReady(handshake())), "");
    assert!(matches!(speaker.failure(), Some(Failure::Untrusted(_))));
}
