//! The errors of publish-subscribe, with the conditions of their own (XEP-0060 §17.2).

use balcony_proto::ns;
use balcony_proto::stanza::{ErrorType, StanzaError};
use balcony_proto::xml::Element;

use super::access::Denied;

fn with(error: StanzaError, condition: &'static str) -> StanzaError {
    error.with_app(Element::new(ns::PUBSUB_ERRORS, condition))
}

/// §7.2.3.3, §8.2.3.3.
pub(super) fn nodeid_required() -> StanzaError {
    with(StanzaError::bad_request(), "nodeid-required")
}

/// §7.1.3.7, §7.2.3.4.
pub(super) fn item_required() -> StanzaError {
    with(StanzaError::bad_request(), "item-required")
}

/// §7.1.3.7.
pub(super) fn item_forbidden() -> StanzaError {
    with(StanzaError::bad_request(), "item-forbidden")
}

/// §7.1.3.7.
pub(super) fn payload_required() -> StanzaError {
    with(StanzaError::bad_request(), "payload-required")
}

/// §7.1.3.6.
pub(super) fn invalid_payload() -> StanzaError {
    with(StanzaError::bad_request(), "invalid-payload")
}

/// §7.1.3.5.
pub(super) fn payload_too_big() -> StanzaError {
    with(StanzaError::not_acceptable(), "payload-too-big")
}

/// §7.1.5.
pub(super) fn precondition_not_met() -> StanzaError {
    with(StanzaError::conflict(), "precondition-not-met")
}

/// §7.1.5 wants a publication with options that are not known rejected, and does not say how.
pub(super) fn invalid_options(text: String) -> StanzaError {
    with(StanzaError::bad_request(), "invalid-options").with_text(text)
}

/// §8.1.2.
pub(super) fn unsupported_access_model() -> StanzaError {
    with(StanzaError::not_acceptable(), "unsupported-access-model")
}

/// §6.1.3.1.
pub(super) fn invalid_jid() -> StanzaError {
    with(StanzaError::bad_request(), "invalid-jid")
}

/// §6.1.3.9.
pub(super) fn too_many_subscriptions() -> StanzaError {
    let error = StanzaError::policy_violation().with_type(ErrorType::Wait);
    with(error, "too-many-subscriptions")
}

/// §6.2.3.2.
pub(super) fn not_subscribed() -> StanzaError {
    let error = StanzaError::unexpected_request().with_type(ErrorType::Cancel);
    with(error, "not-subscribed")
}

/// §6.1.3.7.
pub(super) fn pending_subscription() -> StanzaError {
    with(StanzaError::not_authorized(), "pending-subscription")
}

/// §6.3.4.3.
pub(super) fn jid_required() -> StanzaError {
    with(StanzaError::bad_request(), "jid-required")
}

/// An account has as many nodes as it may: the schema has a condition for it (§17.2), the text
/// has none.
pub(super) fn max_nodes_exceeded() -> StanzaError {
    with(StanzaError::resource_constraint(), "max-nodes-exceeded")
}

/// What this service does not do, by the name of the feature (§10).
pub(super) fn unsupported(feature: &'static str) -> StanzaError {
    let condition = Element::new(ns::PUBSUB_ERRORS, "unsupported").with_attr("feature", feature);
    StanzaError::feature_not_implemented().with_app(condition)
}

/// §6.1.3, §6.5.9.
impl From<Denied> for StanzaError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Forbidden => StanzaError::forbidden(),
            Denied::NoPresence => with(
                StanzaError::not_authorized(),
                "presence-subscription-required",
            ),
            Denied::NoGroup => with(StanzaError::not_authorized(), "not-in-roster-group"),
            Denied::NotSubscribed => with(StanzaError::not_authorized(), "not-subscribed"),
            Denied::Closed => with(StanzaError::not_allowed(), "closed-node"),
        }
    }
}
