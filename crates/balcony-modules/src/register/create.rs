//! An account for somebody who has none yet (XEP-0077 §3.1).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::Registration;
use balcony_core::module::Throttle;
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
        if host.is_admin(&account) {
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
    let now = ctx.core().clock().uptime();
    if try_once(&registrar.tries, settings, address, now) {
        return Ok(());
    }
    tracing::info!(%address, "too many registrations from this address");
    // §3.1.1: not-acceptable for who tries too often. It passes by waiting.
    Err(StanzaError::not_acceptable()
        .with_type(ErrorType::Wait)
        .with_text("too many registrations from your address; try again later"))
}

/// Counts a try, if the address has one left.
fn try_once(tries: &Throttle, settings: &Settings, address: IpAddr, now: Duration) -> bool {
    if tries.is_spent(address, settings.tries_per_address, settings.window, now) {
        return false;
    }
    tries.count(address, settings.window, now);
    true
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

#[cfg(test)]
mod tests {
    use super::super::settings::parsed;
    use super::*;

    #[test]
    fn an_address_has_its_tries_and_gets_new_ones_later() {
        let settings = parsed("[registration]\ntries_per_address = 2\nwindow = \"1m\"\n");
        let tries = Throttle::default();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let try_at = |second| {
            let now = Duration::from_secs(second);
            try_once(&tries, &settings, address, now)
        };
        assert_eq!(
            [try_at(0), try_at(1), try_at(2), try_at(60)],
            [true, true, false, true]
        );
    }
}
