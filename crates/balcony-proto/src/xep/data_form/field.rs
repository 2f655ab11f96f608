//! XEP-0004 §3.2, §3.3: the fields of a form.

use std::ops::RangeInclusive;

use crate::ns;
use crate::xml::Element;

/// Whole numbers, as a datatype (XEP-0122 §3.1).
const INTEGER: &str = "xs:integer";

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
    /// Of a whole number: from where to where it goes (XEP-0122 §3.2.3). `None`: nothing is said.
    pub range: Option<RangeInclusive<i64>>,
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

    /// A whole number, from where to where.
    #[must_use]
    pub fn ranging(mut self, range: RangeInclusive<i64>) -> Self {
        self.range = Some(range);
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
            range: element.child(ns::VALIDATE, "validate").and_then(range),
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
        if let Some(range) = &self.range {
            field.push(validate(range));
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

/// XEP-0122 §3.1, §3.2.3
fn validate(range: &RangeInclusive<i64>) -> Element {
    let range = Element::new(ns::VALIDATE, "range")
        .with_attr("min", range.start().to_string())
        .with_attr("max", range.end().to_string());
    Element::new(ns::VALIDATE, "validate")
        .with_attr("datatype", INTEGER)
        .with_child(range)
}

/// The range of a whole number; what is open at an end goes on. `None`: it is something else, or
/// cannot be read.
fn range(validate: &Element) -> Option<RangeInclusive<i64>> {
    if validate.attr("datatype") != Some(INTEGER) {
        return None;
    }
    let range = validate.child(ns::VALIDATE, "range")?;
    let end = |name, open: i64| {
        let end = range.attr(name).map(|text| text.trim().parse().ok());
        end.unwrap_or(Some(open))
    };
    Some(end("min", i64::MIN)?..=end("max", i64::MAX)?)
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
    fn a_range_is_written_and_read_back() {
        let field = Field::new(FieldType::TextSingle, "n").ranging(0..=60);
        assert_eq!(Field::parse(&field.to_element()), field);
        let read = |validate: &str| {
            let text = format!(
                "<field xmlns='{}' var='n'><validate xmlns='{}' {validate}</validate></field>",
                ns::DATA_FORMS,
                ns::VALIDATE
            );
            Field::parse(&Element::parse(text.as_bytes(), "").unwrap()).range
        };
        assert_eq!(
            read("datatype='xs:integer'><range min='5'/>"),
            Some(5..=i64::MAX)
        );
        assert_eq!(read("datatype='xs:integer'><range max='x'/>"), None);
        assert_eq!(read("datatype='xs:date'><range min='2003-10-05'/>"), None);
        assert_eq!(read("datatype='xs:integer'><basic/>"), None);
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
