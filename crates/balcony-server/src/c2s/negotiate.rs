//! From the first byte to the bound resource: the stream machine, its questions and its time.

use std::sync::Arc;
use std::time::Duration;

use balcony_core::Attachment;
use balcony_net::Read;
use balcony_proto::jid::Jid;
use balcony_stream::receiving::{Answer, Bound, Input, Output, Question, Receiving};
use balcony_stream::{Established, Security};
use tokio::sync::Notify;

use super::link::{Link, read};
use super::{Opening, answers, tokens};
use crate::instance::Instance;
use balcony_core::bucket::Bucket;

/// A stream with its session.
pub(super) struct Negotiated {
    pub(super) bound: Box<Bound>,
    pub(super) established: Established,
    /// What the client sent behind the end of the negotiation.
    pub(super) rest: Vec<u8>,
    pub(super) seat: Seat,
}

/// A connection's place at a session.
pub(super) struct Seat {
    pub(super) attachment: Attachment,
    /// Rings when the session is ended, or wanted by another connection.
    pub(super) ending: Arc<Notify>,
}

/// What the negotiation knows beside the machine.
pub(super) struct Negotiation<'a, L> {
    pub(super) instance: &'a Arc<Instance>,
    pub(super) link: &'a Arc<L>,
    /// The host that the stream is for, once it is known.
    pub(super) host: Option<Jid>,
    /// A try to log in is under way.
    pub(super) trying: bool,
    /// The StoredKey that the last password was compared with.
    pub(super) stored_key: Option<Box<[u8]>>,
    /// The store knows of the client's login already.
    pub(super) noted: bool,
    /// The id of the client, where it logged in by a token that it still has.
    pub(super) token_of: Option<String>,
    pub(super) seat: Option<Seat>,
}

/// What became of the machine's wishes.
enum Step {
    /// It wants to be told more.
    Go,
    /// A resource is bound.
    Bound(Box<Bound>),
    /// The connection is over.
    Over,
}

/// Negotiates until a resource is bound; `None` when the connection ended before.
pub(super) async fn negotiate<L: Link>(
    instance: &Arc<Instance>,
    link: &Arc<L>,
    opening: Opening,
) -> Option<Negotiated> {
    let (security, began) = match opening {
        Opening::Plain { began, .. } => (Security::Plain, began),
        Opening::Tls { began, .. } => (Security::DirectTls, began),
    };
    let settings = instance.stream_settings();
    let mut machine = Receiving::new(settings, security, instance.random.clone(), began);
    let mut negotiation = Negotiation {
        instance,
        link,
        host: None,
        trying: false,
        stored_key: None,
        noted: false,
        token_of: None,
        seat: None,
    };
    let now = instance.core.clock().uptime();
    match opening {
        Opening::Tls { tls, .. } => machine.handle(Input::TlsReady(tls), now),
        Opening::Plain { first, .. } if first.is_empty() => {}
        Opening::Plain { first, .. } => machine.handle(Input::Bytes(&first), now),
    }
    let mut bucket = Bucket::new(began);
    loop {
        match negotiation.attend(&mut machine).await {
            Step::Go => negotiation.read(&mut machine, &mut bucket).await,
            Step::Bound(bound) => return negotiation.finish(machine, bound),
            Step::Over => break,
        }
    }
    negotiation.end_try(true);
    // A session whose client never heard of it: what came for it meanwhile is looked after.
    if let Some(seat) = negotiation.seat {
        leave(instance, seat).await;
    }
    None
}

