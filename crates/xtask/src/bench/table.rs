//! What the runs come to: medians, ratios, verdicts, and the table that tells them.

use super::rows::{Goal, Kind, Measure, Row};
use super::runs::Values;
use super::site::Trouble;

/// A run that counts, or why there is none.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) row: &'static str,
    pub(super) kind: Kind,
    pub(super) variant: &'static str,
    /// Somebody else used the machine, and did so again when it was repeated.
    pub(super) disturbed: bool,
    pub(super) result: Result<Values, Trouble>,
}

/// How a goal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    Missed,
    /// A time was measured while others used the machine.
    Void,
    /// One of the values is not there.
    Unknown,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "**missed**",
            Verdict::Void => "void: disturbed",
            Verdict::Unknown => "not measured",
        }
    }
}

/// What all runs of one kind came to.
#[derive(Clone, Debug, Default, PartialEq)]
struct Cell {
    /// Those that count, sorted.
    values: Vec<f64>,
    /// Runs that came to an end, and those of them that were disturbed.
    runs: usize,
    disturbed: usize,
    failed: usize,
    /// Of the first failure.
    why: Option<String>,
    /// A time, and no run was undisturbed.
    void: bool,
}

impl Cell {
    /// Of a time, the disturbed runs count only where there are no others; CPU and memory do not
    /// depend on who else is there.
    fn new<'a>(measure: &Measure, outcomes: impl Iterator<Item = &'a Outcome>) -> Cell {
        let mut cell = Cell::default();
        let (mut quiet, mut noisy) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            match &outcome.result {
                Ok(values) => {
                    cell.runs += 1;
                    cell.disturbed += usize::from(outcome.disturbed);
                    let value = values.get(measure.field).map(|value| value * measure.scale);
                    let noise = outcome.disturbed && measure.timing;
                    if noise { &mut noisy } else { &mut quiet }.extend(value);
                }
                Err(trouble) => {
                    cell.failed += 1;
                    cell.why.get_or_insert_with(|| trouble.why.clone());
                }
            }
        }
        cell.void = quiet.is_empty() && !noisy.is_empty();
        cell.values = if cell.void { noisy } else { quiet };
        cell.values.sort_by(f64::total_cmp);
        cell
    }

    fn median(&self) -> Option<f64> {
        median(&self.values)
    }

    /// The median and the range, and what failed.
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if let (Some(median), [low, .., high]) = (self.median(), self.values.as_slice()) {
            parts.push(format!(
                "{} [{}..{}]",
                short(median),
                short(*low),
                short(*high)
            ));
        } else if let Some(median) = self.median() {
            parts.push(short(median));
        }
        if let Some(why) = &self.why {
            let all = self.runs == 0;
            let often = if all {
                String::new()
            } else {
                format!("{} × ", self.failed)
            };
            parts.push(format!("{often}failed: {}", cut(why)));
        }
        parts.join(", ")
    }
}

/// One line of the table: one measure of one variant of a row.
struct Line<'a> {
    row: &'a Row,
    variant: &'static str,
    measure: &'static Measure,
    /// In the order of [`Kind::ALL`].
    cells: [Cell; 4],
}

impl Line<'_> {
    fn cell(&self, kind: Kind) -> Option<&Cell> {
        let mut cells = Kind::ALL.into_iter().zip(&self.cells);
        cells
            .find(|(other, _)| *other == kind)
            .map(|(_, cell)| cell)
    }

    fn peers(&self) -> impl Iterator<Item = &Cell> {
        let found = Kind::PEERS.into_iter().filter_map(|kind| self.cell(kind));
        found.filter(|cell| !cell.values.is_empty())
    }

    /// The cheaper one.
    fn better_peer(&self) -> Option<&Cell> {
        let by = |a: &&Cell, b: &&Cell| {
            let value = |cell: &Cell| cell.median().unwrap_or(f64::INFINITY);
            value(a).total_cmp(&value(b))
        };
        self.peers().min_by(by)
    }
}

