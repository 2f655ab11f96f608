//! Commits per second on a disk: each alone, and with a hundred writers that share commits.
//!
//! `cargo run --release -p balcony-store --example commit_rate -- DIRECTORY [SECONDS]`
//!
//! Beside them the rate of a bare `fdatasync`, which no durable commit alone can beat. A commit
//! carries one row of 500 bytes for an offline queue.

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balcony_store::sqlite::Settings;
use balcony_store::{Bounds, SqliteStore, Store, Stored, Waiting, Write, WriteSet};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const WRITERS: usize = 100;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("which directory?")?;
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let time = Duration::from_secs(seconds);
    let dir = Path::new(&dir).join("commit-rate");
    std::fs::create_dir_all(&dir)?;
    let outcome = measure(&dir, time);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn measure(dir: &Path, time: Duration) -> Outcome<()> {
    show("fdatasync alone", &mut bare_syncs(dir, time)?, time);
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(dir, Settings::default())?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()?;
    runtime.block_on(async {
        for n in 0..WRITERS {
            store.commit(WriteSet::from(account(n))).await?;
        }
        let mut alone = writer(Arc::clone(&store), 0, time).await?;
        show("one writer", &mut alone, time);
        let writers = (0..WRITERS).map(|n| tokio::spawn(writer(Arc::clone(&store), n, time)));
        let mut together = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            together.extend(writer.await??);
        }
        show("a hundred writers", &mut together, time);
        store.close().await;
        Ok(())
    })
}

/// How long each sync of a few new bytes took.
fn bare_syncs(dir: &Path, time: Duration) -> Outcome<Vec<Duration>> {
    let mut file = File::create(dir.join("bare"))?;
    let begin = Instant::now();
    let mut took = Vec::new();
    while begin.elapsed() < time {
        let before = Instant::now();
        file.write_all(&[b'x'; 500])?;
        file.sync_data()?;
        took.push(before.elapsed());
    }
    Ok(took)
}

/// Commits one row after the other; how long each took.
async fn writer(store: Arc<dyn Store>, n: usize, time: Duration) -> Outcome<Vec<Duration>> {
    let begin = Instant::now();
    let mut took = Vec::new();
    while begin.elapsed() < time {
        let before = Instant::now();
        store.commit(WriteSet::from(row(n))).await?;
        took.push(before.elapsed());
    }
    Ok(took)
}

fn account(n: usize) -> Write {
    Write::CreateAccount {
        host: "localhost".into(),
        user: format!("user{n}"),
        created: 0,
        keys: Vec::new(),
    }
}

fn row(n: usize) -> Write {
    Write::OfflinePush {
        account: format!("user{n}@localhost"),
        received_at: 0,
        stanza: Waiting::Stanza(Stored {
            format: 1,
            bytes: vec![b'x'; 500],
        }),
        bounds: Bounds {
            rows: u32::MAX,
            bytes: u64::MAX,
        },
    }
}

fn show(what: &str, took: &mut [Duration], time: Duration) {
    took.sort();
    let at = |share: usize| took.get(took.len() * share / 100).copied();
    println!(
        "{what:>18}: {:>8.0} /s, median {:?}, p99 {:?}",
        took.len() as f64 / time.as_secs_f64(),
        at(50).unwrap_or_default(),
        at(99).unwrap_or_default(),
    );
}
