//! The stream log that an operator switches on for one account: what client and server wrote.

use balcony_core::trace::{Piece, Writer};
use balcony_core::{Core, Session};
use balcony_stream::{Event, established};

/// Shows a piece of a session's stream to whoever watches it; switches the log of the session off
/// when nobody does any more.
pub(crate) fn show(core: &Core, session: &Session, writer: Writer, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let piece = Piece {
        utc_micros: core.clock().utc_micros(),
        session: session.jid().to_string(),
        writer,
        xml: blank(&String::from_utf8_lossy(bytes)),
    };
    if !core.trace().show(session.account().as_str(), piece) {
        session.set_traced(false);
    }
}

/// Shows what a client wrote, in canonical form: whole elements, so that no secret is cut in two.
pub(crate) fn show_event(core: &Core, session: &Session, event: &Event) {
    let mut xml = Vec::new();
    match event {
        Event::Stanza(stanza) => stanza.write(&mut xml),
        Event::BadStanza(bad) => xml.extend_from_slice(format!("{bad:?}").as_bytes()),
        Event::Nonza(element) => element.write("", &mut xml),
        Event::Whitespace => xml.push(b' '),
        Event::Error(error) => established::write_error(error, &mut xml),
        Event::Close => established::write_close(&mut xml),
        _ => {}
    }
    show(core, session, Writer::Client, &xml);
}

/// Elements whose text is a secret: passwords of XEP-0077 and SASL exchanges.
const SECRET: [&str; 7] = [
    "password",
    "auth",
    "response",
    "challenge",
    "success",
    "initial-response",
    "token",
];

/// Blanks the text of elements that carry secrets.
fn blank(xml: &str) -> String {
    let mut out = String::with_capacity(xml.len());
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        out.push_str(text);
        let end = tag.find('>').map_or(tag.len(), |end| end + 1);
        let (tag, after) = tag.split_at(end);
        out.push_str(tag);
        rest = after;
        if is_secret(tag) {
            let end = rest.find('<').unwrap_or(rest.len());
            if end > 0 {
                out.push('…');
            }
            rest = rest.get(end..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

fn is_secret(tag: &str) -> bool {
    let name = tag.trim_start_matches('<');
    let end = name.find(|c: char| c.is_whitespace() || c == '>' || c == '/');
    let name = end.and_then(|end| name.get(..end)).unwrap_or(name);
    // A form field of that name carries its secret in a <value/> (XEP-0004 §3.3).
    SECRET.contains(&name) || name == "value"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_sasl_data_are_blanked() {
        let xml = "<query xmlns='jabber:iq:register'><username>romeo</username>\
                   <password>secret</password></query><auth xmlns='x'>AGp1</auth>";
        let shown = blank(xml);
        assert!(shown.contains("<username>romeo</username>"));
        assert!(
            !shown.contains("secret") && !shown.contains("AGp1"),
            "{shown}"
        );
    }

    #[test]
    fn a_piece_that_is_cut_off_anywhere_is_shown_without_harm() {
        let xml = "<iq><password>secret</password></iq>é";
        for end in (0..=xml.len()).filter(|end| xml.is_char_boundary(*end)) {
            assert!(!blank(&xml[..end]).contains("secret"));
        }
    }
}
