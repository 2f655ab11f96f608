//! Messages that a component sends in the name of a host or an account (XEP-0356 §5).

use std::sync::Arc;

use balcony_core::module::{Core, Ctx, Envelope, Flow};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Child, Kind, Stanza, StanzaError};
use balcony_proto::xml::Element;

use crate::blocking;

/// Takes a message to a host that wraps another, and sends that.
pub(super) fn take(ctx: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let Some(wrapper) = envelope.stanza.payload.find(ns::PRIVILEGE, "privilege") else {
        return Flow::Continue;
    };
    let (Some(from), Some(to)) = (envelope.from(), envelope.to()) else {
        return Flow::Continue;
    };
    if envelope.stanza.is_error() {
        // It comes back from who was told what it may.
        return Flow::Handled;
    }
    let config = ctx.config();
    let may = super::held(&config, from, to.domain()).is_some_and(|held| held.message);
    if !may {
        return Flow::Reject(StanzaError::forbidden());
    }
    match forwarded(&wrapper.element(), to.domain()) {
        Ok(message) => send(ctx, envelope, message),
        Err(error) => Flow::Reject(error),
    }
}

/// §9 point 4: an account that blocks somebody could not write to them either.
fn send(ctx: &mut Ctx<'_>, envelope: &Envelope, message: Stanza) -> Flow {
    let (Some(account), Some(to)) = (message.from.clone(), message.to.clone()) else {
        return Flow::Reject(StanzaError::bad_request());
    };
    match blocking::blocks_if_known(ctx, &account, &to) {
        Some(true) => return Flow::Reject(StanzaError::not_acceptable()),
        Some(false) => ctx.send(message),
        // Of an account that is not connected only the store knows.
        None => {
            let (core, asked) = (Arc::clone(ctx.core()), envelope.stanza.clone());
            tokio::spawn(async move { send_if_not_blocked(&core, asked, message).await });
        }
    }
    Flow::Handled
}

async fn send_if_not_blocked(core: &Arc<Core>, asked: Stanza, message: Stanza) {
    let send = core.lend(move |ctx| {
        Box::pin(async move {
            let (Some(account), Some(to)) = (&message.from, &message.to) else {
                return;
            };
            match blocking::blocks(ctx, account, to).await {
                Ok(false) => ctx.send(message),
                _ => asked
                    .error(&StanzaError::not_acceptable())
                    .into_iter()
                    .for_each(|refusal| ctx.core().depart(refusal)),
            }
        })
    });
    send.await;
}

/// The message in the wrapper, which is from the host or an account of it (§5.1).
fn forwarded(wrapper: &Element, host: &str) -> Result<Stanza, StanzaError> {
    let forwarded = wrapper.child(ns::FORWARD, "forwarded");
    let message = forwarded.and_then(|forwarded| forwarded.child(ns::CLIENT, "message"));
    let message = message.and_then(Stanza::from_element);
    let message = message.ok_or_else(|| {
        StanzaError::bad_request().with_text("there is no readable <message/> in <forwarded/>")
    })?;
    let own = |from: &Jid| from.is_bare() && from.domain() == host;
    if !message.from.as_ref().is_some_and(own) {
        return Err(StanzaError::forbidden());
    }
    // §9 point 4: what clients believe only because their server says it.
    let servers = [
        (ns::CARBONS, "received"),
        (ns::CARBONS, "sent"),
        (ns::MAM, "result"),
    ];
    let made_up = |child: Child<'_>| servers.iter().any(|(ns, name)| child.is(ns, name));
    if message.payload.children().any(made_up) {
        return Err(StanzaError::forbidden());
    }
    // RFC 6120 §8.3.1 point 4: an error answers something, which nobody has sent here.
    let sendable = matches!(message.kind, Kind::Message(_)) && !message.is_error();
    if !sendable || message.to.is_none() {
        return Err(StanzaError::bad_request().with_text("the message needs a type and a `to`"));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    fn check(message: &str) -> Result<Stanza, Condition> {
        let text = format!(
            "<privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             {message}</forwarded></privilege>"
        );
        let wrapper = Element::parse(text.as_bytes(), ns::CLIENT).unwrap();
        forwarded(&wrapper, "localhost").map_err(|error| error.condition)
    }

    #[test]
    fn the_sender_is_a_bare_jid_of_the_host() {
        let from = |from: &str| {
            check(&format!(
                "<message xmlns='jabber:client' from='{from}' to='romeo@localhost'/>"
            ))
        };
        assert!(from("juliet@localhost").is_ok());
        assert!(from("localhost").is_ok());
        assert_eq!(
            from("juliet@localhost/balcony").unwrap_err(),
            Condition::Forbidden
        );
        assert_eq!(
            from("juliet@mantua.example").unwrap_err(),
            Condition::Forbidden
        );
    }

    #[test]
    fn nobody_makes_up_what_only_a_server_says() {
        let said = [
            "<received xmlns='urn:xmpp:carbons:2'/>",
            "<result xmlns='urn:xmpp:mam:2'/>",
        ];
        for payload in said {
            let found = check(&format!(
                "<message xmlns='jabber:client' from='a@localhost' to='a@localhost'>{payload}\
                 </message>"
            ));
            assert_eq!(found.unwrap_err(), Condition::Forbidden, "{payload}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_a_bad_request() {
        assert_eq!(check("").unwrap_err(), Condition::BadRequest);
        let other = "<message from='localhost' to='romeo@localhost'/>";
        assert_eq!(
            check(other).unwrap_err(),
            Condition::BadRequest,
            "another namespace"
        );
        let nobody = "<message xmlns='jabber:client' from='localhost'/>";
        assert_eq!(check(nobody).unwrap_err(), Condition::BadRequest);
        let error = "<message xmlns='jabber:client' from='localhost' to='a@b' type='error'/>";
        assert_eq!(check(error).unwrap_err(), Condition::BadRequest);
    }
}
