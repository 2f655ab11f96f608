//! What a registration asks for, and what a client fills in (XEP-0077 §3.1, §4).

use balcony_core::module::Registration;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType};
use balcony_proto::xml::Element;

/// The `FORM_TYPE` of a change of password (§13.4.3).
const CHANGE_PASSWORD: &str = "jabber:iq:register:changepassword";

/// What a client filled in; empty fields count as left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Submitted {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
}

/// What a stranger is asked (§3.1): the old fields, and a form that stands for the same.
pub(super) fn asked(registration: Registration) -> Element {
    let by_invitation = registration == Registration::Invite;
    let instructions = match by_invitation {
        true => "Accounts are made by invitation. Choose a username and a password.",
        false => "Choose a username and a password.",
    };
    let mut query = query().with_child(text("instructions", instructions));
    // §6: without the old fields where the form asks for more than they can hold.
    if !by_invitation {
        query.push(text("username", ""));
        query.push(text("password", ""));
    }
    let form = form(registration).with_instructions(instructions);
    query.with_child(form.to_element())
}

/// The form of a registration. §4 point 3: with all the old fields.
fn form(registration: Registration) -> DataForm {
    let form = DataForm::about(FormType::Form, ns::REGISTER)
        .with_title("Registration")
        .with_field(username())
        .with_field(password());
    match registration {
        Registration::Invite => form.with_field(
            Field::new(FieldType::TextSingle, "token")
                .labelled("Invitation")
                .required(),
        ),
        Registration::Open | Registration::Closed => form,
    }
}

fn username() -> Field {
    Field::new(FieldType::TextSingle, "username")
        .labelled("Username")
        .required()
}

fn password() -> Field {
    Field::new(FieldType::TextPrivate, "password")
        .labelled("Password")
        .required()
}

/// What a stranger filled in, in one of the two ways. §6: the form takes precedence.
///
/// # Errors
/// `not-acceptable` when something is missing.
pub(super) fn registration(
    query: &Element,
    registration: Registration,
) -> Result<Submitted, StanzaError> {
    let submitted = match DataForm::within(query) {
        Some(submitted) => checked(&form(registration), &submitted)?,
        None => old_fields(query),
    };
    let missing = submitted.username.is_none()
        || submitted.password.is_none()
        || (registration == Registration::Invite && submitted.token.is_none());
    if missing {
        let text = "username and password are needed, and where accounts are made by invitation \
                    the form with its token";
        return Err(StanzaError::not_acceptable().with_text(text));
    }
    Ok(submitted)
}

/// What the owner of an account filled in to change the password (§3.3).
///
/// # Errors
/// `not-acceptable` for another form, or one that is not filled in.
pub(super) fn change(query: &Element) -> Result<Submitted, StanzaError> {
    let Some(submitted) = DataForm::within(query) else {
        return Ok(old_fields(query));
    };
    let about = match submitted.form_type_name() {
        Some(ns::REGISTER) => ns::REGISTER,
        _ => CHANGE_PASSWORD,
    };
    let form = DataForm::about(FormType::Form, about)
        .with_field(username())
        .with_field(password());
    checked(&form, &submitted)
}

fn checked(form: &DataForm, submitted: &DataForm) -> Result<Submitted, StanzaError> {
    let checked = form.check(submitted)?;
    let value = |var| checked.value(var).map(str::to_owned);
    Ok(Submitted {
        username: value("username"),
        password: value("password"),
        token: value("token"),
    })
}

fn old_fields(query: &Element) -> Submitted {
    let value = |name| {
        let text = query.child_text(ns::REGISTER, name);
        text.filter(|text| !text.is_empty())
    };
    Submitted {
        username: value("username"),
        password: value("password"),
        token: None,
    }
}

/// An empty `<query xmlns='jabber:iq:register'/>`.
pub(super) fn query() -> Element {
    Element::new(ns::REGISTER, "query")
}

/// A child of the query.
pub(super) fn text(name: &'static str, text: &str) -> Element {
    Element::new(ns::REGISTER, name).with_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use balcony_proto::stanza::Condition;

    fn element(inside: &str) -> Element {
        let text = format!("<query xmlns='jabber:iq:register'>{inside}</query>");
        Element::parse(text.as_bytes(), "").unwrap()
    }

    const FORM: &str = "<x xmlns='jabber:x:data' type='submit'>\
        <field var='FORM_TYPE'><value>jabber:iq:register</value></field>\
        <field var='username'><value>juliet</value></field>\
        <field var='password'><value>R0m30-R0m30</value></field>\
        <field var='token'><value>abc</value></field></x>";

    #[test]
    fn old_fields_and_form_say_the_same_and_the_form_wins() {
        let old = "<username>juliet</username><password>R0m30-R0m30</password>";
        let submitted = registration(&element(old), Registration::Open).unwrap();
        assert_eq!(submitted.username.as_deref(), Some("juliet"));
        let both = format!("<username>nurse</username>{FORM}");
        assert_eq!(
            registration(&element(&both), Registration::Open),
            Ok(submitted)
        );
    }

    #[test]
    fn an_invitation_comes_in_the_form_alone() {
        let submitted = registration(&element(FORM), Registration::Invite).unwrap();
        assert_eq!(submitted.token.as_deref(), Some("abc"));
        let old = "<username>juliet</username><password>R0m30-R0m30</password>";
        let error = registration(&element(old), Registration::Invite).unwrap_err();
        assert_eq!(error.condition, Condition::NotAcceptable);
        let asked = asked(Registration::Invite);
        assert!(asked.child(ns::REGISTER, "username").is_none());
        assert!(DataForm::within(&asked).unwrap().field("token").is_some());
    }

    #[test]
    fn what_is_empty_or_missing_is_not_acceptable() {
        for inside in [
            "",
            "<username>juliet</username><password/>",
            "<username/><password>R0m30-R0m30</password>",
            "<x xmlns='jabber:x:data' type='submit'/>",
            "<x xmlns='jabber:x:data' type='cancel'/>",
        ] {
            let error = registration(&element(inside), Registration::Open).unwrap_err();
            assert_eq!(error.condition, Condition::NotAcceptable, "{inside}");
        }
    }

    #[test]
    fn a_change_of_password_has_a_form_of_its_own() {
        let inside = FORM.replace("iq:register<", "iq:register:changepassword<");
        let submitted = change(&element(&inside)).unwrap();
        assert_eq!(submitted.password.as_deref(), Some("R0m30-R0m30"));
        let other = FORM.replace("iq:register<", "iq:register:cancel<");
        assert!(change(&element(&other)).is_err());
    }
}
