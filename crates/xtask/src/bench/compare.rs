//! `cargo xtask bench --compare`: every row by every kind in turns, one server at a time, so that
//! what disturbs the machine disturbs all alike.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::book::{Book, Try};
use super::machine::{self, Machine};
use super::rows::{self, Case, Home, Kind, Row, Scale};
use super::runs::{self, Run};
use super::servers::{Server, missing};
use super::site::{Site, Trouble};
use super::table::short;
use crate::process::{program, show};

/// A disturbed run is repeated once. Who disturbs twice is there to stay.
const TRIES: usize = 2;

#[derive(clap::Args)]
pub(super) struct Comparison {
    /// Add every run to this file, one JSON object a line.
    #[arg(long, value_name = "FILE", requires = "compare")]
    json: Option<PathBuf>,
    /// Write the table to this file, anew after each run; without it, to the standard output.
    #[arg(long, value_name = "FILE", requires = "compare")]
    markdown: Option<PathBuf>,
    /// How often each kind is measured in each row.
    #[arg(long, default_value_t = 3, requires = "compare")]
    rounds: u32,
    /// Seconds that are measured in each run.
    #[arg(long, default_value_t = 6.0, requires = "compare")]
    seconds: f64,
    /// Only these rows; `room` stands for `room-plain` and `room-tls`.
    #[arg(long, value_delimiter = ',', value_name = "ROW", requires = "compare")]
    only: Vec<String>,
    /// Only these kinds; those that are not installed are left out.
    #[arg(long, value_delimiter = ',', value_name = "KIND", requires = "compare")]
    kinds: Vec<Kind>,
    /// Use the release build that is there.
    #[arg(long, requires = "compare")]
    no_build: bool,
    /// Keep everything in a new folder below this one, which is removed at the end.
    #[arg(long, requires = "compare")]
    dir: Option<PathBuf>,
}

impl Comparison {
    /// As somebody would say it again, without the names of files.
    fn command(&self) -> String {
        let mut command = format!(
            "cargo xtask bench --compare --rounds {} --seconds {}",
            self.rounds, self.seconds
        );
        if !self.only.is_empty() {
            command.push_str(&format!(" --only {}", self.only.join(",")));
        }
        if !self.kinds.is_empty() {
            let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
            command.push_str(&format!(" --kinds {}", names.join(",")));
        }
        command
    }

    /// The rows that are asked for, with the cases of the kinds that are asked for.
    fn rows(&self) -> Result<Vec<Row>, String> {
        let all = rows::all(Scale {
            seconds: self.seconds,
            descriptors: machine::descriptors(),
        });
        let means = |only: &str, row: &Row| {
            let rest = row.name.strip_prefix(only);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        for only in &self.only {
            if !all.iter().any(|row| means(only, row)) {
                let names: Vec<&str> = all.iter().map(|row| row.name).collect();
                return Err(format!("no row {only}; there are: {}", names.join(" ")));
            }
        }
        let wanted =
            |row: &Row| self.only.is_empty() || self.only.iter().any(|only| means(only, row));
        let mut rows: Vec<Row> = all.into_iter().filter(wanted).collect();
        for row in &mut rows {
            let wanted = |kind| self.kinds.is_empty() || self.kinds.contains(&kind);
            row.cases.retain(|case| wanted(case.kind));
        }
        rows.retain(|row| !row.cases.is_empty());
        share_homes(&mut rows);
        Ok(rows)
    }
}

/// Gives all cases of a kind that have a home in common the same one, with what each of them needs.
fn share_homes(rows: &mut [Row]) {
    let mut homes: HashMap<(Kind, &str), Home> = HashMap::new();
    for Case { kind, home, .. } in rows.iter().flat_map(|row| &row.cases) {
        let shared = homes.entry((*kind, home.name));
        let shared = shared.or_insert_with(|| home.clone());
        shared.accounts = shared.accounts.max(home.accounts);
        shared.contacts = shared.contacts.max(home.contacts);
        shared.visitors = shared.visitors.max(home.visitors);
    }
    for case in rows.iter_mut().flat_map(|row| &mut row.cases) {
        if let Some(home) = homes.get(&(case.kind, case.home.name)) {
            case.home = home.clone();
        }
    }
}

/// True when nothing of ours failed and no goal was missed.
pub(super) fn run(options: &Comparison) -> Result<bool, String> {
    let rows = options.rows()?;
    let began = Instant::now();
    if !options.no_build {
        let words = ["build", "--release", "-p", "balcony", "-p", "balcony-bench"];
        if !show(program("cargo", words))? {
            return Err("the release build failed".to_owned());
        }
    }
    let kinds = Kind::ALL.into_iter().filter(|kind| {
        let mut cases = rows.iter().flat_map(|row| &row.cases);
        cases.any(|case| case.kind == *kind)
    });
    let machine = Machine::look(&kinds.collect::<Vec<_>>());
    let book = Book::open(
        &rows,
        &machine,
        &options.command(),
        options.json.as_deref(),
        options.markdown.as_deref(),
    )?;
    let mut comparing = Comparing {
        options,
        site: Site::new(options.dir.as_deref())?,
        book,
        given_up: HashSet::new(),
    };
    comparing.settle(&rows)?;
    for row in &rows {
        comparing.row(row)?;
    }
    println!(
        "xtask: done after {:.0} minutes",
        began.elapsed().as_secs_f64() / 60.0
    );
    comparing.book.close()
}

/// A comparison under way.
struct Comparing<'a> {
    options: &'a Comparison,
    site: Site,
    book: Book,
    /// Kinds without a place in a row: not installed, without accounts, or too slow.
    given_up: HashSet<(&'static str, Kind)>,
}

impl Comparing<'_> {
    /// Makes accounts and rosters of every server in every home, and finds out who is not there.
    fn settle(&mut self, rows: &[Row]) -> Result<(), String> {
        let mut settled: HashMap<(&str, Kind), bool> = HashMap::new();
        for row in rows {
            for case in row.cases.iter().filter(|case| case.kind != Kind::Relay) {
                let known = settled.get(&(case.home.name, case.kind)).copied();
                let there = match known {
                    Some(there) => there,
                    None => self.move_in(case.kind, &case.home)?,
                };
                settled.insert((case.home.name, case.kind), there);
                if !there {
                    self.given_up.insert((row.name, case.kind));
                }
            }
        }
        Ok(())
    }

