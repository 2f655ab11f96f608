//! Promises about publish-subscribe nodes.

use std::sync::Arc;

use super::rooms::{GARDEN, create_room, delete_room};
use super::{JULIET, ROMEO, create, delete, done, stored, write};
use crate::{
    Error, HashName, ItemsPage, ItemsPlace, ItemsRequest, NodeAffiliation, NodeData,
    NodeSubscription, PubsubItem, Store, SubscriptionState, Write, WriteSet,
};

const SERVICE: &str = "pubsub.localhost";
pub(crate) const NODE: &str = "princely_musings";

fn service() -> Write {
    Write::ServiceCreate {
        host: SERVICE.into(),
    }
}

pub(crate) fn create_node(owner: &str, node: &str, max_nodes: u32) -> Write {
    Write::NodeCreate {
        owner: owner.into(),
        node: node.into(),
        created: 77,
        config: stored(node),
        max_nodes,
    }
}

fn delete_node(owner: &str, node: &str) -> Write {
    Write::NodeDelete {
        owner: owner.into(),
        node: node.into(),
    }
}

fn configure(owner: &str, node: &str, text: &str) -> Write {
    Write::NodeConfigSet {
        owner: owner.into(),
        node: node.into(),
        config: stored(text),
    }
}

pub(crate) fn item(id: &str, published_at: i64) -> PubsubItem {
    PubsubItem {
        id: id.into(),
        publisher: "hamlet@denmark.lit".into(),
        published_at,
        payload: stored(id),
    }
}

pub(crate) fn publish(owner: &str, node: &str, item: PubsubItem, max_items: u32) -> Write {
    Write::ItemPublish {
        owner: owner.into(),
        node: node.into(),
        item,
        max_items,
    }
}

fn retract(id: &str) -> Write {
    Write::ItemRetract {
        owner: ROMEO.into(),
        node: NODE.into(),
        id: id.into(),
    }
}

pub(crate) fn affiliate(
    owner: &str,
    node: &str,
    jid: &str,
    affiliation: Option<NodeAffiliation>,
) -> Write {
    Write::NodeAffiliationSet {
        owner: owner.into(),
        node: node.into(),
        jid: jid.into(),
        affiliation,
        max: 2,
    }
}

pub(crate) fn subscription(jid: &str, subid: &str) -> NodeSubscription {
    NodeSubscription {
        jid: jid.into(),
        subid: subid.into(),
        state: SubscriptionState::Subscribed,
        options: None,
        expires_at: None,
    }
}

pub(crate) fn subscribe(owner: &str, node: &str, subscription: NodeSubscription) -> Write {
    Write::SubscriptionSet {
        owner: owner.into(),
        node: node.into(),
        subscription,
        max: 5,
    }
}

fn unsubscribe(jid: &str, subid: Option<&str>) -> Write {
    Write::SubscriptionRemove {
        owner: ROMEO.into(),
        node: NODE.into(),
        jid: jid.into(),
        subid: subid.map(str::to_owned),
    }
}

/// Romeo with one node.
async fn romeo(store: &dyn Store) {
    done(store, create(ROMEO)).await;
    done(store, create_node(ROMEO, NODE, 10)).await;
}

/// Items with these ids in this order.
async fn published(store: &dyn Store, ids: &[&str]) {
    for (id, at) in ids.iter().zip(1..) {
        done(store, publish(ROMEO, NODE, item(id, at), 100)).await;
    }
}

async fn get(store: &dyn Store, owner: &str, node: &str) -> NodeData {
    store
        .pubsub()
        .node(owner, node, None)
        .await
        .unwrap()
        .unwrap()
}

async fn page(store: &dyn Store, place: ItemsPlace, limit: u32) -> ItemsPage {
    let request = ItemsRequest {
        place,
        limit,
        not_before: None,
    };
    store.pubsub().items(ROMEO, NODE, request).await.unwrap()
}

