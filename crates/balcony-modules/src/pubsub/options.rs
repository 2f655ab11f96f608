//! What a publication may demand of its node (XEP-0060 §7.1.5).

use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, FORM_TYPE, FormType};

use super::choices::Place;
use super::config::NodeConfig;
use super::errors;

impl NodeConfig {
    /// The configuration with the options of a publication (§7.1.5).
    ///
    /// # Errors
    /// `bad-request` for another form and for fields that are not known, else as
    /// [`with_submitted`](Self::with_submitted).
    pub(super) fn with_options(
        &self,
        options: &DataForm,
        place: Place,
    ) -> Result<NodeConfig, StanzaError> {
        if options.form_type_name() != Some(ns::PUBLISH_OPTIONS) {
            return Err(errors::invalid_options("not a form of options".to_owned()));
        }
        let known = self.form(FormType::Form, place);
        let mut form = DataForm::about(FormType::Submit, ns::NODE_CONFIG);
        for field in options.fields.iter().filter(|f| f.var() != Some(FORM_TYPE)) {
            let var = field.var().unwrap_or_default();
            if known.field(var).is_none() {
                return Err(errors::invalid_options(format!("{var} is not known")));
            }
            form.fields.push(field.clone());
        }
        self.with_submitted(&form, place)
    }

    /// Whether a node of this configuration is one that the options of a publication ask for
    /// (§7.1.5).
    ///
    /// # Errors
    /// As [`with_options`](Self::with_options).
    pub(super) fn meets(
        &self,
        options: &DataForm,
        place: Place,
        limit: u32,
    ) -> Result<bool, StanzaError> {
        let mut wanted = self.with_options(options, place)?;
        // Two numbers above what the server allows are the same.
        if wanted.max_items.within(limit) == self.max_items.within(limit) {
            wanted.max_items = self.max_items;
        }
        Ok(wanted == *self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::access::AccessModel;
    use crate::pubsub::config::{ACCESS_MODEL, MAX_ITEMS, PERSIST, SEND_LAST};
    use balcony_proto::stanza::Condition;
    use balcony_proto::xep::data_form::Field;

    fn options(fields: &[(&str, &str)]) -> DataForm {
        let form = DataForm::about(FormType::Submit, ns::PUBLISH_OPTIONS);
        let fields = fields.iter().map(|(var, value)| Field::of(*var, *value));
        fields.fold(form, DataForm::with_field)
    }

    #[test]
    fn options_are_met_by_a_node_that_is_so() {
        let private = [
            (PERSIST, "true"),
            (MAX_ITEMS, "max"),
            (SEND_LAST, "never"),
            (ACCESS_MODEL, "whitelist"),
        ];
        let node = NodeConfig::default();
        assert_eq!(
            node.meets(&options(&private), Place::Account, 10),
            Ok(false)
        );
        let node = node
            .with_options(&options(&private), Place::Account)
            .unwrap();
        assert_eq!(node.access, AccessModel::Whitelist);
        assert_eq!(node.meets(&options(&private), Place::Account, 10), Ok(true));
        assert_eq!(
            node.meets(&options(&[(MAX_ITEMS, "500")]), Place::Account, 10),
            Ok(true)
        );
        assert_eq!(
            node.meets(&options(&[(MAX_ITEMS, "9")]), Place::Account, 10),
            Ok(false)
        );
        assert_eq!(
            node.meets(&options(&[(PERSIST, "0")]), Place::Account, 10),
            Ok(false)
        );
    }

    #[test]
    fn unknown_options_and_access_models_are_refused() {
        let condition = |fields: &[(&str, &str)]| {
            let refused = NodeConfig::default().with_options(&options(fields), Place::Account);
            let error = refused.unwrap_err();
            (error.condition, error.app.map(|app| app.name().to_owned()))
        };
        let bad = (Condition::BadRequest, Some("invalid-options".to_owned()));
        assert_eq!(condition(&[("pubsub#digest", "1")]), bad);
        let model = Some("unsupported-access-model".to_owned());
        let unknown = condition(&[(ACCESS_MODEL, "friends")]);
        assert_eq!(unknown, (Condition::NotAcceptable, model));
        for number in ["0", "-1", "many"] {
            let refused = condition(&[(MAX_ITEMS, number)]);
            assert_eq!(refused, (Condition::NotAcceptable, None), "{number}");
        }
    }
}
