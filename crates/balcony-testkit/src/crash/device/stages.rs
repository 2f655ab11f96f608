//! What a device does at the end of a round, phase by phase.

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Stanza};
use balcony_proto::xml::Element;

use super::archive::{Direction, Walk};
use super::{Device, End, Link, Phase};
use crate::crash::world::HOST;

/// How far a device is within a phase.
#[derive(Debug)]
pub(super) struct Stage {
    phase: Phase,
    step: Step,
    /// The id of the ping whose answer is awaited.
    pub(super) ping: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    /// What the phase is about is said.
    Said,
    /// The archive is read.
    Walks(Direction),
    /// It was read.
    Walked(Direction),
    /// The driver knows that this phase is over.
    Through,
}

impl Default for Stage {
    fn default() -> Self {
        Stage::of(Phase::Load)
    }
}

impl Stage {
    fn of(phase: Phase) -> Self {
        Self {
            phase,
            step: Step::Begin,
            ping: None,
        }
    }

    /// Another stream stands: what was asked on the last one is not answered any more.
    pub(super) fn restart(&mut self) {
        self.ping = None;
        // The last words are sent again with everything else.
        if self.phase != Phase::LastWords && self.step != Step::Through {
            self.step = Step::Begin;
        }
    }

    /// The archive is read for the checker, not for the device.
    pub(super) fn reads_archive(&self) -> bool {
        self.phase == Phase::Read && matches!(self.step, Step::Walks(_))
    }

    /// A walk is at its end.
    pub(super) fn walked(&mut self) {
        if let Step::Walks(direction) = self.step {
            self.step = Step::Walked(direction);
        }
    }
}

impl Device {
    /// Does what this phase has still open.
    pub(super) async fn pursue(
        &mut self,
        link: &mut Link,
        now: Phase,
    ) -> Result<Option<End>, String> {
        if self.stage.phase != now {
            self.stage = Stage::of(now);
        }
        if self.stream.is_none() || self.stage.step == Step::Through {
            return Ok(None);
        }
        match now {
            Phase::Load => {}
            Phase::Settle => self.through_when_idle(),
            Phase::LastWords => self.last_words(link),
            Phase::CatchUp => self.catch_up_at_last(link),
            Phase::Read => self.read_archive(link),
            Phase::End | Phase::GiveUp => {
                self.leave(link).await?;
                return Ok(Some(End::Over));
            }
        }
        Ok(None)
    }

    fn is_idle(&self) -> bool {
        let waiting = self.stream.as_ref().map_or(0, super::Managed::waiting);
        waiting == 0 && self.again.is_empty() && self.walk.is_none()
    }

    fn through_when_idle(&mut self) {
        if self.is_idle() {
            self.stage.step = Step::Through;
            // The driver may have given up.
            let _ = self.world.through.send((self.number, self.stage.phase));
        }
    }

    fn last_words(&mut self, link: &mut Link) {
        if self.stage.step == Step::Begin {
            self.stage.step = Step::Said;
            self.write_to_all(link);
        }
        self.through_when_idle();
    }

    /// A ping first: what was on its way to us by then comes before its answer.
    fn catch_up_at_last(&mut self, link: &mut Link) {
        match self.stage.step {
            Step::Begin if self.walk.is_none() => {
                let id = self.request_id("ping");
                let ping = Stanza::iq(IqType::Get, id.clone())
                    .with_to(Jid::parse(HOST).ok())
                    .with_element(Element::new(ns::PING, "ping"));
                self.stage.ping = Some(id);
                self.stage.step = Step::Walks(Direction::Forward);
                self.send_other(link, &ping);
            }
            Step::Walked(_) => self.through_when_idle(),
            _ => {}
        }
    }

    /// The first device of an account reads its archive, in every way.
    fn read_archive(&mut self, link: &mut Link) {
        let first = self
            .world
            .load
            .accounts
            .iter()
            .position(|of| *of == self.account);
        let next = match self.stage.step {
            _ if first != Some(self.number) => return self.through_when_idle(),
            Step::Begin => Direction::Forward,
            Step::Walked(Direction::Forward) => Direction::Backward,
            Step::Walked(Direction::Backward) => Direction::Field,
            Step::Walked(Direction::Field) => return self.through_when_idle(),
            _ => return,
        };
        self.stage.step = Step::Walks(next);
        let page = usize::try_from(self.random.between(7, 50)).unwrap_or(7);
        self.walk_on(link, Walk::new(next, None, page));
    }
}
