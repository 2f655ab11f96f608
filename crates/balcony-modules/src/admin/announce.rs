//! Send Announcement to Online Users (XEP-0133 §4.23).

use std::future::ready;
use std::sync::Arc;

use balcony_core::module::{BoxFuture, Ctx, Host};
use balcony_proto::ns;
use balcony_proto::stanza::{MessageType, Stanza, StanzaError};
use balcony_proto::xep::data_form::{DataForm, Field, FieldType};
use balcony_proto::xml::Element;

use super::form;
use crate::adhoc::{Call, Command, Done, Note};

pub(super) static COMMANDS: &[Command] = &[Command {
    space: ns::ADMIN,
    word: "announce",
    name: "Send Announcement to Online Users",
    allows: super::is_admin,
    forms: &[announce_form],
    finish: announce,
}];

fn announce_form(_: &Call) -> DataForm {
    let instructions =
        "Fill out this form to make an announcement to all active users of this service.";
    form("Making an Announcement", instructions).with_field(
        Field::new(FieldType::TextMulti, "announcement")
            .labelled("Announcement")
            .required(),
    )
}

fn announce<'a>(ctx: &'a mut Ctx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Done, StanzaError>> {
    let done = call.last().map(|filled| {
        let text = filled.text("announcement").unwrap_or_default();
        let count = send(ctx, &call.host, &text);
        tracing::info!(host = call.host.name(), by = %call.requester, count, "announced");
        Done::default().noting(Note::Info(format!("Sent to {count} sessions.")))
    });
    Box::pin(ready(done))
}

/// To each session once, whatever its presence: nobody answers an announcement (RFC 6121 §5.2.2,
/// `headline`), and it is of no use to who comes later.
fn send(ctx: &mut Ctx<'_>, host: &Host, text: &str) -> usize {
    let mut sessions = Vec::new();
    ctx.sessions().each(|session| {
        if session.account().domain() == host.name() {
            sessions.push(Arc::clone(session));
        }
    });
    let message = message(text).with_from(host.jid().clone());
    for session in &sessions {
        ctx.push(session, message.clone().with_to(session.jid().clone()));
    }
    sessions.len()
}

fn message(text: &str) -> Stanza {
    Stanza::message(MessageType::Headline)
        .with_element(Element::new(ns::CLIENT, "subject").with_text("Announcement"))
        .with_element(Element::new(ns::CLIENT, "body").with_text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_a_headline_with_all_its_lines() {
        let message = message("one\ntwo");
        assert_eq!(message.body().as_deref(), Some("one\ntwo"));
        assert_eq!(message.kind.type_attr(), Some("headline"));
    }
}
