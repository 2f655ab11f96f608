//! The server of a run, in virtual time, with everything that runs as a task in a seeded order.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use balcony_cluster::Local;
use balcony_core::config::Config;
use balcony_core::module::Event;
use balcony_core::{Clock, Core, Parts, Session};
use balcony_modules::MODULES;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_server::{Instance, c2s, system_random};
use balcony_store::{Error, MemoryStore, Store};
use balcony_stream::Security;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::client::{Client, Errand, Wish};
use super::facts::Left;
use super::fault::Fault;
use super::line::{self, Login};
use super::plan::Way;
use crate::crash::Seeded;
use crate::memory;
use crate::server::START_MICROS;

/// How long the server holds a session whose client was cut off.
pub(super) const HELD: Duration = Duration::from_secs(60);

const CONFIG: &str = "[tls]\nrequired = false\n[limits]\nresume = \"60s\"\n";

/// A server, its store, and the order of its tasks.
pub(super) struct World {
    pub(super) instance: Arc<Instance>,
    pub(super) store: Arc<MemoryStore>,
    /// What is wrong with what the server says.
    fault: Option<Fault>,
    chance: Arc<Mutex<Seeded>>,
    clock: JoinHandle<()>,
    /// Of the run: it goes on while the server is started again.
    time: Clock,
    /// Of the server, while they live.
    connections: Vec<JoinHandle<()>>,
    sessions: Vec<Weak<Session>>,
    /// Bugs in processes that are gone.
    panics: u64,
    /// Tasks of processes that are gone: what waits for a client there waits for ever.
    orphans: usize,
}

impl World {
    pub(super) async fn start(seed: u64, fault: Option<Fault>) -> Result<World, String> {
        let store = Arc::new(MemoryStore::new());
        let time = Clock::virtual_at(START_MICROS);
        let instance = instance(&store, &time).await?;
        Ok(World {
            clock: tokio::spawn(tick(Arc::clone(&instance))),
            instance,
            store,
            fault,
            chance: Arc::new(Mutex::new(Seeded::new(seed).part(2))),
            time,
            connections: Vec::new(),
            sessions: Vec::new(),
            panics: 0,
            orphans: 0,
        })
    }

    /// Time since the run began.
    pub(super) fn now(&self) -> Duration {
        self.time.uptime()
    }

    /// Waits until it is so late.
    pub(super) async fn until(&self, moment: Duration) {
        tokio::time::sleep(moment.saturating_sub(self.now())).await;
    }

    fn core(&self) -> &Arc<Core> {
        &self.instance.core
    }

