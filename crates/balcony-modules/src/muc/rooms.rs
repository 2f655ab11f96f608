//! The rooms that somebody is in, or is about to be; the others are in the store alone.

use std::sync::{Arc, OnceLock};

use balcony_core::module::{Core, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::map::Map;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FormType};
use balcony_proto::xml::Element;
use balcony_proto::{ns, stanza::Stanza};
use balcony_store::{
    ArchiveFilter, ArchivePlace, ArchiveRequest, RoomAffiliation, RoomData, Stored, Write,
    WriteSet, secret_or_create,
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::OwnedMutexGuard;

use super::room::hats::{self, Hats};
use super::room::{
    Affiliation, Config, History, Listed, Past, State, Subject, is_dated, is_subject_change,
};
use super::{card, upkeep};
use crate::{stanza_id, stored};

/// The form of a room's configuration as the store keeps it: the `<x/>` of XEP-0004.
const FORM: u16 = 1;

/// The field of a room that is locked, which no owner sees.
const LOCKED: &str = "locked";

/// People on the lists of one room: a large organisation; the lists are read with the room.
pub(super) const MAX_LISTED: u32 = 20_000;

/// All rooms in memory.
#[derive(Default)]
pub(super) struct Rooms {
    loaded: Mutex<Map<Jid, Arc<Room>>>,
    /// Held by whoever brings a room into the table, from the look into the store on: so nobody
    /// puts one there as it was before another brought it, changed it and let it go.
    loading: tokio::sync::Mutex<()>,
    key: OnceLock<[u8; 64]>,
    pub(super) search: upkeep::Search,
}

/// A room in memory.
pub(super) struct Room {
    state: Mutex<State>,
    changing: Arc<tokio::sync::Mutex<()>>,
}

/// Held by whoever changes what the store has of a room, so that one change is made after another.
pub(super) type Changing = OwnedMutexGuard<()>;

impl Room {
    /// Its state, for a moment.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Waits until the room may be changed. Who may change it is to be looked at after that.
    ///
    /// # Errors
    /// `recipient-unavailable` when the room was let go of meanwhile: the next try finds it, or
    /// that it is no more.
    pub(super) async fn change(&self) -> Result<Changing, StanzaError> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        match self.state().closed {
            true => Err(StanzaError::recipient_unavailable()),
            false => Ok(changing),
        }
    }
}

impl Rooms {
    /// A room that is in memory.
    pub(super) fn get(&self, room: &Jid) -> Option<Arc<Room>> {
        let found = self.loaded.lock().get(room).cloned();
        found.filter(|room| !room.state().closed)
    }

    /// A room, from the store if need be. `None`: there is none.
    ///
    /// # Errors
    /// What the store's failure means for a stanza.
    pub(super) async fn load(
        &self,
        core: &Core,
        jid: &Jid,
    ) -> Result<Option<Arc<Room>>, StanzaError> {
        loop {
            let there = self.loaded.lock().get(jid).cloned();
            if let Some(room) = there {
                if !room.state().closed {
                    return Ok(Some(room));
                }
                // It is on its way out: then it is in the store as it was left, or no more.
                drop(room.changing.lock().await);
                self.forget(jid, &room);
                continue;
            }
            let _loading = self.loading.lock().await;
            if self.loaded.lock().contains_key(jid) {
                continue;
            }
            let found = core.store().rooms().get(jid.as_str()).await;
            let Some(data) = found.map_err(|cause| stanza_error(&cause))? else {
                return Ok(None);
            };
            let key = self.key(core).await?;
            let mut state = state(jid, &data, key);
            state.avatar = card::kept(core, jid.as_str()).await?;
            state.history = past(core, jid, state.config.history).await?;
            return Ok(Some(self.insert(jid, state)));
        }
    }

    /// Those in memory.
    pub(super) fn all(&self) -> Vec<Arc<Room>> {
        self.loaded.lock().values().map(Arc::clone).collect()
    }

