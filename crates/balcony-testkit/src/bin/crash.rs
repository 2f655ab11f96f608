//! Plays crash rounds against the real server until one finds something, or all are played.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use balcony_testkit::crash::{Mutant, Options, round};
use balcony_testkit::run::binary;
use clap::Parser;

/// Kill a server under load again and again, and account for every message
#[derive(Parser)]
struct Line {
    /// How many rounds: each has a new server with new accounts
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// Accounts of a round; every third has two clients
    #[arg(long, default_value_t = 9)]
    clients: usize,
    /// How often the server goes down in a round
    #[arg(long, default_value_t = 4)]
    crashes: u32,
    /// Milliseconds between two deeds of a client, on average
    #[arg(long, default_value_t = 60)]
    pause: u64,
    /// What the first round is made from; the next one has the next number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server's binary; without it the one that was built last
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// A server with a fault that must be found: `sync-off`, `eager-acks`
    #[arg(long, value_name = "NAME", value_parser = Mutant::parse)]
    mutant: Option<Mutant>,
    /// Lose what was not synced, too
    #[arg(long)]
    power_cut: bool,
    /// Where all that went over the streams is written when something is found
    #[arg(long, value_name = "FOLDER")]
    journals: Option<PathBuf>,
}

/// For one phase of the end of a round; a machine that tests may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match play(&Line::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::FAILURE
        }
    }
}

/// True when every round was fine.
fn play(line: &Line) -> Result<bool, String> {
    let options = Options {
        binary: line.server.clone().map_or_else(binary, Ok)?,
        accounts: line.clients,
        crashes: line.crashes,
        power_cut: line.power_cut,
        pause: line.pause,
        patience: PATIENCE,
        mutant: line.mutant,
    };
    for number in 0..line.rounds {
        let seed = line.seed + number;
        let outcome = round(&options, seed)?;
        let fine = outcome.violations.is_empty() && outcome.acknowledged > 0;
        println!(
            "round {} of {}, seed {seed}: {} messages acknowledged, {}",
            number + 1,
            line.rounds,
            outcome.acknowledged,
            if fine {
                "all accounted for"
            } else {
                "NOT WELL"
            }
        );
        if !fine {
            println!("{outcome}");
            if let Some(folder) = &line.journals {
                outcome.keep_journals(folder)?;
            }
            return Ok(false);
        }
    }
    Ok(true)
}
