//! XEP-0313 §4.1.5 and §5: what can be asked, and where an archive begins and ends.

use std::sync::Arc;

use balcony_core::module::{Answer, BoxFuture, Core, Ctx, Request, Session, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::Payload;
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType};
use balcony_proto::xep::date_time;
use balcony_proto::xml::Element;
use balcony_store::{ArchiveBounds, ArchiveId};

use super::own_account;

/// §4.1.5: the form of a query.
pub(super) fn form(_: &mut Ctx<'_>, request: &Request) -> Answer {
    own_account(request)?;
    Ok(query_form())
}

/// The form of a query to any archive.
pub(crate) fn query_form() -> Payload {
    let field = Field::new;
    let form = DataForm::about(FormType::Form, ns::MAM)
        .with_field(field(FieldType::JidSingle, "with"))
        .with_field(field(FieldType::TextSingle, "start"))
        .with_field(field(FieldType::TextSingle, "end"))
        .with_field(field(FieldType::TextSingle, "before-id"))
        .with_field(field(FieldType::TextSingle, "after-id"));
    // The list is open: not all ids there are stand in it.
    let open = Element::new(ns::VALIDATE, "validate")
        .with_attr("datatype", "xs:string")
        .with_child(Element::new(ns::VALIDATE, "open"));
    let ids = field(FieldType::ListMulti, "ids").to_element();
    let form = form.to_element().with_child(ids.with_child(open));
    let query = Element::new(ns::MAM, "query").with_child(form);
    Payload::from_element(&query)
}

/// §5
pub(super) fn metadata<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move { ends(ctx.core(), &own_account(request)?).await })
}

/// Where an archive begins and ends.
pub(crate) async fn ends(core: &Core, archive: &Jid) -> Answer {
    let bounds = core.store().archive().bounds(archive.as_str()).await;
    let bounds = bounds.map_err(|cause| stanza_error(&cause))?;
    Ok(Payload::from_element(&written(bounds)))
}

/// XEP-0386 §3.2: a client that binds learns where its archive ends, so that it knows from where on
/// messages come by themselves.
///
/// DEVIATION: the same section has the server clear the offline queue unsent. What is not archived
/// waits there too, and would be lost; who reads the archive first gets none of it twice.
pub(super) fn on_bind<'a>(
    ctx: &'a mut Ctx<'_>,
    session: &'a Arc<Session>,
    _: Option<&'a Element>,
) -> BoxFuture<'a, Vec<Element>> {
    Box::pin(async move {
        let account = session.account().as_str();
        match ctx.store().archive().bounds(account).await {
            Ok(bounds) => vec![written(bounds)],
            Err(cause) => {
                tracing::warn!(%cause, account, "the ends of an archive are not told");
                Vec::new()
            }
        }
    })
}

fn written(bounds: Option<ArchiveBounds>) -> Element {
    let end = |name: &'static str, (id, time): (ArchiveId, i64)| {
        Element::new(ns::MAM, name)
            .with_attr("id", id.to_string())
            .with_attr("timestamp", date_time::format_utc(time))
    };
    let ends = bounds.map(|bounds| [end("start", bounds.first), end("end", bounds.last)]);
    Element::new(ns::MAM, "metadata").with_children(ends.into_iter().flatten())
}
