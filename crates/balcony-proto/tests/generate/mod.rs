//! Documents made from a tape of random bytes: the same tape gives the same document, and a
//! shorter tape a simpler one.

#![allow(dead_code)] // each test file takes what it needs

const NAMES: [&str; 7] = ["body", "a", "b", "x-y.1", "\u{E9}t\u{E9}", "message", "_1"];
const NAMESPACES: [&str; 6] = [
    "urn:a",
    "urn:b",
    "jabber:client",
    "jabber:server",
    "urn:a&amp;b",
    "http://etherx.jabber.org/streams",
];
const VALUES: [&str; 12] = [
    "x",
    "&amp;",
    "&#10;",
    "\t",
    "\u{E9}",
    "\u{1F339}",
    "&lt;",
    ">",
    "  ",
    "\r\n",
    "&#x27;",
    "&quot;",
];
const TEXTS: [&str; 14] = [
    "hi",
    "&gt;",
    ">",
    "]",
    "&#x1F600;",
    "<![CDATA[ <&]] ]]>",
    "<![CDATA[]]>",
    "\r\n",
    "\r",
    "\u{E9}",
    "&apos;",
    "\n",
    "\"'",
    "\u{7F}\u{85}\u{FFFD}",
];
const SPACES: [&str; 4] = [" ", "  ", "\n", "\t\r\n"];

/// Random choices, one byte each; an empty tape chooses the first of everything.
pub(crate) struct Tape<'a> {
    bytes: &'a [u8],
}

impl<'a> Tape<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Tape { bytes }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        usize::from(*first) % bound
    }

    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.below(choices.len())]
    }
}

/// One element with whatever the tape puts in it.
pub(crate) fn element(tape: &mut Tape<'_>) -> String {
    let mut out = String::new();
    write_element(tape, &[], 0, &mut out);
    out
}

/// The content of a stanza.
pub(crate) fn content(tape: &mut Tape<'_>) -> String {
    let mut out = String::new();
    write_content(tape, &[], 0, &mut out);
    out
}

/// A few first-level elements with white space between them.
pub(crate) fn stanzas(tape: &mut Tape<'_>) -> String {
    let mut out = String::new();
    for _ in 0..=tape.below(3) {
        let (start, end) = [
            (
                "<message to='juliet@localhost' id=\"1\" a='b'>",
                "</message>",
            ),
            (
                "<presence from='romeo@localhost/o&apos;r' type = 'error'>",
                "</presence >",
            ),
            ("<iq type='get' id='x'>", "</iq\n>"),
            ("<iq type='what'>", "</iq>"),
            ("<r xmlns='urn:xmpp:sm:3' xml:lang='de'>", "</r>"),
        ][tape.below(5)];
        out.push_str(start);
        out.push_str(&content(tape));
        out.push_str(end);
        out.push_str(tape.of(&["", " ", "\n\n"]));
    }
    out
}

/// Changes a few bytes in ways that tend to break XML.
pub(crate) fn mutate(tape: &mut Tape<'_>, text: &str) -> Vec<u8> {
    const PIECES: [&[u8]; 24] = [
        b"<",
        b">",
        b"/",
        b"&",
        b"'",
        b"\"",
        b"=",
        b" ",
        b":",
        b"xmlns",
        b"xml",
        b"]]>",
        b"<!--",
        b"<?x?>",
        b"<![CDATA[",
        b"\0",
        b"\xFF",
        b"\xED\xA0\x80",
        b"\xEF\xBF\xBF",
        b"\xC0\x80",
        b";",
        b"&#0;",
        b"1",
        b"\r",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=tape.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = (tape.below(256) * 256 + tape.below(256)) % bytes.len();
        match tape.below(4) {
            0 => drop(bytes.remove(at)),
            1 => {
                let end = (at + 1 + tape.below(8)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            _ => {
                let piece = PIECES[tape.below(PIECES.len())];
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
        }
    }
    bytes
}

fn write_element(
    tape: &mut Tape<'_>,
    outer: &[(&'static str, &'static str)],
    depth: usize,
    out: &mut String,
) {
    let mut scope = outer.to_vec();
    let mut attrs: Vec<String> = Vec::new();
    match tape.below(4) {
        1 => attrs.push(declaration("xmlns", tape.of(&NAMESPACES), tape)),
        2 => {
            let (prefix, name) = (tape.of(&["p", "q"]), tape.of(&NAMESPACES));
            attrs.push(declaration(&format!("xmlns:{prefix}"), name, tape));
            scope.retain(|(known, _)| *known != prefix);
            scope.push((prefix, name));
        }
        3 if tape.below(4) == 0 => attrs.push("xmlns=''".to_owned()),
        _ => {}
    }
    // No prefix for the content namespace, which a stanza's children may not have.
    let usable: Vec<_> = scope
        .iter()
        .filter(|(_, name)| !name.starts_with("jabber"))
        .collect();
    let prefix = match usable.get(tape.below(usable.len() + 1)) {
        Some((prefix, _)) => format!("{prefix}:"),
        None => String::new(),
    };
    let name = format!("{prefix}{}", tape.of(&NAMES));
    for known in ["k", "K2", "xml:lang"].iter().take(tape.below(4)) {
        attrs.push(attribute(known, tape));
    }
    if let Some((prefix, _)) = usable.get(tape.below(usable.len() + 3)) {
        attrs.push(attribute(&format!("{prefix}:k"), tape));
    }
    let turn = tape.below(attrs.len() + 1);
    attrs.rotate_left(turn);
    out.push('<');
    out.push_str(&name);
    for attr in attrs {
        out.push_str(tape.of(&SPACES));
        out.push_str(&attr);
    }
    out.push_str(tape.of(&["", "", " "]));
    if tape.below(3) == 0 {
        return out.push_str("/>");
    }
    out.push('>');
    if depth < 4 {
        write_content(tape, &scope, depth + 1, out);
    }
    out.push_str("</");
    out.push_str(&name);
    out.push_str(tape.of(&["", "", "\n"]));
    out.push('>');
}

fn write_content(
    tape: &mut Tape<'_>,
    scope: &[(&'static str, &'static str)],
    depth: usize,
    out: &mut String,
) {
    for _ in 0..tape.below(4) {
        match tape.below(3) {
            0 => out.push_str(tape.of(&TEXTS)),
            _ => write_element(tape, scope, depth, out),
        }
    }
}

fn declaration(name: &str, value: &str, tape: &mut Tape<'_>) -> String {
    let quote = tape.of(&["'", "\""]);
    format!("{name}={quote}{value}{quote}")
}

fn attribute(name: &str, tape: &mut Tape<'_>) -> String {
    let equals = tape.of(&["=", "=", " =\n"]);
    let quote = tape.of(&["'", "\""]);
    let mut value = String::new();
    for _ in 0..tape.below(4) {
        value.push_str(tape.of(&VALUES));
    }
    format!("{name}{equals}{quote}{value}{quote}")
}
