//! What a command is.

use std::sync::Arc;

use balcony_core::module::{BoxFuture, Ctx, Host};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Submission};
use balcony_proto::xml::Element;

/// A command of a host.
pub(crate) struct Command {
    /// The namespace that its node begins with.
    pub(crate) space: &'static str,
    /// What follows in its node, behind a `#`.
    pub(crate) word: &'static str,
    /// What people call it.
    pub(crate) name: &'static str,
    /// Who may run it, and sees it in the list.
    pub(crate) allows: fn(&Host, &Jid) -> bool,
    /// What it asks, one form after the other; each may depend on what was filled in before.
    pub(crate) forms: &'static [fn(&Call) -> DataForm],
    /// What it does once all is filled in. After an error the last form can be sent again.
    pub(crate) finish: Finish,
}

/// The end of a command.
pub(crate) type Finish =
    for<'a, 'c> fn(&'a mut Ctx<'c>, &'a Call) -> BoxFuture<'a, Result<Done, StanzaError>>;

impl Command {
    /// Its node (XEP-0050 §3.2).
    pub(super) fn node(&self) -> String {
        format!("{}#{}", self.space, self.word)
    }

    /// Whether a node is its own.
    pub(super) fn is_at(&self, node: &str) -> bool {
        let rest = node.strip_prefix(self.space);
        rest.and_then(|rest| rest.strip_prefix('#')) == Some(self.word)
    }
}

/// One execution of a command.
pub(crate) struct Call {
    /// The host that was asked.
    pub(crate) host: Arc<Host>,
    /// Who asks: a full JID.
    pub(crate) requester: Jid,
    /// What was filled in, form by form.
    pub(crate) filled: Vec<Submission>,
}

impl Call {
    /// What was filled in last.
    ///
    /// # Errors
    /// `internal-server-error` for a command that asks nothing.
    pub(crate) fn last(&self) -> Result<&Submission, StanzaError> {
        self.filled
            .last()
            .ok_or_else(StanzaError::internal_server_error)
    }
}

/// What a command that is done has to say.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// A form of type `result`.
    pub(crate) result: Option<Element>,
    /// Notes.
    pub(crate) notes: Vec<Note>,
}

impl Done {
    /// Done, with a result.
    pub(crate) fn with(result: &DataForm) -> Self {
        Self {
            result: Some(result.to_element()),
            notes: Vec::new(),
        }
    }

    /// With one more note.
    pub(crate) fn noting(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }
}

/// Something to read about the execution (XEP-0050 §4.3).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// For information.
    Info(String),
    /// Something is less than was asked for.
    Warn(String),
    /// Something failed. §3.6: a command that fails and is over has one at least.
    Error(String),
}

impl Note {
    pub(super) fn to_element(&self) -> Element {
        let (kind, text) = match self {
            Self::Info(text) => ("info", text),
            Self::Warn(text) => ("warn", text),
            Self::Error(text) => ("error", text),
        };
        Element::new(ns::COMMANDS, "note")
            .with_attr("type", kind)
            .with_text(text)
    }
}
