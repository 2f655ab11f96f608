//! A room's archive (XEP-0313 §6.1.2).

use std::sync::Arc;

use balcony_core::module::Ctx;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_store::Stored;

use super::iq::Asked;
use super::room::{Affiliation, Role, State};
use super::rooms::Room;
use crate::{archive, stored};

/// Queries, their form, and where the archive begins and ends.
pub(super) async fn answer(
    ctx: &mut Ctx<'_>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
) -> Result<Payload, StanzaError> {
    let sees_addresses = {
        let state = room.state();
        may_read(asked, &state)?;
        let standing = state.standing(asked.from);
        state.config.non_anonymous
            || standing.role == Role::Moderator
            || standing.affiliation >= Affiliation::Admin
    };
    let owner = asked.to.bare();
    match (asked.set, asked.element.name()) {
        (false, "query") => Ok(archive::query_form()),
        (false, "metadata") => archive::ends(ctx.core(), &owner).await,
        (true, "query") => {
            let session = ctx.sessions().find(asked.from);
            let reader = match &session {
                Some(session) => archive::Reader::Ours(session),
                None if ctx.core().is_elsewhere(asked.from) => archive::Reader::Theirs(asked.from),
                None => return Err(StanzaError::service_unavailable()),
            };
            let shown = |row: &Stored| if sees_addresses { None } else { hidden(row) };
            archive::page(ctx, &owner, reader, asked.element, &shown).await
        }
        _ => Err(StanzaError::service_unavailable()),
    }
}

/// Whoever may enter may read, whether in the room or not.
fn may_read(asked: &Asked<'_>, state: &State) -> Result<(), StanzaError> {
    let affiliation = state.affiliation(&asked.from.bare());
    let inside = state.seated(asked.from).is_some();
    let closed = state.config.members_only && affiliation < Affiliation::Member;
    // A password is asked for at the door alone: who does not stand inside has not shown it.
    let secret = state.config.password.is_some() && !inside && affiliation < Affiliation::Owner;
    if affiliation == Affiliation::Outcast || closed || secret {
        return Err(StanzaError::forbidden());
    }
    Ok(())
}

/// A message without the real address of whoever wrote it.
fn hidden(row: &Stored) -> Option<Stored> {
    let mut message = stored::decode(row)?;
    message.payload = message.payload.without(|child| child.is(ns::MUC_USER, "x"));
    Some(stored::encode(&message))
}