    /// Those in memory that are on none of these domains.
    pub(super) fn outside(&self, domains: &[String]) -> Vec<Arc<Room>> {
        let loaded = self.loaded.lock();
        let outside = loaded
            .iter()
            .filter(|(jid, _)| !domains.iter().any(|domain| domain == jid.domain()));
        outside.map(|(_, room)| Arc::clone(room)).collect()
    }

    /// Puts a room into the table, unless somebody else was faster.
    fn insert(&self, jid: &Jid, state: State) -> Arc<Room> {
        let mut loaded = self.loaded.lock();
        let room = loaded.entry(jid.compact()).or_insert_with(|| {
            Arc::new(Room {
                state: Mutex::new(state),
                changing: Arc::default(),
            })
        });
        Arc::clone(room)
    }

    /// Lets go of a room that is closed.
    pub(super) fn forget(&self, jid: &Jid, room: &Arc<Room>) {
        let mut loaded = self.loaded.lock();
        if loaded
            .get(jid)
            .is_some_and(|other| Arc::ptr_eq(other, room))
        {
            loaded.remove(jid);
        }
    }

    /// Makes a room that somebody owns (XEP-0045 §10.1).
    ///
    /// # Errors
    /// `conflict` when it is there by now, `not-allowed` for an owner whose account is gone; else
    /// what the store's failure means.
    pub(super) async fn create(
        &self,
        core: &Core,
        jid: &Jid,
        owner: &Jid,
        config: Config,
    ) -> Result<Arc<Room>, StanzaError> {
        let listed = Listed {
            affiliation: Affiliation::Owner,
            nick: None,
            reason: None,
        };
        let create = Write::RoomCreate {
            host: jid.domain().to_owned(),
            room: jid.local().unwrap_or_default().to_owned(),
            created: core.clock().utc_micros(),
            config: kept(&config, true, &Hats::default()),
        };
        let writes: WriteSet = [create, affiliation_set(jid, owner, Some(&listed))]
            .into_iter()
            .collect();
        let key = self.key(core).await?;
        let _loading = self.loading.lock().await;
        let done = core.store().commit(writes).await;
        done.map_err(|cause| stanza_error(&cause))?;
        // Of an account that was deleted before this was written, nobody would take it away.
        if !may_be_anonymous(core, owner) && !has_account(core, owner).await? {
            let gone = Write::RoomDelete {
                room: jid.to_string(),
            };
            let done = core.store().commit(WriteSet::from(gone)).await;
            done.map_err(|cause| stanza_error(&cause))?;
            return Err(StanzaError::not_allowed());
        }
        let mut state = State::new(jid.clone(), config, key);
        state.enlist(owner, Some(listed));
        state.locked = true;
        Ok(self.insert(jid, state))
    }

    /// Lets go of a room that nobody is in. One that is not to last is deleted.
    pub(super) fn leave_empty(core: &Arc<Core>, room: &Arc<Room>) {
        let Some(rooms) = core.state::<Rooms>() else {
            return;
        };
        let (jid, lasts, changing) = {
            let mut state = room.state();
            if !state.is_empty() || state.closed {
                return;
            }
            let lasts = state.config.persistent && !state.locked;
            // Whoever changes it now looks at it again afterwards.
            let Ok(changing) = Arc::clone(&room.changing).try_lock_owned() else {
                return;
            };
            state.closed = true;
            (state.jid.clone(), lasts, changing)
        };
        if lasts {
            return rooms.forget(&jid, room);
        }
        delete(core, &jid, room, changing);
    }

    async fn key(&self, core: &Core) -> Result<[u8; 64], StanzaError> {
        if let Some(key) = self.key.get() {
            return Ok(*key);
        }
        let mut fresh = [0_u8; 64];
        getrandom::fill(&mut fresh).map_err(|_| StanzaError::internal_server_error())?;
        let kept = secret_or_create(&**core.store(), "occupant-ids", fresh.to_vec()).await;
        let kept = kept.map_err(|cause| stanza_error(&cause))?;
        let key = kept.try_into();
        let key: [u8; 64] = key.map_err(|_| StanzaError::internal_server_error())?;
        Ok(*self.key.get_or_init(|| key))
    }
}

