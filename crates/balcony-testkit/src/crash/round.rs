//! A round: a new server with new accounts, some crashes under load, and the reckoning.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::check::{Violation, check};
use super::device::{Device, Remains};
use super::journal::Journal;
use super::observed::{AccountFacts, Fate, Observed};
use super::seeded::Seeded;
use super::world::{HOST, Load, PASSWORD, Phase, Place, World, user};
use crate::power::{Cut, Power};
use crate::run::{Balcony, Launch};

/// An orderly stop that takes longer is ended.
const STOP: Duration = Duration::from_secs(30);

/// What a round is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's binary.
    pub binary: PathBuf,
    /// How many accounts there are. Every third has two devices.
    pub accounts: usize,
    /// How often the server goes down.
    pub crashes: u32,
    /// Every crash is a power cut.
    pub power_cut: bool,
    /// Milliseconds between two deeds of a device, on average.
    pub pause: u64,
    /// How long the clients may take for one phase of the end.
    pub patience: Duration,
    /// A server with a fault, which must be found. `None`: the binary itself.
    pub mutant: Option<Mutant>,
}

/// A fault that the tests must be able to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Commits are not synced.
    SyncOff,
    /// Stanzas are acknowledged before their commit.
    EagerAcks,
}

/// What came of a round.
#[derive(Debug)]
pub struct Outcome {
    /// All that is wrong.
    pub violations: Vec<Violation>,
    /// Messages that were acknowledged: a round without any proves nothing.
    pub acknowledged: usize,
    /// What was done to the server.
    pub events: Vec<String>,
    /// All that the server logged.
    pub log: String,
    journals: Vec<Journal>,
}

impl Mutant {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mutant::SyncOff => "sync-off",
            Mutant::EagerAcks => "eager-acks",
        }
    }

    /// By its name.
    ///
    /// # Errors
    /// Nothing has this name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let known = [Mutant::SyncOff, Mutant::EagerAcks];
        let found = known.into_iter().find(|mutant| mutant.name() == name);
        found.ok_or_else(|| "there are: sync-off, eager-acks".to_owned())
    }
}

/// Plays a round.
///
/// # Errors
/// Why it could not be played: the server did not start, or the shim did not compile.
pub fn round(options: &Options, seed: u64) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    Round::start(options, seed, &runtime)?.play()
}

struct Round<'a> {
    options: &'a Options,
    runtime: &'a Runtime,
    random: Seeded,
    server: Balcony,
    power: Option<Power>,
    place: watch::Sender<Place>,
    phase: watch::Sender<Phase>,
    through: mpsc::UnboundedReceiver<(usize, Phase)>,
    devices: Vec<JoinHandle<Remains>>,
    events: Vec<String>,
    begun: Instant,
}

/// Which account each device belongs to: every third account has two.
fn devices(accounts: usize) -> Vec<usize> {
    let second = |account: &usize| account % 3 == 2;
    (0..accounts).chain((0..accounts).filter(second)).collect()
}

/// Nothing holds the load back.
const CONFIG: &str = "[tls]\nrequired = false\n[auth]\niterations = 4096\n\
    [limits]\nconnects_per_address = 100000\nconnect_burst_per_address = 100000\n";

impl<'a> Round<'a> {
    fn start(options: &'a Options, seed: u64, runtime: &'a Runtime) -> Result<Self, String> {
        let random = Seeded::new(seed);
        let (mut server, mut power) = server(options)?;
        for account in 0..options.accounts {
            server.add_account(&format!("{}@{HOST}", user(account)), PASSWORD)?;
        }
        if let Some(power) = &mut power {
            // A mutant must not lose the accounts: nobody could tell then what else it lost.
            server.stop()?;
            power.begin()?;
            server.relaunch()?;
        }
        let (place, place_seen) = watch::channel(place(&server));
        let (phase, phase_seen) = watch::channel(Phase::Load);
        let (through_sender, through) = mpsc::unbounded_channel();
        let accounts = devices(options.accounts);
        let _within = runtime.enter();
        let begun = Instant::now();
        let world = Arc::new(World {
            bound: Mutex::new(vec![None; accounts.len()]),
            load: Load {
                accounts: accounts.clone(),
                pause: options.pause,
                tls: true,
            },
            seed: random.clone(),
            begun,
            place: place_seen,
            phase: phase_seen,
            through: through_sender,
        });
        let devices = accounts.iter().enumerate().map(|(number, account)| {
            let device = Device::new(number, *account, Arc::clone(&world));
            runtime.spawn(device.run())
        });
        Ok(Self {
            options,
            runtime,
            random: random.part(0),
            server,
            power,
            place,
            phase,
            through,
            devices: devices.collect(),
            events: Vec::new(),
            begun,
        })
    }

