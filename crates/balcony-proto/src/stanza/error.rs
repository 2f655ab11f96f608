//! Stanza errors (RFC 6120 §8.3).

use std::borrow::Cow;

use crate::jid::Jid;
use crate::ns;
use crate::xml::Element;

/// What the sender may do about it (RFC 6120 §8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Proceed: it was only a warning.
    Continue,
    /// Retry after changing the data.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    /// The value of the `type` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorType::Auth => "auth",
            ErrorType::Cancel => "cancel",
            ErrorType::Continue => "continue",
            ErrorType::Modify => "modify",
            ErrorType::Wait => "wait",
        }
    }

    /// Reads the attribute.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "auth" => ErrorType::Auth,
            "cancel" => ErrorType::Cancel,
            "continue" => ErrorType::Continue,
            "modify" => ErrorType::Modify,
            "wait" => ErrorType::Wait,
            _ => return None,
        })
    }
}

macro_rules! conditions {
    ($($name:ident, $text:literal, $etype:ident, $section:literal, $maker:ident;)*) => {
        /// The conditions of RFC 6120 §8.3.3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Condition {
            $(#[doc = concat!("`", $text, "` (RFC 6120 §8.3.3.", $section, ")")] $name,)*
        }

        impl Condition {
            /// Every condition, in the RFC's order.
            pub const ALL: &'static [Condition] = &[$(Condition::$name),*];

            /// The element's name.
            pub fn as_str(self) -> &'static str {
                match self { $(Condition::$name => $text,)* }
            }

            /// The type that the RFC recommends for it.
            pub fn recommended_type(self) -> ErrorType {
                match self { $(Condition::$name => ErrorType::$etype,)* }
            }

            /// Reads the element's name; unknown ones are undefined-condition (§8.3.2).
            pub fn parse(name: &str) -> Self {
                match name {
                    $($text => Condition::$name,)*
                    _ => Condition::UndefinedCondition,
                }
            }
        }

        impl StanzaError {
            $(#[doc = concat!("`", $text, "` with the recommended type (RFC 6120 §8.3.3.",
                $section, ").")]
            pub fn $maker() -> Self {
                StanzaError::new(Condition::$name)
            })*
        }
    };
}

conditions! {
    BadRequest, "bad-request", Modify, "1", bad_request;
    Conflict, "conflict", Cancel, "2", conflict;
    FeatureNotImplemented, "feature-not-implemented", Cancel, "3", feature_not_implemented;
    Forbidden, "forbidden", Auth, "4", forbidden;
    Gone, "gone", Cancel, "5", gone;
    InternalServerError, "internal-server-error", Cancel, "6", internal_server_error;
    ItemNotFound, "item-not-found", Cancel, "7", item_not_found;
    JidMalformed, "jid-malformed", Modify, "8", jid_malformed;
    NotAcceptable, "not-acceptable", Modify, "9", not_acceptable;
    NotAllowed, "not-allowed", Cancel, "10", not_allowed;
    NotAuthorized, "not-authorized", Auth, "11", not_authorized;
    PolicyViolation, "policy-violation", Modify, "12", policy_violation;
    RecipientUnavailable, "recipient-unavailable", Wait, "13", recipient_unavailable;
    Redirect, "redirect", Modify, "14", redirect;
    RegistrationRequired, "registration-required", Auth, "15", registration_required;
    RemoteServerNotFound, "remote-server-not-found", Cancel, "16", remote_server_not_found;
    RemoteServerTimeout, "remote-server-timeout", Wait, "17", remote_server_timeout;
    ResourceConstraint, "resource-constraint", Wait, "18", resource_constraint;
    ServiceUnavailable, "service-unavailable", Cancel, "19", service_unavailable;
    SubscriptionRequired, "subscription-required", Auth, "20", subscription_required;
    UndefinedCondition, "undefined-condition", Cancel, "21", undefined_condition;
    UnexpectedRequest, "unexpected-request", Wait, "22", unexpected_request;
}

