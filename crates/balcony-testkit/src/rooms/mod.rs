//! The life of rooms (XEP-0045) in races that a seed repeats: they are made, changed, let go of,
//! loaded, ended and left to others at the same time, in one process and in virtual time, over a
//! store whose commits and reads take as long as the seed says.
//!
//! [`Plan`] is the schedule that a seed makes, [`run`] plays it against the real server, and
//! `check` judges what is there when all is quiet.

mod check;
mod client;
pub mod plan;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_server::c2s;
use balcony_stream::Security;
use parking_lot::Mutex;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::crash::Seeded;
use crate::memory;
use crate::server::TestServer;
use crate::sim::{PASSWORD, Shuffled};
use client::Client;
use plan::{Act, PEOPLE, Plan, ROOMS, Step};

/// All that is caused has happened by then; also what a server does each second.
const QUIET: Duration = Duration::from_secs(20);

/// Whoever runs the host follows an owner whose account is deleted, so that each room has one.
const CONFIG: &str = "[tls]\nrequired = false\n\
                      [[host]]\nname = \"localhost\"\nadmins = [\"romeo@localhost\"]\n";

/// The address of a room, by its place among [`ROOMS`].
fn address(room: usize) -> String {
    let room = ROOMS.get(room).copied().unwrap_or_default();
    format!("{room}@conference.localhost")
}

/// All that was said, in its order.
#[derive(Debug, Default)]
struct Journal(Mutex<Vec<String>>);

impl Journal {
    /// Answers the place of the line.
    fn note(&self, line: String) -> usize {
        let mut lines = self.0.lock();
        lines.push(line);
        lines.len()
    }
}

/// A run and what is wrong with it.
#[derive(Debug)]
pub struct Outcome {
    /// What was to happen.
    pub plan: Plan,
    /// What is wrong.
    pub violations: Vec<String>,
    journal: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.plan)?;
        for line in self.journal.iter().chain(&self.violations) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// Plays the schedule of a seed.
///
/// # Errors
/// Why there is no server to play against.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    let plan = Plan::new(seed);
    runtime.block_on(play(plan))
}

struct World {
    server: TestServer,
    chance: Arc<Mutex<Seeded>>,
    clients: Vec<Arc<Mutex<Client>>>,
    journal: Arc<Journal>,
}

async fn play(plan: Plan) -> Result<Outcome, String> {
    let world = World::start(plan.seed).await?;
    world.set_the_stage().await;
    world.race(&plan).await?;
    let violations = check::check(&world).await?;
    let journal = std::mem::take(&mut *world.journal.0.lock());
    Ok(Outcome {
        plan,
        violations,
        journal,
    })
}

impl World {
    async fn start(seed: u64) -> Result<World, String> {
        let mut world = World {
            server: TestServer::start(CONFIG).await?,
            chance: Arc::new(Mutex::new(Seeded::new(seed).part(2))),
            clients: Vec::new(),
            journal: Arc::default(),
        };
        for name in PEOPLE {
            let client = world.connect(name).await?;
            world.clients.push(client);
        }
        Ok(world)
    }

    async fn connect(&self, name: &'static str) -> Result<Arc<Mutex<Client>>, String> {
        let account = Jid::parse(&format!("{name}@localhost"));
        let account = account.map_err(|error| error.to_string())?;
        self.server.add_account(&account, PASSWORD).await?;
        let (link, end) = memory::connection(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let instance = Arc::clone(&self.server.instance);
        let served = async move {
            c2s::serve(instance, Arc::clone(&link), Security::Plain).await;
            link.hang_up();
        };
        tokio::spawn(Shuffled::new(served, &self.chance));
        let reader = client::log_in(&end, account, "home").await?;
        let end = Arc::new(end);
        let client = Arc::new(Mutex::new(Client {
            name,
            end: Some(Arc::clone(&end)),
            ..Client::default()
        }));
        let journal = Arc::clone(&self.journal);
        let read = client::read(Arc::clone(&client), end, reader, journal);
        tokio::spawn(Shuffled::new(read, &self.chance));
        Ok(client)
    }

    /// Both rooms are there, and last; three own them. One is in the first, and nobody in the
    /// other, which is loaded whenever somebody wants something of it.
    async fn set_the_stage(&self) {
        let Some(first) = self.clients.first() else {
            return;
        };
        for room in 0..ROOMS.len() {
            let owns = [1, 2].map(|who| Act::Affiliate(who, "owner"));
            let acts = [Act::Enter, Act::Describe(0, true)].into_iter().chain(owns);
            for act in acts {
                first.lock().act(room, act, &self.journal);
                sleep(Duration::from_millis(5)).await;
            }
        }
        first.lock().act(1, Act::Leave, &self.journal);
        sleep(Duration::from_millis(5)).await;
    }

    async fn race(&self, plan: &Plan) -> Result<(), String> {
        let store = &self.server.store;
        let mut chance = self.chance.lock().part(3);
        store.delay_reads(move || {
            // Most are short; some last while others do much.
            let (turns, pause) = match chance.percent(20) {
                true => (0, chance.between(1, 6)),
                false => (chance.below(4), 0),
            };
            Box::pin(wait(turns, pause))
        });
        store.hold_commits();
        let disk = tokio::spawn(disk(Arc::clone(store), self.chance.lock().part(4)));
        let acts = self.clients.iter().zip(&plan.steps).map(|(client, steps)| {
            let (client, steps) = (Arc::clone(client), steps.clone());
            let acting = act(client, steps, Arc::clone(&self.journal));
            tokio::spawn(Shuffled::new(acting, &self.chance))
        });
        let acts: Vec<_> = acts.collect();
        if let Some(moment) = plan.deleted {
            sleep(Duration::from_millis(moment)).await;
            self.delete_last().await?;
        }
        for act in acts {
            act.await.map_err(|error| error.to_string())?;
        }
        sleep(QUIET).await;
        disk.abort();
        store.release_commits();
        sleep(QUIET).await;
        Ok(())
    }

    async fn delete_last(&self) -> Result<(), String> {
        let Some(last) = self.clients.last() else {
            return Ok(());
        };
        let account = format!("{}@localhost", last.lock().name);
        let account = Jid::parse(&account).map_err(|error| error.to_string())?;
        self.journal.note(format!("{account} is deleted"));
        let core = &self.server.instance.core;
        let deleted = core.delete_account(&account).await;
        deleted.map_err(|error| error.to_string())
    }
}

/// Lets so many milliseconds pass, and others go first so many times.
async fn wait(turns: u64, pause: u64) {
    if pause > 0 {
        sleep(Duration::from_millis(pause)).await;
    }
    for _ in 0..turns {
        yield_now().await;
    }
}

/// Commits one thing after the other, each after a while.
async fn disk(store: Arc<balcony_store::MemoryStore>, mut chance: Seeded) {
    loop {
        match chance.percent(10) {
            true => sleep(Duration::from_millis(1)).await,
            false => yield_now().await,
        }
        if chance.percent(50) && !store.release_one() {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn act(client: Arc<Mutex<Client>>, steps: Vec<Step>, journal: Arc<Journal>) {
    for step in steps {
        wait(step.turns, step.pause).await;
        let mut client = client.lock();
        if client.quit {
            return;
        }
        client.act(step.room, step.act, &journal);
    }
}