    fn play(mut self) -> Result<Outcome, String> {
        for _ in 0..self.options.crashes {
            let load = self.random.between(300, 1_000);
            self.wait(load);
            self.crash()?;
            if let Err(why) = self.server.relaunch() {
                self.phase.send_replace(Phase::GiveUp);
                let mut outcome = self.reckon(&[]);
                outcome.violations = vec![Violation::down(why)];
                return Ok(outcome);
            }
            self.say("started".to_owned());
            self.place.send_replace(place(&self.server));
        }
        self.wait(300);
        let phases = [Phase::Settle, Phase::LastWords, Phase::CatchUp, Phase::Read];
        let mut stuck = Vec::new();
        for phase in phases {
            if stuck.is_empty() {
                stuck = self.until_all_are_through(phase);
            }
        }
        let end = if stuck.is_empty() {
            Phase::End
        } else {
            Phase::GiveUp
        };
        self.phase.send_replace(end);
        Ok(self.reckon(&stuck))
    }

    fn wait(&self, millis: u64) {
        let wait = async { tokio::time::sleep(Duration::from_millis(millis)).await };
        self.runtime.block_on(wait);
    }

    fn say(&mut self, event: String) {
        let at = self.begun.elapsed().as_secs_f64();
        self.events.push(format!("{at:>9.3} {event}"));
    }

    /// The server goes down in one way or another.
    fn crash(&mut self) -> Result<(), String> {
        let in_order = self.options.power_cut || self.random.percent(70);
        if self.power.is_some() && self.options.power_cut {
            self.server.kill();
            let mut random = self.random.clone();
            let power = self.power.as_mut().ok_or("there is no shim")?;
            let Cut {
                unsynced,
                lost,
                torn,
            } = power.cut(&mut random)?;
            self.random = random;
            self.say(format!(
                "power cut: {unsynced} changes not synced, {lost} lost, {torn} torn"
            ));
        } else if in_order {
            self.server.kill();
            self.say("killed".to_owned());
        } else {
            self.server.signal("TERM")?;
            if self.random.percent(30) {
                let millis = self.random.between(1, 60);
                self.wait(millis);
                self.server.kill();
                self.say(format!("told to stop, and killed {millis} ms later"));
            } else {
                let stopped = self.server.wait(STOP);
                self.say(format!("stopped in order: {stopped}"));
            }
        }
        Ok(())
    }

    /// Those who did not get through.
    fn until_all_are_through(&mut self, phase: Phase) -> Vec<usize> {
        self.say(format!("{phase:?}"));
        self.phase.send_replace(phase);
        let mut missing: Vec<usize> = (0..self.devices.len()).collect();
        let through = &mut self.through;
        let patience = self.options.patience;
        let all = async {
            while !missing.is_empty() {
                let Some((device, of)) = through.recv().await else {
                    return;
                };
                if of == phase {
                    missing.retain(|other| *other != device);
                }
            }
        };
        let _ = self
            .runtime
            .block_on(async { tokio::time::timeout(patience, all).await });
        missing
    }

    fn reckon(mut self, stuck: &[usize]) -> Outcome {
        let mut observed = Observed::default();
        observed
            .accounts
            .resize_with(self.options.accounts, AccountFacts::default);
        let mut journals = Vec::new();
        for device in std::mem::take(&mut self.devices) {
            let Ok(remains) = self.runtime.block_on(device) else {
                continue;
            };
            let account = observed.accounts.get_mut(remains.facts.account);
            if let Some(account) = account.filter(|account| account.forward.is_empty()) {
                *account = remains.read;
            }
            observed.devices.push(remains.facts);
            journals.push(remains.journal);
        }
        let sent = observed.devices.iter().flat_map(|device| &device.sent);
        let acknowledged = sent.filter(|sent| sent.fate == Fate::Acknowledged).count();
        // Who is stuck has not read its archive, and then everything would be missing.
        let mut violations = match stuck.is_empty() {
            true => check(&observed),
            false => Vec::new(),
        };
        violations.extend(stuck.iter().map(|device| Violation::stuck(*device)));
        Outcome {
            violations,
            acknowledged,
            events: self.events,
            log: self.server.log(),
            journals,
        }
    }
}

