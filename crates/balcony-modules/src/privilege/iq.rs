//! Requests that a component sends in the name of an account (XEP-0356 §6).

use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::{
    Answer, Asked, BoxFuture, Core, Ctx, Envelope, Flow, NoAnswer, Origin, Request, stanza_error,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, Stanza, StanzaError};
use balcony_proto::xep::forward;
use balcony_proto::xml::Element;

use super::State;
use crate::blocking;

/// How long an answer may take: longer than it takes to reach another server for the first time.
const WITHIN: Duration = Duration::from_secs(60);

/// §6.3: a resource is no account; a component is not to learn whether it is there either.
pub(super) fn for_resource(_: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let wraps = || {
        let payload = envelope.stanza.payload.first();
        payload.is_some_and(|payload| payload.is(ns::PRIVILEGE, "privileged_iq"))
    };
    let to_resource = envelope.to().is_some_and(Jid::is_full);
    let foreign = matches!(envelope.origin(), Origin::Foreign);
    match foreign && to_resource && envelope.stanza.is_request() && wraps() {
        true => Flow::Reject(StanzaError::forbidden()),
        false => Flow::Continue,
    }
}

/// Requests of one component that may wait for answers: as many as a busy service asks in a few
/// seconds, and a tenth of all that the server itself may ask.
const WAITING: u32 = 1_000;

/// Sends the request that this one wraps, in the order of the component's stanzas. The answer to it
/// is told later: what comes behind it does not wait for somebody on another server.
pub(super) fn answer<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let iq = wrapped(ctx, request)?;
        let (account, component) = (request.account()?, request.from()?.bare());
        may_ask(ctx, &account, iq.to.as_ref()).await?;
        let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
        let place = state.waiting.begin(component.as_str(), WAITING);
        let place = place.ok_or_else(StanzaError::resource_constraint)?;
        let (core, id) = (Arc::clone(ctx.core()), iq.id.clone());
        let iq = core.ask_for(&component, iq);
        let iq = iq.map_err(|_| StanzaError::resource_constraint())?;
        let asked = request.stanza.clone();
        tokio::spawn(async move {
            tell(&core, &asked, iq, id).await;
            drop(place);
        });
        ctx.answer_later()
    })
}

/// §6.3: there is such an account; §9 point 4: it could ask, too.
async fn may_ask(ctx: &mut Ctx<'_>, account: &Jid, to: Option<&Jid>) -> Result<(), StanzaError> {
    let core = Arc::clone(ctx.core());
    let exists = core.account_exists(account).await;
    if !exists.map_err(|_| StanzaError::internal_server_error())? {
        return Err(StanzaError::forbidden());
    }
    let Some(to) = to else { return Ok(()) };
    match blocking::blocks(ctx, account, to).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(StanzaError::not_acceptable()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}

async fn tell(core: &Arc<Core>, asked: &Stanza, iq: Asked, id: Option<Arc<str>>) {
    let told = match iq.answer(WITHIN).await {
        Ok(mut answer) => {
            answer.id = id;
            let wrapper = Element::new(ns::PRIVILEGE, "privilege");
            Some(asked.result(forward::wrap(&wrapper, None, &answer)))
        }
        Err(NoAnswer::Late) => asked.error(&StanzaError::remote_server_timeout()),
        Err(NoAnswer::NotAsked) => asked.error(&StanzaError::resource_constraint()),
    };
    if let Some(told) = told {
        core.depart(told);
    }
}

/// The request in the name of the account, when all that §6.3 asks for holds.
fn wrapped(ctx: &Ctx<'_>, request: &Request) -> Result<Stanza, StanzaError> {
    let (component, account) = (request.from()?, request.account()?);
    let config = ctx.config();
    let held = super::held(&config, component, account.domain());
    let held = held.ok_or_else(StanzaError::forbidden)?;
    let iq = decapsulated(&request.element()?, &account, request.is_set())?;
    let allowed = match request.is_set() {
        true => &held.iq_set,
        false => &held.iq_get,
    };
    let payload = iq.payload.first().ok_or_else(StanzaError::bad_request)?;
    if !allowed.iter().any(|ns| ns == payload.ns()) {
        return Err(StanzaError::forbidden());
    }
    Ok(iq)
}

fn decapsulated(wrapper: &Element, account: &Jid, is_set: bool) -> Result<Stanza, StanzaError> {
    if account.local().is_none() {
        return Err(StanzaError::forbidden());
    }
    let mut children = wrapper.children();
    let (Some(iq), None) = (children.next(), children.next()) else {
        return Err(StanzaError::bad_request().with_text("it wraps one <iq/>"));
    };
    if !iq.is(ns::CLIENT, "iq") {
        return Err(StanzaError::forbidden());
    }
    let iq = Stanza::from_element(iq).ok_or_else(StanzaError::bad_request)?;
    let kind = if is_set { IqType::Set } else { IqType::Get };
    let others = iq.from.as_ref().is_some_and(|from| from != account);
    if iq.kind != Kind::Iq(kind) || others {
        return Err(StanzaError::forbidden());
    }
    // RFC 6120 §8.2.3 point 6
    if iq.id.is_none() || iq.payload.children().count() != 1 {
        return Err(StanzaError::bad_request().with_text("the wrapped <iq/> is incomplete"));
    }
    // RFC 6120 §10.3.3: without an address it is for the account itself.
    let to = iq.to.clone().unwrap_or_else(|| account.clone());
    Ok(iq.with_from(account.clone()).with_to(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

    fn check(account: &str, iq: &str) -> Result<Stanza, Condition> {
        let text = format!("<privileged_iq xmlns='urn:xmpp:privilege:2'>{iq}</privileged_iq>");
        let wrapper = Element::parse(text.as_bytes(), ns::CLIENT).unwrap();
        let account = Jid::parse(account).unwrap();
        decapsulated(&wrapper, &account, false).map_err(|error| error.condition)
    }

    fn iq(attributes: &str) -> String {
        format!("<iq xmlns='jabber:client' {attributes}>{PING}</iq>")
    }

    #[test]
    fn the_request_is_the_accounts_own() {
        let get = iq("type='get' id='1' to='romeo@mantua.example'");
        let request = check("juliet@localhost", &get).unwrap();
        assert_eq!(request.from.as_ref().unwrap().as_str(), "juliet@localhost");
        let alone = check("juliet@localhost", &iq("type='get' id='1'")).unwrap();
        assert_eq!(alone.to.unwrap().as_str(), "juliet@localhost");
        let forbidden = |attributes: &str| {
            let found = check("juliet@localhost", &iq(attributes));
            assert_eq!(found.unwrap_err(), Condition::Forbidden, "{attributes}");
        };
        forbidden("type='get' id='1' from='romeo@localhost'");
        forbidden("type='get' id='1' from='juliet@localhost/balcony'");
        forbidden("type='set' id='1'");
        let found = check("localhost", &get);
        assert_eq!(found.unwrap_err(), Condition::Forbidden, "no account");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let condition = |iq: &str| check("juliet@localhost", iq).unwrap_err();
        assert_eq!(condition(""), Condition::BadRequest);
        assert_eq!(condition("<iq type='get' id='1'/>"), Condition::Forbidden);
        assert_eq!(condition(&iq("type='get'")), Condition::BadRequest);
        let empty = "<iq xmlns='jabber:client' type='get' id='1'/>";
        assert_eq!(condition(empty), Condition::BadRequest);
    }
}
