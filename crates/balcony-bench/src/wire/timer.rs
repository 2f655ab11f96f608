//! A timer that is finer than the milliseconds that a poll can wait.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::error::{Error, Result};

/// The shortest time to a tick; where more is due within it, it goes out together.
const LEAST: Duration = Duration::from_micros(50);

/// Wakes the poll at one moment. The kernel tells the next tick only when the last was read.
#[derive(Debug)]
pub(super) struct Timer {
    fd: OwnedFd,
    /// When it ticks.
    at: Option<Instant>,
}

impl Timer {
    /// A timer that stands still.
    pub(super) fn new(registry: &Registry, token: Token) -> Result<Timer> {
        let failed = |error: rustix::io::Errno| Error::io("making a timer")(error.into());
        let fd =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK).map_err(failed)?;
        let mut source = SourceFd(&fd.as_raw_fd());
        let registered = registry.register(&mut source, token, Interest::READABLE);
        // The borrow of the descriptor ends here; the kernel holds it registered.
        registered.map_err(Error::io("watching a timer"))?;
        Ok(Timer { fd, at: None })
    }

    /// Takes a tick, so that the next one can come.
    pub(super) fn taken(&self) {
        // The count of ticks says nothing that the clock does not; there may be none.
        let _ = rustix::io::read(&self.fd, &mut [0; 8]);
    }

    /// Ticks at that moment, unless it ticks before that anyway.
    pub(super) fn set(&mut self, at: Instant) -> Result<()> {
        let now = Instant::now();
        let at = at.max(now + LEAST);
        if self.at.is_some_and(|set| set > now && set <= at) {
            return Ok(());
        }
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let span = at - now;
        let spec = Itimerspec {
            it_interval: zero,
            it_value: Timespec {
                tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(span.subsec_nanos()),
            },
        };
        let set = timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &spec);
        set.map_err(|error| Error::io("setting a timer")(error.into()))?;
        self.at = Some(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll};

    use super::*;

    /// How long until the tick, and how many there were.
    fn wait(poll: &mut Poll, timer: &mut Timer, longest: Duration) -> (Duration, usize) {
        let mut events = Events::with_capacity(8);
        let begin = Instant::now();
        poll.poll(&mut events, Some(longest)).unwrap();
        timer.taken();
        (begin.elapsed(), events.iter().count())
    }

    #[test]
    fn the_earliest_moment_counts_and_ticks_once() {
        let mut poll = Poll::new().unwrap();
        let mut timer = Timer::new(poll.registry(), Token(0)).unwrap();
        let begin = Instant::now();
        timer.set(begin + Duration::from_secs(60)).unwrap();
        timer.set(begin + Duration::from_millis(5)).unwrap();
        timer.set(begin + Duration::from_secs(30)).unwrap();
        let (_, ticks) = wait(&mut poll, &mut timer, Duration::from_secs(10));
        assert_eq!(ticks, 1);
        assert!(begin.elapsed() >= Duration::from_millis(5));
        let (_, ticks) = wait(&mut poll, &mut timer, Duration::from_millis(20));
        assert_eq!(ticks, 0);
    }

    #[test]
    fn a_moment_that_is_over_ticks_at_once() {
        let mut poll = Poll::new().unwrap();
        let mut timer = Timer::new(poll.registry(), Token(0)).unwrap();
        timer.set(Instant::now()).unwrap();
        let (waited, ticks) = wait(&mut poll, &mut timer, Duration::from_secs(10));
        assert_eq!(ticks, 1);
        assert!(waited < Duration::from_secs(5), "{waited:?}");
    }
}