impl<L: Link> Negotiation<'_, L> {
    pub(super) fn now(&self) -> Duration {
        self.instance.core.clock().uptime()
    }

    /// Does all that the machine wants done.
    async fn attend(&mut self, machine: &mut Receiving) -> Step {
        while let Some(output) = machine.poll() {
            let input = match output {
                Output::Write(bytes) => {
                    self.link.write(&bytes);
                    continue;
                }
                Output::StartTls => {
                    let within = self.instance.core.config().limits.timeouts.tls_handshake;
                    match self.link.start_tls(within).await {
                        Ok(tls) => Input::TlsReady(tls),
                        Err(cause) => {
                            tracing::debug!(peer = %self.link.peer(), cause, "no TLS");
                            return Step::Over;
                        }
                    }
                }
                Output::Ask(question) => Input::Answer(self.answer(question).await),
                Output::PreAuth(stanza) => {
                    let answer = answers::stranger(self, *stanza).await;
                    Input::Answer(Answer::PreAuth(answer.map(Box::new)))
                }
                Output::Bound(bound) | Output::Resumed(bound) => return Step::Bound(bound),
                Output::Close => {
                    self.close().await;
                    return Step::Over;
                }
                _ => return Step::Over,
            };
            machine.handle(input, self.now());
        }
        Step::Go
    }

    async fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Host(domain) => answers::host(self, &domain),
            Question::Credentials { account, mechanism } => {
                answers::credentials(self, &account, mechanism).await
            }
            Question::Plain { account, password } => {
                answers::plain(self, &account, &password.0).await
            }
            Question::Anonymous(host) => answers::anonymous(self, &host),
            Question::Tokens { account, client } => tokens::known(self, &account, &client).await,
            Question::Token(request) => tokens::used(self, *request).await,
            Question::Lacks { account, hashes } => tokens::lacks(self, &account, hashes).await,
            Question::AddKeys { account, keys } => tokens::add_keys(self, &account, keys).await,
            Question::Bind(request) => answers::bind(self, &request).await,
            Question::Resume(request) => answers::resume(self, &request).await,
            _ => Answer::Failed,
        }
    }

    /// Reads once and gives it to the machine, or the time that has run out.
    async fn read(&mut self, machine: &mut Receiving, bucket: &mut Bucket) {
        let failed = machine.failed_logins();
        let now = self.now();
        let left = machine
            .deadline()
            .map(|deadline| deadline.saturating_sub(now));
        let read = read(self.link, |bytes| {
            machine.handle(Input::Bytes(bytes), now);
            bytes.len()
        });
        let result = tokio::select! {
            // Reading comes last: whoever always has bytes ready has no more time than others.
            biased;
            () = self.instance.stopping() => {
                machine.handle(Input::Shutdown, self.now());
                return;
            }
            () = sleep(left) => {
                machine.handle(Input::Timeout, self.now());
                return;
            }
            read = read => read,
        };
        if machine.failed_logins() > failed {
            tracing::info!(peer = %self.link.peer(), "login failed");
            self.end_try(true);
        }
        match result {
            Ok(Read::Data(count)) => {
                let rate = self.instance.core.config().limits.rate_before_login;
                if let Some(wait) = bucket.take(count, rate, self.now()) {
                    tokio::time::sleep(wait).await;
                }
            }
            Ok(Read::Closed(_)) | Err(_) => machine.handle(Input::Eof, self.now()),
        }
    }

    /// The try to log in that is under way, if one is, came to its end.
    pub(super) fn end_try(&mut self, failed: bool) {
        if std::mem::take(&mut self.trying) {
            let window = self.instance.core.config().limits.login_failures_window;
            let peer = self.link.peer();
            self.instance.failures.end(peer, failed, window, self.now());
        }
    }

    async fn close(&self) {
        let within = self.instance.core.config().limits.timeouts.close;
        self.link.finish(within).await;
    }

    fn finish(self, machine: Receiving, bound: Box<Bound>) -> Option<Negotiated> {
        let seat = self.seat?;
        let (established, rest) = machine.into_established();
        Some(Negotiated {
            bound,
            established,
            rest,
            seat,
        })
    }
}

/// Gives up a session that was bound or resumed, and whose client never heard of it.
async fn leave(instance: &Arc<Instance>, seat: Seat) {
    let session = Arc::clone(seat.attachment.session());
    if session.resumable_for().is_some() && !session.has_ended() {
        return instance.core.detach(seat.attachment);
    }
    drop(seat);
    if let Some(pending) = instance.core.ended(&session) {
        pending.await;
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
