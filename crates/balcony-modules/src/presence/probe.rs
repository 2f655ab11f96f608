//! Presence probes (RFC 6121 §4.3.2, §4.6.6).

use balcony_core::module::{Ctx, Envelope, Flow, Session};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Payload, PresenceType, Stanza};
use balcony_proto::xep::delay::Delay;
use balcony_store::Result;

use super::{directed, is_shared};
use crate::roster;

/// Answers a probe on the account's behalf.
pub(super) async fn answer(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let (Some(prober), Some(to)) = (envelope.from().cloned(), envelope.to().cloned()) else {
        return Flow::Drop("a probe without an address");
    };
    let probe = Probe {
        prober,
        to,
        by_server: envelope.session().is_none(),
        asked: &envelope.stanza,
    };
    match probe.answer(ctx).await {
        Ok(()) => Flow::Handled,
        // §4.3: no error to a client for having sent a probe.
        Err(cause) => {
            tracing::warn!(%cause, from = ?envelope.from(), "a probe is not answered");
            Flow::Drop("the store did not answer a probe")
        }
    }
}

struct Probe<'a> {
    prober: Jid,
    to: Jid,
    /// Not written by a client of ours: by this server at a login, or by another one, whose clients
    /// are its own concern.
    by_server: bool,
    asked: &'a Stanza,
}

impl Probe<'_> {
    async fn answer(&self, ctx: &mut Ctx<'_>) -> Result<()> {
        if !is_shared(ctx, &self.to, None, &self.prober).await? {
            return self.refuse(ctx).await;
        }
        if self.to.is_full() {
            self.answer_for_resource(ctx);
            return Ok(());
        }
        let mut answered = false;
        for session in ctx.sessions_of(&self.to) {
            answered |= self.is_own(&session) || self.tell(ctx, &session);
        }
        // A client that comes online takes silence for absence, and need not be told of each
        // contact who is away (§4.3.2 point 3).
        if !answered && !self.is_from_our_login(ctx) {
            self.tell_absent(ctx).await?;
        }
        Ok(())
    }

    /// The resource that just came online and asks for the others of its account.
    fn is_own(&self, session: &Session) -> bool {
        *session.jid() == self.prober
    }

    fn is_from_our_login(&self, ctx: &Ctx<'_>) -> bool {
        self.by_server && ctx.host(self.prober.domain()).is_some()
    }

    /// Point 4: the whole last presence, with the id that it had (§4.3.2.1).
    fn tell(&self, ctx: &mut Ctx<'_>, session: &Session) -> bool {
        let Some(presence) = session.presence() else {
            return false;
        };
        ctx.send(presence.with_to(self.prober.clone()));
        true
    }

    /// Point 3: nobody is there, since then.
    async fn tell_absent(&self, ctx: &mut Ctx<'_>) -> Result<()> {
        let mut reply = self.reply(PresenceType::Unavailable, &self.to);
        if let Some(last) = ctx.store().last().get(self.to.bare_str()).await? {
            let delay = Delay {
                from: None,
                stamp: last.at,
                reason: None,
            };
            reply.payload = Payload::from_element(&delay.to_element());
        }
        ctx.send(reply);
        Ok(())
    }

    /// A probe for a full JID tells of that resource only, and only whether it is there.
    fn answer_for_resource(&self, ctx: &mut Ctx<'_>) {
        let session = ctx.sessions().find(&self.to);
        let kind = match session.filter(|session| session.is_available()) {
            Some(_) => PresenceType::Available,
            None => PresenceType::Unavailable,
        };
        ctx.send(self.reply(kind, &self.to));
    }

    /// Point 1: a server that believes in a subscription is told that there is none, whether the
    /// account exists or not. A client of ours learns nothing by asking: not whether its request
    /// waits, whether it is blocked or whether anybody is there (the SHOULD of point 1 is for
    /// servers, which alone are to send probes, §4.3).
    async fn refuse(&self, ctx: &mut Ctx<'_>) -> Result<()> {
        // §4.6.6: who got directed presence may ask for that resource.
        let session = ctx.sessions().find(&self.to);
        if session.is_some_and(|session| directed::includes(&session, &self.prober)) {
            ctx.send(self.reply(PresenceType::Available, &self.to));
            return Ok(());
        }
        if !self.by_server {
            return Ok(());
        }
        // Who asked for a subscription and still waits would take a refusal for the answer.
        let account = self.to.bare();
        if roster::contacts(ctx, &account)
            .await?
            .is_pending(self.prober.bare_str())
        {
            return Ok(());
        }
        let mut reply = self.reply(PresenceType::Unsubscribed, &account);
        reply.to = Some(self.prober.bare());
        ctx.send(reply);
        Ok(())
    }

    /// With the id of the probe (§4.3.2.1).
    fn reply(&self, kind: PresenceType, from: &Jid) -> Stanza {
        let mut reply = Stanza::presence(kind)
            .with_from(from.clone())
            .with_to(self.prober.clone());
        reply.id = self.asked.id.clone();
        reply
    }
}
