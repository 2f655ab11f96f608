//! iq requests of the server's own, and the answers to them (RFC 6120 §8.2.3).

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::map::Map;
use balcony_proto::stanza::Stanza;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::Core;
use crate::envelope::Origin;
use crate::walk::Pending;

/// Requests that may wait for an answer at the same time: each takes a few hundred bytes, and
/// somebody who never answers holds one for as long as its asker waits.
const MOST: usize = 10_000;

/// What waits for an answer, by the id of the request.
#[derive(Default)]
pub(crate) struct Requests(Mutex<Map<Box<str>, Waiting>>);

struct Waiting {
    by: Jid,
    of: Jid,
    tell: oneshot::Sender<Stanza>,
}

/// Why there is no answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It did not come in time.
    Late,
    /// It was not asked: too many others wait, or it had no addresses.
    NotAsked,
}

/// A request that was sent, as long as somebody waits for its answer.
pub struct Asked {
    core: Arc<Core>,
    id: Box<str>,
    told: oneshot::Receiver<Stanza>,
    /// What is left of sending it.
    pending: Option<Pending>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.core.requests.forget(&self.id);
    }
}

impl Asked {
    /// Waits for the result or the error.
    ///
    /// # Errors
    /// None comes within this time.
    pub async fn answer(mut self, within: Duration) -> Result<Stanza, NoAnswer> {
        if let Some(pending) = self.pending.take() {
            pending.await;
        }
        match tokio::time::timeout(within, &mut self.told).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(NoAnswer::Late),
        }
    }
}

impl Requests {
    fn ask(&self, id: &str, by: Jid, of: Jid) -> Option<oneshot::Receiver<Stanza>> {
        let mut waiting = self.0.lock();
        if waiting.len() >= MOST {
            return None;
        }
        let (tell, told) = oneshot::channel();
        waiting.insert(id.into(), Waiting { by, of, tell });
        Some(told)
    }

    fn forget(&self, id: &str) {
        self.0.lock().remove(id);
    }

    /// Takes a result or an error that answers a request of the server's own: it has the request's
    /// id and addresses. Any other is left alone.
    pub(crate) fn answer(&self, stanza: &Stanza) {
        let Some(id) = stanza.id.as_deref() else {
            return;
        };
        let mut waiting = self.0.lock();
        let fits = |asked: &Waiting| {
            stanza.from.as_ref() == Some(&asked.of) && stanza.to.as_ref() == Some(&asked.by)
        };
        if !waiting.get(id).is_some_and(fits) {
            return;
        }
        if let Some(asked) = waiting.remove(id) {
            // Whoever asked may have given up just now.
            let _ = asked.tell.send(stanza.clone());
        }
    }
}

impl Core {
    /// Sends an iq of type get or set of the server's own, from a host or from the bare JID of an
    /// account, with an id that nobody can guess, and waits for the result or the error.
    ///
    /// # Errors
    /// [`NoAnswer`] when none comes within this time.
    pub async fn request(
        self: &Arc<Self>,
        iq: Stanza,
        within: Duration,
    ) -> Result<Stanza, NoAnswer> {
        self.ask(Origin::Server, iq)?.answer(within).await
    }

    /// Sends an iq of type get or set that a component asks in the name of an account, which is its
    /// `from`, with another id. It is on its way when this returns.
    ///
    /// # Errors
    /// [`NoAnswer::NotAsked`]
    pub fn ask_for(self: &Arc<Self>, component: &Jid, iq: Stanza) -> Result<Asked, NoAnswer> {
        self.ask(Origin::Behalf(component.clone()), iq)
    }

    fn ask(self: &Arc<Self>, origin: Origin, iq: Stanza) -> Result<Asked, NoAnswer> {
        let mut random = [0_u8; 12];
        getrandom::fill(&mut random).map_err(|_| NoAnswer::NotAsked)?;
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let (Some(by), Some(of)) = (iq.from.clone(), iq.to.clone()) else {
            return Err(NoAnswer::NotAsked);
        };
        let told = self.requests.ask(&id, by, of).ok_or(NoAnswer::NotAsked)?;
        Ok(Asked {
            core: Arc::clone(self),
            id: id.as_str().into(),
            told,
            pending: self.submit_as(origin, iq.with_id(id)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::IqType;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn answer(id: &str, from: &str, to: &str) -> Stanza {
        let answer = Stanza::iq(IqType::Result, id);
        answer.with_from(jid(from)).with_to(jid(to))
    }

    #[test]
    fn only_who_was_asked_answers_and_once() {
        let requests = Requests::default();
        let by = jid("localhost");
        let mut told = requests.ask("1", by, jid("push.example")).unwrap();
        requests.answer(&answer("1", "tybalt@localhost/hall", "localhost"));
        requests.answer(&answer("2", "push.example", "localhost"));
        requests.answer(&answer("1", "push.example", "juliet@localhost"));
        assert!(told.try_recv().is_err());
        requests.answer(&answer("1", "push.example", "localhost"));
        assert!(told.try_recv().is_ok());
        requests.answer(&answer("1", "push.example", "localhost"));
        assert!(requests.0.lock().is_empty());
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind_and_there_is_a_bound() {
        let requests = Requests::default();
        let ask = |n: usize| requests.ask(&n.to_string(), jid("localhost"), jid("x"));
        let told: Vec<_> = (0..MOST).map(|n| ask(n).unwrap()).collect();
        assert!(ask(MOST).is_none());
        (0..MOST).for_each(|n| requests.forget(&n.to_string()));
        drop(told);
        assert!(requests.0.lock().is_empty());
        assert!(ask(0).is_some());
    }
}
