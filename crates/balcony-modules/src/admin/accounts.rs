//! Accounts: add, delete, disable, re-enable, password (XEP-0133 §4.1 to §4.4, §4.7).

use balcony_core::module::{BoxFuture, Ctx};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FieldType};
use balcony_store::WriteSet;

use super::{
    Failures, account, account_field, account_to_change, accounts_field, addresses, form, refused,
};
use crate::adhoc::{Call, Command, Done};

pub(super) static COMMANDS: &[Command] = &[
    Command {
        space: ns::ADMIN,
        word: "add-user",
        name: "Add User",
        allows: super::is_admin,
        forms: &[add_form],
        finish: add,
    },
    Command {
        space: ns::ADMIN,
        word: "delete-user",
        name: "Delete User",
        allows: super::is_admin,
        forms: &[|_| several("Deleting a User", "delete")],
        finish: |ctx, call| Box::pin(each(ctx, call, What::Delete)),
    },
    Command {
        space: ns::ADMIN,
        word: "disable-user",
        name: "Disable User",
        allows: super::is_admin,
        forms: &[|_| several("Disabling a User", "disable")],
        finish: |ctx, call| Box::pin(each(ctx, call, What::Disable)),
    },
    Command {
        space: ns::ADMIN,
        word: "reenable-user",
        name: "Re-Enable User",
        allows: super::is_admin,
        forms: &[|_| several("Re-Enabling a User", "re-enable")],
        finish: |ctx, call| Box::pin(each(ctx, call, What::Enable)),
    },
    Command {
        space: ns::ADMIN,
        word: "change-user-password",
        name: "Change User Password",
        allows: super::is_admin,
        forms: &[password_form],
        finish: change_password,
    },
];

/// What is done with each account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Delete,
    Disable,
    Enable,
}

fn add_form(_: &Call) -> DataForm {
    let password = |var, label: &str| {
        Field::new(FieldType::TextPrivate, var)
            .labelled(label)
            .required()
    };
    form("Adding a User", "Fill out this form to add a user.")
        .with_field(account_field("The Jabber ID for the account to be added"))
        .with_field(password("password", "The password for this account"))
        .with_field(password("password-verify", "Retype password"))
}

fn password_form(_: &Call) -> DataForm {
    let instructions = "Fill out this form to change a user's password.";
    form("Changing a User Password", instructions)
        .with_field(account_field("The Jabber ID for this account"))
        .with_field(
            Field::new(FieldType::TextPrivate, "password")
                .labelled("The password for this account")
                .required(),
        )
}

fn several(title: &str, verb: &str) -> DataForm {
    form(title, &format!("Fill out this form to {verb} users."))
        .with_field(accounts_field(&format!("The Jabber ID(s) to {verb}")))
}

/// §4.1
fn add<'a>(ctx: &'a mut Ctx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Done, StanzaError>> {
    Box::pin(async move {
        let account = account_to_change(ctx, call, &account(call)?)?;
        let filled = call.last()?;
        let password = filled.value("password").unwrap_or_default();
        if filled.value("password-verify") != Some(password) {
            return Err(StanzaError::not_acceptable().with_text("the passwords differ"));
        }
        let pending = ctx
            .core()
            .create_account(&account, password, WriteSet::new())
            .await
            .map_err(refused)?;
        if let Some(pending) = pending {
            pending.await;
        }
        tracing::info!(%account, by = %call.requester, "account added");
        Ok(Done::default())
    })
}

/// §4.7
fn change_password<'a>(
    ctx: &'a mut Ctx<'_>,
    call: &'a Call,
) -> BoxFuture<'a, Result<Done, StanzaError>> {
    Box::pin(async move {
        let account = account_to_change(ctx, call, &account(call)?)?;
        let password = call.last()?.value("password").unwrap_or_default();
        // Whose own account it is hears that it worked.
        let own = ctx.sessions().find(&call.requester);
        ctx.core()
            .set_password(&account, password, own.as_deref())
            .await
            .map_err(refused)?;
        tracing::info!(%account, by = %call.requester, "password changed");
        Ok(Done::default())
    })
}

async fn each(ctx: &mut Ctx<'_>, call: &Call, what: What) -> Result<Done, StanzaError> {
    let mut failures = Failures::default();
    for jid in addresses(call)? {
        let outcome = one(ctx, call, &jid, what).await;
        failures.note(&jid, outcome);
    }
    failures.done()
}

async fn one(ctx: &mut Ctx<'_>, call: &Call, jid: &Jid, what: What) -> Result<(), StanzaError> {
    let account = account_to_change(ctx, call, jid)?;
    if what != What::Enable && account.as_str() == call.requester.bare_str() {
        // The session would end in the middle of the command, with nobody left to undo it.
        return Err(StanzaError::not_allowed().with_text("that is your own account"));
    }
    let core = ctx.core();
    let done = match what {
        What::Delete => core.delete_account(&account).await,
        What::Disable => core.set_enabled(&account, false).await,
        What::Enable => core.set_enabled(&account, true).await,
    };
    done.map_err(refused)?;
    let did = match what {
        What::Delete => "account deleted",
        What::Disable => "account disabled",
        What::Enable => "account enabled",
    };
    tracing::info!(%account, by = %call.requester, "{did}");
    Ok(())
}