fn ids(page: &ItemsPage) -> Vec<&str> {
    page.items.iter().map(|item| item.id.as_str()).collect()
}

async fn all(store: &dyn Store) -> Vec<String> {
    let page = page(store, ItemsPlace::First, 100).await;
    assert_eq!(page.count, page.items.len() as u64);
    ids(&page).into_iter().map(str::to_owned).collect()
}

/// Of everything that is done to a node that is there.
fn all_for(owner: &str) -> Vec<Write> {
    let (owner_of, node) = (|| owner.to_owned(), || NODE.to_owned());
    vec![
        configure(owner, NODE, "other"),
        publish(owner, NODE, item("a", 1), 9),
        Write::ItemRetract {
            owner: owner_of(),
            node: node(),
            id: "a".into(),
        },
        Write::NodePurge {
            owner: owner_of(),
            node: node(),
        },
        Write::ItemsExpire {
            owner: owner_of(),
            node: node(),
            before: 1,
        },
        affiliate(owner, NODE, JULIET, Some(NodeAffiliation::Member)),
        affiliate(owner, NODE, JULIET, None),
        subscribe(owner, NODE, subscription(JULIET, "")),
        Write::SubscriptionRemove {
            owner: owner_of(),
            node: node(),
            jid: JULIET.into(),
            subid: None,
        },
        delete_node(owner, NODE),
    ]
}

pub async fn node_is_read_back_and_configured(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, service()).await;
    for owner in [ROMEO, SERVICE] {
        assert_eq!(store.pubsub().node(owner, NODE, None).await, Ok(None));
        done(&*store, create_node(owner, NODE, 10)).await;
        let expected = NodeData {
            created: 77,
            config: stored(NODE),
            affiliations: Vec::new(),
            subscriptions: Vec::new(),
        };
        assert_eq!(get(&*store, owner, NODE).await, expected);
        let again = write(&*store, create_node(owner, NODE, 10)).await;
        assert_eq!(again, Err(Error::Conflict("node")));
    }
    done(&*store, configure(ROMEO, NODE, "other")).await;
    assert_eq!(get(&*store, ROMEO, NODE).await.config, stored("other"));
    assert_eq!(get(&*store, SERVICE, NODE).await.config, stored(NODE));
    for op in all_for(ROMEO) {
        done(&*store, op).await;
    }
    assert_eq!(store.pubsub().node(ROMEO, NODE, None).await, Ok(None));
}

pub async fn writes_to_no_node_are_refused(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create_node(ROMEO, "another", 9)).await;
    for owner in [ROMEO, JULIET, SERVICE, "@localhost", ""] {
        for op in all_for(owner) {
            let shown = format!("{op:?}");
            assert_eq!(write(&*store, op).await, Err(Error::NotFound), "{shown}");
        }
        let request = ItemsRequest {
            place: ItemsPlace::Last,
            limit: 1,
            not_before: None,
        };
        let items = store.pubsub().items(owner, NODE, request).await;
        assert_eq!(items, Err(Error::NotFound));
    }
    for owner in [JULIET, SERVICE, ""] {
        let node = write(&*store, create_node(owner, NODE, 9)).await;
        assert_eq!(node, Err(Error::NotFound));
        assert_eq!(store.pubsub().nodes(owner, None, 9).await, Ok(Vec::new()));
    }
}

