//! One domain of others: what waits for it, and how it went with it lately.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use balcony_core::Core;
use balcony_core::remote::Departing;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

use crate::facts::QueueFacts;
use crate::failure::Failure;
use crate::queue::{Carrier, Queue};
use crate::{Shared, Table, outgoing, retry};

/// Verifications that may wait for one domain: as many claims as the streams of a busy server make
/// at once. More come from somebody who makes up claims in another's name.
const VERIFICATIONS: usize = 200;

/// Which streams a peer stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) remote: Box<str>,
    /// The only domain of ours that it is about: the other server takes no second one on a stream.
    /// `None`: all others.
    pub(crate) local: Option<Box<str>>,
}

/// A question to the server of a domain: whether a key is one of its own (XEP-0220 §2.1.1).
pub(crate) struct Verification {
    /// Our domain, which was claimed to.
    pub(crate) local: Box<str>,
    /// The id of the stream on which the claim was made.
    pub(crate) stream_id: String,
    pub(crate) key: String,
    pub(crate) tell: oneshot::Sender<Result<bool, Failure>>,
}

/// See the text of the module.
pub(crate) struct Peer {
    pub(crate) key: Key,
    /// Rings for the task that keeps the outgoing stream.
    pub(crate) bell: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: Queue,
    verifications: VecDeque<Verification>,
    /// A task sees to it that all this goes out.
    running: bool,
    /// In a row.
    failures: u32,
    failure: Option<Failure>,
    /// The uptime of the last of them.
    failed_at: Duration,
    /// The uptime before which it is not tried again.
    retry_at: Option<Duration>,
}

impl State {
    fn has_work(&self) -> bool {
        !self.verifications.is_empty() || !self.queue.uncarried().is_empty()
    }

    /// Why it is not worth trying just now.
    fn held_down(&self, now: Duration) -> Option<&Failure> {
        let waits = self.retry_at.is_some_and(|at| now < at);
        self.failure.as_ref().filter(|_| waits)
    }
}

impl Peer {
    pub(crate) fn new(key: Key) -> Arc<Peer> {
        Arc::new(Peer {
            key,
            bell: Arc::default(),
            state: Mutex::default(),
        })
    }

    /// Takes a stanza from one of our domains. What is not kept is given back at once when the
    /// domain could not be reached a moment ago, unless it has opened a stream to us that carries
    /// the pair (XEP-0288). The peer was found in `table`, which is locked until this one is.
    pub(crate) fn send(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        core: &Arc<Core>,
        local: &str,
        departing: Departing,
        table: MutexGuard<'_, Table>,
    ) {
        let mut state = self.state.lock();
        drop(table);
        if departing.kept.is_none()
            && !state.queue.is_carried(local)
            && let Some(failure) = state.held_down(core.clock().uptime())
        {
            let error = failure.error();
            drop(state);
            return core.returned(&departing, &error);
        }
        let size = departing.stanza.size();
        shared.bytes.fetch_add(size, Ordering::Relaxed);
        match state.queue.push(local, departing) {
            Some(carrier) => carrier.bell.notify_one(),
            None => self.rouse(state, shared, core),
        }
    }

    /// Asks the server of the domain whether a key is its own. Whoever claims the domain may be
    /// that server, which is back: it is asked soon, whatever failed before, but not for each
    /// claim, for anybody can make one.
    pub(crate) fn verify(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        core: &Arc<Core>,
        verification: Verification,
    ) {
        let mut state = self.state.lock();
        if state.verifications.len() >= VERIFICATIONS {
            let failure = Failure::unreachable("too many verifications wait for it");
            // Whoever asked may be gone.
            let _ = verification.tell.send(Err(failure));
            return;
        }
        let soon = state.failed_at + retry::FIRST;
        state.retry_at = state.retry_at.map(|at| at.min(soon));
        state.verifications.push_back(verification);
        self.rouse(state, shared, core);
    }

