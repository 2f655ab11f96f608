//! XEP-0198 Stream Management 1.6.3 of a stream that stands, from the client's side: what was sent
//! and came is counted, and both are acknowledged.

use std::collections::VecDeque;

use balcony_proto::jid::Jid;
use balcony_stream::initiating::{Bound, FastToken, Resume, Resumption};

use super::engine::{Engine, Load};
use super::markup;
use crate::error::{Error, Result};

/// A stream may be taken up again: that a server has to be ready for it is a part of what stream
/// management costs.
const ENABLE: &[u8] = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const REQUEST: &[u8] = b"<r xmlns='urn:xmpp:sm:3'/>";

/// For stanzas whose acknowledgement nobody waits for.
const UNTIMED: u64 = u64::MAX;

/// What a client keeps of a stream for the one that follows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Former {
    /// The full JID.
    jid: Option<Jid>,
    /// What it takes to take the stream up again (§5).
    pub(crate) resume: Option<Resume>,
    /// Logs in without the password (XEP-0484).
    pub(crate) token: Option<FastToken>,
    /// Lets the login go out at once (XEP-0509).
    pub(crate) version: Option<String>,
}

impl Former {
    fn take(&mut self, bound: &Bound) {
        self.jid = Some(bound.jid.clone());
        if bound.token_refused {
            self.token = None;
        }
        if let Some(token) = &bound.token {
            self.token = Some(token.clone());
        }
        // It is announced before login only, which a stream that was pipelined may not wait for.
        if let Some(version) = &bound.config_version {
            self.version = Some(version.clone());
        }
    }
}

/// The counters of one stream (§4).
#[derive(Clone, Debug)]
pub(super) struct Management {
    /// Stanzas after which an acknowledgement is asked for; `None`: only when [`Engine::ask`] is
    /// called.
    every: Option<u32>,
    /// Stanzas that were sent since it was asked for.
    unasked: u32,
    /// Stanzas that came.
    came: u32,
    /// Stanzas of ours that the server has handled.
    acknowledged: u32,
    /// When those were sent that it has not acknowledged, the oldest first.
    waiting: VecDeque<u64>,
    /// The server's name for the stream (§5); empty until it has given one.
    id: String,
}

impl Management {
    fn new(every: Option<u32>) -> Management {
        Management {
            every,
            unasked: 0,
            came: 0,
            acknowledged: 0,
            waiting: VecDeque::new(),
            id: String::new(),
        }
    }

    /// A stanza is being sent; whether an acknowledgement is due now.
    fn sent(&mut self, nanos: u64) -> bool {
        self.waiting.push_back(nanos);
        self.unasked += 1;
        let due = self.every.is_some_and(|every| self.unasked >= every);
        if due {
            self.unasked = 0;
        }
        due
    }

    fn answer(&self) -> String {
        format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.came)
    }

    /// The server has handled `h` of our stanzas, modulo 2^32: how many more than before. `None`:
    /// more than were sent (§4).
    fn handled(&mut self, h: u32) -> Option<usize> {
        let more = h.wrapping_sub(self.acknowledged) as usize;
        if more > self.waiting.len() {
            return None;
        }
        self.acknowledged = h;
        Some(more)
    }
}

impl Engine {
    /// Enables stream management on a stream that stands and has none; [`Load::managed`] tells when
    /// the server has. From then on an acknowledgement is asked for after `every` stanzas.
    pub(crate) fn manage(&mut self, session: usize, every: Option<u32>) {
        self.send(session, ENABLE);
        if let Some(found) = self.sessions.get_mut(session) {
            // §4: what is sent counts from `<enable/>` on.
            found.management = Some(Management::new(every));
        }
    }

    /// Sends a stanza at the end of this turn, and counts it where there is stream management. The
    /// time `nanos` comes back when it is acknowledged.
    pub(crate) fn stanza(&mut self, session: usize, nanos: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let management = self.management(session);
        let due = management.is_some_and(|management| management.sent(nanos));
        self.write(session, |out| {
            write(out);
            if due {
                out.extend_from_slice(REQUEST);
            }
        });
    }

    /// As [`Engine::stanza`], where nobody waits for the acknowledgement.
    pub(crate) fn untimed(&mut self, session: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.stanza(session, UNTIMED, write);
    }

    /// Asks for an acknowledgement of what was sent, if there is anything.
    pub(crate) fn ask(&mut self, session: usize) {
        let waits = |management: &mut Management| !management.waiting.is_empty();
        if self.management(session).is_some_and(waits) {
            self.send(session, REQUEST);
        }
    }

    /// Tells the server what came, without being asked.
    pub(super) fn acknowledge_all(&mut self, session: usize) {
        if let Some(management) = self.management(session) {
            let answer = management.answer();
            self.send(session, answer.as_bytes());
        }
    }

