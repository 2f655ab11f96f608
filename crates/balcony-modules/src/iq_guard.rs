//! RFC 6121 §8.5.3.1: a request for a resource is delivered to those who may know that it is there.

use std::future::ready;

use balcony_core::module::{
    Band, BoxFuture, Ctx, Envelope, Flow, Hook, HookSpec, Kinds, ModuleSpec, Spec, Stage,
};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::StanzaError;

use crate::presence;

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
        after: &[],
        changes: &[],
        hook: Hook::Waits(hook),
    }],
    conversations: &["rfc6121/iq"],
    ..ModuleSpec::NOTHING
};

fn hook<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> BoxFuture<'a, Flow> {
    match (envelope.from(), envelope.to()) {
        (Some(from), Some(to)) if is_strange(ctx, envelope, from, to) => {
            let (from, to) = (from.clone(), to.clone());
            Box::pin(guard(ctx, from, to))
        }
        _ => Box::pin(ready(Flow::Continue)),
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

async fn guard(ctx: &mut Ctx<'_>, from: Jid, to: Jid) -> Flow {
    // The same answer as for a resource that is not there (§8.5.3.2.3), which the router gives.
    let Some(session) = ctx.sessions().find(&to) else {
        return Flow::Continue;
    };
    match presence::is_shared(ctx, &to, Some(&session), &from).await {
        Ok(true) => Flow::Continue,
        Ok(false) => Flow::Reject(StanzaError::service_unavailable()),
        Err(cause) => {
            tracing::warn!(%cause, "a request was refused because the roster could not be read");
            Flow::Reject(StanzaError::service_unavailable())
        }
    }
}
