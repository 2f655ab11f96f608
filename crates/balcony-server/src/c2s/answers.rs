//! The answers to what the stream machine asks.

use std::sync::Arc;

use balcony_core::config::{HostConfig, Registration};
use balcony_core::module::{Event, Host};
use balcony_core::resume::NotResumed;
use balcony_core::{Core, Session, SessionClient};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::sasl::Mechanism;
use balcony_proto::stanza::{Stanza, StanzaError};
use balcony_proto::xml::Element;
use balcony_stream::management::{self, Management};
use balcony_stream::receiving::{
    Answer, BindAnswer, BindRequest, Credentials, ResumeRequest, Resumption, Verdict,
};
use balcony_stream::{HostFacts, UserAgent};
use tokio::sync::Notify;

use super::link::Link;
use super::managed;
use super::negotiate::{Negotiation, Seat};
use super::output::Bell;
use super::tokens;

/// Is this domain served, and how does one log in there?
pub(super) fn host<L: Link>(stream: &mut Negotiation<'_, L>, domain: &str) -> Answer {
    let config = stream.instance.core.config();
    let found = stream.instance.core.host(domain).zip(config.host(domain));
    let Some((host, settings)) = found else {
        return Answer::Host(None);
    };
    stream.host = Some(host.jid().clone());
    let features = |after_login| stream.instance.core.stream_features(&host, after_login);
    let mechanisms = mechanisms(settings);
    let counts = stream.instance.core.key_counts(Host::name(&host));
    Answer::Host(Some(Arc::new(HostFacts {
        key_counts: tokens::key_counts(&counts),
        upgrades: tokens::upgrades(&mechanisms, &counts),
        fast: true,
        mechanisms,
        tls_required: config.tls.required,
        registration: host.registration() != Registration::Closed,
        iterations: config.auth.iterations,
        features_before_login: features(false),
        features_after_login: features(true)
            .into_iter()
            .chain([management::feature()])
            .collect(),
        inline: vec![management::feature()],
        bind_inline: [ns::SM]
            .into_iter()
            .chain(stream.instance.core.bind_inline_vars())
            .map(str::to_owned)
            .collect(),
        ..HostFacts::new(Host::name(&host))
    })))
}

fn mechanisms(host: &HostConfig) -> Vec<Mechanism> {
    let named = host
        .mechanisms
        .iter()
        .filter_map(|name| Mechanism::parse(name));
    named
        .chain(host.anonymous.then_some(Mechanism::Anonymous))
        .collect()
}

/// The SCRAM keys of an account.
pub(super) async fn credentials<L: Link>(
    stream: &mut Negotiation<'_, L>,
    account: &Jid,
    mechanism: Mechanism,
) -> Answer {
    let (true, Some(user), Some(hash)) = (may_try(stream), account.local(), mechanism.hash())
    else {
        return Answer::Failed;
    };
    match stream
        .instance
        .core
        .login(account.domain(), user, hash)
        .await
    {
        Ok(Some(login)) => {
            stream.stored_key = Some(login.keys.stored_key.clone());
            Answer::Credentials(Credentials::Keys {
                keys: login.keys,
                disabled: !login.enabled,
            })
        }
        Ok(None) => Answer::Credentials(Credentials::Unknown),
        Err(cause) => {
            tracing::error!(%cause, "nobody can log in: the store does not answer");
            Answer::Failed
        }
    }
}

/// Is this the password?
pub(super) async fn plain<L: Link>(
    stream: &mut Negotiation<'_, L>,
    account: &Jid,
    password: &str,
) -> Answer {
    let (true, Some(user)) = (may_try(stream), account.local()) else {
        return Answer::Failed;
    };
    let core = &stream.instance.core;
    match core.verify_password(account.domain(), user, password).await {
        Ok(Some(login)) if login.enabled => {
            stream.stored_key = Some(login.keys.stored_key);
            Answer::Verdict(Verdict::Right)
        }
        Ok(Some(_)) => Answer::Verdict(Verdict::Disabled),
        Ok(None) => Answer::Verdict(Verdict::Wrong),
        Err(cause) => {
            tracing::error!(%cause, "nobody can log in: the store does not answer");
            Answer::Failed
        }
    }
}