/// Whether an address is that of an account. Of those of other servers nothing is known.
pub(super) async fn has_account(core: &Core, account: &Jid) -> Result<bool, StanzaError> {
    let (host, user) = (account.domain(), account.local().unwrap_or_default());
    if core.host(host).is_none() {
        return Ok(true);
    }
    let exists = core.store().accounts().exists(host, user).await;
    exists.map_err(|cause| stanza_error(&cause))
}

/// Whether somebody may be here without an account.
fn may_be_anonymous(core: &Core, account: &Jid) -> bool {
    let config = core.config();
    let mut hosts = config.hosts.iter();
    hosts.any(|host| host.name == account.domain() && host.anonymous)
}

/// Deletes a room that is closed, and lets go of it when that is done.
pub(super) fn delete(core: &Arc<Core>, jid: &Jid, room: &Arc<Room>, changing: Changing) {
    // Handed to the store before anybody can make another of that name.
    let done = core.store().commit(WriteSet::from(Write::RoomDelete {
        room: jid.to_string(),
    }));
    let (core, jid, room) = (Arc::clone(core), jid.clone(), Arc::clone(room));
    tokio::spawn(async move {
        // Whoever looks for the room waits until it is gone.
        let _changing = changing;
        match done.await {
            Ok(_) | Err(balcony_store::Error::NotFound) => {}
            Err(cause) => tracing::warn!(%cause, %jid, "a room without occupants is still there"),
        }
        if let Some(rooms) = core.state::<Rooms>() {
            rooms.forget(&jid, &room);
        }
    });
}

/// A configuration as the store keeps it, with whether its owner has still to say what the room
/// is to be, and the room's hats.
pub(super) fn kept(config: &Config, locked: bool, hats: &Hats) -> Stored {
    let form = config.kept();
    let form = match locked {
        true => form.with_field(Field::boolean(LOCKED, true)),
        false => form,
    };
    let form = hats.rows().fold(form, DataForm::with_item);
    Stored {
        format: FORM,
        bytes: form.to_element().to_bytes(ns::CLIENT),
    }
}

/// The form of a row, if this version can read it.
fn form(row: &Stored) -> Option<DataForm> {
    if row.format != FORM {
        return None;
    }
    let element = Element::parse(&row.bytes, ns::CLIENT).ok()?;
    DataForm::parse(&element).ok()
}

/// Whether its owner has still to say what the room is to be (XEP-0045 §10.1.1).
pub(super) fn is_locked(row: &Stored) -> bool {
    form(row).is_some_and(|form| form.value(LOCKED).is_some())
}

/// The hats that are kept with a configuration (XEP-0317).
pub(super) fn hats(row: &Stored) -> Hats {
    // Most rooms have none, and need not be read for them.
    let uri = hats::URI.as_bytes();
    if !row.bytes.windows(uri.len()).any(|part| part == uri) {
        return Hats::default();
    }
    form(row).map_or_else(Hats::default, |form| Hats::of_rows(&form.items))
}

/// Whether a room is there while nobody is in it.
pub(super) fn lasts(row: &Stored) -> bool {
    config(row).persistent && !is_locked(row)
}

/// The configuration of a row; the usual one where this version cannot read it.
pub(super) fn config(row: &Stored) -> Config {
    let read = |form| {
        let form = DataForm {
            form_type: FormType::Submit,
            ..form
        };
        Config::default().with_submitted(&form).ok()
    };
    match form(row).and_then(read) {
        Some((config, _)) => config,
        None => {
            tracing::error!(
                format = row.format,
                "the configuration of a room cannot be read"
            );
            Config {
                // Nobody comes in by mistake.
                members_only: true,
                public: false,
                persistent: true,
                ..Config::default()
            }
        }
    }
}

/// The write that puts somebody on a room's lists, or takes him off.
pub(super) fn affiliation_set(room: &Jid, jid: &Jid, listed: Option<&Listed>) -> Write {
    let affiliation = listed.and_then(|listed| {
        Some(RoomAffiliation {
            affiliation: word(listed.affiliation)?,
            nick: listed.nick.clone(),
            reason: listed.reason.clone(),
        })
    });
    Write::RoomAffiliationSet {
        room: room.to_string(),
        jid: jid.to_string(),
        affiliation,
        max: MAX_LISTED,
    }
}

