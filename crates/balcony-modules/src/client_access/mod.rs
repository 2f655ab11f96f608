//! XEP-0494 Client Access Management 0.1.0: people see which clients have access to their account,
//! and take it away.

mod clients;
mod reference;

use balcony_core::module::{
    Answer, BoxFuture, Ctx, Error, Feature, Handle, IqHandler, IqKind, ModuleSpec, Request,
    Session, Spec, Target, stanza_error,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_proto::xml::Element;
use std::sync::Arc;

use clients::{Client, clients};
use reference::Key;

/// Who has access.
///
/// §5: only the account itself may ask, so no other address has a handler.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "client_access",
    specs: &[
        Spec::xep("XEP-0494", "Client Access Management", "0.1.0").note(
            "revoking takes a client's tokens and ends its sessions also where it has to be told \
             that the password must be changed, too (§3.2)",
        ),
    ],
    features: &[Feature::account(ns::CLIENT_ACCESS)],
    iq: &[
        IqHandler {
            ns: ns::CLIENT_ACCESS,
            name: "list",
            kind: IqKind::Get,
            target: Target::OWN_ACCOUNT,
            handle: Handle::Waits(list),
        },
        IqHandler {
            ns: ns::CLIENT_ACCESS,
            name: "revoke",
            kind: IqKind::Set,
            target: Target::OWN_ACCOUNT,
            handle: Handle::Waits(revoke),
        },
    ],
    state: Some(|_| Box::new(Key::default())),
    conversations: &["xep-0494"],
    ..ModuleSpec::NOTHING
};

/// §3.1
fn list<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let clients = clients(ctx.core(), &request.account()?).await?;
        let clients = clients.iter().map(Client::to_element);
        let list = Element::new(ns::CLIENT_ACCESS, "clients").with_children(clients);
        Ok(Payload::from_element(&list))
    })
}

/// §3.2. A token is always got after a login by password, so there is hardly a client that has not
/// shown one, and the error of this section is what most requests end with. What it says is true: a
/// client may have kept the password. But nobody who takes access away wants the client to go on
/// meanwhile, so what can be done is done before it is said, as Prosody does: the tokens are gone,
/// the sessions are over, and with the next password the client is out for good.
fn revoke<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = request.account()?;
        let id = request.payload()?.attr("id");
        let id = id.ok_or_else(StanzaError::bad_request)?;
        let clients = clients(ctx.core(), &account).await?;
        let client = clients.into_iter().find(|client| client.id == *id);
        let client = client.ok_or_else(StanzaError::item_not_found)?;
        if let Some(installation) = &client.stored {
            let revoked = ctx.core().revoke_client(&account, installation).await;
            revoked.map_err(|cause| refused(&cause))?;
        }
        tracing::info!(%account, "the access of a client is revoked");
        // The session that asks may be one of those that end, so the answer goes in front.
        let answer = match client.password {
            true => ctx.refuse(request, password_reset_required()),
            false => ctx.answer(request, Payload::empty()),
        };
        end_sessions(ctx, &account, &client);
        answer
    })
}

fn refused(cause: &Error) -> StanzaError {
    match cause {
        // It was deleted meanwhile.
        Error::NoSuchAccount(_) => StanzaError::item_not_found(),
        Error::Store(cause) => stanza_error(cause),
        cause => {
            tracing::error!(%cause, "no access is revoked");
            StanzaError::internal_server_error()
        }
    }
}

fn password_reset_required() -> StanzaError {
    StanzaError::service_unavailable()
        .with_text("the client is logged out, and it has known the password")
        .with_app(Element::new(ns::CLIENT_ACCESS, "password-reset-required"))
}

/// Looks again for sessions: who had proved a token before it was revoked is in the table now, or
/// is told as it binds.
fn end_sessions(ctx: &Ctx<'_>, account: &Jid, client: &Client) {
    let one = |session: &Arc<Session>| client.sessions.contains(&session.id());
    let another = |session: &Arc<Session>| {
        let installation = session.client().and_then(|client| client.id.clone());
        installation.is_some() && installation == client.installation
    };
    for session in ctx.sessions_of(account) {
        if one(&session) || another(&session) {
            // RFC 6120 §4.9.3.12: the client is not authorized any more.
            let error = StreamError::new(StreamCondition::NotAuthorized);
            ctx.core().end_session(&session, error);
        }
    }
}
