//! What becomes of rooms that nobody looks after: those that were not to last and are left from a
//! crash, those of accounts that are deleted, and those on a domain that is no service any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use balcony_core::module::{BoxFuture, Core, Ctx, Event, Host, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Condition, StanzaError};
use balcony_store::{Write, WriteSet};
use parking_lot::Mutex;

use super::deliver::deliver;
use super::room::{Affiliation, Listed, Out, Plan, Said, State, code};
use super::rooms::{self, Room, Rooms, affiliation_set};

/// Seconds after the start: sessions from before a restart are in their seats long before.
const AFTER: u32 = 10;

/// Rooms that are looked at in one second: some milliseconds of reading.
const SLICE: u32 = 200;

/// How far the search for rooms without occupants has come.
#[derive(Default)]
pub(super) struct Search(Mutex<Progress>);

enum Progress {
    /// The next slice: the number of the domain, and the room behind which it begins.
    Next(usize, Option<String>),
    /// A slice is being looked at.
    Busy,
    /// Everything was looked at. A room that is emptied later goes at once.
    Done,
}

impl Default for Progress {
    fn default() -> Self {
        Progress::Next(0, None)
    }
}

/// Each second.
pub(super) fn on_tick(ctx: &mut Ctx<'_>, _: &Event) {
    let Some(rooms) = ctx.state::<Rooms>() else {
        return;
    };
    shut_down(ctx.core(), rooms);
    if ctx.core().clock().coarse_seconds() >= AFTER {
        search(ctx, rooms);
    }
}

/// Puts everybody out of the rooms on domains that the configuration has no more.
// DEVIATION: XEP-0045 §11.2 would have 332 told to all at each stop of the server as well. Over an
// orderly stop the sessions of this server stay in their rooms, and whoever resumes has missed
// nothing; who cannot resume has no stream any more on which to hear it.
fn shut_down(core: &Arc<Core>, rooms: &Rooms) {
    for room in rooms.outside(&core.config().muc.hosts) {
        let said = Said {
            codes: &[code::SHUT_DOWN],
            ..Said::default()
        };
        let mut out = Out::default();
        let mut state = room.state();
        state.put_all_out(said, &mut out);
        deliver(core, out);
        drop(state);
        Rooms::leave_empty(core, &room);
    }
}

/// §11.2: the server stops, and occupants on other servers learn that they are in no room any more:
/// nobody here would know of them after the start.
pub(super) fn on_stopping(ctx: &mut Ctx<'_>, _: &Event) {
    let Some(rooms) = ctx.state::<Rooms>() else {
        return;
    };
    let core = ctx.core();
    for room in rooms.all() {
        let said = Said {
            codes: &[code::SHUT_DOWN],
            ..Said::default()
        };
        let mut out = Out::default();
        let mut state = room.state();
        state.put_sessions_out(|session| core.is_elsewhere(session), said, &mut out);
        deliver(core, out);
        drop(state);
        Rooms::leave_empty(core, &room);
    }
}

/// Looks for rooms that a crash left behind, a slice at a time.
fn search(ctx: &Ctx<'_>, rooms: &Rooms) {
    let mut progress = rooms.search.0.lock();
    let Progress::Next(number, after) = &*progress else {
        return;
    };
    let Some(domain) = ctx.config().muc.hosts.get(*number).cloned() else {
        *progress = Progress::Done;
        return;
    };
    let (number, after) = (*number, after.clone());
    *progress = Progress::Busy;
    drop(progress);
    let core = Arc::clone(ctx.core());
    tokio::spawn(async move {
        let next = match slice(&core, &domain, after.as_deref()).await {
            Ok(Some(last)) => Progress::Next(number, Some(last)),
            Ok(None) => Progress::Next(number + 1, None),
            Err(cause) => {
                tracing::warn!(?cause, domain, "rooms from before a crash are still there");
                Progress::Next(number, after)
            }
        };
        if let Some(rooms) = core.state::<Rooms>() {
            *rooms.search.0.lock() = next;
        }
    });
}

/// Answers the last room that it looked at; `None`: there are no more.
async fn slice(
    core: &Arc<Core>,
    domain: &str,
    after: Option<&str>,
) -> Result<Option<String>, StanzaError> {
    let listed = core.store().rooms().list(domain, after, SLICE).await;
    let listed = listed.map_err(|cause| stanza_error(&cause))?;
    let last = listed.last().map(|entry| entry.room.clone());
    let Some(rooms) = core.state::<Rooms>() else {
        return Ok(None);
    };
    for entry in listed {
        if rooms::lasts(&entry.config) {
            continue;
        }
        let Ok(jid) = Jid::from_parts(Some(&entry.room), domain, None) else {
            continue;
        };
        if let Some(room) = rooms.load(core, &jid).await? {
            Rooms::leave_empty(core, &room);
        }
    }
    Ok(last)
}

