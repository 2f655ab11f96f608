//! `balcony`: the server, and the commands that talk to a running one.
#![forbid(unsafe_code)]

mod doctor;
mod generate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use balcony_core::config::Config;
use clap::{Parser, Subcommand};

/// Freed memory goes back to the system: with the system's allocator a burst of logins leaves the
/// process at its peak.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "balcony.toml";

/// An XMPP server
#[derive(Debug, Parser)]
#[command(name = "balcony", version, about, disable_help_subcommand = true)]
struct Line {
    /// The configuration; without it ./balcony.toml where that exists, or else the defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The admin socket of the running server, where it is not what the configuration says
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Show the answers of the running server as JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C
    Serve,
    /// Tell everything that is wrong with the configuration
    Check,
    /// Look at a domain as strangers do: DNS, ports, TLS, certificates
    Doctor(doctor::Arguments),
    #[command(flatten)]
    Admin(balcony_ctl::Command),
    /// Print the version
    Version,
    /// Chores of those who work on Balcony
    #[command(subcommand, hide = true)]
    Dev(DevCommand),
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    /// Write the files that are made from what the modules declare
    Generate {
        /// The folder below which they are written
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let line = Line::parse();
    let config = line
        .config
        .or_else(|| default_file(Path::new(DEFAULT_FILE)));
    match line.command {
        Command::Serve => balcony_server::serve(config),
        Command::Check => balcony_server::check(config),
        Command::Doctor(arguments) => doctor::run(arguments, line.json),
        Command::Admin(command) => admin(&command, config, line.socket, line.json),
        Command::Version => {
            println!("balcony {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Command::Dev(DevCommand::Generate { out }) => {
            finish(generate::write(&out, &balcony_server::generated_files()))
        }
    }
}

/// The file, where it exists. One that exists and cannot be read is not passed over in silence.
fn default_file(path: &Path) -> Option<PathBuf> {
    path.exists().then(|| path.to_path_buf())
}

fn admin(
    command: &balcony_ctl::Command,
    config: Option<PathBuf>,
    socket: Option<PathBuf>,
    json: bool,
) -> ExitCode {
    let socket = match socket.map_or_else(|| Config::admin_socket(config.as_deref()), Ok) {
        Ok(socket) => socket,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            return ExitCode::FAILURE;
        }
    };
    balcony_ctl::run(command, &balcony_ctl::Options { socket, json })
}

fn finish(done: Result<(), String>) -> ExitCode {
    let Err(problem) = done else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {problem}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(words: &str) -> Result<Line, clap::Error> {
        Line::try_parse_from(words.split(' '))
    }

    #[test]
    fn the_commands_are_declared_without_contradiction() {
        Line::command().debug_assert();
    }

    #[test]
    fn the_commands_of_the_contract_are_read() {
        for words in [
            "balcony serve",
            "balcony serve --config F",
            "balcony --config F check",
            "balcony user add romeo@localhost",
            "balcony user add romeo@localhost --password-file -",
            "balcony user passwd romeo@localhost --password-file F",
            "balcony user del romeo@localhost --yes",
            "balcony user list",
            "balcony user list localhost --json",
            "balcony user sessions romeo@localhost",
            "balcony user trace romeo@localhost",
            "balcony user disable romeo@localhost",
            "balcony doctor example.org --resolver 127.0.0.1:53 --json",
            "balcony doctor example.org example.net --service rooms.example.org",
            "balcony doctor --service rooms.example.org",
            "balcony federation list",
            "balcony federation show mantua.example --json",
            "balcony federation kick mantua.example",
            "balcony invite create localhost",
            "balcony reload --config F",
            "balcony stats --socket S",
            "balcony version",
            "balcony dev generate --out DIR",
        ] {
            assert!(read(words).is_ok(), "{words}");
        }
        assert!(read("balcony").is_err());
        assert!(read("balcony serve F").is_err());
        assert!(read("balcony doctor").is_err());
    }

    #[test]
    fn a_file_that_does_not_exist_is_not_the_default() {
        assert_eq!(default_file(Path::new("/nowhere/balcony.toml")), None);
        assert_eq!(default_file(Path::new("/")), Some(PathBuf::from("/")));
    }
}