/// Balcony's value, or its ratio to another one; and the verdict. `None` without a value.
fn judge(goal: Goal, line: &Line<'_>, lines: &[Line<'_>]) -> (Option<f64>, Verdict) {
    let ours = line.cell(Kind::Balcony);
    let (beside, limit) = match goal {
        Goal::AtMost(limit) => (None, limit),
        Goal::Relay(limit) => (Some(line.cell(Kind::Relay)), limit),
        Goal::BetterPeer(limit) => (Some(line.better_peer()), limit),
        Goal::Variant(variant, limit) => {
            let other = lines.iter().find(|other| {
                other.variant == variant
                    && other.row.name == line.row.name
                    && other.measure.field == line.measure.field
            });
            (
                Some(other.and_then(|other| other.cell(Kind::Balcony))),
                limit,
            )
        }
    };
    let value = ours.and_then(Cell::median);
    let against = match beside {
        None => Some(1.0),
        Some(cell) => cell.and_then(Cell::median).filter(|value| *value > 0.0),
    };
    let (Some(value), Some(against)) = (value, against) else {
        return (None, Verdict::Unknown);
    };
    let cells = [ours, beside.flatten()];
    let verdict = match value / against {
        _ if cells.into_iter().flatten().any(|cell| cell.void) => Verdict::Void,
        ratio if ratio <= limit => Verdict::Met,
        _ => Verdict::Missed,
    };
    (Some(value / against), verdict)
}

/// The lines of all rows, in their order.
fn lines<'a>(rows: &'a [Row], outcomes: &[Outcome]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for row in rows {
        let mut variants: Vec<&str> = row.cases.iter().map(|case| case.variant).collect();
        variants.dedup();
        if variants.iter().all(|variant| variant.is_empty()) {
            variants.truncate(1);
        }
        for variant in variants {
            for measure in row.measures {
                let cell = |kind| {
                    let of = outcomes.iter().filter(move |outcome| {
                        outcome.row == row.name
                            && outcome.variant == variant
                            && outcome.kind == kind
                    });
                    Cell::new(measure, of)
                };
                lines.push(Line {
                    row,
                    variant,
                    measure,
                    cells: Kind::ALL.map(cell),
                });
            }
        }
    }
    lines
}

/// The goals that apply to a line. A variant is not held against itself.
fn goals(line: &Line<'_>) -> impl Iterator<Item = Goal> {
    let variant = line.variant;
    let goals = line.measure.goals.iter().copied();
    goals.filter(move |goal| !matches!(goal, Goal::Variant(other, _) if *other == variant))
}

/// Every verdict, with the row and what was measured.
pub(super) fn verdicts(rows: &[Row], outcomes: &[Outcome]) -> Vec<(String, Verdict)> {
    let lines = lines(rows, outcomes);
    let mut verdicts = Vec::new();
    for line in &lines {
        for goal in goals(line) {
            let what = format!("{}: {} {}", line.row.name, line.measure.unit, told(goal));
            verdicts.push((what, judge(goal, line, &lines).1));
        }
    }
    verdicts
}

const HEAD: &str = "\
| row | unit | Balcony | ejabberd | Prosody | relay | to the relay | to the better peer | goal | \
verdict | disturbed runs |
|---|---|---|---|---|---|---|---|---|---|---|
";

