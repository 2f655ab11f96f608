//! A subscription as it is stored, and the options by which its subscriber chooses what it brings
//! (XEP-0060 §6.3, §12.19).

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::data_form::{DataForm, Field, FieldType, FormType};
use balcony_proto::xep::date_time;
use balcony_proto::xml::Element;
use balcony_store::{NodeSubscription, Stored, SubscriptionState, Write};

use super::errors;
use super::node::Node;

const DELIVER: &str = "pubsub#deliver";
const EXPIRE: &str = "pubsub#expire";

/// A form in canonical form, with its own namespace.
const CANONICAL: u16 = 1;

/// What a subscriber has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// Whether notifications are sent.
    pub(super) deliver: bool,
    /// When it is over, in microseconds since the Unix epoch. `None`: when it is taken back.
    pub(super) expires_at: Option<i64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deliver: true,
            expires_at: None,
        }
    }
}

impl Options {
    /// Those of a subscription.
    pub(super) fn of(subscription: &NodeSubscription) -> Self {
        let kept = subscription.options.as_ref().and_then(read);
        Self {
            deliver: kept.is_none_or(|form| form.value(DELIVER) != Some("0")),
            expires_at: subscription.expires_at,
        }
    }

    /// The form (§6.3.3).
    pub(super) fn form(self, kind: FormType) -> DataForm {
        let expire = self.expires_at.map(date_time::format_utc);
        let expire = Field::new(FieldType::TextSingle, EXPIRE)
            .labelled("It ends at")
            .with_value(expire.unwrap_or_default());
        DataForm::about(kind, ns::SUBSCRIBE_OPTIONS)
            .with_field(Field::boolean(DELIVER, self.deliver).labelled("News are sent"))
            .with_field(expire)
    }

    /// The options with what was submitted; what was left out stays as it is.
    ///
    /// # Errors
    /// §6.3.6.2: `invalid-options`.
    pub(super) fn with_submitted(self, form: &DataForm, now: i64) -> Result<Self, StanzaError> {
        let invalid = |text: &str| errors::invalid_options(text.to_owned());
        let submitted = self.form(FormType::Form).check(form);
        let submitted = submitted.map_err(|_| invalid("not a form of options"))?;
        let expires_at = match submitted.text(EXPIRE).as_deref() {
            None => self.expires_at,
            Some("") => None,
            Some(text) => {
                let at = date_time::parse(text);
                let at = at.ok_or_else(|| invalid("a lease ends at a date and time"))?;
                if at <= now {
                    return Err(invalid("the lease is over already"));
                }
                Some(at)
            }
        };
        Ok(Self {
            deliver: submitted.boolean(DELIVER).unwrap_or(self.deliver),
            expires_at,
        })
    }

    /// A subscription of this address with these options.
    pub(super) fn subscription(self, jid: &Jid, state: SubscriptionState) -> NodeSubscription {
        let deliver = Field::boolean(DELIVER, self.deliver);
        let form = DataForm::about(FormType::Submit, ns::SUBSCRIBE_OPTIONS).with_field(deliver);
        let options = (!self.deliver).then(|| Stored {
            format: CANONICAL,
            bytes: form.to_element().to_bytes(""),
        });
        NodeSubscription {
            jid: jid.to_string(),
            subid: String::new(),
            state,
            options,
            expires_at: self.expires_at,
        }
    }
}

/// Reads what [`Options::subscription`] wrote.
fn read(row: &Stored) -> Option<DataForm> {
    let element = match row.format {
        CANONICAL => Element::parse(&row.bytes, "").ok(),
        _ => None,
    };
    let form = element.and_then(|element| DataForm::parse(&element).ok());
    if form.is_none() {
        tracing::error!(
            format = row.format,
            "options of a subscription cannot be read"
        );
    }
    form
}

/// What takes the subscription of an address back.
pub(super) fn removal(node: &Node, jid: &Jid) -> Write {
    Write::SubscriptionRemove {
        owner: node.owner.to_string(),
        node: node.name.clone(),
        jid: jid.to_string(),
        subid: None,
    }
}

/// Whether a subscription is in force: approved, and not over.
pub(super) fn stands(subscription: &NodeSubscription, now: i64) -> bool {
    subscription.state == SubscriptionState::Subscribed && !is_over(subscription, now)
}

/// Whether its lease is over (§12.19).
pub(super) fn is_over(subscription: &NodeSubscription, now: i64) -> bool {
    subscription.expires_at.is_some_and(|at| at <= now)
}

/// A `<subscription/>` in this namespace.
pub(super) fn written(ns: &'static str, node: Option<&str>, of: &NodeSubscription) -> Element {
    Element::new(ns, "subscription")
        .with_opt_attr("node", node)
        .with_attr("jid", of.jid.as_str())
        .with_attr("subscription", of.state.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn submit(fields: &[(&str, &str)]) -> DataForm {
        let form = DataForm::about(FormType::Submit, ns::SUBSCRIBE_OPTIONS);
        let fields = fields.iter().map(|(var, value)| Field::of(*var, *value));
        fields.fold(form, DataForm::with_field)
    }

    #[test]
    fn options_are_kept_and_read_back() {
        let jid = Jid::parse("romeo@localhost").unwrap();
        let later = "1970-01-01T00:00:02Z";
        for (fields, expected) in [
            (&[][..], (true, None)),
            (&[(DELIVER, "0")], (false, None)),
            (&[(EXPIRE, later)], (true, Some(2_000_000))),
            (
                &[(DELIVER, "false"), (EXPIRE, later)],
                (false, Some(2_000_000)),
            ),
        ] {
            let options = Options::default().with_submitted(&submit(fields), NOW);
            let options = options.unwrap();
            assert_eq!((options.deliver, options.expires_at), expected);
            let kept = options.subscription(&jid, SubscriptionState::Subscribed);
            assert_eq!(Options::of(&kept), options);
        }
    }

    #[test]
    fn a_lease_ends_in_the_future_and_at_a_time() {
        for text in ["1970-01-01T00:00:01Z", "tomorrow"] {
            let options = Options::default().with_submitted(&submit(&[(EXPIRE, text)]), NOW);
            assert!(options.is_err(), "{text}");
        }
        let leased = Options {
            expires_at: Some(NOW),
            ..Options::default()
        };
        let jid = Jid::parse("romeo@localhost").unwrap();
        let kept = leased.subscription(&jid, SubscriptionState::Subscribed);
        assert!(stands(&kept, NOW - 1) && !stands(&kept, NOW));
        let forever = leased.with_submitted(&submit(&[(EXPIRE, "")]), NOW);
        assert_eq!(forever.unwrap().expires_at, None);
    }
}
