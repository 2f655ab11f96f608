//! XEP-0398 User Avatar to vCard-Based Avatars Conversion 1.0.0: one avatar for those who publish
//! it (XEP-0084) and those who look into vCards (XEP-0153), with its hash in presence.

use std::sync::Arc;

use balcony_core::module::{
    Band, Ctx, Envelope, Feature, Flow, Hook, HookSpec, Kinds, ModuleSpec, Session, Soon, Spec,
    Stage,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{Kind, PresenceType, StanzaError};
use balcony_proto::xml::Element;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::{pubsub, vcard};

/// Avatars.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "avatar",
    specs: &[
        Spec::xep("XEP-0084", "User Avatar", "1.1.4").note("by nodes of the account"),
        Spec::xep("XEP-0153", "vCard-Based Avatars", "1.1.1")
            .note("the hash in presence, for clients that leave it out"),
        Spec::xep(
            "XEP-0398",
            "User Avatar to vCard-Based Avatars Conversion",
            "1.0.0",
        ),
    ],
    features: &[Feature::account(ns::AVATAR_CONVERSION)],
    hooks: &[HookSpec {
        stage: Stage::Sending,
        band: Band::Transform,
        kinds: Kinds::PRESENCE,
        after: &[],
        changes: &["avatar of presence"],
        hook: Hook::Waits(stamp),
    }],
    conversations: &["xep-0398"],
    ..ModuleSpec::NOTHING
};

/// What a presence says of an avatar (XEP-0153 §4.1).
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Nothing, or that it does not know yet.
    Nothing,
    /// That there is none.
    None,
    /// Its hash.
    Hash(String),
}

fn said(envelope: &Envelope) -> Said {
    let update = envelope.stanza.payload.find(ns::VCARD_UPDATE, "x");
    let photo = update.and_then(|x| x.element().child_text(ns::VCARD_UPDATE, "photo"));
    match photo {
        None => Said::Nothing,
        Some(text) if text.trim().is_empty() => Said::None,
        Some(text) => Said::Hash(text.trim().to_owned()),
    }
}

/// §4: the hash of the avatar goes with every available presence, directed or not, unless the
/// client says that there is none.
fn stamp<'a>(ctx: &'a mut Ctx<'_>, envelope: &'a mut Envelope) -> Soon<'a> {
    let available = envelope.stanza.kind == Kind::Presence(PresenceType::Available);
    let (true, Some(session)) = (available, envelope.session().cloned()) else {
        return Soon::Now(Flow::Continue);
    };
    let said = said(envelope);
    if said == Said::None {
        return Soon::Now(Flow::Continue);
    }
    match known(ctx, &session) {
        Some(hash) => {
            say(envelope, &said, hash.as_deref());
            Soon::Now(Flow::Continue)
        }
        None => Soon::later(read_and_say(ctx, envelope, session, said)),
    }
}

/// Note of a session: the hash of its account's photo.
struct Photo {
    hash: Option<Arc<str>>,
    /// Of vCards, when it was read.
    changes: u64,
}

/// The hash of the account's photo, if that is known for certain.
fn known(ctx: &Ctx<'_>, session: &Session) -> Option<Option<Arc<str>>> {
    let changes = vcard::changes(ctx.core());
    session.notes(|notes| {
        let photo = notes.get::<Photo>()?;
        (photo.changes == changes).then(|| photo.hash.clone())
    })
}

async fn read_and_say(
    ctx: &mut Ctx<'_>,
    envelope: &mut Envelope,
    session: Arc<Session>,
    said: Said,
) -> Flow {
    let changes = vcard::changes(ctx.core());
    let found = ctx.store().vcards().photo(session.account().as_str()).await;
    let Ok(found) = found else {
        return Flow::Continue;
    };
    let hash: Option<Arc<str>> = found.map(|hash| hex(&hash).into());
    say(envelope, &said, hash.as_deref());
    // Most sessions show one presence and never another, and need no note.
    if session.is_available() {
        session.notes(|notes| notes.set(Photo { hash, changes }));
    }
    Flow::Continue
}

