//! What a session costs inside the process, without its socket: memory of many, and the time of a
//! message among them. `cargo run --release -p balcony-testkit --example sessions_without_sockets`

#![allow(clippy::indexing_slicing, clippy::panic)] // a measurement, run by hand

use std::sync::Arc;
use std::time::Instant;

use balcony_cluster::Local;
use balcony_core::config::Config;
use balcony_core::{Clock, Core, Parts, Session, Wake};
use balcony_modules::MODULES;
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{MessageType, PresenceType, Stanza};
use balcony_proto::xml::Element;
use balcony_store::{MemoryStore, Store, Write, WriteSet};

struct Nowhere;

impl Wake for Nowhere {
    fn wake(&self) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args()
        .nth(1)
        .map_or(Ok(500_000), |text| text.parse())?;
    let core = server(count).await?;
    let empty = resident();
    let mut sessions = Vec::with_capacity(count);
    for user in 0..100 {
        sessions.push(available(&core, user).await?);
    }
    let few = micros_per_message(&core, &sessions);
    for user in 100..count {
        sessions.push(available(&core, user).await?);
    }
    let each = resident().saturating_sub(empty) / count as u64;
    println!("{count} available sessions: {each} bytes each");
    let many = micros_per_message(&core, &sessions);
    println!("a message among 100 sessions: {few:.2} µs, among {count}: {many:.2} µs");
    Ok(())
}

async fn server(accounts: usize) -> Result<Arc<Core>, Box<dyn std::error::Error>> {
    let store = MemoryStore::new();
    for user in 0..accounts {
        let create = Write::CreateAccount {
            host: "localhost".into(),
            user: format!("user{user}"),
            created: 0,
            keys: Vec::new(),
        };
        store.commit(WriteSet::from(create)).await?;
    }
    let config = Config::parse("", None, &[]).map_err(|problems| format!("{problems:?}"))?;
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

async fn available(
    core: &Arc<Core>,
    user: usize,
) -> Result<Arc<Session>, Box<dyn std::error::Error>> {
    let account = Jid::parse(&format!("user{user}@localhost"))?;
    let bound = core.bind(&account, Some("balcony"), Arc::new(Nowhere));
    let session = bound.map_err(|error| format!("{error:?}"))?;
    let presence = Stanza::presence(PresenceType::Available).with_from(session.jid().clone());
    if let Some(pending) = core.accept_one(&session, presence) {
        pending.await;
    }
    drop(session.drain(usize::MAX));
    Ok(session)
}

/// Mean over messages between neighbours spread over all sessions.
fn micros_per_message(core: &Arc<Core>, sessions: &[Arc<Session>]) -> f64 {
    const MESSAGES: usize = 200_000;
    let body = Element::new(ns::CLIENT, "body").with_text("Wherefore art thou?");
    let began = Instant::now();
    for n in 0..MESSAGES {
        // A stride that is no divisor, so that each message finds other cache lines.
        let from = &sessions[(n * 7_919) % sessions.len()];
        let to = &sessions[(n * 7_919 + 1) % sessions.len()];
        let message = Stanza::message(MessageType::Chat)
            .with_from(from.jid().clone())
            .with_to(to.jid().clone())
            .with_element(body.clone());
        assert!(
            core.accept_one(from, message).is_none(),
            "a chat message waits for nothing"
        );
        drop(to.drain(usize::MAX));
    }
    began.elapsed().as_secs_f64() * 1e6 / MESSAGES as f64
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
