//! How streams end, and what of one stream must not reach into the next.

use super::*;

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// Without a reason the owner would take the stream for one that was of use, and open the next at
/// once.
#[test]
fn a_stream_that_we_opened_never_ends_without_a_reason() {
    for odd in [
        MESSAGE,
        "<iq type='odd'/>",
        "<x xmlns='urn:x'/>",
        "<db:result from='capulet.example' to='montague.example'>k</db:result>",
        "<a xmlns='urn:xmpp:sm:3' h='1'/>",
    ] {
        let mut speaker = Speaker::offered("");
        assert!(speaker.feed(odd).contains("<stream:error>"), "{odd}");
        assert!(closed(&speaker.seen), "{odd}");
        assert!(
            matches!(speaker.failure(), Some(Failure::Refused(_))),
            "{odd}: {:?}",
            speaker.seen
        );
    }
    let mut speaker = Speaker::offered("");
    speaker
        .machine
        .end(Some(&StreamError::new(StreamCondition::Reset)));
    speaker.drain();
    assert!(closed(&speaker.seen) && speaker.failure().is_none());
}

/// RFC 6120 §4.9.1.1
#[test]
fn who_ends_a_stream_by_reason_of_an_error_says_so() {
    let mut speaker = Speaker::offered("");
    let said = speaker.feed("HTTP/1.1 400 Bad Request");
    assert!(said.contains("<stream:error>"), "{said}");
    assert!(matches!(speaker.failure(), Some(Failure::NotXmpp(_))));
    let mut speaker = Speaker::offered("");
    speaker.now = speaker.machine.deadline().unwrap();
    let said = speaker.input(Input::Timeout);
    assert!(said.contains("<connection-timeout "), "{said}");
    assert_eq!(speaker.failure(), Some(&Failure::TimedOut));
}

#[test]
fn a_verdict_about_a_key_for_one_stream_proves_nothing_on_the_next() {
    let mut hearer = Hearer::clear();
    hearer.feed(HEADER);
    hearer.feed(CLAIM);
    hearer.feed(STARTTLS);
    hearer.input(Input::TlsReady(handshake()));
    hearer.feed(HEADER);
    // The same pair again, with a key for the stream that is open now.
    assert_eq!(hearer.feed(CLAIM), "");
    let first = hearer.claimed.first().map(|(_, id)| id.clone()).unwrap();
    let pair = Pair::new("montague.example", "capulet.example");
    hearer.machine.decide(&pair, &first, Verdict::Valid);
    assert_eq!(hearer.drain(), "");
    let proved = |output: &Output| matches!(output, Output::Proved { .. });
    assert!(!hearer.seen.iter().any(proved), "{:?}", hearer.seen);
    assert!(
        hearer
            .decide("capulet.example", Verdict::Valid)
            .contains("type='valid'")
    );
    assert!(hearer.seen.iter().any(proved));
}

#[test]
fn claims_that_fail_are_bounded() {
    let mut hearer = Hearer::proved();
    for number in 0..200 {
        let domain = format!("d{number}.example");
        hearer.feed(&CLAIM.replace("capulet.example", &domain));
        let error = StanzaError::remote_server_not_found();
        hearer.decide(&domain, Verdict::Error(error));
    }
    assert!(hearer.is_closed());
    assert_eq!(hearer.claims(), 100);
}
