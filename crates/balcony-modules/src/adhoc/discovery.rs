//! Commands as nodes of their host (XEP-0050 §2.2).

use balcony_core::module::{Ctx, Target};
use balcony_proto::ns;
use balcony_proto::stanza::{ErrorType, StanzaError};
use balcony_proto::xep::disco::{Identity, Info, Item};

use super::command::Command;
use super::commands;
use crate::disco::{Asked, Nodes};

/// The list of commands and the commands on it.
pub(crate) static NODES: Nodes = Nodes {
    info: |ctx, asked: &Asked<'_>| match listed(asked)? {
        Listed::List => Some(Ok(list_info())),
        Listed::Command(command) => Some(allowed(ctx, asked, command).map(|()| info(command))),
    },
    items: |ctx, asked: &Asked<'_>| match listed(asked)? {
        Listed::List => Some(items(ctx, asked)),
        Listed::Command(command) => Some(allowed(ctx, asked, command).map(|()| Vec::new())),
    },
};

enum Listed {
    List,
    Command(&'static Command),
}

fn listed(asked: &Asked<'_>) -> Option<Listed> {
    let node = asked
        .node
        .filter(|_| asked.request.target == Target::HOST)?;
    if node == ns::COMMANDS {
        return Some(Listed::List);
    }
    let command = commands().find(|command| command.is_at(node))?;
    Some(Listed::Command(command))
}

fn list_info() -> Info {
    Info::of(Identity::new("automation", "command-list").named("Commands"))
        .with_feature(ns::DISCO_INFO)
        .with_feature(ns::DISCO_ITEMS)
        .with_feature(ns::COMMANDS)
}

fn info(command: &Command) -> Info {
    Info::of(Identity::new("automation", "command-node").named(command.name))
        .with_feature(ns::COMMANDS)
        .with_feature(ns::DATA_FORMS)
}

/// §2.2: forbidden where the command is not for whoever asks.
fn allowed(ctx: &Ctx<'_>, asked: &Asked<'_>, command: &Command) -> Result<(), StanzaError> {
    let request = asked.request;
    let host = ctx.host(request.host()?);
    let host = host.ok_or_else(StanzaError::item_not_found)?;
    match (command.allows)(&host, request.from()?) {
        true => Ok(()),
        false => Err(forbidden()),
    }
}

/// §4.4: of type `cancel`.
pub(super) fn forbidden() -> StanzaError {
    StanzaError::forbidden().with_type(ErrorType::Cancel)
}

/// §2.2: not everybody gets the same list.
fn items(ctx: &Ctx<'_>, asked: &Asked<'_>) -> Result<Vec<Item>, StanzaError> {
    let host = ctx.host(asked.request.host()?);
    let host = host.ok_or_else(StanzaError::item_not_found)?;
    let from = asked.request.from()?;
    let shown = commands().filter(|command| (command.allows)(&host, from));
    let item = |command: &Command| Item::node(host.jid().clone(), command.node(), command.name);
    Ok(shown.map(item).collect())
}
