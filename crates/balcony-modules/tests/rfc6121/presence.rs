//! RFC 6121 §4 and §8.5.3.1.

use crate::stage::Stage;
use crate::subscription::mutual;

#[tokio::test]
async fn initial_presence_goes_to_contacts_and_brings_theirs() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let (romeo, juliet) = mutual(&stage).await;
    juliet
        .send("<presence id='p'><show>away</show></presence>")
        .await;
    juliet.read();
    let orchard = "<presence from='juliet@localhost/balcony' to='romeo@localhost' id='p'><show>away</show></presence>";
    romeo.sees(&[orchard]);
    let phone = stage.bind("romeo@localhost/phone");
    phone
        .send("<presence><priority>-5</priority></presence>")
        .await;
    phone.sees(&[
        "<presence from='romeo@localhost/phone' to='romeo@localhost'><priority>-5</priority></presence>",
        "<presence from='romeo@localhost/orchard' to='romeo@localhost/phone'/>",
        "<presence from='juliet@localhost/balcony' to='romeo@localhost/phone' id='p'><show>away</show></presence>",
    ]);
    // The other resource learns of the new one, and is not told again of what it knows.
    romeo.sees(&["<presence from='romeo@localhost/phone' to='romeo@localhost'><priority>-5</priority></presence>"]);
    juliet.sees(&["<presence from='romeo@localhost/phone' to='juliet@localhost'><priority>-5</priority></presence>"]);
}

#[tokio::test]
async fn going_is_told_in_the_clients_words_or_in_the_servers() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let (romeo, juliet) = mutual(&stage).await;
    romeo
        .send("<presence type='unavailable'><status>gone</status></presence>")
        .await;
    juliet.sees(&["<presence from='romeo@localhost/orchard' to='juliet@localhost' type='unavailable'><status>gone</status></presence>"]);
    romeo.sees(&["<presence from='romeo@localhost/orchard' to='romeo@localhost' type='unavailable'><status>gone</status></presence>"]);
    romeo.lost().await;
    juliet.sees(&[]);
    juliet.lost().await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    romeo.read();
    juliet.lost().await;
    romeo.sees(&[
        "<presence from='juliet@localhost/balcony' to='romeo@localhost' type='unavailable'/>",
    ]);
}

#[tokio::test]
async fn a_wrong_priority_is_refused() {
    let stage = Stage::new(&["romeo"]).await;
    let romeo = stage.bind("romeo@localhost/orchard");
    let seen = romeo
        .ask("<presence><priority>128</priority></presence>")
        .await
        .concat();
    assert!(seen.contains("bad-request"), "{seen}");
    assert!(!romeo.session.is_available());
}

#[tokio::test]
async fn a_replaced_session_takes_nothing_from_its_successor() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let (romeo, juliet) = mutual(&stage).await;
    let again = stage.online("romeo@localhost/orchard").await;
    juliet.sees(&["<presence from='romeo@localhost/orchard' to='juliet@localhost'/>"]);
    romeo.lost().await;
    juliet.sees(&[]);
    again.lost().await;
    juliet.sees(&[
        "<presence from='romeo@localhost/orchard' to='juliet@localhost' type='unavailable'/>",
    ]);
}

#[tokio::test]
async fn directed_presence_ends_with_the_session() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.bind("romeo@localhost/orchard");
    let juliet = stage.online("juliet@localhost/balcony").await;
    romeo
        .send("<presence to='juliet@localhost/balcony'/>")
        .await;
    juliet.sees(&["<presence from='romeo@localhost/orchard' to='juliet@localhost/balcony'/>"]);
    romeo.send("<presence/>").await;
    juliet.sees(&[]);
    romeo.lost().await;
    juliet.sees(&["<presence from='romeo@localhost/orchard' to='juliet@localhost/balcony' type='unavailable'/>"]);
    let romeo = stage.bind("romeo@localhost/orchard");
    romeo
        .send("<presence to='juliet@localhost/balcony'/>")
        .await;
    romeo
        .send("<presence to='juliet@localhost/balcony' type='unavailable'/>")
        .await;
    juliet.read();
    romeo.lost().await;
    juliet.sees(&[]);
}

#[tokio::test]
async fn directed_presence_is_bounded() {
    let stage = Stage::new(&["romeo"]).await;
    let romeo = stage.bind("romeo@localhost/orchard");
    for n in 0..500 {
        assert_eq!(
            romeo.ask(&format!("<presence to='x{n}@localhost'/>")).await,
            [""; 0]
        );
    }
    let seen = romeo
        .ask("<presence to='one-more@localhost'/>")
        .await
        .concat();
    assert!(seen.contains("resource-constraint"), "{seen}");
}

