//! From a text to a script.

use std::path::Path;

use super::lines::{Entry, entries};
use super::{Act, Login, Mistake, PASSWORD, Script, declaration, step};

pub(super) fn parse(path: &Path, text: &str) -> Result<Script, Mistake> {
    let mut lines = text.lines();
    let first = |what: &str, line| Mistake {
        line,
        what: what.to_owned(),
    };
    let spec = lines.next().and_then(|line| line.strip_prefix("# "));
    let spec = spec.filter(|spec| names_a_place(spec)).ok_or(first(
        "the first line names specification and section: # RFC 6121 §8.5.2.1.1",
        1,
    ))?;
    let title = lines.next().map(str::trim).unwrap_or_default();
    if !title.ends_with('.') || title.starts_with('#') {
        return Err(first(
            "the second line is a sentence that says what is shown",
            2,
        ));
    }
    let mut script = Script {
        path: path.to_owned(),
        spec: spec.to_owned(),
        title: title.to_owned(),
        config: String::new(),
        servers: Vec::new(),
        only_balcony: None,
        not: Vec::new(),
        ignores_presence: false,
        clients: Vec::new(),
        accounts: Vec::new(),
        keys: Vec::new(),
        subscriptions: Vec::new(),
        steps: Vec::new(),
    };
    for entry in entries(text, 2)? {
        if !declaration::declare(&mut script, &entry)? {
            let act = step::act(&script, &entry)?;
            script.steps.push(super::Step {
                line: entry.line,
                act,
            });
        }
    }
    finish(script, text.lines().count())
}

/// Whether a section is named; what happened elsewhere is told in words: `CVE-2010-0305: …`.
fn names_a_place(spec: &str) -> bool {
    spec.contains('§') || spec.contains("Appendix") || spec.contains(": ")
}

fn finish(mut script: Script, lines: usize) -> Result<Script, Mistake> {
    // A conversation in which nobody looks at what comes cannot fail.
    let looks = script.steps.iter().any(|step| {
        matches!(
            step.act,
            Act::Receive { .. } | Act::Offered(..) | Act::CannotConnect(..)
        )
    });
    if !looks {
        return Err(Mistake {
            line: lines,
            what: "nobody receives anything, so this shows nothing".into(),
        });
    }
    for client in &script.clients {
        if let Login::Account { jid, password, .. } = &client.login {
            let account = jid.bare();
            if !script.accounts.iter().any(|(known, _)| *known == account) {
                script.accounts.push((account, password.clone()));
            }
        }
    }
    Ok(script)
}

/// The client that an entry is about, and what it says of it.
pub(super) fn client<'a>(script: &Script, entry: &Entry<'a>) -> Result<(usize, &'a str), Mistake> {
    let (name, rest) = entry.text.split_once(' ').unwrap_or((entry.text, ""));
    let bare = name.strip_suffix("'s").unwrap_or(name);
    let found = script.clients.iter().position(|client| client.name == bare);
    let found = found.ok_or_else(|| {
        entry.mistake(format!(
            "nobody is called {bare}, and this is no other step"
        ))
    })?;
    Ok((found, rest))
}

/// `"quoted"`, or the default.
pub(super) fn quoted(text: &str) -> Option<String> {
    let text = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(text.to_owned())
}

/// A password that stands behind some words, or the usual one.
pub(super) fn password(text: &str) -> String {
    quoted(text).unwrap_or_else(|| PASSWORD.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Admin, Tls};
    use std::time::Duration;

    const HEAD: &str = "# RFC 6121 §8.5.1\nRomeo talks.\n";

    fn parse_steps(text: &str) -> Result<Script, Mistake> {
        parse(Path::new("x.txt"), &format!("{HEAD}{text}"))
    }

    #[test]
    fn a_conversation_is_understood() {
        let script = parse_steps(
            "with config:\n    [limits]\n    stanza = \"10KiB\"\n\n\
             Romeo is romeo@localhost/orchard, over direct TLS\n\
             Tybalt is a raw stream, at 192.0.2.7\n\
             There is an account juliet@localhost\n\
             everyone ignores presence\n\
             # now\nRomeo connects\n\
             Romeo receives in any order:\n    <presence/>\n    <iq …>…</iq>\n\
             5 minutes pass\nadmin disables romeo@localhost\nRomeo's stream ends\n",
        )
        .unwrap();
        assert_eq!(script.spec, "RFC 6121 §8.5.1");
        assert_eq!(script.config, "[limits]\nstanza = \"10KiB\"");
        assert_eq!(script.accounts.len(), 2);
        assert_eq!(script.clients[0].tls, Tls::Direct);
        assert_eq!(script.clients[1].address.to_string(), "192.0.2.7");
        assert!(script.ignores_presence);
        assert!(matches!(script.steps[0].act, Act::Connect(0)));
        assert_eq!(script.steps[0].line, 12);
        assert!(matches!(
            &script.steps[1].act,
            Act::Receive { any_order: true, expected, .. } if expected.len() == 2
        ));
        assert_eq!(script.waits(), Duration::from_secs(300));
        assert!(matches!(
            &script.steps[3].act,
            Act::Admin(Admin::Enable(_, false))
        ));
        assert!(matches!(script.steps[4].act, Act::StreamEnds(0)));
    }

    #[test]
    fn what_cannot_be_understood_is_told_with_its_line() {
        let romeo = "Romeo is romeo@localhost/orchard\n";
        for (text, line, what) in [
            ("", 2, "shows nothing"),
            ("    <iq/>\n", 3, "belongs below"),
            ("Juliet connects\n", 3, "nobody is called Juliet"),
            ("Romeo is romeo@localhost\nRomeo dances\n", 4, "dances"),
            ("Romeo is romeo@localhost, in tights\n", 3, "in tights"),
            (
                "Romeo is romeo@localhost\nRomeo receives:\n    <iq>\n",
                4,
                "not closed",
            ),
            (
                "Romeo is romeo@localhost\nRomeo sends:\n    <iq>\n",
                4,
                "not closed",
            ),
            ("Romeo is romeo@localhost\nRomeo receives:\n", 4, "what?"),
            ("ten minutes pass\n", 3, "ten"),
        ] {
            let mistake = parse_steps(text).unwrap_err();
            assert!(mistake.what.contains(what), "{text}: {mistake:?}");
            assert_eq!(mistake.line, line, "{text}");
        }
        assert!(parse(Path::new("x"), "Romeo talks.\n").is_err());
        assert!(parse(Path::new("x"), &format!("# RFC 6121 §1\n\n{romeo}")).is_err());
    }
}
