//! Admin commands: each asks the running server over its admin socket and shows the answer.
//! Nothing here opens the database, so a command and a server can never disagree about it.
#![forbid(unsafe_code)]

mod connection;
mod error;
mod federation;
mod invite;
mod output;
mod password;
mod server;
mod session;
mod trace;
mod user;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use connection::Connection;
pub use error::Error;
use output::Output;

/// The commands that a running server answers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Accounts: add, delete, list, and what their sessions do
    #[command(subcommand)]
    User(user::UserCommand),
    /// Sessions: end one
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Other servers: the streams that are open, and what waits
    #[command(subcommand)]
    Federation(federation::FederationCommand),
    /// Invitations to make an account from a client
    #[command(subcommand)]
    Invite(invite::InviteCommand),
    /// Read the configuration and the certificates again, without a restart
    Reload,
    /// Numbers about the running server
    Stats,
}

/// Where the server is and how its answers are shown.
#[derive(Debug, Clone)]
pub struct Options {
    /// The admin socket.
    pub socket: PathBuf,
    /// Answers as they come, one JSON object a line, instead of text for a reader. Errors too,
    /// and all on standard output.
    pub json: bool,
}

/// What a command works with; a test puts its own in.
struct Context<'a> {
    socket: PathBuf,
    output: Output<'a>,
    input: &'a mut dyn BufRead,
    /// Whether there is somebody to ask.
    interactive: bool,
}

impl Context<'_> {
    fn connect(&self) -> Result<Connection, Error> {
        Connection::open(&self.socket)
    }
}

/// Runs a command. It fails with 1, and the reason on standard error.
pub fn run(command: &Command, options: &Options) -> ExitCode {
    let stdout = io::stdout();
    let color = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut out = stdout.lock();
    let mut input = io::stdin().lock();
    let mut context = Context {
        socket: options.socket.clone(),
        output: Output::new(&mut out, options.json, color),
        input: &mut input,
        interactive: io::stdin().is_terminal(),
    };
    let done = execute(command, &mut context);
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    if error.is_closed_output() {
        // `balcony user list | head`: the reader has had enough.
        return ExitCode::SUCCESS;
    }
    if !options.json || context.output.answer(&error.answer()).is_err() {
        // There is nowhere left to tell that standard error is closed.
        let _ = writeln!(io::stderr(), "{}", error.describe());
    }
    ExitCode::FAILURE
}

fn execute(command: &Command, context: &mut Context<'_>) -> Result<(), Error> {
    match command {
        Command::User(command) => user::run(command, context),
        Command::Session(command) => session::run(command, context),
        Command::Federation(command) => federation::run(command, context),
        Command::Invite(command) => invite::run(command, context),
        Command::Reload => server::reload(context),
        Command::Stats => server::stats(context),
    }
}

#[cfg(test)]
mod tests;