/// The table as Markdown.
pub(super) fn markdown(rows: &[Row], outcomes: &[Outcome]) -> String {
    let lines = lines(rows, outcomes);
    let mut text = HEAD.to_owned();
    for line in &lines {
        let mut cells = vec![named(line), line.measure.unit.to_owned()];
        cells.extend(Kind::ALL.map(|kind| shown(line, kind)));
        let ratio = |goal| judge(goal, line, &lines).0;
        // A ratio of times says something only where it is asked for.
        let compared = !line.measure.timing || goals(line).next().is_some();
        let relay = ratio(Goal::Relay(0.0)).filter(|_| compared);
        cells.push(relay.map_or_else(String::new, |ratio| format!("{} ×", short(ratio))));
        let peer = ratio(Goal::BetterPeer(0.0)).filter(|_| compared);
        let alone = if line.peers().count() == 1 {
            " (one peer)"
        } else {
            ""
        };
        cells.push(peer.map_or_else(String::new, |ratio| fraction(ratio) + alone));
        let told: Vec<String> = goals(line).map(told).collect();
        cells.push(told.join("; "));
        let verdicts: Vec<String> = goals(line)
            .map(|goal| verdict(goal, line, &lines))
            .collect();
        cells.push(verdicts.join("; "));
        cells.push(disturbed(line));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// A line for each row: what `balcony-bench` was told for whom.
pub(super) fn settings(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut told: Vec<(Vec<&str>, &str)> = Vec::new();
        for case in &row.cases {
            let name = case.kind.title();
            match told.iter_mut().find(|(_, words)| *words == case.words) {
                Some((names, _)) => names.push(name),
                None => told.push((vec![name], &case.words)),
            }
        }
        let told = told
            .iter()
            .map(|(names, words)| format!("{} `{words}`", names.join(", ")));
        let told: Vec<String> = told.collect();
        text.push_str(&format!("* {}: {}\n", row.name, told.join("; ")));
    }
    text
}

fn named(line: &Line<'_>) -> String {
    match line.variant {
        "" => line.row.name.to_owned(),
        variant => format!("{}, {variant}", line.row.name),
    }
}

fn shown(line: &Line<'_>, kind: Kind) -> String {
    let mut cases = line.row.cases.iter();
    let wanted = cases.any(|case| case.kind == kind && case.variant == line.variant);
    match line.cell(kind).map(Cell::text) {
        Some(text) if !text.is_empty() => text,
        _ if wanted => "–".to_owned(),
        _ => String::new(),
    }
}

fn told(goal: Goal) -> String {
    match goal {
        Goal::AtMost(limit) => format!("≤ {}", short(limit)),
        Goal::Relay(limit) => format!("≤ {limit} × the relay"),
        Goal::BetterPeer(limit) => format!("≤ {} of the better peer", fraction(limit)),
        Goal::Variant(variant, limit) => format!("≤ {limit} × with {variant}"),
    }
}

fn verdict(goal: Goal, line: &Line<'_>, lines: &[Line<'_>]) -> String {
    let (ratio, verdict) = judge(goal, line, lines);
    match (goal, ratio) {
        (Goal::Variant(..), Some(ratio)) => format!("{} ({ratio:.3} ×)", verdict.word()),
        _ => verdict.word().to_owned(),
    }
}

/// Which kinds' runs were disturbed, and how many of them.
fn disturbed(line: &Line<'_>) -> String {
    let count = |of: fn(&Cell) -> usize| line.cells.iter().map(of).sum::<usize>();
    let runs = count(|cell| cell.runs);
    if runs > 1 && runs == count(|cell| cell.disturbed) {
        return "all".to_owned();
    }
    let mut parts = Vec::new();
    for kind in Kind::ALL {
        if let Some(cell) = line.cell(kind).filter(|cell| cell.disturbed > 0) {
            parts.push(format!(
                "{} {} of {}",
                kind.title(),
                cell.disturbed,
                cell.runs
            ));
        }
    }
    parts.join(", ")
}

/// Of sorted values; between the two in the middle where there is no middle one.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(*lower, upper))
}

/// `1/21` where Balcony takes less, `1.3 ×` where it takes more.
fn fraction(ratio: f64) -> String {
    match ratio {
        ratio if ratio <= 0.0 => "0".to_owned(),
        ratio if ratio < 1.0 => format!("1/{}", short(1.0 / ratio).trim_end_matches(".0")),
        ratio => format!("{} ×", short(ratio)),
    }
}

