//! XEP-0485 PubSub Server Information 1.0.0: which servers a host talks with, as an item on its
//! publish-subscribe service.
//!
//! Names of others are told only of those that tell theirs (§8), which is asked of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use balcony_core::module::{
    Config, Core, Ctx, Event, EventKind, Feature, KeyKind, Listen, Listener, ModuleSpec, Peer,
    Section, Spec, Way,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Stanza, StanzaError};
use balcony_proto::xep::data_form::{Field, FieldType};
use balcony_proto::xep::disco::Info;
use balcony_proto::xml::Element;
use parking_lot::Mutex;

use crate::keys::key;
use crate::{pubsub, version};

/// The name of the node (§6), and of the item that is replaced each time.
const NODE: &str = "serverinfo";
const ITEM: &str = "current";

/// How long it counts what another server says of itself, and how long it has for its answer.
const DAY: Duration = Duration::from_secs(24 * 3_600);
const PATIENCE: Duration = Duration::from_secs(20);

/// Servers that are asked in one round. The others are told of without their name until their turn.
const ASKED: usize = 50;

/// Servers whose answers are remembered, some hundred bytes each. Full, it begins anew.
const REMEMBERED: usize = 10_000;

static SECTION: Section = Section {
    name: "server_info",
    doc: "What everybody may read about this server (XEP-0485), such as maps of the network do.",
    list: false,
    keys: &[
        key(
            "publish",
            KeyKind::Bool,
            "false",
            "Whether each host publishes, on the node `serverinfo` of its publish-subscribe \
             service, with which servers it has connections. They are named only if they publish \
             this too, and may name this server then. Off by default, as it says something about \
             who talks with whom.",
        ),
        key(
            "every",
            KeyKind::Duration {
                min: 10,
                max: 24 * 3_600,
            },
            "\"15m\"",
            "How often it is looked at what changed.",
        ),
    ],
};

/// What is told about the server.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "server_info",
    specs: &[
        Spec::xep("XEP-0485", "PubSub Server Information", "1.0.0").note("for who switches it on")
    ],
    features: &[Feature {
        when: Some(is_published),
        ..Feature::host(ns::SERVER_INFO)
    }],
    on: &[Listener {
        event: EventKind::Tick,
        listen: Listen::Now(on_tick),
    }],
    config: &[&SECTION],
    state: Some(|_| Box::new(State::default())),
    conversations: &["xep-0485"],
    ..ModuleSpec::NOTHING
};

#[derive(Default)]
struct State {
    /// Seconds of uptime at which the next round begins.
    next: AtomicU32,
    /// Whether others publish too, and when they said so: uptime.
    others: Mutex<HashMap<String, (bool, Duration)>>,
    /// What each host published last.
    last: Mutex<HashMap<String, Element>>,
    /// The round that is under way, of which there is one.
    round: tokio::sync::Mutex<()>,
}

fn is_published(config: &Config) -> bool {
    let publish = config.values(SECTION.name).bool("publish");
    publish && !config.pubsub.hosts.is_empty()
}

/// The service on which a host publishes: its own, or the first.
fn service<'c>(config: &'c Config, host: &str) -> Option<&'c str> {
    let services = &config.pubsub.hosts;
    let is_own = |service: &&String| {
        let above = service.strip_suffix(host);
        above.is_some_and(|above| above.ends_with('.'))
    };
    let own = services.iter().find(is_own);
    own.or(services.first()).map(String::as_str)
}

/// §4: where it is read, for the form of the host that XEP-0157 has too.
pub(crate) fn field(config: &Config, host: &str) -> Option<Field> {
    let service = service(config, host).filter(|_| is_published(config))?;
    let uri = format!("xmpp:{service}?;node={NODE}");
    Some(Field::new(FieldType::TextSingle, "serverinfo-pubsub-node").with_value(uri))
}

fn on_tick(ctx: &mut Ctx<'_>, _: &Event) {
    let config = ctx.config();
    let Some(state) = ctx.state::<State>().filter(|_| is_published(&config)) else {
        return;
    };
    let now = ctx.core().clock().coarse_seconds();
    if now < state.next.load(Ordering::Relaxed) {
        return;
    }
    let every = config.values(SECTION.name).duration("every").as_secs();
    let every = u32::try_from(every).unwrap_or(u32::MAX);
    state
        .next
        .store(now.saturating_add(every), Ordering::Relaxed);
    let core = Arc::clone(ctx.core());
    tokio::spawn(async move { round(&core).await });
}