/// An error that goes to the sender of a stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// What the sender may do.
    pub etype: ErrorType,
    /// What went wrong.
    pub condition: Condition,
    /// For people who look into it, in English; never interpreted (§8.3.2).
    pub text: Option<Cow<'static, str>>,
    /// Who found it. `None`: not said.
    pub by: Option<Jid>,
    /// An application-specific condition (§8.3.4).
    pub app: Option<Element>,
    /// Whether the answer leaves out what it answers, which has a secret in it.
    pub unquoted: bool,
}

impl StanzaError {
    /// With the type that RFC 6120 §8.3.3 recommends for the condition.
    pub fn new(condition: Condition) -> Self {
        StanzaError {
            etype: condition.recommended_type(),
            condition,
            text: None,
            by: None,
            app: None,
            unquoted: false,
        }
    }

    /// With a text.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With another type than the recommended one.
    #[must_use]
    pub fn with_type(mut self, etype: ErrorType) -> Self {
        self.etype = etype;
        self
    }

    /// With the entity that found it.
    #[must_use]
    pub fn with_by(mut self, by: Jid) -> Self {
        self.by = Some(by);
        self
    }

    /// With an application-specific condition.
    #[must_use]
    pub fn with_app(mut self, app: Element) -> Self {
        self.app = Some(app);
        self
    }

    /// For what has a secret in it: the answer does not quote it, as it may (§8.3.1 point 7).
    #[must_use]
    pub fn without_quote(mut self) -> Self {
        self.unquoted = true;
        self
    }

    /// The `<error/>` child (§8.3.2).
    pub fn to_element(&self) -> Element {
        let mut error = Element::new(ns::CLIENT, "error")
            .with_opt_attr("by", self.by.as_ref().map(Jid::as_str))
            .with_attr("type", self.etype.as_str())
            .with_child(Element::new(ns::STANZA_ERROR, self.condition.as_str()));
        if let Some(text) = &self.text {
            error.push(
                Element::new(ns::STANZA_ERROR, "text")
                    .with_attr("xml:lang", "en")
                    .with_text(text),
            );
        }
        if let Some(app) = &self.app {
            error.push(app.clone());
        }
        error
    }

    /// Reads an `<error/>`, leniently: what is unknown or missing counts as undefined-condition
    /// (§8.3.2), a missing type as the recommended one.
    pub fn parse(error: &Element) -> Self {
        let condition = error
            .children()
            .find(|child| child.ns() == ns::STANZA_ERROR && child.name() != "text")
            .map_or(Condition::UndefinedCondition, |child| {
                Condition::parse(child.name())
            });
        let app = error
            .children()
            .find(|child| child.ns() != ns::STANZA_ERROR && child.ns() != error.ns());
        StanzaError {
            etype: error
                .attr("type")
                .and_then(ErrorType::parse)
                .unwrap_or(condition.recommended_type()),
            condition,
            text: error.child_text(ns::STANZA_ERROR, "text").map(Cow::Owned),
            by: error.attr("by").and_then(|by| Jid::parse(by).ok()),
            app: app.cloned(),
            unquoted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_survives_the_round_trip() {
        for condition in Condition::ALL {
            let error = StanzaError::new(*condition)
                .with_text("why & how")
                .with_by(Jid::parse("localhost").unwrap())
                .with_app(Element::new("urn:a", "detail"));
            assert_eq!(StanzaError::parse(&error.to_element()), error);
        }
    }

    #[test]
    fn unknown_condition_counts_as_undefined() {
        let error = Element::new(ns::CLIENT, "error")
            .with_child(Element::new(ns::STANZA_ERROR, "star-crossed"));
        let error = StanzaError::parse(&error);
        assert_eq!(error.condition, Condition::UndefinedCondition);
        assert_eq!(error.etype, ErrorType::Cancel);
    }
}
