//! What the service and its rooms are, to whoever asks (XEP-0045 §6).

use balcony_core::module::{Core, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType};
use balcony_proto::xep::disco::{Identity, Info, Item, Items};
use balcony_proto::xep::rsm::{Page, PageRequest, Place};

use super::iq::Asked;
use super::room::{Affiliation, Occupant, Role, State, activity};
use super::{hats, rooms};

/// §15.5.4
const ROOM_INFO: &str = "http://jabber.org/protocol/muc#roominfo";
/// §7.12: the node by which one asks for the own nickname.
const NICK: &str = "x-roomuser-item";

/// Rooms in one page of the list: as many as a person looks through.
const PAGE: usize = 100;

/// Rooms that are looked at for one page: of a service with many hidden rooms it may be short.
const LOOKED_AT: u32 = 1_000;

/// §6.2
pub(super) fn of_service(asked: &Asked<'_>) -> Result<Payload, StanzaError> {
    if asked.element.attr("node").is_some() {
        return Err(StanzaError::item_not_found());
    }
    let info = Info::of(Identity::new("conference", "text").named("Rooms"));
    let features = [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::MUC,
        ns::MUC_STABLE_ID,
        ns::OCCUPANT_ID,
        ns::PING,
        ns::RSM,
        ns::VCARD,
    ];
    let info = features.into_iter().fold(info, Info::with_feature);
    Ok(Payload::from_element(&info.to_element()))
}

/// §6.3: the rooms that are no secret.
pub(super) async fn rooms(core: &Core, asked: &Asked<'_>) -> Result<Payload, StanzaError> {
    if asked.element.attr("node").is_some() {
        return Err(StanzaError::item_not_found());
    }
    let page = PageRequest::within(asked.element)?;
    let wanted = page.as_ref().and_then(|page| page.max).unwrap_or(PAGE);
    let wanted = wanted.clamp(1, PAGE);
    let after = match page.map(|page| page.place) {
        None | Some(Place::First) => None,
        Some(Place::After(jid)) => {
            let jid = Jid::parse(&jid).map_err(|_| StanzaError::item_not_found())?;
            jid.local().map(str::to_owned)
        }
        Some(_) => return Err(StanzaError::service_unavailable()),
    };
    let domain = asked.to.domain();
    let listed = core
        .store()
        .rooms()
        .list(domain, after.as_deref(), LOOKED_AT);
    let listed = listed.await.map_err(|cause| stanza_error(&cause))?;
    let more = listed.len() >= usize::try_from(LOOKED_AT).unwrap_or(usize::MAX);
    let shown = listed.into_iter().filter_map(|entry| {
        let config = rooms::config(&entry.config);
        let jid = Jid::from_parts(Some(&entry.room), domain, None).ok()?;
        let name = config.name.unwrap_or(entry.room);
        let shown = config.public && !rooms::is_locked(&entry.config);
        shown.then(|| Item::new(jid).named(name))
    });
    let shown: Vec<Item> = shown.collect();
    let cut = shown.len() > wanted || more;
    let shown: Vec<Item> = shown.into_iter().take(wanted).collect();
    let ends = shown.first().zip(shown.last());
    let ends = ends.map(|(first, last)| (first.jid.to_string(), last.jid.to_string()));
    let mut query = Items {
        node: None,
        items: shown,
    }
    .to_element();
    if cut || after.is_some() {
        let set = Page {
            ends,
            ..Page::default()
        };
        query.push(set.to_element());
    }
    Ok(Payload::from_element(&query))
}

/// §6.4
pub(super) fn of_room(
    asked: &Asked<'_>,
    state: &mut State,
    now: i64,
) -> Result<Payload, StanzaError> {
    if let Some(node) = asked.element.attr("node") {
        return of_node(node, asked, state);
    }
    let config = &state.config;
    let name = config.name.clone();
    let name = name.or_else(|| state.jid.local().map(str::to_owned));
    let identity = Identity::new("conference", "text").named(name.unwrap_or_default());
    let either = |is, yes, no| if is { yes } else { no };
    let features = [
        ns::COMMANDS,
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::HATS,
        ns::MAV,
        ns::MUC,
        ns::MUC_STABLE_ID,
        ns::OCCUPANT_ID,
        ns::PING,
        ns::REGISTER,
        ns::STANZA_ID,
        ns::VCARD,
        either(
            config.password.is_some(),
            "muc_passwordprotected",
            "muc_unsecured",
        ),
        either(config.public, "muc_public", "muc_hidden"),
        either(config.persistent, "muc_persistent", "muc_temporary"),
        either(config.members_only, "muc_membersonly", "muc_open"),
        either(config.moderated, "muc_moderated", "muc_unmoderated"),
        either(
            config.non_anonymous,
            "muc_nonanonymous",
            "muc_semianonymous",
        ),
    ];
    let mut info = features
        .into_iter()
        .fold(Info::of(identity), Info::with_feature);
    if config.archive {
        let features = [
            ns::MAM,
            ns::MAM_EXTENDED,
            ns::RETRACT,
            ns::RETRACT_TOMBSTONE,
            ns::MODERATE,
        ];
        info = features.into_iter().fold(info, Info::with_feature);
    }
    let form = more(state, may_enter(asked, state));
    // XEP-0502 §3.1: of no other room, and not without a value.
    let told = state.config.persistent && state.config.public;
    let hourly = told.then(|| state.activity.hourly(now)).flatten();
    let form = match hourly {
        Some(hourly) => {
            form.with_field(Field::new(FieldType::TextSingle, activity::FIELD).with_value(hourly))
        }
        None => form,
    };
    let info = info.with_form(form);
    Ok(Payload::from_element(&info.to_element()))
}

