//! `cargo xtask crash`: rounds of crashes under load, the long form of the crash tests.

use crate::process::{program, show};
use crate::repo;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many rounds of each kind: with a killed process, and with a power cut.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// The first round's seed; the next one has the next number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where all that went over the streams is written when something is found.
    #[arg(long, default_value = "target/crash")]
    journals: String,
}

/// True when nothing was found.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let build = ["build", "-p", "balcony", "-p", "balcony-testkit", "--bins"];
    if !show(program("cargo", build))? {
        return Ok(false);
    }
    let crash = repo::target().join("debug/crash").display().to_string();
    let (rounds, seed) = (options.rounds.to_string(), options.seed.to_string());
    let words = [
        "--rounds",
        &rounds,
        "--seed",
        &seed,
        "--journals",
        &options.journals,
    ];
    let killed = show(program(&crash, words))?;
    let words = words.into_iter().chain(["--power-cut"]);
    Ok(show(program(&crash, words))? && killed)
}
