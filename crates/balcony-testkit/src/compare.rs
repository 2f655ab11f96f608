//! Whether a stanza is the one that a script expects.
//!
//! Trees are compared, not texts: the order of attributes and of children counts for nothing, nor
//! does white space between elements. Everything else must be there and nothing more may be,
//! unless `…` says so.

use balcony_proto::ns;
use balcony_proto::xml::{Element, Node};

use crate::placeholders::Names;

/// What [`mark_open`] makes of `…` in a tag.
const OPEN: &str = "may-have-more";
/// More may stand here.
const MORE: char = '…';

/// Turns `…` within tags, which is not XML, into something that is.
#[must_use]
pub fn mark_open(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_tag, mut quote) = (false, None);
    for c in text.chars() {
        match (c, quote) {
            ('<', None) => in_tag = true,
            ('>', None) => in_tag = false,
            ('\'' | '"', None) if in_tag => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            (MORE, None) if in_tag => {
                out.push_str(OPEN);
                out.push_str("='yes'");
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// Compares. Names in the script that are new get what they meet.
///
/// # Errors
/// The first thing that is different, in words.
pub fn compare(expected: &Element, got: &Element, names: &mut Names) -> Result<(), String> {
    if (expected.ns(), expected.name()) != (got.ns(), got.name()) {
        return Err(format!("{} instead of {}", title(got), title(expected)));
    }
    attributes(expected, got, names)?;
    let open = text(expected).contains(MORE);
    let wanted: Vec<&Element> = expected.children().collect();
    let mut found: Vec<&Element> = got.children().collect();
    found.retain(|child| !is_archives_own_id(child) || names_it(&wanted, child, names));
    texts(expected, got, open, names)?;
    if wanted.is_empty() && open {
        return Ok(());
    }
    children(&wanted, &found, open, names).map_err(|why| format!("in <{}>: {why}", got.name()))
}

/// XEP-0313 §3.5: an archive adds its id to what it holds. A script that is about something else
/// need not say so.
fn is_archives_own_id(child: &Element) -> bool {
    let id = child.attr("id").unwrap_or_default();
    child.is(ns::STANZA_ID, "stanza-id")
        && id.len() == 32
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the script expects a stanza-id by the same entity.
fn names_it(wanted: &[&Element], id: &Element, names: &Names) -> bool {
    let by = id.attr("by").unwrap_or_default();
    let ids = wanted
        .iter()
        .filter(|child| child.is(ns::STANZA_ID, "stanza-id"));
    let mut expected = ids.filter_map(|child| child.attr("by"));
    expected.any(|wanted| names.clone().fits(wanted, by))
}

fn title(element: &Element) -> String {
    let ns = match element.ns() {
        ns::CLIENT => String::new(),
        ns => format!(" xmlns='{ns}'"),
    };
    format!("<{}{ns}>", element.name())
}

fn attributes(expected: &Element, got: &Element, names: &mut Names) -> Result<(), String> {
    let name = got.name();
    for (key, wanted) in expected.attrs().filter(|(key, _)| *key != OPEN) {
        let Some(value) = got.attr(key) else {
            return Err(format!("<{name}> has no '{key}'"));
        };
        if !names.fits(wanted, value) {
            return Err(format!("<{name}> has {key}='{value}', not '{wanted}'"));
        }
    }
    if expected.attr(OPEN).is_some() {
        return Ok(());
    }
    // RFC 6120 §8.1.5: the server adds the stream's language where a stanza has none.
    let more = got
        .attrs()
        .find(|(key, _)| *key != "xml:lang" && expected.attr(key).is_none());
    match more {
        Some((key, value)) => Err(format!("<{name}> has also {key}='{value}'")),
        None => Ok(()),
    }
}

fn text(element: &Element) -> String {
    let texts = element.nodes().iter().filter_map(|node| match node {
        Node::Text(text) => Some(text.as_str()),
        Node::Element(_) => None,
    });
    texts.collect()
}

/// White space around text counts for nothing where there are elements beside it.
fn texts(expected: &Element, got: &Element, open: bool, names: &mut Names) -> Result<(), String> {
    let (wanted, found) = (text(expected).replace(MORE, ""), text(got));
    let mixed = expected.children().next().is_some() || got.children().next().is_some() || open;
    let (wanted, found) = match mixed {
        true => (wanted.trim(), found.trim()),
        false => (wanted.as_str(), found.as_str()),
    };
    if (open && wanted.is_empty()) || names.fits(wanted, found) {
        return Ok(());
    }
    Err(format!("<{}> says '{found}', not '{wanted}'", got.name()))
}

/// Finds a child for each that is expected. Tries all ways, since what fits two may be the only
/// one for the other.
fn children(
    wanted: &[&Element],
    found: &[&Element],
    open: bool,
    names: &mut Names,
) -> Result<(), String> {
    let Some((first, rest)) = wanted.split_first() else {
        return match found.first() {
            Some(more) if !open => Err(format!("{} is there too", title(more))),
            _ => Ok(()),
        };
    };
    let mut reason = format!("{} is missing", title(first));
    for (at, candidate) in found.iter().enumerate() {
        let mut tried = names.clone();
        let left: Vec<&Element> = without(found, at);
        let result = compare(first, candidate, &mut tried)
            .and_then(|()| children(rest, &left, open, &mut tried));
        match result {
            Ok(()) => {
                *names = tried;
                return Ok(());
            }
            Err(why) if candidate.is(first.ns(), first.name()) => reason = why,
            Err(_) => {}
        }
    }
    Err(reason)
}

fn without<'a>(all: &[&'a Element], at: usize) -> Vec<&'a Element> {
    let kept = all.iter().enumerate().filter(|(other, _)| *other != at);
    kept.map(|(_, element)| *element).collect()
}

/// An element as a person reads it: a line for each element, indented.
#[must_use]
pub fn pretty(element: &Element) -> String {
    let mut out = String::new();
    write(element, ns::CLIENT, 1, &mut out);
    out
}

fn write(element: &Element, parent_ns: &str, depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    let mut head = element.clone();
    let mut shell = Element::new(head.ns().to_owned(), head.name().to_owned());
    for (key, value) in element.attrs() {
        shell.set_attr(key.to_owned(), value);
    }
    if element.children().next().is_none() {
        head = shell.with_text(&text(element));
        out.push_str(&format!("{indent}{}\n", bytes(&head, parent_ns)));
        return;
    }
    let tag = bytes(&shell, parent_ns);
    out.push_str(&format!("{indent}{}>\n", tag.trim_end_matches("/>")));
    let own = text(element);
    if !own.trim().is_empty() {
        out.push_str(&format!("{indent}    {}\n", own.trim()));
    }
    for child in element.children() {
        write(child, element.ns(), depth + 1, out);
    }
    out.push_str(&format!("{indent}</{}>\n", element.name()));
}

fn bytes(element: &Element, parent_ns: &str) -> String {
    let text = String::from_utf8_lossy(&element.to_bytes(parent_ns)).into_owned();
    text.replace(&format!("{OPEN}='yes'"), "…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::elements;

    fn check(expected: &str, got: &str) -> Result<(), String> {
        let expected = elements(&mark_open(expected)).unwrap();
        let got = elements(got).unwrap();
        compare(&expected[0], &got[0], &mut Names::default())
    }

    #[test]
    fn order_and_white_space_count_for_nothing() {
        check(
            "<message to='a' id='1'>\n  <body>hi</body>\n  <thread>t</thread>\n</message>",
            "<message id='1' to='a'><thread>t</thread><body>hi</body></message>",
        )
        .unwrap();
        assert!(check("<body>hi</body>", "<body> hi</body>").is_err());
    }

    #[test]
    fn what_is_missing_wrong_or_too_much_is_found() {
        let got = "<message to='a' type='chat'><body>hi</body><x xmlns='urn:x'/></message>";
        for (wrong, why) in [
            ("<presence/>", "instead of <presence>"),
            ("<message to='a'>…</message>", "also type='chat'"),
            ("<message to='a' type='chat' id='1'>…</message>", "no 'id'"),
            ("<message to='b' …>…</message>", "has to='a', not 'b'"),
            (
                "<message …><body>hi</body></message>",
                "<x xmlns='urn:x'> is there too",
            ),
            (
                "<message …><body>ho</body>…</message>",
                "says 'hi', not 'ho'",
            ),
            ("<message …><x/>…</message>", "<x> is missing"),
            ("<message …/>", "<body> is there too"),
        ] {
            let reason = check(wrong, got).unwrap_err();
            assert!(reason.contains(why), "{wrong}: {reason}");
        }
        check("<message …>…</message>", got).unwrap();
        check("<message …><x xmlns='urn:x'/>…</message>", got).unwrap();
    }

    #[test]
    fn a_language_counts_where_it_is_named() {
        check("<message/>", "<message xml:lang='en'/>").unwrap();
        assert!(check("<message xml:lang='de'/>", "<message xml:lang='en'/>").is_err());
        assert!(check("<message xml:lang='de'/>", "<message/>").is_err());
    }

    #[test]
    fn the_only_way_to_fit_is_found() {
        check(
            "<q><item jid='{any}'/><item jid='a'/></q>",
            "<q><item jid='a'/><item jid='b'/></q>",
        )
        .unwrap();
        check(
            "<q n='{x}'><item jid='{any}'/><item jid='{x}'/></q>",
            "<q n='b'><item jid='b'/><item jid='a'/></q>",
        )
        .unwrap();
    }

    #[test]
    fn an_element_is_shown_as_it_is() {
        let element =
            &elements("<message><body>a &lt; b</body><x xmlns='urn:x'/></message>").unwrap()[0];
        assert_eq!(
            pretty(element),
            "    <message>\n        <body>a &lt; b</body>\n        <x xmlns='urn:x'/>\n    </message>\n"
        );
    }
}
