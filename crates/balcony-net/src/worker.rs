//! Worker threads, each with a single-threaded runtime, and the list of connections that have
//! output.
//!
//! A task stays on its worker. Whoever has output for a connection puts it on the list of the
//! thread that it runs on; that thread's flusher task runs behind the tasks that are ready, so that
//! all they send to one connection leaves in one write, without waking another thread.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::connection::Connection;

/// Connections flushed before the tasks that became ready meanwhile run: a write costs about 5 µs,
/// so nobody waits much longer than a millisecond behind a message to a large room.
const FLUSHES_PER_TURN: usize = 256;

/// Tasks run between two looks at the sockets while there is work. tokio's 61 would ask the kernel
/// more often than a busy worker gains from it.
const TASKS_PER_POLL: u32 = 128;

/// Every second task is one that another thread woke, while there are any: whoever has an answer of
/// the store. With tokio's 31 a busy worker took one after 31 of its own, and a thousand of them
/// waited for seconds.
const TASKS_PER_FOREIGN: u32 = 2;

/// How often a stopping worker looks whether its tasks have ended.
const STOP_POLL: Duration = Duration::from_millis(2);

thread_local! {
    static LOCAL: Local = const { Local::new() };
}

/// What a worker's thread has for itself.
struct Local {
    /// The worker of this thread; `None` on other threads.
    worker: RefCell<Option<Arc<Worker>>>,
    /// Connections with output, each with its `dirty` flag set.
    dirty: RefCell<Vec<Arc<Connection>>>,
    /// The flusher has been woken and not run yet.
    woken: Cell<bool>,
}

impl Local {
    const fn new() -> Self {
        Self {
            worker: RefCell::new(None),
            dirty: RefCell::new(Vec::new()),
            woken: Cell::new(false),
        }
    }
}

/// One worker: a thread, its runtime, and the connections that live on it.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    handle: Handle,
    /// Connections that threads which are no workers want flushed.
    remote: Mutex<Vec<Arc<Connection>>>,
    flusher: OnceLock<Waker>,
    /// See [`Worker::heavy`].
    heavy: Semaphore,
}

impl Worker {
    /// Its place among the workers, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Runs `future` on this worker; a panic in it ends that task only.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.handle.spawn(future);
    }

    /// The worker whose thread this is, if it is one's.
    #[must_use]
    pub fn current() -> Option<Arc<Self>> {
        LOCAL
            .try_with(|local| local.worker.borrow().clone())
            .ok()
            .flatten()
    }

    /// Its runtime, for what needs more than [`Worker::spawn`].
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.handle
    }

    /// Tasks that live here, without the worker's own.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.handle.metrics().num_alive_tasks().saturating_sub(1)
    }

    /// Does what takes long beside other steps, as a signature does. Of these there is one each
    /// time that all who are ready had their turn: of a thousand who come at once each would else
    /// be held up by all others, and whoever is in the middle of a conversation, too.
    pub(crate) async fn heavy<R>(&self, step: impl FnOnce() -> R) -> R {
        // Never closed.
        let _turn = self.heavy.acquire().await;
        let done = step();
        // Kept until the others had theirs.
        tokio::task::yield_now().await;
        done
    }

    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    fn wake_flusher(&self) {
        // Not there yet: the flusher looks at the lists when it starts.
        if let Some(flusher) = self.flusher.get() {
            flusher.wake_by_ref();
        }
    }
}

/// Puts a connection whose `dirty` flag was just set on the list of this thread, or of its home.
pub(crate) fn schedule(connection: &Arc<Connection>) {
    let here = LOCAL.try_with(|local| {
        let worker = local.worker.borrow();
        let Some(worker) = worker.as_ref() else {
            return false;
        };
        local.dirty.borrow_mut().push(Arc::clone(connection));
        if !local.woken.replace(true) {
            worker.wake_flusher();
        }
        true
    });
    if !here.unwrap_or(false) {
        let home = connection.home();
        home.remote.lock().push(Arc::clone(connection));
        home.wake_flusher();
    }
}

/// Flushes what is on the thread's list, for ever.
async fn flusher(worker: Arc<Worker>) {
    let mut batch = Vec::new();
    poll_fn(|context| flush_listed(&worker, &mut batch, context)).await
}

