//! A load generator for any XMPP server: one thread, one poll, and every message checked.

#![forbid(unsafe_code)]

mod commands;
mod error;
mod fleet;
mod keys;
mod measure;
mod options;
mod order;
mod ring;
mod stamp;
mod traffic;
mod visits;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Loads an XMPP server, measures what that costs it, and fails when a message is lost, doubled or
/// out of order
#[derive(Parser, Debug)]
#[command(name = "balcony-bench", version)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Accounts(commands::accounts::Accounts),
    Roster(commands::roster::Roster),
    Login(commands::login::Login),
    Idle(commands::idle::Idle),
    Chat(commands::chat::Chat),
    Presence(commands::presence::Presence),
    Iq(commands::iq::Iq),
    Muc(commands::muc::Muc),
    Pep(commands::pep::Pep),
    Mam(commands::mam::Mam),
    Mixed(commands::mixed::Mixed),
    Reconnect(commands::reconnect::Reconnect),
    Relay(commands::relay::Relay),
    S2s(commands::s2s::S2s),
}

fn main() -> ExitCode {
    raise_descriptor_limit();
    let result = match Line::parse().command {
        Command::Accounts(command) => command.run(),
        Command::Roster(command) => command.run(),
        Command::Login(command) => command.run(),
        Command::Idle(command) => command.run(),
        Command::Chat(command) => command.run(),
        Command::Presence(command) => command.run(),
        Command::Iq(command) => command.run(),
        Command::Muc(command) => command.run(),
        Command::Pep(command) => command.run(),
        Command::Mam(command) => command.run(),
        Command::Mixed(command) => command.run(),
        Command::Reconnect(command) => command.run(),
        Command::Relay(command) => command.run(),
        Command::S2s(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("balcony-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Every session is a descriptor. Where it cannot be raised, connecting fails and says so.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
