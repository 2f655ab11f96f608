//! What each admin request does.

use std::sync::Arc;

use balcony_admin_api::{
    Account, Answer, Direction, ErrorKind, HostStats, Invite, RemoteQueue, Request, ServerStream,
    Session, Stats, TraceLine, VERSION as API_VERSION, Versions,
};
use balcony_core::trace::Writer;
use balcony_core::{Core, Error};
use balcony_federation::{self as federation, StreamFacts};
use balcony_modules::register;
use balcony_proto::jid::Jid;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_store::WriteSet;
use tokio::io::AsyncWriteExt;

use super::send;
use crate::VERSION;
use crate::c2s::Access;
use crate::process::Process;

/// Does what is asked, and says how it went.
pub(super) async fn answer(process: &Arc<Process>, request: Request) -> Answer {
    let core = &process.instance.core;
    let outcome = match request {
        Request::Ping => Ok(Answer::Done),
        Request::Version => Ok(Answer::Version(Versions {
            server: VERSION.to_owned(),
            api: API_VERSION,
        })),
        Request::UserAdd { jid, password } => user_add(core, &jid, password.reveal()).await,
        Request::UserPasswd { jid, password } => {
            done(async {
                core.set_password(&account(&jid)?, password.reveal(), None)
                    .await
            })
            .await
        }
        Request::UserDel { jid } => {
            done(async { core.delete_account(&account(&jid)?).await }).await
        }
        Request::UserDisable { jid } => {
            done(async { core.set_enabled(&account(&jid)?, false).await }).await
        }
        Request::UserEnable { jid } => {
            done(async { core.set_enabled(&account(&jid)?, true).await }).await
        }
        Request::UserList { host, after, limit } => user_list(core, host, after, limit).await,
        Request::UserSessions { jid } => account(&jid).map(|jid| user_sessions(core, &jid)),
        Request::SessionEnd { jid, reason } => session_end(core, &jid, reason),
        Request::Reload => Ok(reload(process).await),
        Request::Stats => stats(process).await,
        Request::FederationList { domain } => Ok(federation_list(process, domain.as_deref())),
        Request::FederationKick { domain } => Ok(Answer::Kicked {
            streams: process.federate.federation.kick(&domain) as u64,
        }),
        Request::InviteCreate {
            host,
            expires_seconds,
        } => invite(core, &host, expires_seconds).await,
        _ => Err(Error::Malformed(
            "this server does not know that request".into(),
        )),
    };
    outcome.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &Error) -> Answer {
    let kind = match error {
        Error::Malformed(_) => ErrorKind::Invalid,
        Error::NoSuchHost(_) | Error::NoSuchAccount(_) => ErrorKind::NotFound,
        Error::AccountExists(_) => ErrorKind::Conflict,
        Error::Store(_) => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let answer = Answer::error(kind, error.to_string());
    match error {
        Error::NoSuchHost(_) => {
            answer.with_hint("the hosts stand in [[host]] of the configuration")
        }
        Error::AccountExists(_) => answer.with_hint("`balcony user passwd` changes its password"),
        Error::NoSuchAccount(_) => answer.with_hint("`balcony user list` shows the accounts"),
        _ => answer,
    }
}

fn account(text: &str) -> Result<Jid, Error> {
    Jid::parse(text).map_err(|error| Error::Malformed(format!("{text} is no address: {error}")))
}

async fn done(work: impl Future<Output = Result<(), Error>>) -> Result<Answer, Error> {
    work.await.map(|()| Answer::Done)
}

async fn user_add(core: &Arc<Core>, jid: &str, password: &str) -> Result<Answer, Error> {
    let pending = core
        .create_account(&account(jid)?, password, WriteSet::default())
        .await?;
    if let Some(pending) = pending {
        pending.await;
    }
    Ok(Answer::Done)
}

async fn user_list(
    core: &Core,
    host: Option<String>,
    after: Option<String>,
    limit: u32,
) -> Result<Answer, Error> {
    let limit = limit.clamp(1, balcony_admin_api::MAX_PAGE);
    let after = after.map(|after| account(&after)).transpose()?;
    let hosts = match host {
        Some(host) => vec![core.host(&host).ok_or(Error::NoSuchHost(host))?],
        None => core.hosts(),
    };
    let mut accounts = Vec::new();
    for host in hosts {
        let after = after.as_ref().filter(|after| after.domain() >= host.name());
        if after.is_some_and(|after| after.domain() > host.name()) {
            continue;
        }
        let room = limit
            .saturating_add(1)
            .saturating_sub(accounts.len() as u32);
        let from = after.and_then(Jid::local);
        for entry in core
            .store()
            .accounts()
            .list(host.name(), from, room)
            .await?
        {
            let jid = format!("{}@{}", entry.user, host.name());
            let sessions = core.sessions().of(&jid).len() as u32;
            accounts.push(Account {
                jid,
                disabled: !entry.enabled,
                sessions,
            });
        }
    }
    let more = accounts.len() > limit as usize;
    accounts.truncate(limit as usize);
    Ok(Answer::Accounts { accounts, more })
}

fn user_sessions(core: &Core, account: &Jid) -> Answer {
    let uptime = core.clock().coarse_seconds();
    let sessions = core.sessions().of(account.bare_str());
    let sessions = sessions.iter().map(|session| {
        let access = session.notes(|notes| notes.get::<Access>().cloned());
        let (connected, active) = (session.bound_at(), session.last_active());
        Session {
            jid: session.jid().to_string(),
            connected_seconds: u64::from(uptime.saturating_sub(connected)),
            idle_seconds: u64::from(uptime.saturating_sub(active)),
            address: access.as_ref().map(|access| access.address.to_string()),
            tls: access
                .as_ref()
                .and_then(|a| a.encrypted.then(|| "TLS".to_owned())),
            mechanism: access
                .as_ref()
                .map(|access| access.mechanism.as_str().to_owned()),
            client: access.and_then(|access| access.client).map(String::from),
            priority: session.is_available().then(|| session.priority()),
            queue_bytes: session.queued_bytes() as u64,
        }
    });
    Answer::Sessions {
        sessions: sessions.collect(),
    }
}

fn session_end(core: &Arc<Core>, jid: &str, reason: Option<String>) -> Result<Answer, Error> {
    let jid = account(jid)?;
    let mut sessions = core.sessions().of(jid.bare_str());
    sessions.retain(|session| jid.is_bare() || *session.jid() == jid);
    if sessions.is_empty() {
        return Ok(Answer::error(
            ErrorKind::NotFound,
            format!("{jid} has no session"),
        ));
    }
    let mut error = StreamError::new(StreamCondition::PolicyViolation);
    error.text = reason.map(Into::into);
    for session in sessions {
        core.end_session(&session, error.clone());
    }
    Ok(Answer::Done)
}

async fn reload(process: &Arc<Process>) -> Answer {
    match process.reload().await {
        Ok(reloaded) => Answer::Reloaded {
            changed: reloaded.changed,
            needs_restart: reloaded.needs_restart,
            problems: Vec::new(),
        },
        Err(problems) => Answer::Reloaded {
            changed: Vec::new(),
            needs_restart: Vec::new(),
            problems,
        },
    }
}

async fn stats(process: &Process) -> Result<Answer, Error> {
    let core = &process.instance.core;
    let mut hosts = Vec::new();
    for host in core.hosts() {
        let mut sessions = 0;
        core.sessions().each(|session| {
            sessions += u64::from(session.account().domain() == host.name());
        });
        let accounts = core.store().accounts().count(host.name()).await?;
        hosts.push(HostStats {
            host: host.name().to_owned(),
            accounts,
            sessions,
        });
    }
    let sessions = core.sessions().count() as u64;
    Ok(Answer::Stats(Stats {
        uptime_seconds: core.clock().uptime().as_secs(),
        sessions,
        unauthenticated: process.instance.strangers() as u64,
        memory_bytes: memory_bytes(),
        hosts,
        counters: [
            ("connections_refused".to_owned(), process.gate.refused()),
            ("panics".to_owned(), process.instance.panics()),
        ]
        .into_iter()
        .chain(process.federate.federation.counters())
        .collect(),
    }))
}

fn federation_list(process: &Process, domain: Option<&str>) -> Answer {
    let core = &process.instance.core;
    let federation = &process.federate.federation;
    let wanted = |of: &str| domain.is_none_or(|domain| domain == of);
    let streams = federation.streams(core).into_iter();
    let streams = streams
        .filter(|stream| domain.is_none() || stream.remotes.iter().any(|remote| wanted(remote)));
    let queues = federation.queues(core).into_iter();
    Answer::Federation {
        streams: streams.map(server_stream).collect(),
        queues: queues
            .filter(|queue| wanted(&queue.domain))
            .map(|queue| RemoteQueue {
                domain: queue.domain,
                stanzas: queue.stanzas as u64,
                bytes: queue.bytes as u64,
                failure: queue.failure,
                retry_seconds: queue.retry_in.map(|time| time.as_secs()),
            })
            .collect(),
    }
}

fn server_stream(stream: StreamFacts) -> ServerStream {
    ServerStream {
        incoming: stream.direction == federation::Direction::Incoming,
        locals: stream.locals,
        remotes: stream.remotes,
        address: stream.address.map(|address| address.to_string()),
        encrypted: stream.encrypted,
        proof: stream.proof.map(str::to_owned),
        bidirectional: stream.bidirectional,
        acknowledged: stream.acknowledged,
        age_seconds: stream.age.as_secs(),
        idle_seconds: stream.idle.as_secs(),
        sent: stream.sent,
        received: stream.received,
    }
}

/// Resident memory of this process; 0 where the system does not tell.
fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

async fn invite(
    core: &Arc<Core>,
    host: &str,
    expires_seconds: Option<u64>,
) -> Result<Answer, Error> {
    let host = core
        .host(host)
        .ok_or_else(|| Error::NoSuchHost(host.to_owned()))?;
    let invite = register::create_invite(core, &host, None, expires_seconds).await?;
    Ok(Answer::Invite(Invite {
        host: host.name().to_owned(),
        token: invite.token,
        uri: invite.uri,
        expires: u64::try_from(invite.expires_at_micros / 1_000_000).ok(),
    }))
}

/// Shows the streams of an account until the other side closes.
pub(super) async fn trace(
    process: &Process,
    jid: &str,
    write: &mut (impl AsyncWriteExt + Unpin),
) -> std::io::Result<()> {
    let core = &process.instance.core;
    let account = match account(jid) {
        Ok(account) => account.bare(),
        Err(error) => return send(write, &failed(&error)).await,
    };
    let mut pieces = core.trace().watch(account.as_str());
    for session in core.sessions().of(account.as_str()) {
        session.set_traced(true);
    }
    while let Some(piece) = pieces.recv().await {
        let line = TraceLine {
            time_micros: u64::try_from(piece.utc_micros).unwrap_or(0),
            session: piece.session.clone(),
            direction: match piece.writer {
                Writer::Client => Direction::Read,
                Writer::Server => Direction::Wrote,
            },
            text: piece.xml.clone(),
        };
        send(write, &Answer::Trace(line)).await?;
    }
    Ok(())
}
