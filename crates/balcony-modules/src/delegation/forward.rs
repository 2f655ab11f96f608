//! A delegated request on its way to the component, and the answer on its way back (XEP-0355 §4.3).

use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::{Core, Ctx, Session};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Payload, Stanza, StanzaError};
use balcony_proto::xep::forward;
use balcony_proto::xml::Element;

use super::State;

/// How long a component may take: what it does, the server would do at once.
const WITHIN: Duration = Duration::from_secs(30);

/// Requests of one account, or of the users of one other server, that may wait for components: what
/// several clients ask as they start. They do not hold up what comes behind them (§9 point 3), so
/// this bounds them.
const WAITING: u32 = 100;

/// Sends a request on to a component; whoever asked is answered later.
///
/// # Errors
/// Too much waits already.
pub(super) fn begin(
    ctx: &mut Ctx<'_>,
    asked: &Stanza,
    session: Option<&Arc<Session>>,
    component: &Jid,
    host: &str,
) -> Result<(), StanzaError> {
    let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    let from = asked.from.as_ref().ok_or_else(StanzaError::bad_request)?;
    let whose = match ctx.core().is_elsewhere(from) {
        true => from.domain(),
        false => from.bare_str(),
    };
    let place = state.waiting.begin(whose, WAITING);
    let place = place.ok_or_else(StanzaError::resource_constraint)?;
    let host = Jid::from_parts(None, host, None).map_err(|_| StanzaError::jid_malformed())?;
    let wrapper = Element::new(ns::DELEGATION, "delegation");
    let iq = Stanza::iq(IqType::Set, "")
        .with_from(host)
        .with_to(component.clone())
        .with_payload(forward::wrap(&wrapper, None, asked));
    let (core, asked, session) = (Arc::clone(ctx.core()), asked.clone(), session.cloned());
    tokio::spawn(async move {
        relay(&core, &asked, session, iq).await;
        drop(place);
    });
    Ok(())
}

async fn relay(core: &Arc<Core>, asked: &Stanza, session: Option<Arc<Session>>, iq: Stanza) {
    let told = core.request(iq, WITHIN).await.ok();
    // N.B. 1 and 2 of §4.3, and what is said of a bad result.
    let answer = match told.as_ref().and_then(|told| result(asked, told)) {
        Some(payload) => Some(asked.result(payload)),
        None => asked.error(&StanzaError::service_unavailable()),
    };
    let Some(answer) = answer else { return };
    if let Some(session) = session {
        core.deliver(&session, answer);
    } else if let Some(pending) = core.submit(answer) {
        pending.await;
    }
}

/// What a component answers to a request, if it is an answer to that request.
fn result(asked: &Stanza, told: &Stanza) -> Option<Payload> {
    let wrapper = told.payload.find(ns::DELEGATION, "delegation")?.element();
    let forwarded = wrapper.child(ns::FORWARD, "forwarded")?;
    let result = Stanza::from_element(forwarded.child(ns::CLIENT, "iq")?)?;
    let own = asked.from.as_ref().map(Jid::bare);
    // A request without an address is for the account (RFC 6120 §10.3.3), and so is the answer
    // from it. The examples of the specification leave it out where it could stand too.
    let of = asked.to.as_ref().or(own.as_ref());
    let from_it = result.from.is_none() || result.from.as_ref() == of;
    let answers = told.kind == Kind::Iq(IqType::Result)
        && result.kind == Kind::Iq(IqType::Result)
        && result.id == asked.id
        && result.to == asked.from;
    (answers && from_it).then(|| result.payload.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &str, result: &str) -> Stanza {
        let text = format!(
            "<iq from='gate.localhost' to='localhost' id='1' type='{kind}'>\
             <delegation xmlns='urn:xmpp:delegation:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             <iq xmlns='jabber:client' {result}><x xmlns='urn:example'/></iq>\
             </forwarded></delegation></iq>"
        );
        Stanza::parse(text.as_bytes()).unwrap()
    }

    /// §4.3: to, from, id and type.
    #[test]
    fn only_an_answer_to_the_request_is_one() {
        let parse = |text: &str| Stanza::parse(text.as_bytes()).unwrap();
        let asked = parse(
            "<iq from='juliet@localhost/balcony' to='localhost' id='a' type='get'>\
             <x xmlns='urn:example'/></iq>",
        );
        let fits = |kind, text: &str| result(&asked, &told(kind, text)).is_some();
        let to = "to='juliet@localhost/balcony'";
        assert!(fits("result", &format!("id='a' type='result' {to}")));
        assert!(fits(
            "result",
            &format!("id='a' type='result' {to} from='localhost'")
        ));
        assert!(!fits(
            "result",
            &format!("id='a' type='result' {to} from='romeo@localhost'")
        ));
        assert!(!fits(
            "result",
            "id='a' type='result' to='juliet@localhost'"
        ));
        assert!(!fits("result", &format!("id='b' type='result' {to}")));
        assert!(!fits("result", &format!("id='a' type='error' {to}")));
        assert!(!fits("error", &format!("id='a' type='result' {to}")));
    }
}
