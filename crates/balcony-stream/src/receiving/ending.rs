//! How a stream that is being negotiated ends: in time, by an error, by its closing tag.

use std::time::Duration;

use balcony_proto::stream::{StreamCondition, StreamError};

use super::Output;
use super::negotiation::{Negotiation, Phase};
use crate::framing;

impl Negotiation {
    pub(super) fn deadline(&self) -> Option<Duration> {
        let timeouts = &self.settings.timeouts;
        let whole = if self.registers {
            timeouts.registration
        } else {
            timeouts.negotiation
        };
        match self.phase {
            Phase::Bound | Phase::Closed => None,
            _ => Some(
                self.handshake_until
                    .unwrap_or(Duration::MAX)
                    .min(self.started + whole),
            ),
        }
    }

    pub(super) fn timeout(&mut self) {
        if self.deadline().is_some_and(|deadline| deadline <= self.now) {
            // RFC 6120 §4.9.3.4
            self.fail(StreamCondition::ConnectionTimeout);
        }
    }

    pub(super) fn fail(&mut self, condition: StreamCondition) {
        self.fail_error(&StreamError::new(condition));
    }

    pub(super) fn fail_with(&mut self, condition: StreamCondition, text: &'static str) {
        self.fail_error(&StreamError::new(condition).with_text(text));
    }

    pub(super) fn fail_error(&mut self, error: &StreamError) {
        // RFC 6120 §5.4.3.2: no XML when the TLS handshake fails.
        if self.phase != Phase::Handshake {
            // RFC 6120 §4.9.1.2: an error that the header caused still needs our header.
            self.ensure_header();
            framing::write_error(error, self.out.bytes());
            framing::write_close(self.out.bytes());
        }
        self.end();
    }

    /// RFC 6120 §4.4.
    pub(super) fn close(&mut self) {
        if self.header_sent && self.phase != Phase::Handshake {
            framing::write_close(self.out.bytes());
        }
        self.end();
    }

    fn end(&mut self) {
        self.out.push(Output::Close);
        self.phase = Phase::Closed;
        self.waiting = None;
        self.exchange = None;
        self.upgrade = None;
        self.pending = Vec::new();
    }
}
