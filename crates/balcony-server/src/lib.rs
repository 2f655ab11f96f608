//! The wiring: configuration, listeners, reload, drain and stop.
//!
//! To follow a client, begin at [`c2s::serve`]; to follow the process, at [`serve`].
#![forbid(unsafe_code)]

mod admin;
pub mod c2s;
mod documents;
mod federate;
mod instance;
mod logging;
mod process;
mod stream_log;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use balcony_core::config::{Config, Problem, Section};
use balcony_modules::MODULES;

pub use documents::generated_files;
pub use instance::{Instance, system_random};
pub use process::OpenedStore;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs a server until it is told to stop. Without a file it serves `localhost` by the defaults.
#[must_use]
pub fn serve(config: Option<PathBuf>) -> ExitCode {
    serve_with(config, process::open_store)
}

/// The same over another store, which `open` opens in the data directory: for tests of what
/// happens when a store breaks its promise.
#[must_use]
pub fn serve_with(config: Option<PathBuf>, open: impl FnOnce(&Path) -> OpenedStore) -> ExitCode {
    match load(config.as_deref()) {
        Ok(config) => process::run(config, open),
        Err(problems) => complain(&problems),
    }
}

/// Says everything that is wrong with a configuration.
#[must_use]
pub fn check(config: Option<PathBuf>) -> ExitCode {
    match load(config.as_deref()) {
        Ok(config) => {
            let hosts: Vec<_> = config.hosts.iter().map(|host| host.name.as_str()).collect();
            println!("The configuration is good. It serves {}.", hosts.join(", "));
            ExitCode::SUCCESS
        }
        Err(problems) => complain(&problems),
    }
}

fn load(path: Option<&Path>) -> Result<Config, Vec<Problem>> {
    Config::load(path, &sections())
}

/// The sections of the configuration that modules declare.
fn sections() -> Vec<&'static Section> {
    MODULES
        .iter()
        .flat_map(|module| module.config.iter().copied())
        .collect()
}

fn complain(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    ExitCode::FAILURE
}
