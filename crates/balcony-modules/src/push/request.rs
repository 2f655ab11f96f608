//! A client registers, and takes it back (XEP-0357 §5, §6).

use balcony_core::module::{Answer, BoxFuture, Ctx, Request, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::push::{Disable, Enable, Fault};
use balcony_proto::xml::Element;
use balcony_store::{PushRegistration, Stored, Write, WriteSet};

use super::cache::Registrations;

/// An element in canonical form with its own namespace.
const CANONICAL: u16 = 1;

/// Registrations of one account. A person has a handful of devices; what is more are those of apps
/// that were installed anew, of which the oldest go.
const MOST: u32 = 20;

/// Bytes of a node's name: tokens of the known services have less than 200.
const NODE_BYTES: usize = 1_024;

/// Bytes of the form: a few secrets. It goes with each notification.
const OPTIONS_BYTES: usize = 4_096;

/// §5
pub(super) fn enable<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        if !ctx.config().push.enabled {
            return Err(StanzaError::service_unavailable());
        }
        let enable = Enable::parse(&request.element()?).map_err(refusal)?;
        let options = enable.options.as_ref().map(|form| form.to_bytes(""));
        let too_much = options
            .as_ref()
            .is_some_and(|bytes| bytes.len() > OPTIONS_BYTES);
        if too_much || enable.node.len() > NODE_BYTES {
            return Err(
                StanzaError::not_acceptable().with_text("The node or the form is too long.")
            );
        }
        let registration = PushRegistration {
            jid: enable.jid.to_string(),
            node: enable.node,
            options: options.map(|bytes| Stored {
                format: CANONICAL,
                bytes,
            }),
            resource: resource(request.from()?),
            created: ctx.utc_micros(),
            disabled: None,
        };
        let account = request.account()?;
        let write = Write::PushEnable {
            account: account.to_string(),
            registration,
            max: MOST,
        };
        change(ctx, &account, write).await
    })
}

/// §6
pub(super) fn disable<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let disable = Disable::parse(&request.element()?).map_err(refusal)?;
        let account = request.account()?;
        let write = Write::PushDisable {
            account: account.to_string(),
            jid: disable.jid.to_string(),
            node: disable.node,
        };
        change(ctx, &account, write).await
    })
}

/// When it is answered, the change is in force.
async fn change(ctx: &mut Ctx<'_>, account: &Jid, write: Write) -> Answer {
    let done = ctx.commit(WriteSet::from(write)).await;
    if let Some(registrations) = ctx.state::<Registrations>() {
        registrations.forget(account);
    }
    done.map_err(|error| stanza_error(&error))?;
    Ok(Payload::empty())
}

fn resource(from: &Jid) -> String {
    from.resource().unwrap_or_default().to_owned()
}

fn refusal(fault: Fault) -> StanzaError {
    match fault {
        Fault::NoService => StanzaError::bad_request().with_text("There must be a jid."),
        Fault::NotAJid => StanzaError::jid_malformed(),
        Fault::NotOptions => {
            StanzaError::bad_request().with_text("The form is not one of publish options.")
        }
    }
}

/// The form that goes with a notification.
pub(super) fn options(registration: &PushRegistration) -> Option<Element> {
    let options = registration.options.as_ref()?;
    let form = match options.format {
        CANONICAL => Element::parse(&options.bytes, ns::CLIENT).ok(),
        _ => None,
    };
    if form.is_none() {
        tracing::error!(
            format = options.format,
            "stored publish options cannot be read"
        );
    }
    form
}
