//! XEP-0160.

use crate::stage::{self, Client, PATIENCE, Stage};

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
    for own in ["localhost", "LocalHost", "localhost."] {
        romeo.send(&with(own)).await;
        assert!(!juliet.read().concat().contains("<delay"), "{own}");
    }
    romeo.send(&with("gateway.example")).await;
    assert!(juliet.read().concat().contains("<delay"));
    juliet.lost().await;
    romeo.send(&with("gateway.example")).await;
    let juliet = stage.bind("juliet@localhost/balcony");
    let seen = juliet.ask("<presence/>").await.concat();
    assert!(
        seen.contains("gateway.example") && seen.contains(DELAY),
        "{seen}"
    );
}

/// Reads until as many messages have come as there must be.
async fn read_all(clients: &[&Client], count: usize) -> Vec<Vec<usize>> {
    let mut got = vec![Vec::new(); clients.len()];
    let begin = std::time::Instant::now();
    while got.iter().map(Vec::len).sum::<usize>() < count && begin.elapsed() < PATIENCE {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        for (client, got) in clients.iter().zip(&mut got) {
            got.extend(bodies(&client.read()));
        }
    }
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_resources_that_come_at_once_share_the_queue_without_loss_or_double() {
    let (stage, _folder) = Stage::on_disk(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    for n in 0..120 {
        romeo.send(&chat(n)).await;
    }
    let clients = ["one", "two"].map(|name| stage.bind(&format!("juliet@localhost/{name}")));
    let come = clients.each_ref().map(|client| client.begin("<presence/>"));
    for coming in come.into_iter().flatten().map(tokio::spawn) {
        coming.await.unwrap();
    }
    let got = read_all(&clients.each_ref(), 120).await;
    assert!(got.iter().all(|got| got.is_sorted()), "{got:?}");
    let mut all = got.concat();
    all.sort_unstable();
    assert_eq!(all, (0..120).collect::<Vec<_>>());
    // What was written is deleted, and nobody gets it again.
    let waits = stage.core.store().offline();
    while waits.total("juliet@localhost").await.unwrap().rows > 0 {
        read_all(&clients.each_ref(), 0).await;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(read_all(&clients.each_ref(), 0).await.concat().is_empty());
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
    juliet.stick();
    juliet.send("<presence/>").await;
    let mut got = bodies(&juliet.read());
    assert!(!got.is_empty() && got.len() < 40, "{}", got.len());
    got.extend(read_all(&[&juliet], 40 - got.len()).await.concat());
    assert_eq!(got, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    for n in 0..10 {
        romeo.send(&chat(n)).await;
    }
    let phone = stage.bind("juliet@localhost/phone");
    phone.stick();
    phone.send("<presence/>").await;
    stage.tick().await;
    let balcony = stage.bind("juliet@localhost/balcony");
    balcony.send("<presence/>").await;
    let ping = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
    let seen = balcony.ask(ping).await;
    assert!(seen.concat().contains("id='p' type='result'"), "{seen:?}");
    // Nobody knows yet whether the phone reads them.
    assert_eq!(bodies(&seen), [0; 0]);
    phone.lost().await;
    assert_eq!(bodies(&balcony.read()), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_that_is_kept_while_somebody_comes_does_not_wait_for_the_next() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.bind("juliet@localhost/balcony");
    let keeping = romeo.begin(&chat(7)).expect("it has to be committed");
    juliet.send("<presence/>").await;
    assert_eq!(bodies(&juliet.read()), [0; 0]);
    keeping.await;
    assert_eq!(bodies(&juliet.ask("<presence/>").await), [7]);
}

#[tokio::test]
async fn what_cannot_be_read_is_passed_over_and_kept() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    romeo.send(&chat(1)).await;
    stage.keep(99, stage::NOW).await;
    romeo.send(&chat(2)).await;
    let juliet = stage.bind("juliet@localhost/balcony");
    juliet.send("<presence/>").await;
    assert_eq!(bodies(&juliet.read()), [1, 2]);
    let rows = stage.core.store().offline().page("juliet@localhost", 0, 9);
    let formats: Vec<_> = rows
        .await
        .unwrap()
        .iter()
        .map(|r| r.stanza.format)
        .collect();
    assert_eq!(formats, [99]);
}

#[tokio::test]
async fn what_waits_for_somebody_who_never_comes_goes_at_last() {
    let stage = Stage::with_config(&["juliet"], "[offline]\nkeep = \"1d\"").await;
    stage.keep(1, stage::NOW - 90_000_000_000).await;
    stage.keep(1, stage::NOW).await;
    stage.tick().await;
    let total = stage.core.store().offline().total("juliet@localhost").await;
    assert_eq!(total.unwrap().rows, 1);
}

#[tokio::test]
async fn a_session_that_ends_midway_loses_nothing() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    for n in 0..10 {
        romeo.send(&chat(n)).await;
    }
    let juliet = stage.bind("juliet@localhost/balcony");
    juliet.stick();
    juliet.send("<presence/>").await;
    // Nothing of it was written before the connection was lost.
    juliet.lost().await;
    let juliet = stage.bind("juliet@localhost/balcony");
    juliet.send("<presence/>").await;
    assert_eq!(bodies(&juliet.read()), (0..10).collect::<Vec<_>>());
}
