//! XEP-0359 Unique and Stable Stanza IDs 0.7.0: nobody else gives a stanza-id of our accounts.

use balcony_core::module::{
    Band, Ctx, Envelope, Feature, Flow, Hook, HookSpec, Kinds, ModuleSpec, Spec, Stage,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::Child;
use balcony_proto::xml::Element;
use balcony_store::ArchiveId;

/// Guard of stanza-ids.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "stanza_id",
    specs: &[
        Spec::xep("XEP-0359", "Unique and Stable Stanza IDs", "0.7.0")
            .note("ids are given where a message is archived"),
    ],
    features: &[Feature::account(ns::STANZA_ID)],
    hooks: &[
        HookSpec {
            stage: Stage::Sending,
            band: Band::Transform,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &["stanza-id"],
            hook: Hook::Now(strip_senders),
        },
        HookSpec {
            stage: Stage::Arriving,
            band: Band::Transform,
            kinds: Kinds::MESSAGE,
            after: &[],
            changes: &["stanza-id"],
            hook: Hook::Now(strip_recipients),
        },
    ],
    conversations: &["xep-0359"],
    ..ModuleSpec::NOTHING
};

/// `<stanza-id/>` of an account's archive (§2.1).
pub(crate) fn element(account: &Jid, id: ArchiveId) -> Element {
    Element::new(ns::STANZA_ID, "stanza-id")
        .with_attr("by", account.bare_str().to_owned())
        .with_attr("id", id.to_string())
}

/// §3 rule 2 for the sender's account, which a client is not.
fn strip_senders(_: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let account = envelope.from().cloned();
    strip(envelope, account.as_ref());
    Flow::Continue
}

/// §3 rule 2 for the recipient's account.
fn strip_recipients(_: &mut Ctx<'_>, envelope: &mut Envelope) -> Flow {
    let account = envelope.to().cloned();
    strip(envelope, account.as_ref());
    Flow::Continue
}

/// Takes out the stanza-ids that claim to be by an account. Others, and origin-ids, stay (rule 3).
fn strip(envelope: &mut Envelope, account: Option<&Jid>) {
    let Some(account) = account else { return };
    let payload = &mut envelope.stanza.payload;
    *payload = payload.without(|child| claims(child, account));
}

/// Rule 7: addresses are compared normalised.
fn claims(child: &Child<'_>, account: &Jid) -> bool {
    child.is(ns::STANZA_ID, "stanza-id")
        && child
            .attr("by")
            .and_then(|by| Jid::parse(&by).ok())
            .is_some_and(|by| by.as_str() == account.bare_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Payload;
    use balcony_proto::xml::Element;

    #[test]
    fn an_id_by_the_account_is_found_however_it_is_written() {
        let account = Jid::parse("juliet@localhost/balcony").unwrap();
        let claims = |name: &'static str, by: &str| {
            let element = Element::new(ns::STANZA_ID, name).with_attr("by", by);
            claims(&Payload::from_element(&element).first().unwrap(), &account)
        };
        assert!(claims("stanza-id", "juliet@localhost"));
        assert!(claims("stanza-id", "JULIET@LocalHost"));
        assert!(!claims("stanza-id", "romeo@localhost"));
        assert!(!claims("stanza-id", "@"));
        assert!(!claims("origin-id", "juliet@localhost"));
    }
}
