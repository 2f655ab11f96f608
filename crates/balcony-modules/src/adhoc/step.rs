//! Where an execution stands, and which ways there are from there (XEP-0050 §3.4).

use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::DataForm;
use balcony_proto::xml::Element;

use super::sessions::Running;

/// What a requester wants done (§4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Execute,
    Cancel,
    Prev,
    Next,
    Complete,
}

impl Action {
    pub(crate) fn read(command: &Element) -> Result<Self, StanzaError> {
        Ok(match command.attr("action") {
            None | Some("execute") => Self::Execute,
            Some("cancel") => Self::Cancel,
            Some("prev") => Self::Prev,
            Some("next") => Self::Next,
            Some("complete") => Self::Complete,
            Some(_) => return Err(bad("malformed-action")),
        })
    }
}

/// §4.4: `bad-request` with a condition of its own.
pub(crate) fn bad(condition: &'static str) -> StanzaError {
    StanzaError::bad_request().with_app(Element::new(ns::COMMANDS, condition))
}

/// An execution between two steps.
pub(super) struct Step {
    pub(super) id: String,
    pub(super) running: Running,
}

impl Step {
    /// The form that comes next; `None` when all is filled in.
    pub(super) fn form(&self) -> Option<DataForm> {
        let call = &self.running.call;
        let make = self.running.command.forms.get(call.filled.len())?;
        Some(make(call))
    }

    fn is_last(&self) -> bool {
        self.running.call.filled.len() + 1 >= self.running.command.forms.len()
    }

    /// §3.4: what was offered with the form.
    pub(super) fn allows(&self, action: Action) -> bool {
        match action {
            Action::Execute | Action::Cancel => true,
            Action::Prev => !self.running.call.filled.is_empty(),
            Action::Next => !self.is_last(),
            Action::Complete => self.is_last(),
        }
    }

    /// §3.4: `execute` stands for the way forward.
    pub(super) fn actions(&self) -> Element {
        let forward = if self.is_last() { "complete" } else { "next" };
        let mut actions = Element::new(ns::COMMANDS, "actions").with_attr("execute", forward);
        if self.allows(Action::Prev) {
            actions.push(Element::new(ns::COMMANDS, "prev"));
        }
        actions.with_child(Element::new(ns::COMMANDS, forward))
    }

    /// §4.1, §3.7: with the language that is spoken.
    pub(super) fn element(&self, status: &'static str) -> Element {
        Element::new(ns::COMMANDS, "command")
            .with_attr("node", self.running.command.node())
            .with_attr("sessionid", self.id.clone())
            .with_attr("status", status)
            .with_attr("xml:lang", "en")
    }
}

#[cfg(test)]
mod tests {
    use balcony_proto::stanza::ErrorType;
    use balcony_proto::xep::data_form::{FormType, Submission};

    use super::super::command::{Call, Command, Done};
    use super::*;

    #[test]
    fn an_action_that_is_none_is_malformed() {
        assert_eq!(Action::read(&command("")), Ok(Action::Execute));
        assert_eq!(Action::read(&command("action='prev'")), Ok(Action::Prev));
        let error = Action::read(&command("action='dance'")).unwrap_err();
        assert_eq!(error.etype, ErrorType::Modify);
        assert_eq!(error.app.unwrap().name(), "malformed-action");
    }

    fn command(attrs: &str) -> Element {
        let text = format!("<command xmlns='{}' {attrs}/>", ns::COMMANDS);
        Element::parse(text.as_bytes(), "").unwrap()
    }

    static WIZARD: Command = Command {
        space: ns::ADMIN,
        word: "wizard",
        name: "Two forms",
        allows: |_, _| true,
        forms: &[|_| asking("first"), |_| asking("second")],
        finish: |_, _| Box::pin(std::future::ready(Ok(Done::default()))),
    };

    fn asking(var: &str) -> DataForm {
        use balcony_proto::xep::data_form::{Field, FieldType};
        DataForm::new(FormType::Form).with_field(Field::new(FieldType::TextSingle, var))
    }

    fn offered(step: &Step) -> String {
        String::from_utf8(step.actions().to_bytes(ns::COMMANDS)).unwrap()
    }

    #[tokio::test]
    async fn each_step_offers_the_ways_on_and_back() {
        let call = Call {
            host: super::super::sessions::tests::host().await,
            requester: balcony_proto::jid::Jid::parse("nurse@localhost/hall").unwrap(),
            filled: Vec::new(),
        };
        let mut step = Step {
            id: "1".into(),
            running: Running::new(&WIZARD, call),
        };
        assert!(step.form().unwrap().field("first").is_some());
        assert_eq!(offered(&step), "<actions execute='next'><next/></actions>");
        assert!(!step.allows(Action::Prev) && !step.allows(Action::Complete));
        step.running.call.filled.push(Submission::default());
        assert!(step.form().unwrap().field("second").is_some());
        assert_eq!(
            offered(&step),
            "<actions execute='complete'><prev/><complete/></actions>"
        );
        assert!(step.allows(Action::Prev) && !step.allows(Action::Next));
        step.running.call.filled.push(Submission::default());
        assert!(step.form().is_none());
    }
}
