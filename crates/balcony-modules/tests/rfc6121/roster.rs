//! RFC 6121 §2.

use balcony_store::WriteSet;

use crate::stage::Stage;

fn set(item: &str) -> String {
    format!("<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
}

/// Whether the answer is an error with this condition.
fn refused(answer: &[String], condition: &str) -> bool {
    let answer = answer.concat();
    answer.contains("type='error'") && answer.contains(&format!("<{condition} xmlns="))
}

#[tokio::test]
async fn interested_resources_get_pushes_and_others_do_not() {
    let stage = Stage::new(&["juliet"]).await;
    let balcony = stage.bind("juliet@localhost/balcony");
    let chamber = stage.bind("juliet@localhost/chamber");
    let silent = stage.bind("juliet@localhost/silent");
    let get = "<iq type='get' id='g'><query xmlns='jabber:iq:roster' ver=''/></iq>";
    let empty = balcony.ask(get).await.concat();
    assert!(
        empty.contains("type='result'") && empty.contains("<query xmlns='jabber:iq:roster' ver='")
    );
    chamber.ask(get).await;
    balcony
        .send(&set(
            "<item jid='nurse@localhost' name='Nurse'><group>Servants</group></item>",
        ))
        .await;
    let push = chamber.read().concat();
    assert!(
        push.starts_with("<iq from='juliet@localhost' to='juliet@localhost/chamber' type='set'>")
    );
    assert!(push.contains(
        "<item jid='nurse@localhost' name='Nurse' subscription='none'><group>Servants</group></item>"
    ));
    let own = balcony.read();
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(
        own.iter()
            .any(|stanza| stanza.contains("id='s' type='result'/>"))
    );
    silent.sees(&[]);
}

#[tokio::test]
async fn a_roster_is_its_owners_alone() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.bind("romeo@localhost/orchard");
    for to in ["juliet@localhost", "nobody@localhost"] {
        for (kind, item) in [("get", ""), ("set", "<item jid='nurse@localhost'/>")] {
            let iq = format!(
                "<iq type='{kind}' id='x' to='{to}'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
            );
            let answer = romeo.ask(&iq).await;
            assert!(refused(&answer, "forbidden"), "{kind} {to}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn versions_bring_what_changed_in_order() {
    let stage = Stage::new(&["juliet"]).await;
    let juliet = stage.bind("juliet@localhost/balcony");
    for name in ["romeo", "nurse", "tybalt"] {
        juliet
            .send(&set(&format!("<item jid='{name}@localhost'/>")))
            .await;
    }
    let whole = juliet
        .ask("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
        .await
        .concat();
    let ver = whole
        .split("ver='")
        .nth(1)
        .and_then(|v| v.split('\'').next())
        .unwrap()
        .to_owned();
    let get = |ver: &str| {
        format!("<iq type='get' id='v'><query xmlns='jabber:iq:roster' ver='{ver}'/></iq>")
    };
    let same = juliet.ask(&get(&ver)).await;
    assert_eq!(
        same,
        ["<iq to='juliet@localhost/balcony' id='v' type='result'/>"]
    );
    let other = stage.bind("juliet@localhost/chamber");
    other
        .send(&set("<item jid='tybalt@localhost' subscription='remove'/>"))
        .await;
    other
        .send(&set("<item jid='nurse@localhost' name='Nurse'/>"))
        .await;
    juliet.read();
    let since = juliet.ask(&get(&ver)).await;
    assert_eq!(since.len(), 3, "{since:?}");
    assert!(since[0].ends_with("id='v' type='result'/>"));
    assert!(since[1].contains("<item jid='tybalt@localhost' subscription='remove'/>"));
    assert!(since[2].contains("<item jid='nurse@localhost' name='Nurse' subscription='none'/>"));
    let unknown = juliet.ask(&get("no-number")).await.concat();
    assert_eq!(unknown.matches("<item ").count(), 2, "{unknown}");
}

#[tokio::test]
async fn removing_ends_what_the_two_see_of_each_other() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let (romeo, juliet) = crate::subscription::mutual(&stage).await;
    romeo
        .send(&set("<item jid='juliet@localhost' subscription='remove'/>"))
        .await;
    let seen = juliet.read();
    let order = [
        "type='unsubscribe'",
        "subscription='to'",
        "romeo@localhost/orchard' to='juliet@localhost' type='unavailable'",
        "type='unsubscribed'",
        "subscription='none'",
    ];
    assert_eq!(seen.len(), order.len(), "{seen:#?}");
    for (stanza, part) in seen.iter().zip(order) {
        assert!(stanza.contains(part), "{part} in {seen:#?}");
    }
    assert!(romeo.read().concat().contains("subscription='remove'"));
    let again = romeo
        .ask(&set("<item jid='juliet@localhost' subscription='remove'/>"))
        .await;
    assert!(refused(&again, "item-not-found"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_many_resources_at_once_are_all_kept_and_pushed_in_order() {
    let (stage, _folder) = Stage::on_disk(&["juliet"]).await;
    let watcher = stage.online("juliet@localhost/watcher").await;
    let clients: Vec<_> = (0..5)
        .map(|n| stage.bind(&format!("juliet@localhost/r{n}")))
        .collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (n, client) in clients.into_iter().enumerate() {
        tasks.spawn(async move {
            for item in 0..10 {
                client
                    .send(&set(&format!("<item jid='c{n}x{item}@localhost'/>")))
                    .await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let versions: Vec<u64> = watcher
        .read()
        .iter()
        .map(|push| {
            push.split("ver='")
                .nth(1)
                .and_then(|v| v.split('\'').next())
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert_eq!(versions.len(), 50);
    assert!(
        versions.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{versions:?}"
    );
}

#[tokio::test]
async fn a_full_roster_refuses_more() {
    let stage = Stage::with_config(&["juliet"], "[limits]\nroster_items = 10").await;
    let juliet = stage.bind("juliet@localhost/balcony");
    for n in 0..10 {
        let answer = juliet
            .ask(&set(&format!("<item jid='c{n}@localhost'/>")))
            .await;
        assert!(answer.concat().contains("type='result'"), "{answer:?}");
    }
    let answer = juliet
        .ask(&set("<item jid='one-more@localhost'/>"))
        .await
        .concat();
    assert!(answer.contains("type='error'"), "{answer}");
}

/// The version that a result or a push says.
fn version(stanza: &str) -> Option<u64> {
    stanza
        .split("ver='")
        .nth(1)?
        .split('\'')
        .next()?
        .parse()
        .ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_push_gets_in_front_of_an_older_result() {
    let stage = Stage::new(&["juliet"]).await;
    let reader = stage.bind("juliet@localhost/reader");
    let editor = stage.bind("juliet@localhost/editor");
    let edits = tokio::spawn(async move {
        for n in 0..2_000 {
            if let Some(work) =
                editor.begin(&set(&format!("<item jid='nurse@localhost' name='{n}'/>")))
            {
                work.await;
            }
        }
    });
    let mut versions = Vec::new();
    while !edits.is_finished() {
        let known = versions.last().copied().unwrap_or(0);
        for ver in [String::new(), known.to_string()] {
            let get =
                format!("<iq type='get' id='g'><query xmlns='jabber:iq:roster' ver='{ver}'/></iq>");
            if let Some(work) = reader.begin(&get) {
                tokio::spawn(work).await.unwrap();
            }
        }
        versions.extend(reader.read().iter().filter_map(|stanza| version(stanza)));
    }
    assert!(versions.len() > 100, "{}", versions.len());
    assert!(versions.is_sorted());
}

#[tokio::test]
async fn an_account_of_the_same_name_starts_with_an_empty_roster() {
    let stage = Stage::new(&["juliet"]).await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    let pushed = juliet.ask(&set("<item jid='nurse@localhost'/>")).await;
    let old = pushed.iter().find_map(|stanza| version(stanza)).unwrap();
    let account = juliet.session.account().clone();
    stage.core.delete_account(&account).await.unwrap();
    let password = "another password";
    let create = stage
        .core
        .create_account(&account, password, WriteSet::new());
    if let Some(told) = create.await.unwrap() {
        told.await;
    }
    // The old session lingers, as its client does not read the end of its stream.
    let again = stage.bind("juliet@localhost/chamber");
    let get = format!("<iq type='get' id='g'><query xmlns='jabber:iq:roster' ver='{old}'/></iq>");
    let roster = again.ask(&get).await.concat();
    assert!(
        roster.contains("<query") && !roster.contains("nurse"),
        "{roster}"
    );
}
