//! What the disk takes to keep something: the floor under every answer that says that a message is
//! kept.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::{Histogram, Report, Run};
use crate::error::{Error, Result};

/// Bytes of a write: two pages, about what a commit of a few messages appends to a log.
const WRITE: usize = 8 * 1024;
/// Writes that are measured: enough that the 99th percentile has some above it.
const SAMPLES: usize = 300;
/// What a measurement takes at most; a disk that turns may not get to its end.
const LONGEST: Duration = Duration::from_secs(5);
/// Is made and removed.
const FILE: &str = "balcony-bench.sync";

/// The disk on which the server keeps things.
#[derive(Args, Clone, Debug)]
pub(crate) struct Disk {
    /// Measure what it takes to append and fdatasync 8 KiB in this folder before the runs and after
    /// them: the one where the server keeps its data
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

impl Disk {
    /// Measures, and adds the result to the report; nothing where no folder is named. `names`: of
    /// the median and of the 99th percentile.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn measure(&self, report: &mut Report, names: [&'static str; 2]) -> Result<()> {
        let Some(folder) = &self.data_dir else {
            return Ok(());
        };
        let times = sync_times(folder, SAMPLES)?;
        let mut around = Run::default();
        for (name, share) in names.into_iter().zip([0.5, 0.99]) {
            around.add(name, "ms", times.quantile(share).as_secs_f64() * 1e3);
        }
        report.around(&around);
        Ok(())
    }
}

fn sync_times(folder: &Path, samples: usize) -> Result<Histogram> {
    let path = folder.join(FILE);
    let times = write_all(&path, samples);
    // When it could not be made there is nothing to remove.
    let _ = fs::remove_file(&path);
    times.map_err(Error::io(path.display().to_string()))
}

fn write_all(path: &Path, samples: usize) -> std::io::Result<Histogram> {
    let mut file = File::create(path)?;
    let (mut times, begin) = (Histogram::new(), Instant::now());
    for _ in 0..samples {
        if begin.elapsed() > LONGEST {
            break;
        }
        let before = Instant::now();
        file.write_all(&[b'x'; WRITE])?;
        file.sync_data()?;
        times.record_nanos(before.elapsed().as_nanos() as u64);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_take_time_and_leave_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("balcony-bench-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let times = sync_times(&folder, 3).unwrap();
        assert!(times.max() > Duration::ZERO);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir(&folder).unwrap();
        assert!(sync_times(&folder, 3).is_err());
    }
}
