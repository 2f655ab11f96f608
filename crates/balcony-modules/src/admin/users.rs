//! Numbers and lists of users (XEP-0133 §4.13 to §4.22).

use std::collections::BTreeMap;

use balcony_core::module::{Ctx, Host, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FieldType};

use super::{form, is_admin, result};
use crate::adhoc::{Call, Command, Done, Note};

/// Users that a list has at most: about 40 KB. Longer lists are what `balcony user list` is for.
const LIST_MAX: usize = 1_000;

/// What `max_items` offers (§4.18).
const CHOICES: [&str; 6] = ["25", "50", "75", "100", "150", "200"];

/// Accounts that are read at a time.
const PAGE: u32 = 500;

/// Seconds of silence after which a user counts as idle (§4.16, §4.17 leave it open). Less than
/// the time after which the server asks whether somebody is there, so that the answers do not make
/// everybody active.
const IDLE: u32 = 60;

/// A set of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Registered,
    Disabled,
    /// With a connected resource (§4.15).
    Online,
    /// Online, and not idle.
    Active,
    /// Online, and silent on all resources.
    Idle,
}

const fn number(word: &'static str, name: &'static str, finish: crate::adhoc::Finish) -> Command {
    Command {
        space: ns::ADMIN,
        word,
        name,
        allows: is_admin,
        forms: &[],
        finish,
    }
}

const fn list(word: &'static str, name: &'static str, finish: crate::adhoc::Finish) -> Command {
    Command {
        space: ns::ADMIN,
        word,
        name,
        allows: is_admin,
        forms: &[list_form],
        finish,
    }
}

pub(super) static COMMANDS: &[Command] = &[
    number(
        "get-registered-users-num",
        "Get Number of Registered Users",
        |ctx, call| Box::pin(count(ctx, call, Set::Registered)),
    ),
    number(
        "get-disabled-users-num",
        "Get Number of Disabled Users",
        |ctx, call| Box::pin(count(ctx, call, Set::Disabled)),
    ),
    number(
        "get-online-users-num",
        "Get Number of Online Users",
        |ctx, call| Box::pin(count(ctx, call, Set::Online)),
    ),
    number(
        "get-active-users-num",
        "Get Number of Active Users",
        |ctx, call| Box::pin(count(ctx, call, Set::Active)),
    ),
    number(
        "get-idle-users-num",
        "Get Number of Idle Users",
        |ctx, call| Box::pin(count(ctx, call, Set::Idle)),
    ),
    list(
        "get-registered-users-list",
        "Get List of Registered Users",
        |ctx, call| Box::pin(name(ctx, call, Set::Registered)),
    ),
    list(
        "get-disabled-users-list",
        "Get List of Disabled Users",
        |ctx, call| Box::pin(name(ctx, call, Set::Disabled)),
    ),
    list(
        "get-online-users-list",
        "Get List of Online Users",
        |ctx, call| Box::pin(name(ctx, call, Set::Online)),
    ),
    // §4.21, §4.22: these two nodes do not end in `-list`.
    list(
        "get-active-users",
        "Get List of Active Users",
        |ctx, call| Box::pin(name(ctx, call, Set::Active)),
    ),
    list("get-idle-users", "Get List of Idle Users", |ctx, call| {
        Box::pin(name(ctx, call, Set::Idle))
    }),
];

fn list_form(_: &Call) -> DataForm {
    let mut most = Field::new(FieldType::ListSingle, "max_items")
        .labelled("Maximum number of items to show")
        .with_value("100");
    for choice in CHOICES {
        most = most.with_choice(choice, choice);
    }
    form(
        "Requesting a List of Users",
        "Fill out this form to request users of this service.",
    )
    .with_field(most.with_choice("none", "None"))
}

impl Set {
    /// Name and label of the field with the number (§9.2).
    fn number_field(self) -> (&'static str, &'static str) {
        match self {
            Self::Registered => ("registeredusersnum", "The number of registered users"),
            Self::Disabled => ("disabledusersnum", "The number of disabled users"),
            Self::Online => ("onlineusersnum", "The number of online users"),
            Self::Active => ("activeusersnum", "The number of active users"),
            Self::Idle => ("idleusersnum", "The number of idle users"),
        }
    }

