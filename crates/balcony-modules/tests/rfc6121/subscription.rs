//! RFC 6121 §3.

use crate::stage::{Client, Stage};

/// Romeo and Juliet, both online, subscribed to each other.
pub(crate) async fn mutual(stage: &Stage) -> (Client, Client) {
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    romeo
        .send("<presence type='subscribe' to='juliet@localhost'/>")
        .await;
    juliet
        .send("<presence type='subscribed' to='romeo@localhost'/>")
        .await;
    juliet
        .send("<presence type='subscribe' to='romeo@localhost'/>")
        .await;
    romeo
        .send("<presence type='subscribed' to='juliet@localhost'/>")
        .await;
    romeo.read();
    juliet.read();
    (romeo, juliet)
}

fn has(seen: &[String], parts: &[&str]) {
    assert_eq!(seen.len(), parts.len(), "{seen:#?}");
    for (stanza, part) in seen.iter().zip(parts) {
        assert!(stanza.contains(part), "{part} in {seen:#?}");
    }
}

#[tokio::test]
async fn a_request_is_approved() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    romeo.send("<presence type='subscribe' to='juliet@localhost/balcony' id='a'><status>Hi</status></presence>").await;
    has(
        &romeo.read(),
        &["<item ask='subscribe' jid='juliet@localhost' subscription='none'/>"],
    );
    juliet.sees(&["<presence from='romeo@localhost' to='juliet@localhost' id='a' type='subscribe'><status>Hi</status></presence>"]);
    juliet
        .send("<presence type='subscribed' to='romeo@localhost' id='b'/>")
        .await;
    has(
        &juliet.read(),
        &["<item jid='romeo@localhost' subscription='from'/>"],
    );
    has(
        &romeo.read(),
        &[
            "<presence from='juliet@localhost' to='romeo@localhost' id='b' type='subscribed'/>",
            "<item jid='juliet@localhost' subscription='to'/>",
            "<presence from='juliet@localhost/balcony' to='romeo@localhost'/>",
        ],
    );
}

#[tokio::test]
async fn a_request_waits_whole_until_it_is_answered() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let request = "<presence type='subscribe' to='juliet@localhost' id='a'><nick xmlns='http://jabber.org/protocol/nick'>Montague</nick></presence>";
    romeo.send(request).await;
    romeo
        .send("<presence type='subscribe' to='juliet@localhost' id='second'/>")
        .await;
    for _ in 0..2 {
        let juliet = stage.bind("juliet@localhost/balcony");
        juliet.send("<presence/>").await;
        let seen = juliet.read();
        let requests: Vec<_> = seen
            .iter()
            .filter(|s| s.contains("type='subscribe'"))
            .collect();
        assert_eq!(requests.len(), 1, "{seen:?}");
        assert!(requests[0].contains(">Montague</nick>"), "{requests:?}");
        juliet.lost().await;
    }
    let juliet = stage.online("juliet@localhost/balcony").await;
    juliet
        .send("<presence type='unsubscribed' to='romeo@localhost'/>")
        .await;
    juliet.sees(&[]);
    has(
        &romeo.read(),
        &[
            "ask='subscribe'",
            "type='unsubscribed'",
            "<item jid='juliet@localhost' subscription='none'/>",
        ],
    );
    let chamber = stage.bind("juliet@localhost/chamber");
    chamber.send("<presence/>").await;
    assert!(!chamber.read().concat().contains("subscribe"));
}

#[tokio::test]
async fn cancelling_hides_first() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let (romeo, juliet) = mutual(&stage).await;
    juliet
        .send("<presence type='unsubscribed' to='romeo@localhost'/>")
        .await;
    has(
        &juliet.read(),
        &["<item jid='romeo@localhost' subscription='to'/>"],
    );
    has(
        &romeo.read(),
        &[
            "<presence from='juliet@localhost/balcony' to='romeo@localhost' type='unavailable'/>",
            "<presence from='juliet@localhost' to='romeo@localhost' type='unsubscribed'/>",
            "<item jid='juliet@localhost' subscription='from'/>",
        ],
    );
    juliet.send("<presence><show>away</show></presence>").await;
    romeo.sees(&[]);
}

#[tokio::test]
async fn unsubscribing_is_told_and_answered() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let (romeo, juliet) = mutual(&stage).await;
    romeo
        .send("<presence type='unsubscribe' to='juliet@localhost'/>")
        .await;
    has(&juliet.read(), &["type='unsubscribe'", "subscription='to'"]);
    has(
        &romeo.read(),
        &[
            "<item jid='juliet@localhost' subscription='from'/>",
            "type='unavailable'",
        ],
    );
}

