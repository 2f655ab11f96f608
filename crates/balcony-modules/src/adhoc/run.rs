//! One step of a command (XEP-0050 §2.4, §3.3 to §3.6).

use balcony_core::module::{Answer, BoxFuture, Ctx, Request};
use balcony_proto::ns;
use balcony_proto::stanza::{Payload, StanzaError};
use balcony_proto::xep::data_form::{DataForm, Fault, FormType, Submission};
use balcony_proto::xml::Element;
use parking_lot::Mutex;

use super::command::{Call, Command, Done};
use super::discovery::forbidden;
use super::sessions::{Gone, Running, Sessions};
use super::step::{Action, Step, bad};
use super::{AdHoc, commands};

/// Bytes of a session id: 128 bits, so that nobody guesses another's.
const ID_BYTES: usize = 16;

/// Longest language tag that is taken for one; RFC 5646 §4.4.1 expects 35 characters at most.
const LANGUAGE_MAX: usize = 35;

impl From<Gone> for StanzaError {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Unknown => bad("bad-sessionid"),
            Gone::Ended => {
                StanzaError::not_allowed().with_app(Element::new(ns::COMMANDS, "session-expired"))
            }
        }
    }
}

pub(super) fn answer<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let element = request.element()?;
        check_language(request, &element)?;
        let action = Action::read(&element)?;
        let node = element.attr("node").ok_or_else(StanzaError::bad_request)?;
        let host = ctx.host(request.host()?);
        let host = host.ok_or_else(StanzaError::item_not_found)?;
        let command = commands().find(|command| command.is_at(node));
        let command = command.ok_or_else(StanzaError::item_not_found)?;
        let requester = request.from()?.clone();
        // At each step: who was an admin when it began may be none any more.
        if !(command.allows)(&host, &requester) {
            return Err(forbidden());
        }
        let AdHoc(sessions) = ctx.state().ok_or_else(StanzaError::internal_server_error)?;
        let Some(id) = element.attr("sessionid") else {
            let call = Call {
                host,
                requester,
                filled: Vec::new(),
            };
            return start(ctx, sessions, command, call, action).await;
        };
        let now = ctx.core().clock().coarse_seconds();
        let taken = sessions
            .lock()
            .take(id, (&requester, host.name()), command, now);
        let step = Step {
            id: id.to_owned(),
            running: taken?,
        };
        go_on(ctx, sessions, step, action, &element).await
    })
}

/// DEVIATION: §3.7 wants `bad-locale` for a language that is not spoken here. Clients send the
/// language of their stream with everything, and an admin is better served in English than not at
/// all; so that error is for what is no language.
fn check_language(request: &Request, command: &Element) -> Result<(), StanzaError> {
    let own = command.attr("xml:lang");
    let languages = own.into_iter().chain(request.stanza.lang.as_deref());
    for language in languages {
        let plausible = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if language.len() > LANGUAGE_MAX || !language.chars().all(plausible) {
            return Err(bad("bad-locale"));
        }
    }
    Ok(())
}

/// §3.3: without an id, a new session.
async fn start(
    ctx: &mut Ctx<'_>,
    sessions: &Mutex<Sessions>,
    command: &'static Command,
    call: Call,
    action: Action,
) -> Answer {
    if action != Action::Execute {
        return Err(bad("bad-action"));
    }
    let mut random = [0_u8; ID_BYTES];
    getrandom::fill(&mut random).map_err(|_| StanzaError::internal_server_error())?;
    let step = Step {
        id: random.iter().map(|byte| format!("{byte:02x}")).collect(),
        running: Running::new(command, call),
    };
    match step.form() {
        Some(form) => Ok(ask(ctx, sessions, step, &form)),
        None => finish(ctx, sessions, step).await,
    }
}