fn place(server: &Balcony) -> Place {
    Place {
        plain: server.plain,
        direct: server.direct,
    }
}

fn server(options: &Options) -> Result<(Balcony, Option<Power>), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut launch = Launch::of(&options.binary);
    if let Some(mutant) = options.mutant {
        launch.program = subject(&options.binary)?;
        launch.words = vec!["--mutant".to_owned(), mutant.name().to_owned()];
    }
    let mut power = None;
    if options.power_cut {
        let mut shim = Power::over(&folder.path().join("data"))?;
        launch.environment = shim.environment();
        shim.begin()?;
        power = Some(shim);
    }
    Ok((Balcony::launch_in(folder, launch, CONFIG)?, power))
}

/// The program with the mutants, beside the binary.
fn subject(binary: &Path) -> Result<PathBuf, String> {
    let subject = binary.with_file_name("crash_subject");
    match subject.is_file() {
        true => Ok(subject),
        false => Err(format!("there is no {}", subject.display())),
    }
}

impl Outcome {
    /// Writes everything that went over the streams into a folder: a file for each device.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn keep_journals(&self, folder: &Path) -> Result<(), String> {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        for (device, journal) in self.journals.iter().enumerate() {
            let lines: Vec<String> = journal.lines().collect();
            let file = folder.join(format!("device{device}"));
            fs::write(file, lines.join("\n")).map_err(|error| error.to_string())?;
        }
        fs::write(folder.join("server.log"), &self.log).map_err(|error| error.to_string())
    }

    /// How many violations there are of each promise.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for violation in &self.violations {
            *counts
                .entry(format!("{:?}", violation.promise))
                .or_default() += 1;
        }
        counts
    }

    /// What the server logged that is a warning or worse, the first of it.
    fn warnings(&self) -> impl Iterator<Item = &str> {
        /// As much as a person reads.
        const FIRST: usize = 20;
        let bad = |line: &&str| {
            ["WARN", "ERROR", "panicked"]
                .iter()
                .any(|w| line.contains(w))
        };
        self.log.lines().filter(bad).take(FIRST)
    }

    /// What went over the streams of who is concerned by a violation.
    #[must_use]
    pub fn tails(&self, violation: &Violation) -> Vec<String> {
        /// Lines of one stream: what a person reads.
        const LINES: usize = 30;
        let about = violation.message.map(|id| id.body()).unwrap_or_default();
        let sender = violation.message.map(|id| id.sender);
        let mut concerned: Vec<usize> = sender.into_iter().chain(violation.device).collect();
        concerned.dedup();
        let mut lines = Vec::new();
        for device in concerned {
            let Some(journal) = self.journals.get(device) else {
                continue;
            };
            lines.push(format!("  device {device}:"));
            let tail = journal.tail(&about, LINES);
            lines.extend(tail.into_iter().map(|line| format!("    {line}")));
        }
        lines
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Violations shown with their streams: the first ones explain the others.
        const SHOWN: usize = 3;
        /// Violations that are told at all.
        const LISTED: usize = 20;
        writeln!(f, "{} messages were acknowledged", self.acknowledged)?;
        self.events
            .iter()
            .try_for_each(|event| writeln!(f, "  {event}"))?;
        for (promise, count) in self.counts() {
            writeln!(f, "{count} times broken: {promise}")?;
        }
        for (number, violation) in self.violations.iter().enumerate().take(LISTED) {
            writeln!(f, "{violation}")?;
            if number < SHOWN {
                let tails = self.tails(violation);
                tails.iter().try_for_each(|line| writeln!(f, "{line}"))?;
            }
        }
        self.warnings().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