/// Whether what is talked about in the room is something for whoever asks.
pub(super) fn may_enter(asked: &Asked<'_>, state: &State) -> bool {
    let affiliation = state.affiliation(&asked.from.bare());
    let open = !state.config.members_only && state.config.password.is_none();
    match affiliation {
        Affiliation::Outcast => false,
        Affiliation::None => open || state.seated(asked.from).is_some(),
        _ => true,
    }
}

/// §15.5.4
fn more(state: &State, may_enter: bool) -> DataForm {
    let config = &state.config;
    let line = |var: &str, value: String| Field::new(FieldType::TextSingle, var).with_value(value);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let subject = state.subject.as_ref().filter(|_| may_enter);
    let subject = subject.and_then(|subject| {
        let child = subject.message.payload.find(ns::CLIENT, "subject");
        child.map(|child| child.text())
    });
    let owners = state.listed_as(Affiliation::Owner);
    let flag = |var: &str, value| Field::boolean(var, value);
    let form = DataForm::about(FormType::Result, ROOM_INFO);
    // XEP-0486 §4: not there without one.
    let form = match state.avatar.is_empty() {
        true => form,
        false => form.with_field(
            Field::new(FieldType::TextMulti, "muc#roominfo_avatarhash").with_values(&state.avatar),
        ),
    };
    // XEP-0317 §2: not there without hats.
    let form = match state.hats.hash() {
        Some(hash) => form.with_field(line("hats#hash", hash).labelled("Hats hash")),
        None => form,
    };
    form.with_field(line("muc#roomconfig_roomname", text(&config.name)))
        .with_field(line("muc#roominfo_description", text(&config.description)))
        .with_field(line("muc#roominfo_lang", text(&config.lang)))
        .with_field(line(
            "muc#roominfo_occupants",
            state.occupants().count().to_string(),
        ))
        .with_field(line("muc#roominfo_subject", subject.unwrap_or_default()))
        .with_field(line("muc#maxhistoryfetch", config.history.to_string()))
        .with_field(flag("muc#roominfo_subjectmod", config.change_subject))
        .with_field(flag("muc#roomconfig_changesubject", config.change_subject))
        .with_field(flag(
            "{http://prosody.im/protocol/muc}roomconfig_allowmemberinvites",
            config.allow_invites,
        ))
        .with_field(line(
            "muc#roominfo_slow_mode_duration",
            config.slow_mode.to_string(),
        ))
        .with_field(
            Field::new(FieldType::JidMulti, "muc#roominfo_contactjid").with_values(
                if config.non_anonymous {
                    owners
                } else {
                    Vec::new()
                },
            ),
        )
}

fn of_node(node: &str, asked: &Asked<'_>, state: &State) -> Result<Payload, StanzaError> {
    if let Some(info) = hats::described(node, asked, state) {
        let info = info?.about(node);
        return Ok(Payload::from_element(&info.to_element()));
    }
    own_nick(node, asked, state)
}

/// §7.12
fn own_nick(node: &str, asked: &Asked<'_>, state: &State) -> Result<Payload, StanzaError> {
    if node != NICK {
        return Err(StanzaError::item_not_found());
    }
    let nick = state.lists.get(&asked.from.bare());
    let info = match nick.and_then(|listed| listed.nick.clone()) {
        Some(nick) => Info::of(Identity::new("conference", "text").named(nick)),
        None => Info::default(),
    };
    Ok(Payload::from_element(&info.about(node).to_element()))
}

/// §6.5: who is there is for those who are there too.
pub(super) fn occupants(asked: &Asked<'_>, state: &State) -> Result<Payload, StanzaError> {
    match asked.element.attr("node") {
        Some(ns::COMMANDS) => {
            let items = Items {
                node: Some(ns::COMMANDS.to_owned()),
                items: hats::listed(asked, state),
            };
            return Ok(Payload::from_element(&items.to_element()));
        }
        Some(_) => return Err(StanzaError::item_not_found()),
        None => {}
    }
    let own = state.seated(asked.from);
    // Of whom the room does not tell, moderators alone are told.
    let shown = |other: &Occupant| {
        own.is_some_and(|own| {
            let sees_all = own.role == Role::Moderator || own.nick == other.nick;
            sees_all || state.config.tells_of(other.role)
        })
    };
    let occupants = state.occupants().filter(|other| shown(other));
    let items = occupants.map(|occupant| Item::new(state.address(&occupant.nick)));
    let items = Items {
        node: None,
        items: items.collect(),
    };
    Ok(Payload::from_element(&items.to_element()))
}
