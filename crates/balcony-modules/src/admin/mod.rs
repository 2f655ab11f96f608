//! XEP-0133 Service Administration 1.3.1: commands for those who run a host.
//!
//! One file for each group of commands. [`crate::adhoc`] leads through them.

mod accounts;
mod announce;
mod one_account;
mod online;
mod users;

use std::fmt::Write;

use balcony_core::module::{Ctx, Host, ModuleSpec, Spec};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType};

use crate::adhoc::{Call, Command, Done, Note};
use crate::register;

/// Service administration.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "admin",
    specs: &[Spec::xep("XEP-0133", "Service Administration", "1.3.1")
        .partial(
            "black- and whitelists (§4.11, §4.12), messages of the day and of welcome (§4.24 to \
             §4.28), the list of admins (§4.29), restart and shutdown (§4.30, §4.31)",
        )
        .note("the rest is done by the command line and the configuration")],
    conversations: &["xep-0133"],
    ..ModuleSpec::NOTHING
};

/// The commands.
pub(crate) static GROUPS: &[&[Command]] = &[
    accounts::COMMANDS,
    online::COMMANDS,
    users::COMMANDS,
    one_account::COMMANDS,
    announce::COMMANDS,
];

/// Accounts that one command works on. Each may cost a commit and the work of all its contacts.
const MAX_ACCOUNTS: usize = 100;

/// §6: never to anybody else.
fn is_admin(host: &Host, jid: &Jid) -> bool {
    host.is_admin(jid)
}

/// A form of this specification, to be filled in.
fn form(title: &str, instructions: &str) -> DataForm {
    DataForm::about(FormType::Form, ns::ADMIN)
        .with_title(title)
        .with_instructions(instructions)
}

/// The result of a command.
fn result() -> DataForm {
    DataForm::about(FormType::Result, ns::ADMIN)
}

/// The field for one account.
fn account_field(label: &str) -> Field {
    Field::new(FieldType::JidSingle, "accountjid")
        .labelled(label)
        .required()
}

/// The field for several accounts.
fn accounts_field(label: &str) -> Field {
    Field::new(FieldType::JidMulti, "accountjids")
        .labelled(label)
        .required()
}

/// An account of the host that was asked: a command reaches no other.
fn own_account(host: &Host, jid: &Jid) -> Result<Jid, StanzaError> {
    if jid.local().is_some() && jid.domain() == host.name() {
        return Ok(jid.bare());
    }
    let text = format!("{jid} is no account of {}", host.name());
    Err(StanzaError::not_allowed().with_text(text))
}

/// An account of the host that was asked, for changing it. §6: that must not lead to powers that
/// the requester does not have, so who runs other hosts is out of reach for who does not.
fn account_to_change(ctx: &Ctx<'_>, call: &Call, jid: &Jid) -> Result<Jid, StanzaError> {
    let account = own_account(&call.host, jid)?;
    if ctx.core().is_equal_admin(&call.requester, &account) {
        return Ok(account);
    }
    let text = format!("{account} runs a host that you do not run");
    Err(StanzaError::forbidden().with_text(text))
}

/// The account of the field `accountjid`.
fn account(call: &Call) -> Result<Jid, StanzaError> {
    let jids = call.last()?.jids("accountjid");
    let jid = jids.first().ok_or_else(StanzaError::bad_request)?;
    own_account(&call.host, jid)
}

/// The addresses of the field `accountjids`, as they were written.
fn addresses(call: &Call) -> Result<Vec<Jid>, StanzaError> {
    let jids = call.last()?.jids("accountjids");
    if jids.len() > MAX_ACCOUNTS {
        let text = format!("at most {MAX_ACCOUNTS} accounts at a time");
        return Err(StanzaError::policy_violation().with_text(text));
    }
    Ok(jids)
}

/// What failed for some of several accounts.
#[derive(Default)]
struct Failures {
    of: usize,
    failed: Vec<(Jid, StanzaError)>,
}

impl Failures {
    /// Takes what came of one account.
    fn note(&mut self, jid: &Jid, outcome: Result<(), StanzaError>) {
        self.of += 1;
        if let Err(error) = outcome {
            self.failed.push((jid.clone(), error));
        }
    }

    /// §5: an error when nothing was done. Else the command is done, with a note for each account
    /// that it was not done for (XEP-0050 §3.6).
    fn done(mut self) -> Result<Done, StanzaError> {
        if self.failed.len() == self.of
            && let Some((_, error)) = self.failed.pop()
        {
            return Err(error);
        }
        let note = |(jid, error): &(Jid, StanzaError)| {
            let mut text = format!("{jid}: {}", error.condition.as_str());
            if let Some(more) = &error.text {
                let _ = write!(text, " ({more})");
            }
            Note::Error(text)
        };
        Ok(Done {
            result: None,
            notes: self.failed.iter().map(note).collect(),
        })
    }
}

/// What the requester is told when the core did not do it.
fn refused(cause: balcony_core::module::Error) -> StanzaError {
    match cause {
        balcony_core::module::Error::NoSuchAccount(_) => {
            StanzaError::item_not_found().with_text("there is no such account")
        }
        cause => register::refused(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    fn outcome(failing: usize, of: usize) -> Result<Vec<Note>, Condition> {
        let mut failures = Failures::default();
        for number in 0..of {
            let jid = Jid::parse(&format!("juliet{number}@localhost")).unwrap();
            let failed = (number < failing).then(StanzaError::item_not_found);
            failures.note(&jid, failed.map_or(Ok(()), Err));
        }
        match failures.done() {
            Ok(done) => Ok(done.notes),
            Err(error) => Err(error.condition),
        }
    }

    #[test]
    fn nothing_done_is_an_error_and_something_done_has_notes() {
        assert_eq!(outcome(0, 2), Ok(vec![]));
        assert_eq!(outcome(2, 2), Err(Condition::ItemNotFound));
        let note = Note::Error("juliet0@localhost: item-not-found".into());
        assert_eq!(outcome(1, 2), Ok(vec![note]));
        assert_eq!(outcome(0, 0), Ok(vec![]));
    }

    #[test]
    fn each_command_has_a_node_of_its_own() {
        let mut words: Vec<_> = GROUPS.iter().copied().flatten().map(|c| c.word).collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
    }
}
