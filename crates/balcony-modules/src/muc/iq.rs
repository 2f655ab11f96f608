//! Requests to the service and its rooms.

use std::sync::Arc;

use balcony_core::module::{Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Payload, Stanza, StanzaError};
use balcony_proto::xml::Element;
use balcony_store::WriteSet;

use super::deliver::deliver;
use super::room::Out;
use super::rooms::{Room, Rooms, affiliation_set};
use super::{card, hats, info, owner, past, register};
use crate::service_iq::{only_child, reply};

/// Answers a request, or says what is wrong with it.
pub(super) async fn answer(ctx: &mut Ctx<'_>, stanza: &Stanza) -> Result<(), StanzaError> {
    let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else {
        return Err(StanzaError::bad_request());
    };
    let element = only_child(stanza)?;
    let asked = Asked {
        set: stanza.kind == Kind::Iq(IqType::Set),
        from,
        to,
        element: &element,
    };
    let payload = match to.local() {
        None => at_service(ctx, &asked).await?,
        Some(_) => at_room(ctx, &asked).await?,
    };
    reply(ctx, stanza, payload);
    Ok(())
}

/// A request, taken apart.
pub(super) struct Asked<'a> {
    pub(super) set: bool,
    pub(super) from: &'a Jid,
    pub(super) to: &'a Jid,
    pub(super) element: &'a Element,
}

impl Asked<'_> {
    fn is(&self, set: bool, ns: &str, name: &str) -> bool {
        self.set == set && self.element.is(ns, name)
    }
}

async fn at_service(ctx: &mut Ctx<'_>, asked: &Asked<'_>) -> Result<Payload, StanzaError> {
    if asked.is(false, ns::DISCO_INFO, "query") {
        return info::of_service(asked);
    }
    if asked.is(false, ns::DISCO_ITEMS, "query") {
        return info::rooms(ctx.core(), asked).await;
    }
    if asked.is(false, ns::PING, "ping") {
        return Ok(Payload::empty());
    }
    Err(StanzaError::service_unavailable())
}

async fn at_room(ctx: &mut Ctx<'_>, asked: &Asked<'_>) -> Result<Payload, StanzaError> {
    let rooms = ctx.state::<Rooms>();
    let rooms = rooms.ok_or_else(StanzaError::internal_server_error)?;
    let room = rooms.load(ctx.core(), &asked.to.bare()).await?;
    let room = room.ok_or_else(StanzaError::item_not_found)?;
    let answer = of_room(ctx, asked, &room).await;
    // It may have been read for this alone.
    Rooms::leave_empty(ctx.core(), &room);
    answer
}

async fn of_room(
    ctx: &mut Ctx<'_>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
) -> Result<Payload, StanzaError> {
    if asked.is(false, ns::DISCO_INFO, "query") {
        return info::of_room(asked, &mut room.state(), ctx.utc_micros());
    }
    if asked.is(false, ns::DISCO_ITEMS, "query") {
        return info::occupants(asked, &room.state());
    }
    if asked.is(false, ns::MUC_ADMIN, "query") {
        let list = room.state().list(asked.from, asked.element)?;
        return Ok(Payload::from_element(&list));
    }
    if asked.is(true, ns::MUC_ADMIN, "query") {
        return administer(ctx, asked, room).await;
    }
    if asked.is(false, ns::MUC_OWNER, "query") {
        return owner::form(asked, &room.state());
    }
    if asked.is(true, ns::MUC_OWNER, "query") {
        return owner::set(ctx, asked, room).await;
    }
    if asked.is(false, ns::VCARD, "vCard") {
        return card::get(ctx.core(), asked).await;
    }
    if asked.is(true, ns::VCARD, "vCard") {
        return card::set(ctx, asked, room).await;
    }
    if asked.is(false, ns::REGISTER, "query") {
        return register::requirements(asked, &room.state());
    }
    if asked.is(true, ns::REGISTER, "query") {
        return register::set(ctx, asked, room).await;
    }
    if asked.is(true, ns::COMMANDS, "command") {
        return hats::run(ctx, asked, room).await;
    }
    if asked.element.ns() == ns::MAM {
        return past::answer(ctx, asked, room).await;
    }
    if asked.is(false, ns::PING, "ping") {
        return Ok(Payload::empty());
    }
    Err(StanzaError::service_unavailable())
}

/// §8, §9, §10: the lists are changed when the store has them.
async fn administer(
    ctx: &mut Ctx<'_>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
) -> Result<Payload, StanzaError> {
    let _changing = room.change().await?;
    let plan = room.state().plan(asked.from, asked.element)?;
    let lists = plan.lists.iter();
    let writes: WriteSet = lists
        .map(|(jid, listed)| affiliation_set(&asked.to.bare(), jid, listed.as_ref()))
        .collect();
    let done = ctx.commit(writes).await;
    done.map_err(|cause| stanza_error(&cause))?;
    let mut out = Out::default();
    let mut state = room.state();
    state.carry_out(&plan, &mut out);
    deliver(ctx.core(), out);
    Ok(Payload::empty())
}
