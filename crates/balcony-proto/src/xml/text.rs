//! Character data and CDATA sections (XML 1.0 §2.4, §2.7, §2.11).

use super::canon::Canon;
use super::error::XmlError;
use super::words::plain_text;

const NOT_A_CHARACTER: XmlError = XmlError::NotWellFormed("not a character of XML");

/// Whether a byte of valid text needs a closer look; 0xEF begins U+FFFE and U+FFFF.
fn is_special(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t' && byte != b'\n')
        || matches!(byte, b'&' | b'<' | b'>' | b']' | 0xEF)
}

impl Canon {
    /// Takes text up to the next markup or reference. Gives the bytes taken, 0 when they end
    /// within a character that begins `rest`.
    pub(super) fn text(&mut self, rest: &[u8]) -> Result<usize, XmlError> {
        let end = memchr::memchr2(b'<', b'&', rest);
        let run = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
        let used = self.characters(run, false)?;
        if used < run.len() && end.is_some() {
            // Markup within a character.
            return Err(XmlError::InvalidUtf8);
        }
        Ok(used)
    }

    /// Takes a piece of an open CDATA section.
    pub(super) fn cdata_section(&mut self, rest: &[u8]) -> Result<usize, XmlError> {
        match rest {
            [b']', ..] => {
                match self.brackets {
                    2 => self.recorder.text.push(b']'),
                    _ => self.brackets += 1,
                }
                self.after_cr = false;
                Ok(1)
            }
            [b'>', ..] if self.brackets == 2 => {
                self.cdata = false;
                self.brackets = 0;
                Ok(1)
            }
            _ => {
                for _ in 0..std::mem::take(&mut self.brackets) {
                    self.recorder.text.push(b']');
                }
                let end = memchr::memchr(b']', rest);
                let run = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
                let used = self.characters(run, true)?;
                match end {
                    Some(_) if used < run.len() => Err(XmlError::InvalidUtf8),
                    _ => Ok(used),
                }
            }
        }
    }

    /// Writes the characters of `run`. Gives the bytes written: fewer than all when `run` ends
    /// within a character.
    pub(super) fn characters(&mut self, run: &[u8], cdata: bool) -> Result<usize, XmlError> {
        let plain = plain_text(run);
        if plain == run.len() && !self.after_cr {
            self.brackets = 0;
            self.recorder.text.extend_from_slice(run);
            return Ok(run.len());
        }
        let (valid, incomplete) = match std::str::from_utf8(run) {
            Ok(valid) => (valid, true),
            Err(error) => {
                let valid = run.get(..error.valid_up_to()).unwrap_or_default();
                (
                    std::str::from_utf8(valid).unwrap_or_default(),
                    error.error_len().is_none(),
                )
            }
        };
        self.checked(valid.as_bytes(), cdata)?;
        if !incomplete {
            return Err(XmlError::InvalidUtf8);
        }
        Ok(valid.len())
    }

    /// Writes valid UTF-8.
    fn checked(&mut self, mut rest: &[u8], cdata: bool) -> Result<(), XmlError> {
        if std::mem::take(&mut self.after_cr) {
            // XML 1.0 §2.11: CR LF is one line end.
            match rest.strip_prefix(b"\n") {
                Some(after) => rest = after,
                None => self.after_cr = rest.is_empty(),
            }
        }
        loop {
            let stop = rest.iter().position(|byte| is_special(*byte));
            let (plain, tail) = rest
                .split_at_checked(stop.unwrap_or(rest.len()))
                .unwrap_or((rest, b""));
            if !plain.is_empty() {
                self.brackets = 0;
                self.recorder.text.extend_from_slice(plain);
            }
            let Some((byte, after)) = tail.split_first() else {
                return Ok(());
            };
            rest = after;
            if *byte == b'\r' && rest.starts_with(b"\n") {
                rest = rest.get(1..).unwrap_or_default();
                self.brackets = 0;
                self.recorder.text.push(b'\n');
            } else {
                self.special(*byte, rest, cdata)?;
            }
        }
    }

    fn special(&mut self, byte: u8, after: &[u8], cdata: bool) -> Result<(), XmlError> {
        let brackets = std::mem::take(&mut self.brackets);
        let written: &[u8] = match byte {
            b']' => {
                self.brackets = (brackets + 1).min(2);
                b"]"
            }
            // XML 1.0 §2.4: `]]>` must not stand in text.
            b'>' if brackets == 2 && !cdata => {
                return Err(XmlError::NotWellFormed("]]> in text"));
            }
            b'>' => b"&gt;",
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'\r' => {
                self.after_cr = after.is_empty();
                b"\n"
            }
            0xEF if after.starts_with(b"\xBF\xBE") || after.starts_with(b"\xBF\xBF") => {
                return Err(NOT_A_CHARACTER);
            }
            0xEF => b"\xEF",
            _ => return Err(NOT_A_CHARACTER),
        };
        self.recorder.text.extend_from_slice(written);
        Ok(())
    }
}
