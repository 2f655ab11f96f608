//! What the owner of an account may do with it (XEP-0077 §3.1, §3.2, §3.3).

use balcony_core::module::{Answer, BoxFuture, Ctx, Request};
use balcony_proto::jid::{Jid, prepare_local};
use balcony_proto::ns;
use balcony_proto::stanza::{ErrorType, Payload, StanzaError};
use balcony_proto::xml::Element;

use super::settings::Settings;
use super::{Registrar, fields, refused};

/// §3.1: that the account is registered, and its name. The password is known to nobody here.
pub(super) fn get<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = owner(ctx, request).await?;
        let query = fields::query()
            .with_child(fields::text("registered", ""))
            .with_child(fields::text(
                "instructions",
                "You are registered. A new password takes the place of the old one.",
            ))
            .with_child(fields::text(
                "username",
                account.local().unwrap_or_default(),
            ))
            .with_child(fields::text("password", ""));
        Ok(Payload::from_element(&query))
    })
}

pub(super) fn set<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = owner(ctx, request).await?;
        let query = request.element()?;
        if query.child(ns::REGISTER, "remove").is_none() {
            // §3.3: an error does not return what was sent.
            let answer = change_password(ctx, request, &account, &query).await;
            return answer.map_err(StanzaError::without_quote);
        }
        if query.children().count() > 1 {
            // §3.2, the table.
            return Err(StanzaError::bad_request().with_text("remove stands alone"));
        }
        remove(ctx, request, &account).await
    })
}

/// The account of whoever asks, on the host that is asked. §3.2, the table: others were never
/// registered with it.
async fn owner(ctx: &mut Ctx<'_>, request: &Request) -> Result<Jid, StanzaError> {
    let account = request.from()?.bare();
    let is_ours = request.session.is_some() && account.domain() == request.host()?;
    // A guest has an address without an account (XEP-0175).
    if is_ours && ctx.core().account_exists(&account).await.map_err(refused)? {
        return Ok(account);
    }
    Err(StanzaError::registration_required())
}

/// §3.3. The session that asks stays, all others of the account end.
async fn change_password(
    ctx: &mut Ctx<'_>,
    request: &Request,
    account: &Jid,
    query: &Element,
) -> Answer {
    let settings = Settings::new(&ctx.config());
    if !settings.password_change {
        return Err(StanzaError::not_allowed());
    }
    let submitted = fields::change(query)?;
    let (Some(username), Some(password)) = (submitted.username, submitted.password) else {
        // An empty password MUST NOT take the place of the old one.
        return Err(StanzaError::bad_request().with_text("username and password are needed"));
    };
    if !names(&username, account) {
        return Err(StanzaError::forbidden());
    }
    settings.check_password(&password)?;
    let registrar = ctx.state::<Registrar>();
    let registrar = registrar.ok_or_else(StanzaError::internal_server_error)?;
    charge(ctx, registrar, &settings, account)?;
    {
        let _turn = registrar.keys.acquire().await;
        let own = request.session.as_deref();
        let changed = ctx.core().set_password(account, &password, own).await;
        changed.map_err(refused)?;
    }
    tracing::info!(%account, "password changed");
    Ok(Payload::empty())
}

fn charge(
    ctx: &Ctx<'_>,
    registrar: &Registrar,
    settings: &Settings,
    account: &Jid,
) -> Result<(), StanzaError> {
    let (max, now) = (settings.password_changes, ctx.core().clock().uptime());
    let account = account.clone();
    if registrar.changes.take(account, max, settings.window, now) {
        return Ok(());
    }
    Err(StanzaError::policy_violation()
        .with_type(ErrorType::Wait)
        .with_text("too many changes of the password; try again later"))
}

/// Whether a username is that of the account: the localpart, or the bare JID as in §3.3's form.
fn names(username: &str, account: &Jid) -> bool {
    prepare_local(username).is_ok_and(|local| account.local() == Some(&*local))
        || Jid::parse(username).is_ok_and(|jid| jid == *account)
}

/// §3.2, scenario 1: the result when the account is gone for good, then all sessions end with
/// `not-authorized`.
async fn remove(ctx: &mut Ctx<'_>, request: &Request, account: &Jid) -> Answer {
    if !Settings::new(&ctx.config()).removal {
        return Err(StanzaError::not_allowed());
    }
    let erased = ctx.core().erase_account(account).await;
    let farewell = erased.map_err(refused)?;
    tracing::info!(%account, "removed by its owner");
    // The session ends with the account, so the answer goes in front of it.
    let answer = ctx.answer(request, Payload::empty());
    farewell.await;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_names_the_account_as_localpart_or_as_bare_jid() {
        let juliet = Jid::parse("juliet@localhost").unwrap();
        for username in ["juliet", "Juliet", "juliet@localhost"] {
            assert!(names(username, &juliet), "{username}");
        }
        for username in [
            "romeo",
            "juliet@capulet.lit",
            "juliet@localhost/balcony",
            "",
        ] {
            assert!(!names(username, &juliet), "{username}");
        }
    }
}