fn word(affiliation: Affiliation) -> Option<balcony_store::Affiliation> {
    use balcony_store::Affiliation as Kept;
    Some(match affiliation {
        Affiliation::Owner => Kept::Owner,
        Affiliation::Admin => Kept::Admin,
        Affiliation::Member => Kept::Member,
        Affiliation::Outcast => Kept::Outcast,
        Affiliation::None => return None,
    })
}

fn state(jid: &Jid, data: &RoomData, key: [u8; 64]) -> State {
    use balcony_store::Affiliation as Kept;
    let mut state = State::new(jid.clone(), config(&data.config), key);
    state.locked = is_locked(&data.config);
    state.hats = hats(&data.config);
    for (listed, row) in &data.affiliations {
        let Ok(listed) = Jid::parse(listed) else {
            continue;
        };
        let affiliation = match row.affiliation {
            Kept::Owner => Affiliation::Owner,
            Kept::Admin => Affiliation::Admin,
            Kept::Member => Affiliation::Member,
            Kept::Outcast => Affiliation::Outcast,
        };
        let row = Listed {
            affiliation,
            nick: row.nick.clone(),
            reason: row.reason.clone(),
        };
        state.enlist(&listed, Some(row));
    }
    state.subject = data.subject.as_ref().and_then(subject);
    state
}

/// A subject with when it was set, as a row keeps it.
pub(super) fn kept_subject(message: &Stanza, at: i64) -> Stored {
    let delay = balcony_proto::xep::delay::Delay {
        from: None,
        stamp: at,
        reason: None,
    };
    stored::encode(&message.clone().with_element(delay.to_element()))
}

fn subject(row: &Stored) -> Option<Subject> {
    let mut message = stored::decode(row)?;
    let delay = message.payload.find(ns::DELAY, "delay")?.element();
    let at = balcony_proto::xep::delay::Delay::parse(&delay)?.stamp;
    message.payload = message
        .payload
        .without(|child| child.is(ns::DELAY, "delay"));
    Some(Subject { message, at })
}

/// What somebody was to the room who said what is in its archive (XEP-0313 §6.1.2).
fn said_by(message: &Stanza) -> Affiliation {
    let x = message.payload.find(ns::MUC_USER, "x");
    let x = x.map(|x| x.element());
    let item = x.as_ref().and_then(|x| x.child(ns::MUC_USER, "item"));
    let word = item.and_then(|item| item.attr("affiliation"));
    word.and_then(Affiliation::parse)
        .unwrap_or(Affiliation::None)
}

/// The last messages of a room's archive.
async fn past(core: &Core, jid: &Jid, most: u32) -> Result<History, StanzaError> {
    let mut history = History::default();
    if most == 0 {
        return Ok(history);
    }
    let limit = most.min(u32::try_from(core.config().archive.page).unwrap_or(u32::MAX));
    let request = ArchiveRequest {
        filter: ArchiveFilter::default(),
        place: ArchivePlace::Last,
        limit,
    };
    let page = core.store().archive().page(jid.as_str(), request).await;
    let page = page.map_err(|cause| stanza_error(&cause))?;
    for row in page.messages {
        let Some(mut message) = stored::decode(&row.stanza) else {
            continue;
        };
        // §7.2.13: subjects are not part of it, and what was retracted is no more.
        let retracted = message.payload.find(ns::RETRACT, "retracted").is_some();
        if retracted || is_subject_change(&message.payload) {
            continue;
        }
        let dated = is_dated(said_by(&message), &message);
        message.payload = message.payload.without(|child| child.is(ns::MUC_USER, "x"));
        message.payload.add(&stanza_id::element(jid, row.id));
        let past = Past {
            at: row.received_at,
            message,
            dated,
        };
        history.push(past, most);
    }
    Ok(history)
}
