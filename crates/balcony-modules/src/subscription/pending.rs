//! What waits for an answer is asked again when somebody comes online.

use balcony_core::module::{BoxFuture, Ctx, Event, Session};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::PresenceType;
use balcony_store::Result;

use super::stanza;
use crate::{blocking, roster, stored};

pub(super) fn on_available<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let Event::Available {
            session,
            first: true,
        } = event
        else {
            return;
        };
        if let Err(cause) = ask_again(ctx, session).await {
            tracing::warn!(%cause, session = %session.jid(), "requests were not sent again");
        }
    })
}

async fn ask_again(ctx: &mut Ctx<'_>, session: &std::sync::Arc<Session>) -> Result<()> {
    let account = session.account();
    let contacts = roster::contacts(ctx, account).await?;
    if !contacts.pending().is_empty() {
        deliver(ctx, session).await?;
    }
    // §3.1.2, the last paragraph: recovers from a request, or an answer to it, that was lost. The
    // account's first resource does it; the others would only repeat it.
    let available = ctx
        .sessions_of(account)
        .iter()
        .filter(|other| other.is_available())
        .count();
    if available > 1 {
        return Ok(());
    }
    for contact in contacts
        .items()
        .iter()
        .filter(|contact| contact.standing.ask)
    {
        ctx.send(request(account, &contact.jid, session.id()));
    }
    Ok(())
}

/// RFC 6121 §3.1.3 point 4: whenever the user creates an available resource, until the user
/// answers.
async fn deliver(ctx: &mut Ctx<'_>, session: &std::sync::Arc<Session>) -> Result<()> {
    let data = ctx
        .store()
        .roster()
        .load(session.account().as_str())
        .await?;
    for request in data.pending_in {
        let Some(stanza) = stored::decode(&request.stanza) else {
            continue;
        };
        // XEP-0191 §3.3: asked before it was blocked; it is asked again if the block ends.
        let blocked = match &stanza.from {
            Some(from) => blocking::blocks(ctx, session.account(), from).await?,
            None => false,
        };
        if !blocked {
            ctx.push(session, stanza);
        }
    }
    Ok(())
}

/// With an id, as §3.1.2 recommends for a request that is sent again.
fn request(account: &Jid, contact: &Jid, session: u64) -> balcony_proto::stanza::Stanza {
    stanza(PresenceType::Subscribe, account, contact).with_id(format!("again{session}"))
}
