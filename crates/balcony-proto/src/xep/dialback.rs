//! XEP-0220 Server Dialback 1.1.1: its elements, and the keys of XEP-0185 1.0.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ns;
use crate::stanza::StanzaError;
use crate::xml::{Element, escape_text, write_attr};

/// Which of the two elements of dialback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `<db:result/>`, between the initiating and the receiving server (§2.1.1, §2.2.1).
    Result,
    /// `<db:verify/>`, between the receiving and the authoritative server (§2.1.2, §2.2.2).
    Verify,
}

/// What becomes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the sender domain's.
    Valid,
    /// It is not.
    Invalid,
    /// Nobody could tell (§2.5).
    Error(StanzaError),
}

/// What an element says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A key to look at, white space around it taken off. A request.
    Key(String),
    /// The answer.
    Verdict(Verdict),
}

/// An element of dialback. Its domains are as written in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialback {
    /// Which element.
    pub step: Step,
    /// The domain that speaks. `None`: left out, which is an error.
    pub from: Option<String>,
    /// The domain that is spoken to. `None`: left out, which is an error.
    pub to: Option<String>,
    /// The id of the stream that the key is for, in `<db:verify/>`.
    pub id: Option<String>,
    /// The key or the verdict.
    pub content: Content,
}

impl Dialback {
    /// Reads an element; `None` for any other. A `type` that is not defined is an error about
    /// which nothing is known.
    #[must_use]
    pub fn parse(element: &Element) -> Option<Dialback> {
        let step = match element.name() {
            _ if element.ns() != ns::DIALBACK => return None,
            "result" => Step::Result,
            "verify" => Step::Verify,
            _ => return None,
        };
        let attr = |name| element.attr(name).map(str::to_owned);
        let content = match element.attr("type") {
            None => Content::Key(element.text().trim().to_owned()),
            Some("valid") => Content::Verdict(Verdict::Valid),
            Some("invalid") => Content::Verdict(Verdict::Invalid),
            Some(_) => Content::Verdict(Verdict::Error(error_of(element))),
        };
        Some(Dialback {
            step,
            from: attr("from"),
            to: attr("to"),
            id: attr("id"),
            content,
        })
    }

    /// Appends the element. §2: it MUST have the prefix that the stream header declared, which is
    /// `db`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let name = match self.step {
            Step::Result => "db:result",
            Step::Verify => "db:verify",
        };
        out.push(b'<');
        out.extend_from_slice(name.as_bytes());
        let kind = match &self.content {
            Content::Key(_) => None,
            Content::Verdict(verdict) => Some(verdict.as_str()),
        };
        let attrs = [
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("id", self.id.as_deref()),
            ("type", kind),
        ];
        for (name, value) in attrs {
            if let Some(value) = value {
                write_attr(name, value, out);
            }
        }
        match &self.content {
            Content::Key(key) => {
                out.push(b'>');
                escape_text(key, out);
            }
            Content::Verdict(Verdict::Error(error)) => {
                out.push(b'>');
                // §2.5: in the content namespace, as the error of a stanza is.
                error.to_element().write(ns::CLIENT, out);
            }
            Content::Verdict(_) => return out.extend_from_slice(b"/>"),
        }
        out.extend_from_slice(b"</");
        out.extend_from_slice(name.as_bytes());
        out.push(b'>');
    }
}

impl Verdict {
    fn as_str(&self) -> &'static str {
        match self {
            Verdict::Valid => "valid",
            Verdict::Invalid => "invalid",
            Verdict::Error(_) => "error",
        }
    }
}

fn error_of(element: &Element) -> StanzaError {
    let error = element.children().find(|child| child.name() == "error");
    error.map_or_else(StanzaError::undefined_condition, StanzaError::parse)
}

/// The stream feature: errors are understood (§2.4.2).
#[must_use]
pub fn feature() -> Element {
    let errors = Element::new(ns::DIALBACK_FEATURE, "errors");
    Element::new(ns::DIALBACK_FEATURE, "dialback").with_child(errors)
}

