//! XEP-0297 Stanza Forwarding 1.0: a stanza within another, as copies and archives have it.

use crate::ns;
use crate::stanza::{Payload, Recorder, Stanza};
use crate::xep::delay::Delay;
use crate::xml::Element;

/// The payload with `wrapper` as its only child, and in that the forwarded stanza (§3): with all of
/// its payload and in `jabber:client` (§3.1). `wrapper` has attributes only; what it contains is
/// left out. `delay` says when the stanza was received first (§3.1).
///
/// No tree is built: the stanza's text is taken as it is.
#[must_use]
pub fn wrap(wrapper: &Element, delay: Option<&Delay>, stanza: &Stanza) -> Payload {
    let mut recorder = Recorder::default();
    let ns = wrapper.ns().as_bytes();
    recorder.child_begins(wrapper.name().as_bytes(), Some(ns), true);
    let text = &mut recorder.text;
    open(wrapper, text);
    open(&Element::new(ns::FORWARD, "forwarded"), text);
    if let Some(delay) = delay {
        delay.to_element().write(ns::FORWARD, text);
    }
    stanza.write_within(text);
    text.extend_from_slice(b"</forwarded></");
    text.extend_from_slice(wrapper.name().as_bytes());
    text.push(b'>');
    recorder.child_ends();
    recorder.finish()
}

/// [`wrap`] for a stanza that was kept as [`Stanza::write`] writes it, and is not read again for
/// being sent.
#[must_use]
pub fn wrap_kept(wrapper: &Element, delay: &Delay, kept: &[u8]) -> Payload {
    let mut recorder = Recorder::default();
    let ns = wrapper.ns().as_bytes();
    recorder.child_begins(wrapper.name().as_bytes(), Some(ns), true);
    let text = &mut recorder.text;
    text.reserve(kept.len() + 320);
    open(wrapper, text);
    open(&Element::new(ns::FORWARD, "forwarded"), text);
    delay.to_element().write(ns::FORWARD, text);
    // It carries no namespace of its own; here it needs one (§3.1).
    let name = kept.iter().position(|byte| b" />".contains(byte));
    let (name, rest) = kept.split_at(name.unwrap_or_default());
    text.extend_from_slice(name);
    text.extend_from_slice(b" xmlns='");
    text.extend_from_slice(ns::CLIENT.as_bytes());
    text.push(b'\'');
    text.extend_from_slice(rest);
    text.extend_from_slice(b"</forwarded></");
    text.extend_from_slice(wrapper.name().as_bytes());
    text.push(b'>');
    recorder.child_ends();
    recorder.finish()
}

/// Writes the start tag of an element.
fn open(element: &Element, out: &mut Vec<u8>) {
    let mut empty = Element::new(element.ns().to_owned(), element.name().to_owned());
    for (name, value) in element.attrs() {
        empty.set_attr(name.to_owned(), value);
    }
    empty.write(ns::CLIENT, out);
    // `/>`
    out.truncate(out.len().saturating_sub(2));
    out.push(b'>');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jid::Jid;
    use crate::stanza::MessageType;

    fn said() -> Stanza {
        Stanza::message(MessageType::Chat)
            .with_from(Jid::parse("romeo@localhost/orchard").unwrap())
            .with_to(Jid::parse("juliet@localhost").unwrap())
            .with_lang("en")
            .with_element(Element::new(ns::CLIENT, "body").with_text("a < b"))
            .with_element(Element::new(ns::RECEIPTS, "request"))
    }

    #[test]
    fn it_is_what_a_tree_would_give() {
        let wrapper = Element::new(ns::CARBONS, "sent").with_attr("k", "'v'");
        let delay = Delay {
            from: None,
            stamp: 0,
            reason: None,
        };
        for delay in [None, Some(&delay)] {
            let inner = delay.map(Delay::to_element).into_iter();
            let forwarded = Element::new(ns::FORWARD, "forwarded")
                .with_children(inner)
                .with_child(said().to_element());
            let tree = Payload::from_element(&wrapper.clone().with_child(forwarded));
            let text = wrap(&wrapper, delay, &said());
            assert_eq!(text, tree);
            assert!(text.find(ns::CARBONS, "sent").is_some());
            assert_eq!(Payload::parse(&text.to_bytes()).unwrap(), tree);
            if let Some(delay) = delay {
                let kept = wrap_kept(&wrapper, delay, &said().to_bytes());
                assert_eq!(kept, tree);
            }
        }
    }
}
