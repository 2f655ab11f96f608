//! XEP-0160.

use crate::stage::{Client, Stage};

const CHAT: &str =
    "<message type='chat' to='juliet@localhost' id='m'><body>Art thou there?</body></message>";
const DELAY: &str = "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2001-09-09T01:46:40";

fn chat(n: usize) -> String {
    format!("<message type='chat' to='juliet@localhost'><body>{n}</body></message>")
}

fn bodies(seen: &[String]) -> Vec<usize> {
    let body = |text: &String| text.split("<body>").nth(1)?.split('<').next()?.parse().ok();
    seen.iter().filter_map(body).collect()
}

#[tokio::test]
async fn a_message_waits_for_the_first_resource_that_takes_messages() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    assert_eq!(romeo.ask(CHAT).await, [""; 0]);
    let juliet = stage.bind("juliet@localhost/balcony");
    juliet
        .send("<presence><priority>-1</priority></presence>")
        .await;
    assert!(!juliet.read().concat().contains("<body>"));
    juliet.send("<presence/>").await;
    let seen = juliet.read().concat();
    assert!(seen.contains("from='romeo@localhost/orchard' to='juliet@localhost' id='m' type='chat'><body>Art thou there?</body>"), "{seen}");
    assert!(seen.contains(DELAY), "{seen}");
    juliet.send("<presence type='unavailable'/>").await;
    juliet.read();
    juliet.send("<presence/>").await;
    assert!(!juliet.read().concat().contains("<body>"), "once");
}

#[tokio::test]
async fn nobody_and_no_room_answer_alike() {
    let stage = Stage::with_config(&["juliet", "romeo"], "[offline]\nmessages = 1").await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    assert_eq!(romeo.ask(CHAT).await, [""; 0]);
    let full = romeo.ask(CHAT).await.concat();
    assert!(full.contains("service-unavailable"), "{full}");
    let nobody = romeo.ask(&CHAT.replace("juliet", "nobody")).await.concat();
    assert_eq!(full.replace("juliet", "nobody"), nobody);
}

#[tokio::test]
async fn what_is_not_kept_tells_a_stranger_nothing() {
    let stage = Stage::new(&["juliet", "romeo", "tybalt"]).await;
    let (romeo, juliet) = crate::subscription::mutual(&stage).await;
    let tybalt = stage.online("tybalt@localhost/street").await;
    juliet.lost().await;
    romeo.read();
    let unkept = CHAT.replace("</message>", "<no-store xmlns='urn:xmpp:hints'/></message>");
    assert_eq!(tybalt.ask(&unkept).await, [""; 0]);
    assert!(
        romeo
            .ask(&unkept)
            .await
            .concat()
            .contains("service-unavailable")
    );
    let juliet = stage.bind("juliet@localhost/balcony");
    juliet.send("<presence/>").await;
    assert!(!juliet.read().concat().contains("<body>"));
}

#[tokio::test]
async fn a_forged_delay_of_the_server_is_cut_out() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    let with = |from: &str| {
        CHAT.replace("</message>", &format!("<delay xmlns='urn:xmpp:delay' from='{from}' stamp='1970-01-01T00:00:00Z'/></message>"))
    };
    romeo.send(&with("localhost")).await;
    assert!(!juliet.read().concat().contains("<delay"));
    romeo.send(&with("gateway.example")).await;
    assert!(juliet.read().concat().contains("<delay"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_resources_that_come_at_once_share_the_queue_without_loss_or_double() {
    let (stage, _folder) = Stage::on_disk(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    for n in 0..120 {
        romeo.send(&chat(n)).await;
    }
    let one = stage.bind("juliet@localhost/one");
    let two = stage.bind("juliet@localhost/two");
    let come = |client: Client| tokio::spawn(async move { client.ask("<presence/>").await });
    let (one, two) = (come(one), come(two));
    let (one, two) = (bodies(&one.await.unwrap()), bodies(&two.await.unwrap()));
    assert!(one.is_sorted() && two.is_sorted());
    let mut all = [one, two].concat();
    all.sort_unstable();
    assert_eq!(all, (0..120).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_client_gets_the_rest_later_in_order() {
    let config = "[limits]\nsession_queue = 262144\nstanza = 20000";
    let stage = Stage::with_config(&["juliet", "romeo"], config).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let filler = "x".repeat(10_000);
    for n in 0..40 {
        romeo
            .send(&chat(n).replace(
                "</message>",
                &format!("<subject>{filler}</subject></message>"),
            ))
            .await;
    }
    let juliet = stage.bind("juliet@localhost/balcony");
    juliet.send("<presence/>").await;
    let mut got = bodies(&juliet.read());
    assert!(!got.is_empty() && got.len() < 40, "{}", got.len());
    while got.len() < 40 {
        stage.tick().await;
        let more = bodies(&juliet.read());
        assert!(!more.is_empty());
        got.extend(more);
    }
    assert_eq!(got, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_session_that_ends_midway_loses_nothing() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    for n in 0..10 {
        romeo.send(&chat(n)).await;
    }
    let juliet = stage.bind("juliet@localhost/balcony");
    juliet.send_with_a_stuck_socket("<presence/>").await;
    // Nothing of it was written before the connection was lost.
    juliet.lost().await;
    let juliet = stage.bind("juliet@localhost/balcony");
    juliet.send("<presence/>").await;
    assert_eq!(bodies(&juliet.read()), (0..10).collect::<Vec<_>>());
}
