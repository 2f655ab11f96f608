//! What must be true when all is quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::xep::data_form::DataForm;
use balcony_proto::xml::Element;
use balcony_store::{RoomData, Store};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::client::{Client, Described};
use super::plan::ROOMS;
use super::{World, address};

/// The account that may be deleted, which only it puts on a list.
const LAST: &str = "tybalt@localhost";

/// Answers what is wrong.
pub(super) async fn check(world: &World) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    if world.server.instance.panics() > 0 {
        wrong.push("a session ended by a bug".to_owned());
    }
    for client in &world.clients {
        let client = client.lock();
        wrong.extend(client.faults.clone());
        let unanswered = client.waiting.keys().filter(|_| !client.quit);
        wrong.extend(unanswered.map(|id| format!("{id} has no answer")));
    }
    let last = world
        .server
        .store
        .accounts()
        .get("localhost", "tybalt")
        .await;
    let deleted = last.map_err(|error| error.to_string())?.is_none();
    for room in 0..ROOMS.len() {
        let stored = world.server.store.rooms().get(&address(room)).await;
        let stored = stored.map_err(|error| error.to_string())?;
        wrong.extend(occupants(world, room, stored.as_ref()).await);
        wrong.extend(configuration(world, room, stored.as_ref()).await);
        wrong.extend(lists(world, room, stored.as_ref(), deleted).await);
    }
    Ok(wrong)
}

/// Asks, and waits for the answer.
async fn ask(client: &Arc<Mutex<Client>>, to: &str, payload: &str) -> Option<Element> {
    let id = client.lock().request("get", to, payload);
    sleep(Duration::from_secs(1)).await;
    client.lock().answers.remove(&id)
}

fn is_result(answer: Option<&Element>) -> bool {
    answer.is_some_and(|iq| iq.attr("type") == Some("result"))
}

/// All agree who is in the room, the room among them, and one that is not to last is gone when
/// nobody is.
async fn occupants(world: &World, room: usize, stored: Option<&RoomData>) -> Vec<String> {
    let room = address(room);
    let mut wrong = Vec::new();
    let here = world.clients.iter().filter(|client| {
        let client = client.lock();
        !client.quit && client.inside.contains_key(&room)
    });
    let here: Vec<&Arc<Mutex<Client>>> = here.collect();
    let names: BTreeSet<String> = here.iter().map(|one| one.lock().name.to_owned()).collect();
    for client in &here {
        let (name, seen) = {
            let client = client.lock();
            (client.name, client.inside.get(&room).cloned())
        };
        if seen.as_ref() != Some(&names) {
            wrong.push(format!(
                "{room}: {name} sees {seen:?}, and {names:?} are there"
            ));
        }
        let ping = format!("<ping xmlns='{}'/>", ns::PING);
        let ponged = ask(client, &format!("{room}/{name}"), &ping).await;
        if !is_result(ponged.as_ref()) {
            wrong.push(format!("{room}: {name} is not there, and does not know it"));
        }
        let items = format!("<query xmlns='{}'/>", ns::DISCO_ITEMS);
        let listed = ask(client, &room, &items).await;
        let count =
            listed.and_then(|iq| Some(iq.child(ns::DISCO_ITEMS, "query")?.children().count()));
        if count != Some(names.len()) {
            wrong.push(format!(
                "{room} has {count:?} occupants, and {names:?} are there"
            ));
        }
    }
    let lasts = stored.map(|data| value(data, "muc#roomconfig_persistentroom"));
    match lasts {
        Some(lasts) if names.is_empty() && lasts.as_deref() != Some("1") => {
            wrong.push(format!("{room} is there without anybody"));
        }
        None if !names.is_empty() => {
            wrong.push(format!("{room} is not kept, with {names:?} in it"))
        }
        _ => {}
    }
    wrong
}

