//! RFC 6121 §2 the roster: get, set, push and versions, and the cache that presence reads.

mod cache;
mod change;
mod contacts;
mod get;
mod names;
mod push;
mod set;

pub(crate) use cache::{contacts, known_contacts, standing};
pub(crate) use change::{Before, Change, Failure, ItemChange, PendingChange, change};
pub(crate) use contacts::Standing;

use balcony_core::module::{
    Answer, BoxFuture, Core, Ctx, Event, EventKind, Handle, IqHandler, IqKind, Listen, Listener,
    ModuleSpec, Request, Spec, StreamFeature, Target,
};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xml::Element;

use crate::privilege;
use cache::Rosters;

/// Rosters.
pub static MODULE: ModuleSpec = ModuleSpec {
    name: "roster",
    specs: &[
        Spec::xep(
            "RFC 6121",
            "XMPP: Instant Messaging and Presence",
            "2011-03",
        )
        .note("§2, the roster with versions"),
        Spec::xep("XEP-0237", "Roster Versioning", "1.3").note("as RFC 6121 §2.6 has it"),
    ],
    iq: &[
        IqHandler {
            ns: ns::ROSTER,
            name: "query",
            kind: IqKind::Get,
            target: Target::ACCOUNT,
            handle: Handle::Waits(on_get),
        },
        IqHandler {
            ns: ns::ROSTER,
            name: "query",
            kind: IqKind::Set,
            target: Target::ACCOUNT,
            handle: Handle::Waits(on_set),
        },
    ],
    on: &[
        Listener {
            event: EventKind::Ended,
            listen: Listen::Now(drop_unused),
        },
        Listener {
            event: EventKind::AccountCreated,
            listen: Listen::Waits(begin_anew),
        },
        Listener {
            event: EventKind::AccountDeleted,
            listen: Listen::Waits(begin_anew),
        },
    ],
    stream_features: &[
        // §2.6.1
        StreamFeature {
            after_login: true,
            make: |_, _| Some(Element::new(ns::ROSTER_VER, "ver")),
        },
    ],
    state: Some(|_| Box::new(Rosters::default())),
    session_notes: &[push::NOTE],
    conversations: &["rfc6121/roster"],
    ..ModuleSpec::NOTHING
};

fn on_get<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = owner(ctx, request)?;
        get::answer(ctx, request, &account).await
    })
}

fn on_set<'a>(ctx: &'a mut Ctx<'_>, request: &'a Request) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let account = owner(ctx, request)?;
        if request.session.is_none() {
            exists(ctx.core(), &account).await?;
        }
        set::answer(ctx, &account, &request.element()?).await
    })
}

/// §2.3.3: a roster is its owner's alone. Whether the other account exists makes no difference,
/// but to a component that may look after all (XEP-0356 §4.3).
fn owner(ctx: &Ctx<'_>, request: &Request) -> Result<Jid, StanzaError> {
    match request.target {
        Target::OWN_ACCOUNT => request.account(),
        _ if privilege::has_roster(ctx, request) => request.account(),
        _ => Err(StanzaError::forbidden()),
    }
}

/// No roster is made for nobody.
async fn exists(core: &Core, account: &Jid) -> Result<(), StanzaError> {
    match core.account_exists(account).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(StanzaError::item_not_found()),
        Err(_) => Err(StanzaError::internal_server_error()),
    }
}

/// The cache holds rosters of connected accounts only.
fn drop_unused(ctx: &mut Ctx<'_>, event: &Event) {
    let Event::Ended(session) = event else { return };
    if !ctx.sessions_of(session.account()).is_empty() {
        return;
    }
    if let Some(rosters) = ctx.state::<Rosters>() {
        rosters.forget(session.account());
    }
}

/// What is cached of an account's roster is no longer what is stored: a session of a deleted
/// account may linger while another account gets its name.
fn begin_anew<'a>(ctx: &'a mut Ctx<'_>, event: &'a Event) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let (Event::AccountCreated(account) | Event::AccountDeleted(account)) = event else {
            return;
        };
        if let Some(rosters) = ctx.state::<Rosters>() {
            // With the turn, so that nothing that was read before is kept afterwards.
            let _turn = rosters.turn(account).await;
            rosters.forget(account);
        }
    })
}