    /// Sees to it that a task looks after what waits.
    fn rouse(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        shared: &Arc<Shared>,
        core: &Arc<Core>,
    ) {
        let runs = std::mem::replace(&mut state.running, true);
        drop(state);
        match runs {
            true => self.bell.notify_one(),
            false => shared.spawn(outgoing::run(
                Arc::clone(shared),
                Arc::clone(core),
                Arc::clone(self),
            )),
        }
    }

    /// Our domains for which something waits that nobody carries.
    pub(crate) fn uncarried(&self) -> Vec<Box<str>> {
        self.state.lock().queue.uncarried()
    }

    /// The domain of ours with which to begin a stream; `None` ends the task, when there is nothing
    /// for it to do.
    pub(crate) fn first_or_rest(&self) -> Option<Box<str>> {
        let mut state = self.state.lock();
        let local = state.queue.uncarried().into_iter().next();
        let local = local.or_else(|| state.verifications.front().map(|v| v.local.clone()));
        state.running = local.is_some();
        local
    }

    /// For how long it is not to be tried, when it could not be reached.
    pub(crate) fn pause(&self, now: Duration) -> Option<Duration> {
        let until = self.state.lock().retry_at?;
        until.checked_sub(now).filter(|pause| !pause.is_zero())
    }

    /// Until when the first of what waits may wait.
    pub(crate) fn patience(&self, core: &Core) -> Option<Duration> {
        let oldest = self.state.lock().queue.oldest()?;
        let waited = core.clock().utc_micros().saturating_sub(oldest);
        let waited = Duration::from_micros(u64::try_from(waited).unwrap_or(0));
        Some(core.config().federation.give_up.saturating_sub(waited))
    }

    pub(crate) fn take_verifications(&self) -> VecDeque<Verification> {
        std::mem::take(&mut self.state.lock().verifications)
    }

    /// Has a stream carry what our domain sends. False when another does.
    pub(crate) fn hand(&self, local: &str, carrier: &Carrier) -> bool {
        self.state.lock().queue.hand(local, carrier)
    }

    pub(crate) fn take(&self, local: &str) -> Option<Departing> {
        self.state.lock().queue.take(local)
    }

    /// So many bytes have arrived there: whatever failed before, it can be reached.
    pub(crate) fn arrived(&self, shared: &Shared, bytes: usize) {
        shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.queue.settle(bytes);
        (state.failures, state.failure, state.retry_at) = (0, None, None);
    }

    /// A stream is over that carried something; what it could not bring comes back.
    pub(crate) fn release(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        core: &Arc<Core>,
        carrier: u64,
        back: Vec<(Box<str>, Departing)>,
    ) {
        let mut state = self.state.lock();
        state.queue.release(carrier, back);
        if !shared.is_stopping() && state.has_work() {
            self.rouse(state, shared, core);
        }
    }

    /// Gives all that one of our domains sends to another peer, where nothing older is. Nothing
    /// when a stream carries it by now. With the table of peers locked.
    pub(crate) fn move_line(&self, local: &str, apart: &Peer) {
        let mut state = self.state.lock();
        if !state.queue.is_carried(local) {
            let line = state.queue.take_line(local);
            drop(state);
            apart.state.lock().queue.put_before(local, line);
        }
    }

    /// Sees to what was given to it.
    pub(crate) fn go_on(self: &Arc<Self>, shared: &Arc<Shared>, core: &Arc<Core>) {
        let state = self.state.lock();
        if state.has_work() {
            self.rouse(state, shared, core);
        }
    }

    /// Whether something waits that nobody carries, or somebody is to be asked.
    pub(crate) fn has_work(&self) -> bool {
        self.state.lock().has_work()
    }

    /// There is a stream again, or there may be: it is tried without a pause.
    pub(crate) fn reached(&self) {
        self.state.lock().retry_at = None;
    }

