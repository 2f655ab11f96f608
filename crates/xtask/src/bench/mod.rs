//! `cargo xtask bench`: what Balcony costs, measured on this machine.

mod book;
mod compare;
pub(crate) mod instructions;
mod machine;
mod rows;
mod runs;
mod servers;
mod site;
mod table;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure Balcony, other servers and the bare relay in turns (docs/benchmarks.md).
    #[arg(long)]
    compare: bool,
    #[command(flatten)]
    comparison: compare::Comparison,
    /// Count the instructions of the hot paths and compare them with docs/instructions.toml.
    #[arg(long, conflicts_with = "compare")]
    instructions: bool,
    #[command(flatten)]
    counting: instructions::Counting,
}

/// True when nothing failed and no goal was missed.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.compare {
        compare::run(&options.comparison)
    } else if options.instructions {
        instructions::run(&options.counting)
    } else {
        Err("say what is to be measured: --compare or --instructions".to_owned())
    }
}