/// Three digits, which is more than these measurements are good for.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 => thousands(value),
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// `8,240`, and `223,700` of 223,651.
fn thousands(value: f64) -> String {
    let unit = if value >= 10_000.0 { 100.0 } else { 10.0 };
    let digits = format!("{:.0}", (value / unit).round() * unit);
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A reason that fits a cell.
fn cut(why: &str) -> String {
    const SHOWN: usize = 120;
    let text: String = why.chars().take(SHOWN).collect();
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Case, Home};
    use super::*;

    const COST: Measure = Measure {
        field: "server_us",
        unit: "CPU µs/message",
        scale: 1.0,
        timing: false,
        goals: &[Goal::Relay(2.5), Goal::BetterPeer(0.1)],
    };
    const LATENCY: Measure = Measure {
        field: "p99_ms",
        unit: "p99 ms",
        timing: true,
        goals: &[Goal::AtMost(20.0)],
        ..COST
    };
    const FEW: &str = "few";
    const SESSIONS: Measure = Measure {
        goals: &[Goal::Variant(FEW, 1.1)],
        ..COST
    };

    fn row(measures: &'static [Measure], cases: &[(Kind, &'static str)]) -> Row {
        let case = |(kind, variant): &(Kind, &'static str)| Case {
            kind: *kind,
            variant,
            home: Home {
                name: "main",
                archive: false,
                fresh: false,
                accounts: 1,
                contacts: 0,
                visitors: 0,
            },
            words: String::new(),
        };
        Row {
            name: "chat",
            tls: false,
            cases: cases.iter().map(case).collect(),
            measures,
            limit: 1,
        }
    }

    fn all(measures: &'static [Measure]) -> [Row; 1] {
        [row(measures, &Kind::ALL.map(|kind| (kind, "")))]
    }

    fn outcome(kind: Kind, field: &str, value: f64) -> Outcome {
        Outcome {
            row: "chat",
            kind,
            variant: "",
            disturbed: false,
            result: Ok(Values::from([(field.to_owned(), value)])),
        }
    }

    fn cost(kind: Kind, value: f64) -> Outcome {
        outcome(kind, "server_us", value)
    }

    fn late(value: f64, disturbed: bool) -> Outcome {
        Outcome {
            disturbed,
            ..outcome(Kind::Balcony, "p99_ms", value)
        }
    }

    fn failed(kind: Kind, why: &str) -> Outcome {
        Outcome {
            result: Err(Trouble::new(why)),
            ..cost(kind, 0.0)
        }
    }

    #[track_caller]
    fn check(rows: &[Row], outcomes: &[Outcome], expected: &[Verdict]) {
        let found: Vec<_> = verdicts(rows, outcomes)
            .into_iter()
            .map(|(_, verdict)| verdict)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(&[1.0, 2.0, 10.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0, 4.0, 10.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn goals_are_held_against_the_relay_and_the_better_peer() {
        let rows = all(&[COST]);
        let runs = |ours: f64| {
            [
                cost(Kind::Balcony, ours),
                cost(Kind::Ejabberd, 100.0),
                cost(Kind::Prosody, 60.0),
                cost(Kind::Relay, 2.0),
            ]
        };
        check(&rows, &runs(5.0), &[Verdict::Met, Verdict::Met]);
        check(&rows, &runs(5.5), &[Verdict::Missed, Verdict::Met]);
        check(&rows, &runs(6.1), &[Verdict::Missed, Verdict::Missed]);
    }

    #[test]
    fn the_median_counts_and_not_one_run() {
        let rows = all(&[COST]);
        let mut runs = vec![cost(Kind::Relay, 2.0), cost(Kind::Prosody, 80.0)];
        runs.extend([4.0, 9.0, 4.5].map(|value| cost(Kind::Balcony, value)));
        check(&rows, &runs, &[Verdict::Met, Verdict::Met]);
    }

    #[test]
    fn a_time_of_a_disturbed_run_decides_nothing() {
        let rows = all(&[LATENCY]);
        check(&rows, &[late(5.0, true)], &[Verdict::Void]);
        check(&rows, &[late(50.0, true)], &[Verdict::Void]);
        // One quiet run is enough, and the disturbed ones do not count beside it.
        check(
            &rows,
            &[late(50.0, true), late(5.0, false)],
            &[Verdict::Met],
        );
        check(
            &rows,
            &[late(5.0, true), late(50.0, false)],
            &[Verdict::Missed],
        );
    }

    #[test]
    fn a_disturbed_run_still_tells_what_the_cpu_did() {
        let rows = all(&[COST]);
        let mut ours = cost(Kind::Balcony, 5.0);
        ours.disturbed = true;
        let runs = [ours, cost(Kind::Relay, 4.0), cost(Kind::Prosody, 100.0)];
        check(&rows, &runs, &[Verdict::Met, Verdict::Met]);
        assert!(markdown(&rows, &runs).contains("| Balcony 1 of 1 |"));
        let all = runs.map(|run| Outcome {
            disturbed: true,
            ..run
        });
        assert!(markdown(&rows, &all).contains("| all |"));
    }

    #[test]
    fn a_value_that_is_not_there_is_not_judged() {
        let rows = all(&[COST]);
        check(&rows, &[], &[Verdict::Unknown, Verdict::Unknown]);
        let runs = [cost(Kind::Balcony, 1.0), failed(Kind::Prosody, "no room")];
        check(&rows, &runs, &[Verdict::Unknown, Verdict::Unknown]);
    }

    #[test]
    fn variants_are_held_against_each_other() {
        let rows = [row(
            &[SESSIONS],
            &[(Kind::Balcony, FEW), (Kind::Balcony, "many")],
        )];
        let of = |variant, value| Outcome {
            variant,
            ..cost(Kind::Balcony, value)
        };
        check(&rows, &[of(FEW, 4.0), of("many", 4.4)], &[Verdict::Met]);
        check(&rows, &[of(FEW, 4.0), of("many", 4.5)], &[Verdict::Missed]);
        let table = markdown(&rows, &[of(FEW, 4.0), of("many", 4.4)]);
        assert!(
            table.contains("| chat, many | CPU µs/message | 4.40 |"),
            "{table}"
        );
        assert!(table.contains("met (1.100 ×)"), "{table}");
    }

    #[test]
    fn the_table_tells_median_range_ratios_and_failures() {
        let rows = all(&[COST]);
        let runs = [
            cost(Kind::Balcony, 4.0),
            cost(Kind::Balcony, 6.0),
            failed(Kind::Ejabberd, "a | b"),
            cost(Kind::Prosody, 105.0),
            failed(Kind::Prosody, "lost"),
            cost(Kind::Relay, 2.0),
        ];
        let expected = "| chat | CPU µs/message | 5.00 [4.00..6.00] | failed: a \\| b | \
            105, 1 × failed: lost | 2.00 | 2.50 × | 1/21 (one peer) | \
            ≤ 2.5 × the relay; ≤ 1/10 of the better peer | met; met |  |";
        let table = markdown(&rows, &runs);
        assert_eq!(table.lines().nth(2), Some(expected));
    }

    #[test]
    fn the_settings_are_told_once_for_those_who_share_them() {
        let [mut row] = all(&[COST]);
        for case in &mut row.cases {
            let of = if case.kind == Kind::Relay {
                "relay"
            } else {
                "chat"
            };
            of.clone_into(&mut case.words);
        }
        let expected = "* chat: Balcony, ejabberd, Prosody `chat`; relay `relay`\n";
        assert_eq!(settings(&[row]), expected);
    }

    #[test]
    fn numbers_have_three_digits() {
        let texts = [0.0123, 0.5, 12.34, 123.4, 8_237.0, 223_651.0].map(short);
        assert_eq!(texts, ["0.0123", "0.50", "12.3", "123", "8,240", "223,700"]);
        assert_eq!(
            [0.1, 1.0 / 21.0, 1.3].map(fraction),
            ["1/10", "1/21", "1.30 ×"]
        );
    }
}