/// An account is gone, and is nothing to any room any more: who gets its name later is somebody
/// else.
pub(super) fn on_account_deleted<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Event::AccountDeleted(account) = event else {
            return;
        };
        let core = ctx.core();
        for domain in core.config().muc.hosts.clone() {
            if let Err(cause) = leave_all(core, &domain, account).await {
                tracing::warn!(?cause, %account, domain, "a deleted account is on lists of rooms");
            }
        }
    })
}

/// How often a room is looked for that is let go of at the same time.
const TRIES: usize = 3;

async fn leave_all(core: &Arc<Core>, domain: &str, account: &Jid) -> Result<(), StanzaError> {
    let found = core.store().rooms().rooms_of(domain, account.as_str());
    let found = found.await.map_err(|cause| stanza_error(&cause))?;
    let mut found: BTreeSet<String> = found.into_iter().map(|(local, _)| local).collect();
    found.extend(wears_hats_in(core, domain, account).await?);
    let Some(rooms) = core.state::<Rooms>() else {
        return Ok(());
    };
    for local in found {
        let Ok(jid) = Jid::from_parts(Some(&local), domain, None) else {
            continue;
        };
        // One room that fails does not keep the account on the lists of the others.
        if let Err(cause) = leave(core, rooms, &jid, account).await {
            tracing::warn!(?cause, %account, room = %jid, "a deleted account is on its lists");
        }
    }
    Ok(())
}

async fn leave(
    core: &Arc<Core>,
    rooms: &Rooms,
    jid: &Jid,
    account: &Jid,
) -> Result<(), StanzaError> {
    for _ in 0..TRIES {
        let Some(room) = rooms.load(core, jid).await? else {
            return Ok(());
        };
        let left = delist(core, jid, &room, account).await;
        Rooms::leave_empty(core, &room);
        match left {
            // It was let go of in between, and is loaded anew.
            Err(error) if error.condition == Condition::RecipientUnavailable => {}
            left => return left,
        }
    }
    Err(StanzaError::recipient_unavailable())
}

/// The rooms in which an account wears hats: of somebody who is on no list as well.
async fn wears_hats_in(
    core: &Core,
    domain: &str,
    account: &Jid,
) -> Result<Vec<String>, StanzaError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let listed = core.store().rooms().list(domain, after.as_deref(), SLICE);
        let listed = listed.await.map_err(|cause| stanza_error(&cause))?;
        let Some(last) = listed.last() else {
            return Ok(found);
        };
        after = Some(last.room.clone());
        let worn = listed.into_iter().filter(|entry| {
            let hats = rooms::hats(&entry.config);
            hats.of(account).next().is_some()
        });
        found.extend(worn.map(|entry| entry.room));
    }
}

async fn delist(
    core: &Arc<Core>,
    jid: &Jid,
    room: &Arc<Room>,
    account: &Jid,
) -> Result<(), StanzaError> {
    let changing = room.change().await?;
    let run_by = core.host(account.domain());
    let run_by = run_by.as_deref().map(Host::admins).unwrap_or_default();
    let succession = succession(&room.state(), account, run_by);
    let heirs = match succession {
        Succession::Owners(heirs) => heirs,
        Succession::Orphaned => {
            tracing::warn!(room = %jid, "nobody owns this room; its host has no admin to own it");
            Vec::new()
        }
        Succession::Ends => {
            let mut out = Out::default();
            let mut state = room.state();
            state.put_all_out(Said::default(), &mut out);
            state.closed = true;
            deliver(core, out);
            drop(state);
            rooms::delete(core, jid, room, changing);
            return Ok(());
        }
    };
    let gone = Plan::of(account.clone(), None);
    // First who makes place for them.
    let heirs = heirs
        .into_iter()
        .map(|(heir, listed)| Plan::of(heir, Some(listed)));
    let plans: Vec<Plan> = std::iter::once(gone).chain(heirs).collect();
    let lists = plans.iter().flat_map(|plan| &plan.lists);
    let lists = lists.map(|(who, listed)| affiliation_set(jid, who, listed.as_ref()));
    let (hats, bared) = {
        let state = room.state();
        let mut hats = state.hats.clone();
        let bared = hats.bare(account).then(|| Write::RoomConfigSet {
            room: jid.to_string(),
            config: rooms::kept(&state.config, state.locked, &hats),
        });
        (hats, bared)
    };
    let writes = lists.chain(bared);
    let done = core.store().commit(writes.collect::<WriteSet>()).await;
    done.map_err(|cause| stanza_error(&cause))?;
    let mut out = Out::default();
    let mut state = room.state();
    state.put_on(hats, &mut out);
    for plan in &plans {
        state.carry_out(plan, &mut out);
    }
    deliver(core, out);
    Ok(())
}