/// What the keys of our domains are made of; the same on every instance, as any of them may be
/// asked about a key (XEP-0185 §2: known by the network of the authoritative server).
#[derive(Clone)]
pub struct Secret {
    /// XEP-0185 §2: in hexadecimal, the key of the HMAC.
    hashed: [u8; 64],
}

// Who knows it can speak for all our domains.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// From what the owner keeps secret, 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Secret {
        Secret {
            hashed: hex(&Sha256::digest(secret).into()),
        }
    }

    /// XEP-0185 §2: the key by which `originating` proves itself to `receiving` on the stream that
    /// `receiving` gave this id. The domains are domainparts in their enforced form.
    #[must_use]
    pub fn key(&self, receiving: &str, originating: &str, stream_id: &str) -> String {
        let key = self.digits(receiving, originating, stream_id);
        key.iter().copied().map(char::from).collect()
    }

    /// Whether `key` is that of [`Secret::key`], in a time that doesn't tell how much of it is.
    #[must_use]
    pub fn made(&self, key: &str, receiving: &str, originating: &str, stream_id: &str) -> bool {
        let ours = self.digits(receiving, originating, stream_id);
        ours.as_slice().ct_eq(key.as_bytes()).into()
    }

    fn digits(&self, receiving: &str, originating: &str, stream_id: &str) -> [u8; 64] {
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.hashed) else {
            unreachable!("HMAC takes a key of any length (RFC 2104 §2)");
        };
        for part in [receiving, " ", originating, " ", stream_id] {
            mac.update(part.as_bytes());
        }
        hex(&mac.finalize().into_bytes().into())
    }
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let digit = |nibble: u8| match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    };
    let mut text = [0; 64];
    for (byte, digits) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        digits.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Dialback> {
        let text = text.replacen(' ', " xmlns:db='jabber:server:dialback' ", 1);
        Dialback::parse(&Element::parse(text.as_bytes(), ns::SERVER).unwrap())
    }

    #[test]
    fn the_key_is_that_of_the_example() {
        // XEP-0185 §3
        let secret = Secret::new(b"s3cr3tf0rd14lb4ck");
        let key = secret.key("xmpp.example.com", "example.org", "D60000229F");
        assert_eq!(
            key,
            "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"
        );
        let made = |key: &str, id| secret.made(key, "xmpp.example.com", "example.org", id);
        assert!(made(&key, "D60000229F"));
        assert!(!made(&key, "D60000229E") && !made("", "D60000229F"));
        assert!(!made(&key.replace('3', "4"), "D60000229F"));
        // XEP-0220 §2.1.1
        let key = secret.key("montague.example", "capulet.example", "D60000229F");
        assert_eq!(
            key,
            "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"
        );
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn a_request_has_a_key_and_an_answer_a_verdict() {
        let request = parse("<db:result from='a.example' to='b.example'>\n  b483 \n</db:result>");
        let request = request.unwrap();
        assert_eq!(
            (request.step, request.content),
            (Step::Result, Content::Key("b483".into()))
        );
        let answer = parse("<db:verify from='a' to='b' id='417GAF25' type='invalid'/>").unwrap();
        assert_eq!(answer.content, Content::Verdict(Verdict::Invalid));
        assert_eq!(answer.id.as_deref(), Some("417GAF25"));
        let odd = parse("<db:verify from='a' to='b' type='maybe'/>").unwrap();
        assert!(matches!(odd.content, Content::Verdict(Verdict::Error(_))));
        assert_eq!(parse("<db:other />"), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let verdicts = [
            Verdict::Valid,
            Verdict::Invalid,
            Verdict::Error(StanzaError::item_not_found()),
        ];
        let contents = verdicts.map(Content::Verdict).into_iter();
        for content in contents.chain([Content::Key("b483".into())]) {
            for step in [Step::Result, Step::Verify] {
                let element = Dialback {
                    step,
                    from: Some("capulet.example".into()),
                    to: Some("montague.example".into()),
                    id: (step == Step::Verify).then(|| "D60000229F".into()),
                    content: content.clone(),
                };
                let mut out = Vec::new();
                element.write(&mut out);
                let text = String::from_utf8(out).unwrap();
                assert!(!text.contains("xmlns='jabber"), "{text}");
                assert_eq!(parse(&text), Some(element), "{text}");
            }
        }
    }
}
