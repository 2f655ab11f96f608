//! Our own binary as a process, with a folder and ports of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::tcp::TcpWire;
use super::wire::Wire;
use crate::script::{Admin, Client, Script, Tls};

/// A server process. It is killed when this is dropped, without a chance to tidy up.
pub struct Balcony {
    launch: Launch,
    folder: TempDir,
    process: Child,
    /// Where STARTTLS is spoken.
    pub plain: SocketAddr,
    /// Where TLS comes first.
    pub direct: SocketAddr,
}

/// How a server process is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What serves when it is told `serve --config FILE`.
    pub program: PathBuf,
    /// Words that come before these.
    pub words: Vec<String>,
    /// The binary with the admin commands.
    pub binary: PathBuf,
    /// Added to the environment of the process that serves.
    pub environment: Vec<(String, String)>,
}

impl Launch {
    /// The binary itself, as it is.
    #[must_use]
    pub fn of(binary: &Path) -> Self {
        Self {
            program: binary.to_owned(),
            words: Vec::new(),
            binary: binary.to_owned(),
            environment: Vec::new(),
        }
    }
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
        Self::launch_in(folder()?, Launch::of(binary), config)
    }

    /// The same with another way to start it, in a folder whose `data` is the data directory.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn launch_in(folder: TempDir, launch: Launch, config: &str) -> Result<Self, String> {
        let file = folder.path().join("balcony.toml");
        fs::write(&file, configuration(folder.path(), config)).map_err(|e| e.to_string())?;
        let (process, addresses) = serve(&launch, folder.path())?;
        Ok(Self {
            launch,
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

    /// Starts it again with its data, after [`Balcony::kill`] or [`Balcony::stop`].
    ///
    /// # Errors
    /// Why it did not start.
    pub fn relaunch(&mut self) -> Result<(), String> {
        let (process, addresses) = serve(&self.launch, self.folder.path())?;
        self.process = process;
        (self.plain, self.direct) = addresses;
        Ok(())
    }

    /// Ends the process in order, as a service manager would, and starts it again with its data.
    ///
    /// # Errors
    /// What failed.
    pub fn stop_and_restart(&mut self) -> Result<(), String> {
        self.stop()?;
        self.relaunch()
    }

    /// Ends the process in order, and waits for its end.
    ///
    /// # Errors
    /// What failed.
    pub fn stop(&mut self) -> Result<(), String> {
        self.signal("TERM")?;
        let ended = self.process.wait();
        ended.map(drop).map_err(|error| error.to_string())
    }

    /// Waits for the end of a process that was told to stop; ends it when this takes too long.
    /// True: it ended by itself, and well.
    pub fn wait(&mut self, limit: Duration) -> bool {
        /// How often it is looked at.
        const GLANCE: Duration = Duration::from_millis(5);
        let glances = limit.as_millis() / GLANCE.as_millis();
        for _ in 0..glances {
            match self.process.try_wait() {
                Ok(None) => std::thread::sleep(GLANCE),
                Ok(Some(status)) => return status.success(),
                Err(_) => break,
            }
        }
        self.kill();
        false
    }

    /// Sends the process a signal, by its name without `SIG`.
    ///
    /// # Errors
    /// What failed.
    pub fn signal(&self, name: &str) -> Result<(), String> {
        let (option, pid) = (format!("-{name}"), self.process.id().to_string());
        let told = Command::new("kill").args([&option, &pid]).status();
        match told {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(format!("there is no process that takes SIG{name}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Ends the process as `kill -9` does.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// All that the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(log_file(self.folder.path())).unwrap_or_default()
    }

    /// Runs an admin command with this on its standard input.
    ///
    /// # Errors
    /// What the command complained of.
    pub fn command(&self, words: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(&self.launch.binary)
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
            Admin::Stop => return Err("what is told then is looked at in memory".into()),
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

fn folder() -> Result<TempDir, String> {
    tempfile::tempdir().map_err(|error| error.to_string())
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

fn configuration(folder: &Path, more: &str) -> String {
    let any = "[\"127.0.0.1:0\"]";
    let data = folder.join("data");
    format!(
        "data_dir = {data:?}\n[listen]\nc2s = {any}\nc2s_tls = {any}\n\
         s2s = []\ns2s_tls = []\ncomponents = []\n{more}\n"
    )
}

/// Starts the process, and reads from its welcome where it listens.
fn serve(launch: &Launch, folder: &Path) -> Result<(Child, (SocketAddr, SocketAddr)), String> {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(log_file(folder))
        .map_err(|error| error.to_string())?;
    let mut process = Command::new(&launch.program)
        .args(&launch.words)
        .arg("serve")
        .arg("--config")
        .arg(folder.join("balcony.toml"))
        .envs(launch.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{}: {error}", launch.program.display()))?;
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
            let log = fs::read_to_string(log_file(folder)).unwrap_or_default();
            let last = log.lines().last().unwrap_or("it says nothing");
            Err(format!("the server did not start: {last}"))
        }
    }
}

fn address(line: String) -> Option<SocketAddr> {
    line.split_whitespace().last()?.parse().ok()
}
