//! What a session costs inside the process, without its socket: memory of many that are idle as
//! phones are, and the time of a message among them.
//! `cargo run --release -p balcony-testkit --example sessions_without_sockets -- 1000000`
//!
//! Each has a roster of 20 contacts (another number may follow the first), who are its neighbours
//! and see its presence; it has asked for its roster, counts stanzas (XEP-0198) and may be resumed,
//! is available, and says then that nobody looks at it (XEP-0352), so that the presence of whoever
//! comes later waits. The store keeps all in memory and is not counted.

#![allow(clippy::indexing_slicing, clippy::panic)] // a measurement, run by hand

use std::sync::Arc;
use std::time::{Duration, Instant};

use balcony_cluster::Local;
use balcony_core::config::Config;
use balcony_core::{Clock, Core, Outgoing, Parts, Session, Wake};
use balcony_modules::MODULES;
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, MessageType, PresenceType, Stanza};
use balcony_proto::xml::Element;
use balcony_store::{MemoryStore, RosterItem, Store, StreamId, Subscription, Write, WriteSet};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Nowhere;

impl Wake for Nowhere {
    fn wake(&self) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let number = |at: usize, default: usize| {
        let argument = std::env::args().nth(at);
        argument.map_or(Ok(default), |text| text.parse())
    };
    let (count, contacts) = (number(1, 500_000)?, number(2, 20)?);
    let core = server(count, contacts).await?;
    let empty = resident();
    let mut sessions = Vec::with_capacity(count);
    for user in 0..100 {
        sessions.push(idle(&core, user).await?);
    }
    micros_per_message(&core, &mut sessions).await?;
    let few = micros_per_message(&core, &mut sessions).await?;
    for user in 100..count {
        sessions.push(idle(&core, user).await?);
    }
    // Whoever empties the offline queues has looked by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let each = resident().saturating_sub(empty) / count as u64;
    println!("{count} idle sessions with {contacts} contacts: {each} bytes each");
    // The first message to each also brings what waits for it, and looks for devices to notify.
    micros_per_message(&core, &mut sessions).await?;
    let many = micros_per_message(&core, &mut sessions).await?;
    println!("a message among 100 sessions: {few:.2} µs, among {count}: {many:.2} µs");
    Ok(())
}

async fn server(accounts: usize, contacts: usize) -> Result<Arc<Core>> {
    let store = MemoryStore::new();
    for user in 0..accounts {
        let mut set = WriteSet::from(Write::CreateAccount {
            host: "localhost".into(),
            user: format!("user{user}"),
            created: 0,
            keys: Vec::new(),
        });
        for contact in neighbours(user, accounts, contacts) {
            set.push(friend(user, contact));
        }
        store.commit(set).await?;
    }
    // What is measured is not the store, so nothing is kept in it.
    let text = "[archive]\ndefault = \"never\"\n";
    let sections = MODULES
        .iter()
        .flat_map(|module| module.config.iter().copied());
    let config = Config::parse(text, None, &sections.collect::<Vec<_>>());
    let config = config.map_err(|problems| format!("{problems:?}"))?;
    let parts = Parts {
        config,
        store: Arc::new(store),
        cluster: Arc::new(Local::alone()),
        remote: Arc::new(balcony_core::remote::Nowhere),
        clock: Clock::system(),
        modules: MODULES,
    };
    Ok(Core::new(parts).await?)
}

/// The nearest in a ring of all, half of them on each side.
fn neighbours(user: usize, accounts: usize, contacts: usize) -> impl Iterator<Item = usize> {
    let half = (contacts / 2).min(accounts.saturating_sub(1) / 2);
    let sides = (1..=half).flat_map(move |step| [user + step, user + accounts - step]);
    sides.map(move |contact| contact % accounts)
}

fn friend(user: usize, contact: usize) -> Write {
    Write::RosterSet {
        account: bare(user),
        item: RosterItem {
            jid: bare(contact),
            name: None,
            groups: Vec::new(),
            subscription: Subscription::Both,
            ask: false,
            approved: false,
            version: 0,
        },
        base: None,
        max_items: u32::MAX,
    }
}

fn bare(user: usize) -> String {
    format!("user{user}@localhost")
}

/// A client that reads what it is sent, and says so.
struct Client {
    session: Arc<Session>,
    /// Stanzas that it has got.
    got: u32,
}

impl Client {
    fn read(&mut self) -> Result<()> {
        let drained = self.session.drain(usize::MAX).items.into_iter();
        let stanza = |outgoing: &Outgoing| matches!(outgoing, Outgoing::Stanza(_));
        self.got += drained.filter(stanza).map(|_| 1).sum::<u32>();
        let taken = self.session.acknowledge(self.got);
        taken.map(drop).map_err(|high| format!("{high:?}").into())
    }
}

/// The session of a client that has done all that clients do, and is in a pocket.
async fn idle(core: &Arc<Core>, user: usize) -> Result<Client> {
    let account = Jid::parse(&bare(user))?;
    let bound = core.bind(&account, Some("balcony"), Arc::new(Nowhere));
    let session = bound.map_err(|error| format!("{error:?}"))?;
    let mut id = StreamId([0; 16]);
    id.0[..8].copy_from_slice(&user.to_le_bytes());
    session.count(Box::default(), Some((id, Duration::from_secs(600))));
    let roster = Stanza::iq(IqType::Get, "roster")
        .with_from(session.jid().clone())
        .with_element(Element::new(ns::ROSTER, "query"));
    let presence = Stanza::presence(PresenceType::Available).with_from(session.jid().clone());
    for stanza in [roster, presence] {
        if let Some(pending) = core.accept_one(&session, stanza) {
            pending.await;
        }
    }
    let mut client = Client { session, got: 0 };
    // Whoever looks for what waits, or answers, may do so in a task of its own.
    for _ in 0..8 {
        tokio::task::yield_now().await;
        client.read()?;
    }
    client.session.set_active(false);
    Ok(client)
}

/// Mean over messages between neighbours spread over all sessions.
async fn micros_per_message(core: &Arc<Core>, clients: &mut [Client]) -> Result<f64> {
    const MESSAGES: usize = 200_000;
    let body = Element::new(ns::CLIENT, "body").with_text("Wherefore art thou?");
    let mut waited = 0;
    let began = Instant::now();
    for n in 0..MESSAGES {
        // A stride that is no divisor, so that each message finds other cache lines.
        let from = Arc::clone(&clients[(n * 7_919) % clients.len()].session);
        let to = (n * 7_919 + 1) % clients.len();
        let message = Stanza::message(MessageType::Chat)
            .with_from(from.jid().clone())
            .with_to(clients[to].session.jid().clone())
            .with_element(body.clone());
        waited += usize::from(core.accept_one(&from, message).is_some());
        clients[to].read()?;
        // Whoever is asked for the first time for devices to notify is looked up.
        tokio::task::yield_now().await;
    }
    let elapsed = began.elapsed();
    assert_eq!(waited, 0, "a chat message waits for nothing");
    Ok(elapsed.as_secs_f64() * 1e6 / MESSAGES as f64)
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
