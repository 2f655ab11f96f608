//! `cargo xtask bench --instructions`: how many instructions the hot paths of the server take, held
//! against what `docs/instructions.toml` has.
//!
//! Time depends on the machine and on who else uses it; instructions nearly do not, so that a
//! check can tell five per cent. What is counted is the example `hot_paths` of the testkit, under
//! valgrind's callgrind; it says itself what counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use crate::process::{program, show, within};
use crate::repo;
use crate::setup::on_path;

/// What was counted last, and with which compilers.
const BOOK: &str = "docs/instructions.toml";

const HEAD: &str = "\
# Instructions of the hot paths, for one unit each, as `cargo xtask bench --instructions --record`
# counted them. `cargo xtask test` fails where one is more than 5 % above.
# A commit that writes this file says why a number grew.

";

/// Of cargo: optimised as what ships, but each crate by itself.
const PROFILE: &str = "counted";

/// A unit that costs more than this many per cent above what is recorded fails; one that costs as
/// much less is to be recorded, or half of what was gained could be lost again unseen.
const TOLERANCE: f64 = 5.0;

/// What is dearer than it may be is counted so often again, and the least counts: where threads of
/// the store have a part, one run of ten is up to 5 % above the others.
const AGAIN: u32 = 3;

/// How the program is counted; the names are functions of the example.
const CALLGRIND: [&str; 5] = [
    "--tool=callgrind",
    "--zero-before=*begin_counting*",
    "--dump-before=*end_counting*",
    "--toggle-collect=*off_the_record*",
    // Toggling alone would begin with nothing counted.
    "--collect-atstart=yes",
];

/// Where callgrind writes, and the first part of it, which ends where nothing more counts.
const PROFILES: &str = "callgrind.out";
const PART: &str = "callgrind.out.1";

/// The longest of them takes under half a minute; this is for a machine that is busy.
const LIMIT: Duration = Duration::from_secs(300);

/// One path, by the name that the example knows.
struct HotPath {
    name: &'static str,
    /// How often it is counted: enough that what comes once in a while comes in each run.
    times: u32,
    unit: &'static str,
}

const PATHS: [HotPath; 8] = [
    HotPath {
        name: "scan",
        times: 512,
        unit: "a message, a presence and a request through the scanner",
    },
    HotPath {
        name: "message",
        times: 512,
        unit: "a message of 100 bytes to another session",
    },
    HotPath {
        name: "message-archived",
        times: 256,
        unit: "the same, archived on both sides in SQLite and acknowledged",
    },
    HotPath {
        name: "presence",
        times: 256,
        unit: "another status for 20 contacts who are online",
    },
    HotPath {
        name: "room",
        times: 128,
        unit: "a message to a room of 100",
    },
    HotPath {
        name: "login",
        times: 128,
        unit: "SCRAM-SHA-1, binding, a roster of 20 and presence",
    },
    HotPath {
        name: "resume",
        times: 128,
        unit: "a stream that goes on, with a message again",
    },
    HotPath {
        name: "mam",
        times: 128,
        unit: "a page of 20 out of an archive of 200 in SQLite",
    },
];

#[derive(clap::Args)]
pub(crate) struct Counting {
    /// Write what was counted to docs/instructions.toml.
    #[arg(long, requires = "instructions", conflicts_with = "path")]
    record: bool,
    /// Count only this path; may be given several times.
    #[arg(long, requires = "instructions", value_name = "NAME")]
    path: Vec<String>,
    /// Count so many times and tell how far apart the results are; the least is what counts.
    #[arg(
        long,
        requires = "instructions",
        value_name = "TIMES",
        default_value_t = 1
    )]
    repeat: u32,
}

/// What came of counting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing costs more than it may.
    Held,
    /// Something does.
    Exceeded,
    /// Nothing was compared, for this reason.
    Skipped(String),
}

/// As a command: counts also where there is nothing that it could be compared with.
pub(super) fn run(counting: &Counting) -> Result<bool, String> {
    let counts = count(&chosen(&counting.path)?, counting.repeat)?;
    let here = Book::of(&counts)?;
    let book = match Book::read() {
        Err(_) if counting.record => Book::default(),
        book => book?,
    };
    let verdict = judge(&book, &here, &counts);
    if counting.record {
        fs::write(BOOK, here.to_text()).map_err(|error| format!("{BOOK}: {error}"))?;
        println!("xtask: wrote {BOOK}");
        return Ok(true);
    }
    if let Verdict::Skipped(reason) = &verdict {
        println!("xtask: instruction counts: NOT COMPARED: {reason}");
    }
    Ok(verdict != Verdict::Exceeded)
}

/// As a check: where nothing can be compared, nothing is built.
pub(crate) fn check() -> Result<Verdict, String> {
    let book = Book::read()?;
    let differs = book.differs(&Book::of(&[])?);
    if let Some(reason) = valgrind().err().or(differs) {
        println!("xtask: instruction counts: NOT COMPARED: {reason}");
        return Ok(Verdict::Skipped(reason));
    }
    let mut counts = count(&chosen(&[])?, 1)?;
    for counted in &mut counts {
        let recorded = book.counts.get(counted.path.name).copied();
        if !compared(counted.least(), recorded).1 {
            let again = count(&[counted.path], AGAIN)?;
            counted
                .runs
                .extend(again.into_iter().flat_map(|count| count.runs));
        }
    }
    Ok(judge(&book, &Book::of(&counts)?, &counts))
}

