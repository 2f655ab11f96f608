//! What a node is: its configuration, and the form by which owners change it (XEP-0060 §8.2,
//! §16.4.4).

use std::collections::HashMap;

use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType, Submission};
use balcony_proto::xml::Element;
use balcony_store::Stored;

use super::access::{AccessModel, PublishModel};
use super::choices::{
    ACCESS, LAST, MaxItems, NOTIFICATION, Notification, PUBLISH, Place, SendLast, choice, read,
};
use super::errors;

pub(super) const TITLE: &str = "pubsub#title";
pub(super) const DESCRIPTION: &str = "pubsub#description";
pub(super) const TYPE: &str = "pubsub#type";
pub(super) const ACCESS_MODEL: &str = "pubsub#access_model";
pub(super) const PUBLISH_MODEL: &str = "pubsub#publish_model";
pub(super) const MAX_ITEMS: &str = "pubsub#max_items";
const GROUPS: &str = "pubsub#roster_groups_allowed";
pub(super) const PERSIST: &str = "pubsub#persist_items";
const NOTIFICATIONS: &str = "pubsub#deliver_notifications";
const PAYLOADS: &str = "pubsub#deliver_payloads";
const NOTIFY_CONFIG: &str = "pubsub#notify_config";
const NOTIFY_DELETE: &str = "pubsub#notify_delete";
const NOTIFY_RETRACT: &str = "pubsub#notify_retract";
pub(super) const SEND_LAST: &str = "pubsub#send_last_published_item";
const ITEM_EXPIRE: &str = "pubsub#item_expire";
const NOTIFICATION_TYPE: &str = "pubsub#notification_type";

/// Bytes of a title and the like: a long line.
const LINE: usize = 256;
/// Groups that a node may be for. People have a dozen.
const MOST_GROUPS: usize = 100;
/// A form in canonical form, with its own namespace.
const CANONICAL: u16 = 1;

/// A node's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeConfig {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    /// The namespace of the payloads, for people; not enforced.
    pub(super) kind: Option<String>,
    pub(super) access: AccessModel,
    /// The groups of the owner's roster that [`AccessModel::Roster`] lets in, sorted.
    pub(super) groups: Vec<String>,
    pub(super) publish: PublishModel,
    pub(super) persist: bool,
    pub(super) max_items: MaxItems,
    /// Seconds after which an item is gone. `None`: it stays.
    pub(super) item_expire: Option<u32>,
    pub(super) notifications: bool,
    pub(super) payloads: bool,
    pub(super) notify_config: bool,
    pub(super) notify_delete: bool,
    pub(super) notify_retract: bool,
    pub(super) send_last: SendLast,
    pub(super) notification: Notification,
}

impl Default for NodeConfig {
    /// XEP-0163 §5. That subscribers hear of what is deleted is our choice: a device that was
    /// told of an item should not keep it for ever.
    fn default() -> Self {
        NodeConfig {
            title: None,
            description: None,
            kind: None,
            access: AccessModel::Presence,
            groups: Vec::new(),
            publish: PublishModel::Publishers,
            persist: true,
            max_items: MaxItems::Of(1),
            item_expire: None,
            notifications: true,
            payloads: true,
            notify_config: false,
            notify_delete: true,
            notify_retract: true,
            send_last: SendLast::OnSubAndPresence,
            notification: Notification::Headline,
        }
    }
}

impl NodeConfig {
    /// What a new node of this name is, until whoever makes it says something else. On an account
    /// some are for nobody else, or for everybody, as the documents have it that give them their
    /// names: clients do not always say so. On a service it is for everybody and keeps all that it
    /// may, as it is made for others to read.
    pub(super) fn fresh(place: Place, name: &str) -> Self {
        match (place, name) {
            // XEP-0402 §3.3, XEP-0490 §4.2, XEP-0292 §5.2.
            (Place::Account, ns::BOOKMARKS | ns::MDS | ns::CONTACT_VCARDS) => Self {
                access: AccessModel::Whitelist,
                max_items: MaxItems::Most,
                send_last: SendLast::Never,
                ..Self::default()
            },
            // XEP-0292 §4.1
            (Place::Account, ns::VCARD4_NODE) => Self {
                access: AccessModel::Open,
                ..Self::default()
            },
            (Place::Account, _) => Self::default(),
            (Place::Service, _) => Self {
                access: AccessModel::Open,
                max_items: MaxItems::Most,
                send_last: SendLast::OnSub,
                ..Self::default()
            },
        }
    }

    /// How many items are kept. Of a node that does not persist them, the last one is cached
    /// (XEP-0060 §12.10), as XEP-0163 §4.3.4 wants it sent.
    pub(super) fn kept_items(&self, limit: u32) -> u32 {
        match self.persist {
            true => self.max_items.within(limit),
            false => 1,
        }
    }

    /// A publication without an item is all that such a node takes (§7.1.3.7).
    pub(super) fn is_bare_event(&self) -> bool {
        !self.persist && !self.payloads
    }

