//! RFC 5802 §7: the syntax of the four messages.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::{MAX_AUTHZID_BYTES, MAX_MESSAGE_BYTES, MAX_USER_BYTES};

/// Longest nonce in bytes, either part or both. Known peers send below 100.
const MAX_NONCE_BYTES: usize = 512;

/// Longest salt in bytes that a client takes. Known servers send 12 to 64.
const MAX_SALT_BYTES: usize = 1024;

/// Longest iteration count in digits: that of the largest 32-bit number.
const MAX_COUNT_DIGITS: usize = 10;

/// The attributes that RFC 5802 §5.1 defines. Where extensions go they are out of place.
const DEFINED: [u8; 10] = *b"anmrcsipve";

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It breaks the grammar or a length.
    Syntax,
    /// It has a mandatory extension, and we know none (RFC 5802 §5.1, `m`).
    Extension,
}

/// RFC 5802 §7, `gs2-cbind-flag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag<'a> {
    /// `n`: the client cannot bind.
    No,
    /// `y`: the client can, and believes that the server cannot.
    ServerCannot,
    /// `p`: bound, by the type of that name.
    Bound(&'a str),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    pub(super) flag: Flag<'a>,
    pub(super) gs2_header: &'a str,
    pub(super) bare: &'a str,
    pub(super) authzid: Option<Cow<'a, str>>,
    pub(super) user: Cow<'a, str>,
    pub(super) nonce: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerFirst<'a> {
    pub(super) text: &'a str,
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    /// Counts that do not fit are as large as fits.
    pub(super) iterations: u32,
    /// XEP-0474 §5.1: the extension `h`.
    pub(super) downgrade: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    pub(super) without_proof: &'a str,
    pub(super) channel_binding: &'a str,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerFinal<'a> {
    Verifier(Vec<u8>),
    Error(&'a str),
}

pub(super) fn client_first(message: &[u8]) -> Result<ClientFirst<'_>, Fault> {
    let text = utf8(message)?;
    let (flag, rest) = text.split_once(',').ok_or(Fault::Syntax)?;
    let (authzid, bare) = rest.split_once(',').ok_or(Fault::Syntax)?;
    let gs2_header = text.strip_suffix(bare).ok_or(Fault::Syntax)?;
    let authzid = match authzid {
        "" => None,
        given => {
            let name = given.strip_prefix("a=").ok_or(Fault::Syntax)?;
            Some(saslname(name, MAX_AUTHZID_BYTES)?)
        }
    };
    let mut attributes = Attributes(Some(bare));
    let user = saslname(attributes.required(b'n')?, MAX_USER_BYTES)?;
    let nonce = nonce(attributes.required(b'r')?)?;
    attributes.extensions(|_, _| ())?;
    Ok(ClientFirst {
        flag: self::flag(flag)?,
        gs2_header,
        bare,
        authzid,
        user,
        nonce,
    })
}

pub(super) fn server_first(message: &[u8]) -> Result<ServerFirst<'_>, Fault> {
    let text = utf8(message)?;
    let mut attributes = Attributes(Some(text));
    let nonce = nonce(attributes.required(b'r')?)?;
    let salt = base64(attributes.required(b's')?)?;
    let iterations = count(attributes.required(b'i')?)?;
    let (mut downgrade, mut repeated) = (None, false);
    attributes.extensions(|name, value| {
        if name == b'h' {
            repeated |= downgrade.replace(value).is_some();
        }
    })?;
    if repeated || salt.len() > MAX_SALT_BYTES {
        return Err(Fault::Syntax);
    }
    Ok(ServerFirst {
        text,
        nonce,
        salt,
        iterations,
        downgrade,
    })
}

pub(super) fn client_final(message: &[u8]) -> Result<ClientFinal<'_>, Fault> {
    let text = utf8(message)?;
    // The proof stands last and holds no comma, so the last ",p=" begins it.
    let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Fault::Syntax)?;
    let mut attributes = Attributes(Some(without_proof));
    let channel_binding = attributes.required(b'c')?;
    let nonce = nonce(attributes.required(b'r')?)?;
    attributes.extensions(|_, _| ())?;
    Ok(ClientFinal {
        without_proof,
        channel_binding,
        nonce,
        proof: base64(proof)?,
    })
}

pub(super) fn server_final(message: &[u8]) -> Result<ServerFinal<'_>, Fault> {
    let mut attributes = Attributes(Some(utf8(message)?));
    let parsed = match attributes.next()? {
        Some((b'v', verifier)) => ServerFinal::Verifier(base64(verifier)?),
        Some((b'e', error)) => ServerFinal::Error(error),
        Some((b'm', _)) => return Err(Fault::Extension),
        _ => return Err(Fault::Syntax),
    };
    attributes.extensions(|_, _| ())?;
    Ok(parsed)
}