#[tokio::test]
async fn an_approval_in_advance_answers_the_request() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    juliet
        .send("<presence type='subscribed' to='romeo@localhost'/>")
        .await;
    has(
        &juliet.read(),
        &["<item approved='true' jid='romeo@localhost' subscription='none'/>"],
    );
    romeo.sees(&[]);
    romeo
        .send("<presence type='subscribe' to='juliet@localhost' id='a'/>")
        .await;
    has(
        &juliet.read(),
        &["<item approved='true' jid='romeo@localhost' subscription='from'/>"],
    );
    has(
        &romeo.read(),
        &[
            "ask='subscribe'",
            "<presence from='juliet@localhost' to='romeo@localhost' id='a' type='subscribed'/>",
            "<item jid='juliet@localhost' subscription='to'/>",
            "<presence from='juliet@localhost/balcony' to='romeo@localhost'/>",
        ],
    );
    juliet
        .send("<presence type='unsubscribed' to='romeo@localhost'/>")
        .await;
    has(
        &juliet.read(),
        &["<item jid='romeo@localhost' subscription='none'/>"],
    );
}

#[tokio::test]
async fn nobody_answers_for_an_account_that_is_not_there() {
    let stage = Stage::new(&["romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    for kind in ["subscribe", "subscribed", "unsubscribe", "unsubscribed"] {
        romeo
            .send(&format!("<presence type='{kind}' to='nobody@localhost'/>"))
            .await;
    }
    let seen = romeo.read();
    assert!(
        seen.iter()
            .all(|stanza| stanza.contains("jabber:iq:roster")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_request_to_another_server_is_refused_and_leaves_no_trace() {
    let stage = Stage::new(&["romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let seen = romeo
        .ask("<presence type='subscribe' to='juliet@elsewhere.example'/>")
        .await;
    has(&seen, &["remote-server-not-found"]);
    let roster = romeo
        .ask("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    assert!(!roster.concat().contains("<item"), "{roster:?}");
}

#[tokio::test]
async fn a_lost_request_is_healed_by_the_next_login() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    juliet
        .send("<presence type='subscribed' to='romeo@localhost'/>")
        .await;
    // Romeo asked, and the server crashed before the request arrived.
    let item = balcony_store::RosterItem {
        jid: "juliet@localhost".into(),
        ask: true,
        ..Default::default()
    };
    let write = balcony_store::Write::RosterSet {
        account: "romeo@localhost".into(),
        item,
        base: None,
        max_items: 9,
    };
    stage.core.store().commit(write.into()).await.unwrap();
    let romeo = stage.bind("romeo@localhost/orchard");
    romeo
        .send("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    romeo.send("<presence/>").await;
    let seen = romeo.read().concat();
    assert!(
        seen.contains("<item jid='juliet@localhost' subscription='to'/>"),
        "{seen}"
    );
    assert!(
        seen.contains("<presence from='juliet@localhost/balcony' to='romeo@localhost'/>"),
        "{seen}"
    );
}

#[tokio::test]
async fn contacts_of_a_deleted_account_are_told() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let (_romeo, juliet) = mutual(&stage).await;
    let romeo = balcony_proto::jid::Jid::parse("romeo@localhost").unwrap();
    stage.core.delete_account(&romeo).await.unwrap();
    let seen = juliet.read().concat();
    assert!(
        seen.contains("type='unsubscribe'") && seen.contains("type='unsubscribed'"),
        "{seen}"
    );
    assert!(
        seen.contains("<item jid='romeo@localhost' subscription='none'/>"),
        "{seen}"
    );
    assert!(
        seen.contains("from='romeo@localhost/orchard' to='juliet@localhost' type='unavailable'")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_ask_and_approve_at_once_end_up_subscribed() {
    const NAMES: [&str; 6] = ["romeo", "juliet", "nurse", "tybalt", "paris", "rosaline"];
    let (stage, _folder) = Stage::on_disk(&NAMES).await;
    let mut tasks = tokio::task::JoinSet::new();
    for own in NAMES {
        let client = stage.online(&format!("{own}@localhost/a")).await;
        let second = stage.online(&format!("{own}@localhost/b")).await;
        tasks.spawn(async move {
            for other in NAMES.into_iter().filter(|other| *other != own) {
                client
                    .send(&format!(
                        "<presence type='subscribed' to='{other}@localhost'/>"
                    ))
                    .await;
                client
                    .send(&format!(
                        "<presence type='subscribe' to='{other}@localhost'/>"
                    ))
                    .await;
                second.send("<presence><show>away</show></presence>").await;
            }
            client.send("<presence type='unavailable'/>").await;
            second.lost().await;
            client.lost().await;
        });
    }
    let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, all)
        .await
        .expect("somebody waits for a turn that never comes");
    for own in NAMES {
        let client = stage.bind(&format!("{own}@localhost/a"));
        let get = "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>";
        let roster = client.ask(get).await.concat();
        assert_eq!(
            roster.matches("subscription='both'").count(),
            5,
            "{own}: {roster}"
        );
        assert!(!roster.contains("ask="), "{own}: {roster}");
    }
}
