//! Commands of a room about its hats (XEP-0317 §3, XEP-0050).
//!
//! No execution is remembered between its form and what was filled in, which says all: a client may
//! send the one without having asked for the other (XEP-0317 §3.3).

use std::sync::Arc;

use balcony_core::module::{Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{ErrorType, Payload, StanzaError};
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType, Submission};
use balcony_proto::xep::disco::{Identity, Info, Item};
use balcony_proto::xml::Element;
use balcony_store::{Write, WriteSet};

use super::deliver::deliver;
use super::info;
use super::iq::Asked;
use super::room::hats::{HUE, Hat, Hats, JID, TITLE, URI};
use super::room::{Affiliation, Out, State};
use super::rooms::{Room, kept};
use crate::adhoc::{Action, bad};

/// Bytes of a session id that comes back: 128 bits, as text.
const ID_BYTES: usize = 16;
/// And of one that a client made up: what is echoed has an end.
const MAX_ID: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Create,
    Destroy,
    Assign,
    Unassign,
    List,
    ListAssigned,
}

impl Command {
    const ALL: [(Command, &'static str, &'static str); 6] = [
        (Command::Create, "create", "Create or change a hat"),
        (Command::Destroy, "destroy", "Destroy a hat"),
        (Command::Assign, "assign", "Assign a hat"),
        (Command::Unassign, "unassign", "Remove a hat"),
        (Command::List, "list", "List the hats"),
        (
            Command::ListAssigned,
            "list-assigned",
            "List who wears hats",
        ),
    ];

    fn of(node: &str) -> Option<(Command, &'static str)> {
        let word = node.strip_prefix(ns::HATS_COMMANDS)?.strip_prefix(':')?;
        let mut all = Self::ALL.into_iter();
        let (command, _, name) = all.find(|(_, own, _)| *own == word)?;
        Some((command, name))
    }

    /// Hats are the admins' to give; what there are is for everybody who sees them worn.
    fn allows(self, asked: &Asked<'_>, state: &State) -> bool {
        match self {
            Command::List => !state.locked && info::may_enter(asked, state),
            _ => state.affiliation(&asked.from.bare()) >= Affiliation::Admin,
        }
    }
}

fn node(word: &str) -> String {
    format!("{}:{word}", ns::HATS_COMMANDS)
}

/// The commands, as items of the room (XEP-0050 §2.2).
pub(super) fn listed(asked: &Asked<'_>, state: &State) -> Vec<Item> {
    let all = Command::ALL.into_iter();
    let shown = all.filter(|(command, _, _)| command.allows(asked, state));
    shown
        .map(|(_, word, name)| Item::node(state.jid.clone(), node(word), name))
        .collect()
}

/// What a node is, where it is one of a command or of their list (XEP-0050 §2.2). `None`: it is
/// not.
pub(super) fn described(
    node: &str,
    asked: &Asked<'_>,
    state: &State,
) -> Option<Result<Info, StanzaError>> {
    if node == ns::COMMANDS {
        let list = Info::of(Identity::new("automation", "command-list").named("Commands"));
        let features = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::COMMANDS];
        return Some(Ok(features.into_iter().fold(list, Info::with_feature)));
    }
    let (command, name) = Command::of(node)?;
    if !command.allows(asked, state) {
        return Some(Err(forbidden()));
    }
    let info = Info::of(Identity::new("automation", "command-node").named(name));
    let info = info.with_feature(ns::COMMANDS).with_feature(ns::DATA_FORMS);
    Some(Ok(info))
}

/// XEP-0050 §4.4: of type `cancel`.
fn forbidden() -> StanzaError {
    StanzaError::forbidden().with_type(ErrorType::Cancel)
}

/// A step of a command.
///
/// # Errors
/// `item-not-found` for another command, `forbidden` for whoever may not run it, `bad-request` for
/// what was not filled in as it should be.
pub(super) async fn run(
    ctx: &mut Ctx<'_>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
) -> Result<Payload, StanzaError> {
    let node = asked.element.attr("node");
    let node = node.ok_or_else(StanzaError::bad_request)?;
    let (command, name) = Command::of(node).ok_or_else(StanzaError::item_not_found)?;
    let action = Action::read(asked.element)?;
    let id = session_id(asked.element.attr("sessionid"))?;
    let answer = Element::new(ns::COMMANDS, "command")
        .with_attr("node", node)
        .with_attr("sessionid", id);
    let form = {
        let state = room.state();
        if !command.allows(asked, &state) {
            return Err(forbidden());
        }
        form(command, name, &state.hats)
    };
    let submitted = DataForm::within(asked.element);
    let answer = match (action, form, submitted) {
        (Action::Cancel, _, _) => answer.with_attr("status", "canceled"),
        (Action::Prev, _, _) => return Err(bad("bad-action")),
        (_, None, _) => answer
            .with_attr("status", "completed")
            .with_child(table(command, name, &room.state().hats).to_element()),
        (_, Some(form), Some(submitted)) => {
            let filled = form.check(&submitted);
            let filled = filled.map_err(|fault| bad("bad-payload").with_text(fault.to_string()))?;
            change(ctx, asked, room, command, &filled).await?;
            answer.with_attr("status", "completed")
        }
        (Action::Execute, Some(form), None) => {
            let complete = Element::new(ns::COMMANDS, "complete");
            let actions = Element::new(ns::COMMANDS, "actions").with_attr("execute", "complete");
            answer
                .with_attr("status", "executing")
                .with_child(actions.with_child(complete))
                .with_child(form.to_element())
        }
        (_, Some(_), None) => return Err(bad("bad-payload")),
    };
    Ok(Payload::from_element(&answer))
}