#[tokio::test]
async fn probes_tell_strangers_nothing() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    for to in [
        "juliet@localhost",
        "juliet@localhost/balcony",
        "nobody@localhost",
    ] {
        romeo
            .send(&format!("<presence type='probe' to='{to}' id='p'/>"))
            .await;
        romeo.sees(&[]);
    }
    juliet.sees(&[]);
    juliet
        .send("<presence to='romeo@localhost/orchard'/>")
        .await;
    romeo.read();
    romeo
        .send("<presence type='probe' to='juliet@localhost/balcony' id='p'/>")
        .await;
    romeo
        .sees(&["<presence from='juliet@localhost/balcony' to='romeo@localhost/orchard' id='p'/>"]);
}

#[tokio::test]
async fn a_probe_does_not_tell_whether_a_request_waits_or_nobody_is_there() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    for to in ["juliet@localhost", "nobody@localhost"] {
        romeo
            .send(&format!("<presence type='subscribe' to='{to}'/>"))
            .await;
        romeo.read();
        romeo
            .send(&format!("<presence type='probe' to='{to}'/>"))
            .await;
        romeo.sees(&[]);
    }
}

#[tokio::test]
async fn probes_of_subscribers_are_answered() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let (romeo, juliet) = mutual(&stage).await;
    juliet
        .send("<presence id='own'><show>dnd</show></presence>")
        .await;
    romeo.read();
    romeo
        .send("<presence type='probe' to='juliet@localhost' id='p'/>")
        .await;
    romeo.sees(&["<presence from='juliet@localhost/balcony' to='romeo@localhost/orchard' id='own'><show>dnd</show></presence>"]);
    romeo
        .send("<presence type='probe' to='juliet@localhost/balcony' id='p'/>")
        .await;
    romeo
        .sees(&["<presence from='juliet@localhost/balcony' to='romeo@localhost/orchard' id='p'/>"]);
    juliet.lost().await;
    romeo.read();
    romeo
        .send("<presence type='probe' to='juliet@localhost' id='p'/>")
        .await;
    let seen = romeo.read().concat();
    assert!(seen.starts_with("<presence from='juliet@localhost' to='romeo@localhost/orchard' id='p' type='unavailable'"), "{seen}");
}

#[tokio::test]
async fn a_subscription_that_only_one_side_knows_is_ended_at_login() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    // Of who is away nobody asks.
    let _juliet = stage.bind("juliet@localhost/balcony");
    let item = balcony_store::RosterItem {
        jid: "juliet@localhost".into(),
        subscription: balcony_store::Subscription::To,
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
    let seen = romeo.ask("<presence/>").await.concat();
    assert!(
        seen.contains("<item jid='juliet@localhost' subscription='none'/>"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_request_for_a_resource_needs_shared_presence() {
    let stage = Stage::new(&["juliet", "romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    let iq = |to: &str| {
        format!(
            "<iq type='get' id='v' to='juliet@localhost/{to}'><query xmlns='jabber:iq:version'/></iq>"
        )
    };
    let hidden = romeo.ask(&iq("balcony")).await;
    let missing = romeo.ask(&iq("nowhere")).await;
    assert!(
        hidden.concat().contains("service-unavailable"),
        "{hidden:?}"
    );
    assert_eq!(
        hidden.concat().replace("balcony", "nowhere"),
        missing.concat()
    );
    juliet.sees(&[]);
    juliet.send("<presence to='romeo@localhost'/>").await;
    romeo.read();
    romeo.send(&iq("balcony")).await;
    assert_eq!(juliet.read().len(), 1);
    juliet
        .send("<presence to='romeo@localhost' type='unavailable'/>")
        .await;
    romeo.read();
    assert!(
        romeo
            .ask(&iq("balcony"))
            .await
            .concat()
            .contains("service-unavailable")
    );
}

#[tokio::test]
async fn presence_without_an_address_is_only_that_of_the_client() {
    let stage = Stage::new(&["romeo"]).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    assert!(
        romeo
            .ask("<presence type='subscribe'/>")
            .await
            .concat()
            .contains("bad-request")
    );
    assert_eq!(romeo.ask("<presence type='probe'/>").await, [""; 0]);
}
