//! What is measured on: the machine, and the versions of what runs on it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::rows::Kind;
use crate::process::program;

/// The machine, as far as whoever compares has to know it.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    date: String,
    cores: usize,
    processor: String,
    memory_gib: f64,
    kernel: String,
    commit: String,
    /// Of the servers that were measured.
    versions: Vec<(&'static str, String)>,
}

impl Machine {
    pub(super) fn look(kinds: &[Kind]) -> Machine {
        let cpus = read("/proc/cpuinfo");
        let models: Vec<&str> = cpus
            .lines()
            .filter_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()))
            .collect();
        let cores = std::thread::available_parallelism();
        let kib = field(&read("/proc/meminfo"), "MemTotal:").and_then(|word| word.parse().ok());
        let mut versions = Vec::new();
        if kinds.contains(&Kind::Ejabberd) {
            versions.push(("ejabberd", package("ejabberd")));
            versions.push(("PostgreSQL", postgresql()));
        }
        if kinds.contains(&Kind::Prosody) {
            versions.push(("Prosody", package("prosody")));
        }
        Machine {
            date: told("date", &["-u", "+%F %H:%M UTC"]),
            cores: cores.map_or(1, usize::from),
            processor: models.first().copied().unwrap_or("unknown").to_owned(),
            memory_gib: kib.unwrap_or(0.0_f64) / f64::from(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: told("git", &["describe", "--always", "--dirty"]),
            versions,
        }
    }

    /// For a person.
    pub(super) fn sentence(&self) -> String {
        let servers: Vec<String> = self
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        format!(
            "{}, Balcony {} on {} cores of {}, {:.0} GiB, Linux {}. {}",
            self.date,
            self.commit,
            self.cores,
            self.processor,
            self.memory_gib,
            self.kernel,
            servers.join(", "),
        )
    }

    /// For a program.
    pub(super) fn json(&self) -> Value {
        json!({
            "date": self.date,
            "cores": self.cores,
            "processor": self.processor,
            "memory_gib": self.memory_gib,
            "kernel": self.kernel,
            "commit": self.commit,
            "versions": self.versions.iter().map(|(name, version)| json!({*name: version}))
                .collect::<Vec<_>>(),
        })
    }
}

/// Time that the machine's processors were not idle, since it started. See proc(5).
pub(super) fn busy() -> Duration {
    busy_of(&read("/proc/stat"))
}

/// Of the first line: user, nice and system, not idle nor iowait, and interrupts. A tick is 10 ms
/// on every Linux that a person is likely to have.
fn busy_of(stat: &str) -> Duration {
    let line = stat.lines().next().unwrap_or_default();
    let numbers = line.split_whitespace().skip(1).take(8).enumerate();
    let spent = numbers.filter(|(at, _)| !matches!(at, 3 | 4));
    let ticks: u64 = spent.filter_map(|(_, word)| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks.saturating_mul(10))
}

/// Descriptors that a process may have at most.
pub(super) fn descriptors() -> u64 {
    descriptors_of(&read("/proc/self/limits"))
}

/// The hard limit stands behind the soft one. "unlimited" is as good as a million.
fn descriptors_of(limits: &str) -> u64 {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|rest| rest.split_whitespace().nth(1));
    hard.map_or(0, |word| word.parse().unwrap_or(1_000_000))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The word behind a name.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()
}

/// The version of a Debian package.
fn package(name: &str) -> String {
    told("dpkg-query", &["-W", "-f", "${Version}", name])
}

/// What the newest one calls itself, without where it comes from.
fn postgresql() -> String {
    let sh = "$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)/postgres --version";
    let told = told("sh", &["-c", sh]);
    told.split_whitespace()
        .nth(2)
        .unwrap_or("unknown")
        .to_owned()
}

/// What a program writes; `unknown` when it fails.
fn told(name: &str, words: &[&str]) -> String {
    let output = program(name, words.iter().copied()).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_busy() {
        let stat = "cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9 9\n";
        assert_eq!(busy_of(stat), Duration::from_millis(630));
        assert_eq!(busy_of(""), Duration::ZERO);
    }

    #[test]
    fn the_hard_limit_of_descriptors_is_read() {
        let limits = "Limit  Soft  Hard  Units\nMax open files  1024  20000  files\n";
        assert_eq!(descriptors_of(limits), 20_000);
        assert_eq!(
            descriptors_of("Max open files  1024  unlimited  files\n"),
            1_000_000
        );
        assert_eq!(descriptors_of(""), 0);
    }
}
