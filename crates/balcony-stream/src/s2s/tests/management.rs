//! XEP-0198 between servers.

use super::*;

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3'/>";
const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";
const VALID: &str = "<db:result from='capulet.example' to='montague.example' type='valid'/>";
const SM: &str = "<sm xmlns='urn:xmpp:sm:3'/>";

fn answer(h: u32) -> String {
    format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")
}

#[test]
fn only_what_came_behind_enable_is_counted_however_late_it_is_handled() {
    let mut hearer = Hearer::proved();
    hearer.feed(MESSAGE);
    assert_eq!(hearer.feed(ENABLE), ENABLED);
    hearer.feed(MESSAGE);
    // The first of the two was before.
    hearer.machine.handled(1);
    assert_eq!(hearer.feed(REQUEST), answer(0));
    hearer.machine.handled(1);
    assert_eq!(hearer.feed(REQUEST), answer(1));
    assert!(hearer.feed(ENABLE).contains("<stream:error>"));
}

#[test]
fn nothing_is_ready_until_it_is_known_whether_stanzas_are_counted() {
    let mut speaker = Speaker::offered(SM);
    assert_eq!(speaker.feed(VALID), ENABLE);
    assert!(speaker.ready().is_empty());
    assert_eq!(speaker.machine.deadline(), Some(Duration::from_secs(60)));
    speaker.feed(ENABLED);
    let [Output::Counts, Output::Ready { .. }] = speaker.seen.as_slice() else {
        panic!("{:?}", speaker.seen);
    };
    assert_eq!(speaker.machine.deadline(), None);
}

#[test]
fn without_counting_it_goes_on() {
    let mut speaker = Speaker::offered(SM);
    speaker.feed(VALID);
    speaker.feed("<failed xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(speaker.ready().len(), 1);

    let mut silent = Speaker::offered(SM);
    silent.feed(VALID);
    silent.now = silent.machine.deadline().unwrap();
    silent.input(Input::Timeout);
    assert_eq!(silent.ready().len(), 1);
    assert!(silent.failure().is_none());
}

#[test]
fn acknowledgements_are_of_what_was_sent_and_no_more() {
    let mut speaker = Speaker::offered(SM);
    speaker.feed(VALID);
    speaker.feed(ENABLED);
    speaker.seen.clear();
    speaker.machine.sent(3);
    speaker.machine.request();
    speaker.machine.request();
    assert_eq!(speaker.drain(), REQUEST);
    speaker.feed(&answer(2));
    assert!(matches!(speaker.seen.as_slice(), [Output::Acknowledged(2)]));
    let error = speaker.feed(&answer(4));
    assert!(error.contains("handled-count-too-high"), "{error}");
    assert!(closed(&speaker.seen));
}