pub async fn nodes_are_listed_in_pages_and_bounded(store: Arc<dyn Store>) {
    done(&*store, create(ROMEO)).await;
    done(&*store, create(JULIET)).await;
    for node in ["urn:b", "", "urn:ä"] {
        done(&*store, create_node(ROMEO, node, 3)).await;
    }
    let fourth = write(&*store, create_node(ROMEO, "fourth", 3)).await;
    assert_eq!(fourth, Err(Error::Limit("nodes")));
    done(&*store, create_node(JULIET, "fourth", 3)).await;
    let page = async |after, limit| {
        let page = store.pubsub().nodes(ROMEO, after, limit).await.unwrap();
        page.into_iter().map(|entry| entry.node).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, ["", "urn:b"]);
    assert_eq!(page(Some(""), 9).await, ["urn:b", "urn:ä"]);
    assert_eq!(page(Some("urn:b"), 1).await, ["urn:ä"]);
    assert!(page(Some("urn:ä"), 9).await.is_empty());
    let entries = store.pubsub().nodes(JULIET, None, 9).await.unwrap();
    let told = (entries[0].created, &entries[0].config);
    assert_eq!(told, (77, &stored("fourth")));
    done(&*store, delete_node(ROMEO, "urn:b")).await;
    done(&*store, create_node(ROMEO, "fourth", 3)).await;
}

pub async fn items_are_in_the_order_of_their_commits(store: Arc<dyn Store>) {
    romeo(&*store).await;
    // Times say nothing about it.
    for (id, at) in [("c", 3), ("a", 1), ("b", 2)] {
        done(&*store, publish(ROMEO, NODE, item(id, at), 9)).await;
    }
    let whole = page(&*store, ItemsPlace::First, 9).await;
    assert_eq!(whole.items, [item("c", 3), item("a", 1), item("b", 2)]);
    assert_eq!((whole.count, whole.complete), (3, true));
    // Published again it is the newest, and another one.
    let again = PubsubItem {
        publisher: JULIET.into(),
        payload: stored(""),
        ..item("c", 9)
    };
    done(&*store, publish(ROMEO, NODE, again.clone(), 9)).await;
    let whole = page(&*store, ItemsPlace::First, 9).await;
    assert_eq!(whole.items, [item("a", 1), item("b", 2), again]);
}

pub async fn items_are_read_in_pages_from_both_ends(store: Arc<dyn Store>) {
    romeo(&*store).await;
    let empty = page(&*store, ItemsPlace::Last, 9).await;
    let nothing = ItemsPage {
        complete: true,
        ..ItemsPage::default()
    };
    assert_eq!(empty, nothing);
    published(&*store, &["e", "d", "c", "b", "a"]).await;
    let (after, before) = (
        |id: &str| ItemsPlace::After(id.into()),
        |id: &str| ItemsPlace::Before(id.into()),
    );
    for (place, limit, expected, complete) in [
        (ItemsPlace::First, 2, vec!["e", "d"], false),
        (after("d"), 2, vec!["c", "b"], false),
        (after("b"), 1, vec!["a"], true),
        (after("a"), 9, vec![], true),
        (ItemsPlace::Last, 1, vec!["a"], false),
        (ItemsPlace::Last, 5, vec!["e", "d", "c", "b", "a"], true),
        (before("a"), 2, vec!["c", "b"], false),
        (before("d"), 2, vec!["e"], true),
        (before("e"), 2, vec![], true),
        (ItemsPlace::First, 0, vec![], false),
        (ItemsPlace::Last, 0, vec![], false),
        (after("a"), 0, vec![], true),
    ] {
        let told = page(&*store, place.clone(), limit).await;
        assert_eq!(
            (ids(&told), told.complete),
            (expected, complete),
            "{place:?}"
        );
        assert_eq!(told.count, 5);
    }
    let request = ItemsRequest {
        place: after("x"),
        limit: 1,
        not_before: None,
    };
    let nowhere = store.pubsub().items(ROMEO, NODE, request).await;
    assert_eq!(nowhere, Err(Error::NotFound));
}

pub async fn items_are_read_by_their_ids(store: Arc<dyn Store>) {
    romeo(&*store).await;
    published(&*store, &["c", "b", "a"]).await;
    let named = |ids: &[&str]| {
        let ids = ids.iter().map(|id| (*id).to_owned());
        ItemsPlace::Ids(ids.collect())
    };
    let some = page(&*store, named(&["a", "x", "c", "a"]), 9).await;
    assert_eq!(
        (ids(&some), some.complete, some.count),
        (vec!["c", "a"], true, 3)
    );
    let cut = page(&*store, named(&["a", "b"]), 1).await;
    assert_eq!((ids(&cut), cut.complete), (vec!["b"], false));
    let none = page(&*store, named(&[]), 9).await;
    assert_eq!((ids(&none), none.complete), (vec![], true));
}

