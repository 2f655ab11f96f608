//! One run: what `balcony-bench` is told, and what it says.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::machine;
use super::rows::{Case, Kind, Row};
use super::servers::{Running, Server, built};
use super::site::{Site, Trouble};

/// Cores' worth of other processes' work from which on a run is called disturbed.
pub(super) const DISTURBED: f64 = 0.05;

/// How long to wait for a quiet machine before a run. A server that has just started is not quiet.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the machine is watched to call it quiet.
const WATCH: Duration = Duration::from_secs(1);

/// What was measured, by name.
pub(super) type Values = BTreeMap<String, f64>;

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) values: Values,
    /// All that the load generator reported.
    pub(super) reports: Vec<Value>,
}

impl Run {
    /// From the lines of a file of results, of one run each.
    ///
    /// # Errors
    /// Nothing was measured.
    fn read(text: &str) -> Result<Run, Trouble> {
        let reports: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let mut values = Values::new();
        for report in &reports {
            for place in ["/runs/0", "/around"] {
                let found = report.pointer(place).and_then(Value::as_object);
                let numbers = found.into_iter().flatten();
                values.extend(
                    numbers.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))),
                );
            }
        }
        match values.is_empty() {
            true => Err(Trouble::new("it reported nothing")),
            false => Ok(Run { values, reports }),
        }
    }

    /// Cores' worth of time that others took. What only memory is measured for says nothing of it.
    pub(super) fn others(&self) -> f64 {
        self.values.get("other_cores").copied().unwrap_or(0.0)
    }

    pub(super) fn is_disturbed(&self) -> bool {
        self.others() > DISTURBED
    }
}

/// Starts the server, measures one case, and stops it.
///
/// # Errors
/// There is no result that counts.
pub(super) fn measure(
    site: &Site,
    row: &Row,
    case: &Case,
    limit: Duration,
) -> Result<Run, Trouble> {
    let results = site.place("results.jsonl");
    fs::remove_file(&results).ok();
    let mut command = Command::new(built("balcony-bench"));
    let server = Server {
        site,
        kind: case.kind,
        home: &case.home,
    };
    let words = case.words.split_whitespace();
    command.args(words.map(|word| match word {
        "DATA" => server.data().into_os_string(),
        word => word.into(),
    }));
    command.arg("--json").arg(&results);
    command.args(["--tls", if row.tls { "direct" } else { "none" }]);
    let running = match case.kind {
        Kind::Relay => None,
        _ => Some(start(server)?),
    };
    if let Some(running) = &running {
        let port = server.port(row.tls).to_string();
        command.args(["--label", case.kind.name(), "--port", &port]);
        command.args(["--pid", &running.pids]);
        command.arg("--keys").arg(server.keys());
    }
    wait_for_quiet();
    let ended = site.run(&command, limit);
    drop(running);
    ended?;
    Run::read(&fs::read_to_string(&results).unwrap_or_default())
}

/// With new accounts where the home is to be fresh.
fn start(server: Server<'_>) -> Result<Running<'_>, Trouble> {
    if server.home.fresh {
        server.settle()?;
    }
    server.start()
}

/// Until nobody uses the machine, or for as long as patience lasts: then the run tells.
fn wait_for_quiet() {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let before = machine::busy();
        thread::sleep(WATCH);
        let spent = machine::busy().saturating_sub(before);
        if spent.as_secs_f64() <= DISTURBED * WATCH.as_secs_f64() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_all_reports_are_those_of_the_run() {
        let text = r#"{"case":"muc-entry","runs":[{"entry_s":2.5}],"around":{}}
{"case":"muc","runs":[{"server_us":3,"other_cores":0.06}],"around":{"sync_p50_ms":0.1}}
"#;
        let run = Run::read(text).unwrap();
        let names: Vec<_> = run
            .values
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let expected = [
            ("entry_s", 2.5),
            ("other_cores", 0.06),
            ("server_us", 3.0),
            ("sync_p50_ms", 0.1),
        ];
        assert_eq!(names, expected);
        assert_eq!(run.reports.len(), 2);
        assert!(run.is_disturbed());
    }

    #[test]
    fn a_run_without_results_has_failed() {
        assert!(Run::read("").is_err());
        assert!(Run::read("not JSON\n").is_err());
        let memory = Run::read(r#"{"runs":[{"kib_each_30s":8.0}]}"#).unwrap();
        assert!(!memory.is_disturbed());
    }
}