fn flush_listed(
    worker: &Worker,
    batch: &mut Vec<Arc<Connection>>,
    context: &mut Context<'_>,
) -> Poll<()> {
    worker.flusher.get_or_init(|| context.waker().clone());
    let left = LOCAL.with(|local| {
        local.woken.set(false);
        let mut dirty = local.dirty.borrow_mut();
        let mut remote = worker.remote.lock();
        dirty.append(&mut remote);
        let turn = dirty.len().min(FLUSHES_PER_TURN);
        batch.extend(dirty.drain(..turn));
        !dirty.is_empty() && !local.woken.replace(true)
    });
    if left {
        context.waker().wake_by_ref();
    }
    for connection in batch.drain(..) {
        connection.flush();
    }
    Poll::Pending
}

/// All workers.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Arc<Worker>>,
    threads: Vec<(oneshot::Sender<Duration>, JoinHandle<()>)>,
    next: AtomicUsize,
}

impl Workers {
    /// Starts `count` threads; 0 means one for each processor.
    ///
    /// # Errors
    /// The operating system's, when a thread or a runtime cannot be made.
    pub fn start(count: usize) -> io::Result<Self> {
        let count = match count {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let mut all = Self {
            workers: Vec::with_capacity(count),
            threads: Vec::with_capacity(count),
            next: AtomicUsize::new(0),
        };
        for index in 0..count {
            let (worker, stop, thread) = start_one(index)?;
            all.workers.push(worker);
            all.threads.push((stop, thread));
        }
        Ok(all)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Never: there is always one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// The worker at `index`, counted round.
    ///
    /// # Errors
    /// `None` only if there are none.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Arc<Worker>> {
        self.workers.get(index.checked_rem(self.workers.len())?)
    }

    /// The workers in turn.
    #[must_use]
    pub fn next(&self) -> Option<&Arc<Worker>> {
        self.get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.workers.iter()
    }

    /// Waits at most `grace` until every task has ended, drops those that have not, and ends the
    /// threads. Blocks; not to be called on a worker.
    pub fn stop(mut self, grace: Duration) {
        let threads = std::mem::take(&mut self.threads);
        let joins: Vec<_> = threads
            .into_iter()
            .map(|(stop, thread)| {
                let _ = stop.send(grace);
                thread
            })
            .collect();
        for thread in joins {
            let _ = thread.join();
        }
    }
}

/// Starts one worker's thread and waits until its runtime is there.
fn start_one(index: usize) -> io::Result<(Arc<Worker>, oneshot::Sender<Duration>, JoinHandle<()>)> {
    let (stop, stopped) = oneshot::channel();
    let (ready, started) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .event_interval(TASKS_PER_POLL)
                .global_queue_interval(TASKS_PER_FOREIGN)
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let worker = Arc::new(Worker {
                index,
                handle: runtime.handle().clone(),
                remote: Mutex::default(),
                flusher: OnceLock::new(),
                heavy: Semaphore::new(1),
            });
            LOCAL.with(|local| local.worker.replace(Some(Arc::clone(&worker))));
            runtime.spawn(flusher(Arc::clone(&worker)));
            let _ = ready.send(Ok(Arc::clone(&worker)));
            runtime.block_on(run_until_stopped(&worker, stopped));
        })?;
    let worker = started.recv().map_err(io::Error::other)??;
    Ok((worker, stop, thread))
}

