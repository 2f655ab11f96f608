//! A notification on its way to a push service (XEP-0357 §7).

use std::sync::Arc;
use std::time::Duration;

use balcony_core::module::{Core, NoAnswer};
use balcony_proto::jid::Jid;
use balcony_proto::stanza::{Condition, ErrorType, IqType, Kind, Stanza, StanzaError};
use balcony_proto::xep::push::Summary;
use balcony_store::{PushRegistration, Write, WriteSet};

use super::cache::Registrations;
use super::device::{News, Next, Outcome};
use super::{request, watch};

/// How long a service may take to answer: it may have to open a stream, and asks others itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pauses between the tries for one notification: a service that is being restarted is back
/// after the first, and after a quarter of an hour the news is old.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
];

/// What is told instead of the text of a message.
// COMPAT(push services of iOS apps, since their beginning): some take a notification without a text
// for one that nobody needs to see, and let it wait or drop it.
const SOMETHING: &str = "New message";

/// Why a try did not succeed.
enum Failure {
    /// Another may.
    Passing(String),
    /// §7.1: the registration is of no use.
    Lasting(String),
}

/// Tells a device, with all tries.
pub(super) async fn run(core: Arc<Core>, account: Jid, registration: Arc<PushRegistration>) {
    let Some(known) = core.state::<Registrations>() else {
        return;
    };
    let mut pauses = PAUSES.into_iter();
    loop {
        let Some(news) = known.news(&account, &registration) else {
            return;
        };
        let begun = core.clock().coarse_seconds();
        match publish(&core, &account, &registration, news).await {
            Ok(()) => {
                let taken = Outcome::Taken(begun);
                if known.settle(&account, &registration, taken) != Next::Again {
                    return;
                }
                pauses = PAUSES.into_iter();
            }
            Err(Failure::Lasting(reason)) => {
                return give_up(&core, &account, &registration, reason).await;
            }
            Err(Failure::Passing(reason)) => {
                tracing::debug!(%account, service = registration.jid, reason, "not notified yet");
                let Some(pause) = pauses.next() else {
                    let failed = Outcome::Failed(core.clock().coarse_seconds());
                    if known.settle(&account, &registration, failed) == Next::Gone {
                        give_up(&core, &account, &registration, reason).await;
                    }
                    return;
                };
                tokio::time::sleep(pause).await;
            }
        }
        if watch::away(&core, &account, &registration).is_none() {
            known.settle(&account, &registration, Outcome::Needless);
            return;
        }
    }
}

async fn publish(
    core: &Arc<Core>,
    account: &Jid,
    registration: &PushRegistration,
    news: News,
) -> Result<(), Failure> {
    let lasting = |reason: &str| Failure::Lasting(reason.to_owned());
    let service = Jid::parse(&registration.jid).map_err(|_| lasting("not a JID"))?;
    let summary = Summary {
        messages: news.messages,
        last_sender: news.sender,
        last_body: news
            .body
            .or_else(|| news.has_body.then(|| SOMETHING.to_owned())),
    };
    let options = request::options(registration);
    let publish = summary.publish(&registration.node, options);
    // §7: the server itself publishes, and the service learns no account from it.
    let iq = Stanza::new(Kind::Iq(IqType::Set))
        .with_from(account.domain_jid())
        .with_to(service)
        .with_element(publish);
    match core.request(iq, PATIENCE).await {
        Ok(answer) => match answer.stanza_error() {
            None => Ok(()),
            Some(error) => Err(failure(&error)),
        },
        Err(NoAnswer::Late) => Err(Failure::Passing("no answer".to_owned())),
        Err(NoAnswer::NotAsked) => Err(Failure::Passing("too many requests".to_owned())),
    }
}

/// §7.1: an error disables the registration, unless it is transient.
fn failure(error: &StanzaError) -> Failure {
    let reason = error.condition.as_str().to_owned();
    let passing = matches!(
        error.condition,
        Condition::RemoteServerNotFound
            | Condition::RemoteServerTimeout
            | Condition::ServiceUnavailable
            | Condition::RecipientUnavailable
            | Condition::InternalServerError
            | Condition::ResourceConstraint
    );
    match passing || error.etype == ErrorType::Wait {
        true => Failure::Passing(reason),
        false => Failure::Lasting(reason),
    }
}

/// §7.1: nothing goes there until the client registers again.
async fn give_up(core: &Arc<Core>, account: &Jid, registration: &PushRegistration, reason: String) {
    let service = &registration.jid;
    tracing::warn!(%account, service, reason, "no push notifications any more");
    let write = Write::PushFail {
        account: account.to_string(),
        jid: registration.jid.clone(),
        node: registration.node.clone(),
        created: registration.created,
        reason,
    };
    if let Err(cause) = core.store().commit(WriteSet::from(write)).await {
        tracing::warn!(%cause, %account, "a push registration stays in force");
    }
    if let Some(known) = core.state::<Registrations>() {
        known.forget(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasts(error: &StanzaError) -> bool {
        matches!(failure(error), Failure::Lasting(_))
    }

    #[test]
    fn what_may_pass_is_told_from_what_does_not() {
        assert!(lasts(&StanzaError::item_not_found()));
        assert!(lasts(&StanzaError::forbidden()));
        assert!(lasts(&StanzaError::not_authorized()));
        assert!(lasts(&StanzaError::gone()));
        assert!(!lasts(&StanzaError::remote_server_not_found()));
        assert!(!lasts(&StanzaError::service_unavailable()));
        assert!(!lasts(&StanzaError::resource_constraint()));
        let later = StanzaError::item_not_found().with_type(ErrorType::Wait);
        assert!(!lasts(&later));
    }
}