    /// Whether a kind can be measured in a home.
    fn move_in(&mut self, kind: Kind, home: &Home) -> Result<bool, String> {
        let left_out = |why: &str| {
            let with = if home.archive { " with an archive" } else { "" };
            format!("{}{with} is left out: {why}", kind.title())
        };
        if let Some(why) = missing(kind, home.archive) {
            self.book.note(left_out(&why))?;
            return Ok(false);
        }
        if home.fresh {
            return Ok(true);
        }
        println!(
            "xtask: {} accounts for {} ({})",
            home.accounts,
            kind.title(),
            home.name
        );
        let began = Instant::now();
        let server = Server {
            site: &self.site,
            kind,
            home,
        };
        if let Err(trouble) = server.settle() {
            self.book.note(left_out(&trouble.why))?;
            return Ok(false);
        }
        println!("xtask: made within {:.0} s", began.elapsed().as_secs_f64());
        Ok(true)
    }

    /// All rounds of a row.
    fn row(&mut self, row: &Row) -> Result<(), String> {
        for round in 1..=self.options.rounds {
            for case in &row.cases {
                if !self.given_up.contains(&(row.name, case.kind)) {
                    self.turn(row, case, round)?;
                }
            }
        }
        Ok(())
    }

    /// A kind's turn in a round. Of two tries the less disturbed one counts, whatever came of it;
    /// but a failure is never outdone by another try.
    fn turn(&mut self, row: &Row, case: &Case, round: u32) -> Result<(), String> {
        let limit = Duration::from_secs(row.limit) + Duration::from_secs_f64(self.options.seconds);
        let (mut tries, mut times) = (Vec::new(), Vec::new());
        while tries.len() < TRIES {
            let began = Instant::now();
            let result = runs::measure(&self.site, row, case, limit);
            tell(row, case, round, &result);
            let again = result.as_ref().is_ok_and(Run::is_disturbed);
            tries.push(result);
            times.push(began.elapsed());
            if !again {
                break;
            }
        }
        let slow = tries
            .iter()
            .any(|result| result.as_ref().is_err_and(|trouble| trouble.slow));
        if slow && case.kind.is_peer() {
            self.given_up.insert((row.name, case.kind));
        }
        let counts = which_counts(&tries);
        for (at, (result, took)) in tries.into_iter().zip(times).enumerate() {
            self.book.add(Try {
                row,
                case,
                round,
                result,
                took,
                counts: at == counts,
            })?;
        }
        Ok(())
    }
}

/// The failure, or else the run in which others did least.
fn which_counts(tries: &[Result<Run, Trouble>]) -> usize {
    let others = |result: &Result<Run, Trouble>| result.as_ref().map_or(-1.0, Run::others);
    let numbered = tries.iter().map(others).enumerate();
    let least = numbered.min_by(|(_, a), (_, b)| a.total_cmp(b));
    least.map_or(0, |(at, _)| at)
}

