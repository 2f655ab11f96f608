//! Becoming a member with a nickname of one's own (XEP-0045 §7.10, §9.9).
//!
//! A room in which members are nothing special takes whoever asks. Any other asks its admins.

use std::sync::Arc;

use balcony_core::module::{Core, Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{MessageType, Payload, Stanza, StanzaError};
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType};
use balcony_proto::xml::Element;
use balcony_store::WriteSet;

use super::deliver::{deliver, send};
use super::iq::Asked;
use super::room::{Affiliation, Listed, Out, Plan, State, Told};
use super::rooms::{Room, affiliation_set, has_account};
use super::settings;

/// §15.5.1
pub(super) const FORM: &str = "http://jabber.org/protocol/muc#register";

const NICK: &str = "muc#register_roomnick";
const ALLOW: &str = "muc#register_allow";
/// Not in the registry: who asked, which whoever decides must know.
const ADDRESS: &str = "muc#jid";

/// Admins who are asked: enough that one of them answers.
const MAX_ASKED: usize = 20;
/// Bytes of a nickname that is reserved: as much as others can read.
const MAX_NICK: usize = 256;

/// What is needed, or that it is done already.
pub(super) fn requirements(asked: &Asked<'_>, state: &State) -> Result<Payload, StanzaError> {
    check(asked, state)?;
    let query = Element::new(ns::REGISTER, "query");
    let own = state.lists.get(&asked.from.bare());
    let query = match own.and_then(|listed| listed.nick.as_deref()) {
        Some(nick) => query
            .with_child(Element::new(ns::REGISTER, "registered"))
            .with_child(Element::new(ns::REGISTER, "username").with_text(nick)),
        None => query.with_child(form().to_element()),
    };
    Ok(Payload::from_element(&query))
}

fn form() -> DataForm {
    let nick = Field::new(FieldType::TextSingle, NICK).labelled("Nickname");
    let form = DataForm::about(FormType::Form, FORM).with_title("Registration");
    form.with_field(nick.required())
}

fn check(asked: &Asked<'_>, state: &State) -> Result<(), StanzaError> {
    match state.affiliation(&asked.from.bare()) {
        Affiliation::Outcast => Err(StanzaError::not_allowed()),
        // §7.2.10: for others it is not there yet.
        affiliation if state.locked && affiliation != Affiliation::Owner => {
            Err(StanzaError::item_not_found())
        }
        _ => Ok(()),
    }
}

/// Somebody registers, or is registered no longer.
pub(super) async fn set(
    ctx: &mut Ctx<'_>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
) -> Result<Payload, StanzaError> {
    let account = asked.from.bare();
    let _changing = room.change().await?;
    check(asked, &room.state())?;
    // Who is anonymous has none, and a name for one visit.
    if !has_account(ctx.core(), &account).await? {
        return Err(no_account());
    }
    // Everybody hears of it, or the admins do.
    let config = ctx.config();
    let rates = settings::rates(&config);
    let now = ctx.utc_micros();
    room.state()
        .keep_pace(&account, Told::Presence, &rates, now)?;
    let remove = asked.element.child(ns::REGISTER, "remove").is_some();
    let listed = if remove {
        let now = room.state().affiliation(&account);
        // Admins keep their office, and give up the nickname.
        (now >= Affiliation::Admin).then_some(member(now, None))
    } else {
        let nick = wanted(asked)?;
        let state = room.state();
        state.check_nick(&nick, &account)?;
        let now = state.affiliation(&account);
        if now == Affiliation::None && decides_who_belongs(&state) {
            let requests = ask_admins(&state, asked.from, &nick);
            drop(state);
            send(ctx, requests);
            return Ok(Payload::empty());
        }
        Some(member(now.max(Affiliation::Member), Some(nick)))
    };
    enlist(ctx.core(), room, account.clone(), listed).await?;
    // Who gets the name of a deleted account later is somebody else. What was written before the
    // account went, its deletion takes off the lists; what was written after that, this does.
    if !has_account(ctx.core(), &account).await? {
        enlist(ctx.core(), room, account, None).await?;
        return Err(no_account());
    }
    Ok(Payload::empty())
}

fn no_account() -> StanzaError {
    StanzaError::not_allowed().with_text("only accounts are registered")
}

