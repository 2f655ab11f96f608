//! What a server may not do, and what comes of it.

use super::*;

#[test]
fn nothing_is_said_before_a_domain_is_proved() {
    for element in [
        MESSAGE,
        "<presence/>",
        "<iq/>",
        "<enable xmlns='urn:xmpp:sm:3'/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
    ] {
        let mut hearer = Hearer::encrypted(true);
        hearer.feed(HEADER);
        let answer = hearer.feed(element);
        assert!(
            answer.contains("<not-authorized ") && hearer.is_closed(),
            "{element}: {answer}"
        );
        assert!(stanzas(&hearer.seen).is_empty());
    }
}

#[test]
fn stanzas_are_of_the_proved_domain_and_have_both_addresses() {
    for (stanza, condition) in [
        (
            "<message from='juliet@evil.example' to='romeo@montague.example'/>",
            "invalid-from",
        ),
        (
            "<message from='juliet@x.capulet.example' to='romeo@montague.example'/>",
            "invalid-from",
        ),
        (
            "<message to='romeo@montague.example'/>",
            "improper-addressing",
        ),
        (
            "<message from='juliet@capulet.example'/>",
            "improper-addressing",
        ),
        // With another fault besides.
        (
            "<iq type='odd' from='victim@evil.example' to='romeo@montague.example'/>",
            "invalid-from",
        ),
        (
            "<iq type='odd' from='@' to='romeo@montague.example'/>",
            "invalid-from",
        ),
        (
            "<iq type='odd' to='romeo@montague.example'/>",
            "improper-addressing",
        ),
    ] {
        let mut hearer = Hearer::proved();
        let answer = hearer.feed(stanza);
        assert!(
            answer.contains(&format!("<{condition} ")) && hearer.is_closed(),
            "{stanza}: {answer}"
        );
        assert_eq!(hearer.seen.len(), 1, "{:?}", hearer.seen);
    }
    let mut hearer = Hearer::proved();
    hearer.feed("<iq type='get' id='x' from='juliet@capulet.example' to='@'/>");
    assert!(matches!(hearer.seen.as_slice(), [Output::BadStanza(_)]));
}

#[test]
fn headers_say_for_whom_and_from_whom() {
    for (header, condition) in [
        (
            HEADER.replace("to='montague.example' ", ""),
            "improper-addressing",
        ),
        (
            HEADER.replace("to='m", "to='romeo@m"),
            "improper-addressing",
        ),
        (HEADER.replace("from='c", "from='juliet@c"), "invalid-from"),
        (
            HEADER.replace("jabber:server'", "jabber:client'"),
            "invalid-namespace",
        ),
    ] {
        let mut hearer = Hearer::encrypted(true);
        let answer = hearer.feed(&header);
        assert!(answer.contains(&format!("<{condition} ")), "{answer}");
        assert!(answer.contains("<stream:stream ") && hearer.is_closed());
    }
    for element in [
        "<db:result to='montague.example'>x</db:result>",
        "<db:verify from='capulet.example' id='x'>x</db:verify>",
    ] {
        let mut hearer = Hearer::encrypted(false);
        hearer.feed(HEADER);
        assert!(hearer.feed(element).contains("<improper-addressing "));
    }
}

#[test]
fn nothing_but_tls_is_possible_in_clear_where_it_is_required() {
    let mut hearer = Hearer::new(Security::Plain);
    let answer = hearer.feed(HEADER);
    let features = answer.split_once("<stream:features>").unwrap().1;
    assert_eq!(
        features,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
    );
    let answer = hearer.feed(CLAIM);
    assert!(answer.contains("<policy-violation "), "{answer}");
    assert_eq!(hearer.claims(), 0);
    for element in [
        "<bidi xmlns='urn:xmpp:bidi'/>",
        "<db:verify from='capulet.example' to='montague.example' id='x'>x</db:verify>",
    ] {
        let mut hearer = Hearer::new(Security::Plain);
        hearer.feed(HEADER);
        hearer.feed(element);
        assert!(hearer.is_closed(), "{element}");
    }
}

