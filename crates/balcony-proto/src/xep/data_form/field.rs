//! XEP-0004 §3.2, §3.3: the fields of a form.

use crate::ns;
use crate::xml::Element;

/// What a field holds (§3.3, Table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Yes or no.
    Boolean,
    /// Text to be read, not to be filled in.
    Fixed,
    /// Not shown; comes back as it was.
    Hidden,
    /// Any number of JIDs.
    JidMulti,
    /// A JID.
    JidSingle,
    /// Any number of the options.
    ListMulti,
    /// One of the options.
    ListSingle,
    /// Lines of text, each a value.
    TextMulti,
    /// A line that is not shown while it is written.
    TextPrivate,
    /// A line; also what an unknown type counts as.
    TextSingle,
}

impl FieldType {
    /// The value of the `type` attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::Boolean => "boolean",
            FieldType::Fixed => "fixed",
            FieldType::Hidden => "hidden",
            FieldType::JidMulti => "jid-multi",
            FieldType::JidSingle => "jid-single",
            FieldType::ListMulti => "list-multi",
            FieldType::ListSingle => "list-single",
            FieldType::TextMulti => "text-multi",
            FieldType::TextPrivate => "text-private",
            FieldType::TextSingle => "text-single",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "boolean" => FieldType::Boolean,
            "fixed" => FieldType::Fixed,
            "hidden" => FieldType::Hidden,
            "jid-multi" => FieldType::JidMulti,
            "jid-single" => FieldType::JidSingle,
            "list-multi" => FieldType::ListMulti,
            "list-single" => FieldType::ListSingle,
            "text-multi" => FieldType::TextMulti,
            "text-private" => FieldType::TextPrivate,
            // §3.3: an unknown type is treated as this one.
            _ => FieldType::TextSingle,
        }
    }

    /// Whether a field of this type may have more than one value (§3.2).
    #[must_use]
    pub fn is_multi(self) -> bool {
        use FieldType::{Hidden, JidMulti, ListMulti, TextMulti};
        matches!(self, Hidden | JidMulti | ListMulti | TextMulti)
    }
}

/// One of the options of a list (§3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What is submitted.
    pub value: String,
    /// What is shown. `None`: the value.
    pub label: Option<String>,
}

/// A field (§3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name; only a fixed field may do without.
    pub var: Option<String>,
    /// What it holds. `None`: not said, which is usual in submissions and results; in a form it
    /// means [`FieldType::TextSingle`].
    pub field_type: Option<FieldType>,
    /// What it is called, for people.
    pub label: Option<String>,
    /// More about it, for people.
    pub desc: Option<String>,
    /// Whether it must be filled in.
    pub required: bool,
    /// Its values: defaults in a form, else data.
    pub values: Vec<String>,
    /// What a list offers.
    pub options: Vec<Choice>,
}

impl Field {
    /// A field of a form.
    #[must_use]
    pub fn new(field_type: FieldType, var: impl Into<String>) -> Self {
        Field {
            var: Some(var.into()),
            field_type: Some(field_type),
            ..Field::default()
        }
    }

    /// A field of a submission or a result: a name and its value.
    #[must_use]
    pub fn of(var: impl Into<String>, value: impl Into<String>) -> Self {
        Field {
            var: Some(var.into()),
            values: vec![value.into()],
            ..Field::default()
        }
    }

    /// A hidden field with its value.
    #[must_use]
    pub fn hidden(var: impl Into<String>, value: impl Into<String>) -> Self {
        Field::new(FieldType::Hidden, var).with_value(value)
    }

    /// A yes or no with its default.
    #[must_use]
    pub fn boolean(var: impl Into<String>, value: bool) -> Self {
        Field::new(FieldType::Boolean, var).with_value(if value { "1" } else { "0" })
    }

    /// A text to be read.
    #[must_use]
    pub fn fixed(text: impl Into<String>) -> Self {
        Field {
            field_type: Some(FieldType::Fixed),
            values: vec![text.into()],
            ..Field::default()
        }
    }

    /// Lines of text; §3.3: each line is a value of its own.
    #[must_use]
    pub fn text_multi(var: impl Into<String>, text: &str) -> Self {
        Field::new(FieldType::TextMulti, var).with_values(text.lines())
    }

    /// With what it is called.
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With more about it.
    #[must_use]
    pub fn described(mut self, desc: impl Into<String>) -> Self {
        self.desc = Some(desc.into());
        self
    }

    /// It must be filled in.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// With one more value.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        self.values.push(value.into());
        self
    }

    /// With several more values.
    #[must_use]
    pub fn with_values<T: Into<String>>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// With one more option; values and labels of a list must be unique (§3.3).
    #[must_use]
    pub fn with_choice(mut self, value: impl Into<String>, label: impl Into<String>) -> Self {
        self.options.push(Choice {
            value: value.into(),
            label: Some(label.into()),
        });
        self
    }

    /// Its name. `None`: a fixed field without one.
    #[must_use]
    pub fn var(&self) -> Option<&str> {
        self.var.as_deref()
    }

    /// Reads a `<field/>`; options without a value are left out.
    #[must_use]
    pub fn parse(element: &Element) -> Self {
        let mut field = Field {
            var: element.attr("var").map(str::to_owned),
            field_type: element.attr("type").map(FieldType::parse),
            label: element.attr("label").map(str::to_owned),
            ..Field::default()
        };
        for child in element
            .children()
            .filter(|child| child.ns() == ns::DATA_FORMS)
        {
            match child.name() {
                "desc" => field.desc = Some(child.text()),
                "required" => field.required = true,
                "value" => field.values.push(child.text()),
                "option" => field.options.extend(choice(child)),
                _ => {}
            }
        }
        field
    }

    /// The `<field/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut field = Element::new(ns::DATA_FORMS, "field")
            .with_opt_attr("var", self.var.as_deref())
            .with_opt_attr("type", self.field_type.map(FieldType::as_str))
            .with_opt_attr("label", self.label.as_deref())
            .with_children(self.desc.iter().map(|desc| text("desc", desc)));
        if self.required {
            field.push(Element::new(ns::DATA_FORMS, "required"));
        }
        let option = |choice: &Choice| {
            Element::new(ns::DATA_FORMS, "option")
                .with_opt_attr("label", choice.label.as_deref())
                .with_child(text("value", &choice.value))
        };
        field
            .with_children(self.values.iter().map(|value| text("value", value)))
            .with_children(self.options.iter().map(option))
    }
}

fn text(name: &'static str, text: &str) -> Element {
    Element::new(ns::DATA_FORMS, name).with_text(text)
}

fn choice(option: &Element) -> Option<Choice> {
    Some(Choice {
        value: option.child_text(ns::DATA_FORMS, "value")?,
        label: option.attr("label").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_type_is_a_line_of_text() {
        let text = "<field xmlns='jabber:x:data' var='a' type='colour'/>";
        let field = Field::parse(&Element::parse(text.as_bytes(), "").unwrap());
        assert_eq!(field.field_type, Some(FieldType::TextSingle));
    }

    #[test]
    fn an_option_without_a_value_is_none() {
        let text = "<field xmlns='jabber:x:data' var='a' type='list-single'>\
            <option label='x'/><option><value>y</value></option></field>";
        let field = Field::parse(&Element::parse(text.as_bytes(), "").unwrap());
        let expected = Choice {
            value: "y".into(),
            label: None,
        };
        assert_eq!(field.options, [expected]);
    }
}