/// Whether the address may try to log in: not after too many failures. Many who log in at the same
/// time from behind one address do not keep each other out.
pub(super) fn may_try<L: Link>(stream: &mut Negotiation<'_, L>) -> bool {
    stream.end_try(true);
    stream.noted = false;
    let limits = &stream.instance.core.config().limits;
    let (window, now) = (limits.login_failures_window, stream.now());
    let peer = stream.link.peer();
    let max = limits.login_failures_per_address;
    stream.trying = stream.instance.failures.begin(peer, max, window, now);
    if !stream.trying {
        tracing::info!(%peer, "too many failed logins from this address");
    }
    stream.trying
}

/// An address for a client without an account (XEP-0175).
pub(super) fn anonymous<L: Link>(stream: &Negotiation<'_, L>, host: &str) -> Answer {
    let user = stream.instance.random.token().to_lowercase();
    Answer::Anonymous(Jid::from_parts(Some(&user), host, None).ok())
}

/// Installs the session.
pub(super) async fn bind<L: Link>(
    stream: &mut Negotiation<'_, L>,
    request: &BindRequest,
) -> Answer {
    // Who is asked to bind has proved the password.
    stream.end_try(false);
    let ending = Arc::new(Notify::new());
    let bell = Bell {
        link: Arc::clone(stream.link),
        ending: Arc::clone(&ending),
    };
    let core = &stream.instance.core;
    make_way(core, request).await;
    let session = match core.bind(&request.account, Some(&request.resource), Arc::new(bell)) {
        Ok(session) => session,
        Err(error) => return Answer::Bind(Err(error)),
    };
    // Whoever takes the access of a client away finds its session by this.
    session.logged_in(login(core, request.client.as_ref(), request.mechanism));
    if let Err(error) = still_allowed(stream, &request.account, request.mechanism).await {
        if let Some(pending) = core.ended(&session) {
            pending.await;
        }
        return Answer::Bind(Err(error));
    }
    tokens::note(stream, &session);
    // The modules are ready before anybody knows the full JID: what is sent to it finds them so.
    if let Some(pending) = core.fire(Event::Bound(Arc::clone(&session))) {
        pending.await;
    }
    let mut answer = BindAnswer::new(session.jid().clone());
    if request.bind2 {
        answer.bound = inline(core, &session, request).await;
    }
    let Some(attachment) = session.attach() else {
        return Answer::Failed;
    };
    stream.seat = Some(Seat { attachment, ending });
    Answer::Bind(Ok(answer))
}

/// Does an earlier session go on over this stream (XEP-0198 §5)?
pub(super) async fn resume<L: Link>(
    stream: &mut Negotiation<'_, L>,
    request: &ResumeRequest,
) -> Answer {
    // Who may ask has proved the password.
    stream.end_try(false);
    let core = &stream.instance.core;
    if let Err(error) = still_allowed(stream, &request.account, request.mechanism).await {
        return Answer::Resume(Resumption::Failed(management::failed(&error, None)));
    }
    let ending = Arc::new(Notify::new());
    let bell = Arc::new(Bell {
        link: Arc::clone(stream.link),
        ending: Arc::clone(&ending),
    });
    let resumed = core
        .resume(&request.account, &request.previd, request.h, bell)
        .await;
    Answer::Resume(match resumed {
        Ok(resumed) => {
            let session = resumed.attachment.session();
            session.logged_in(login(core, request.client.as_ref(), request.mechanism));
            tokens::note(stream, session);
            let jid = session.jid().clone();
            tracing::info!(%jid, peer = %stream.link.peer(), "resumed");
            stream.seat = Some(Seat {
                attachment: resumed.attachment,
                ending,
            });
            Resumption::Resumed {
                jid,
                resumed: management::resumed(&request.previd, resumed.handled),
            }
        }
        // §5
        Err(NotResumed::Unknown { handled }) => {
            let error = StanzaError::item_not_found();
            Resumption::Failed(management::failed(&error, handled))
        }
        // §6 wants a stream error for an answer that is too high, and calls the errors of a
        // request recoverable.
        Err(NotResumed::TooHigh { .. }) => {
            Resumption::Failed(management::failed(&StanzaError::bad_request(), None))
        }
    })
}

