//! XEP-0313, where several write at a time and where accounts come and go.

use std::sync::Arc;

use balcony_core::config::Config;
use balcony_core::module::Event;
use balcony_proto::jid::Jid;
use balcony_store::WriteSet;

use crate::faulty::WithoutRosters;
use crate::stage::{Client, PATIENCE, Stage};

/// Messages of each writer: several pages.
const EACH: usize = 20;

const WRITERS: [&str; 3] = ["romeo", "nurse", "peter"];

/// What stands between two texts, wherever they do.
fn between(seen: &[String], start: &str, end: &str) -> Vec<String> {
    let part = |text: &String| {
        let (_, rest) = text.split_once(start)?;
        Some(rest.split_once(end)?.0.to_owned())
    };
    seen.iter().filter_map(part).collect()
}

fn bodies(seen: &[String]) -> Vec<String> {
    between(seen, "<body>", "</body>")
}

/// Reads a whole archive, seven messages at a time, each page behind the last message of the one
/// before: ids and bodies.
async fn pages(client: &Client) -> (Vec<String>, Vec<String>) {
    let (mut ids, mut said, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let query = format!(
            "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>\
             <x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>{after}</x>\
             <set xmlns='http://jabber.org/protocol/rsm'><max>7</max></set></query></iq>"
        );
        let seen = client.ask(&query).await;
        let page = between(&seen, "<result xmlns='urn:xmpp:mam:2' id='", "'");
        said.extend(bodies(&seen));
        ids.extend(page.iter().cloned());
        if seen
            .last()
            .is_none_or(|fin| fin.contains("complete='true'"))
        {
            return (ids, said);
        }
        let last = page
            .last()
            .expect("a page that is not the last has a message");
        after = format!("<field var='after-id'><value>{last}</value></field>");
    }
}

/// Everybody writes to Juliet at once, and nobody waits for the other.
async fn all_write(stage: &Stage) {
    let writers = WRITERS.map(|name| (name, stage.bind(&format!("{name}@localhost/x"))));
    let mut tasks = Vec::new();
    for (name, writer) in writers {
        tasks.push(tokio::spawn(async move {
            for n in 0..EACH {
                writer
                    .send(&format!(
                        "<message type='chat' to='juliet@localhost' id='{name}{n}'>\
                         <body>{name} {n}</body></message>"
                    ))
                    .await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// What a client reads until it has all that was written. The task that looks for offline messages
/// may still be at work, and what comes meanwhile goes through its hands.
async fn all_read(client: &Client) -> Vec<String> {
    let mut seen = Vec::new();
    let read = async {
        while bodies(&seen).len() < WRITERS.len() * EACH {
            tokio::task::yield_now().await;
            seen.extend(client.read());
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, read).await;
    in_time.expect("a message does not come");
    seen
}

/// Every message once, those of each writer in the order in which they were written.
fn is_whole(said: &[String]) {
    assert_eq!(said.len(), WRITERS.len() * EACH);
    for name in WRITERS {
        let own = said.iter().filter(|body| body.starts_with(name));
        let wanted: Vec<_> = (0..EACH).map(|n| format!("{name} {n}")).collect();
        assert_eq!(own.cloned().collect::<Vec<_>>(), wanted);
    }
}

async fn no_holes(stage: &Stage) {
    let juliet = stage.online("juliet@localhost/balcony").await;
    all_write(stage).await;
    let live = all_read(&juliet).await;
    is_whole(&bodies(&live));
    let (ids, said) = pages(&juliet).await;
    assert_eq!(said, bodies(&live), "the archive has the order of delivery");
    let stamped = between(&live, "by='juliet@localhost' id='", "'");
    assert_eq!(ids, stamped, "and the ids that were told with the messages");
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len());
}

/// A resource of which the modules were told.
async fn told(stage: &Stage, jid: &str) -> Client {
    let client = stage.bind(jid);
    let bound = Event::Bound(std::sync::Arc::clone(&client.session));
    if let Some(pending) = stage.core.fire(bound) {
        pending.await;
    }
    client
}

const ALL: [&str; 4] = ["juliet", "romeo", "nurse", "peter"];

#[tokio::test]
async fn pages_show_each_message_once_in_the_order_of_delivery() {
    no_holes(&Stage::new(&ALL).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_show_each_message_once_where_commits_take_their_time() {
    let (stage, _folder) = Stage::on_disk(&ALL).await;
    no_holes(&stage).await;
}

#[tokio::test]
async fn an_account_that_is_made_anew_has_an_archive_while_a_session_of_the_old_one_lingers() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.bind("romeo@localhost/orchard");
    let lingers = told(&stage, "juliet@localhost/balcony").await;
    let account = Jid::parse("juliet@localhost").unwrap();
    stage.core.delete_account(&account).await.unwrap();
    let create = stage
        .core
        .create_account(&account, "secret", WriteSet::new());
    if let Some(told) = create.await.unwrap() {
        told.await;
    }
    let juliet = told(&stage, "juliet@localhost/garden").await;
    let say = "<message type='chat' to='juliet@localhost/garden'><body>anew</body></message>";
    romeo.send(say).await;
    juliet.read();
    assert_eq!(pages(&juliet).await.1, ["anew"]);
    lingers.lost().await;
}

#[tokio::test]
async fn contacts_are_archived_though_the_roster_decides_only_since_a_reload() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.bind("romeo@localhost/orchard");
    // Has never asked for its roster, which is not at hand then.
    let juliet = told(&stage, "juliet@localhost/balcony").await;
    let config = Config::parse("[archive]\ndefault = \"roster\"", None, &[]).unwrap();
    stage.core.reload(config);
    let say = "<message type='chat' to='juliet@localhost/balcony'><body>kept</body></message>";
    romeo.send(say).await;
    juliet.read();
    assert_eq!(pages(&juliet).await.1, ["kept"]);
}

#[tokio::test]
async fn preferences_that_are_answered_with_an_error_are_not_stored() {
    let store = Arc::new(WithoutRosters::new().await);
    let stage = Stage::over(store, &["juliet"], "").await;
    let juliet = stage.bind("juliet@localhost/balcony");
    let set = "<iq type='set' id='1'><prefs xmlns='urn:xmpp:mam:2' default='roster'/></iq>";
    assert!(juliet.ask(set).await[0].contains("type='error'"));
    let get = "<iq type='get' id='2'><prefs xmlns='urn:xmpp:mam:2'/></iq>";
    assert!(juliet.ask(get).await[0].contains("default='always'"));
}
