//! Reading one value of the file as the kind that its key declares.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use balcony_proto::jid::{self, Jid};
use toml::Spanned;
use toml::de::DeValue;

use super::problem::nearest;
use super::schema::Kind;
use super::units;
use super::value::{Secret, Value};

/// What is wrong with a value, and where in the file.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: Range<usize>,
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    fn new(at: Range<usize>, what: impl Into<String>) -> Fault {
        Fault {
            at,
            what: what.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }
}

type Read = Result<Value, Vec<Fault>>;

impl Kind {
    /// Reads a value; a list reports every item that is wrong.
    pub(crate) fn read(self, value: &Spanned<DeValue<'_>>, base: &Path) -> Read {
        match self {
            Kind::Bool => one(value, "true or false", |v| Some(Value::Bool(v.as_bool()?))),
            Kind::Int { min, max } => read_int(value, min, max),
            Kind::Duration { min, max } => read_duration(value, min, max),
            Kind::Size { min, max } => read_size(value, min, max),
            Kind::Str => text(value).map(|t| Value::Text(t.to_owned())),
            Kind::Secret => text(value).map(|t| Value::Secret(Secret::new(t))),
            Kind::Path => text(value).map(|t| Value::Path(join(base, t))),
            Kind::Addrs => list(value, "\"127.0.0.1:5222\"", addr).map(Value::Addrs),
            Kind::Strs => list(value, "\"a text\"", item_text).map(Value::Texts),
            Kind::Choice(words) => read_choice(value, words),
            Kind::Choices(words) => read_choices(value, words),
            Kind::HostName => host_name(value)
                .map(Value::Text)
                .map_err(|fault| vec![fault]),
            Kind::HostNames => {
                distinct(list(value, "\"chat.example.org\"", host_name), value).map(Value::Texts)
            }
            Kind::Domains => {
                distinct(list(value, "\"*.example.org\"", domains), value).map(Value::Texts)
            }
            Kind::Jids => {
                distinct(list(value, "\"romeo@example.org\"", account), value).map(Value::Jids)
            }
        }
    }

    /// The kind in the words of the reference.
    pub(crate) fn describe(self) -> String {
        match self {
            Kind::Bool => "true or false".to_owned(),
            Kind::Int { min, max } => format!("number, {min} to {max}"),
            Kind::Duration { min, max } => {
                format!("time, {} to {}", show_seconds(min), show_seconds(max))
            }
            Kind::Size { min, max } => {
                format!(
                    "size, {} to {}",
                    units::show_size(min),
                    units::show_size(max)
                )
            }
            Kind::Str => "text".to_owned(),
            Kind::Secret => "text, kept out of logs".to_owned(),
            Kind::Path => "path".to_owned(),
            Kind::Addrs => "list of address:port".to_owned(),
            Kind::Strs => "list of texts".to_owned(),
            Kind::Choice(words) => quoted(words, " or "),
            Kind::Choices(words) => format!("list of {}", quoted(words, ", ")),
            Kind::HostName => "domain".to_owned(),
            Kind::HostNames => "list of domains".to_owned(),
            Kind::Domains => "list of domains, `*.` in front for all below".to_owned(),
            Kind::Jids => "list of bare JIDs".to_owned(),
        }
    }
}

fn show_seconds(seconds: u64) -> String {
    units::show_duration(std::time::Duration::from_secs(seconds))
}

fn quoted(words: &[&str], between: &str) -> String {
    words
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(between)
}

fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn wanted(value: &Spanned<DeValue<'_>>, what: &str) -> Fault {
    Fault::new(
        value.span(),
        format!("must be {what}, not {}", found(value.get_ref())),
    )
}