fn valgrind() -> Result<PathBuf, String> {
    on_path("valgrind").ok_or_else(|| "valgrind is not installed".to_owned())
}

/// The paths of these names, or all.
fn chosen(names: &[String]) -> Result<Vec<&'static HotPath>, String> {
    if names.is_empty() {
        return Ok(PATHS.iter().collect());
    }
    let find = |name: &String| {
        let path = PATHS.iter().find(|path| path.name == name);
        path.ok_or_else(|| {
            let known: Vec<&str> = PATHS.iter().map(|path| path.name).collect();
            format!("there is no path {name}, only {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// What one path took: instructions of a unit, in each run.
struct Count {
    path: &'static HotPath,
    runs: Vec<u64>,
}

impl Count {
    /// What disturbs a run adds to it.
    fn least(&self) -> u64 {
        self.runs.iter().copied().min().unwrap_or_default()
    }

    /// How much more the dearest run took than the cheapest, in per cent.
    fn spread(&self) -> f64 {
        let most = self.runs.iter().copied().max().unwrap_or_default();
        above(most, self.least())
    }
}

fn count(paths: &[&'static HotPath], repeat: u32) -> Result<Vec<Count>, String> {
    let valgrind = valgrind()?;
    let example = build()?;
    paths
        .iter()
        .map(|path| {
            let runs = (0..repeat.max(1)).map(|_| path.count(&valgrind, &example));
            Ok(Count {
                path,
                runs: runs.collect::<Result<_, String>>()?,
            })
        })
        .collect()
}

/// Builds the example; answers where it is.
fn build() -> Result<PathBuf, String> {
    let words = ["build", "--quiet", "--package", "balcony-testkit"];
    let mut cargo = program("cargo", words);
    cargo.args(["--example", "hot_paths", "--profile", PROFILE]);
    match show(cargo)? {
        true => Ok(repo::target().join(PROFILE).join("examples/hot_paths")),
        false => Err("the hot paths do not build".to_owned()),
    }
}

impl HotPath {
    /// Counts once. The profile stays in the scratch folder, for `callgrind_annotate`.
    fn count(&self, valgrind: &Path, example: &Path) -> Result<u64, String> {
        let folder = repo::scratch().join("instructions").join(self.name);
        let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(trouble)?;
        }
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(trouble)?;
        let profile = folder.join(PROFILES);
        let out = format!("--callgrind-out-file={}", profile.display());
        let mut command = program(&valgrind.to_string_lossy(), CALLGRIND);
        command.arg(out).arg(example).arg(self.name);
        command.arg(self.times.to_string()).arg(data);
        // Nothing of what is set on this machine reaches the program.
        command.env_clear();
        let log = folder.join("log");
        let code = within(command, LIMIT, &log)?;
        if code != Some(0) {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!(
                "{}: exit code {code:?}: {}",
                self.name,
                said.trim()
            ));
        }
        let part = folder.join(PART);
        let text = fs::read_to_string(&part).map_err(trouble)?;
        let total = total(&text).ok_or_else(|| format!("{}: no total", part.display()))?;
        Ok(total / u64::from(self.times))
    }
}

/// The sum that a profile of callgrind ends with.
fn total(profile: &str) -> Option<u64> {
    let line = profile
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: "));
    line.and_then(|total| total.trim().parse().ok())
}

/// By how many per cent a number is above another one.
#[expect(clippy::cast_precision_loss, reason = "they are far under 2^52")]
fn above(number: u64, other: u64) -> f64 {
    (number as f64 - other as f64) / other.max(1) as f64 * 100.0
}

/// The file, or what it would be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Book {
    /// What the counts depend on beside the code: name and version.
    tools: BTreeMap<String, String>,
    counts: BTreeMap<String, u64>,
}

impl Book {
    /// What was counted here.
    fn of(counts: &[Count]) -> Result<Self, String> {
        let tools = [
            ("rustc", version("rustc")?),
            // Compiles SQLite.
            ("cc", version("cc")?),
            (
                "machine",
                format!("{} {}", env::consts::ARCH, env::consts::OS),
            ),
        ];
        let counts = counts
            .iter()
            .map(|count| (count.path.name.to_owned(), count.least()));
        Ok(Self {
            tools: tools
                .map(|(tool, version)| (tool.to_owned(), version))
                .into(),
            counts: counts.collect(),
        })
    }

    fn read() -> Result<Self, String> {
        let text = fs::read_to_string(BOOK).map_err(|error| format!("{BOOK}: {error}"))?;
        Self::parse(&text).ok_or_else(|| format!("{BOOK}: not as `--record` writes it"))
    }

    fn parse(text: &str) -> Option<Self> {
        let table: toml::Table = text.parse().ok()?;
        let tools = table.get("tools")?.as_table()?.iter();
        let counts = table.get("instructions")?.as_table()?.iter();
        Some(Self {
            tools: tools
                .map(|(tool, version)| Some((tool.clone(), version.as_str()?.to_owned())))
                .collect::<Option<_>>()?,
            counts: counts
                .map(|(path, count)| Some((path.clone(), u64::try_from(count.as_integer()?).ok()?)))
                .collect::<Option<_>>()?,
        })
    }

    fn to_text(&self) -> String {
        let tools = self
            .tools
            .iter()
            .map(|(tool, version)| format!("{tool} = \"{version}\"\n"));
        let counts = self
            .counts
            .iter()
            .map(|(path, count)| format!("{path} = {count}\n"));
        let (tools, counts) = (tools.collect::<String>(), counts.collect::<String>());
        format!("{HEAD}[tools]\n{tools}\n[instructions]\n{counts}")
    }

    /// Why what was counted here cannot be compared with this; `None`: it can.
    fn differs(&self, here: &Self) -> Option<String> {
        let known = |tool: &str| self.tools.get(tool).map_or("nothing", String::as_str);
        let other = here
            .tools
            .iter()
            .find(|(tool, version)| known(tool) != *version);
        other.map(|(tool, version)| {
            format!("{BOOK} is of {tool} {}, and here is {version}", known(tool))
        })
    }
}

/// The first line of what a compiler says of itself.
fn version(compiler: &str) -> Result<String, String> {
    let output = program(compiler, ["--version"])
        .output()
        .map_err(|error| format!("{compiler}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .next()
        .unwrap_or_default()
        .replace(['"', '\\'], ""))
}

/// Prints the counts beside what is recorded.
fn judge(book: &Book, here: &Book, counts: &[Count]) -> Verdict {
    let mut verdict = Verdict::Held;
    for count in counts {
        let (name, number) = (count.path.name, count.least());
        let (line, held) = compared(number, book.counts.get(name).copied());
        if !held {
            verdict = Verdict::Exceeded;
        }
        print!("{name:<17}{number:>9} instructions {line:<40}");
        if count.runs.len() > 1 {
            print!(
                " spread {:.2} % of {} runs",
                count.spread(),
                count.runs.len()
            );
        }
        println!(" {}", count.path.unit);
    }
    let folder = repo::scratch().join("instructions");
    println!(
        "xtask: where they go: callgrind_annotate --inclusive=yes {}/NAME/{PART}",
        folder.display()
    );
    match book.differs(here) {
        Some(reason) => Verdict::Skipped(reason),
        None => verdict,
    }
}

/// In words, and whether it may be so.
fn compared(number: u64, recorded: Option<u64>) -> (String, bool) {
    let Some(recorded) = recorded else {
        return ("not recorded: --record".to_owned(), false);
    };
    let change = above(number, recorded);
    let change_in_words = format!("{change:+.1} % of {recorded}");
    if change > TOLERANCE {
        (format!("{change_in_words}: TOO MANY"), false)
    } else if change < -TOLERANCE {
        (format!("{change_in_words}: --record them"), true)
    } else {
        (change_in_words, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_profile_is_found() {
        let profile = "events: Ir\nsummary: 33022272\n\nfn=(1) f\n3 4\n\ntotals: 29482619\n";
        assert_eq!(total(profile), Some(29_482_619));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn five_per_cent_more_is_too_many_and_less_is_to_be_recorded() {
        assert!(compared(10_500, Some(10_000)).1);
        assert!(!compared(10_501, Some(10_000)).1);
        assert_eq!(
            compared(9_400, Some(10_000)),
            ("-6.0 % of 10000: --record them".to_owned(), true)
        );
        assert!(!compared(10_000, None).1);
    }

    #[test]
    fn the_file_has_every_path_and_no_other() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let book = Book::parse(&fs::read_to_string(root.join(BOOK)).unwrap()).unwrap();
        let mut paths = PATHS.map(|path| path.name);
        paths.sort_unstable();
        assert!(book.counts.keys().eq(&paths));
    }

    fn count(runs: &[u64]) -> Count {
        Count {
            path: &PATHS[0],
            runs: runs.to_vec(),
        }
    }

    #[test]
    fn the_least_of_several_runs_counts() {
        let count = count(&[1020, 1000, 1010]);
        assert_eq!(count.least(), 1000);
        assert!((count.spread() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_file_is_read_back() {
        let book = Book::of(&[count(&[1000])]).unwrap();
        assert_eq!(Book::parse(&book.to_text()).unwrap(), book);
        assert!(Book::parse("[tools]\n").is_none());
    }

    #[test]
    fn counts_of_another_compiler_are_not_compared() {
        let here = Book::of(&[]).unwrap();
        let mut book = Book::of(&[count(&[1])]).unwrap();
        assert_eq!(book.differs(&here), None);
        book.tools
            .insert("rustc".to_owned(), "rustc 1.0.0".to_owned());
        let verdict = judge(&book, &here, &[count(&[1000])]);
        assert!(matches!(verdict, Verdict::Skipped(reason) if reason.contains("rustc 1.0.0")));
    }
}
