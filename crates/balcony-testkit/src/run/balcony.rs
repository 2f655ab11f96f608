//! Our own binary as a process, with a folder and ports of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::tcp::TcpWire;
use super::wire::Wire;
use crate::script::{Admin, Client, Script, Tls};

/// A server process. It is killed when this is dropped, without a chance to tidy up.
pub struct Balcony {
    binary: PathBuf,
    folder: TempDir,
    process: Child,
    /// Where STARTTLS is spoken.
    pub plain: SocketAddr,
    /// Where TLS comes first.
    pub direct: SocketAddr,
}

/// The binary that is tested: `$BALCONY_BIN`, or what `cargo build -p balcony` made last, beside
/// the program that asks.
///
/// # Errors
/// There is none.
pub fn binary() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("BALCONY_BIN") {
        return Ok(PathBuf::from(named));
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = own.ancestors().skip(1).take(2);
    let found = beside
        .map(|folder| folder.join("balcony"))
        .find(|binary| binary.is_file());
    found.ok_or_else(|| "there is no binary: cargo build -p balcony".to_owned())
}

impl Balcony {
    /// Starts a server with this configuration, and ports and data of its own.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(binary: &Path, config: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = folder.path().join("balcony.toml");
        fs::write(&file, configuration(folder.path(), config)).map_err(|e| e.to_string())?;
        let (process, addresses) = launch(binary, &file)?;
        Ok(Self {
            binary: binary.to_owned(),
            folder,
            process,
            plain: addresses.0,
            direct: addresses.1,
        })
    }

    /// Kills the process as `kill -9` does, and starts another one on the same data.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn kill_and_restart(&mut self) -> Result<(), String> {
        self.kill();
        self.relaunch()
    }

    fn relaunch(&mut self) -> Result<(), String> {
        let file = self.folder.path().join("balcony.toml");
        let (process, addresses) = launch(&self.binary, &file)?;
        self.process = process;
        (self.plain, self.direct) = addresses;
        Ok(())
    }

    /// Ends the process in order, as a service manager would, and starts it again with its data.
    ///
    /// # Errors
    /// What failed.
    pub fn stop_and_restart(&mut self) -> Result<(), String> {
        let pid = self.process.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        told.map_err(|error| error.to_string())?;
        self.process.wait().map_err(|error| error.to_string())?;
        self.relaunch()
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Runs an admin command with this on its standard input.
    ///
    /// # Errors
    /// What the command complained of.
    pub fn command(&self, words: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(&self.binary)
            .arg("--config")
            .arg(self.folder.path().join("balcony.toml"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        if let Some(mut stdin) = command.stdin.take() {
            // A command that wants no input may have ended before it came.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = command
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(format!(
                "balcony {}: {}",
                words.join(" "),
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }

    /// Makes an account by `balcony user add`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn add_account(&self, account: &str, password: &str) -> Result<(), String> {
        let words = ["user", "add", account, "--password-file", "-"];
        self.command(&words, password).map(drop)
    }

    pub(super) async fn connect(&self, client: &Client) -> Result<Wire, String> {
        let address = match client.tls {
            Tls::Direct => self.direct,
            Tls::StartTls | Tls::None => self.plain,
        };
        let wire = TcpWire::connect(address, client.address, client.host()).await?;
        Ok(Wire::Tcp(Box::new(wire)))
    }

    pub(super) fn admin(&self, script: &Script, act: &Admin) -> Result<(), String> {
        let done = match act {
            Admin::Create(account, password) => {
                return self.add_account(account.as_str(), password);
            }
            Admin::Delete(account) => self.command(&["user", "del", "--yes", account.as_str()], ""),
            Admin::Enable(account, true) => self.command(&["user", "enable", account.as_str()], ""),
            Admin::Enable(account, false) => {
                self.command(&["user", "disable", account.as_str()], "")
            }
            Admin::SetPassword(account, password) => {
                let words = ["user", "passwd", account.as_str(), "--password-file", "-"];
                self.command(&words, password)
            }
            Admin::Reload(more) => {
                let text = format!("{}\n{more}", script.config);
                let text = configuration(self.folder.path(), &text);
                fs::write(self.folder.path().join("balcony.toml"), text)
                    .map_err(|error| error.to_string())?;
                self.command(&["reload"], "")
            }
        };
        done.map(drop)
    }
}

impl Drop for Balcony {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configuration(folder: &Path, more: &str) -> String {
    let any = "[\"127.0.0.1:0\"]";
    format!("data_dir = {folder:?}\n[listen]\nc2s = {any}\nc2s_tls = {any}\n{more}\n")
}

/// Starts the process, and reads from its welcome where it listens.
fn launch(binary: &Path, config: &Path) -> Result<(Child, (SocketAddr, SocketAddr)), String> {
    let mut process = Command::new(binary)
        .arg("serve")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", binary.display()))?;
    let addresses = process.stdout.take().and_then(|stdout| {
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let plain = address(lines.find(|line| line.contains("STARTTLS"))?)?;
        let direct = address(lines.find(|line| line.contains("direct TLS"))?)?;
        // What it says later must not meet a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some((plain, direct))
    });
    match addresses {
        Some(addresses) => Ok((process, addresses)),
        None => {
            let _ = process.kill();
            let _ = process.wait();
            Err("the server did not say where it listens".to_owned())
        }
    }
}

fn address(line: String) -> Option<SocketAddr> {
    line.split_whitespace().last()?.parse().ok()
}
