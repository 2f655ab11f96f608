//! What owners do: the configuration, and the end of a room (XEP-0045 §10).

use std::sync::Arc;

use balcony_core::module::{Core, Ctx, stanza_error};
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::data_form::{DataForm, FormType};
use balcony_proto::xml::Element;
use balcony_store::{Write, WriteSet};

use super::deliver::deliver;
use super::iq::Asked;
use super::room::{Affiliation, Config, Out, Said, State, code};
use super::rooms::{Room, Rooms, affiliation_set, delete, kept};

/// Bytes of a reason and of an alternate venue: a long line each.
const MAX_LINE: usize = 1_024;

pub(super) fn check_owner(asked: &Asked<'_>, state: &State) -> Result<(), StanzaError> {
    match state.affiliation(&asked.from.bare()) {
        Affiliation::Owner => Ok(()),
        _ => Err(StanzaError::forbidden()),
    }
}

/// §10.2
pub(super) fn form(asked: &Asked<'_>, state: &State) -> Result<Payload, StanzaError> {
    check_owner(asked, state)?;
    let admins = state.listed_as(Affiliation::Admin);
    let owners = state.listed_as(Affiliation::Owner);
    let form = state.config.form(&admins, &owners);
    let query = Element::new(ns::MUC_OWNER, "query").with_child(form.to_element());
    Ok(Payload::from_element(&query))
}

/// §10.1.2, §10.1.3, §10.2, §10.9
pub(super) async fn set(
    ctx: &mut Ctx<'_>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
) -> Result<Payload, StanzaError> {
    if let Some(destroy) = asked.element.child(ns::MUC_OWNER, "destroy") {
        return destroy_room(ctx.core(), asked, room, destroy).await;
    }
    let form = DataForm::within(asked.element).ok_or_else(StanzaError::bad_request)?;
    match form.form_type {
        FormType::Cancel => {
            cancel(ctx.core(), asked, room).await?;
            Ok(Payload::empty())
        }
        FormType::Submit => configure(ctx, asked, room, &form).await,
        _ => Err(StanzaError::bad_request()),
    }
}

/// §10.1.3: who does not want a new room after all has none.
async fn cancel(core: &Arc<Core>, asked: &Asked<'_>, room: &Arc<Room>) -> Result<(), StanzaError> {
    let changing = room.change().await?;
    let mut state = room.state();
    check_owner(asked, &state)?;
    if !state.locked {
        return Ok(());
    }
    let mut out = Out::default();
    state.put_all_out(Said::default(), &mut out);
    state.closed = true;
    let jid = state.jid.clone();
    deliver(core, out);
    drop(state);
    delete(core, &jid, room, changing);
    Ok(())
}

async fn configure(
    ctx: &mut Ctx<'_>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
    form: &DataForm,
) -> Result<Payload, StanzaError> {
    let _changing = room.change().await?;
    let jid = asked.to.bare();
    let (config, hats, plan) = {
        let state = room.state();
        check_owner(asked, &state)?;
        // §10.1.2: an empty form takes what is there.
        let (config, lists) = state.config.with_submitted(form)?;
        let lists = [
            (Affiliation::Admin, lists.admins),
            (Affiliation::Owner, lists.owners),
        ];
        let plan = state.plan_lists(asked.from, &lists)?;
        (config, state.hats.clone(), plan)
    };
    let set = Write::RoomConfigSet {
        room: jid.to_string(),
        config: kept(&config, false, &hats),
    };
    let lists = plan.lists.iter();
    let lists = lists.map(|(who, listed)| affiliation_set(&jid, who, listed.as_ref()));
    let writes: WriteSet = std::iter::once(set).chain(lists).collect();
    let done = ctx.commit(writes).await;
    done.map_err(|cause| stanza_error(&cause))?;
    let mut out = Out::default();
    let mut state = room.state();
    let unlocked = std::mem::take(&mut state.locked);
    let before = std::mem::replace(&mut state.config, config);
    state.tell_of_others(&before.broadcast, &mut out);
    state.carry_out(&plan, &mut out);
    let codes = changes(&before, &state.config);
    if !codes.is_empty() && !unlocked {
        state.tell_codes(&codes, &mut out);
    }
    // §10.2
    if state.config.members_only && !before.members_only {
        state.put_out_strangers(&mut out);
    }
    deliver(ctx.core(), out);
    Ok(Payload::empty())
}

/// §10.2.1: what everybody must know of a change.
fn changes(before: &Config, now: &Config) -> Vec<u16> {
    let mut codes = Vec::new();
    if before.archive != now.archive {
        let code = if now.archive {
            code::LOGGED
        } else {
            code::NOT_LOGGED
        };
        codes.push(code);
    }
    if before.non_anonymous != now.non_anonymous {
        codes.push(match now.non_anonymous {
            true => code::NOW_NON_ANONYMOUS,
            false => code::NOW_SEMI_ANONYMOUS,
        });
    }
    let rest = Config {
        archive: now.archive,
        non_anonymous: now.non_anonymous,
        ..before.clone()
    };
    if rest != *now {
        codes.push(code::CONFIG_CHANGED);
    }
    codes
}

/// §10.9
async fn destroy_room(
    core: &Arc<Core>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
    destroy: &Element,
) -> Result<Payload, StanzaError> {
    let changing = room.change().await?;
    let venue = destroy.attr("jid").filter(|jid| jid.len() <= MAX_LINE);
    let mut told = Element::new(ns::MUC_USER, "destroy").with_opt_attr("jid", venue);
    for name in ["reason", "password"] {
        let text = destroy.child_text(ns::MUC_OWNER, name);
        if let Some(text) = text.filter(|text| !text.is_empty() && text.len() <= MAX_LINE) {
            told.push(Element::new(ns::MUC_USER, name).with_text(&text));
        }
    }
    let jid = {
        let mut out = Out::default();
        let mut state = room.state();
        check_owner(asked, &state)?;
        let said = Said {
            destroyed: Some(&told),
            ..Said::default()
        };
        state.put_all_out(said, &mut out);
        state.closed = true;
        deliver(core, out);
        state.jid.clone()
    };
    let done = core.store().commit(WriteSet::from(Write::RoomDelete {
        room: jid.to_string(),
    }));
    let done = done.await;
    if let Some(rooms) = core.state::<Rooms>() {
        rooms.forget(&jid, room);
    }
    drop(changing);
    match done {
        Ok(_) | Err(balcony_store::Error::NotFound) => Ok(Payload::empty()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}
