//! An account for somebody who has none yet (XEP-0077 §3.1).

use std::net::IpAddr;
use std::sync::Arc;

use balcony_core::module::Registration;
use balcony_core::module::{Answer, BoxFuture, Ctx, Host, Request};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{ErrorType, Payload, StanzaError};
use balcony_store::WriteSet;

use super::settings::Settings;
use super::{Registrar, fields, invite, refused};

/// What is to be filled in.
pub(super) fn get(ctx: &mut Ctx<'_>, request: &Request) -> Answer {
    let host = host(ctx, request)?;
    Ok(Payload::from_element(&fields::asked(host.registration())))
}

/// What was filled in.
pub(super) fn set<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let host = host(ctx, request)?;
        let query = request.element()?;
        if query.child(ns::REGISTER, "remove").is_some() {
            // §3.2, the table: nobody is registered here yet.
            return Err(StanzaError::unexpected_request());
        }
        let submitted = fields::registration(&query, host.registration())?;
        let (username, password) = (submitted.username.as_deref(), submitted.password.as_deref());
        let settings = Settings::new(&ctx.config());
        let account = wanted(&host, &settings, username.unwrap_or_default())?;
        let password = password.unwrap_or_default();
        settings.check_password(password)?;
        charge(ctx, &settings, request.stranger)?;
        let with = match host.registration() {
            Registration::Invite => {
                let token = submitted.token.as_deref().unwrap_or_default();
                invite::take(ctx, &host, token).await?
            }
            _ => WriteSet::new(),
        };
        if ctx.core().is_admin_anywhere(&account) {
            // Its name gives powers (XEP-0133 §6), which no stranger may take. It looks taken.
            return Err(StanzaError::conflict());
        }
        create(ctx, &account, password, with).await?;
        tracing::info!(%account, from = ?request.stranger, "registered");
        Ok(Payload::empty())
    })
}

/// The host, where it lets strangers register.
fn host(ctx: &Ctx<'_>, request: &Request) -> Result<Arc<Host>, StanzaError> {
    // A stranger's request has the host as its `to`, and no `from`.
    let to = request.stanza.to.as_ref();
    let host = to.and_then(|to| ctx.host(to.domain()));
    let open = host.filter(|host| host.registration() != Registration::Closed);
    open.ok_or_else(|| match request.is_set() {
        true => StanzaError::not_allowed(),
        // §3.1: a host that does not support it.
        false => StanzaError::service_unavailable(),
    })
}

/// The address that somebody wants (RFC 7622 §3.3).
fn wanted(host: &Host, settings: &Settings, username: &str) -> Result<Jid, StanzaError> {
    let account = Jid::from_parts(Some(username), host.name(), None)
        .map_err(|_| StanzaError::not_acceptable().with_text("this is no username"))?;
    if account
        .local()
        .is_some_and(|local| settings.reserves(local))
    {
        return Err(StanzaError::not_acceptable().with_text("this username is reserved"));
    }
    Ok(account)
}

fn charge(ctx: &Ctx<'_>, settings: &Settings, stranger: Option<IpAddr>) -> Result<(), StanzaError> {
    let (Some(registrar), Some(address)) = (ctx.state::<Registrar>(), stranger) else {
        return Err(StanzaError::internal_server_error());
    };
    let (max, now) = (settings.tries_per_address, ctx.core().clock().uptime());
    if registrar.tries.take(address, max, settings.window, now) {
        return Ok(());
    }
    tracing::info!(%address, "too many registrations from this address");
    // §3.1.1: not-acceptable for who tries too often. It passes by waiting.
    Err(StanzaError::not_acceptable()
        .with_type(ErrorType::Wait)
        .with_text("too many registrations from your address; try again later"))
}

async fn create(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    password: &str,
    with: WriteSet,
) -> Result<(), StanzaError> {
    let registrar = ctx.state::<Registrar>();
    let registrar = registrar.ok_or_else(StanzaError::internal_server_error)?;
    let by_invitation = !with.is_empty();
    let created = {
        let _turn = registrar.keys.acquire().await;
        ctx.core().create_account(account, password, with).await
    };
    match created {
        Ok(Some(pending)) => pending.await,
        Ok(None) => {}
        // Somebody else used the invitation in the meantime.
        Err(balcony_core::module::Error::Store(balcony_store::Error::NotFound))
            if by_invitation =>
        {
            return Err(invite::not_good());
        }
        Err(cause) => return Err(refused(cause)),
    }
    Ok(())
}
