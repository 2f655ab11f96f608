//! Executions that wait for the next step (XEP-0050 §3.3), bounded in number and time.

use std::collections::{HashMap, VecDeque};

use balcony_proto::jid::Jid;

use super::command::{Call, Command};

/// Seconds in which the next step must come: time to look something up, not to forget it.
const LIFETIME: u32 = 600;

/// Executions of one requester: a few windows of one client. The oldest gives way.
const MAX_EACH: usize = 5;

/// Executions of all requesters, who are the admins of all hosts. The oldest gives way. With the
/// forms of one stanza each they take 50 MB at the very most.
const MAX: usize = 200;

/// Ids of executions that ended, which are told from ids that never were (§4.4).
const ENDED: usize = 200;

/// One execution that waits.
pub(super) struct Running {
    pub(super) command: &'static Command,
    pub(super) call: Call,
    expires: u32,
}

impl Running {
    pub(super) fn new(command: &'static Command, call: Call) -> Self {
        Self {
            command,
            call,
            expires: 0,
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.command.word)
    }
}

/// Why there is no such execution.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It was completed, canceled or timed out.
    Ended,
    /// There never was one like that.
    Unknown,
}

/// The executions by their id.
#[derive(Default)]
pub(super) struct Sessions {
    running: HashMap<String, Running>,
    ended: VecDeque<String>,
}

impl Sessions {
    /// Keeps an execution until its next step.
    pub(super) fn keep(&mut self, id: String, mut running: Running, now: u32) {
        running.expires = now.saturating_add(LIFETIME);
        let requester = running.call.requester.clone();
        let same = |other: &Running| other.call.requester == requester;
        if self.running.values().filter(|other| same(other)).count() >= MAX_EACH {
            self.end_oldest(same);
        }
        if self.running.len() >= MAX {
            self.end_oldest(|_| true);
        }
        self.running.insert(id, running);
    }

    fn end_oldest(&mut self, among: impl Fn(&Running) -> bool) {
        let candidates = self.running.iter().filter(|(_, running)| among(running));
        let oldest = candidates.min_by_key(|(_, running)| running.expires);
        if let Some(id) = oldest.map(|(id, _)| id.clone()) {
            self.running.remove(&id);
            self.note_end(id);
        }
    }

    /// Takes an execution for its next step. §3.3: an id is good between one requester and one
    /// responder, and for one command.
    pub(super) fn take(
        &mut self,
        id: &str,
        (requester, host): (&Jid, &str),
        command: &Command,
        now: u32,
    ) -> Result<Running, Gone> {
        self.expire(now);
        let found = self.running.get(id).is_some_and(|running| {
            running.call.requester == *requester
                && running.call.host.name() == host
                && std::ptr::eq(running.command, command)
        });
        match self.running.remove_entry(id) {
            Some((_, running)) if found => Ok(running),
            Some((id, other)) => {
                self.running.insert(id, other);
                Err(Gone::Unknown)
            }
            None if self.ended.iter().any(|ended| ended == id) => Err(Gone::Ended),
            None => Err(Gone::Unknown),
        }
    }

    /// Remembers that an execution is over.
    pub(super) fn note_end(&mut self, id: String) {
        if self.ended.len() >= ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
    }

    /// Ends what waited for too long.
    pub(super) fn expire(&mut self, now: u32) {
        if self.running.is_empty() {
            return;
        }
        let late = self.running.extract_if(|_, running| running.expires <= now);
        let late: Vec<String> = late.map(|(id, _)| id).collect();
        for id in late {
            self.note_end(id);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use balcony_core::module::Host;

    use super::super::commands;
    use super::*;

    /// A host is made by a core alone.
    pub(in super::super) async fn host() -> Arc<Host> {
        let parts = balcony_core::Parts {
            config: balcony_core::config::Config::default(),
            store: Arc::new(balcony_store::MemoryStore::new()),
            cluster: Arc::new(balcony_cluster::Local::alone()),
            remote: Arc::new(balcony_core::remote::Nowhere),
            clock: balcony_core::Clock::system(),
            modules: &[],
        };
        let core = balcony_core::Core::new(parts).await.unwrap();
        core.host("localhost").unwrap()
    }

    fn nurse() -> Jid {
        Jid::parse("nurse@localhost/hall").unwrap()
    }

    fn start(sessions: &mut Sessions, host: &Arc<Host>, by: Jid, id: &str, now: u32) {
        let call = Call {
            host: Arc::clone(host),
            requester: by,
            filled: Vec::new(),
        };
        let running = Running::new(commands().next().unwrap(), call);
        sessions.keep(id.to_owned(), running, now);
    }

    fn take(sessions: &mut Sessions, by: &Jid, id: &str, now: u32) -> Option<Gone> {
        let command = commands().next().unwrap();
        sessions.take(id, (by, "localhost"), command, now).err()
    }

    #[tokio::test]
    async fn an_execution_belongs_to_its_requester_and_command() {
        let (host, mut sessions) = (host().await, Sessions::default());
        start(&mut sessions, &host, nurse(), "one", 0);
        let other = Jid::parse("nurse@localhost/street").unwrap();
        assert_eq!(take(&mut sessions, &other, "one", 1), Some(Gone::Unknown));
        let another = commands().nth(1).unwrap();
        let with = sessions.take("one", (&nurse(), "localhost"), another, 1);
        assert_eq!(with.err(), Some(Gone::Unknown));
        assert_eq!(
            take(&mut sessions, &nurse(), "none", 1),
            Some(Gone::Unknown)
        );
        assert_eq!(take(&mut sessions, &nurse(), "one", 1), None);
    }

    #[tokio::test]
    async fn an_execution_ends_when_nobody_goes_on_with_it() {
        let (host, mut sessions) = (host().await, Sessions::default());
        start(&mut sessions, &host, nurse(), "one", 0);
        sessions.expire(LIFETIME - 1);
        assert_eq!(sessions.running.len(), 1);
        assert_eq!(
            take(&mut sessions, &nurse(), "one", LIFETIME),
            Some(Gone::Ended)
        );
    }

    #[tokio::test]
    async fn the_oldest_gives_way() {
        let (host, mut sessions) = (host().await, Sessions::default());
        for number in 0..=MAX_EACH as u32 {
            start(&mut sessions, &host, nurse(), &number.to_string(), number);
        }
        assert_eq!(sessions.running.len(), MAX_EACH);
        assert_eq!(take(&mut sessions, &nurse(), "0", 9), Some(Gone::Ended));
        for number in 0..MAX as u32 {
            let by = Jid::parse(&format!("nurse@localhost/{number}")).unwrap();
            start(&mut sessions, &host, by, &format!("other{number}"), 100);
        }
        assert_eq!(sessions.running.len(), MAX);
    }

    #[test]
    fn ids_of_the_ended_are_bounded() {
        let mut sessions = Sessions::default();
        for number in 0..=ENDED {
            sessions.note_end(number.to_string());
        }
        assert_eq!(sessions.ended.len(), ENDED);
        assert_eq!(take(&mut sessions, &nurse(), "0", 0), Some(Gone::Unknown));
        assert_eq!(take(&mut sessions, &nurse(), "1", 0), Some(Gone::Ended));
    }
}
