//! RFC 6121 §8.5.3.1: a request for a resource is delivered to those who may know that it is there.

use balcony_core::module::{
    Band, Ctx, Envelope, Flow, Hook, HookSpec, Kinds, ModuleSpec, Soon, Spec, Stage,
};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;
use balcony_store::Result;

use crate::{presence, privilege, roster};

/// The guard before resources.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "iq_guard",
    specs: &[Spec::xep(
        "RFC 6121",
        "XMPP: Instant Messaging and Presence",
        "2011-03",
    )
    .note("§8.5.3.1, no request from strangers to a resource")],
    hooks: &[HookSpec {
        stage: Stage::Arriving,
        band: Band::Guard,
        kinds: Kinds::IQ,
        after: &["privilege"],
        changes: &[],
        hook: Hook::Waits(hook),
    }],
    conversations: &["rfc6121/iq"],
    ..ModuleSpec::NOTHING
};

fn hook<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    match (envelope.from(), envelope.to()) {
        (Some(from), Some(to)) if is_strange(ctx, envelope, from, to) => {
            let (from, to) = (from.clone(), to.clone());
            Soon::later(guard(ctx, from, to))
        }
        _ => Soon::Now(Flow::Continue),
    }
}

/// Whether the request comes from outside the account and is for one of its resources. Hosts of
/// this server know who is connected anyway.
fn is_strange(ctx: &Ctx<'_>, envelope: &Envelope, from: &Jid, to: &Jid) -> bool {
    envelope.stanza.is_request()
        && to.is_full()
        && from.bare_str() != to.bare_str()
        && !(from.is_domain() && ctx.host(from.domain()).is_some())
}

/// Whether somebody on another server may know that the resource is there: then the server knows
/// it too, and may ask what the resource can (XEP-0115 §4, XEP-0163 §4.3.2).
async fn is_shared_there(ctx: &mut Ctx<'_>, account: &Jid, server: &Jid) -> Result<bool> {
    let contacts = roster::contacts(ctx, &account.bare()).await?;
    let mut there = contacts.items().iter();
    Ok(there.any(|contact| {
        contact.jid.domain() == server.domain() && contact.standing.shows_presence()
    }))
}

async fn guard(ctx: &mut Ctx<'_>, from: Jid, to: Jid) -> Flow {
    // The same answer as for a resource that is not there (§8.5.3.2.3), which the router gives.
    let Some(session) = ctx.sessions().find(&to) else {
        return Flow::Continue;
    };
    // XEP-0356 §7.1: it was sent directed presence, which is no secret to it any more.
    if privilege::sees(ctx, &from, to.domain()) {
        return Flow::Continue;
    }
    let shared = match from.is_domain() && ctx.core().is_elsewhere(&from) {
        true => is_shared_there(ctx, &to, &from).await,
        false => presence::is_shared(ctx, &to, Some(&session), &from).await,
    };
    match shared {
        Ok(true) => Flow::Continue,
        Ok(false) => Flow::Reject(StanzaError::service_unavailable()),
        Err(cause) => {
            tracing::warn!(%cause, "a request was refused because the roster could not be read");
            Flow::Reject(StanzaError::service_unavailable())
        }
    }
}
