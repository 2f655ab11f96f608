//! `balcony doctor`: what strangers find of a domain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use balcony_core::Clock;
use balcony_federation::doctor::{Finding, Options, State, examine};
use clap::Args;

/// What to look at.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The domain, as it stands behind the `@` of its addresses
    domain: String,
    /// Ask this DNS server instead of the system's
    #[arg(long, value_name = "ADDRESS:PORT")]
    resolver: Option<SocketAddr>,
    /// Trust the authorities in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    trust_roots: Option<PathBuf>,
    /// The domain as which to introduce oneself to servers
    #[arg(long, default_value = "doctor.invalid", value_name = "DOMAIN")]
    from: String,
    /// Seconds that each step may take
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
}

/// Prints what is found; fails when there is a fault.
pub(crate) fn run(arguments: Arguments, json: bool) -> ExitCode {
    let options = Options {
        domain: arguments.domain,
        resolver: arguments.resolver,
        trust_roots: arguments.trust_roots,
        from: arguments.from,
        within: Duration::from_secs(arguments.timeout),
        now: Clock::system().utc(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let examined = match runtime {
        Ok(runtime) => runtime.block_on(examine(&options)),
        Err(error) => Err(error.to_string()),
    };
    let findings = match examined {
        Ok(findings) => findings,
        Err(error) => {
            eprintln!("balcony: {error}");
            return ExitCode::FAILURE;
        }
    };
    for finding in &findings {
        match json {
            true => println!("{}", line(finding)),
            false => println!("{finding}"),
        }
    }
    match findings.iter().any(|finding| finding.state == State::Fault) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn line(finding: &Finding) -> serde_json::Value {
    let state = match finding.state {
        State::Good => "good",
        State::Note => "note",
        State::Fault => "fault",
    };
    serde_json::json!({ "state": state, "what": finding.what, "advice": finding.advice })
}
