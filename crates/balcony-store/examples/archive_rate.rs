//! What chat messages cost the store, and what a page of an archive does.
//!
//! `cargo run --release -p balcony-store --example archive_rate -- DIRECTORY [SECONDS [ACCOUNTS]]`
//!
//! A set is what one message between two accounts commits: a row of 500 bytes in each archive and
//! the count of the sender's stream. The costs are those of the store's own threads, as Linux
//! tells them: what `store-write` spends and writes, and `store-checkpoint` beside it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use balcony_store::sqlite::Settings;
use balcony_store::{
    ArchiveEntry, ArchiveFilter, ArchivePlace, ArchiveRequest, SqliteStore, Store, Stored,
    StreamId, Write, WriteSet,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Messages of the archive that is read.
const MESSAGES: usize = 100_000;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("which directory?")?;
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let accounts = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let dir = Path::new(&dir).join("archive-rate");
    std::fs::create_dir_all(&dir)?;
    let outcome = measure(&dir, Duration::from_secs(seconds), accounts);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn measure(dir: &Path, time: Duration, accounts: usize) -> Outcome<()> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(dir, Settings::default())?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let made: WriteSet = (0..accounts).flat_map(made).collect();
        store.commit(made).await?;
        for in_flight in [1, 100, 400] {
            commits(&store, in_flight, time, accounts).await?;
        }
        pages(&store).await?;
        store.close().await;
        Ok(())
    })
}

async fn commits(
    store: &Arc<dyn Store>,
    in_flight: usize,
    time: Duration,
    accounts: usize,
) -> Outcome<()> {
    let (over, next) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let before = (
        Thread::named("store-write")?,
        Thread::named("store-checkp")?,
    );
    let begin = Instant::now();
    let writers = (0..in_flight).map(|_| {
        let (store, over, next) = (Arc::clone(store), Arc::clone(&over), Arc::clone(&next));
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                store.commit(message(n, accounts)).await?;
            }
            Outcome::Ok(())
        })
    });
    let writers: Vec<_> = writers.collect();
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await??;
    }
    let (took, sets) = (begin.elapsed(), next.load(Ordering::Relaxed) as f64);
    let writer = Thread::named("store-write")?.since(&before.0);
    let checkpoints = Thread::named("store-checkp")?.since(&before.1);
    println!(
        "{in_flight:>4} in flight: {:>7.0} rows/s; each set {:>5.1} µs and {:>6.0} bytes by the \
         writer, {:>4.1} µs and {:>5.0} bytes by checkpoints",
        2.0 * sets / took.as_secs_f64(),
        writer.micros / sets,
        writer.bytes / sets,
        checkpoints.micros / sets,
        checkpoints.bytes / sets,
    );
    Ok(())
}

async fn pages(store: &Arc<dyn Store>) -> Outcome<()> {
    for begin in (0..MESSAGES).step_by(100) {
        let rows = (begin..begin + 100).flat_map(|n| {
            let with = format!("user{}@localhost/phone", 2 + n % 50);
            let other = format!("user{}@localhost", 2 + n % 50);
            [
                push("user1@localhost", &with, n),
                push(&other, "user1@localhost/phone", n),
            ]
        });
        store.commit(rows.collect()).await?;
    }
    // Until all of it is in the index.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let none = ArchiveFilter::default();
    let with = ArchiveFilter {
        with: Some("user7@localhost".into()),
        ..none.clone()
    };
    let start = ArchiveFilter {
        start: Some(MESSAGES as i64 / 2),
        ..none.clone()
    };
    let of = |filter: &ArchiveFilter, place| ArchiveRequest {
        filter: filter.clone(),
        place,
        limit: 50,
    };
    page(store, "the last 50", of(&none, ArchivePlace::Last)).await?;
    page(store, "the first 50", of(&none, ArchivePlace::First)).await?;
    page(
        store,
        "the last 50 with one of 50",
        of(&with, ArchivePlace::Last),
    )
    .await?;
    page(store, "50 since a time", of(&start, ArchivePlace::First)).await
}

async fn page(store: &Arc<dyn Store>, what: &str, request: ArchiveRequest) -> Outcome<()> {
    const TIMES: usize = 1_000;
    let before = Thread::named("store-read")?;
    let begin = Instant::now();
    for _ in 0..TIMES {
        let page = store
            .archive()
            .page("user1@localhost", request.clone())
            .await?;
        if page.messages.len() != 50 {
            return Err("the page is not full".into());
        }
    }
    println!(
        "{what:>26}: {:>6.1} µs by the reader, {:>6.1} µs until it is there",
        Thread::named("store-read")?.since(&before).micros / TIMES as f64,
        begin.elapsed().as_micros() as f64 / TIMES as f64,
    );
    Ok(())
}

fn made(n: usize) -> [Write; 2] {
    let create = Write::CreateAccount {
        host: "localhost".into(),
        user: format!("user{n}"),
        created: 0,
        keys: Vec::new(),
    };
    let stream = Write::StreamCreate {
        id: stream(n),
        account: format!("user{n}@localhost"),
        handled: 0,
        expires_at: 0,
    };
    [create, stream]
}

fn stream(n: usize) -> StreamId {
    // As far from each other as random ones.
    let scattered = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    StreamId(scattered.to_be_bytes())
}

/// The n-th message: by turns from each account to another.
fn message(n: usize, accounts: usize) -> WriteSet {
    let (from, to) = (n % accounts, (n + 1 + n / accounts) % accounts);
    let jid = |n| format!("user{n}@localhost/phone");
    let bare = |n| format!("user{n}@localhost");
    let handled = Write::StreamHandled {
        id: stream(from),
        handled: n as u32,
    };
    [
        push(&bare(from), &jid(to), n),
        push(&bare(to), &jid(from), n),
        handled,
    ]
    .into_iter()
    .collect()
}

fn push(account: &str, with: &str, n: usize) -> Write {
    Write::ArchivePush {
        account: account.into(),
        entry: ArchiveEntry {
            received_at: n as i64,
            with: with.into(),
            incoming: true,
            message_id: Some(format!("{n:032x}")),
            stanza: Stored {
                format: 1,
                bytes: vec![b'x'; 500],
            },
        },
    }
}

/// What threads of one name have done since they began.
struct Thread {
    micros: f64,
    bytes: f64,
}

impl Thread {
    fn named(name: &str) -> Outcome<Thread> {
        let mut sum = Thread {
            micros: 0.0,
            bytes: 0.0,
        };
        for task in std::fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            let read = |file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default();
            if !read("comm").starts_with(name) {
                continue;
            }
            let ran = read("schedstat");
            let nanos: f64 = ran.split(' ').next().unwrap_or("0").parse()?;
            let io = read("io");
            let written = io.lines().find_map(|line| line.strip_prefix("wchar: "));
            sum.micros += nanos / 1_000.0;
            sum.bytes += written.unwrap_or("0").parse::<f64>()?;
        }
        Ok(sum)
    }

    fn since(&self, before: &Thread) -> Thread {
        Thread {
            micros: self.micros - before.micros,
            bytes: self.bytes - before.bytes,
        }
    }
}