pub async fn oldest_items_go_when_there_are_too_many(store: Arc<dyn Store>) {
    romeo(&*store).await;
    done(&*store, create_node(ROMEO, "another", 9)).await;
    done(&*store, publish(ROMEO, "another", item("x", 1), 9)).await;
    published(&*store, &["a", "b", "c", "d"]).await;
    done(&*store, publish(ROMEO, NODE, item("e", 0), 3)).await;
    assert_eq!(all(&*store).await, ["c", "d", "e"]);
    // One in the place of another is none more.
    done(&*store, publish(ROMEO, NODE, item("c", 0), 3)).await;
    assert_eq!(all(&*store).await, ["d", "e", "c"]);
    done(&*store, publish(ROMEO, NODE, item("f", 0), 1)).await;
    assert_eq!(all(&*store).await, ["f"]);
    done(&*store, publish(ROMEO, NODE, item("g", 0), 0)).await;
    assert!(all(&*store).await.is_empty());
    let another = [(ROMEO.to_owned(), "another".to_owned())];
    let other = store.pubsub().last_items(&another).await;
    assert_eq!(other.unwrap().len(), 1);
}

pub async fn items_are_retracted_purged_and_expire(store: Arc<dyn Store>) {
    romeo(&*store).await;
    done(&*store, create_node(ROMEO, "another", 9)).await;
    done(&*store, publish(ROMEO, "another", item("b", 1), 9)).await;
    published(&*store, &["a", "b", "c", "d"]).await;
    done(&*store, retract("b")).await;
    assert_eq!(write(&*store, retract("b")).await, Err(Error::NotFound));
    assert_eq!(all(&*store).await, ["a", "c", "d"]);
    let expire = Write::ItemsExpire {
        owner: ROMEO.into(),
        node: NODE.into(),
        before: 3,
    };
    done(&*store, expire).await;
    assert_eq!(all(&*store).await, ["c", "d"]);
    let purge = Write::NodePurge {
        owner: ROMEO.into(),
        node: NODE.into(),
    };
    for _ in 0..2 {
        done(&*store, purge.clone()).await;
        assert!(all(&*store).await.is_empty());
    }
    let another = [(ROMEO.to_owned(), "another".to_owned())];
    let other = store.pubsub().last_items(&another).await;
    assert_eq!(other.unwrap()[0].item, item("b", 1));
}

