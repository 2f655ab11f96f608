//! Accounts to log in with, made in either of two ways.

mod registration;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::options::{MOST_USERS, Target, bounded};
use registration::register;

/// Connections at a time: the server derives keys for that many accounts at once, and that
/// keeps the cores of a small machine busy.
const JOBS: usize = 4;

/// Make the accounts that the other commands log in with. Those that exist already are left as they
/// are.
#[derive(Args, Debug)]
pub(crate) struct Accounts {
    #[command(flatten)]
    target: Target,
    /// How many
    #[arg(long, value_parser = bounded(1, MOST_USERS))]
    count: u64,
    /// Balcony's admin socket. Without it they are registered in-band (XEP-0077), one connection
    /// each
    #[arg(long)]
    socket: Option<PathBuf>,
}

impl Accounts {
    pub(crate) fn run(&self) -> Result<()> {
        let count = self.count as usize;
        let made = match &self.socket {
            Some(socket) => self.by_socket(socket, count)?,
            None => self.in_band(count)?,
        };
        println!("{made} accounts made, {} existed", count - made);
        Ok(())
    }

    fn by_socket(&self, socket: &Path, count: usize) -> Result<usize> {
        in_parallel(count, || {
            let mut admin = Admin::connect(socket)?;
            Ok(move |number| {
                let jid = self.target.jid(number)?;
                admin.add(jid.as_str(), &self.target.password)
            })
        })
    }

    fn in_band(&self, count: usize) -> Result<usize> {
        let (target, address) = (&self.target, self.target.address()?);
        let connector = target.connector()?;
        in_parallel(count, || {
            let connector = connector.as_ref();
            Ok(move |number| register(target, address, connector, &target.user(number)))
        })
    }
}

/// Does something for each number below `count`, in [`JOBS`] threads that `start` makes ready; how
/// often the answer was true.
fn in_parallel<M>(count: usize, start: impl Fn() -> Result<M> + Sync) -> Result<usize>
where
    M: FnMut(usize) -> Result<bool>,
{
    let next = AtomicUsize::new(0);
    let job = || -> Result<usize> {
        let (mut make, mut made) = (start()?, 0);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(made);
            }
            made += usize::from(make(number)?);
        }
    };
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..JOBS).map(|_| scope.spawn(job)).collect();
        let failed = |_| Error::Usage("a thread failed".into());
        jobs.into_iter()
            .map(|job| job.join().map_err(failed)?)
            .sum()
    })
}

/// Balcony's admin API: one JSON object on a line, and one back.
struct Admin {
    lines: BufReader<UnixStream>,
}

impl Admin {
    fn connect(path: &Path) -> Result<Admin> {
        let stream = UnixStream::connect(path);
        let stream = stream.map_err(Error::io(path.display().to_string()))?;
        Ok(Admin {
            lines: BufReader::new(stream),
        })
    }

    /// Whether the account was made; false: it exists.
    fn add(&mut self, jid: &str, password: &str) -> Result<bool> {
        let call = json!({"version": 1, "request": "user_add", "jid": jid, "password": password});
        let failed = || Error::io("the admin socket");
        writeln!(self.lines.get_mut(), "{call}").map_err(failed())?;
        let mut line = String::new();
        self.lines.read_line(&mut line).map_err(failed())?;
        let answer: Value = serde_json::from_str(&line).unwrap_or_default();
        let field = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        match (field("answer"), field("kind")) {
            ("done", _) => Ok(true),
            ("error", "conflict") => Ok(false),
            _ => Err(Error::Refused(format!("{jid}: {}", line.trim()))),
        }
    }
}
