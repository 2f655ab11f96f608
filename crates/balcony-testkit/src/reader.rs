//! What a server sends, read by a parser that is not ours.

use std::collections::VecDeque;

use balcony_proto::ns;
use balcony_proto::xml::Element;
use rxml::error::EndOrError;
use rxml::{Event, Parse, Parser, WithOptions};

/// A first-level piece of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// The stream header, as an element without content.
    Open(Element),
    /// A stanza, features, an error, or another element.
    Element(Element),
    /// `</stream:stream>`
    Close,
}

/// Reads one stream after another.
pub struct Reader {
    parser: Parser,
    /// Elements that are begun, the stream's own not counted.
    open: Vec<Element>,
    in_stream: bool,
    closed: bool,
    pieces: VecDeque<Piece>,
}

/// The longest text or attribute that a server may send us: well above any stanza's limit.
const MAX_TOKEN: usize = 4 << 20;

fn parser() -> Parser {
    Parser::with_options(rxml::parser::Options {
        max_token_length: MAX_TOKEN,
        ..Default::default()
    })
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            parser: parser(),
            open: Vec::new(),
            in_stream: false,
            closed: false,
            pieces: VecDeque::new(),
        }
    }
}

impl Reader {
    /// A reader inside a stream of `jabber:client` whose header was read by somebody else.
    ///
    /// # Errors
    /// None in fact.
    pub fn inside() -> Result<Self, String> {
        let mut reader = Self::default();
        let header = format!(
            "<stream:stream xmlns='{}' xmlns:stream='{}' xmlns:db='{}'>",
            ns::CLIENT,
            ns::STREAMS,
            ns::DIALBACK
        );
        reader.feed(header.as_bytes())?;
        reader.pieces.clear();
        Ok(reader)
    }

    /// From now on another stream comes. What was read stays.
    pub fn restart(&mut self) {
        let pieces = std::mem::take(&mut self.pieces);
        *self = Self {
            pieces,
            ..Self::default()
        };
    }

    /// The next piece that is complete.
    pub fn next_piece(&mut self) -> Option<Piece> {
        self.pieces.pop_front()
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// They are not well-formed.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !self.closed {
            match self.parser.parse(&mut bytes, false) {
                Ok(Some(event)) => self.event(event)?,
                Ok(None) | Err(EndOrError::NeedMoreData) => return Ok(()),
                Err(EndOrError::Error(error)) => {
                    return Err(format!("the server sent bad XML: {error:?}"));
                }
            }
        }
        match bytes.is_empty() {
            true => Ok(()),
            false => Err("the server sent something behind the end of its stream".to_owned()),
        }
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::StartElement(_, (ns, name), attrs) => {
                // Stanzas of servers and components are those of clients (RFC 6120 §4.8.3), and
                // scripts write both alike.
                let ns = match ns.as_str() {
                    ns::SERVER | ns::COMPONENT => ns::CLIENT,
                    other => other,
                };
                let mut element = Element::new(ns.to_owned(), name.to_string());
                for ((ns, name), value) in attrs.iter() {
                    element.set_attr(key(ns, name), value.as_str());
                }
                if self.in_stream {
                    self.open.push(element);
                } else {
                    self.in_stream = true;
                    self.pieces.push_back(Piece::Open(element));
                }
            }
            Event::EndElement(_) => self.end(),
            Event::Text(_, text) => match self.open.last_mut() {
                Some(element) => element.push_text(&text),
                None if text.trim().is_empty() => {}
                None => return Err(format!("the server sent text between stanzas: {text}")),
            },
            Event::XmlDeclaration(..) => {}
        }
        Ok(())
    }

    fn end(&mut self) {
        let Some(element) = self.open.pop() else {
            self.closed = true;
            self.pieces.push_back(Piece::Close);
            return;
        };
        match self.open.last_mut() {
            Some(parent) => parent.push(element),
            None => self.pieces.push_back(Piece::Element(element)),
        }
    }
}

/// An attribute's key in [`Element`].
fn key(ns: &str, name: &str) -> String {
    match ns {
        "" => name.to_owned(),
        ns::XML => format!("xml:{name}"),
        ns => format!("{{{ns}}}{name}"),
    }
}

/// The elements in a text, with the prefix `stream` and `jabber:client` as the default namespace.
/// A stream header may stand there with or without its end.
///
/// # Errors
/// What is wrong with the text.
pub fn elements(text: &str) -> Result<Vec<Element>, String> {
    let mut reader = Reader::inside()?;
    reader
        .feed(close_header(text).as_bytes())
        .map_err(|error| error.replace("the server sent", "this is"))?;
    let mut found = Vec::new();
    while let Some(piece) = reader.next_piece() {
        match piece {
            Piece::Element(element) => found.push(element),
            _ => return Err("the end of the stream is a step of its own".to_owned()),
        }
    }
    match reader.open.is_empty() {
        true => Ok(found),
        false => Err("an element is not closed".to_owned()),
    }
}

fn close_header(text: &str) -> String {
    let Some(begin) = text.find("<stream:stream") else {
        return text.to_owned();
    };
    let (before, header) = text.split_at(begin);
    match header.split_once('>') {
        Some((header, rest)) if !header.ends_with('/') => format!("{before}{header}/>{rest}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_in_pieces_however_it_is_cut() {
        let stream = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' id='x'> <presence/>\
             <message><body>But, soft!</body></message></stream:stream>";
        for cut in 0..stream.len() {
            let mut reader = Reader::default();
            reader.feed(&stream.as_bytes()[..cut]).unwrap();
            reader.feed(&stream.as_bytes()[cut..]).unwrap();
            assert!(
                matches!(reader.next_piece(), Some(Piece::Open(header)) if header.attr("id") == Some("x"))
            );
            assert_eq!(
                reader.next_piece(),
                Some(Piece::Element(Element::new(ns::CLIENT, "presence")))
            );
            assert!(matches!(reader.next_piece(), Some(Piece::Element(_))));
            assert_eq!(reader.next_piece(), Some(Piece::Close));
            assert_eq!(reader.next_piece(), None);
        }
    }

    #[test]
    fn elements_are_found_in_a_text_and_half_ones_are_not() {
        let found = elements("<presence/>\n <stream:features/> <stream:stream id='a'>").unwrap();
        assert_eq!(found.len(), 3);
        assert!(found[1].is(ns::STREAMS, "features"));
        assert!(elements("<presence>").is_err());
        assert!(elements("<presence></message>").is_err());
    }
}
