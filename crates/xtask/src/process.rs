//! Running other programs: quietly, with their output shown and kept, or under a time limit.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a program under a time limit is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// How a program ended: its exit code, and what it wrote.
pub(crate) struct Ended {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

impl Ended {
    pub(crate) fn succeeded(&self) -> bool {
        self.code == Some(0)
    }
}

/// `program("cargo", ["fmt", "--check"])`, with nothing to read from.
pub(crate) fn program<'a>(name: &str, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Whether a program exists and ends well, without showing anything.
pub(crate) fn succeeds(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a program to its end and shows what it writes; true when it ends well.
pub(crate) fn show(mut command: Command) -> Result<bool, String> {
    announce(&command);
    let status = command
        .status()
        .map_err(|error| failed_to_start(&command, &error))?;
    Ok(status.success())
}

/// Runs a program to its end, shows what it writes, and keeps it too.
pub(crate) fn show_and_keep(mut command: Command) -> Result<Ended, String> {
    announce(&command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| failed_to_start(&command, &error))?;
    let errors = child
        .stderr
        .take()
        .map(|stream| thread::spawn(move || echo(stream, io::stderr())));
    let mut output = child
        .stdout
        .take()
        .map_or_else(String::new, |out| echo(out, io::stdout()));
    if let Some(Ok(text)) = errors.map(thread::JoinHandle::join) {
        output.push_str(&text);
    }
    let status = child
        .wait()
        .map_err(|error| failed_to_start(&command, &error))?;
    Ok(Ended {
        code: status.code(),
        output,
    })
}

/// Runs a program and everything it starts for at most `limit`; its output goes to `log`.
///
/// The answer is `None` when the limit passed; then its whole process group has been killed.
pub(crate) fn within(
    mut command: Command,
    limit: Duration,
    log: &Path,
) -> Result<Option<i32>, String> {
    let open =
        |result: io::Result<File>| result.map_err(|error| format!("{}: {error}", log.display()));
    let file = open(File::create(log))?;
    command
        .stdout(open(file.try_clone())?)
        .stderr(file)
        .process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| failed_to_start(&command, &error))?;
    let started = Instant::now();
    while started.elapsed() < limit {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status.code().unwrap_or(-1))),
            Ok(None) => thread::sleep(GLANCE),
            Err(error) => return Err(failed_to_start(&command, &error)),
        }
    }
    kill_group(&mut child);
    Ok(None)
}

fn kill_group(child: &mut Child) {
    let group = format!("-{}", child.id());
    let killed = succeeds(program("kill", ["-KILL", "--", &group]));
    if !killed {
        // Without the kill program at least the script itself ends.
        child.kill().ok();
    }
    child.wait().ok();
}

/// Copies a stream line by line as it comes, and answers with all of it.
fn echo(from: impl Read, mut to: impl Write) -> String {
    let mut kept = String::new();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .is_ok_and(|read| read > 0)
    {
        // The copy is for people; when nobody reads it any more, the run still counts.
        to.write_all(&line).ok();
        kept.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    kept
}

fn announce(command: &Command) {
    println!("xtask: {}", spelled(command));
}

fn spelled(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn failed_to_start(command: &Command, error: &io::Error) -> String {
    format!("{}: {error}", spelled(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("xtask-{name}-{}.log", std::process::id()))
    }

    #[test]
    fn what_a_program_writes_on_both_streams_is_kept() {
        let ended = show_and_keep(program("sh", ["-c", "echo one; echo two >&2; exit 3"])).unwrap();
        assert_eq!(ended.code, Some(3));
        assert!(ended.output.contains("one") && ended.output.contains("two"));
    }

    #[test]
    fn a_program_within_its_limit_gives_its_exit_code() {
        let log = log("code");
        let command = program("sh", ["-c", "echo because; exit 77"]);
        assert_eq!(
            within(command, Duration::from_secs(20), &log).unwrap(),
            Some(77)
        );
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "because\n");
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_program_past_its_limit_is_killed_with_its_children() {
        let log = log("limit");
        let command = program("sh", ["-c", "sleep 1000 & echo $!; wait"]);
        assert_eq!(
            within(command, Duration::from_millis(500), &log).unwrap(),
            None
        );
        let child = std::fs::read_to_string(&log).unwrap();
        // The kernel takes a moment over it, and a zombie stays until somebody waits for it.
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
            stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
        };
        let started = Instant::now();
        while !gone() && started.elapsed() < Duration::from_secs(10) {
            thread::yield_now();
        }
        assert!(gone());
        std::fs::remove_file(log).unwrap();
    }
}
