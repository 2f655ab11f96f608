//! What is known of an account: roster, last login, statistics (XEP-0133 §4.8 to §4.10).

use balcony_core::module::{BoxFuture, Ctx, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field};
use balcony_proto::xep::date_time;
use balcony_proto::xml::Element;
use balcony_store::RosterItem;

use super::{account, account_field, accounts_field, addresses, form, refused, result};
use crate::adhoc::{Call, Command, Done, Note};

/// Rosters that are shown at a time. One of the longest is half a megabyte.
const ROSTERS_MAX: usize = 1;

pub(super) static COMMANDS: &[Command] = &[
    Command {
        space: ns::ADMIN,
        word: "get-user-roster",
        name: "Get User Roster",
        allows: super::is_admin,
        forms: &[|_| several("Getting a User's Roster", "the roster")],
        finish: roster,
    },
    Command {
        space: ns::ADMIN,
        word: "get-user-lastlogin",
        name: "Get User Last Login Time",
        allows: super::is_admin,
        forms: &[|_| several("Getting a User's Last Login Time", "the last login time")],
        finish: last_login,
    },
    Command {
        space: ns::ADMIN,
        word: "user-stats",
        name: "Get User Statistics",
        allows: super::is_admin,
        forms: &[stats_form],
        finish: stats,
    },
];

fn several(title: &str, what: &str) -> DataForm {
    form(
        title,
        &format!("Fill out this form to get {what} of a user."),
    )
    .with_field(accounts_field(&format!(
        "The Jabber ID(s) for which to retrieve {what}"
    )))
}

fn stats_form(_: &Call) -> DataForm {
    form(
        "Get User Statistics",
        "Fill out this form to gather user statistics.",
    )
    .with_field(account_field("The Jabber ID for statistics"))
}

/// The account, if it exists.
async fn existing(ctx: &mut Ctx<'_>, call: &Call, jid: &Jid) -> Result<Jid, StanzaError> {
    let account = super::own_account(&call.host, jid)?;
    match ctx.core().account_exists(&account).await.map_err(refused)? {
        true => Ok(account),
        false => Err(StanzaError::item_not_found().with_text("there is no such account")),
    }
}

async fn items(ctx: &mut Ctx<'_>, account: &Jid) -> Result<Vec<RosterItem>, StanzaError> {
    let loaded = ctx.store().roster().load(account.as_str()).await;
    Ok(loaded.map_err(|cause| stanza_error(&cause))?.items)
}

/// §4.8: the roster stands in the form, as RFC 6121 §2 writes it.
fn roster<'a>(ctx: &'a mut Ctx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Done, StanzaError>> {
    Box::pin(async move {
        let jids = addresses(call)?;
        let (Some(jid), true) = (jids.first(), jids.len() <= ROSTERS_MAX) else {
            return Err(StanzaError::policy_violation().with_text("one roster at a time"));
        };
        let account = existing(ctx, call, jid).await?;
        let items = items(ctx, &account).await?;
        let query = Element::new(ns::ROSTER, "query").with_children(items.iter().map(item));
        let form = result().with_field(Field::of("accountjids", account.as_str()));
        Ok(Done {
            result: Some(form.to_element().with_child(query)),
            notes: Vec::new(),
        })
    })
}

fn item(item: &RosterItem) -> Element {
    let group = |name: &String| Element::new(ns::ROSTER, "group").with_text(name);
    Element::new(ns::ROSTER, "item")
        .with_attr("jid", item.jid.clone())
        .with_opt_attr("name", item.name.clone())
        .with_attr("subscription", item.subscription.as_str())
        .with_children(item.groups.iter().map(group))
}

/// §4.9. Of who is connected, when the last session began; of who is not, when it ended, which is
/// what is kept (XEP-0012 §4).
fn last_login<'a>(
    ctx: &'a mut Ctx<'_>,
    call: &'a Call,
) -> BoxFuture<'a, Result<Done, StanzaError>> {
    Box::pin(async move {
        let mut form = result();
        let mut notes = Vec::new();
        for jid in addresses(call)? {
            let account = existing(ctx, call, &jid).await?;
            form = form.with_field(Field::of("accountjids", account.as_str()));
            match last_seen(ctx, &account).await? {
                Some(micros) => {
                    let time = date_time::format_utc(micros);
                    form = form.with_field(Field::of("lastlogin", time));
                }
                None => notes.push(Note::Info(format!("{account} has never been connected."))),
            }
        }
        let result = Some(form.to_element());
        Ok(Done { result, notes })
    })
}

async fn last_seen(ctx: &mut Ctx<'_>, account: &Jid) -> Result<Option<i64>, StanzaError> {
    let sessions = ctx.sessions_of(account);
    if let Some(bound) = sessions.iter().map(|session| session.bound_at()).max() {
        let ago = ctx.core().clock().coarse_seconds().saturating_sub(bound);
        return Ok(Some(ctx.utc_micros() - i64::from(ago) * 1_000_000));
    }
    let seen = ctx.store().last().get(account.as_str()).await;
    Ok(seen
        .map_err(|cause| stanza_error(&cause))?
        .map(|seen| seen.at))
}

/// §4.10. Addresses and rates are not gathered.
fn stats<'a>(ctx: &'a mut Ctx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Done, StanzaError>> {
    Box::pin(async move {
        let account = account(call)?;
        let account = existing(ctx, call, &account).await?;
        let size = items(ctx, &account).await?.len();
        let sessions = ctx.sessions_of(&account);
        let names = sessions.iter().filter_map(|s| s.jid().resource());
        let resources = Field {
            var: Some("onlineresources".to_owned()),
            ..Field::default().with_values(names)
        };
        let form = result()
            .with_field(Field::of("accountjid", account.as_str()))
            .with_field(Field::of("rostersize", size.to_string()))
            .with_field(resources);
        Ok(Done::with(&form))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_item_is_shown_with_name_and_groups() {
        let stored = RosterItem {
            jid: "romeo@localhost".into(),
            name: Some("Romeo".into()),
            groups: vec!["Lovers".into()],
            ..RosterItem::default()
        };
        let text = String::from_utf8(item(&stored).to_bytes(ns::ROSTER)).unwrap();
        assert_eq!(
            text,
            "<item jid='romeo@localhost' name='Romeo' subscription='none'>\
             <group>Lovers</group></item>"
        );
    }
}