/// The next step of a session. Where it is refused, the session waits on.
async fn go_on(
    ctx: &mut Ctx<'_>,
    sessions: &Mutex<Sessions>,
    mut step: Step,
    action: Action,
    element: &Element,
) -> Answer {
    if action == Action::Cancel {
        // §2.4.3
        let command = step.element("canceled");
        sessions.lock().note_end(step.id);
        return Ok(Payload::from_element(&command));
    }
    let Some(form) = step.form().filter(|_| step.allows(action)) else {
        keep(ctx, sessions, step);
        return Err(bad("bad-action"));
    };
    if action == Action::Prev {
        step.running.call.filled.pop();
    } else {
        match submission(&form, element) {
            Ok(filled) => step.running.call.filled.push(filled),
            Err(error) => {
                keep(ctx, sessions, step);
                return Err(error);
            }
        }
    }
    match step.form() {
        Some(form) => Ok(ask(ctx, sessions, step, &form)),
        None => finish(ctx, sessions, step).await,
    }
}

/// What was filled in. §3.5.1: a form of type `cancel` counts as submitted.
fn submission(form: &DataForm, element: &Element) -> Result<Submission, StanzaError> {
    let mut submitted = DataForm::within(element).ok_or_else(|| bad("bad-payload"))?;
    if submitted.form_type == FormType::Cancel {
        submitted.form_type = FormType::Submit;
    }
    form.check(&submitted)
        .map_err(|fault: Fault| bad("bad-payload").with_text(fault.to_string()))
}

fn keep(ctx: &Ctx<'_>, sessions: &Mutex<Sessions>, step: Step) {
    let now = ctx.core().clock().coarse_seconds();
    sessions.lock().keep(step.id, step.running, now);
}

fn ask(ctx: &Ctx<'_>, sessions: &Mutex<Sessions>, step: Step, form: &DataForm) -> Payload {
    let command = step
        .element("executing")
        .with_child(step.actions())
        .with_child(form.to_element());
    keep(ctx, sessions, step);
    Payload::from_element(&command)
}

async fn finish(ctx: &mut Ctx<'_>, sessions: &Mutex<Sessions>, mut step: Step) -> Answer {
    match (step.running.command.finish)(ctx, &step.running.call).await {
        Ok(Done { result, notes }) => {
            let command = step
                .element("completed")
                .with_children(notes.iter().map(super::Note::to_element))
                .with_children(result);
            sessions.lock().note_end(step.id);
            Ok(Payload::from_element(&command))
        }
        Err(error) => {
            // The last form can be sent again, with something else in it.
            if step.running.call.filled.pop().is_some() {
                keep(ctx, sessions, step);
            }
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    fn command(attrs: &str, inside: &str) -> Element {
        let text = format!(
            "<command xmlns='{}' {attrs}>{inside}</command>",
            ns::COMMANDS
        );
        Element::parse(text.as_bytes(), "").unwrap()
    }

    fn condition(error: &StanzaError) -> &str {
        error.app.as_ref().map_or("", Element::name)
    }

    #[test]
    fn ended_and_unknown_sessions_have_errors_of_their_own() {
        let ended = StanzaError::from(Gone::Ended);
        assert_eq!(ended.condition, Condition::NotAllowed);
        assert_eq!(condition(&ended), "session-expired");
        let unknown = StanzaError::from(Gone::Unknown);
        assert_eq!(unknown.condition, Condition::BadRequest);
        assert_eq!(condition(&unknown), "bad-sessionid");
    }

    #[test]
    fn a_form_that_is_not_filled_in_is_a_bad_payload() {
        use balcony_proto::xep::data_form::{Field, FieldType};
        let form = DataForm::about(FormType::Form, ns::ADMIN)
            .with_field(Field::new(FieldType::JidSingle, "accountjid").required());
        let sound = "<x xmlns='jabber:x:data' type='cancel'>\
            <field var='accountjid'><value>juliet@localhost</value></field></x>";
        let filled = submission(&form, &command("", sound)).unwrap();
        assert_eq!(filled.value("accountjid"), Some("juliet@localhost"));
        for inside in ["", "<x xmlns='jabber:x:data' type='submit'/>"] {
            let error = submission(&form, &command("", inside)).unwrap_err();
            assert_eq!(condition(&error), "bad-payload", "{inside}");
        }
    }
}
