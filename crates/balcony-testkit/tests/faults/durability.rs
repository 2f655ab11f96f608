//! `kill -9`: what was answered with success is there after it.

use std::path::PathBuf;
use std::process::Command;

use balcony_testkit::run::{Balcony, binary};

use crate::client::{Client, PASSWORD};

/// Builds the binary, so that no old one is tested.
pub(crate) fn built() -> PathBuf {
    if std::env::var_os("BALCONY_BIN").is_none() {
        let mut cargo = Command::new(env!("CARGO"));
        let built = cargo.args(["build", "--quiet", "-p", "balcony"]).status();
        assert!(built.unwrap().success(), "the binary cannot be built");
    }
    binary().unwrap()
}

fn server() -> Balcony {
    let config = "[tls]\nrequired = false\n[auth]\niterations = 4096\n";
    let server = Balcony::start(&built(), config).unwrap();
    for name in ["romeo", "juliet"] {
        let account = format!("{name}@localhost");
        server.add_account(&account, PASSWORD).unwrap();
    }
    server
}

fn set_item(client: &mut Client, round: usize) {
    client.send(&format!(
        "<iq type='set' id='set'><query xmlns='jabber:iq:roster'>\
         <item jid='contact{round}@localhost' name='Contact {round}'/></query></iq>"
    ));
    client.until("id='set'");
}

fn roster(client: &mut Client) -> String {
    client.send("<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>");
    client.until("</query></iq>")
}

#[test]
fn what_was_answered_outlives_the_process() {
    let mut server = server();
    for round in 0..5 {
        let account = format!("nurse{round}@localhost");
        server.add_account(&account, PASSWORD).unwrap();
        let mut romeo = Client::login(server.plain, "romeo");
        romeo.send(&format!(
            "<message to='juliet@localhost' type='chat'><body>message {round}</body></message>"
        ));
        set_item(&mut romeo, round);
        // No instant between the answer and the end.
        server.kill_and_restart().unwrap();
        let mut romeo = Client::login(server.plain, "romeo");
        let roster = roster(&mut romeo);
        Client::login(server.plain, &format!("nurse{round}")).ping();
        for earlier in 0..=round {
            let name = format!("name='Contact {earlier}'");
            assert!(roster.contains(&name), "{name} is lost: {roster}");
        }
    }
    let mut juliet = Client::login(server.plain, "juliet");
    juliet.send("<presence/>");
    for round in 0..5 {
        let message = juliet.until("</message>");
        let body = format!("<body>message {round}</body>");
        assert!(message.contains(&body), "{body} is lost: {message}");
    }
}

#[test]
fn what_was_delivered_does_not_come_again() {
    let mut server = server();
    let mut romeo = Client::login(server.plain, "romeo");
    romeo.send("<message to='juliet@localhost' type='chat'><body>once</body></message>");
    romeo.ping();
    let mut juliet = Client::online(server.plain, "juliet");
    juliet.until("<body>once</body>");
    juliet.until("</message>");
    // What it answers now, it answers with the row of the message gone.
    juliet.ping();
    set_item(&mut juliet, 0);
    server.kill_and_restart().unwrap();
    let mut juliet = Client::online(server.plain, "juliet");
    juliet.send("<iq type='get' id='end'><ping xmlns='urn:xmpp:ping'/></iq>");
    let came = juliet.until("id='end'");
    assert!(!came.contains("once"), "{came}");
}

#[test]
fn an_account_that_was_deleted_stays_deleted() {
    let mut server = server();
    server
        .command(&["user", "del", "--yes", "romeo@localhost"], "")
        .unwrap();
    server.kill_and_restart().unwrap();
    let accounts = server.command(&["user", "list"], "").unwrap();
    assert!(accounts.contains("juliet@localhost"), "{accounts}");
    assert!(!accounts.contains("romeo@localhost"), "{accounts}");
}
