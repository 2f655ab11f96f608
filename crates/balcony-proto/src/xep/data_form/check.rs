//! XEP-0004 §4: whoever gave out a form checks what comes back.

use super::{DataForm, FORM_TYPE, Field, FieldType, FormType};
use crate::jid::Jid;
use crate::stanza::StanzaError;

/// What is wrong with a submission. The texts name fields of our own form only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not of type `submit` (§3.1).
    #[error("the form is not submitted")]
    NotSubmitted,
    /// Its `FORM_TYPE` is another one (XEP-0068 §3).
    #[error("this is another form")]
    OtherForm,
    /// A field stands in it twice, though its name is unique (§3.2).
    #[error("the field {0} stands there twice")]
    Twice(String),
    /// A required field is missing or empty (§3.2).
    #[error("the field {0} is required")]
    Missing(String),
    /// A field of one value has several (§3.2).
    #[error("the field {0} takes one value")]
    TooMany(String),
    /// Neither of the values of a boolean (§3.3).
    #[error("the field {0} is yes or no: true, false, 1 or 0")]
    NotBoolean(String),
    /// Not a JID (§3.3).
    #[error("the field {0} is for addresses")]
    NotAJid(String),
    /// Not one of the options (§3.3).
    #[error("the field {0} offers no such option")]
    NotAnOption(String),
    /// Not a whole number of those that the field takes (XEP-0122 §3.2.3).
    #[error(
        "the field {0} takes a whole number from {start} to {end}",
        start = .1.start(),
        end = .1.end()
    )]
    OutOfRange(String, std::ops::RangeInclusive<i64>),
}

/// §4: `not-acceptable`, with the reason as text.
impl From<Fault> for StanzaError {
    fn from(fault: Fault) -> Self {
        StanzaError::not_acceptable().with_text(fault.to_string())
    }
}

/// The fields of a submission that its form knows, checked. What was left out is not in it and
/// keeps the value that it has (§3.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    fields: Vec<(String, Vec<String>)>,
}

impl Submission {
    /// The values of a field: JIDs normalised, empty values of other types than text left out.
    /// `None`: the field was left out; empty: it was submitted empty.
    #[must_use]
    pub fn values(&self, var: &str) -> Option<&[String]> {
        let mut fields = self.fields.iter();
        fields
            .find(|(name, _)| name == var)
            .map(|(_, values)| values.as_slice())
    }

    /// The first value of a field that is not empty.
    #[must_use]
    pub fn value(&self, var: &str) -> Option<&str> {
        let value = self.values(var)?.first()?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of a boolean field. `None`: left out or empty.
    #[must_use]
    pub fn boolean(&self, var: &str) -> Option<bool> {
        boolean(self.value(var)?)
    }

    /// The lines of a `text-multi` field as one text (§3.3).
    #[must_use]
    pub fn text(&self, var: &str) -> Option<String> {
        Some(self.values(var)?.join("\n"))
    }

    /// The addresses of a `jid-single` or `jid-multi` field, each once.
    #[must_use]
    pub fn jids(&self, var: &str) -> Vec<Jid> {
        let values = self.values(var).unwrap_or_default();
        values
            .iter()
            .filter_map(|value| Jid::parse(value).ok())
            .collect()
    }
}

impl DataForm {
    /// Checks what was submitted against this form. Fields that this form does not have are
    /// ignored (§3.1).
    ///
    /// # Errors
    /// The first [`Fault`], in the order of this form's fields.
    pub fn check(&self, submitted: &DataForm) -> Result<Submission, Fault> {
        if submitted.form_type != FormType::Submit {
            return Err(Fault::NotSubmitted);
        }
        let mut submission = Submission::default();
        for field in &self.fields {
            let Some(var) = field.var.as_deref() else {
                continue;
            };
            let mut named = submitted
                .fields
                .iter()
                .filter(|f| f.var.as_deref() == Some(var));
            let found = named.next();
            if named.next().is_some() {
                return Err(Fault::Twice(var.to_owned()));
            }
            let is_other = |found: &Field| var == FORM_TYPE && found.values != field.values;
            if found.is_some_and(is_other) {
                return Err(Fault::OtherForm);
            }
            if let Some(values) = field.check(var, found)? {
                submission.fields.push((var.to_owned(), values));
            }
        }
        Ok(submission)
    }
}

impl Field {
    /// The values of this field in a submission; `None` where it was left out.
    fn check(&self, var: &str, found: Option<&Field>) -> Result<Option<Vec<String>>, Fault> {
        // §3.2: without a type, a field of a form is a line of text.
        let field_type = self.field_type.unwrap_or(FieldType::TextSingle);
        let values = found.map_or(&[] as &[String], |found| &found.values);
        let is_empty = values.iter().all(String::is_empty);
        if self.required && is_empty && !self.offers("") {
            return Err(Fault::Missing(var.to_owned()));
        }
        if !field_type.is_multi() && values.len() > 1 {
            return Err(Fault::TooMany(var.to_owned()));
        }
        if found.is_none() {
            return Ok(None);
        }
        self.check_values(var, field_type, values).map(Some)
    }