/// A line for whoever waits.
fn tell(row: &Row, case: &Case, round: u32, result: &Result<Run, Trouble>) {
    let told = match result {
        Ok(run) => {
            let fields = row.measures.iter().filter_map(|measure| {
                let value = run.values.get(measure.field)?;
                Some(format!("{} {}", measure.field, short(*value)))
            });
            let disturbed = if run.is_disturbed() { "DISTURBED " } else { "" };
            disturbed.to_owned() + &fields.collect::<Vec<_>>().join(" ")
        }
        Err(trouble) => format!("FAILED: {}", trouble.why),
    };
    let variant = match case.variant {
        "" => String::new(),
        variant => format!(", {variant}"),
    };
    let (row, name) = (row.name, case.kind.name());
    println!("xtask: {row}{variant}, round {round}, {name}: {told}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::runs::Values;

    fn options(only: &[&str], kinds: &[Kind]) -> Comparison {
        Comparison {
            json: None,
            markdown: None,
            rounds: 3,
            seconds: 6.0,
            only: only.iter().map(|&name| name.to_owned()).collect(),
            kinds: kinds.to_vec(),
            no_build: true,
            dir: None,
        }
    }

    fn run_with(others: f64) -> Result<Run, Trouble> {
        Ok(Run {
            values: Values::from([("other_cores".to_owned(), others)]),
            reports: Vec::new(),
        })
    }

    #[test]
    fn rows_are_chosen_by_name_or_by_its_beginning() {
        let rows = options(&["room", "login-tls"], &[]).rows().unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names, ["login-tls", "room-plain", "room-tls"]);
        assert!(options(&["roo"], &[]).rows().is_err());
    }

    #[test]
    fn kinds_are_chosen_and_rows_without_any_are_left_out() {
        let rows = options(&[], &[Kind::Relay]).rows().unwrap();
        assert!(rows.iter().all(|row| row.cases.len() == 1));
        assert!(rows.iter().all(|row| row.name != "sessions-10x"));
        assert!(rows.iter().any(|row| row.name == "chat-loop-tls"));
    }

    #[test]
    fn every_row_has_a_name_of_its_own_and_something_to_measure() {
        let rows = options(&[], &[]).rows().unwrap();
        let names: HashSet<&str> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len());
        assert!(rows.iter().all(|row| !row.measures.is_empty()));
        assert!(
            rows.iter()
                .all(|row| row.cases.iter().any(|case| case.kind == Kind::Balcony))
        );
    }

    #[test]
    fn rows_of_one_home_share_the_larger_one() {
        let mut rows = rows::all(Scale {
            seconds: 1.0,
            descriptors: 30_000,
        });
        share_homes(&mut rows);
        let many: Vec<&Home> = rows
            .iter()
            .flat_map(|row| &row.cases)
            .map(|case| &case.home)
            .filter(|home| home.name == "many")
            .collect();
        assert_eq!(many.len(), 2);
        assert!(
            many.iter()
                .all(|home| home.contacts == 19_100 && home.accounts == 19_100)
        );
    }

    #[test]
    fn the_large_rows_need_descriptors() {
        let names = |descriptors| {
            let rows = rows::all(Scale {
                seconds: 1.0,
                descriptors,
            });
            rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
        };
        assert!(names(20_000).contains(&"idle-19000"));
        assert!(!names(19_000).contains(&"idle-19000"));
        assert!(!names(1_024).contains(&"storm"));
        let words = |descriptors| {
            let rows = rows::all(Scale {
                seconds: 1.0,
                descriptors,
            });
            let storm = rows.into_iter().find(|row| row.name == "storm").unwrap();
            storm.cases.first().unwrap().words.clone()
        };
        assert!(words(20_000).contains("--users 9000 "));
        assert!(words(1_000_000).contains("--users 10000 "));
    }

    #[test]
    fn the_less_disturbed_try_counts_but_a_failure_stays() {
        assert_eq!(which_counts(&[run_with(0.5), run_with(0.2)]), 1);
        assert_eq!(which_counts(&[run_with(0.1), run_with(0.2)]), 0);
        assert_eq!(which_counts(&[run_with(0.1), Err(Trouble::new("lost"))]), 1);
    }

    #[test]
    fn the_command_can_be_said_again() {
        let command = options(&["room"], &[Kind::Balcony, Kind::Relay]).command();
        assert_eq!(
            command,
            "cargo xtask bench --compare --rounds 3 --seconds 6 --only room --kinds balcony,relay"
        );
    }
}