/// Puts the hash into a presence, unless it is there.
fn say(envelope: &mut Envelope, said: &Said, hash: Option<&str>) {
    let Some(hash) = hash else {
        return;
    };
    if matches!(said, Said::Hash(said) if said == hash) {
        return;
    }
    let photo = Element::new(ns::VCARD_UPDATE, "photo").with_text(hash);
    let update = Element::new(ns::VCARD_UPDATE, "x").with_child(photo);
    let payload = &mut envelope.stanza.payload;
    *payload = payload.without(|child| child.is(ns::VCARD_UPDATE, "x"));
    payload.add(&update);
}

/// XEP-0153 §3.1: lower case is what everybody writes.
fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// §3.1: something was published; if it tells of an avatar, the vCard gets it. The caller has the
/// account's turn.
pub(crate) async fn published(ctx: &mut Ctx<'_>, account: &Jid, node: &str, payload: &Element) {
    if node != ns::AVATAR_METADATA {
        return;
    }
    if let Err(error) = into_vcard(ctx, account, payload).await {
        let condition = error.condition.as_str();
        tracing::info!(%account, condition, "the avatar is not in the vCard");
    }
}

async fn into_vcard(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    metadata: &Element,
) -> Result<(), StanzaError> {
    let infos = metadata.children();
    let infos = infos.filter(|info| info.is(ns::AVATAR_METADATA, "info"));
    let infos: Vec<&Element> = infos.collect();
    if infos.is_empty() {
        // XEP-0084 §3.5: an avatar no more.
        return vcard::set_photo(ctx, account, None).await;
    }
    // The one that does not point elsewhere.
    let Some(info) = infos.iter().find(|info| info.attr("url").is_none()) else {
        return Ok(());
    };
    let id = info.attr("id").ok_or_else(StanzaError::bad_request)?;
    // §7: only what everybody may see.
    let data = pubsub::open_item(ctx, account, ns::AVATAR_DATA, Some(id)).await?;
    let Some((_, data)) = data else {
        return Ok(());
    };
    let mut text = data.text();
    text.retain(|c| !c.is_ascii_whitespace());
    let image = STANDARD
        .decode(&text)
        .map_err(|_| StanzaError::bad_request())?;
    if hex(&Sha1::digest(&image)) != id.to_ascii_lowercase() {
        return Err(StanzaError::not_acceptable());
    }
    let kind = info.attr("type").unwrap_or("image/png");
    let part = |name: &'static str, text: &str| Element::new(ns::VCARD, name).with_text(text);
    let photo = Element::new(ns::VCARD, "PHOTO")
        .with_child(part("TYPE", kind))
        .with_child(part("BINVAL", &text));
    vcard::set_photo(ctx, account, Some(photo)).await
}

/// §3.2: a vCard was published; its photo becomes the avatar unless it is so already.
pub(crate) async fn vcard_published(ctx: &mut Ctx<'_>, account: &Jid, card: &Element) {
    let Some((kind, image)) = vcard::photo(card) else {
        return;
    };
    if let Err(error) = publish(ctx, account, &kind, &image).await {
        let condition = error.condition.as_str();
        tracing::info!(%account, condition, "the photo of a vCard is not published");
    }
}

async fn publish(
    ctx: &mut Ctx<'_>,
    account: &Jid,
    kind: &str,
    image: &[u8],
) -> Result<(), StanzaError> {
    let id = hex(&Sha1::digest(image));
    let now = pubsub::open_item(ctx, account, ns::AVATAR_METADATA, None).await?;
    if now.is_some_and(|(now, _)| now == id) {
        return Ok(());
    }
    let data = Element::new(ns::AVATAR_DATA, "data").with_text(&STANDARD.encode(image));
    let info = Element::new(ns::AVATAR_METADATA, "info")
        .with_attr("bytes", image.len().to_string())
        .with_attr("id", id.as_str())
        .with_attr("type", kind);
    let metadata = Element::new(ns::AVATAR_METADATA, "metadata").with_child(info);
    for (node, payload) in [(ns::AVATAR_DATA, data), (ns::AVATAR_METADATA, metadata)] {
        // A vCard is for everybody; of a node that is there its owner has decided.
        let new = !pubsub::exists(ctx, account, node).await?;
        let options = new.then(pubsub::public);
        pubsub::publish(ctx, account, (node, id.clone(), payload), options).await?;
    }
    Ok(())
}