/// Whether admins say who is a member: where a member may come in, or speak, and others may not.
fn decides_who_belongs(state: &State) -> bool {
    let config = &state.config;
    config.members_only || config.moderated || config.password.is_some()
}

fn member(affiliation: Affiliation, nick: Option<String>) -> Listed {
    Listed {
        affiliation,
        nick,
        reason: None,
    }
}

/// The nickname in a submitted form.
fn wanted(asked: &Asked<'_>) -> Result<String, StanzaError> {
    let submitted = DataForm::within(asked.element).ok_or_else(StanzaError::bad_request)?;
    let submission = form().check(&submitted);
    let submission =
        submission.map_err(|fault| StanzaError::bad_request().with_text(fault.to_string()))?;
    let nick = submission.value(NICK).unwrap_or_default();
    valid(asked.to, nick)
}

/// §7.2.1: what can stand in the address of an occupant.
fn valid(room: &Jid, nick: &str) -> Result<String, StanzaError> {
    let address = room.bare().with_resource(nick).ok();
    let nick = address.and_then(|jid| jid.resource().map(str::to_owned));
    nick.filter(|nick| nick.len() <= MAX_NICK)
        .ok_or_else(StanzaError::jid_malformed)
}

async fn enlist(
    core: &Arc<Core>,
    room: &Arc<Room>,
    account: Jid,
    listed: Option<Listed>,
) -> Result<(), StanzaError> {
    let jid = room.state().jid.clone();
    let write = affiliation_set(&jid, &account, listed.as_ref());
    let done = core.store().commit(WriteSet::from(write)).await;
    done.map_err(|cause| stanza_error(&cause))?;
    let mut out = Out::default();
    let mut state = room.state();
    state.carry_out(&Plan::of(account, listed), &mut out);
    deliver(core, out);
    Ok(())
}

/// §9.9: to the admins' accounts, where the request waits for them.
fn ask_admins(state: &State, from: &Jid, nick: &str) -> Vec<Stanza> {
    let field = Field::new;
    let form = DataForm::about(FormType::Form, FORM)
        .with_title("Registration request")
        .with_instructions("Whether this person may be a member of the room.")
        .with_field(
            field(FieldType::JidSingle, ADDRESS)
                .labelled("Address")
                .with_value(from.bare_str()),
        )
        .with_field(
            field(FieldType::TextSingle, NICK)
                .labelled("Nickname")
                .with_value(nick),
        )
        .with_field(Field::boolean(ALLOW, false).labelled("Allow this person to register?"));
    let message = Stanza::message(MessageType::Normal)
        .with_from(state.jid.clone())
        .with_element(form.to_element());
    let high = [Affiliation::Owner, Affiliation::Admin];
    let admins = high.into_iter().flat_map(|high| state.listed_as(high));
    let admins = admins.filter_map(|jid| Jid::parse(&jid).ok());
    admins
        .take(MAX_ASKED)
        .map(|admin| message.clone().with_to(admin))
        .collect()
}

/// §9.9: an admin has decided.
///
/// # Errors
/// `forbidden` for whoever is no admin, `bad-request` for a form that names nobody, `conflict` for
/// a nickname that is somebody else's by now.
pub(super) async fn decided(
    core: &Arc<Core>,
    room: &Arc<Room>,
    from: &Jid,
    form: &DataForm,
) -> Result<(), StanzaError> {
    let _changing = room.change().await?;
    let (account, listed) = {
        let state = room.state();
        if state.affiliation(&from.bare()) < Affiliation::Admin {
            return Err(StanzaError::forbidden());
        }
        let account = form.value(ADDRESS).and_then(|jid| Jid::parse(jid).ok());
        let account = account.ok_or_else(StanzaError::bad_request)?.bare();
        if !matches!(form.value(ALLOW), Some("1" | "true")) {
            return Ok(());
        }
        // Whoever is more by now, or was banned, is not asked about any more.
        if state.affiliation(&account) != Affiliation::None {
            return Ok(());
        }
        let nick = form.value(NICK).filter(|nick| !nick.is_empty());
        let nick = nick.map(|nick| valid(&state.jid, nick)).transpose()?;
        if let Some(nick) = &nick {
            state.check_nick(nick, &account)?;
        }
        (account, member(Affiliation::Member, nick))
    };
    enlist(core, room, account, Some(listed)).await
}