pub async fn newest_items_of_many_are_one_read(store: Arc<dyn Store>) {
    done(&*store, service()).await;
    for account in [ROMEO, JULIET] {
        done(&*store, create(account)).await;
        for node in ["mood", "nick", "empty"] {
            done(&*store, create_node(account, node, 9)).await;
        }
        done(&*store, publish(account, "nick", item("old", 1), 9)).await;
        done(&*store, publish(account, "nick", item(account, 2), 9)).await;
    }
    done(&*store, publish(ROMEO, "mood", item("sad", 3), 9)).await;
    done(&*store, create_node(SERVICE, "mood", 9)).await;
    done(&*store, publish(SERVICE, "mood", item("grey", 3), 9)).await;
    let member = Some(NodeAffiliation::Member);
    done(&*store, affiliate(ROMEO, "mood", JULIET, member)).await;
    let owners = [JULIET, "nobody@localhost", ROMEO, SERVICE].map(str::to_owned);
    let nodes = ["nick", "none", "empty", "mood"].map(str::to_owned);
    let newest = store.pubsub().newest(&owners, &nodes, JULIET).await;
    let newest = newest.unwrap();
    let told: Vec<_> = newest
        .iter()
        .map(|new| (&*new.owner, &*new.node, new.affiliation, new.bytes))
        .collect();
    let bytes = |id| item(id, 0).payload.bytes.len() as u64;
    let expected = [
        (JULIET, "nick", None, bytes(JULIET)),
        (ROMEO, "mood", member, bytes("sad")),
        (ROMEO, "nick", None, bytes(ROMEO)),
        (SERVICE, "mood", None, bytes("grey")),
    ];
    assert_eq!(told, expected);
    assert_eq!(newest[1].config, stored("mood"));
    let pubsub = store.pubsub();
    assert_eq!(pubsub.newest(&owners, &[], JULIET).await, Ok(Vec::new()));
    assert_eq!(pubsub.newest(&[], &nodes, JULIET).await, Ok(Vec::new()));
    let wanted = [(ROMEO, "mood"), (ROMEO, "none"), (JULIET, "nick")];
    let wanted = wanted.map(|(owner, node)| (owner.to_owned(), node.to_owned()));
    let last = store.pubsub().last_items(&wanted).await.unwrap();
    let told: Vec<_> = last
        .into_iter()
        .map(|last| (last.owner, last.node, last.item))
        .collect();
    let expected = [
        (ROMEO.to_owned(), "mood".to_owned(), item("sad", 3)),
        (JULIET.to_owned(), "nick".to_owned(), item(JULIET, 2)),
    ];
    assert_eq!(told, expected);
}

pub async fn node_is_read_for_one_who_asks(store: Arc<dyn Store>) {
    romeo(&*store).await;
    let member = Some(NodeAffiliation::Member);
    for jid in [JULIET, "julia@localhost"] {
        done(&*store, affiliate(ROMEO, NODE, jid, member)).await;
    }
    for jid in [
        "juliet@localhost.example",
        "juliet@localhost0",
        "paris@localhost",
    ] {
        done(&*store, subscribe(ROMEO, NODE, subscription(jid, ""))).await;
    }
    let balcony = format!("{JULIET}/balcony");
    for jid in [JULIET, &balcony] {
        done(&*store, subscribe(ROMEO, NODE, subscription(jid, ""))).await;
    }
    let found = store.pubsub().node(ROMEO, NODE, Some(JULIET)).await;
    let found = found.unwrap().unwrap();
    assert_eq!(found.config, stored(NODE));
    assert_eq!(
        found.affiliations,
        [(JULIET.to_owned(), NodeAffiliation::Member)]
    );
    let jids: Vec<&str> = found.subscriptions.iter().map(|s| &*s.jid).collect();
    assert_eq!(jids, [JULIET, &*balcony]);
    let none = store.pubsub().node(ROMEO, NODE, Some(ROMEO)).await;
    let none = none.unwrap().unwrap();
    assert_eq!((none.affiliations.len(), none.subscriptions.len()), (0, 0));
}

pub async fn affiliations_with_nodes_are_kept_and_bounded(store: Arc<dyn Store>) {
    romeo(&*store).await;
    done(&*store, create_node(ROMEO, "another", 9)).await;
    let set = |node, jid, affiliation| affiliate(ROMEO, node, jid, Some(affiliation));
    done(&*store, set(NODE, "b@x", NodeAffiliation::Publisher)).await;
    done(&*store, set(NODE, "a@x", NodeAffiliation::Outcast)).await;
    let third = write(&*store, set(NODE, "c@x", NodeAffiliation::Owner)).await;
    assert_eq!(third, Err(Error::Limit("affiliations")));
    done(&*store, set(NODE, "b@x", NodeAffiliation::PublishOnly)).await;
    done(&*store, set("another", "b@x", NodeAffiliation::Member)).await;
    let kept = get(&*store, ROMEO, NODE).await.affiliations;
    let expected = [
        ("a@x".to_owned(), NodeAffiliation::Outcast),
        ("b@x".to_owned(), NodeAffiliation::PublishOnly),
    ];
    assert_eq!(kept, expected);
    let theirs = store.pubsub().affiliations_of(ROMEO, "b@x").await.unwrap();
    let expected = [
        ("another".to_owned(), NodeAffiliation::Member),
        (NODE.to_owned(), NodeAffiliation::PublishOnly),
    ];
    assert_eq!(theirs, expected);
    for _ in 0..2 {
        done(&*store, affiliate(ROMEO, NODE, "b@x", None)).await;
    }
    assert_eq!(get(&*store, ROMEO, NODE).await.affiliations.len(), 1);
    let theirs = store.pubsub().affiliations_of(ROMEO, "b@x").await.unwrap();
    assert_eq!(theirs.len(), 1);
    assert_eq!(
        store.pubsub().affiliations_of(JULIET, "b@x").await,
        Ok(Vec::new())
    );
}