    /// It was not reached: gives back what does not wait for another time. Answers how long that
    /// is.
    pub(crate) fn failed(
        &self,
        shared: &Shared,
        core: &Arc<Core>,
        failure: &Failure,
        chance: u8,
    ) -> Duration {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        let pause = retry::pause(state.failures, chance);
        state.failed_at = core.clock().uptime();
        state.retry_at = Some(state.failed_at + pause);
        state.failure = Some(failure.clone());
        drop(state);
        self.fail_verifications(failure, |_| true);
        self.give_back(shared, core, failure);
        pause
    }

    /// One of our domains was not believed there, which is nobody else's fault: it waits on its
    /// own.
    pub(crate) fn set_apart(
        &self,
        shared: &Arc<Shared>,
        core: &Arc<Core>,
        local: &str,
        failure: &Failure,
    ) -> Duration {
        let apart = shared.part(self, local);
        let pause = apart.failed(shared, core, failure, shared.chance());
        apart.go_on(shared, core);
        self.fail_verifications(failure, |verification| *verification.local == *local);
        pause
    }

    /// It is not spoken with any more: all that nobody carries goes back.
    pub(crate) fn refuse(&self, shared: &Shared, core: &Arc<Core>, failure: &Failure) {
        self.fail_verifications(failure, |_| true);
        self.give_back_if(shared, core, failure, |_| true);
    }

    fn fail_verifications(&self, failure: &Failure, of: impl Fn(&Verification) -> bool) {
        let mut state = self.state.lock();
        let all = std::mem::take(&mut state.verifications);
        let (failed, stay): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(of);
        state.verifications = stay;
        drop(state);
        for verification in failed {
            // Whoever asked may be gone.
            let _ = verification.tell.send(Err(failure.clone()));
        }
    }

    /// Gives back all that nobody carries and that is not kept or has waited for too long.
    fn give_back(&self, shared: &Shared, core: &Arc<Core>, failure: &Failure) {
        let give_up = core.config().federation.give_up;
        let oldest = core
            .clock()
            .utc_micros()
            .saturating_sub(i64::try_from(give_up.as_micros()).unwrap_or(i64::MAX));
        let over = |d: &Departing| d.kept.is_none() || d.received_at <= oldest;
        self.give_back_if(shared, core, failure, over);
    }

    fn give_back_if(
        &self,
        shared: &Shared,
        core: &Arc<Core>,
        failure: &Failure,
        over: impl Fn(&Departing) -> bool,
    ) {
        let mut state = self.state.lock();
        let before = state.queue.bytes();
        let gone = state.queue.weed(over);
        let bytes = before.saturating_sub(state.queue.bytes());
        drop(state);
        shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let count = u64::try_from(gone.len()).unwrap_or(u64::MAX);
        shared.counters.returned.fetch_add(count, Ordering::Relaxed);
        let error = failure.error();
        gone.iter()
            .for_each(|departing| core.returned(departing, &error));
    }

    /// Whether more bytes may wait for it.
    pub(crate) fn has_room(&self, size: usize, most: usize) -> bool {
        let bytes = self.state.lock().queue.bytes();
        bytes == 0 || bytes.saturating_add(size) <= most
    }

    /// Tries again at once.
    pub(crate) fn hurry(&self) {
        self.state.lock().retry_at = None;
        self.bell.notify_one();
    }

    /// Whether it may be forgotten.
    pub(crate) fn is_idle(&self, now: Duration) -> bool {
        let state = self.state.lock();
        !state.running && state.queue.is_idle() && state.held_down(now).is_none()
    }

    pub(crate) fn facts(&self, now: Duration) -> QueueFacts {
        let state = self.state.lock();
        QueueFacts {
            domain: self.key.remote.to_string(),
            stanzas: state.queue.stanzas(),
            bytes: state.queue.bytes(),
            failure: state.failure.as_ref().map(ToString::to_string),
            retry_in: state.retry_at.map(|at| at.saturating_sub(now)),
        }
    }
}
