//! The result of a case: a line for a person, an object for a program.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Histogram, Spent};
use crate::error::{Error, Result};

/// CPU of this program for a message in the closed loop. A server that takes less than twice what
/// this program takes beyond it is measured together with it.
pub(crate) const OWN_LIMIT_US: f64 = 4.0;

/// Of a value. Some are made of a setting.
type Name = Cow<'static, str>;

/// One value of one run.
#[derive(Clone, Debug)]
struct Measure {
    name: Name,
    unit: &'static str,
    value: f64,
}

/// The values of one run, in the order in which they are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    measures: Vec<Measure>,
}

impl Run {
    /// Adds a value. Names end in their unit where they have one.
    pub(crate) fn add(&mut self, name: impl Into<Name>, unit: &'static str, value: f64) {
        let name = name.into();
        self.measures.push(Measure { name, unit, value });
    }

    /// The CPU of everybody, per unit of work, of which `units` were done.
    pub(crate) fn cpu(&mut self, spent: &Spent, units: u64, per: [&'static str; 2]) {
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / units.max(1) as f64;
        let [server, own] = per;
        if let Some(cpu) = spent.server {
            self.add(server, "µs", each(cpu));
        }
        self.add(own, "µs", each(spent.own));
        let others = spent.others.as_secs_f64() / spent.elapsed.as_secs_f64().max(1e-9);
        self.add("other_cores", "cores", others);
    }

    /// The usual points of a distribution.
    pub(crate) fn latency(&mut self, histogram: &Histogram) {
        self.latency_as(histogram, ["p50_ms", "p99_ms", "max_ms"]);
    }

    /// The same under other names: of the median, the 99th percentile, and the greatest.
    pub(crate) fn latency_as(&mut self, histogram: &Histogram, names: [impl Into<Name>; 3]) {
        let spans = [
            histogram.quantile(0.5),
            histogram.quantile(0.99),
            histogram.max(),
        ];
        for (name, span) in names.into_iter().zip(spans) {
            self.add(name, "ms", span.as_secs_f64() * 1e3);
        }
    }

    /// Whether the generator took so much that it shows in what the server is said to take.
    pub(crate) fn measures_itself(&self) -> bool {
        let own = self.value("own_us").unwrap_or(0.0);
        let server = self.value("server_us");
        own > OWN_LIMIT_US && server.is_none_or(|server| own > server / 2.0)
    }

    /// A value of this run.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        let found = self.measures.iter().find(|measure| measure.name == name);
        found.map(|measure| measure.value)
    }
}

/// All runs of a case.
#[derive(Debug)]
pub(crate) struct Report {
    case: String,
    label: String,
    settings: Map<String, Value>,
    runs: Vec<Run>,
    /// What was measured once, beside the runs.
    around: Run,
    remarks: Vec<String>,
}

impl Report {
    /// Of the case, as `chat-loop`, on the server that the label names.
    pub(crate) fn new(case: impl Into<String>, label: &str) -> Report {
        Report {
            case: case.into(),
            label: label.to_owned(),
            settings: Map::new(),
            runs: Vec::new(),
            around: Run::default(),
            remarks: Vec::new(),
        }
    }