/// Writes a `saslname`: commas and equals signs are escaped (RFC 5802 §5.1, `n`).
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// Whether the text is `printable` (RFC 5802 §7) and not too long.
pub(super) fn is_nonce(text: &str) -> bool {
    (1..=MAX_NONCE_BYTES).contains(&text.len())
        && text.bytes().all(|b| matches!(b, 0x21..=0x2b | 0x2d..=0x7e))
}

fn utf8(message: &[u8]) -> Result<&str, Fault> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(Fault::Syntax);
    }
    std::str::from_utf8(message).map_err(|_| Fault::Syntax)
}

fn flag(text: &str) -> Result<Flag<'_>, Fault> {
    match text {
        "n" => Ok(Flag::No),
        "y" => Ok(Flag::ServerCannot),
        bound => {
            let name = bound.strip_prefix("p=").ok_or(Fault::Syntax)?;
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
            if name.is_empty() || !name.bytes().all(allowed) {
                return Err(Fault::Syntax);
            }
            Ok(Flag::Bound(name))
        }
    }
}

fn saslname(text: &str, max_bytes: usize) -> Result<Cow<'_, str>, Fault> {
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::Syntax);
    }
    let mut pieces = text.split('=');
    let mut name = Cow::Borrowed(pieces.next().unwrap_or_default());
    for piece in pieces {
        // RFC 5802 §5.1: an equals sign begins one of two escapes or the
        // authentication fails.
        let (sign, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(Fault::Syntax),
        };
        let name = name.to_mut();
        name.push(sign);
        name.push_str(rest);
    }
    if name.len() > max_bytes {
        return Err(Fault::Syntax);
    }
    Ok(name)
}

fn nonce(text: &str) -> Result<&str, Fault> {
    is_nonce(text).then_some(text).ok_or(Fault::Syntax)
}

fn base64(text: &str) -> Result<Vec<u8>, Fault> {
    let bytes = STANDARD.decode(text).map_err(|_| Fault::Syntax)?;
    if bytes.is_empty() {
        Err(Fault::Syntax)
    } else {
        Ok(bytes)
    }
}

/// `posit-number`: no sign, no leading zero.
fn count(text: &str) -> Result<u32, Fault> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if !digits || text.starts_with('0') || !(1..=MAX_COUNT_DIGITS).contains(&text.len()) {
        return Err(Fault::Syntax);
    }
    Ok(text.parse().unwrap_or(u32::MAX))
}

/// What is left of a row of `attr-val`s.
struct Attributes<'a>(Option<&'a str>);

impl<'a> Attributes<'a> {
    fn next(&mut self) -> Result<Option<(u8, &'a str)>, Fault> {
        let Some(rest) = self.0 else { return Ok(None) };
        let (attribute, rest) = match rest.split_once(',') {
            Some((attribute, rest)) => (attribute, Some(rest)),
            None => (rest, None),
        };
        self.0 = rest;
        let (name, value) = attribute.split_once('=').ok_or(Fault::Syntax)?;
        match name.as_bytes() {
            [letter] if letter.is_ascii_alphabetic() => {
                if value.is_empty() || value.contains('\0') {
                    return Err(Fault::Syntax);
                }
                Ok(Some((*letter, value)))
            }
            _ => Err(Fault::Syntax),
        }
    }

