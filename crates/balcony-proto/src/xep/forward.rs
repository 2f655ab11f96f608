//! XEP-0297 Stanza Forwarding 1.0: a stanza within another, written without building it.

use super::date_time;
use crate::ns;
use crate::stanza::Payload;
use crate::xml::escape_attr;

/// Appends `<forwarded/>` around a stanza as [`Stanza::write`](crate::stanza::Stanza::write) writes
/// it, with the time at which it was received: microseconds since the Unix epoch, UTC.
fn write(stanza: &[u8], stamp: Option<i64>, out: &mut Vec<u8>) {
    text(&["<forwarded xmlns='", ns::FORWARD, "'>"], out);
    if let Some(stamp) = stamp {
        let stamp = date_time::format_utc(stamp);
        text(
            &["<delay xmlns='", ns::DELAY, "' stamp='", &stamp, "'/>"],
            out,
        );
    }
    // The stanza carries no namespace of its own; here it needs one (§3 rule 1).
    let name = stanza.iter().skip(1).position(|b| b" />".contains(b));
    let (name, rest) = stanza.split_at(name.map_or(0, |at| at + 1));
    out.extend_from_slice(name);
    text(&[" xmlns='", ns::CLIENT, "'"], out);
    out.extend_from_slice(rest);
    text(&["</forwarded>"], out);
}

fn text(parts: &[&str], out: &mut Vec<u8>) {
    parts
        .iter()
        .for_each(|part| out.extend_from_slice(part.as_bytes()));
}

fn attr(name: &str, value: &str, out: &mut Vec<u8>) {
    text(&[" ", name, "='"], out);
    escape_attr(value, out);
    out.push(b'\'');
}

/// The only child of a message of XEP-0280: `name` is `sent` or `received`.
#[must_use]
pub fn carbon(name: &'static str, stanza: &[u8]) -> Payload {
    let mut out = Vec::with_capacity(stanza.len() + 160);
    text(&["<", name, " xmlns='", ns::CARBONS, "'>"], &mut out);
    write(stanza, None, &mut out);
    text(&["</", name, ">"], &mut out);
    Payload::of_child(ns::CARBONS, name, out)
}

/// The only child of a message with a result of XEP-0313 §4.2. `stamp` as in a delay.
#[must_use]
pub fn archived(queryid: Option<&str>, id: &str, stamp: i64, stanza: &[u8]) -> Payload {
    let mut out = Vec::with_capacity(stanza.len() + 320);
    text(&["<result xmlns='", ns::MAM, "'"], &mut out);
    if let Some(queryid) = queryid {
        attr("queryid", queryid, &mut out);
    }
    attr("id", id, &mut out);
    text(&[">"], &mut out);
    write(stanza, Some(stamp), &mut out);
    text(&["</result>"], &mut out);
    Payload::of_child(ns::MAM, "result", out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::{MessageType, Stanza};
    use crate::xml::Element;

    fn chat() -> Stanza {
        Stanza::message(MessageType::Chat)
            .with_id("a'b")
            .with_element(Element::new(ns::CLIENT, "body").with_text("a < b"))
            .with_element(Element::new(ns::RECEIPTS, "request"))
    }

    /// What is written as bytes is what a tree would be written as.
    fn is_canonical(payload: &Payload) -> Element {
        let child = payload.first().unwrap();
        let element = child.element();
        let mut out = Vec::new();
        element.write(ns::CLIENT, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{child:?}"));
        let again = Payload::parse(&payload.to_bytes()).unwrap();
        assert_eq!(again, *payload);
        element
    }

    #[test]
    fn a_forwarded_stanza_is_as_if_a_tree_had_been_written() {
        let element = is_canonical(&carbon("sent", &chat().to_bytes()));
        let forwarded = element.child(ns::FORWARD, "forwarded").unwrap();
        let inner = forwarded.children().next().unwrap();
        assert_eq!(
            Stanza::from_element(inner).unwrap().to_bytes(),
            chat().to_bytes()
        );
        let empty = Stanza::message(MessageType::Normal).to_bytes();
        is_canonical(&carbon("received", &empty));
    }

    #[test]
    fn a_result_says_what_was_asked_and_when_it_came() {
        let payload = archived(Some("f'27"), "28482", 0, &chat().to_bytes());
        let element = is_canonical(&payload);
        assert_eq!(element.attr("queryid"), Some("f'27"));
        assert_eq!(element.attr("id"), Some("28482"));
        let forwarded = element.child(ns::FORWARD, "forwarded").unwrap();
        let delay = forwarded.child(ns::DELAY, "delay").unwrap();
        assert_eq!(delay.attr("stamp"), Some("1970-01-01T00:00:00Z"));
    }
}