    /// Stanzas that the server has not acknowledged.
    pub(crate) fn unacknowledged(&self, session: usize) -> usize {
        let found = self.sessions.get(session);
        let management = found.and_then(|found| found.management.as_ref());
        management.map_or(0, |management| management.waiting.len())
    }

    /// What is kept of a stream. Without stream management there is nothing to resume.
    pub(crate) fn former(&self, session: usize) -> Former {
        let found = self.sessions.get(session);
        let mut former = found.map(|found| found.login.clone()).unwrap_or_default();
        let management = found.and_then(|found| found.management.as_ref());
        let resumable = management.filter(|management| !management.id.is_empty());
        former.resume = resumable
            .zip(former.jid.clone())
            .map(|(management, jid)| Resume {
                jid,
                previd: management.id.clone(),
                h: management.came,
            });
        former
    }

    fn management(&mut self, session: usize) -> Option<&mut Management> {
        self.sessions.get_mut(session)?.management.as_mut()
    }

    /// Counts an element that came. True: it was a stanza, or there is no stream management.
    pub(super) fn counts(&mut self, session: usize, element: &[u8]) -> bool {
        let Some(management) = self.management(session) else {
            return true;
        };
        let stanza = markup::is_stanza(element);
        management.came = management.came.wrapping_add(u32::from(stanza));
        stanza
    }

    /// Takes what is no stanza.
    ///
    /// # Errors
    /// [`Error::Unexpected`] for what is no stream management or counts more than was sent.
    pub(super) fn managing(
        &mut self,
        session: usize,
        element: &[u8],
        load: &mut dyn Load,
    ) -> Result<()> {
        let Some(management) = self.management(session) else {
            return Ok(());
        };
        if markup::is(element, "r") {
            self.acknowledge_all(session);
            return Ok(());
        }
        if markup::is(element, "a") {
            let h = markup::number(element, "h");
            return self.acknowledge(session, h, element, load);
        }
        if markup::is(element, "enabled") {
            // §4: what comes counts from here on.
            management.came = 0;
            management.id = id_of(element);
            return load.managed(self, session);
        }
        let who = self.who(session);
        Err(Error::unexpected(who, "what is no stanza", element))
    }

    fn acknowledge(
        &mut self,
        session: usize,
        h: Option<u32>,
        element: &[u8],
        load: &mut dyn Load,
    ) -> Result<()> {
        let management = self.management(session);
        let more = management.and_then(|management| management.handled(h?));
        let Some(more) = more else {
            let what = "an acknowledgement of what was not sent";
            return Err(Error::unexpected(self.who(session), what, element));
        };
        for _ in 0..more {
            let management = self.management(session);
            let oldest = management.and_then(|management| management.waiting.pop_front());
            if let Some(nanos) = oldest.filter(|nanos| *nanos != UNTIMED) {
                load.acknowledged(self, session, nanos);
            }
        }
        Ok(())
    }

    /// The stream stands, as a new one or as the one before it. Counters go on only where the
    /// server has taken it up again.
    ///
    /// # Errors
    /// As [`Engine::managing`].
    pub(super) fn bound(
        &mut self,
        session: usize,
        bound: &Bound,
        load: &mut dyn Load,
    ) -> Result<()> {
        let Some(found) = self.sessions.get_mut(session) else {
            return Ok(());
        };
        found.login.take(bound);
        match bound.resumption {
            // §5: `h` says here what `<a/>` does elsewhere.
            Some(Resumption::Resumed(h)) => self.acknowledge(session, Some(h), b"<resumed/>", load),
            _ => {
                found.management = None;
                Ok(())
            }
        }
    }
}

fn id_of(enabled: &[u8]) -> String {
    let id = markup::attribute(enabled, "id").unwrap_or_default();
    markup::unescaped(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_due_after_so_many_stanzas() {
        let mut management = Management::new(Some(3));
        let due: Vec<bool> = (0..7).map(|nanos| management.sent(nanos)).collect();
        assert_eq!(due, [false, false, true, false, false, true, false]);
        let mut management = Management::new(None);
        assert!((0..100).all(|nanos| !management.sent(nanos)));
    }

    #[test]
    fn acknowledgements_say_how_many_are_new_and_never_more_than_were_sent() {
        let mut management = Management::new(None);
        (0..5).for_each(|nanos| {
            management.sent(nanos);
        });
        assert_eq!(management.handled(3), Some(3));
        management.waiting.drain(..3);
        assert_eq!(management.handled(3), Some(0));
        assert_eq!(management.handled(6), None);
        assert_eq!(management.handled(2), None, "it went back");
        assert_eq!(management.handled(5), Some(2));
    }

    #[test]
    fn counters_go_on_from_zero_after_the_last_number() {
        let mut management = Management::new(None);
        management.acknowledged = u32::MAX;
        management.sent(0);
        assert_eq!(management.handled(0), Some(1));
    }
}