    /// The time before which what was published is gone. `None`: items stay.
    pub(super) fn expired_before(&self, now: i64) -> Option<i64> {
        let seconds = i64::from(self.item_expire?);
        Some(now.saturating_sub(seconds.saturating_mul(1_000_000)))
    }

    /// The form, with what is in force as its values (§8.2.2).
    pub(super) fn form(&self, kind: FormType, place: Place) -> DataForm {
        let form = DataForm::about(kind, ns::NODE_CONFIG);
        let fields = self.fields(place).into_iter();
        let fields = fields.filter(|field| place == Place::Account || field.var() != Some(GROUPS));
        fields.fold(form, DataForm::with_field)
    }

    fn fields(&self, place: Place) -> Vec<Field> {
        let line = |var: &str, label: &str, value: &Option<String>| {
            let field = Field::new(FieldType::TextSingle, var).labelled(label);
            field.with_value(value.clone().unwrap_or_default())
        };
        let flag = |var: &str, label: &str, value| Field::boolean(var, value).labelled(label);
        let max_items = Field::new(FieldType::TextSingle, MAX_ITEMS).labelled("Items at most");
        let expire = Field::new(FieldType::TextSingle, ITEM_EXPIRE).labelled("Seconds they stay");
        let groups = Field::new(FieldType::TextMulti, GROUPS).labelled("Groups that may read");
        vec![
            line(TITLE, "Name", &self.title),
            line(DESCRIPTION, "Description", &self.description),
            line(TYPE, "Namespace of what is in it", &self.kind),
            choice(
                ACCESS_MODEL,
                "Who may read",
                place.access_models(),
                self.access,
            ),
            groups.with_values(&self.groups),
            choice(PUBLISH_MODEL, "Who may publish", &PUBLISH, self.publish),
            flag(PERSIST, "Items are kept", self.persist),
            max_items.with_value(self.max_items.written()),
            expire.with_value(self.item_expire.map_or("max".to_owned(), |s| s.to_string())),
            flag(NOTIFICATIONS, "Subscribers are told", self.notifications),
            flag(PAYLOADS, "And get what is published", self.payloads),
            flag(NOTIFY_CONFIG, "Told of changes here", self.notify_config),
            flag(NOTIFY_DELETE, "Told of the node's end", self.notify_delete),
            flag(NOTIFY_RETRACT, "Told of items' end", self.notify_retract),
            choice(
                SEND_LAST,
                "The last item is sent",
                place.send_last(),
                self.send_last,
            ),
            choice(
                NOTIFICATION_TYPE,
                "How they are told",
                &NOTIFICATION,
                self.notification,
            ),
        ]
    }

    /// As the store keeps it: every field, and nothing for people.
    pub(super) fn kept(&self) -> Stored {
        let form = DataForm::about(FormType::Submit, ns::NODE_CONFIG);
        // Those of an account are all that there are.
        let fields = self.fields(Place::Account).into_iter().filter_map(|field| {
            let var = field.var()?.to_owned();
            Some(Field::new(field.field_type?, var).with_values(field.values))
        });
        let form = fields.fold(form, DataForm::with_field);
        Stored {
            format: CANONICAL,
            bytes: form.to_element().to_bytes(""),
        }
    }

    /// Reads what [`kept`](Self::kept) wrote. What cannot be read is closed, with a line in the
    /// log.
    pub(super) fn of(row: &Stored) -> NodeConfig {
        let element = match row.format {
            CANONICAL => Element::parse(&row.bytes, "").ok(),
            _ => None,
        };
        let form = element.and_then(|element| DataForm::parse(&element).ok());
        let config = form.and_then(|form| {
            NodeConfig::default()
                .with_submitted(&form, Place::Account)
                .ok()
        });
        config.unwrap_or_else(|| {
            tracing::error!(format = row.format, "a node's configuration cannot be read");
            NodeConfig {
                access: AccessModel::Whitelist,
                ..NodeConfig::default()
            }
        })
    }

    /// The configuration with what was submitted; what was left out stays as it is.
    ///
    /// # Errors
    /// `not-acceptable` for what makes no sense (§8.2.5.2), with a condition of its own for an
    /// access model that is not offered (§8.1.2).
    pub(super) fn with_submitted(
        &self,
        form: &DataForm,
        place: Place,
    ) -> Result<NodeConfig, StanzaError> {
        if let Some(model) = form.value(ACCESS_MODEL)
            && read(place.access_models(), model).is_none()
        {
            return Err(errors::unsupported_access_model());
        }
        let submitted = self.form(FormType::Form, place).check(form)?;
        let mut config = self.clone();
        config.take_texts(&submitted)?;
        config.take_flags(&submitted);
        config.take_choices(&submitted);
        Ok(config)
    }

