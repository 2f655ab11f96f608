//! Messages to the room itself: invitations, that they are declined, and requests for voice
//! (XEP-0045 §7.8.2, §7.13, §8.6).

use std::sync::Arc;

use balcony_core::module::{Core, Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{MessageType, Stanza, StanzaError};
use balcony_proto::xep::data_form::DataForm;
use balcony_proto::xml::Element;
use balcony_store::WriteSet;

use super::deliver::{deliver, send};
use super::room::{Affiliation, Listed, Out, Plan, Role, State, Told};
use super::rooms::{Room, Rooms, affiliation_set};
use super::{register, settings, voice};

/// Invitations in one message: a group of friends.
const MAX: usize = 20;

/// What one may send a room that is no talk.
pub(super) async fn message(
    ctx: &mut Ctx<'_>,
    stanza: &Stanza,
    received_at: i64,
) -> Result<(), StanzaError> {
    let to = stanza.to.as_ref().ok_or_else(StanzaError::bad_request)?;
    let rooms = ctx.state::<Rooms>();
    let rooms = rooms.ok_or_else(StanzaError::internal_server_error)?;
    let room = rooms.load(ctx.core(), &to.bare()).await?;
    let room = room.ok_or_else(StanzaError::item_not_found)?;
    let done = dispatch(ctx, stanza, received_at, &room).await;
    Rooms::leave_empty(ctx.core(), &room);
    done
}

async fn dispatch(
    ctx: &mut Ctx<'_>,
    stanza: &Stanza,
    received_at: i64,
    room: &Arc<Room>,
) -> Result<(), StanzaError> {
    let from = stanza.from.as_ref().ok_or_else(StanzaError::bad_request)?;
    let payload = &stanza.payload;
    let x = payload.find(ns::MUC_USER, "x").map(|x| x.element());
    if let Some(x) = x {
        let invites = x
            .children()
            .filter(|child| child.is(ns::MUC_USER, "invite"));
        let invites: Vec<&Element> = invites.collect();
        if !invites.is_empty() {
            return invite(ctx, room, from, (stanza, received_at), &invites).await;
        }
        if let Some(decline) = x.child(ns::MUC_USER, "decline") {
            let config = ctx.config();
            let rates = settings::rates(&config);
            room.state()
                .keep_pace(&from.bare(), Told::Message, &rates, received_at)?;
            return declined(ctx, room, from, stanza, decline);
        }
    }
    let form = payload.find(ns::DATA_FORMS, "x").map(|x| x.element());
    let form = form.and_then(|form| DataForm::parse(&form).ok());
    match form
        .as_ref()
        .and_then(DataForm::form_type_name)
        .zip(form.as_ref())
    {
        Some((voice::FORM, form)) => {
            let mut out = Out::default();
            let mut state = room.state();
            // All moderators hear of each request.
            let config = ctx.config();
            let rates = settings::rates(&config);
            state.keep_pace(&from.bare(), Told::Message, &rates, received_at)?;
            state.voice(from, form, &mut out)?;
            deliver(ctx.core(), out);
            return Ok(());
        }
        Some((register::FORM, form)) => {
            return register::decided(ctx.core(), room, from, form).await;
        }
        _ => {}
    }
    Err(StanzaError::bad_request().with_text("a room takes messages of type groupchat"))
}

/// §7.8.2
async fn invite(
    ctx: &mut Ctx<'_>,
    room: &Arc<Room>,
    from: &Jid,
    (message, received_at): (&Stanza, i64),
    invites: &[&Element],
) -> Result<(), StanzaError> {
    if invites.len() > MAX {
        return Err(StanzaError::not_allowed().with_text("too many invitations at once"));
    }
    let _changing = room.change().await?;
    let (sent, members) = {
        let config = ctx.config();
        let rates = settings::rates(&config);
        let mut state = room.state();
        may_invite(&state, from)?;
        state.keep_pace(&from.bare(), Told::Message, &rates, received_at)?;
        let mut sent = Vec::new();
        let mut members = Vec::new();
        for invite in invites {
            let to = invite.attr("to").ok_or_else(StanzaError::bad_request)?;
            let to = Jid::parse(to).map_err(|_| StanzaError::jid_malformed())?;
            let account = to.bare();
            // §9.2: who is banned is for admins to know.
            if state.affiliation(&account) == Affiliation::Outcast {
                continue;
            }
            // Who is invited into a room for members is one.
            if state.config.members_only && state.affiliation(&account) < Affiliation::Member {
                members.push(account);
            }
            sent.push(invitation(&state, from, message, invite).with_to(to));
        }
        (sent, members)
    };
    enlist(ctx.core(), room, members).await?;
    send(ctx, sent);
    Ok(())
}

async fn enlist(core: &Arc<Core>, room: &Room, members: Vec<Jid>) -> Result<(), StanzaError> {
    if members.is_empty() {
        return Ok(());
    }
    let listed = Listed {
        affiliation: Affiliation::Member,
        nick: None,
        reason: None,
    };
    let jid = room.state().jid.clone();
    let writes = members
        .iter()
        .map(|member| affiliation_set(&jid, member, Some(&listed)));
    let done = core.store().commit(writes.collect::<WriteSet>()).await;
    done.map_err(|cause| stanza_error(&cause))?;
    let mut out = Out::default();
    let mut state = room.state();
    for member in members {
        state.carry_out(&Plan::of(member, Some(listed.clone())), &mut out);
    }
    deliver(core, out);
    Ok(())
}

pub(super) fn may_invite(state: &State, from: &Jid) -> Result<(), StanzaError> {
    let standing = state.standing(from);
    let admin = standing.affiliation >= Affiliation::Admin;
    if standing.role == Role::None && !admin {
        return Err(StanzaError::not_acceptable().with_text("you are not in the room"));
    }
    let allowed = state.config.allow_invites && standing.role >= Role::Participant;
    // §7.8.2: to invite into a room for members is to make a member.
    let may = match state.config.members_only {
        true => admin,
        false => admin || allowed || standing.role == Role::Moderator,
    };
    match may {
        true => Ok(()),
        false => Err(StanzaError::forbidden()),
    }
}

fn invitation(state: &State, from: &Jid, message: &Stanza, invite: &Element) -> Stanza {
    let nick = state.seated(from).map(|occupant| occupant.nick.clone());
    // Whose address is a secret invites by the nickname.
    let inviter = match nick.filter(|_| !state.config.non_anonymous) {
        Some(nick) => state.address(&nick),
        None => from.bare(),
    };
    let kept = ["reason", "continue"].into_iter();
    let kept = kept.filter_map(|name| invite.child(ns::MUC_USER, name).cloned());
    let invite = Element::new(ns::MUC_USER, "invite")
        .with_attr("from", inviter.as_str())
        .with_children(kept);
    let password = state.config.password.as_deref();
    let password = password.map(|text| Element::new(ns::MUC_USER, "password").with_text(text));
    let x = Element::new(ns::MUC_USER, "x")
        .with_child(invite)
        .with_children(password);
    let mut sent = Stanza::message(MessageType::Normal)
        .with_from(state.jid.clone())
        .with_element(x);
    sent.id.clone_from(&message.id);
    sent
}

/// §7.8.2: only who is in the room hears of it, so that a room is no way to write to anybody.
fn declined(
    ctx: &mut Ctx<'_>,
    room: &Room,
    from: &Jid,
    message: &Stanza,
    decline: &Element,
) -> Result<(), StanzaError> {
    let to = decline.attr("to").ok_or_else(StanzaError::bad_request)?;
    let to = Jid::parse(to).map_err(|_| StanzaError::jid_malformed())?;
    let state = room.state();
    let inviter = match to.bare_str() == state.jid.as_str() {
        true => to.resource().and_then(|nick| state.named(nick)),
        false => state
            .occupants()
            .find(|occupant| occupant.account == to.bare()),
    };
    // Whether somebody is there is not for everybody to know.
    let banned = state.affiliation(&from.bare()) == Affiliation::Outcast;
    let Some(inviter) = inviter.filter(|_| !banned) else {
        return Ok(());
    };
    let reason = decline.child(ns::MUC_USER, "reason").cloned();
    let decline = Element::new(ns::MUC_USER, "decline")
        .with_attr("from", from.bare_str())
        .with_children(reason);
    let x = Element::new(ns::MUC_USER, "x").with_child(decline);
    let mut told = Stanza::message(MessageType::Normal)
        .with_from(state.jid.clone())
        .with_element(x);
    told.id.clone_from(&message.id);
    let seats = inviter.seats.iter();
    let sent: Vec<Stanza> = seats
        .map(|seat| told.clone().with_to(seat.jid.clone()))
        .collect();
    drop(state);
    send(ctx, sent);
    Ok(())
}
