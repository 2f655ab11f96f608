//! XEP-0049 Private XML Storage 1.2: keeps elements for the clients of an account.

use balcony_core::module::{
    Answer, BoxFuture, Ctx, Feature, Handle, IqHandler, IqKind, KeyKind, ModuleSpec, Request,
    Section, Spec, Target, stanza_error,
};
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xml::Element;
use balcony_store::{Bounds, Error, Stored, Write, WriteSet};

use crate::keys::key;
use crate::pubsub::bookmarks;

/// An element in canonical form with its own namespace.
const CANONICAL: u16 = 1;

static LIMITS: Section = Section {
    name: "limits",
    doc: "",
    list: false,
    keys: &[
        key(
            "private_elements",
            KeyKind::Int {
                min: 1,
                max: 100_000,
            },
            "200",
            "Elements that an account may keep in private storage (XEP-0049). Each client keeps a \
             few: bookmarks, notes, settings.",
        ),
        key(
            "private_bytes",
            KeyKind::Size {
                min: 10_000,
                max: 1 << 30,
            },
            "\"512KiB\"",
            "Bytes of all of them together. A thousand bookmarks are about 150 KB.",
        ),
    ],
};

/// Private storage.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "private",
    specs: &[Spec::xep("XEP-0049", "Private XML Storage", "1.2")],
    features: &[Feature::both(ns::PRIVATE)],
    iq: &[
        IqHandler {
            ns: ns::PRIVATE,
            name: "query",
            kind: IqKind::Get,
            target: Target::ACCOUNT,
            handle: Handle::Waits(get),
        },
        IqHandler {
            ns: ns::PRIVATE,
            name: "query",
            kind: IqKind::Set,
            target: Target::ACCOUNT,
            handle: Handle::Waits(set),
        },
    ],
    config: &[&LIMITS],
    conversations: &["xep-0049"],
    ..ModuleSpec::NOTHING
};

/// XEP-0049 §2.3, §4: only the account's own clients, whatever the other account is.
fn owner(request: &Request) -> Result<String, StanzaError> {
    match request.target {
        Target::OWN_ACCOUNT => Ok(request.account()?.to_string()),
        _ => Err(StanzaError::forbidden()),
    }
}

fn get<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = owner(request)?;
        let query = request.element()?;
        let mut children = query.children();
        // §2.3: nothing, or more than one thing, cannot be asked for.
        let (Some(wanted), None) = (children.next(), children.next()) else {
            return Err(StanzaError::bad_request());
        };
        check_namespace(wanted)?;
        let _turn = match bookmarks::are_in(wanted) {
            true => Some(bookmarks::turn(ctx, &request.account()?).await?),
            false => None,
        };
        let found = ctx
            .store()
            .private()
            .get(&account, wanted.ns(), wanted.name());
        let found = found.await.map_err(|cause| stanza_error(&cause))?;
        let kept = found.and_then(|row| decode(&row));
        // Nothing is kept: the element itself, empty.
        let mut element = kept.unwrap_or_else(|| empty(wanted));
        if bookmarks::are_in(wanted)
            && let Some(all) = bookmarks::collate(ctx, &request.account()?, element.clone()).await?
        {
            element = all;
        }
        Ok(Payload::from_element(
            &Element::new(ns::PRIVATE, "query").with_child(element),
        ))
    })
}

fn set<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = owner(request)?;
        let query = request.element()?;
        let bounds = bounds(ctx);
        let count = query.children().count();
        if count == 0 {
            return Err(StanzaError::not_acceptable().with_text("there is nothing to keep"));
        }
        // What passes the bound by itself need not wait for the store.
        if count > usize::try_from(bounds.rows).unwrap_or(usize::MAX) {
            return Err(too_much());
        }
        let mut writes = WriteSet::new();
        for element in query.children() {
            check_namespace(element)?;
            // XEP-0402 §5.3.2: rooms become items.
            let is_list = bookmarks::are_in(element);
            let element = match is_list {
                true => &bookmarks::rest(element.clone()),
                false => element,
            };
            writes.push(write(&account, element, bounds));
        }
        let mut lists = query
            .children()
            .filter(|element| bookmarks::are_in(element));
        if let Some(list) = lists.next() {
            bookmarks::replace(ctx, &request.account()?, list, writes).await?;
            return Ok(Payload::empty());
        }
        match ctx.commit(writes).await {
            Ok(_) => Ok(Payload::empty()),
            Err(Error::Limit(_)) => Err(too_much()),
            // An anonymous account, or one that was deleted meanwhile.
            Err(Error::NotFound) => Err(StanzaError::not_allowed()),
            Err(cause) => Err(stanza_error(&cause)),
        }
    })
}

fn bounds(ctx: &Ctx<'_>) -> Bounds {
    let config = ctx.config();
    let limits = config.values("limits");
    Bounds {
        rows: limits.int("private_elements"),
        bytes: u64::try_from(limits.size("private_bytes")).unwrap_or(u64::MAX),
    }
}

fn too_much() -> StanzaError {
    StanzaError::policy_violation().with_text("the private storage of this account is full")
}

/// §2.3: an element needs a namespace of its own, and not one of those that are reserved.
fn check_namespace(element: &Element) -> Result<(), StanzaError> {
    let ns = element.ns();
    let reserved = ns.is_empty()
        || ns == ns::VCARD
        || ns.starts_with("jabber:")
        || ns.starts_with("http://jabber.org/");
    if reserved {
        return Err(StanzaError::not_acceptable().with_text("the namespace is reserved"));
    }
    Ok(())
}

/// An empty element is what would be answered without it, so it is not kept.
fn write(account: &str, element: &Element, bounds: Bounds) -> Write {
    let (account, ns, name) = (account.into(), element.ns().into(), element.name().into());
    if *element == empty(element) {
        return Write::PrivateRemove { account, ns, name };
    }
    let payload = Stored {
        format: CANONICAL,
        bytes: element.to_bytes(""),
    };
    Write::PrivateSet {
        account,
        ns,
        name,
        payload,
        bounds,
    }
}

fn empty(element: &Element) -> Element {
    Element::new(element.ns().to_owned(), element.name().to_owned())
}

fn decode(row: &Stored) -> Option<Element> {
    let element = match row.format {
        CANONICAL => Element::parse(&row.bytes, "").ok(),
        _ => None,
    };
    if element.is_none() {
        tracing::error!(format = row.format, "a private element cannot be read");
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        rows: 1,
        bytes: 100,
    };

    #[test]
    fn reserved_namespaces_are_refused() {
        for ns in ["", ns::PRIVATE, ns::CLIENT, ns::VCARD, ns::CAPS] {
            assert!(check_namespace(&Element::new(ns, "x")).is_err(), "{ns}");
        }
        assert!(check_namespace(&Element::new("storage:bookmarks", "storage")).is_ok());
    }

    #[test]
    fn an_empty_element_takes_no_room() {
        let element = Element::new("exodus:prefs", "exodus");
        let removed = write("a@localhost", &element, BOUNDS);
        assert!(matches!(removed, Write::PrivateRemove { .. }));
        let element = element.with_child(Element::new("exodus:prefs", "defaultnick"));
        let Write::PrivateSet { payload, .. } = write("a@localhost", &element, BOUNDS) else {
            unreachable!("it is kept");
        };
        assert_eq!(decode(&payload), Some(element));
    }
}
