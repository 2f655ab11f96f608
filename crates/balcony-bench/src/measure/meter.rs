//! Who used how much CPU between two moments: the server, this program, and everybody else.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::process;
use crate::error::{Error, Result};

/// A moment, with what had been spent until then.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    server: Vec<u32>,
    at: Instant,
    server_ticks: u64,
    machine_ticks: u64,
    own: Duration,
}

/// What was spent between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) elapsed: Duration,
    /// Of the server's processes and all below them; `None` where none was named.
    pub(crate) server: Option<Duration>,
    /// Of this program.
    pub(crate) own: Duration,
    /// Of all other processes on the machine together.
    pub(crate) others: Duration,
}

impl Meter {
    /// Begins now.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is no such process.
    pub(crate) fn start(server: &[u32]) -> Result<Meter> {
        let server_ticks = process::tree_ticks(server).map_err(no_process)?;
        Ok(Meter {
            server: server.to_vec(),
            at: Instant::now(),
            server_ticks,
            machine_ticks: process::machine_ticks().unwrap_or(0),
            own: own_cpu(),
        })
    }

    /// What was spent since this moment.
    ///
    /// # Errors
    /// [`Error::Usage`] when the server is gone.
    pub(crate) fn spent(&self) -> Result<Spent> {
        let now = Meter::start(&self.server)?;
        let own = now.own.saturating_sub(self.own);
        let server = ticks(now.server_ticks.saturating_sub(self.server_ticks));
        let machine = ticks(now.machine_ticks.saturating_sub(self.machine_ticks));
        Ok(Spent {
            elapsed: now.at - self.at,
            server: (!self.server.is_empty()).then_some(server),
            own,
            others: machine.saturating_sub(own).saturating_sub(server),
        })
    }
}

/// Resident bytes of the server's processes and all below them.
///
/// # Errors
/// [`Error::Usage`] when there is no such process.
pub(crate) fn memory_of(server: &[u32]) -> Result<u64> {
    process::tree_resident(server).map_err(no_process)
}

fn no_process(pid: u32) -> Error {
    Error::Usage(format!("there is no process {pid} to be measured"))
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs(count)
        / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_process_shows_as_its_own() {
        let meter = Meter::start(&[]).unwrap();
        let mut sum = 0_u64;
        while meter.at.elapsed() < Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let spent = meter.spent().unwrap();
        assert!(spent.own > Duration::from_micros(100), "{spent:?}");
        assert!(spent.server.is_none());
    }

    #[test]
    fn a_server_that_is_not_there_is_told() {
        assert!(matches!(Meter::start(&[u32::MAX]), Err(Error::Usage(_))));
    }
}