    fn check_values(
        &self,
        var: &str,
        field_type: FieldType,
        values: &[String],
    ) -> Result<Vec<String>, Fault> {
        // §3.6: an empty value may stand for none.
        let given = values.iter().filter(|value| !value.is_empty());
        // XEP-0122 §4.4: nobody relies on what a client checked.
        if let Some(range) = &self.range {
            let fits = |value: &String| value.trim().parse().is_ok_and(|n| range.contains(&n));
            if !given.clone().all(fits) {
                return Err(Fault::OutOfRange(var.to_owned(), range.clone()));
            }
        }
        match field_type {
            FieldType::Boolean => given
                .map(|value| boolean(value).map(|_| value.clone()))
                .collect::<Option<_>>()
                .ok_or_else(|| Fault::NotBoolean(var.to_owned())),
            FieldType::JidSingle | FieldType::JidMulti => {
                addresses(given).ok_or_else(|| Fault::NotAJid(var.to_owned()))
            }
            FieldType::ListSingle | FieldType::ListMulti => {
                let kept = values.iter().filter(|v| !v.is_empty() || self.offers(""));
                let chosen: Vec<String> = kept.cloned().collect();
                match chosen.iter().all(|value| self.offers(value)) {
                    true => Ok(chosen),
                    false => Err(Fault::NotAnOption(var.to_owned())),
                }
            }
            _ => Ok(values.to_vec()),
        }
    }

    fn offers(&self, value: &str) -> bool {
        self.options.iter().any(|choice| choice.value == value)
    }
}

/// §3.3: the lexical forms of a boolean are those of XML Schema.
fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// §3.3: duplicates are ignored.
fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Option<Vec<String>> {
    let mut seen = std::collections::HashSet::new();
    let mut jids = Vec::new();
    for text in texts {
        let jid = Jid::parse(text.trim()).ok()?;
        if seen.insert(jid.clone()) {
            jids.push(jid.as_str().to_owned());
        }
    }
    Some(jids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> DataForm {
        DataForm::about(FormType::Form, "jabber:bot")
            .with_field(Field::fixed("About the bot"))
            .with_field(Field::new(FieldType::TextSingle, "name").required())
            .with_field(Field::boolean("public", false))
            .with_field(Field::new(FieldType::TextMulti, "about"))
            .with_field(Field::new(FieldType::JidMulti, "invite"))
            .with_field(
                Field::new(FieldType::ListSingle, "max")
                    .with_choice("10", "ten")
                    .with_choice("none", "no limit"),
            )
    }

    fn check(fields: impl IntoIterator<Item = Field>) -> Result<Submission, Fault> {
        let mut submitted = DataForm::new(FormType::Submit).with_field(Field::of("name", "Joogle"));
        submitted.fields.extend(fields);
        form().check(&submitted)
    }

    #[test]
    fn a_sound_submission_is_taken_without_what_the_form_does_not_know() {
        let submission = check([
            Field::of(FORM_TYPE, "jabber:bot"),
            Field::of("public", "true"),
            Field::of("invite", "Juliet@Localhost").with_value("juliet@localhost"),
            Field::of("about", "one").with_value("two"),
            Field::of("max", "none"),
            Field::of("colour", "red"),
        ])
        .unwrap();
        assert_eq!(submission.value("name"), Some("Joogle"));
        assert_eq!(submission.boolean("public"), Some(true));
        assert_eq!(
            submission.values("invite"),
            Some(&["juliet@localhost".to_owned()][..])
        );
        assert_eq!(submission.text("about").as_deref(), Some("one\ntwo"));
        assert_eq!(submission.values("colour"), None);
    }

    #[test]
    fn what_is_left_out_is_told_from_what_is_emptied() {
        let submission = check([Field::of("max", "")]).unwrap();
        assert_eq!(submission.values("max"), Some(&[][..]));
        assert_eq!(submission.values("public"), None);
        assert_eq!(submission.value("max"), None);
    }

    #[test]
    fn each_fault_is_named() {
        let var = |name: &str| name.to_owned();
        for (field, fault) in [
            (
                Field::of("public", "maybe"),
                Fault::NotBoolean(var("public")),
            ),
            (
                Field::of("public", "1").with_value("0"),
                Fault::TooMany(var("public")),
            ),
            (Field::of("invite", "@"), Fault::NotAJid(var("invite"))),
            (Field::of("max", "11"), Fault::NotAnOption(var("max"))),
            (Field::of("name", "Twice"), Fault::Twice(var("name"))),
            (Field::of(FORM_TYPE, "jabber:other"), Fault::OtherForm),
        ] {
            assert_eq!(check([field]), Err(fault));
        }
        let empty = DataForm::new(FormType::Submit).with_field(Field::of("name", ""));
        assert_eq!(form().check(&empty), Err(Fault::Missing("name".into())));
        let cancelled = DataForm::new(FormType::Cancel);
        assert_eq!(form().check(&cancelled), Err(Fault::NotSubmitted));
    }

    #[test]
    fn a_number_is_one_of_those_that_the_field_takes() {
        let form = DataForm::new(FormType::Form);
        let form = form.with_field(Field::new(FieldType::TextSingle, "n").ranging(0..=60));
        for (value, fits) in [
            ("0", true),
            (" 60 ", true),
            ("", true),
            ("61", false),
            ("-1", false),
            ("1.5", false),
            ("many", false),
            ("99999999999999999999", false),
        ] {
            let submitted = DataForm::new(FormType::Submit).with_field(Field::of("n", value));
            let checked = form.check(&submitted);
            let fault = Fault::OutOfRange("n".to_owned(), 0..=60);
            assert_eq!(checked.err(), (!fits).then_some(fault), "{value}");
        }
    }

    #[test]
    fn a_fault_is_not_acceptable() {
        let error = StanzaError::from(Fault::Missing("name".into()));
        assert_eq!(error.condition, crate::stanza::Condition::NotAcceptable);
    }
}