    /// Opens a connection of a client; answers its number.
    pub(super) fn connect(
        &mut self,
        client: &Arc<Mutex<Client>>,
        way: Way,
        id: Option<&str>,
        errand: Errand,
        wish: Option<Wish>,
    ) -> usize {
        let (link, end) = memory::connection(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let security = match way {
            Way::Plain => Security::Plain,
            Way::Inline => Security::DirectTls,
        };
        let instance = Arc::clone(&self.instance);
        let served = async move {
            c2s::serve(instance, Arc::clone(&link), security).await;
            link.hang_up();
        };
        self.connections.push(tokio::spawn(self.shuffled(served)));
        let end = Arc::new(end);
        let account = client.lock().account.clone();
        let jid = account.clone();
        let login = Login {
            account,
            way,
            client: id.map(str::to_owned),
            fault: self.fault,
            resume: wish.as_ref().map(|wish| wish.to_resume(jid)),
        };
        let line = client.lock().open(Arc::clone(&end), errand, wish);
        let run = line::run(Arc::clone(client), line, end, login);
        tokio::spawn(self.shuffled(run));
        line
    }

    fn shuffled<F: Future>(&self, task: F) -> Shuffled<F> {
        Shuffled::new(task, &self.chance)
    }

    /// Notes the sessions that are there, to look later whether they went.
    pub(super) fn look(&mut self) {
        let mut found = Vec::new();
        self.core()
            .sessions()
            .each(|session| found.push(Arc::downgrade(session)));
        self.sessions.extend(found);
    }

    /// The disk works again, and all that waited for it is done.
    pub(super) fn heal(&self) {
        self.store.fail_commits(None);
        self.store.release_commits();
    }

    pub(super) fn fail(&self) {
        self.store.fail_commits(Some(Error::Full));
    }

    pub(super) fn kick(&self, client: &Client) {
        self.core()
            .end_sessions(&client.account, StreamCondition::NotAuthorized);
    }

    /// An orderly stop and another start, as `Process` makes them.
    pub(super) async fn restart(&mut self) -> Result<(), String> {
        self.heal();
        self.look();
        self.instance.stop();
        for session in in_order(self.core()) {
            session.interrupt(StreamError::new(StreamCondition::SystemShutdown));
        }
        let connections = std::mem::take(&mut self.connections);
        let all = async {
            for connection in connections {
                // A bug in one of them is counted.
                let _ = connection.await;
            }
        };
        let ended = tokio::time::timeout(HELD, all).await;
        ended.map_err(|_| "some connections do not end when the server stops")?;
        self.core().keep_sessions().await;
        self.panics += self.instance.panics();
        self.clock.abort();
        self.sessions.clear();
        // All connections are closed, on both sides.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.orphans = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        self.instance = instance(&self.store, &self.time).await?;
        let restored = self.core().restore_sessions().await;
        restored.map_err(|error| error.to_string())?;
        self.clock = tokio::spawn(tick(Arc::clone(&self.instance)));
        Ok(())
    }

    /// What is left when all are gone. The clock is stopped.
    pub(super) async fn left(&mut self) -> Left {
        self.clock.abort();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let held = self.sessions.iter().filter(|one| one.strong_count() > 0);
        Left {
            sessions: self.core().sessions().count(),
            held: held.count(),
            strangers: self.instance.strangers(),
            tasks: tasks.saturating_sub(self.orphans),
            panics: self.panics + self.instance.panics(),
        }
    }
}

/// All sessions in the order in which they were bound. The table has them in an order that its
/// hasher makes, which is another in each process.
fn in_order(core: &Core) -> Vec<Arc<Session>> {
    let mut sessions = Vec::new();
    core.sessions()
        .each(|session| sessions.push(Arc::clone(session)));
    sessions.sort_by_key(|session| session.id());
    sessions
}

async fn instance(store: &Arc<MemoryStore>, time: &Clock) -> Result<Arc<Instance>, String> {
    let sections: Vec<_> = MODULES
        .iter()
        .flat_map(|module| module.config.iter().copied())
        .collect();
    let config = Config::parse(CONFIG, None, &sections);
    let config = config.map_err(|problems| format!("{problems:?}"))?;
    let parts = Parts {
        config,
        store: Arc::clone(store) as Arc<dyn Store>,
        cluster: Arc::new(Local::alone()),
        remote: Arc::new(balcony_core::remote::Nowhere),
        clock: Clock::virtual_at(time.utc_micros()),
        modules: MODULES,
    };
    let core = Core::new(parts).await.map_err(|error| error.to_string())?;
    Ok(Instance::new(core, system_random()?))
}

/// The second hand of the server, as its process has one.
async fn tick(instance: Arc<Instance>) {
    let core = &instance.core;
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        core.clock().tick();
        // As `Core::ask_all` does.
        in_order(core).iter().for_each(|one| one.ask_at_last());
        drop(core.note_delivered());
        if let Some(pending) = core.fire(Event::Tick) {
            pending.await;
        }
    }
}

/// A task that sometimes lets the others go first, as its seed says.
pub(crate) struct Shuffled<F: Future> {
    task: Pin<Box<F>>,
    chance: Arc<Mutex<Seeded>>,
}

impl<F: Future> Shuffled<F> {
    pub(crate) fn new(task: F, chance: &Arc<Mutex<Seeded>>) -> Self {
        Self {
            task: Box::pin(task),
            chance: Arc::clone(chance),
        }
    }
}

impl<F: Future> Future for Shuffled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.chance.lock().percent(30) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.task.as_mut().poll(context)
    }
}
