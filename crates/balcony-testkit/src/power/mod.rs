//! What a disk and a clock can do to the server: writes that fail, syncs that do nothing, time that
//! jumps, and a power cut, after which only what was synced is sure to be there.
//!
//! A killed process loses nothing that it has written, as the kernel has it. So a shim is preloaded
//! into the server (`power/shim.c`), which notes every write and every sync; [`Power::cut`] then
//! makes of the data directory what a disk could have had.

mod log;
mod platter;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use self::platter::Platter;
use crate::crash::Seeded;

/// The shim, which is compiled where it is needed.
const SHIM: &str = include_str!("../../power/shim.c");
/// A fast disk's sync. With the shim nothing is synced in fact, for a reader of its log has no use
/// for that, and the machine that tests is spared.
const SYNC_MICROS: &str = "1000";

/// How writes fail. The numbers are those of the shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fault {
    /// They do not.
    None = 0,
    /// No file can grow: `ENOSPC`.
    Full = 1,
    /// Nothing can be written: `EROFS`.
    ReadOnly = 2,
    /// Writes and syncs end in `EIO`.
    Broken = 3,
}

/// A shim for one server, with its log and its control.
pub struct Power {
    state: TempDir,
    watched: PathBuf,
    platter: Platter,
}

/// What a power cut did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Changes that were not synced.
    pub unsynced: usize,
    /// Of these, those that are gone.
    pub lost: usize,
    /// Of these, those of which a part is there.
    pub torn: usize,
}

impl Power {
    /// For the files below this folder, which need not exist.
    ///
    /// # Errors
    /// The shim cannot be compiled, or its files cannot be made.
    pub fn over(watched: &Path) -> Result<Self, String> {
        let state = tempfile::tempdir().map_err(|error| error.to_string())?;
        compile(state.path())?;
        let power = Self {
            state,
            watched: watched.to_owned(),
            platter: Platter::default(),
        };
        let control = fs::write(power.state.path().join("control"), [0; 16]);
        control.map_err(|error| error.to_string())?;
        Ok(power)
    }

    /// What the server's environment needs.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", path(&self.state.path().join("shim.so"))),
            ("POWER_DIR", path(&self.watched)),
            ("POWER_STATE", path(self.state.path())),
            ("POWER_NAP_MICROS", SYNC_MICROS.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Has writes fail from now on, or no longer.
    ///
    /// # Errors
    /// The control cannot be written.
    pub fn fault(&self, fault: Fault) -> Result<(), String> {
        self.control(0, &(fault as u32).to_ne_bytes())
    }

    /// Has syncs do nothing: what `synchronous=OFF` would do.
    ///
    /// # Errors
    /// The control cannot be written.
    pub fn ignore_syncs(&self) -> Result<(), String> {
        self.control(4, &1u32.to_ne_bytes())
    }

    /// Has the clock of the world show another time, so many seconds from the right one.
    ///
    /// # Errors
    /// The control cannot be written.
    pub fn clock(&self, offset_seconds: i64) -> Result<(), String> {
        self.control(8, &offset_seconds.to_ne_bytes())
    }

    fn control(&self, at: u64, bytes: &[u8]) -> Result<(), String> {
        let path = self.state.path().join("control");
        let write = || {
            let mut file = fs::File::options().write(true).open(&path)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)
        };
        write().map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Takes what is in the folder now for durable. To be called while no server runs.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn begin(&mut self) -> Result<(), String> {
        let read = || {
            let log = self.state.path().join("log");
            fs::write(log, [])?;
            Platter::read(&self.watched)
        };
        self.platter = read().map_err(|error| error.to_string())?;
        Ok(())
    }

    /// The power is gone, after the server was killed: the folder has what was synced, and of the
    /// rest what chance has left. Then begins anew.
    ///
    /// # Errors
    /// The log cannot be read, or the folder not written.
    pub fn cut(&mut self, random: &mut Seeded) -> Result<Cut, String> {
        let log = fs::read(self.state.path().join("log")).map_err(|error| error.to_string())?;
        let mut platter = std::mem::take(&mut self.platter);
        log::records(&log).for_each(|record| platter.apply(record));
        let cut = platter.cut(random);
        platter
            .write(&self.watched)
            .map_err(|error| error.to_string())?;
        self.begin()?;
        Ok(cut)
    }
}

fn compile(folder: &Path) -> Result<(), String> {
    let source = folder.join("shim.c");
    fs::write(&source, SHIM).map_err(|error| error.to_string())?;
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([folder.join("shim.so"), source])
        .output()
        .map_err(|error| format!("cc: {error}; the tests need a C compiler"))?;
    match compiled.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&compiled.stderr).into_owned()),
    }
}
