//! A timer that ticks at a steady rate, finer than the milliseconds that a poll can wait.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::error::{Error, Result};

/// Wakes the poll at each tick. The kernel arms it again only when the tick was read.
#[derive(Debug)]
pub(super) struct Timer {
    fd: OwnedFd,
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
        Ok(Timer { fd })
    }

    /// Takes a tick, so that the next one can come.
    pub(super) fn taken(&self) {
        // The count of ticks says nothing that the clock does not; there may be none.
        let _ = rustix::io::read(&self.fd, &mut [0; 8]);
    }

    /// Ticks once each `period` from now on; zero stops it.
    pub(super) fn set(&self, period: Duration) -> Result<()> {
        let time = Timespec {
            tv_sec: i64::try_from(period.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(period.subsec_nanos()),
        };
        let spec = Itimerspec {
            it_interval: time,
            it_value: time,
        };
        let set = timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &spec);
        set.map(|_| ())
            .map_err(|error| Error::io("setting a timer")(error.into()))
    }
}
