//! XEP-0004 Data Forms 2.13.2: forms, submissions and results, and the check of what was submitted.

mod check;
mod field;

pub use check::{Fault, Submission};
pub use field::{Choice, Field, FieldType};

use crate::ns;
use crate::xml::Element;

/// The hidden field that says what a form is about (XEP-0068 §3.1).
pub const FORM_TYPE: &str = "FORM_TYPE";

/// What the data of a form is for (XEP-0004 §3.1, Table 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormType {
    /// To be filled in.
    Form,
    /// Filled in.
    Submit,
    /// Not filled in, and will not be.
    Cancel,
    /// An answer, or just data.
    Result,
}

impl FormType {
    /// The value of the `type` attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FormType::Form => "form",
            FormType::Submit => "submit",
            FormType::Cancel => "cancel",
            FormType::Result => "result",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "form" => FormType::Form,
            "submit" => FormType::Submit,
            "cancel" => FormType::Cancel,
            "result" => FormType::Result,
            _ => return None,
        })
    }
}

/// `<x xmlns='jabber:x:data'/>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataForm {
    /// What the data is for.
    pub form_type: FormType,
    /// The heading, for people. `None`: none.
    pub title: Option<String>,
    /// What to do, for people: one or more paragraphs.
    pub instructions: Vec<String>,
    /// The fields, in order. Empty in a result with `reported` and `items` (§3.4).
    pub fields: Vec<Field>,
    /// The heads of a table (§3.4). Empty: no table.
    pub reported: Vec<Field>,
    /// The rows of the table (§3.4).
    pub items: Vec<Vec<Field>>,
}

/// The element is no form: it has no known `type` (§3.1), or is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a data form")]
pub struct NotAForm;

impl DataForm {
    /// An empty form.
    #[must_use]
    pub fn new(form_type: FormType) -> Self {
        DataForm {
            form_type,
            title: None,
            instructions: Vec::new(),
            fields: Vec::new(),
            reported: Vec::new(),
            items: Vec::new(),
        }
    }

    /// A form to be filled in about what `form_type` names (XEP-0068 §3).
    #[must_use]
    pub fn about(kind: FormType, form_type: &str) -> Self {
        DataForm::new(kind).with_field(Field::hidden(FORM_TYPE, form_type))
    }

    /// With a heading.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// With one more paragraph of instructions.
    #[must_use]
    pub fn with_instructions(mut self, text: impl Into<String>) -> Self {
        self.instructions.push(text.into());
        self
    }

    /// With one more field.
    #[must_use]
    pub fn with_field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// With the heads of a table (§3.4).
    #[must_use]
    pub fn with_reported(mut self, heads: impl IntoIterator<Item = Field>) -> Self {
        self.reported.extend(heads);
        self
    }

    /// With one more row of the table (§3.4).
    #[must_use]
    pub fn with_item(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.items.push(fields.into_iter().collect());
        self
    }

