//! One session between the loss of its connection and the end of the run.

use std::time::{Duration, Instant};

use balcony_stream::initiating::Initiating;

use crate::order::{Faults, Order};

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Away,
    /// It goes on; messages may still be missing.
    Resumed,
    /// With all its messages.
    Back,
    Failed,
}

/// A session whose connection was cut.
#[derive(Debug)]
pub(super) struct Absence {
    /// The stream on which it comes back, until it sets out.
    stream: Option<Initiating>,
    state: State,
    since: Instant,
    order: Order,
    came: u32,
    faults: Faults,
}

impl Absence {
    /// To come back on this stream.
    pub(super) fn new(stream: Initiating) -> Absence {
        Absence {
            stream: Some(stream),
            state: State::Away,
            since: Instant::now(),
            order: Order::default(),
            came: 0,
            faults: Faults::default(),
        }
    }

    /// It sets out now.
    pub(super) fn set_out(&mut self) -> Option<Initiating> {
        self.since = Instant::now();
        self.stream.take()
    }

    /// The server has taken it up again. The time since it set out, if it is back with that.
    pub(super) fn resumed(&mut self, missed: u32) -> Option<Duration> {
        self.state = State::Resumed;
        self.settle(missed)
    }

    /// A message came that was sent while it was away. As [`Absence::resumed`].
    pub(super) fn message(&mut self, number: u32, missed: u32) -> Option<Duration> {
        self.order.take(number, &mut self.faults);
        self.came += 1;
        self.settle(missed)
    }

    fn settle(&mut self, missed: u32) -> Option<Duration> {
        if self.state != State::Resumed || self.came < missed {
            return None;
        }
        self.state = State::Back;
        Some(self.since.elapsed())
    }

    /// It will not come back. True the first time, unless it had come back already.
    pub(super) fn fail(&mut self) -> bool {
        let fails = matches!(self.state, State::Away | State::Resumed);
        if fails {
            self.state = State::Failed;
        }
        fails
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state == State::Failed
    }

    /// What came wrong or not at all.
    pub(super) fn faults(&self, missed: u32) -> Faults {
        let mut faults = self.faults;
        self.order.finish(missed, &mut faults);
        faults
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use balcony_proto::jid::Jid;
    use balcony_stream::Random;
    use balcony_stream::initiating::ClientConfig;

    use super::*;

    fn absence() -> Absence {
        let config = ClientConfig::new(Jid::parse("juliet@example.com").unwrap(), "");
        let random = Random::new(|_| {});
        Absence::new(Initiating::new(Arc::new(config), random, Duration::ZERO))
    }

    #[test]
    fn who_is_back_is_resumed_and_has_every_message() {
        let mut early = absence();
        assert!(early.resumed(0).is_some());
        let mut late = absence();
        assert!(late.set_out().is_some() && late.set_out().is_none());
        assert!(late.message(0, 2).is_none());
        assert!(late.resumed(2).is_none());
        assert!(late.message(1, 2).is_some());
        assert!(late.message(1, 2).is_none(), "it is back once");
        assert_eq!(late.faults(2).duplicated, 1);
        assert_eq!(late.faults(2).lost, 0);
    }

    #[test]
    fn who_fails_fails_once_and_misses_its_messages() {
        let mut absence = absence();
        assert!(absence.fail());
        assert!(!absence.fail());
        assert!(absence.has_failed());
        assert_eq!(absence.faults(3).lost, 3);
    }
}