    /// A setting that whoever compares has to know.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.settings.insert(name.to_owned(), value.into());
    }

    pub(crate) fn push(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// Values that belong to no run: of the machine before and after all of them.
    pub(crate) fn around(&mut self, values: &Run) {
        self.around.measures.extend_from_slice(&values.measures);
    }

    /// Something that limits what the numbers are worth.
    pub(crate) fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// Tells the person, and adds a line to the file where one is named.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub(crate) fn publish(&self, json: Option<&Path>) -> Result<()> {
        print!("{}", self.human());
        let Some(path) = json else { return Ok(()) };
        let failed = || Error::io(path.display().to_string());
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.map_err(failed())?;
        writeln!(file, "{}", self.json()).map_err(failed())
    }

    fn human(&self) -> String {
        let mut line = format!("{} {}:", self.label, self.case);
        for summary in self.summaries() {
            let Summary {
                measure,
                median,
                min,
                max,
            } = summary;
            let _ = write!(line, " {} {}", measure.name, short(median));
            if self.runs.len() > 1 {
                let _ = write!(line, " [{}..{}]", short(min), short(max));
            }
        }
        line.push('\n');
        if !self.around.measures.is_empty() {
            line.push(' ');
            for measure in &self.around.measures {
                let _ = write!(line, " {} {}", measure.name, short(measure.value));
            }
            line.push('\n');
        }
        for remark in &self.remarks {
            let _ = writeln!(line, "  ! {remark}");
        }
        line
    }

    fn json(&self) -> Value {
        let run = |run: &Run| -> Value {
            let pairs = run.measures.iter();
            pairs
                .map(|m| (m.name.to_string(), json!(m.value)))
                .collect::<Map<_, _>>()
                .into()
        };
        let summaries = self.summaries();
        let summary = |s: &Summary| {
            let value =
                json!({"unit": s.measure.unit, "median": s.median, "min": s.min, "max": s.max});
            (s.measure.name.to_string(), value)
        };
        json!({
            "label": self.label,
            "case": self.case,
            "settings": self.settings,
            "result": summaries.iter().map(summary).collect::<Map<_, _>>(),
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
            "around": run(&self.around),
            "remarks": self.remarks,
        })
    }

    fn summaries(&self) -> Vec<Summary> {
        let Some(first) = self.runs.first() else {
            return Vec::new();
        };
        let summary = |measure: &Measure| {
            let values = self.runs.iter().filter_map(|run| run.value(&measure.name));
            let mut values: Vec<f64> = values.collect();
            values.sort_by(f64::total_cmp);
            Summary {
                measure: measure.clone(),
                median: median(&values),
                min: values.first().copied().unwrap_or(0.0),
                max: values.last().copied().unwrap_or(0.0),
            }
        };
        first.measures.iter().map(summary).collect()
    }
}

struct Summary {
    measure: Measure,
    median: f64,
    min: f64,
    max: f64,
}

/// Of sorted values; between the two in the middle where there is no middle one.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(0.0);
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = sorted.get(middle.wrapping_sub(1)).copied().unwrap_or(upper);
    f64::midpoint(lower, upper)
}

/// Three digits, which is more than these measurements are good for.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&[1.0, 2.0, 10.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 10.0]), 3.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn the_line_and_the_object_tell_median_and_range() {
        let mut report = Report::new("chat", "balcony");
        for value in [3.0, 1.0, 2.0] {
            let mut run = Run::default();
            run.add("server_us", "µs", value);
            report.push(run);
        }
        report.remark("noisy");
        let mut around = Run::default();
        around.add("sync_p50_ms", "ms", 1.5);
        report.around(&around);
        assert_eq!(
            report.human(),
            "balcony chat: server_us 2.00 [1.00..3.00]\n  sync_p50_ms 1.50\n  ! noisy\n"
        );
        let json = report.json();
        assert_eq!(json.pointer("/around/sync_p50_ms"), Some(&json!(1.5)));
        assert_eq!(json.pointer("/result/server_us/median"), Some(&json!(2.0)));
        assert_eq!(json.pointer("/runs/1/server_us"), Some(&json!(1.0)));
    }

    #[test]
    fn a_generator_that_costs_as_much_as_the_server_says_so() {
        let run = |server: f64, own: f64| {
            let mut run = Run::default();
            run.add("server_us", "µs", server);
            run.add("own_us", "µs", own);
            run
        };
        assert!(!run(4.0, 3.9).measures_itself());
        assert!(run(6.0, 4.1).measures_itself());
        assert!(!run(80.0, 10.0).measures_itself());
    }
}