fn value(data: &RoomData, var: &str) -> Option<String> {
    let element = Element::parse(&data.config.bytes, ns::CLIENT).ok()?;
    let form = DataForm::parse(&element).ok()?;
    form.value(var).map(str::to_owned)
}

/// The room says of itself what is kept of it, and that is no change before which another was done
/// that began later.
async fn configuration(world: &World, room: usize, stored: Option<&RoomData>) -> Vec<String> {
    let jid = address(room);
    let mut wrong = Vec::new();
    let Some(client) = world.clients.iter().find(|client| !client.lock().quit) else {
        return wrong;
    };
    let info = format!("<query xmlns='{}'/>", ns::DISCO_INFO);
    let answer = ask(client, &jid, &info).await;
    let query = answer
        .as_ref()
        .and_then(|iq| iq.child(ns::DISCO_INFO, "query"));
    let query = query.filter(|_| is_result(answer.as_ref()));
    let form = query.and_then(DataForm::within);
    let says = form.map(|form| {
        let text = form.value("muc#roominfo_description");
        text.unwrap_or_default().to_owned()
    });
    let kept = stored.map(|data| value(data, "muc#roomconfig_roomdesc").unwrap_or_default());
    if says != kept {
        wrong.push(format!(
            "{jid} says {says:?} of itself, and {kept:?} is kept"
        ));
    }
    let Some(last) = kept.and_then(|text| text.parse::<u64>().ok()) else {
        return wrong;
    };
    let all: Vec<Described> = world
        .clients
        .iter()
        .flat_map(|client| client.lock().described.clone())
        .filter(|one| one.room == room)
        .collect();
    let done = all.iter().find(|one| one.number == last);
    let done = done.and_then(|one| one.done).unwrap_or(usize::MAX);
    let lost = all
        .iter()
        .filter(|one| one.done.is_some() && one.sent > done);
    wrong.extend(lost.map(|one| format!("{jid} is {last}, though it became {} later", one.number)));
    wrong
}

/// The lists that the room shows are those that are kept.
async fn lists(
    world: &World,
    room: usize,
    stored: Option<&RoomData>,
    deleted: bool,
) -> Vec<String> {
    let jid = address(room);
    let Some(stored) = stored else {
        return Vec::new();
    };
    let kept: BTreeMap<String, String> = stored
        .affiliations
        .iter()
        .map(|(jid, one)| (jid.clone(), one.affiliation.as_str().to_owned()))
        .collect();
    let mut wrong = Vec::new();
    if deleted && kept.contains_key(LAST) {
        wrong.push(format!("{jid} has a deleted account on its lists"));
    }
    if !kept.values().any(|affiliation| affiliation == "owner") {
        wrong.push(format!("{jid} has no owner: {kept:?}"));
    }
    let owner = world.clients.iter().find(|client| {
        let client = client.lock();
        let own = format!("{}@localhost", client.name);
        !client.quit && kept.get(&own).map(String::as_str) == Some("owner")
    });
    let Some(owner) = owner else {
        return wrong;
    };
    let mut shown = BTreeMap::new();
    for affiliation in ["owner", "admin", "member", "outcast"] {
        let item = format!("<item affiliation='{affiliation}'/>");
        let query = format!("<query xmlns='{}'>{item}</query>", ns::MUC_ADMIN);
        let answer = ask(owner, &jid, &query).await;
        if !is_result(answer.as_ref()) {
            wrong.push(format!("{jid}: an owner does not see who is {affiliation}"));
        }
        let query = answer.and_then(|iq| iq.child(ns::MUC_ADMIN, "query").cloned());
        let items = query.iter().flat_map(Element::children);
        let listed = items.filter_map(|item| Jid::parse(item.attr("jid")?).ok());
        shown.extend(listed.map(|who| (who.to_string(), affiliation.to_owned())));
    }
    if shown != kept {
        wrong.push(format!("{jid} shows {shown:?}, and {kept:?} is kept"));
    }
    wrong
}