    /// The first field of this name.
    #[must_use]
    pub fn field(&self, var: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.var.as_deref() == Some(var))
    }

    /// The first value of the field of this name.
    #[must_use]
    pub fn value(&self, var: &str) -> Option<&str> {
        self.field(var)?.values.first().map(String::as_str)
    }

    /// What the form is about (XEP-0068 §3.1). `None`: it does not say, or not in the right way.
    #[must_use]
    pub fn form_type_name(&self) -> Option<&str> {
        let field = self.field(FORM_TYPE)?;
        // XEP-0068 §4.3: in a form or a result it counts only when hidden.
        let counts = match self.form_type {
            FormType::Form | FormType::Result => field.field_type == Some(FieldType::Hidden),
            FormType::Submit | FormType::Cancel => true,
        };
        let value = field.values.first().filter(|_| counts)?;
        Some(value)
    }

    /// Reads an `<x/>`. What is unknown in it is ignored; the order of its parts is free, as old
    /// implementations write them (§3.4).
    ///
    /// # Errors
    /// [`NotAForm`] when it is another element, or its `type` is missing or unknown.
    pub fn parse(element: &Element) -> Result<Self, NotAForm> {
        if !element.is(ns::DATA_FORMS, "x") {
            return Err(NotAForm);
        }
        let form_type = element
            .attr("type")
            .and_then(FormType::parse)
            .ok_or(NotAForm)?;
        let mut form = DataForm::new(form_type);
        for child in element
            .children()
            .filter(|child| child.ns() == ns::DATA_FORMS)
        {
            match child.name() {
                "title" => form.title = Some(child.text()),
                "instructions" => form.instructions.push(child.text()),
                "field" => form.fields.push(Field::parse(child)),
                "reported" => form.reported = fields_in(child),
                "item" => form.items.push(fields_in(child)),
                _ => {}
            }
        }
        Ok(form)
    }

    /// The form among the children of an element, as wrapper protocols carry it (§3.1).
    #[must_use]
    pub fn within(wrapper: &Element) -> Option<Self> {
        DataForm::parse(wrapper.child(ns::DATA_FORMS, "x")?).ok()
    }

    /// The `<x/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let text = |name: &'static str| {
            move |text: &String| Element::new(ns::DATA_FORMS, name).with_text(text)
        };
        let mut form = Element::new(ns::DATA_FORMS, "x")
            .with_attr("type", self.form_type.as_str())
            .with_children(self.title.iter().map(text("title")))
            .with_children(self.instructions.iter().map(text("instructions")))
            .with_children(self.fields.iter().map(Field::to_element));
        if !self.reported.is_empty() {
            // §3.4: before any item.
            form.push(wrap("reported", &self.reported));
        }
        form.with_children(self.items.iter().map(|item| wrap("item", item)))
    }
}

fn wrap(name: &'static str, fields: &[Field]) -> Element {
    Element::new(ns::DATA_FORMS, name).with_children(fields.iter().map(Field::to_element))
}

fn fields_in(parent: &Element) -> Vec<Field> {
    let fields = parent
        .children()
        .filter(|child| child.is(ns::DATA_FORMS, "field"));
    fields.map(Field::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_and_read_back() {
        let form = DataForm::about(FormType::Form, "jabber:bot")
            .with_title("Bot Configuration")
            .with_instructions("Fill out this form!")
            .with_field(Field::fixed("Section 1: Bot Info"))
            .with_field(
                Field::new(FieldType::TextSingle, "botname")
                    .labelled("Name")
                    .required(),
            )
            .with_field(Field::text_multi("description", "two\nlines"))
            .with_field(
                Field::new(FieldType::ListSingle, "maxsubs")
                    .with_value("20")
                    .with_choice("10", "few")
                    .with_choice("20", "more"),
            );
        assert_eq!(DataForm::parse(&form.to_element()), Ok(form.clone()));
        assert_eq!(form.form_type_name(), Some("jabber:bot"));
        assert_eq!(form.field("description").map(|f| f.values.len()), Some(2));
    }

    #[test]
    fn a_table_is_read_in_any_order_and_written_with_its_heads_first() {
        let text = "<x xmlns='jabber:x:data' type='result'>\
             <item><field var='name'><value>Verona</value></field></item>\
             <reported><field var='name' type='text-single' label='Name'/></reported></x>";
        let form = DataForm::parse(&Element::parse(text.as_bytes(), "").unwrap()).unwrap();
        assert_eq!((form.reported.len(), form.items.len()), (1, 1));
        let written = String::from_utf8(form.to_element().to_bytes("")).unwrap();
        assert!(
            written.find("<reported>") < written.find("<item>"),
            "{written}"
        );
    }

    #[test]
    fn a_form_type_that_shows_says_nothing() {
        let shown = Field::new(FieldType::TextSingle, FORM_TYPE).with_value("urn:x");
        let form = DataForm::new(FormType::Form).with_field(shown);
        assert_eq!(form.form_type_name(), None);
        let submitted = DataForm::new(FormType::Submit).with_field(Field::of(FORM_TYPE, "urn:x"));
        assert_eq!(submitted.form_type_name(), Some("urn:x"));
    }

    #[test]
    fn an_unknown_type_is_no_form() {
        for text in [
            "<x xmlns='jabber:x:data'/>",
            "<x xmlns='jabber:x:data' type='error'/>",
        ] {
            let element = Element::parse(text.as_bytes(), "").unwrap();
            assert_eq!(DataForm::parse(&element), Err(NotAForm));
        }
        assert_eq!(DataForm::parse(&Element::new("urn:x", "x")), Err(NotAForm));
    }
}
