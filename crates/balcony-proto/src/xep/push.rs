//! XEP-0357 Push Notifications 0.4.1: what a client asks for, and what a push service gets.

use crate::jid::Jid;
use crate::ns;
use crate::xep::data_form::{DataForm, Field, FormType};
use crate::xml::Element;

/// `<enable/>` (§5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enable {
    /// The push service.
    pub jid: Jid,
    /// Its node for this client; empty when none is named.
    pub node: String,
    /// The data form that goes with each notification. `None`: nothing goes with it.
    pub options: Option<Element>,
}

/// `<disable/>` (§6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disable {
    /// The push service.
    pub jid: Jid,
    /// Its node; `None`: all of that service.
    pub node: Option<String>,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no `jid`, which is required.
    NoService,
    /// The `jid` is none.
    NotAJid,
    /// The form is not one of publish options.
    NotOptions,
}

impl Enable {
    /// Reads an `<enable/>`.
    ///
    /// # Errors
    /// [`Fault`] says what is wrong with it.
    pub fn parse(element: &Element) -> Result<Self, Fault> {
        let options = element.child(ns::DATA_FORMS, "x");
        if options.is_some_and(|form| !is_options(form)) {
            return Err(Fault::NotOptions);
        }
        Ok(Self {
            jid: service(element)?,
            node: element.attr("node").unwrap_or_default().to_owned(),
            options: options.cloned(),
        })
    }
}

impl Disable {
    /// Reads a `<disable/>`.
    ///
    /// # Errors
    /// [`Fault`] says what is wrong with it.
    pub fn parse(element: &Element) -> Result<Self, Fault> {
        Ok(Self {
            jid: service(element)?,
            node: element.attr("node").map(str::to_owned),
        })
    }
}

fn service(element: &Element) -> Result<Jid, Fault> {
    let jid = element.attr("jid").ok_or(Fault::NoService)?;
    Jid::parse(jid).map_err(|_| Fault::NotAJid)
}

fn is_options(form: &Element) -> bool {
    let form = DataForm::parse(form).ok();
    form.is_some_and(|form| form.form_type_name() == Some(ns::PUBLISH_OPTIONS))
}

/// What a notification tells (§7, §11.3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages since the client was last told.
    pub messages: u32,
    /// Who wrote the last one. `None`: that is not told.
    pub last_sender: Option<Jid>,
    /// The text of the last one. `None`: that is not told.
    pub last_body: Option<String>,
}

impl Summary {
    fn to_form(&self) -> DataForm {
        let mut form = DataForm::about(FormType::Submit, ns::PUSH_SUMMARY)
            .with_field(Field::of("message-count", self.messages.to_string()));
        if let Some(sender) = &self.last_sender {
            form = form.with_field(Field::of("last-message-sender", sender.as_str()));
        }
        if let Some(body) = &self.last_body {
            form = form.with_field(Field::of("last-message-body", body.as_str()));
        }
        form
    }

    /// The publication of the notification: to a node, unless it is empty, with the options from
    /// the registration (§7, XEP-0060 §7.1.5).
    #[must_use]
    pub fn publish(&self, node: &str, options: Option<Element>) -> Element {
        let notification =
            Element::new(ns::PUSH, "notification").with_child(self.to_form().to_element());
        let item = Element::new(ns::PUBSUB, "item").with_child(notification);
        let publish = Element::new(ns::PUBSUB, "publish")
            .with_opt_attr("node", Some(node).filter(|node| !node.is_empty()))
            .with_child(item);
        let options =
            options.map(|options| Element::new(ns::PUBSUB, "publish-options").with_child(options));
        Element::new(ns::PUBSUB, "pubsub")
            .with_child(publish)
            .with_children(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(xml: &str) -> Element {
        Element::parse(xml.as_bytes(), ns::CLIENT).unwrap()
    }

    const OPTIONS: &str = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
        <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
        <field var='secret'><value>eruio234vzxc2kla-91</value></field></x>";

    #[test]
    fn the_examples_of_the_specification_are_read() {
        let enable = Enable::parse(&element(&format!(
            "<enable xmlns='urn:xmpp:push:0' jid='push-5.client.example' node='yxs32'>\
             {OPTIONS}</enable>"
        )))
        .unwrap();
        assert_eq!(
            (enable.jid.as_str(), enable.node.as_str()),
            ("push-5.client.example", "yxs32")
        );
        assert_eq!(enable.options, Some(element(OPTIONS)));
        let all = element("<disable xmlns='urn:xmpp:push:0' jid='push-5.client.example'/>");
        assert_eq!(Disable::parse(&all).unwrap().node, None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let fault = |xml: &str| Enable::parse(&element(xml)).unwrap_err();
        assert_eq!(
            fault("<enable xmlns='urn:xmpp:push:0' node='a'/>"),
            Fault::NoService
        );
        assert_eq!(
            fault("<enable xmlns='urn:xmpp:push:0' jid='@'/>"),
            Fault::NotAJid
        );
        let other = "<enable xmlns='urn:xmpp:push:0' jid='a'><x xmlns='jabber:x:data' type='submit'>\
                     <field var='FORM_TYPE'><value>urn:x</value></field></x></enable>";
        assert_eq!(fault(other), Fault::NotOptions);
    }

    #[test]
    fn a_publication_has_what_is_told_and_no_more() {
        let quiet = Summary {
            messages: 2,
            ..Summary::default()
        };
        let pubsub = quiet.publish("yxs32", Some(element(OPTIONS)));
        let publish = pubsub.child(ns::PUBSUB, "publish").unwrap();
        assert_eq!(publish.attr("node"), Some("yxs32"));
        let notification = publish
            .child(ns::PUBSUB, "item")
            .and_then(|item| item.child(ns::PUSH, "notification"))
            .unwrap();
        let form = DataForm::within(notification).unwrap();
        assert_eq!(form.form_type_name(), Some(ns::PUSH_SUMMARY));
        assert_eq!(form.value("message-count"), Some("2"));
        assert!(form.field("last-message-sender").is_none());
        assert!(form.field("last-message-body").is_none());
        let options = pubsub.child(ns::PUBSUB, "publish-options").unwrap();
        assert_eq!(options.children().next(), Some(&element(OPTIONS)));
        assert_eq!(quiet.publish("", None).children().count(), 1);
    }
}
