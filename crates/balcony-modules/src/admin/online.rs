//! End User Session (XEP-0133 §4.5).

use balcony_core::module::{BoxFuture, Ctx};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::stream::{StreamCondition, StreamError};
use balcony_proto::xep::data_form::DataForm;

use super::{Failures, accounts_field, addresses, form};
use crate::adhoc::{Call, Command, Done};

pub(super) static COMMANDS: &[Command] = &[Command {
    space: ns::ADMIN,
    word: "end-user-session",
    name: "End User Session",
    allows: super::is_admin,
    forms: &[end_form],
    finish: end,
}];

fn end_form(_: &Call) -> DataForm {
    let instructions = "Fill out this form to end a user's session.";
    form("Ending a User Session", instructions)
        .with_field(accounts_field("The Jabber ID(s) for which to end sessions"))
}

fn end<'a>(ctx: &'a mut Ctx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Done, StanzaError>> {
    let mut failures = Failures::default();
    let done = addresses(call).and_then(|jids| {
        for jid in &jids {
            failures.note(jid, end_sessions(ctx, call, jid));
        }
        failures.done()
    });
    Box::pin(std::future::ready(done))
}

/// §4.5, the note: a bare JID stands for all sessions, a full JID for one.
fn end_sessions(ctx: &Ctx<'_>, call: &Call, jid: &Jid) -> Result<(), StanzaError> {
    let account = super::own_account(&call.host, jid)?;
    let mut sessions = ctx.sessions_of(&account);
    sessions.retain(|session| jid.is_bare() || session.jid() == jid);
    if sessions.is_empty() {
        return Err(StanzaError::item_not_found().with_text("there is no such session"));
    }
    for session in sessions {
        // RFC 6120 §4.9.3.14: the condition for what an operator decides.
        let error = StreamError::new(StreamCondition::PolicyViolation);
        ctx.core().end_session(&session, error);
    }
    tracing::info!(%jid, by = %call.requester, "session ended");
    Ok(())
}