async fn run_until_stopped(worker: &Worker, stopped: oneshot::Receiver<Duration>) {
    // The workers were dropped without being stopped: no grace.
    let grace = stopped.await.unwrap_or_default();
    let deadline = Instant::now().checked_add(grace);
    // Looked at by the clock: tasks tell nobody when they end, and a stop may take milliseconds.
    while worker.tasks() > 0 && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        tokio::time::sleep(STOP_POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_run_on_the_worker_they_were_given_to() {
        let workers = Workers::start(2).unwrap();
        let (tell, told) = mpsc::channel();
        for index in [0, 1, 1, 0] {
            let tell = tell.clone();
            workers.get(index).unwrap().spawn(async move {
                let _ = tell.send((index, Worker::current().map(|worker| worker.index())));
            });
        }
        for _ in 0..4 {
            let (asked, ran_on) = told.recv().unwrap();
            assert_eq!(ran_on, Some(asked));
        }
        assert!(Worker::current().is_none());
        workers.stop(Duration::ZERO);
    }

    #[test]
    fn workers_are_taken_in_turn() {
        let workers = Workers::start(2).unwrap();
        let turns: Vec<usize> = (0..4).map(|_| workers.next().unwrap().index()).collect();
        assert_eq!(turns, [0, 1, 0, 1]);
        workers.stop(Duration::ZERO);
    }

    #[test]
    fn between_two_heavy_steps_others_get_their_turn() {
        const STEPS: usize = 20;
        let workers = Workers::start(1).unwrap();
        let worker = Arc::clone(workers.next().unwrap());
        let (tell, told) = mpsc::channel();
        let all = Arc::clone(&worker);
        // All of them are ready at once, with the light one at the end.
        worker.spawn(async move {
            for _ in 0..STEPS {
                let (worker, tell) = (Arc::clone(&all), tell.clone());
                all.spawn(async move {
                    let _ = worker.heavy(|| tell.send("heavy")).await;
                });
            }
            all.spawn(async move {
                for _ in 0..STEPS {
                    let _ = tell.send("light");
                    tokio::task::yield_now().await;
                }
            });
        });
        let done: Vec<&str> = told.iter().take(2 * STEPS).collect();
        workers.stop(Duration::ZERO);
        let together = done.windows(2).filter(|pair| *pair == ["heavy", "heavy"]);
        assert_eq!(together.count(), 0, "{done:?}");
    }

    #[test]
    fn a_busy_worker_takes_what_other_threads_woke_in_turn_with_its_own() {
        const FOREIGN: usize = 100;
        let workers = Workers::start(1).unwrap();
        let worker = Arc::clone(workers.next().unwrap());
        let polls = Arc::new(AtomicUsize::new(0));
        let (go, gone) = mpsc::channel::<()>();
        let counted = Arc::clone(&polls);
        // Holds the worker until all others are there, and keeps it busy from then on.
        worker.spawn(async move {
            let _ = gone.recv();
            tokio::spawn(poll_fn(move |context| {
                counted.fetch_add(1, Ordering::Relaxed);
                context.waker().wake_by_ref();
                Poll::<()>::Pending
            }));
        });
        let (tell, told) = mpsc::channel();
        for _ in 0..FOREIGN {
            let (tell, polls) = (tell.clone(), Arc::clone(&polls));
            worker.spawn(async move {
                let _ = tell.send(polls.load(Ordering::Relaxed));
            });
        }
        let _ = go.send(());
        let last = told.iter().take(FOREIGN).last().unwrap();
        workers.stop(Duration::ZERO);
        assert!(last <= 2 * FOREIGN, "after {last} of its own");
    }

    #[test]
    fn stop_waits_for_tasks_within_the_grace_and_drops_the_others() {
        let workers = Workers::start(1).unwrap();
        let worker = Arc::clone(workers.next().unwrap());
        let (finish, finished) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        worker.spawn(async move {
            let _ = finished.await;
            let _ = tell.send("finished");
        });
        let stopping = std::thread::spawn(move || workers.stop(Duration::from_secs(600)));
        finish.send(()).unwrap();
        stopping.join().unwrap();
        assert_eq!(told.recv(), Ok("finished"));

        let workers = Workers::start(1).unwrap();
        let (held, dropped) = mpsc::channel::<()>();
        workers.next().unwrap().spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        workers.stop(Duration::ZERO);
        assert!(dropped.recv().is_err());
    }

    #[test]
    fn a_panicking_task_ends_alone() {
        let workers = Workers::start(1).unwrap();
        let worker = workers.next().unwrap();
        worker.spawn(async { panic!("on purpose") });
        let (tell, told) = mpsc::channel();
        worker.spawn(async move {
            let _ = tell.send(());
        });
        assert_eq!(told.recv(), Ok(()));
        workers.stop(Duration::ZERO);
    }
}
