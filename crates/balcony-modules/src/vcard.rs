//! XEP-0054 vcard-temp 1.3.0: keeps a vCard for each account, which everybody may read.

use std::sync::atomic::{AtomicU64, Ordering};

use balcony_core::module::{
    Answer, BoxFuture, Config, Core, Ctx, Feature, Handle, IqHandler, IqKind, KeyKind, ModuleSpec,
    Request, Section, Spec, Target, stanza_error,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xml::Element;
use balcony_store::{Error, Stored, VCard, Write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::avatar;
use crate::keys::key;
use crate::turns::Turns;

/// The payload of a stanza in canonical form.
const CANONICAL: u16 = 1;

static LIMITS: Section = Section {
    name: "limits",
    doc: "",
    list: false,
    keys: &[key(
        "vcard",
        KeyKind::Size {
            min: 1_024,
            max: 16 << 20,
        },
        "\"192KiB\"",
        "Bytes of an account's vCard (XEP-0054), photo included. The default holds a photo of \
         128 KiB; XEP-0153 §4.6 wants them under 8.",
    )],
};

/// vCards.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "vcard",
    specs: &[Spec::xep("XEP-0054", "vcard-temp", "1.3.0").note("of accounts")],
    features: &[Feature::both(ns::VCARD)],
    iq: &[
        IqHandler {
            ns: ns::VCARD,
            name: "vCard",
            kind: IqKind::Get,
            target: Target::ACCOUNT,
            handle: Handle::Waits(get),
        },
        IqHandler {
            ns: ns::VCARD,
            name: "vCard",
            kind: IqKind::Set,
            target: Target::ACCOUNT,
            handle: Handle::Waits(set),
        },
    ],
    config: &[&LIMITS],
    state: Some(|_| Box::new(State::default())),
    conversations: &["xep-0054"],
    ..ModuleSpec::NOTHING
};

/// Whose turn it is to change a vCard, and how many were changed.
#[derive(Default)]
struct State(Turns, AtomicU64);

/// How often a vCard was changed since the start, whosever: what was read since the last change
/// still holds.
pub(crate) fn changes(core: &Core) -> u64 {
    let state = core.state::<State>();
    state.map_or(0, |state| state.1.load(Ordering::Acquire))
}

fn get<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = request.account()?;
        let found = ctx.store().vcards().get(account.as_str()).await;
        let found = found.map_err(|cause| stanza_error(&cause))?;
        let payload = found.and_then(|vcard| decode(&vcard.payload));
        payload.ok_or_else(|| match request.target {
            // §3.1
            Target::OWN_ACCOUNT => StanzaError::item_not_found(),
            // §3.3: no vCard and no account answer alike.
            _ => StanzaError::service_unavailable(),
        })
    })
}

fn set<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        // §3.2
        if request.target != Target::OWN_ACCOUNT {
            return Err(StanzaError::forbidden());
        }
        let vcard = request.payload()?;
        let (account, card) = (request.account()?, vcard.element());
        let turn = ctx
            .state::<State>()
            .map(|state| state.0.take(account.as_str()));
        let turn = turn.ok_or_else(StanzaError::internal_server_error)?.await;
        keep(ctx, &account, &card).await?;
        // What follows takes the turn of nodes, in which others ask for this one.
        drop(turn);
        avatar::vcard_published(ctx, &account, &card).await;
        Ok(Payload::empty())
    })
}

async fn keep(ctx: &mut Ctx<'_>, account: &Jid, card: &Element) -> Result<(), StanzaError> {
    let write = Write::VCardSet {
        account: account.to_string(),
        vcard: row(&ctx.config(), card)?,
    };
    let committed = ctx.commit(write.into()).await;
    if let Some(state) = ctx.state::<State>() {
        state.1.fetch_add(1, Ordering::AcqRel);
    }
    match committed {
        Ok(_) => Ok(()),
        // An anonymous account, or one that was deleted meanwhile.
        Err(Error::NotFound) => Err(StanzaError::not_allowed()),
        Err(cause) => Err(stanza_error(&cause)),
    }
}