fn session_id(given: Option<&str>) -> Result<String, StanzaError> {
    match given {
        Some(id) if id.len() <= MAX_ID => Ok(id.to_owned()),
        Some(_) => Err(bad("bad-sessionid")),
        None => {
            let mut random = [0_u8; ID_BYTES];
            getrandom::fill(&mut random).map_err(|_| StanzaError::internal_server_error())?;
            Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
        }
    }
}

/// What a command asks for. `None`: nothing.
fn form(command: Command, name: &str, hats: &Hats) -> Option<DataForm> {
    let line = |var: &str, label: &str| Field::new(FieldType::TextSingle, var).labelled(label);
    // The example of §3.3 has another name for this field, with which it is not submitted.
    let one = || {
        let field = Field::new(FieldType::ListSingle, URI).labelled("Hat");
        let field = hats.all().fold(field, |field, hat| {
            field.with_choice(hat.uri.as_str(), hat.title.as_str())
        });
        field.required()
    };
    let fields = match command {
        Command::Create => vec![
            line(TITLE, "Title").required(),
            line(URI, "URI").required(),
            line(HUE, "Hue, from 0 to 360"),
        ],
        Command::Destroy => vec![one()],
        Command::Assign | Command::Unassign => {
            let who = Field::new(FieldType::JidSingle, JID).labelled("Address");
            vec![who.required(), one()]
        }
        Command::List | Command::ListAssigned => return None,
    };
    let form = DataForm::about(FormType::Form, ns::HATS_COMMANDS).with_title(name);
    Some(fields.into_iter().fold(form, DataForm::with_field))
}

/// §3.4, §3.7
fn table(command: Command, name: &str, hats: &Hats) -> DataForm {
    let head = |var: &str| Field {
        var: Some(var.to_owned()),
        ..Field::default()
    };
    let table = DataForm::about(FormType::Result, ns::HATS_COMMANDS).with_title(name);
    let heads = [TITLE, URI, HUE];
    if command == Command::List {
        let table = table.with_reported(heads.map(head));
        return hats
            .all()
            .fold(table, |table, hat| table.with_item(hat.fields()));
    }
    let heads = [JID].into_iter().chain(heads);
    let table = table.with_reported(heads.map(head));
    hats.worn().fold(table, |table, (jid, hat)| {
        let who = Field::of(JID, jid.as_str());
        table.with_item([who].into_iter().chain(hat.fields()))
    })
}

/// Kept with the room's configuration first, then everybody sees it.
async fn change(
    ctx: &mut Ctx<'_>,
    asked: &Asked<'_>,
    room: &Arc<Room>,
    command: Command,
    filled: &Submission,
) -> Result<(), StanzaError> {
    let _changing = room.change().await?;
    let (hats, config) = {
        let state = room.state();
        if !command.allows(asked, &state) {
            return Err(forbidden());
        }
        let mut hats = state.hats.clone();
        apply(&mut hats, command, filled)?;
        let config = kept(&state.config, state.locked, &hats);
        (hats, config)
    };
    let room_jid = asked.to.bare().to_string();
    let set = Write::RoomConfigSet {
        room: room_jid,
        config,
    };
    let done = ctx.commit(WriteSet::from(set)).await;
    done.map_err(|cause| stanza_error(&cause))?;
    let mut out = Out::default();
    let mut state = room.state();
    state.put_on(hats, &mut out);
    deliver(ctx.core(), out);
    Ok(())
}

fn apply(hats: &mut Hats, command: Command, filled: &Submission) -> Result<(), StanzaError> {
    let value = |var| filled.value(var).unwrap_or_default();
    let account = || -> Result<Jid, StanzaError> {
        let jid = filled.jids(JID).first().map(Jid::bare);
        jid.ok_or_else(|| bad("bad-payload"))
    };
    match command {
        Command::Create => hats.put(Hat::new(value(URI), value(TITLE), value(HUE))?),
        Command::Destroy => {
            hats.remove(value(URI));
            Ok(())
        }
        Command::Assign => hats.assign(value(URI), account()?),
        Command::Unassign => {
            hats.unassign(value(URI), &account()?);
            Ok(())
        }
        Command::List | Command::ListAssigned => Ok(()),
    }
}