    /// Name and label of the field with the list (§9.2). §4.22: idle users are in the field of the
    /// active ones, since no other is registered.
    fn list_field(self) -> (&'static str, &'static str) {
        match self {
            Self::Registered => ("registereduserjids", "The list of all users"),
            Self::Disabled => ("disableduserjids", "The list of all disabled users"),
            Self::Online => ("onlineuserjids", "The list of all online users"),
            Self::Active => ("activeuserjids", "The list of active users"),
            Self::Idle => ("activeuserjids", "The list of idle users"),
        }
    }

    /// Whether an online user with this silence in seconds belongs to the set.
    fn has(self, silence: u32) -> bool {
        match self {
            Self::Registered | Self::Disabled => false,
            Self::Online => true,
            Self::Active => silence < IDLE,
            Self::Idle => silence >= IDLE,
        }
    }
}

async fn count(ctx: &mut Ctx<'_>, call: &Call, set: Set) -> Result<Done, StanzaError> {
    let count = match set {
        Set::Registered => {
            let counted = ctx.store().accounts().count(call.host.name()).await;
            counted.map_err(|cause| stanza_error(&cause))?
        }
        Set::Disabled => disabled(ctx, &call.host, usize::MAX).await?.len() as u64,
        _ => online(ctx, &call.host, set).len() as u64,
    };
    let (var, label) = set.number_field();
    let field = Field::of(var, count.to_string()).labelled(label);
    Ok(Done::with(&result().with_field(field)))
}

async fn name(ctx: &mut Ctx<'_>, call: &Call, set: Set) -> Result<Done, StanzaError> {
    let wished = call.last()?.value("max_items");
    let most = wished
        .and_then(|text| text.parse().ok())
        .unwrap_or(LIST_MAX);
    // One more than is shown, to know whether there are more.
    let mut users = match set {
        Set::Registered => registered(ctx, &call.host, most + 1).await?,
        Set::Disabled => disabled(ctx, &call.host, most + 1).await?,
        _ => online(ctx, &call.host, set),
    };
    let more = users.len() > most;
    users.truncate(most);
    let (var, label) = set.list_field();
    let field = Field {
        var: Some(var.to_owned()),
        ..Field::default().labelled(label).with_values(users)
    };
    let done = Done::with(&result().with_field(field));
    Ok(match more {
        true => done.noting(Note::Warn(format!("There are more; these are {most}."))),
        false => done,
    })
}

async fn registered(
    ctx: &mut Ctx<'_>,
    host: &Host,
    most: usize,
) -> Result<Vec<String>, StanzaError> {
    let limit = u32::try_from(most).unwrap_or(u32::MAX);
    let entries = ctx.store().accounts().list(host.name(), None, limit).await;
    let entries = entries.map_err(|cause| stanza_error(&cause))?;
    let jid = |user: String| format!("{user}@{}", host.name());
    Ok(entries.into_iter().map(|entry| jid(entry.user)).collect())
}

async fn disabled(ctx: &mut Ctx<'_>, host: &Host, most: usize) -> Result<Vec<String>, StanzaError> {
    let mut users = Vec::new();
    let mut after: Option<String> = None;
    while users.len() < most {
        let page = ctx
            .store()
            .accounts()
            .list(host.name(), after.as_deref(), PAGE)
            .await;
        let page = page.map_err(|cause| stanza_error(&cause))?;
        let Some(last) = page.last() else { break };
        after = Some(last.user.clone());
        let disabled = page.into_iter().filter(|entry| !entry.enabled);
        users.extend(disabled.map(|entry| format!("{}@{}", entry.user, host.name())));
    }
    Ok(users)
}

/// The online users of a host, in order.
fn online(ctx: &Ctx<'_>, host: &Host, set: Set) -> Vec<String> {
    let now = ctx.core().clock().coarse_seconds();
    // A user is as silent as the resource that spoke last.
    let mut silences: BTreeMap<Jid, u32> = BTreeMap::new();
    ctx.sessions().each(|session| {
        if session.account().domain() == host.name() {
            let silence = now.saturating_sub(session.last_active());
            let least = silences
                .entry(session.account().clone())
                .or_insert(u32::MAX);
            *least = silence.min(*least);
        }
    });
    let mut users: Vec<String> = Vec::new();
    for (account, silence) in silences {
        if set.has(silence) {
            users.push(account.to_string());
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_online_user_is_active_or_idle() {
        for silence in [0, IDLE - 1, IDLE, u32::MAX] {
            assert!(Set::Online.has(silence));
            assert_ne!(Set::Active.has(silence), Set::Idle.has(silence));
        }
        assert!(Set::Idle.has(IDLE));
    }
}
