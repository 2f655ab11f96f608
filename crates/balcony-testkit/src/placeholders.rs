//! The words in braces: what may stand for what was not known when a script was written.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the names in a script stand for so far.
#[derive(Clone, Debug, Default)]
pub struct Names(HashMap<String, String>);

/// A piece of a text with placeholders.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// Cuts a text at its placeholders. A brace that does not close is text.
fn parts(mut text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    while let Some((before, rest)) = text.split_once('{') {
        let Some((placeholder, after)) = rest.split_once('}') else {
            break;
        };
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        parts.push(Part::Placeholder(placeholder));
        text = after;
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}

impl Names {
    /// Gives a name its value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// What a name stands for; `None` when it stands for nothing yet.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether a value fits what a script expects. Names that are new get what they meet.
    pub fn fits(&mut self, expected: &str, value: &str) -> bool {
        let saved = self.clone();
        let fits = self.fit(&parts(expected), value);
        if !fits {
            *self = saved;
        }
        fits
    }

    fn fit(&mut self, parts: &[Part<'_>], value: &str) -> bool {
        let Some((first, rest)) = parts.split_first() else {
            return value.is_empty();
        };
        let placeholder = match first {
            Part::Text(text) => {
                return value
                    .strip_prefix(text)
                    .is_some_and(|value| self.fit(rest, value));
            }
            Part::Placeholder(placeholder) => *placeholder,
        };
        if let Some(known) = self.0.get(placeholder).cloned() {
            return value
                .strip_prefix(known.as_str())
                .is_some_and(|value| self.fit(rest, value));
        }
        let ends = value.char_indices().map(|(at, _)| at);
        ends.chain([value.len()]).any(|end| {
            let Some((met, after)) = value.split_at_checked(end) else {
                return false;
            };
            if !may_be(placeholder, met) || !self.fit(rest, after) {
                return false;
            }
            if !matches!(placeholder, "any" | "time") {
                self.set(placeholder, met);
            }
            true
        })
    }

    /// A text to send, with its placeholders replaced.
    ///
    /// # Errors
    /// A placeholder that stands for nothing yet.
    pub fn fill(&self, text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        for part in parts(text) {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Placeholder(placeholder) => self.fill_one(placeholder, &mut out)?,
            }
        }
        Ok(out)
    }

    fn fill_one(&self, placeholder: &str, out: &mut Vec<u8>) -> Result<(), String> {
        let (verb, rest) = placeholder.split_once(' ').unwrap_or((placeholder, ""));
        match verb {
            "repeat" => {
                let (times, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let times: usize = times
                    .parse()
                    .map_err(|_| format!("{{{placeholder}}}: how often?"))?;
                out.extend(text.repeat(times).into_bytes());
            }
            "base64" => {
                let text = rest.replace("\\0", "\0");
                out.extend(STANDARD.encode(text).into_bytes());
            }
            "hex" => {
                for byte in rest.split(' ') {
                    let byte = u8::from_str_radix(byte, 16);
                    out.push(byte.map_err(|_| format!("{{{placeholder}}}: no bytes"))?);
                }
            }
            _ => {
                let value = self.0.get(placeholder);
                let value = value.ok_or(format!("{{{placeholder}}} stands for nothing yet"))?;
                balcony_proto::xml::escape_attr(value, out);
            }
        }
        Ok(())
    }
}

fn may_be(placeholder: &str, value: &str) -> bool {
    match placeholder {
        "any" => true,
        "time" => is_time(value),
        _ => !value.is_empty(),
    }
}

/// XEP-0082 §3.2: `CCYY-MM-DDThh:mm:ss[.sss]Z`, as servers stamp in UTC.
fn is_time(value: &str) -> bool {
    let Some(value) = value.strip_suffix('Z') else {
        return false;
    };
    let (seconds, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let shape: String = seconds
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00"
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_what_it_met_first() {
        let mut names = Names::default();
        assert!(names.fits("roster-{id}", "roster-7"));
        assert!(names.fits("{id}", "7"));
        assert!(!names.fits("{id}", "8"));
        assert_eq!(names.fill("<a id='{id}'/>").unwrap(), b"<a id='7'/>");
        assert!(names.fill("{other}").is_err());
    }

    #[test]
    fn any_fits_anything_and_binds_nothing() {
        let mut names = Names::default();
        assert!(names.fits("{any}@localhost", "romeo@localhost"));
        assert!(names.fits("{any}", ""));
        assert!(!names.fits("{any}@localhost", "romeo@capulet.example"));
        assert!(!names.fits("{name}", ""), "a name stands for something");
    }

    #[test]
    fn times_are_told_from_other_things() {
        let mut names = Names::default();
        assert!(names.fits("{time}", "2023-11-14T22:13:20Z"));
        assert!(names.fits("{time}", "2023-11-14T22:13:20.123Z"));
        for wrong in [
            "2023-11-14",
            "2023-11-14T22:13:20+01:00",
            "20231114T22:13:20",
        ] {
            assert!(!names.fits("{time}", wrong), "{wrong}");
        }
    }

    #[test]
    fn bytes_can_be_made() {
        let names = Names::default();
        assert_eq!(names.fill("{repeat 3 ab}").unwrap(), b"ababab");
        assert_eq!(names.fill("{hex c0 af}").unwrap(), [0xc0, 0xaf]);
        assert_eq!(
            names.fill("{base64 \\0romeo\\0pencil}").unwrap(),
            b"AHJvbWVvAHBlbmNpbA=="
        );
    }
}
