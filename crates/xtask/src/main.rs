//! The chores of the repository, one file each: `cargo xtask <chore>`.

mod bench;
mod crash;
mod deviations;
mod fuzz;
mod generate;
mod licences;
mod process;
mod real_clients;
mod repo;
mod report;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the Balcony repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Set up what is missing, then run every check and every test.
    Test(test::Options),
    /// Only set up what the tests need and is missing.
    Setup,
    /// Check the house rules that a machine can check.
    Tidy(tidy::Options),
    /// Write the generated files again: XEPS.md, doap.xml and the references in docs/.
    Generate(generate::Options),
    /// Run each fuzz target for a while.
    Fuzz(fuzz::Options),
    /// Kill a server under load, and cut its power, again and again.
    Crash(crash::Options),
    /// Measure what Balcony costs, beside other servers.
    Bench(bench::Options),
    /// List where the code departs from a spec, or bends for a client.
    Deviations,
    /// Check the licences of everything that is linked into the binary.
    Licences,
}

fn main() -> ExitCode {
    let chore = Arguments::parse().chore;
    let result = repo::enter_root().and_then(|()| run(chore));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// True when the chore found nothing wrong.
fn run(chore: Chore) -> Result<bool, String> {
    match chore {
        Chore::Test(options) => test::run(&options),
        Chore::Setup => Ok(setup::run().is_some()),
        Chore::Tidy(options) => tidy::run(&options),
        Chore::Generate(options) => generate::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Crash(options) => crash::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Deviations => deviations::run(),
        Chore::Licences => licences::run(),
    }
}