fn one(
    value: &Spanned<DeValue<'_>>,
    what: &str,
    read: impl Fn(&DeValue<'_>) -> Option<Value>,
) -> Read {
    read(value.get_ref()).ok_or_else(|| vec![wanted(value, what)])
}

/// A text that is not empty. Its content is left out of the complaint: it may be a secret.
fn text<'a>(value: &'a Spanned<DeValue<'_>>) -> Result<&'a str, Vec<Fault>> {
    match value.get_ref().as_str() {
        Some("") => Err(vec![Fault::new(value.span(), "must not be empty")]),
        Some(text) => Ok(text),
        None => Err(vec![Fault::new(value.span(), "must be a text in quotes")]),
    }
}

fn int(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn bounded<T: PartialOrd>(
    value: &Spanned<DeValue<'_>>,
    (number, min, max): (T, T, T),
    show: impl Fn(&T) -> String,
) -> Result<T, Vec<Fault>> {
    let what = if number < min {
        format!("must be at least {}", show(&min))
    } else if number > max {
        format!("must be at most {}", show(&max))
    } else {
        return Ok(number);
    };
    Err(vec![Fault::new(value.span(), what)])
}

fn read_int(value: &Spanned<DeValue<'_>>, min: i64, max: i64) -> Read {
    let number =
        int(value.get_ref()).ok_or_else(|| vec![wanted(value, "a whole number without quotes")])?;
    bounded(value, (number, min, max), i64::to_string).map(Value::Int)
}

fn read_duration(value: &Spanned<DeValue<'_>>, min: u64, max: u64) -> Read {
    let span = value.get_ref().as_str().and_then(units::parse_duration);
    let span = span.ok_or_else(|| {
        let fault = wanted(value, "a time with its unit");
        vec![fault.hint("write it like \"30s\", \"5m\", \"12h\" or \"7d\"")]
    })?;
    let seconds = std::time::Duration::from_secs;
    bounded(value, (span, seconds(min), seconds(max)), |d| {
        units::show_duration(*d)
    })
    .map(Value::Duration)
}

fn read_size(value: &Spanned<DeValue<'_>>, min: u64, max: u64) -> Read {
    let number = int(value.get_ref()).and_then(|n| u64::try_from(n).ok());
    let bytes = number.or_else(|| value.get_ref().as_str().and_then(units::parse_size));
    let bytes = bytes.ok_or_else(|| {
        let fault = wanted(value, "a number of bytes");
        vec![fault.hint("write it like 10000, \"256KiB\" or \"4MiB\"")]
    })?;
    bounded(value, (bytes, min, max), |b| units::show_size(*b)).map(Value::Size)
}

fn word(
    value: &Spanned<DeValue<'_>>,
    words: &'static [&'static str],
) -> Result<&'static str, Fault> {
    let written = value.get_ref().as_str();
    if let Some(word) = words.iter().find(|word| written == Some(**word)) {
        return Ok(word);
    }
    let fault = wanted(value, &quoted(words, " or "));
    let near = written.and_then(|written| nearest(written, words.iter().copied()));
    Err(match near {
        Some(near) => fault.hint(format!("did you mean \"{near}\"?")),
        None => fault,
    })
}

