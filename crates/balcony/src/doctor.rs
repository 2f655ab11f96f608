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
    /// The domains, as they stand behind the `@` of their addresses
    #[arg(value_name = "DOMAIN", required_unless_present = "service")]
    domains: Vec<String>,
    /// A domain without accounts, such as that of the rooms, which clients need not find; may be
    /// given several times
    #[arg(long, value_name = "DOMAIN")]
    service: Vec<String>,
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let all = each(arguments);
    let mut sound = true;
    for (place, options) in all.iter().enumerate() {
        let findings = match runtime.block_on(examine(options)) {
            Ok(findings) => findings,
            Err(error) => return failed(&error),
        };
        let domain = &options.domain;
        // A single domain needs no title.
        if !json && all.len() > 1 {
            println!("{}{domain}", if place > 0 { "\n" } else { "" });
        }
        for finding in &findings {
            match json {
                true => println!("{}", line(domain, finding)),
                false => println!("{finding}"),
            }
            sound &= finding.state != State::Fault;
        }
    }
    match sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("balcony: {error}");
    ExitCode::FAILURE
}

/// What to look at, one domain after the other.
fn each(arguments: Arguments) -> Vec<Options> {
    let now = Clock::system().utc();
    let accounts = arguments.domains.into_iter().map(|domain| (domain, true));
    let services = arguments.service.into_iter().map(|domain| (domain, false));
    let options = accounts.chain(services).map(|(domain, clients)| Options {
        domain,
        clients,
        resolver: arguments.resolver,
        anchors: None,
        trust_roots: arguments.trust_roots.clone(),
        from: arguments.from.clone(),
        within: Duration::from_secs(arguments.timeout),
        now,
    });
    options.collect()
}

fn line(domain: &str, finding: &Finding) -> serde_json::Value {
    let state = match finding.state {
        State::Good => "good",
        State::Note => "note",
        State::Fault => "fault",
    };
    serde_json::json!({
        "domain": domain,
        "state": state,
        "what": finding.what,
        "advice": finding.advice,
    })
}
