//! The allow-list: which rule a path may break, and why.

use std::fs;

use super::{Fault, RULES};

/// Where the exceptions stand.
const PATH: &str = "crates/xtask/tidy-allow.toml";

/// One exception. It covers a file, or everything below a folder when its path ends in `/`.
struct Exception {
    path: String,
    rule: String,
    /// Only faults whose message contains this; all of them when absent.
    about: Option<String>,
}

impl Exception {
    fn covers(&self, fault: &Fault) -> bool {
        let here = fault.path == self.path
            || (self.path.ends_with('/') && fault.path.starts_with(&self.path));
        let about = self
            .about
            .as_ref()
            .is_none_or(|about| fault.message.contains(about));
        here && about && fault.rule == self.rule
    }
}

pub(super) struct AllowList {
    exceptions: Vec<Exception>,
}

impl AllowList {
    pub(super) fn read() -> Result<Self, String> {
        let text = fs::read_to_string(PATH).map_err(|error| format!("{PATH}: {error}"))?;
        Self::parse(&text).map_err(|error| format!("{PATH}: {error}"))
    }

    /// An exception without a reason, or for a rule that does not exist, is an error.
    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
        let Some(entries) = table.get("allow") else {
            return Ok(Self {
                exceptions: Vec::new(),
            });
        };
        let entries = entries.as_array().ok_or("`allow` is a list of tables")?;
        let exceptions = entries.iter().map(exception).collect::<Result<_, _>>()?;
        Ok(Self { exceptions })
    }

    /// The faults that remain, with one more for each exception that excuses nothing.
    pub(super) fn filter(&self, faults: Vec<Fault>) -> Vec<Fault> {
        let stale = self
            .exceptions
            .iter()
            .filter(|exception| !faults.iter().any(|fault| exception.covers(fault)));
        let mut remaining: Vec<Fault> = stale
            .map(|exception| Fault {
                path: PATH.to_owned(),
                line: 0,
                rule: "stale-exception",
                message: format!("{} no longer breaks {}", exception.path, exception.rule),
            })
            .collect();
        let excused = |fault: &Fault| self.exceptions.iter().any(|one| one.covers(fault));
        remaining.extend(faults.into_iter().filter(|fault| !excused(fault)));
        remaining.sort();
        remaining
    }
}

fn exception(entry: &toml::Value) -> Result<Exception, String> {
    let text = |key: &str| {
        entry
            .get(key)
            .and_then(toml::Value::as_str)
            .map(str::to_owned)
    };
    let path = text("path").ok_or("an exception has no `path`")?;
    let rule = text("rule").ok_or_else(|| format!("{path}: no `rule`"))?;
    if !RULES.iter().any(|known| known.name == rule) {
        return Err(format!("{path}: there is no rule {rule}"));
    }
    if text("reason").is_none_or(|reason| reason.trim().is_empty()) {
        return Err(format!("{path}: {rule} is excepted without a reason"));
    }
    Ok(Exception {
        path,
        rule,
        about: text("about"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[allow]]\npath = \"a/\"\nrule = \"sql\"\nreason = \"it is a store\"\n";

    fn fault(path: &str) -> Fault {
        Fault {
            path: path.into(),
            line: 1,
            rule: "sql",
            message: "SELECT in a string".into(),
        }
    }

    #[test]
    fn an_exception_covers_its_folder_and_nothing_else() {
        let allow = AllowList::parse(ONE).unwrap();
        assert_eq!(
            allow.filter(vec![fault("a/b.rs"), fault("b/a.rs")]),
            [fault("b/a.rs")]
        );
    }

    #[test]
    fn an_exception_about_something_covers_only_that() {
        let allow = AllowList::parse(&format!("{ONE}about = \"INSERT\"\n")).unwrap();
        assert!(
            allow
                .filter(vec![fault("a/b.rs")])
                .contains(&fault("a/b.rs"))
        );
    }

    #[test]
    fn an_exception_that_excuses_nothing_is_a_fault() {
        let left = AllowList::parse(ONE).unwrap().filter(Vec::new());
        assert_eq!(
            left.first().map(|fault| fault.rule),
            Some("stale-exception")
        );
    }

    #[test]
    fn an_exception_needs_a_reason_and_a_known_rule() {
        assert!(AllowList::parse(&ONE.replace("it is a store", " ")).is_err());
        assert!(AllowList::parse(&ONE.replace("\"sql\"", "\"nonsense\"")).is_err());
        assert!(AllowList::parse(ONE).is_ok());
    }
}