fn read_choice(value: &Spanned<DeValue<'_>>, words: &'static [&'static str]) -> Read {
    word(value, words)
        .map(Value::Choice)
        .map_err(|fault| vec![fault])
}

fn read_choices(value: &Spanned<DeValue<'_>>, words: &'static [&'static str]) -> Read {
    let example = format!("\"{}\"", words.first().unwrap_or(&""));
    distinct(list(value, &example, |item| word(item, words)), value).map(Value::Choices)
}

/// Reads every item of a list; all that are wrong are reported.
fn list<T>(
    value: &Spanned<DeValue<'_>>,
    example: &str,
    read: impl Fn(&Spanned<DeValue<'_>>) -> Result<T, Fault>,
) -> Result<Vec<T>, Vec<Fault>> {
    let Some(items) = value.get_ref().as_array() else {
        let fault = wanted(value, "a list");
        return Err(vec![fault.hint(format!("write it like [{example}]"))]);
    };
    let mut read_items = Vec::new();
    let mut faults = Vec::new();
    for item in items.iter() {
        match read(item) {
            Ok(item) => read_items.push(item),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(read_items)
    } else {
        Err(faults)
    }
}

/// Refuses a list in which an item stands twice: the second is a slip or was to be another one.
fn distinct<T: PartialEq>(
    items: Result<Vec<T>, Vec<Fault>>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<T>, Vec<Fault>> {
    let items = items?;
    let twice = items
        .iter()
        .enumerate()
        .find(|(i, item)| items.iter().take(*i).any(|o| o == *item));
    let Some((i, _)) = twice else {
        return Ok(items);
    };
    let item = value.get_ref().as_array().and_then(|array| array.get(i));
    let at = item.map_or_else(|| value.span(), Spanned::span);
    Err(vec![Fault::new(at, "stands in the list already")])
}

fn item_text(value: &Spanned<DeValue<'_>>) -> Result<String, Fault> {
    let text = value
        .get_ref()
        .as_str()
        .ok_or_else(|| wanted(value, "a text in quotes"))?;
    Ok(text.to_owned())
}

fn addr(value: &Spanned<DeValue<'_>>) -> Result<SocketAddr, Fault> {
    let written = value.get_ref().as_str();
    written.and_then(|text| text.parse().ok()).ok_or_else(|| {
        wanted(value, "an IP address and a port")
            .hint("write it like \"127.0.0.1:5222\", or \"[::]:5222\" for every address")
    })
}

/// RFC 7622 §3.2.
fn host_name(value: &Spanned<DeValue<'_>>) -> Result<String, Fault> {
    let written = value
        .get_ref()
        .as_str()
        .ok_or_else(|| wanted(value, "a domain in quotes"))?;
    jid::prepare_domain(written)
        .map(|domain| domain.into_owned())
        .map_err(|error| Fault::new(value.span(), format!("\"{written}\" is no domain: {error}")))
}

/// A domain, or `*.` and one, or `*`.
fn domains(value: &Spanned<DeValue<'_>>) -> Result<String, Fault> {
    let written = value.get_ref().as_str();
    match written.and_then(|written| written.strip_prefix('*')) {
        None => host_name(value),
        Some("") => Ok("*".to_owned()),
        Some(below) => below
            .strip_prefix('.')
            .and_then(|domain| jid::prepare_domain(domain).ok())
            .map(|domain| format!("*.{domain}"))
            .ok_or_else(|| {
                let what = format!("\"*{below}\" stands for no domains");
                Fault::new(value.span(), what).hint("write it like \"*.example.org\", or \"*\"")
            }),
    }
}

/// A bare JID with a localpart: the name of an account.
fn account(value: &Spanned<DeValue<'_>>) -> Result<Jid, Fault> {
    let written = value
        .get_ref()
        .as_str()
        .ok_or_else(|| wanted(value, "a JID in quotes"))?;
    let jid = Jid::parse(written)
        .map_err(|error| Fault::new(value.span(), format!("\"{written}\" is no JID: {error}")))?;
    if jid.local().is_none() {
        let fault = Fault::new(value.span(), format!("\"{written}\" names no account"));
        return Err(fault.hint("write it like \"romeo@example.org\""));
    }
    if jid.is_full() {
        let fault = Fault::new(value.span(), format!("\"{written}\" has a resource"));
        return Err(fault.hint(format!("write \"{}\"", jid.bare_str())));
    }
    Ok(jid)
}

/// A path relative to the folder of the file, so that a server and an admin command that were
/// started in different folders mean the same place.
fn join(base: &Path, text: &str) -> PathBuf {
    let path = Path::new(text);
    if base.as_os_str().is_empty() {
        return path.to_path_buf();
    }
    base.join(
        path.components()
            .filter(|part| *part != Component::CurDir)
            .collect::<PathBuf>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, text: &str) -> Result<Value, Vec<String>> {
        let value = DeValue::parse(text).unwrap();
        kind.read(&value, Path::new("/etc/balcony"))
            .map_err(|faults| faults.into_iter().map(|fault| fault.what).collect())
    }

    #[test]
    fn numbers_have_bounds_and_no_quotes() {
        let kind = Kind::Int { min: 1, max: 1_000 };
        assert_eq!(read(kind, "1_000"), Ok(Value::Int(1_000)));
        assert_eq!(read(kind, "0x10"), Ok(Value::Int(16)));
        assert_eq!(read(kind, "0").unwrap_err(), ["must be at least 1"]);
        assert_eq!(read(kind, "1001").unwrap_err(), ["must be at most 1000"]);
        assert_eq!(
            read(kind, "\"5\"").unwrap_err(),
            ["must be a whole number without quotes, not \"5\""]
        );
        assert!(read(kind, "1.5").is_err());
    }

    #[test]
    fn times_and_sizes_have_bounds_in_their_units() {
        let time = Kind::Duration { min: 1, max: 3_600 };
        assert_eq!(
            read(time, "\"1h\""),
            Ok(Value::Duration(std::time::Duration::from_secs(3_600)))
        );
        assert_eq!(read(time, "\"2h\"").unwrap_err(), ["must be at most 1h"]);
        assert_eq!(
            read(time, "30").unwrap_err(),
            ["must be a time with its unit, not 30"]
        );
        let size = Kind::Size {
            min: 10_000,
            max: 1 << 20,
        };
        assert_eq!(read(size, "10000"), Ok(Value::Size(10_000)));
        assert_eq!(read(size, "\"1MiB\""), Ok(Value::Size(1 << 20)));
        assert_eq!(
            read(size, "\"9kB\"").unwrap_err(),
            ["must be at least 10000B"]
        );
        assert!(read(size, "-1").is_err());
    }

    #[test]
    fn every_wrong_item_of_a_list_is_told() {
        let faults = read(
            Kind::Addrs,
            "['127.0.0.1:5222', 'localhost:1', 5, '[::1]:5222']",
        );
        assert_eq!(faults.unwrap_err().len(), 2);
        assert_eq!(read(Kind::Addrs, "[]"), Ok(Value::Addrs(vec![])));
        assert_eq!(
            read(Kind::Addrs, "'127.0.0.1:1'").unwrap_err(),
            ["must be a list, not \"127.0.0.1:1\""]
        );
    }

    #[test]
    fn a_word_that_is_nearly_right_is_named() {
        let value = DeValue::parse("'invites'").unwrap();
        let faults = Kind::Choice(&["closed", "invite", "open"]).read(&value, Path::new(""));
        let fault = faults.unwrap_err().pop().unwrap();
        assert_eq!(fault.hint.as_deref(), Some("did you mean \"invite\"?"));
    }

    #[test]
    fn admins_are_bare_jids_with_a_localpart() {
        assert!(read(Kind::Jids, "['romeo@localhost']").is_ok());
        for wrong in [
            "['localhost']",
            "['romeo@localhost/orchard']",
            "['@localhost']",
        ] {
            assert_eq!(read(Kind::Jids, wrong).unwrap_err().len(), 1, "{wrong}");
        }
        assert_eq!(
            read(Kind::Jids, "['romeo@localhost', 'Romeo@localhost']").unwrap_err(),
            ["stands in the list already"]
        );
    }

    #[test]
    fn relative_paths_begin_at_the_folder_of_the_file() {
        let path = |text: &str| Ok(Value::Path(PathBuf::from(text)));
        assert_eq!(read(Kind::Path, "'./data'"), path("/etc/balcony/data"));
        assert_eq!(read(Kind::Path, "'/srv/data'"), path("/srv/data"));
        let value = DeValue::parse("'./data'").unwrap();
        assert!(matches!(Kind::Path.read(&value, Path::new("")),
            Ok(Value::Path(p)) if p == Path::new("./data")));
    }

    #[test]
    fn secrets_are_not_shown() {
        let value = read(Kind::Secret, "'but soft'").unwrap();
        assert!(!format!("{value:?}").contains("soft"));
        let faults = read(Kind::Secret, "[ 'but soft' ]").unwrap_err();
        assert!(!faults.concat().contains("soft"));
    }
}