async fn round(core: &Arc<Core>) {
    let Some(state) = core.state::<State>() else {
        return;
    };
    let Ok(_alone) = state.round.try_lock() else {
        return;
    };
    let mut asked = 0;
    for host in core.hosts() {
        let name = host.name();
        let config = core.config();
        let Some(service) = service(&config, name) else {
            continue;
        };
        let peers = core.peers().into_iter().filter(|peer| peer.local == name);
        let mut told = Vec::new();
        for peer in peers {
            let named = publishes_too(core, state, name, &peer.domain, &mut asked).await;
            told.push((peer, named));
        }
        told.sort_by(|(one, _), (two, _)| one.domain.cmp(&two.domain));
        let info = element(name, &told);
        if state.last.lock().get(name) == Some(&info) {
            continue;
        }
        match publish(core, service, name, info.clone()).await {
            Ok(()) => drop(state.last.lock().insert(name.to_owned(), info)),
            Err(error) => {
                let condition = error.condition.as_str();
                tracing::warn!(
                    condition,
                    host = name,
                    service,
                    "the server's information is not published; is the node somebody else's?"
                );
            }
        }
    }
}

async fn publish(
    core: &Arc<Core>,
    service: &str,
    host: &str,
    info: Element,
) -> Result<(), StanzaError> {
    let parse = |domain| Jid::parse(domain).map_err(|_| StanzaError::internal_server_error());
    let (service, host) = (parse(service)?, parse(host)?);
    let item = (NODE, ITEM.to_owned(), info);
    let published = core.lend(move |ctx| {
        Box::pin(async move { pubsub::publish_at_service(ctx, &service, &host, item).await })
    });
    published.await
}

/// Whether another server advertises that it publishes too (§8).
async fn publishes_too(
    core: &Arc<Core>,
    state: &State,
    host: &str,
    domain: &str,
    asked: &mut usize,
) -> bool {
    let now = core.clock().uptime();
    if let Some((does, at)) = state.others.lock().get(domain)
        && now < *at + DAY
    {
        return *does;
    }
    *asked += 1;
    if *asked > ASKED {
        return false;
    }
    let does = match ask(core, host, domain).await {
        Some(info) => info.supports(ns::SERVER_INFO),
        None => false,
    };
    let mut others = state.others.lock();
    if others.len() >= REMEMBERED {
        others.clear();
    }
    others.insert(domain.to_owned(), (does, now));
    does
}

async fn ask(core: &Arc<Core>, host: &str, domain: &str) -> Option<Info> {
    let iq = Stanza::new(Kind::Iq(IqType::Get))
        .with_from(Jid::parse(host).ok()?)
        .with_to(Jid::parse(domain).ok()?)
        .with_element(Element::new(ns::DISCO_INFO, "query"));
    let answer = core.request(iq, PATIENCE).await.ok()?;
    if answer.is_error() {
        return None;
    }
    let query = answer.payload.find(ns::DISCO_INFO, "query")?;
    Some(Info::parse(&query.element()))
}

/// §5: who does not publish too is a server without a name.
fn element(host: &str, peers: &[(Peer, bool)]) -> Element {
    let new = |name| Element::new(ns::SERVER_INFO, name);
    let peers = peers.iter().map(|(peer, named)| {
        let ways = peer.ways.iter().map(|way| {
            new("connection").with_attr(
                "type",
                match way {
                    Way::Incoming => "incoming",
                    Way::Outgoing => "outgoing",
                    Way::Both => "bidi",
                },
            )
        });
        new("remote-domain")
            .with_opt_attr("name", named.then_some(peer.domain.as_str()))
            .with_children(ways)
    });
    let domain = new("domain")
        .with_attr("name", host)
        .with_child(new("federation").with_children(peers));
    new("serverinfo")
        .with_child(domain)
        .with_child(version::element())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, None, &[&SECTION]).unwrap()
    }

    #[test]
    fn a_host_publishes_on_its_own_service() {
        let text = "[server_info]\npublish = true\n[pubsub]\n\
            hosts = ['pubsub.a.example', 'pubsub.b.example', 'pubsub.xb.example']\n";
        let config = config(text);
        assert_eq!(service(&config, "b.example"), Some("pubsub.b.example"));
        assert_eq!(service(&config, "c.example"), Some("pubsub.a.example"));
        let field = field(&config, "b.example").unwrap();
        assert_eq!(field.values, ["xmpp:pubsub.b.example?;node=serverinfo"]);
    }

    #[test]
    fn nothing_is_published_unless_it_is_switched_on() {
        assert!(!is_published(&config("")));
        assert!(field(&config(""), "localhost").is_none());
        let nowhere = "[server_info]\npublish = true\n[pubsub]\nhosts = []\n";
        assert!(!is_published(&config(nowhere)));
    }
}