    fn take_texts(&mut self, submitted: &Submission) -> Result<(), StanzaError> {
        let lines = [
            (TITLE, &mut self.title),
            (DESCRIPTION, &mut self.description),
            (TYPE, &mut self.kind),
        ];
        for (var, value) in lines {
            if let Some(text) = submitted.text(var) {
                if text.len() > LINE {
                    return Err(unacceptable(format!("the field {var} is too long")));
                }
                *value = Some(text).filter(|text| !text.trim().is_empty());
            }
        }
        if let Some(groups) = submitted.values(GROUPS) {
            if groups.len() > MOST_GROUPS || groups.iter().any(|group| group.len() > LINE) {
                return Err(unacceptable("too many groups, or too long ones".to_owned()));
            }
            self.groups = groups
                .iter()
                .filter(|group| !group.is_empty())
                .cloned()
                .collect();
            self.groups.sort_unstable();
            self.groups.dedup();
        }
        if let Some(number) = submitted.value(MAX_ITEMS) {
            self.max_items = match (number, number.parse()) {
                ("max", _) => MaxItems::Most,
                (_, Ok(number)) if number > 0 => MaxItems::Of(number),
                _ => return Err(unacceptable(format!("{MAX_ITEMS} is a number or max"))),
            };
        }
        if let Some(seconds) = submitted.text(ITEM_EXPIRE) {
            self.item_expire = match (seconds.as_str(), seconds.parse()) {
                // Cleared.
                ("max" | "", _) => None,
                (_, Ok(seconds)) if seconds > 0 => Some(seconds),
                _ => return Err(unacceptable(format!("{ITEM_EXPIRE} is a number or max"))),
            };
        }
        Ok(())
    }

    fn take_flags(&mut self, submitted: &Submission) {
        let flags = [
            (PERSIST, &mut self.persist),
            (NOTIFICATIONS, &mut self.notifications),
            (PAYLOADS, &mut self.payloads),
            (NOTIFY_CONFIG, &mut self.notify_config),
            (NOTIFY_DELETE, &mut self.notify_delete),
            (NOTIFY_RETRACT, &mut self.notify_retract),
        ];
        for (var, flag) in flags {
            *flag = submitted.boolean(var).unwrap_or(*flag);
        }
    }

    fn take_choices(&mut self, submitted: &Submission) {
        let value = |var| submitted.value(var);
        let access = value(ACCESS_MODEL).and_then(|word| read(&ACCESS, word));
        self.access = access.unwrap_or(self.access);
        let publish = value(PUBLISH_MODEL).and_then(|word| read(&PUBLISH, word));
        self.publish = publish.unwrap_or(self.publish);
        let send_last = value(SEND_LAST).and_then(|word| read(&LAST, word));
        self.send_last = send_last.unwrap_or(self.send_last);
        let notification = value(NOTIFICATION_TYPE).and_then(|word| read(&NOTIFICATION, word));
        self.notification = notification.unwrap_or(self.notification);
    }
}

/// Configurations that were read, for whoever looks at many nodes: most are configured alike.
#[derive(Default)]
pub(super) struct Configs(HashMap<Vec<u8>, NodeConfig>);

impl Configs {
    pub(super) fn get(&mut self, row: &Stored) -> &NodeConfig {
        let read = || NodeConfig::of(row);
        self.0.entry(row.bytes.clone()).or_insert_with(read)
    }
}

fn unacceptable(text: String) -> StanzaError {
    StanzaError::not_acceptable().with_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_kept_and_read_back() {
        let config = NodeConfig {
            title: Some("Bookmarks".to_owned()),
            access: AccessModel::Roster,
            groups: vec!["Friends".to_owned(), "Nurses".to_owned()],
            max_items: MaxItems::Most,
            payloads: false,
            send_last: SendLast::Never,
            item_expire: Some(60),
            notification: Notification::Normal,
            ..NodeConfig::default()
        };
        assert_eq!(NodeConfig::of(&config.kept()), config);
    }

    /// What was kept before there was a field says nothing of it.
    #[test]
    fn a_configuration_of_an_older_version_is_read() {
        let bytes = b"<x xmlns='jabber:x:data' type='submit'>\
            <field var='FORM_TYPE' type='hidden'>\
            <value>http://jabber.org/protocol/pubsub#node_config</value></field>\
            <field var='pubsub#access_model'><value>open</value></field></x>";
        let row = Stored {
            format: CANONICAL,
            bytes: bytes.to_vec(),
        };
        let expected = NodeConfig {
            access: AccessModel::Open,
            ..NodeConfig::default()
        };
        assert_eq!(NodeConfig::of(&row), expected);
    }

    /// A service knows no rosters.
    #[test]
    fn a_service_offers_what_it_can_do() {
        let fresh = NodeConfig::fresh(Place::Service, "news");
        for (var, value) in [
            (ACCESS_MODEL, "presence"),
            (ACCESS_MODEL, "roster"),
            (SEND_LAST, "on_sub_and_presence"),
        ] {
            let form = DataForm::about(FormType::Submit, ns::NODE_CONFIG);
            let form = form.with_field(Field::of(var, value));
            assert!(
                fresh.with_submitted(&form, Place::Service).is_err(),
                "{value}"
            );
            let account = NodeConfig::default().with_submitted(&form, Place::Account);
            assert!(account.is_ok(), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_closed() {
        let mut row = NodeConfig::default().kept();
        row.format = 99;
        assert_eq!(NodeConfig::of(&row).access, AccessModel::Whitelist);
    }
}