/// The client of a session (XEP-0388 §2.3), which has logged in just now.
fn login(core: &Core, client: Option<&UserAgent>, mechanism: Mechanism) -> SessionClient {
    let UserAgent {
        id,
        software,
        device,
    } = client.cloned().unwrap_or_default();
    SessionClient {
        id,
        software,
        device,
        password: proves_password(mechanism),
        since: core.clock().utc_micros(),
    }
}

fn proves_password(mechanism: Mechanism) -> bool {
    !mechanism.is_fast() && mechanism != Mechanism::Anonymous
}

/// What the client wants enabled with the binding (XEP-0386 §3.2), and what it hears of it.
async fn inline(core: &Arc<Core>, session: &Arc<Session>, request: &BindRequest) -> Vec<Element> {
    let mut bound = Vec::new();
    for wish in &request.inline {
        if let Some(Management::Enable { resume, max }) = Management::parse(wish) {
            bound.push(managed::enable_inline(core, session, resume, max).await);
        }
    }
    bound.extend(core.bind_inline(session, &request.inline).await);
    bound
}

/// Whether the account is still there and enabled with the same password, as it was when it
/// authenticated. Asked when the session is in the table: who changes this later finds it there.
async fn still_allowed<L: Link>(
    stream: &Negotiation<'_, L>,
    account: &Jid,
    mechanism: Mechanism,
) -> Result<(), StanzaError> {
    if mechanism == Mechanism::Anonymous {
        return Ok(());
    }
    let core = &stream.instance.core;
    if let Some(client) = &stream.token_of {
        return tokens::still_good(core, account, client).await;
    }
    match core.may_log_in(account, stream.stored_key.as_deref()).await {
        Ok(true) => Ok(()),
        // RFC 6120 §7.6.2.2
        Ok(false) => Err(StanzaError::not_allowed()),
        Err(cause) => {
            tracing::error!(%cause, "nobody can bind: the store does not answer");
            Err(StanzaError::internal_server_error())
        }
    }
}

/// Sessions whose place the new one takes are over before it is there: that with its full JID
/// (RFC 6120 §7.7.2.2), and older ones of the same client software (XEP-0386 §3.2).
async fn make_way(core: &Arc<Core>, request: &BindRequest) {
    let client = request
        .client
        .as_ref()
        .and_then(|client| client.id.as_ref());
    let full = request.account.with_resource(&request.resource).ok();
    for other in core.sessions().of(request.account.as_str()) {
        let known = other.client();
        let known = known.as_ref().and_then(|known| known.id.as_ref());
        let same = known.is_some() && known == client;
        if (same || full.as_ref() == Some(other.jid()))
            && let Some(pending) = core.make_way(&other)
        {
            pending.await;
        }
    }
}

/// The answer to an iq before login (XEP-0077 §3.1).
pub(super) async fn stranger<L: Link>(
    stream: &Negotiation<'_, L>,
    stanza: Stanza,
) -> Option<Stanza> {
    let Some(host) = stream.host.as_ref() else {
        return stanza.error(&StanzaError::service_unavailable());
    };
    stream
        .instance
        .core
        .answer_stranger(stanza, host, stream.link.peer())
        .await
}
