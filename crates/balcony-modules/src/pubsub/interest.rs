//! What clients want to hear of (XEP-0060 §9.2): the nodes whose names stand with `+notify` in what
//! the client's capabilities (XEP-0115, XEP-0390) promise.
//!
//! A hash that nobody has told of before is asked for once, whoever announces it; the answer counts
//! for all who announce it when it proves itself, and else for who gave it.

use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::{Core, Ctx, Event, Session};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Stanza};
use balcony_proto::xep::disco::Info;
use balcony_proto::xml::Element;

use super::announced::Announced;
use super::hearing::Look;
use super::known::{Cause, Client, Key, Wants, read};
use super::{State, catch_up, theirs};

/// How long a client may take to answer. One that is slower is asked again when it comes online.
const PATIENCE: Duration = Duration::from_secs(30);

/// Note of a session: what its client wants.
struct Interest {
    key: Key,
    wants: Wants,
}

/// Whether a client is available and wants to hear of a node.
pub(super) fn wants(session: &Session, node: &str) -> bool {
    let wants = |interest: &Interest| {
        let found = interest
            .wants
            .binary_search_by(|wanted| (**wanted).cmp(node));
        found.is_ok()
    };
    session.is_available() && session.notes(|notes| notes.get().is_some_and(wants))
}

/// All that a client wants to hear of; `None`: it has not said.
pub(super) fn of(session: &Session) -> Option<Wants> {
    let all = |interest: &Interest| Arc::clone(&interest.wants);
    session.notes(|notes| notes.get().map(all))
}

/// A contact is subscribed to an account's presence from now on, and thereby to its nodes (XEP-0060
/// §9.1.2): its clients get the last items (XEP-0163 §4.3.4).
pub(crate) fn introduce(ctx: &Ctx<'_>, account: &Jid, contact: &Jid) {
    for session in ctx.sessions_of(contact) {
        let nodes: Vec<String> = of(&session)
            .iter()
            .flat_map(|wants| wants.iter())
            .map(|node| node.to_string())
            .collect();
        if session.is_available() && !nodes.is_empty() {
            let of = Some(account.clone());
            catch_up::begin(ctx.core(), &session, Look { nodes, of });
        }
    }
    theirs::introduce(ctx, account, contact);
}

/// A client shows itself, with its capabilities.
pub(super) fn on_available(ctx: &mut Ctx<'_>, event: &Event) {
    let Event::Available { session, first } = event else {
        return;
    };
    let cause = match first {
        true => Cause::CameOnline,
        false => Cause::Changed,
    };
    look(ctx.core(), session, cause);
}

/// A session that an orderly stop wrote down has its presence already.
pub(super) fn on_bound(ctx: &mut Ctx<'_>, event: &Event) {
    if let Event::Bound(session) = event
        && session.is_available()
    {
        look(ctx.core(), session, Cause::Restarted);
    }
}

fn look(core: &Arc<Core>, session: &Arc<Session>, cause: Cause) {
    let Some(announced) = Announced::by(session) else {
        // Who says nothing wants nothing (§9.2).
        session.notes(|notes| drop(notes.take::<Interest>()));
        return;
    };
    let key = announced.key();
    let noted = |interest: &Interest| (interest.key == key).then(|| Arc::clone(&interest.wants));
    let before = session.notes(|notes| notes.get().and_then(noted));
    match before {
        Some(_) if cause != Cause::CameOnline => {}
        Some(wants) => settle(core, session, &key, &wants, cause),
        None => find_out(core, announced, Client::Ours(Arc::clone(session), cause)),
    }
}

/// Finds out what a client wants that announces this, and tells it of it.
pub(super) fn find_out(core: &Arc<Core>, announced: Announced, client: Client) {
    let Some(state) = core.state::<State>() else {
        return;
    };
    let key = announced.key();
    match state.interests.known(&key) {
        Some(wants) => learnt(core, &client, &key, &wants),
        None if state.interests.wait(&key, client) => {
            tokio::spawn(ask(Arc::clone(core), announced));
        }
        None => {}
    }
}

fn learnt(core: &Arc<Core>, client: &Client, key: &Key, wants: &Wants) {
    match client {
        Client::Ours(session, cause) => settle(core, session, key, wants, *cause),
        Client::Theirs(place) => theirs::settle(core, place, key, wants),
    }
}

/// Asks the clients that announce a hash, until the answer of one proves itself.
async fn ask(core: Arc<Core>, announced: Announced) {
    let key = announced.key();
    let Some(state) = core.state::<State>() else {
        return;
    };
    while let Some(client) = state.interests.next(&key) {
        if matches!(&client, Client::Ours(session, _) if session.has_ended()) {
            continue;
        }
        let answer = question(&core, &client, announced.disco_node()).await;
        let same = state.interests.of_same(&key, client.jid());
        let Some((info, lang)) = answer else {
            continue;
        };
        let wants = read(&info);
        learnt(&core, &client, &key, &wants);
        for client in same {
            learnt(&core, &client, &key, &wants);
        }
        // XEP-0115 §5.4, XEP-0390 §4.4: what does not prove itself counts for nobody else.
        if announced.proves(&info, lang.as_deref()) {
            for client in state.interests.learn(&key, &wants) {
                learnt(&core, &client, &key, &wants);
            }
        }
    }
}

/// XEP-0115 §6.2, XEP-0390 §5.5: what a client answers, and in which language.
async fn question(
    core: &Arc<Core>,
    client: &Client,
    node: String,
) -> Option<(Info, Option<Arc<str>>)> {
    let query = Element::new(ns::DISCO_INFO, "query").with_attr("node", node);
    let iq = Stanza::new(Kind::Iq(IqType::Get))
        .with_from(match client {
            Client::Ours(session, _) => session.account().domain_jid(),
            // RFC 6121 §8.5.3.1: a server passes on requests of those who see the presence.
            Client::Theirs(place) => place.account.clone(),
        })
        .with_to(client.jid().clone())
        .with_element(query);
    let answer = core.request(iq, PATIENCE).await.ok()?;
    if answer.is_error() {
        return None;
    }
    let query = answer.payload.find(ns::DISCO_INFO, "query")?;
    Some((Info::parse(&query.element()), answer.lang.clone()))
}

/// It is known what a client wants: it gets the last items that it has not got (XEP-0163 §4.3.4).
fn settle(core: &Arc<Core>, session: &Arc<Session>, key: &Key, wants: &Wants, cause: Cause) {
    // It has changed its mind meanwhile.
    if Announced::by(session).is_none_or(|announced| announced.key() != *key) {
        return;
    }
    let interest = Interest {
        key: key.clone(),
        wants: Arc::clone(wants),
    };
    let before = session.notes(|notes| notes.set(interest));
    let before = before.filter(|_| cause == Cause::Changed);
    let had = before.map(|before| before.wants).unwrap_or_default();
    let new = wants.iter().filter(|node| !had.contains(node));
    let new: Vec<String> = new.map(|node| node.to_string()).collect();
    if cause != Cause::Restarted && !new.is_empty() {
        let look = Look {
            nodes: new,
            of: None,
        };
        catch_up::begin(core, session, look);
    }
}
