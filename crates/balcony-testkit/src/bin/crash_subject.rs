//! The real server over a store with a fault, to see whether the crash tests find it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use balcony_server::OpenedStore;
use balcony_store::{SqliteStore, sqlite};
use balcony_testkit::crash::{EagerStore, Mutant};
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Line {
    #[arg(long, value_parser = Mutant::parse)]
    mutant: Mutant,
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// As the server's own binary has it.
#[derive(Subcommand)]
enum Command {
    Serve,
}

fn main() -> ExitCode {
    let Line {
        mutant,
        config,
        command: Command::Serve,
    } = Line::parse();
    balcony_server::serve_with(config, move |data| open(mutant, data))
}

fn open(mutant: Mutant, data: &Path) -> OpenedStore {
    let mut settings = sqlite::Settings::default();
    if mutant == Mutant::SyncOff {
        settings.synchronous = sqlite::Synchronous::Off;
    }
    let store = SqliteStore::open(data, settings).map_err(|error| error.to_string())?;
    Ok(match mutant {
        Mutant::SyncOff => Arc::new(store),
        Mutant::EagerAcks => Arc::new(EagerStore::over(store)?),
    })
}