pub async fn subscriptions_are_read_back_whole(store: Arc<dyn Store>) {
    romeo(&*store).await;
    let first = NodeSubscription {
        state: SubscriptionState::Pending,
        options: Some(stored("<x/>")),
        expires_at: Some(99),
        ..subscription("a@x", "1")
    };
    done(&*store, subscribe(ROMEO, NODE, first.clone())).await;
    let second = subscription("a@x", "");
    done(&*store, subscribe(ROMEO, NODE, second.clone())).await;
    let told = get(&*store, ROMEO, NODE).await.subscriptions;
    assert_eq!(told, [second.clone(), first]);
    let changed = NodeSubscription {
        state: SubscriptionState::Unconfigured,
        ..subscription("a@x", "1")
    };
    done(&*store, subscribe(ROMEO, NODE, changed.clone())).await;
    let told = get(&*store, ROMEO, NODE).await.subscriptions;
    assert_eq!(told, [second, changed]);
    // Of all JIDs together there may be five.
    for jid in ["b@x", "c@x/r", "d@x"] {
        done(&*store, subscribe(ROMEO, NODE, subscription(jid, ""))).await;
    }
    let sixth = subscribe(ROMEO, NODE, subscription("d@x", "2"));
    assert_eq!(
        write(&*store, sixth).await,
        Err(Error::Limit("subscriptions"))
    );
    done(&*store, subscribe(ROMEO, NODE, subscription("d@x", ""))).await;
}

pub async fn subscriptions_are_taken_back_one_or_all(store: Arc<dyn Store>) {
    romeo(&*store).await;
    for (jid, subid) in [("a@x", "1"), ("a@x", "2"), ("a@x", ""), ("a@x/r", "1")] {
        done(&*store, subscribe(ROMEO, NODE, subscription(jid, subid))).await;
    }
    let left = async || {
        let left = get(&*store, ROMEO, NODE).await.subscriptions.into_iter();
        left.map(|one| (one.jid, one.subid)).collect::<Vec<_>>()
    };
    let all = [("a@x", ""), ("a@x", "1"), ("a@x", "2"), ("a@x/r", "1")];
    let all = all.map(|(jid, subid)| (jid.to_owned(), subid.to_owned()));
    done(&*store, unsubscribe("a@x", Some("3"))).await;
    done(&*store, unsubscribe("b@x", None)).await;
    assert_eq!(left().await, all);
    done(&*store, unsubscribe("a@x", Some("1"))).await;
    assert_eq!(left().await.len(), 3);
    done(&*store, unsubscribe("a@x", None)).await;
    assert_eq!(left().await, all[3..]);
}