/// A vCard as the store keeps it.
///
/// # Errors
/// `policy-violation` for one that is too large.
pub(crate) fn row(config: &Config, card: &Element) -> Result<VCard, StanzaError> {
    let bytes = card.to_bytes(ns::CLIENT);
    if bytes.len() > config.values("limits").size("vcard") {
        return Err(StanzaError::policy_violation().with_text("the vCard is too large"));
    }
    Ok(VCard {
        photo_sha1: card.child(ns::VCARD, "PHOTO").and_then(photo_hash),
        payload: Stored {
            format: CANONICAL,
            bytes,
        },
    })
}

/// Gives an account's vCard another `<PHOTO/>`; `None`: takes it away.
///
/// # Errors
/// `policy-violation` when it becomes too large, and those of the store.
pub(crate) async fn set_photo(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    photo: Option<Element>,
) -> Result<(), StanzaError> {
    let state = ctx.state::<State>();
    let state = state.ok_or_else(StanzaError::internal_server_error)?;
    let _turn = state.0.take(account.as_str()).await;
    let found = ctx.store().vcards().get(account.as_str()).await;
    let found = found.map_err(|cause| stanza_error(&cause))?;
    let kept = found.and_then(|vcard| decode(&vcard.payload));
    let kept = kept.and_then(|payload| Some(payload.first()?.element()));
    if kept.is_none() && photo.is_none() {
        return Ok(());
    }
    let mut card = kept.unwrap_or_else(|| Element::new(ns::VCARD, "vCard"));
    card.retain(|child| !child.is(ns::VCARD, "PHOTO"));
    keep(ctx, account, &card.with_children(photo)).await
}

pub(crate) fn decode(row: &Stored) -> Option<Payload> {
    let payload = match row.format {
        CANONICAL => Payload::parse(&row.bytes).ok(),
        _ => None,
    };
    if payload.is_none() {
        tracing::error!(format = row.format, "a vCard cannot be read");
    }
    payload
}

/// The photo of a vCard: what type of image it says to be, and the image itself. `None` without one
/// that can be read.
pub(crate) fn photo(vcard: &Element) -> Option<(String, Vec<u8>)> {
    vcard.child(ns::VCARD, "PHOTO").and_then(image)
}

/// XEP-0153 §3.1: SHA-1 of the image itself. `None` for a `<PHOTO/>` that cannot be read.
pub(crate) fn photo_hash(photo: &Element) -> Option<[u8; 20]> {
    image(photo).map(|(_, image)| Sha1::digest(image).into())
}

fn image(photo: &Element) -> Option<(String, Vec<u8>)> {
    let mut text = photo.child_text(ns::VCARD, "BINVAL")?;
    text.retain(|c| !c.is_ascii_whitespace());
    let image = STANDARD.decode(text).ok()?;
    let kind = photo.child_text(ns::VCARD, "TYPE");
    let kind = kind.filter(|kind| kind.starts_with("image/"));
    let kind = kind.unwrap_or_else(|| "image/png".to_owned());
    (!image.is_empty()).then_some((kind, image))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(photo: &str) -> Option<[u8; 20]> {
        let text = format!("<vCard xmlns='vcard-temp'><FN>Juliet</FN>{photo}</vCard>");
        let vcard = Element::parse(text.as_bytes(), "").unwrap();
        photo_hash(vcard.child(ns::VCARD, "PHOTO")?)
    }

    #[test]
    fn the_hash_is_of_the_image_and_not_of_its_letters() {
        // RFC 3174 §7.3, "abc".
        let expected = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let found = hash("<PHOTO><TYPE>image/png</TYPE><BINVAL>\n YW\n Jj </BINVAL></PHOTO>");
        let hex: String = found
            .unwrap()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn without_an_image_there_is_no_hash() {
        for photo in [
            "",
            "<PHOTO/>",
            "<PHOTO><BINVAL/></PHOTO>",
            "<PHOTO><BINVAL>?</BINVAL></PHOTO>",
            "<PHOTO><EXTVAL>https://localhost/juliet.png</EXTVAL></PHOTO>",
        ] {
            assert_eq!(hash(photo), None, "{photo}");
        }
    }
}