#[test]
fn a_speaker_that_wants_tls_says_nothing_without_it() {
    for features in [
        "<stream:features/>",
        "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>",
    ] {
        let mut speaker = Speaker::new(options(), Security::Plain);
        speaker.drain();
        speaker.feed(ANSWER);
        let said = speaker.feed(features);
        assert_eq!(speaker.failure(), Some(&Failure::NoTls));
        assert!(!said.contains("db:result"), "{said}");
    }
    let mut speaker = Speaker::new(options(), Security::Plain);
    speaker.drain();
    speaker.feed(&ANSWER.replace(" version='1.0'>", ">"));
    assert_eq!(speaker.failure(), Some(&Failure::NoTls));
}

#[test]
fn what_comes_behind_starttls_or_proceed_in_clear_is_dropped() {
    let mut hearer = Hearer::new(Security::Plain);
    hearer.feed(HEADER);
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let answer = hearer.feed(&format!("{starttls}{HEADER}{CLAIM}"));
    assert_eq!(answer, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(hearer.feed(CLAIM), "");
    assert_eq!(hearer.input(Input::TlsReady(handshake())), "");
    assert_eq!(hearer.machine.buffered(), 0);
    hearer.feed(HEADER);
    assert_eq!(hearer.claims(), 0);

    let mut speaker = Speaker::new(options(), Security::Plain);
    speaker.drain();
    speaker.feed(ANSWER);
    speaker.feed(&format!("<stream:features>{starttls}</stream:features>"));
    let proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let injected = "<db:result from='capulet.example' to='montague.example' type='valid'/>";
    speaker.feed(&format!("{proceed}{ANSWER}<stream:features/>{injected}"));
    let header = speaker.input(Input::TlsReady(handshake()));
    assert!(header.starts_with("<?xml") && !header.contains("db:result"));
    assert!(speaker.ready().is_empty() && speaker.failure().is_none());
}

#[test]
fn what_was_claimed_in_clear_is_not_proved_by_a_later_verdict() {
    let mut hearer = Hearer::clear();
    hearer.feed(HEADER);
    hearer.feed(CLAIM);
    hearer.feed("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    hearer.input(Input::TlsReady(handshake()));
    assert_eq!(hearer.decide("capulet.example", Verdict::Valid), "");
    hearer.feed(HEADER);
    assert!(hearer.feed(MESSAGE).contains("<not-authorized "));
}

#[test]
fn what_waits_for_a_verdict_is_bounded_and_so_is_what_is_proved() {
    let claim = |number: usize| {
        format!("<db:result from='d{number}.example' to='montague.example'>x</db:result>")
    };
    let mut hearer = Hearer::proved();
    for number in 0..64 {
        assert_eq!(hearer.feed(&claim(number)), "");
    }
    assert_eq!(hearer.feed(&claim(0)), "", "the same again waits too");
    let answer = hearer.feed(&claim(64));
    assert!(
        answer.contains("<resource-constraint ") && !hearer.is_closed(),
        "{answer}"
    );
    assert_eq!(hearer.claims(), 64);
    for number in 0..1000 {
        hearer.feed(&claim(number));
        hearer.decide(&format!("d{number}.example"), Verdict::Valid);
    }
    assert!(hearer.feed(&claim(1000)).contains("<resource-constraint "));
}

#[test]
fn bytes_before_a_proof_are_bounded_and_later_ones_while_a_question_is_open() {
    let mut hearer = Hearer::encrypted(false);
    hearer.feed(HEADER);
    for _ in 0..64 {
        hearer.feed(&" ".repeat(1024));
    }
    assert!(hearer.is_closed());

    let mut hearer = Hearer::encrypted(true);
    hearer.feed(HEADER);
    hearer.feed("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    hearer.silent = true;
    hearer.feed(HEADER);
    for _ in 0..65 {
        hearer.feed(&" ".repeat(1024));
    }
    assert!(hearer.is_closed() && hearer.machine.buffered() == 0);
}

#[test]
fn an_answer_to_what_was_not_asked_ends_the_stream() {
    let valid = "<db:result from='capulet.example' to='montague.example' type='valid'/>";
    let mut hearer = Hearer::encrypted(false);
    hearer.feed(HEADER);
    hearer.feed(valid);
    assert!(hearer.is_closed());
}

#[test]
fn stanzas_the_other_way_need_bidi_and_the_inverse_pair() {
    let ready = "<db:result from='capulet.example' to='montague.example' type='valid'/>";
    let mut speaker = Speaker::offered("");
    speaker.feed(ready);
    assert!(speaker.feed(MESSAGE).contains("<not-authorized "));

    let bidi = "<bidi xmlns='urn:xmpp:features:bidi'/>";
    let mut speaker = Speaker::offered(bidi);
    assert!(speaker.feed(MESSAGE).contains("<not-authorized "));
    for from in ["evil.example", "x.capulet.example"] {
        let mut speaker = Speaker::offered(bidi);
        speaker.feed(ready);
        speaker.feed(MESSAGE);
        assert_eq!(stanzas(&speaker.seen).len(), 1);
        let other = MESSAGE.replace("capulet.example", from);
        assert!(speaker.feed(&other).contains("<invalid-from "));
        assert_eq!(stanzas(&speaker.seen).len(), 1);
    }
}

#[test]
fn a_further_domain_claimed_the_other_way_is_refused_and_the_stream_goes_on() {
    // XEP-0288 §2.2
    let mut speaker = Speaker::offered("<bidi xmlns='urn:xmpp:features:bidi'/>");
    speaker.feed("<db:result from='capulet.example' to='montague.example' type='valid'/>");
    let answer =
        speaker.feed("<db:result from='rooms.capulet.example' to='montague.example'>x</db:result>");
    assert!(
        answer.contains("to='rooms.capulet.example' type='error'")
            && answer.contains("<resource-constraint "),
        "{answer}"
    );
    speaker.feed(MESSAGE);
    assert_eq!(stanzas(&speaker.seen).len(), 1);
}

#[test]
fn a_stanza_is_the_same_from_a_server_as_from_a_client() {
    // RFC 6120 §4.8.3
    let mut hearer = Hearer::proved();
    hearer.feed(
        "<message from='juliet@capulet.example' to='romeo@montague.example'><body>O &amp; O</body>\
         <x xmlns='urn:x'><body xmlns='jabber:server'/></x></message>",
    );
    let from_server = stanzas(&hearer.seen)[0].clone();
    let mut scanner =
        balcony_proto::xml::Scanner::new(balcony_proto::ns::CLIENT, Limits::AFTER_LOGIN);
    let text = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
         <message from='juliet@capulet.example' to='romeo@montague.example'><body>O &amp; O</body>\
         <x xmlns='urn:x'><body xmlns='jabber:server'/></x></message>";
    let mut input = text.as_bytes();
    scanner.next(&mut input).unwrap();
    let Ok(Some(balcony_proto::xml::Item::Stanza(from_client))) = scanner.next(&mut input) else {
        panic!("no stanza");
    };
    assert_eq!(from_server.body().as_deref(), Some("O & O"));
    assert_eq!(from_server.to_bytes(), from_client.to_bytes());
}

#[test]
fn time_runs_until_a_domain_is_proved_and_no_xml_goes_into_a_handshake() {
    let mut hearer = Hearer::encrypted(false);
    hearer.feed(HEADER);
    assert_eq!(hearer.machine.deadline(), Some(Duration::from_secs(60)));
    hearer.now = Duration::from_secs(60);
    assert!(
        hearer
            .input(Input::Timeout)
            .contains("<connection-timeout ")
    );
    assert_eq!(Hearer::proved().machine.deadline(), None);

    let mut hearer = Hearer::new(Security::Plain);
    hearer.feed(HEADER);
    hearer.feed("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    hearer.now = hearer.machine.deadline().unwrap();
    assert_eq!(hearer.now, Duration::from_secs(15));
    assert_eq!(hearer.input(Input::Timeout), "");
    assert!(hearer.is_closed());
}