pub async fn subscriptions_of_somebody_are_found(store: Arc<dyn Store>) {
    done(&*store, service()).await;
    for node in ["b", "a"] {
        done(&*store, create_node(SERVICE, node, 9)).await;
        for jid in ["a@x", "a@x/r", "a@x.org", "a@x0"] {
            done(&*store, subscribe(SERVICE, node, subscription(jid, ""))).await;
        }
    }
    done(
        &*store,
        subscribe(SERVICE, "a", subscription("a@x/r/s", "")),
    )
    .await;
    let of = async |jid| {
        let found = store.pubsub().subscriptions_of(SERVICE, jid).await.unwrap();
        let found = found
            .into_iter()
            .map(|(node, one)| [node, one.jid].join(" "));
        found.collect::<Vec<_>>()
    };
    assert_eq!(
        of("a@x").await,
        ["a a@x", "a a@x/r", "a a@x/r/s", "b a@x", "b a@x/r"]
    );
    assert_eq!(of("a@x/r").await, ["a a@x/r", "b a@x/r"]);
    assert!(of("x").await.is_empty());
    let elsewhere = store.pubsub().subscriptions_of(ROMEO, "a@x").await;
    assert_eq!(elsewhere, Ok(Vec::new()));
}

pub async fn service_is_no_account(store: Arc<dyn Store>) {
    for _ in 0..2 {
        done(&*store, service()).await;
        done(&*store, create_node(SERVICE, NODE, 9)).await;
        // The second time nothing is lost.
        done(&*store, service()).await;
        assert_eq!(get(&*store, SERVICE, NODE).await.created, 77);
        done(&*store, delete_node(SERVICE, NODE)).await;
    }
    let accounts = store.accounts();
    assert_eq!(accounts.exists(SERVICE, "").await, Ok(false));
    assert_eq!(accounts.get(SERVICE, "").await, Ok(None));
    assert_eq!(accounts.keys(SERVICE, "", HashName::Sha1).await, Ok(None));
    assert_eq!(accounts.list(SERVICE, None, 9).await, Ok(Vec::new()));
    assert_eq!(accounts.count(SERVICE).await, Ok(0));
    assert_eq!(store.rooms().list(SERVICE, None, 9).await, Ok(Vec::new()));
    assert_eq!(store.rooms().get(SERVICE).await, Ok(None));
    for name in [SERVICE, "@pubsub.localhost"] {
        assert_eq!(store.tokens().login(name, "a").await, Ok(None));
        let room = write(&*store, delete_room(name)).await;
        assert_eq!(room, Err(Error::NotFound));
    }
}

pub async fn nodes_go_with_their_owner(store: Arc<dyn Store>) {
    let remove = Write::DeleteAccount {
        host: SERVICE.into(),
        user: String::new(),
    };
    for (owner, make, remove) in [
        (ROMEO, create(ROMEO), delete(ROMEO)),
        (SERVICE, service(), remove),
        (GARDEN, create_room(GARDEN), delete_room(GARDEN)),
    ] {
        done(&*store, make.clone()).await;
        done(&*store, create_node(owner, NODE, 9)).await;
        done(&*store, publish(owner, NODE, item("a", 1), 9)).await;
        let member = Some(NodeAffiliation::Member);
        done(&*store, affiliate(owner, NODE, JULIET, member)).await;
        done(&*store, subscribe(owner, NODE, subscription(JULIET, ""))).await;
        done(&*store, remove).await;
        let nodes = [(owner.to_owned(), NODE.to_owned())];
        for round in 0..2 {
            assert_eq!(store.pubsub().node(owner, NODE, None).await, Ok(None));
            let last = store.pubsub().last_items(&nodes).await;
            assert_eq!(last, Ok(Vec::new()));
            let theirs = store.pubsub().affiliations_of(owner, JULIET).await;
            assert_eq!(theirs, Ok(Vec::new()));
            let theirs = store.pubsub().subscriptions_of(owner, JULIET).await;
            assert_eq!(theirs, Ok(Vec::new()));
            if round == 0 {
                done(&*store, make.clone()).await;
            }
        }
        done(&*store, create_node(owner, NODE, 1)).await;
        let anew = get(&*store, owner, NODE).await;
        assert_eq!((anew.affiliations.len(), anew.subscriptions.len()), (0, 0));
        let last = store.pubsub().last_items(&nodes).await;
        assert_eq!(last, Ok(Vec::new()));
    }
}

