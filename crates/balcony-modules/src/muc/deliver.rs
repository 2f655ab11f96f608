//! What a room says, to its occupants: sessions of ours, and those on other servers.

use std::sync::Arc;

use balcony_core::module::{Core, Ctx};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::Stanza;

use super::entry;
use super::room::Out;
use crate::{blocking, push};

/// Writes what a room says at once, so that everybody gets it in the order in which the room said
/// it. Called while the room's state is locked, or by whoever is the only one to speak for it.
pub(super) fn deliver(core: &Arc<Core>, out: Out) {
    for (session, room) in &out.gone {
        entry::note_left(core, session, room);
    }
    for stanza in out.stanzas {
        let Some(to) = &stanza.to else {
            continue;
        };
        match core.sessions().find(to) {
            Some(session) if !is_blocked(core, session.account(), &stanza) => {
                let is_news = out.by.as_ref().is_some_and(|by| by != session.account());
                if is_news {
                    push::on_room(core, &session, &stanza);
                }
                core.push(&session, stanza);
            }
            // What comes back says who is not there any more, see `entry::failed`.
            None if core.is_elsewhere(to) => core.depart(stanza),
            _ => {}
        }
    }
}

/// XEP-0191 §3.3: whoever blocks a room, or one of its occupants, hears nothing of it.
pub(super) fn is_blocked(core: &Core, account: &Jid, stanza: &Stanza) -> bool {
    let from = stanza.from.as_ref();
    from.is_some_and(|from| blocking::blocks_online(core, account, from))
}

/// Sends what goes the usual way: private messages, invitations and answers, which are archived,
/// copied or refused like others.
pub(super) fn send(ctx: &mut Ctx<'_>, stanzas: impl IntoIterator<Item = Stanza>) {
    stanzas.into_iter().for_each(|stanza| ctx.send(stanza));
}
