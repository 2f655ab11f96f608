//! The servers that are compared: whether they are there, how they start, their accounts.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::rows::{Home, Kind};
use super::site::{PEERS, Site, Trouble};
use crate::{repo, setup};

/// How long a server may take to start, with PostgreSQL, or to stop, or its rosters to be written.
const START: Duration = Duration::from_secs(180);

/// How long its accounts and the rosters may take: keys are derived for thousands of them.
const ACCOUNTS: Duration = Duration::from_secs(1_800);

/// Of each account that has any: half of them on either side.
const CONTACTS: &str = "20";

/// How long to wait for somebody who should not be there.
const KNOCK: Duration = Duration::from_millis(500);

/// A program of the release build.
pub(super) fn built(name: &str) -> PathBuf {
    repo::target().join("release").join(name)
}

/// Why this one cannot be measured on this machine.
pub(super) fn missing(kind: Kind, archive: bool) -> Option<String> {
    let program = match kind {
        Kind::Ejabberd => "ejabberdctl",
        Kind::Prosody => "prosody",
        Kind::Balcony | Kind::Relay => return None,
    };
    let needed = [program, "openssl", "ss"];
    if let Some(name) = needed
        .into_iter()
        .find(|name| setup::on_path(name).is_none())
    {
        return Some(format!("{name} is not installed"));
    }
    let database = kind == Kind::Ejabberd && archive;
    if database && !holds("/usr/lib", "postgresql") {
        return Some("postgresql is not installed".to_owned());
    }
    if database && !driver() {
        return Some("erlang-p1-pgsql is not installed".to_owned());
    }
    None
}

/// Where Debian puts it: below Erlang, or below the architecture's folder.
fn driver() -> bool {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let erlang = PathBuf::from("/usr/lib/erlang/lib");
    let mut places = folders.map(|entry| entry.path()).chain([erlang]);
    places.any(|place| holds(place, "p1_pgsql-"))
}

/// Whether something in a folder has a name that begins so.
fn holds(folder: impl AsRef<Path>, prefix: &str) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with(prefix))
}

/// A server in one of its homes.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    pub(super) site: &'a Site,
    pub(super) kind: Kind,
    pub(super) home: &'a Home,
}

impl<'a> Server<'a> {
    /// As the scripts have it, which say so in their first lines.
    pub(super) fn port(&self, tls: bool) -> u16 {
        let clear = match self.kind {
            Kind::Balcony | Kind::Relay => 15122,
            Kind::Ejabberd => 15222,
            Kind::Prosody => 15322,
        };
        clear + u16::from(tls)
    }

    /// Keys that logins derived from passwords.
    pub(super) fn keys(&self) -> PathBuf {
        self.place(&format!("keys-{}.json", self.kind.name()))
    }

    /// Where it, or its database, writes what it keeps.
    pub(super) fn data(&self) -> PathBuf {
        match self.kind {
            Kind::Ejabberd => self.place("postgresql/data"),
            kind => self.place(kind.name()).join("data"),
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.site.place(self.home.name).join(name)
    }

    /// Makes its accounts, and their rosters, from nothing.
    ///
    /// # Errors
    /// It does not start, or refuses.
    pub(super) fn settle(self) -> Result<(), Trouble> {
        self.script(&["wipe"])?;
        fs::remove_file(self.keys()).ok();
        let running = self.start()?;
        self.accounts("bench", self.home.accounts)?;
        if self.home.visitors > 0 {
            self.accounts("visitor", self.home.visitors)?;
        }
        drop(running);
        match self.home.contacts {
            0 => Ok(()),
            count => self.rosters(&count.to_string()),
        }
    }

    fn accounts(self, prefix: &str, count: u64) -> Result<(), Trouble> {
        let mut accounts = self.bench("accounts");
        accounts.args(["--prefix", prefix, "--count", &count.to_string()]);
        if self.kind == Kind::Balcony {
            accounts.arg("--socket").arg(self.data().join("admin.sock"));
        }
        self.site.run(&accounts, ACCOUNTS)?;
        Ok(())
    }

    /// The peers take very long to make them, so that they are written for them. Then the server
    /// is asked for each, and what is missing is made.
    fn rosters(self, count: &str) -> Result<(), Trouble> {
        if self.kind.is_peer() {
            self.script(&["rosters", count, CONTACTS])?;
        }
        let _running = self.start()?;
        let mut roster = self.bench("roster");
        roster.args(["--count", count, "--contacts", CONTACTS]);
        roster.arg("--keys").arg(self.keys());
        self.site.run(&roster, ACCOUNTS)?;
        Ok(())
    }

    /// A command to the load generator, in clear.
    fn bench(self, word: &str) -> Command {
        let mut command = Command::new(built("balcony-bench"));
        command.args([word, "--port", &self.port(false).to_string()]);
        command
    }

    /// Starts it. It stops with the value.
    ///
    /// # Errors
    /// Somebody else listens where it should, or it does not start.
    pub(super) fn start(self) -> Result<Running<'a>, Trouble> {
        for tls in [false, true] {
            let port = self.port(tls);
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if TcpStream::connect_timeout(&address, KNOCK).is_ok() {
                return Err(Trouble::new(format!("port {port} is somebody else's")));
            }
        }
        let mut running = Running {
            server: self,
            pids: String::new(),
        };
        let told = self.script(&["start"])?;
        // The last line; before it a database may have told how it was made.
        told.lines()
            .last()
            .unwrap_or_default()
            .clone_into(&mut running.pids);
        Ok(running)
    }

    fn script(&self, words: &[&str]) -> Result<String, Trouble> {
        let home = self.place("");
        fs::create_dir_all(&home)
            .map_err(|error| Trouble::new(format!("{}: {error}", home.display())))?;
        let script = format!("{PEERS}/{}.sh", self.kind.name());
        let mut command = Command::new(script);
        command.args(words).env("MAM", self.archive());
        command.env("BENCH_DIR", self.site.place(self.home.name));
        command.env("BALCONY", built("balcony"));
        self.site.run(&command, START)
    }

    fn archive(&self) -> &'static str {
        match (self.home.archive, self.kind) {
            (false, _) => "off",
            (true, Kind::Ejabberd) => "pgsql",
            (true, Kind::Prosody) => "internal",
            (true, Kind::Balcony | Kind::Relay) => "on",
        }
    }
}

/// A server that has been started.
pub(super) struct Running<'a> {
    pub(super) server: Server<'a>,
    /// Its processes, with commas between them.
    pub(super) pids: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Err(trouble) = self.server.script(&["stop"]) {
            println!("xtask: {}: {}", self.server.kind.name(), trouble.why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_folder_holds_is_found_by_how_it_begins() {
        assert!(holds(".", "Cargo."));
        assert!(!holds(".", "romeo-and-juliet"));
        assert!(!holds("romeo-and-juliet", ""));
    }
}
