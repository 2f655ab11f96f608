//! The part of the random writes that is about publish-subscribe nodes.

use std::fmt::Write as _;

use proptest::option;
use proptest::prelude::{Strategy, prop_oneof};

use super::model::{account, contact, one_of, text};
use super::stored;
use crate::{
    ItemsPlace, ItemsRequest, NodeAffiliation, NodeSubscription, PubsubItem, Store,
    SubscriptionState, Write,
};

const SERVICE: &str = "pubsub.localhost";
const NODES: [&str; 3] = ["", "a", "urn:b"];

/// What the reads of nodes tell about all owners.
pub(crate) async fn of_nodes(store: &dyn Store, accounts: &[&str], out: &mut String) {
    let owners: Vec<String> = accounts
        .iter()
        .chain(&[SERVICE])
        .map(|owner| (*owner).to_owned())
        .collect();
    let pubsub = store.pubsub();
    for owner in &owners {
        let nodes = pubsub.nodes(owner, None, 100).await;
        let rest = pubsub.nodes(owner, Some("a"), 1).await;
        writeln!(out, "{nodes:?} {rest:?}").unwrap();
        for node in NODES {
            let data = pubsub.node(owner, node, None).await;
            let theirs = pubsub.node(owner, node, Some("x")).await;
            writeln!(out, "{data:?} {theirs:?}").unwrap();
            for request in requests() {
                let page = pubsub.items(owner, node, request).await;
                writeln!(out, "{page:?}").unwrap();
            }
        }
        for jid in ["paris@x", "x"] {
            let affiliations = pubsub.affiliations_of(owner, jid).await;
            let subscriptions = pubsub.subscriptions_of(owner, jid).await;
            writeln!(out, "{affiliations:?} {subscriptions:?}").unwrap();
        }
    }
    let nodes = NODES.map(str::to_owned);
    let newest = pubsub.newest(&owners, &nodes, "x").await;
    let pairs = owners.iter().flat_map(|owner| {
        let nodes = nodes.iter();
        nodes.map(move |node| (owner.clone(), node.clone()))
    });
    let last = pubsub.last_items(&pairs.collect::<Vec<_>>()).await;
    writeln!(out, "{newest:?} {last:?}").unwrap();
}

fn requests() -> Vec<ItemsRequest> {
    let request = |place, limit| ItemsRequest {
        place,
        limit,
        not_before: None,
    };
    let fresh = |place, limit| ItemsRequest {
        not_before: Some(5),
        ..request(place, limit)
    };
    vec![
        request(ItemsPlace::First, 100),
        request(ItemsPlace::Last, 2),
        request(ItemsPlace::After("1".into()), 1),
        request(ItemsPlace::Before("2".into()), 1),
        request(ItemsPlace::Ids(vec!["3".into(), "1".into()]), 1),
        fresh(ItemsPlace::First, 1),
        fresh(ItemsPlace::Last, 2),
        fresh(ItemsPlace::After("1".into()), 1),
        fresh(ItemsPlace::Before("2".into()), 1),
        fresh(ItemsPlace::Ids(vec!["3".into(), "1".into()]), 1),
    ]
}

fn owner() -> impl Strategy<Value = String> {
    prop_oneof![4 => account(), 1 => one_of(&[SERVICE])]
}

fn place() -> impl Strategy<Value = (String, String)> {
    (owner(), one_of(&NODES))
}

fn id() -> impl Strategy<Value = String> {
    one_of(&["1", "2", "3"])
}

pub(crate) fn pubsub_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        1 => one_of(&[SERVICE]).prop_map(|host| Write::ServiceCreate { host }),
        5 => (place(), 0..9_i64, text(), 1..4_u32).prop_map(
            |((owner, node), created, text, max_nodes)| Write::NodeCreate {
                owner,
                node,
                created,
                config: stored(&text),
                max_nodes,
            }
        ),
        1 => (place(), text()).prop_map(|((owner, node), text)| Write::NodeConfigSet {
            owner,
            node,
            config: stored(&text),
        }),
        1 => place().prop_map(|(owner, node)| Write::NodeDelete { owner, node }),
        8 => item_write(),
        4 => people_write(),
    ]
}

fn item_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        8 => (place(), id(), contact(), 0..9_i64, text(), 0..4_u32).prop_map(
            |((owner, node), id, publisher, published_at, text, max_items)| Write::ItemPublish {
                owner,
                node,
                item: PubsubItem {
                    id,
                    publisher,
                    published_at,
                    payload: stored(&text),
                },
                max_items,
            }
        ),
        2 => (place(), id())
            .prop_map(|((owner, node), id)| Write::ItemRetract { owner, node, id }),
        1 => place().prop_map(|(owner, node)| Write::NodePurge { owner, node }),
        1 => (place(), 0..9_i64).prop_map(|((owner, node), before)| Write::ItemsExpire {
            owner,
            node,
            before,
        }),
    ]
}

fn people_write() -> impl Strategy<Value = Write> {
    let affiliation = (0..NodeAffiliation::ALL.len()).prop_map(|word| NodeAffiliation::ALL[word]);
    let jid = || one_of(&["paris@x", "paris@x/a", "paris@x.org", "x"]);
    let subid = || one_of(&["", "1"]);
    let state = (0..SubscriptionState::ALL.len()).prop_map(|word| SubscriptionState::ALL[word]);
    let subscription = (
        jid(),
        subid(),
        state,
        option::of(text()),
        option::of(0..9_i64),
    );
    let subscription =
        subscription.prop_map(
            |(jid, subid, state, options, expires_at)| NodeSubscription {
                jid,
                subid,
                state,
                options: options.map(|text| stored(&text)),
                expires_at,
            },
        );
    prop_oneof![
        (
            place(),
            contact(),
            option::weighted(0.8, affiliation),
            1..4_u32
        )
            .prop_map(
                |((owner, node), jid, affiliation, max)| Write::NodeAffiliationSet {
                    owner,
                    node,
                    jid,
                    affiliation,
                    max,
                }
            ),
        (place(), subscription, 1..4_u32).prop_map(|((owner, node), subscription, max)| {
            Write::SubscriptionSet {
                owner,
                node,
                subscription,
                max,
            }
        }),
        (place(), jid(), option::of(subid())).prop_map(|((owner, node), jid, subid)| {
            Write::SubscriptionRemove {
                owner,
                node,
                jid,
                subid,
            }
        }),
    ]
}