    /// The next attribute, which must have that name: their order is fixed (RFC 5802 §5.1).
    fn required(&mut self, name: u8) -> Result<&'a str, Fault> {
        match self.next()? {
            Some((found, value)) if found == name => Ok(value),
            Some((b'm', _)) => Err(Fault::Extension),
            _ => Err(Fault::Syntax),
        }
    }

    /// The rest: unknown attributes are ignored, but they must be well-formed.
    fn extensions(mut self, mut see: impl FnMut(u8, &'a str)) -> Result<(), Fault> {
        while let Some((name, value)) = self.next()? {
            match name {
                b'm' => return Err(Fault::Extension),
                defined if DEFINED.contains(&defined) => return Err(Fault::Syntax),
                other => see(other, value),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_first_is_taken_apart() {
        let first = client_first(b"p=tls-exporter,a=a=2Cb,n=ro=3Dmeo,r=x!~,z=1").unwrap();
        assert_eq!(first.flag, Flag::Bound("tls-exporter"));
        assert_eq!(first.gs2_header, "p=tls-exporter,a=a=2Cb,");
        assert_eq!(first.bare, "n=ro=3Dmeo,r=x!~,z=1");
        assert_eq!(first.authzid.as_deref(), Some("a,b"));
        assert_eq!((&*first.user, first.nonce), ("ro=meo", "x!~"));
    }

    #[test]
    fn malformed_client_first_is_refused() {
        let user = format!("n,,n={},r=x", "a".repeat(MAX_USER_BYTES + 1));
        let nonce = format!("n,,n=a,r={}", "a".repeat(MAX_NONCE_BYTES + 1));
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=a",
            "n,,r=x",
            "n,,r=x,n=a",
            "n,,n=,r=x",
            "n,,n=a,r=",
            "n,,n=a=,r=x",
            "n,,n=a=2c,r=x",
            "n,,n=a=4D,r=x",
            "n,,n=a\0,r=x",
            "n,a=,n=a,r=x",
            "n,b=c,n=a,r=x",
            "x,,n=a,r=x",
            "N,,n=a,r=x",
            "p,,n=a,r=x",
            "p=,,n=a,r=x",
            "p=tls_unique,,n=a,r=x",
            "n,,n=a,r=x\u{7f}",
            "n,,n=a,r=\u{e9}",
            "n,,n=a,r=x,",
            "n,,n=a,r=x,zz=1",
            "n,,n=a,r=x,1=1",
            "n,,n=a,r=x,z=",
            "n,,n=a,r=x,r=y",
            "n,,n=a,r=x,p=y",
            " n,,n=a,r=x",
            "n,, n=a,r=x",
            &user,
            &nonce,
        ] {
            assert_eq!(
                client_first(message.as_bytes()),
                Err(Fault::Syntax),
                "{message:?}"
            );
        }
        assert_eq!(client_first(b"n,,n=\xff,r=x"), Err(Fault::Syntax));
    }

    #[test]
    fn mandatory_extension_is_refused_in_every_message() {
        assert_eq!(client_first(b"n,,m=x,n=a,r=x"), Err(Fault::Extension));
        assert_eq!(client_first(b"n,,n=a,r=x,m=x"), Err(Fault::Extension));
        assert_eq!(
            server_first(b"m=x,r=x,s=QQ==,i=4096"),
            Err(Fault::Extension)
        );
        assert_eq!(
            client_final(b"c=biws,r=x,m=x,p=QQ=="),
            Err(Fault::Extension)
        );
        assert_eq!(server_final(b"m=x,v=QQ=="), Err(Fault::Extension));
    }

    #[test]
    fn server_first_is_taken_apart() {
        let first = server_first(b"r=xy,s=QQ==,i=4096,z=1,h=abc").unwrap();
        assert_eq!(
            (first.nonce, &*first.salt, first.iterations),
            ("xy", b"A".as_slice(), 4096)
        );
        assert_eq!(first.downgrade, Some("abc"));
        assert_eq!(
            server_first(b"r=x,s=QQ==,i=9999999999").unwrap().iterations,
            u32::MAX
        );
    }

    #[test]
    fn malformed_server_first_is_refused() {
        for message in [
            "",
            "r=x",
            "r=x,s=QQ==",
            "s=QQ==,r=x,i=1",
            "r=x,s=Q,i=1",
            "r=x,s=QR==,i=1",
            "r=x,s=,i=1",
            "r=x,s=QQ==,i=0",
            "r=x,s=QQ==,i=01",
            "r=x,s=QQ==,i=+1",
            "r=x,s=QQ==,i=-1",
            "r=x,s=QQ==,i=",
            "r=x,s=QQ==,i=12345678901",
            "r=x,s=QQ==,i=1,h=a,h=b",
            "r=x,s=QQ==,i=1,s=QQ==",
            "e=other-error",
        ] {
            assert_eq!(
                server_first(message.as_bytes()),
                Err(Fault::Syntax),
                "{message:?}"
            );
        }
    }

    #[test]
    fn malformed_finals_are_refused() {
        for message in [
            "",
            "c=biws,r=x",
            "p=QQ==",
            ",p=QQ==",
            "r=x,c=biws,p=QQ==",
            "c=biws,r=x,p=",
            "c=biws,r=x,p=QQ=",
            "c=biws,r=x,p=QQ==,z=1",
            "c=biws,r=x,p=QQ==,p=QQ==",
        ] {
            assert_eq!(
                client_final(message.as_bytes()),
                Err(Fault::Syntax),
                "{message:?}"
            );
        }
        for message in ["", "v=", "v=Q", "x=QQ==", "v=QQ==,", "v=QQ==,v=QQ==", "e="] {
            assert_eq!(
                server_final(message.as_bytes()),
                Err(Fault::Syntax),
                "{message:?}"
            );
        }
        assert_eq!(
            server_final(b"e=other-error"),
            Ok(ServerFinal::Error("other-error"))
        );
    }

    #[test]
    fn names_survive_the_escape() {
        for name in ["romeo", "a,b=c", "=2C", "=3D=", "\u{e9},"] {
            assert_eq!(saslname(&escape(name), 100).as_deref(), Ok(name));
        }
    }
}
