//! From bytes to elements, and the answers that every client owes.

use balcony_proto::ns;
use memchr::memmem;

use super::engine::{Engine, Load};
use super::markup::{self, Front};
use super::session::Stage;
use crate::error::{Error, Result};

impl Engine {
    /// What came on a session, in plaintext; it may be nothing.
    pub(super) fn take(&mut self, session: usize, bytes: &[u8], load: &mut dyn Load) -> Result<()> {
        let Some(found) = self.sessions.get_mut(session) else {
            return Ok(());
        };
        if !matches!(found.stage, Stage::Ready) {
            let bound = found.negotiate(bytes, self.connector.as_ref())?;
            if found.link.is_behind() {
                self.dirty.push(session);
            }
            let Some(bound) = bound else { return Ok(()) };
            if let Some(stream) = &bound.stream {
                self.bound(session, stream, load)?;
            }
            load.ready(self, session, bound)?;
            return self.take(session, &[], load);
        }
        if found.held.is_empty() {
            let eaten = self.elements(session, bytes, load)?;
            let rest = bytes.get(eaten..).unwrap_or_default();
            if let (false, Some(found)) = (rest.is_empty(), self.sessions.get_mut(session)) {
                found.held.extend_from_slice(rest);
            }
            return Ok(());
        }
        let mut held = std::mem::take(&mut found.held);
        held.extend_from_slice(bytes);
        let eaten = self.elements(session, &held, load)?;
        held.drain(..eaten);
        if let Some(found) = self.sessions.get_mut(session) {
            found.held = held;
        }
        Ok(())
    }

    /// Hands on every whole element; how many bytes they had.
    fn elements(&mut self, session: usize, bytes: &[u8], load: &mut dyn Load) -> Result<usize> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match markup::front(rest) {
                Front::Partial => break,
                Front::Space(length) => at += length,
                Front::Close => {
                    self.eof(session)?;
                    return Ok(bytes.len());
                }
                Front::Element(length) => {
                    at += length;
                    self.element(session, rest.get(..length).unwrap_or_default(), load)?;
                }
            }
        }
        Ok(at)
    }

    fn element(&mut self, session: usize, element: &[u8], load: &mut dyn Load) -> Result<()> {
        if element.starts_with(b"<stream:") {
            let text = format!(": {}", String::from_utf8_lossy(element));
            let who = self.who(session).to_owned();
            return self.lost(session, Error::Closed { who, text });
        }
        if !self.counts(session, element) {
            return self.managing(session, element, load);
        }
        if markup::is(element, "iq") && is_request(element) {
            if !load.asked(self, session, element) {
                self.answer(session, element);
            }
            return Ok(());
        }
        load.stanza(self, session, element)
    }

    /// RFC 6120 §8.2.3: a request has to be answered. Pings get a result (XEP-0199 §4.1); of
    /// roster pushes the result says that they were received (RFC 6121 §2.1.6).
    fn answer(&mut self, session: usize, request: &[u8]) {
        self.pings += u64::from(memmem::find(request, ns::PING.as_bytes()).is_some());
        let id = markup::attribute(request, "id")
            .unwrap_or_default()
            .to_vec();
        let from = markup::attribute(request, "from")
            .unwrap_or_default()
            .to_vec();
        self.untimed(session, |out| {
            out.extend_from_slice(b"<iq type='result' id='");
            out.extend_from_slice(&id);
            if !from.is_empty() {
                out.extend_from_slice(b"' to='");
                out.extend_from_slice(&from);
            }
            out.extend_from_slice(b"'/>");
        });
    }
}

fn is_request(iq: &[u8]) -> bool {
    matches!(markup::attribute(iq, "type"), Some(b"get" | b"set"))
}
