//! XEP-0198 §5 over the life of the process: a session is resumed after an orderly restart; after
//! `kill -9` its client learns what was handled, and what it missed is delivered.

use balcony_testkit::run::Balcony;

use crate::client::{Client, PASSWORD};
use crate::durability::built;

fn server() -> Balcony {
    let config = "[tls]\nrequired = false\n[auth]\niterations = 4096\n";
    let server = Balcony::start(&built(), config).unwrap();
    for name in ["romeo", "juliet"] {
        let account = format!("{name}@localhost");
        server.add_account(&account, PASSWORD).unwrap();
    }
    server
}

/// The value of an attribute in what came.
fn attr(text: &str, name: &str) -> String {
    let start = text.find(&format!("{name}='")).unwrap() + name.len() + 2;
    let value = &text[start..];
    value[..value.find('\'').unwrap()].to_owned()
}

/// Enables stream management; answers the stream's name.
fn enable(client: &mut Client) -> String {
    client.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    let enabled = client.until("<enabled ") + &client.until("/>");
    attr(&enabled, "id")
}

/// All that the client's stanzas did is durable when this returns.
fn settle(client: &mut Client, handled: u32) {
    loop {
        client.send("<r xmlns='urn:xmpp:sm:3'/>");
        let answer = client.until("<a ") + &client.until("/>");
        if attr(&answer, "h") == handled.to_string() {
            return;
        }
    }
}

fn message(to: &str, text: &str) -> String {
    format!("<message to='{to}' type='chat'><body>{text}</body></message>")
}

#[test]
fn a_session_is_resumed_after_an_orderly_restart() {
    let mut server = server();
    let mut romeo = Client::online(server.plain, "romeo");
    let mut juliet = Client::online(server.plain, "juliet");
    let name = enable(&mut romeo);
    romeo.send(&message("juliet@localhost", "good night"));
    settle(&mut romeo, 1);
    juliet.until("good night");
    juliet.send(&message("romeo@localhost", "stay"));
    romeo.until("stay");
    // He has got it, and does not say so.
    server.stop_and_restart().unwrap();
    let ended = romeo.rest();
    assert!(ended.contains("system-shutdown"), "{ended}");
    // She is back first; for her he was never away.
    let mut juliet = Client::online(server.plain, "juliet");
    juliet.send(&message("romeo@localhost/test", "come back"));
    juliet.ping();
    let mut romeo = Client::authenticated(server.plain, "romeo");
    romeo.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' h='0' previd='{name}'/>"
    ));
    let resumed = romeo.until("<resumed ") + &romeo.until("/>");
    assert_eq!(attr(&resumed, "h"), "1");
    romeo.until("stay");
    romeo.until("come back");
    romeo.send(&message("juliet@localhost", "I am here"));
    juliet.until("I am here");
}

#[test]
fn what_waited_and_was_given_before_a_restart_is_given_once() {
    let mut server = server();
    let mut juliet = Client::online(server.plain, "juliet");
    juliet.send(&message("romeo@localhost", "stay"));
    juliet.ping();
    let mut romeo = Client::authenticated(server.plain, "romeo");
    romeo.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    romeo.until("id='b'");
    let name = enable(&mut romeo);
    romeo.send("<presence/>");
    romeo.until("stay");
    // He has got it, and does not say so.
    server.stop_and_restart().unwrap();
    let mut romeo = Client::authenticated(server.plain, "romeo");
    // The presence and the message.
    romeo.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' h='2' previd='{name}'/>"
    ));
    romeo.until("<resumed ");
    romeo.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
    let rest = romeo.until("id='p'");
    assert!(!rest.contains("stay"), "{rest}");
    let mut juliet = Client::online(server.plain, "juliet");
    juliet.send(&message("romeo@localhost", "good night"));
    let rest = romeo.until("good night");
    assert!(!rest.contains("stay"), "{rest}");
}

#[test]
fn after_a_kill_the_client_learns_what_was_handled_and_gets_what_it_missed() {
    let mut server = server();
    let mut romeo = Client::online(server.plain, "romeo");
    let mut juliet = Client::online(server.plain, "juliet");
    let name = enable(&mut romeo);
    romeo.send(&message("juliet@localhost", "one"));
    romeo.send(&message("juliet@localhost", "two"));
    settle(&mut romeo, 2);
    enable(&mut juliet);
    juliet.send(&message("romeo@localhost", "missed"));
    settle(&mut juliet, 1);
    server.kill_and_restart().unwrap();
    let mut romeo = Client::authenticated(server.plain, "romeo");
    romeo.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' h='0' previd='{name}'/>"
    ));
    let failed = romeo.until("</failed>");
    assert!(failed.contains("item-not-found"), "{failed}");
    assert_eq!(attr(&failed, "h"), "2");
    romeo.send(
        "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq><presence/>",
    );
    romeo.until("id='bind'");
    romeo.until("missed");
}

#[test]
fn another_account_cannot_take_a_session() {
    let server = server();
    let mut romeo = Client::online(server.plain, "romeo");
    let name = enable(&mut romeo);
    let mut juliet = Client::authenticated(server.plain, "juliet");
    juliet.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' h='0' previd='{name}'/>"
    ));
    let failed = juliet.until("</failed>");
    assert!(!failed.contains(" h="), "it learns nothing: {failed}");
    romeo.ping();
}

#[test]
fn who_resumes_while_the_old_connection_lives_ends_that_one() {
    let server = server();
    let mut before = Client::online(server.plain, "romeo");
    let name = enable(&mut before);
    before.send(&message("romeo@localhost", "to myself"));
    before.until("to myself");
    let mut after = Client::authenticated(server.plain, "romeo");
    after.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' h='1' previd='{name}'/>"
    ));
    let resumed = after.until("<resumed ") + &after.until("/>");
    assert_eq!(attr(&resumed, "h"), "1");
    let ended = before.rest();
    assert!(ended.contains("<conflict "), "{ended}");
    after.ping();
}