pub async fn deleted_account_leaves_the_nodes_of_accounts(store: Arc<dyn Store>) {
    romeo(&*store).await;
    done(&*store, create(JULIET)).await;
    done(&*store, service()).await;
    done(&*store, create_node(SERVICE, NODE, 9)).await;
    let member = Some(NodeAffiliation::Member);
    let balcony = format!("{JULIET}/balcony");
    let others = ["juliet@localhost0"];
    for owner in [ROMEO, SERVICE] {
        for jid in [JULIET, others[0]] {
            done(&*store, affiliate(owner, NODE, jid, member)).await;
        }
        for jid in [&*balcony, others[0]] {
            done(&*store, subscribe(owner, NODE, subscription(jid, ""))).await;
        }
    }
    done(&*store, delete(JULIET)).await;
    let node = get(&*store, ROMEO, NODE).await;
    let affiliated: Vec<&str> = node.affiliations.iter().map(|(jid, _)| &**jid).collect();
    let subscribed: Vec<&str> = node.subscriptions.iter().map(|s| &*s.jid).collect();
    assert_eq!((affiliated, subscribed), (others.to_vec(), others.to_vec()));
    let node = get(&*store, SERVICE, NODE).await;
    assert_eq!((node.affiliations.len(), node.subscriptions.len()), (2, 2));
}

pub async fn deleted_node_leaves_nothing(store: Arc<dyn Store>) {
    romeo(&*store).await;
    published(&*store, &["a", "b"]).await;
    let member = Some(NodeAffiliation::Member);
    done(&*store, affiliate(ROMEO, NODE, JULIET, member)).await;
    done(&*store, subscribe(ROMEO, NODE, subscription(JULIET, ""))).await;
    done(&*store, delete_node(ROMEO, NODE)).await;
    let theirs = store.pubsub().affiliations_of(ROMEO, JULIET).await;
    assert_eq!(theirs, Ok(Vec::new()));
    let theirs = store.pubsub().subscriptions_of(ROMEO, JULIET).await;
    assert_eq!(theirs, Ok(Vec::new()));
    done(&*store, create_node(ROMEO, NODE, 9)).await;
    assert!(all(&*store).await.is_empty());
    let anew = get(&*store, ROMEO, NODE).await;
    assert_eq!((anew.affiliations.len(), anew.subscriptions.len()), (0, 0));
}

pub async fn refused_set_changes_no_node(store: Arc<dyn Store>) {
    romeo(&*store).await;
    published(&*store, &["a", "b", "c"]).await;
    let member = Some(NodeAffiliation::Member);
    done(&*store, affiliate(ROMEO, NODE, JULIET, member)).await;
    done(&*store, subscribe(ROMEO, NODE, subscription(JULIET, ""))).await;
    let before = get(&*store, ROMEO, NODE).await;
    for last in [retract("x"), create_node(ROMEO, "more", 1)] {
        let writes = [
            service(),
            create_node(ROMEO, "another", 9),
            configure(ROMEO, NODE, "other"),
            publish(ROMEO, NODE, item("a", 9), 2),
            retract("c"),
            affiliate(ROMEO, NODE, JULIET, None),
            unsubscribe(JULIET, None),
            last,
        ];
        let refused = store.commit(WriteSet::from_iter(writes)).await;
        assert!(refused.is_err());
        assert_eq!(get(&*store, ROMEO, NODE).await, before);
        assert_eq!(all(&*store).await, ["a", "b", "c"]);
        assert_eq!(store.pubsub().node(ROMEO, "another", None).await, Ok(None));
        let nobody = write(&*store, create_node(SERVICE, NODE, 9)).await;
        assert_eq!(nobody, Err(Error::NotFound));
    }
}
