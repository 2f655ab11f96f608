//! What the server publishes for an account, because its client said the same in another way.

use balcony_core::module::Ctx;
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FormType};
use balcony_proto::xml::Element;

use super::access::AccessModel;
use super::config::{ACCESS_MODEL, MAX_ITEMS, PERSIST, SEND_LAST};
use super::publish::{Publication, put};
use super::{State, items, node, request};

fn options(fields: &[(&str, &str)]) -> DataForm {
    let form = DataForm::about(FormType::Submit, ns::PUBLISH_OPTIONS);
    let fields = fields.iter().map(|(var, value)| Field::of(*var, *value));
    fields.fold(form, DataForm::with_field)
}

/// XEP-0223 §2, with as many items as may be, none of which is sent at login (XEP-0402 §3.3,
/// XEP-0490 §4.2).
pub(crate) fn private() -> DataForm {
    options(&[
        (PERSIST, "true"),
        (MAX_ITEMS, "max"),
        (SEND_LAST, "never"),
        (ACCESS_MODEL, "whitelist"),
    ])
}

/// XEP-0222 §2.
pub(crate) fn public() -> DataForm {
    options(&[(PERSIST, "true"), (ACCESS_MODEL, "open")])
}

/// Publishes an item for an account, and tells whoever is to be told. The node must be as the
/// options say; with `None` it may be anything.
///
/// # Errors
/// As if the account's client had published it.
pub(crate) async fn publish(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    item: (&str, String, Element),
    options: Option<DataForm>,
) -> Result<(), StanzaError> {
    let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    let _turn = state.turns.take(account.as_str()).await;
    let (node, id, payload) = item;
    let publication = Publication::own(node, id, payload, options);
    let published = put(ctx, account, account, publication).await?;
    request::tell_published(ctx, &published).await;
    Ok(())
}

/// Publishes the only item of a node for everybody, on a service, for a host.
///
/// # Errors
/// As if the host were somebody who publishes; `forbidden` where the node is somebody else's.
pub(crate) async fn publish_at_service(
    ctx: &mut Ctx<'_>,
    service: &Jid,
    host: &Jid,
    item: (&str, String, Element),
) -> Result<(), StanzaError> {
    let state: &State = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
    let _turn = state.turns.take(service.as_str()).await;
    let (node, id, payload) = item;
    let options = options(&[(PERSIST, "true"), (MAX_ITEMS, "1"), (ACCESS_MODEL, "open")]);
    let publication = Publication::own(node, id, payload, Some(options));
    let published = put(ctx, service, host, publication).await?;
    request::tell_published(ctx, &published).await;
    Ok(())
}

/// Whether an account has a node.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn exists(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    name: &str,
) -> Result<bool, StanzaError> {
    Ok(node::seen_by(ctx, account, name, account).await?.is_some())
}

/// The id and the payload of an item of an account: that of this id, or the newest. `None` also
/// where the node is not for everybody.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn open_item(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    name: &str,
    id: Option<&str>,
) -> Result<Option<(String, Element)>, StanzaError> {
    let Some(node) = node::seen_by(ctx, account, name, account).await? else {
        return Ok(None);
    };
    if node.config.access != AccessModel::Open {
        return Ok(None);
    }
    let found = match id {
        Some(id) => items::one(ctx, &node, id).await?,
        None => items::last(ctx, &node).await?,
    };
    Ok(found.and_then(|item| Some((item.id, node::payload(&item.payload)?))))
}
