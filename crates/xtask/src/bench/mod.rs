//! `cargo xtask bench`: what Balcony costs, measured on this machine.

mod book;
mod compare;
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
}

/// True when nothing failed and no goal was missed.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    match options.compare {
        true => compare::run(&options.comparison),
        false => Err("say what is to be measured: cargo xtask bench --compare".to_owned()),
    }
}