/// What becomes of a room when an account is nothing to it any more.
#[derive(Debug, PartialEq)]
enum Succession {
    /// These are owners from now on; nobody is, where the room has others.
    Owners(Vec<(Jid, Listed)>),
    /// Nobody has a part in the room, and it goes.
    Ends,
    /// It has members, and nobody who could change it.
    Orphaned,
}

/// Who owns a room when this account does not any more (XEP-0045 §10.4: a room keeps an owner): its
/// admins, whom an owner trusted with it; without any, those who run the host, who can hand it on.
/// Never its members, who may have registered by themselves.
fn succession(state: &State, account: &Jid, run_by: &[Jid]) -> Succession {
    let others = |affiliation: Affiliation| {
        state
            .lists
            .iter()
            .filter(move |(jid, listed)| *jid != account && listed.affiliation == affiliation)
    };
    let owned = state.affiliation(account) == Affiliation::Owner;
    if !owned || others(Affiliation::Owner).next().is_some() {
        return Succession::Owners(Vec::new());
    }
    let owner = |jid: &Jid| Listed {
        affiliation: Affiliation::Owner,
        nick: state.lists.get(jid).and_then(|listed| listed.nick.clone()),
        reason: None,
    };
    let admins: Vec<&Jid> = others(Affiliation::Admin).map(|(jid, _)| jid).collect();
    let has_members = others(Affiliation::Member).next().is_some();
    let run_by = run_by.iter().filter(|jid| *jid != account);
    let heirs = match (admins.is_empty(), has_members) {
        (false, _) => admins,
        (true, true) => run_by.collect(),
        (true, false) => return Succession::Ends,
    };
    let heirs: Vec<_> = heirs
        .into_iter()
        .map(|jid| (jid.clone(), owner(jid)))
        .collect();
    match heirs.is_empty() {
        true => Succession::Orphaned,
        false => Succession::Owners(heirs),
    }
}

#[cfg(test)]
mod tests {
    use super::super::room::Config;
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    /// Who follows crone1 as the owner of a room with these lists.
    fn heirs(lists: &[(&str, Affiliation)], run_by: &[&str]) -> Option<Vec<String>> {
        let mut room = State::new(jid("coven@chat.localhost"), Config::default(), [7; 64]);
        for (who, affiliation) in lists {
            let listed = Listed {
                affiliation: *affiliation,
                nick: None,
                reason: None,
            };
            room.enlist(&jid(who), Some(listed));
        }
        let run_by: Vec<Jid> = run_by.iter().map(|who| jid(who)).collect();
        let owners = match succession(&room, &jid("crone1@localhost"), &run_by) {
            Succession::Owners(owners) => owners,
            Succession::Ends => return None,
            Succession::Orphaned => return Some(vec!["nobody".to_owned()]),
        };
        let owners = owners.iter().map(|(jid, listed)| {
            assert_eq!(listed.affiliation, Affiliation::Owner);
            jid.to_string()
        });
        let mut owners: Vec<String> = owners.collect();
        owners.sort();
        Some(owners)
    }

    #[test]
    fn a_room_is_left_to_those_who_were_trusted_with_it() {
        use Affiliation::{Admin, Member, Outcast, Owner};
        let own = ("crone1@localhost", Owner);
        let (one, two) = (("wiccarocks@localhost", Admin), ("hecate@localhost", Admin));
        let member = ("hag66@localhost", Member);
        let none: &[&str] = &[];
        let all = |owners: &[&str]| Some(owners.iter().map(|who| (*who).to_owned()).collect());
        for (lists, run_by, heirs_are) in [
            (vec![own, ("hecate@localhost", Owner), one], none, all(&[])),
            (
                vec![("crone1@localhost", Admin), ("hecate@localhost", Owner)],
                none,
                all(&[]),
            ),
            (
                vec![own, one, two, member],
                &["root@localhost"],
                all(&["hecate@localhost", "wiccarocks@localhost"]),
            ),
            (
                vec![own, member],
                &["root@localhost"],
                all(&["root@localhost"]),
            ),
            (
                vec![own, member],
                &["hag66@localhost"],
                all(&["hag66@localhost"]),
            ),
            (vec![own, member], none, all(&["nobody"])),
            (vec![own, member], &["crone1@localhost"], all(&["nobody"])),
            (
                vec![own, ("x@far.example", Outcast)],
                &["root@localhost"],
                None,
            ),
            (vec![own], none, None),
        ] {
            assert_eq!(heirs(&lists, run_by), heirs_are, "{lists:?} {run_by:?}");
        }
    }
}
