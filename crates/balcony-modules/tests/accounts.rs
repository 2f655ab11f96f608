//! What becomes of sessions, contacts and caches when an account goes or is locked up in the store.
#![allow(clippy::unwrap_used)] // tests, helpers too

use std::sync::Arc;

use balcony_cluster::Local;
use balcony_core::config::Config;
use balcony_core::module::{Event, Session, SessionClient};
use balcony_core::tokens::{LoggedInBy, TokenUse};
use balcony_core::{Clock, Core, Outgoing, Parts, Pending, Wake};
use balcony_modules::MODULES;
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, MessageType, Payload, PresenceType, Stanza};
use balcony_proto::stream::StreamCondition;
use balcony_proto::xml::Element;
use balcony_store::{
    Error, MemoryStore, PendingIn, RosterItem, Store, Stored, Subscription, Token, TokenClient,
    Write, WriteSet,
};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";

const REMOVE: &str =
    "<iq type='set' id='u1'><query xmlns='jabber:iq:register'><remove/></query></iq>";
const GET: &str = "<iq type='get' id='g1'><blocklist xmlns='urn:xmpp:blocking'/></iq>";
const BLOCK: &str = "<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block></iq>";

struct Still;

impl Wake for Still {
    fn wake(&self) {}
}

/// A server whose commits can be held back, with the accounts of Romeo and Juliet.
struct Stage {
    core: Arc<Core>,
    store: Arc<MemoryStore>,
}

impl Stage {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let sections = MODULES.iter().flat_map(|module| module.config);
        let sections: Vec<_> = sections.copied().collect();
        let core = Core::new(Parts {
            config: Config::parse("", None, &sections).unwrap(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            cluster: Arc::new(Local::alone()),
            remote: Arc::new(balcony_core::remote::Nowhere),
            clock: Clock::virtual_at(1_000_000_000_000_000),
            modules: MODULES,
        });
        let stage = Self {
            core: core.await.unwrap(),
            store,
        };
        for account in [ROMEO, JULIET] {
            stage.create(account).await;
        }
        stage
    }

    async fn write(&self, write: Write) {
        self.store.commit(WriteSet::from(write)).await.unwrap();
    }

    async fn create(&self, account: &str) {
        let account = Jid::parse(account).unwrap();
        self.write(Write::CreateAccount {
            host: account.domain().into(),
            user: account.local().unwrap().into(),
            created: 1,
            keys: Vec::new(),
        })
        .await;
        finish(self.core.fire(Event::AccountCreated(account))).await;
    }

    async fn bind(&self, jid: &str) -> Client {
        let jid = Jid::parse(jid).unwrap();
        let session = self
            .core
            .bind(&jid.bare(), jid.resource(), Arc::new(Still))
            .unwrap();
        finish(self.core.fire(Event::Bound(Arc::clone(&session)))).await;
        let core = Arc::clone(&self.core);
        Client { core, session }
    }

    async fn online(&self, jid: &str) -> Client {
        let client = self.bind(jid).await;
        // An interested resource, which hears of subscriptions.
        client
            .ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
            .await;
        client.ask("<presence/>").await;
        client
    }

    /// Each sees the other's presence.
    async fn befriend(&self, one: &str, other: &str) {
        for (account, contact) in [(one, other), (other, one)] {
            let item = RosterItem {
                jid: contact.into(),
                subscription: Subscription::Both,
                ..RosterItem::default()
            };
            self.write(Write::RosterSet {
                account: account.into(),
                item,
                base: None,
                max_items: 9,
            })
            .await;
        }
    }
}

struct Client {
    core: Arc<Core>,
    session: Arc<Session>,
}

impl Client {
    fn accept(&self, xml: &str) -> Option<Pending> {
        let stanza = stanza(xml).with_from(self.session.jid().clone());
        self.core.accept_one(&self.session, stanza)
    }

    /// Sends, and does not wait.
    async fn begin(&self, xml: &str) -> tokio::task::JoinHandle<()> {
        let task = tokio::spawn(finish(self.accept(xml)));
        settle().await;
        task
    }

    /// Sends, and answers what came back.
    async fn ask(&self, xml: &str) -> Vec<String> {
        finish(self.accept(xml)).await;
        self.read()
    }

    /// What came since the last look, the end of the stream by its condition.
    fn read(&self) -> Vec<String> {
        let text = |item| match item {
            Outgoing::Close(Some(error)) => error.condition.as_str().to_owned(),
            Outgoing::Close(None) => "end".to_owned(),
            Outgoing::Stanza(item) => text(&item.stanza),
            other => format!("{other:?}"),
        };
        let items = self.session.drain(usize::MAX).items;
        items.into_iter().map(text).collect()
    }
}

fn text(stanza: &Stanza) -> String {
    String::from_utf8(stanza.to_bytes()).unwrap()
}

fn stanza(xml: &str) -> Stanza {
    let element = Element::parse(xml.as_bytes(), ns::CLIENT).unwrap();
    let kind = element.attr("type");
    let kind = match element.name() {
        "message" => Kind::Message(MessageType::parse(kind)),
        "presence" => Kind::Presence(PresenceType::parse(kind).unwrap()),
        _ => Kind::Iq(IqType::parse(kind).unwrap()),
    };
    let children: Vec<_> = element.children().cloned().collect();
    let mut stanza = Stanza::new(kind)
        .with_to(element.attr("to").map(|to| Jid::parse(to).unwrap()))
        .with_payload(Payload::from_elements(&children));
    stanza.id = element.attr("id").map(Into::into);
    stanza
}

async fn finish(pending: Option<Pending>) {
    if let Some(pending) = pending {
        pending.await;
    }
}

/// Lets the other tasks come as far as they can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_account_goes_to_the_store_before_its_owner_and_contacts_hear_of_it() {
    let stage = Stage::new().await;
    stage.befriend(ROMEO, JULIET).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    romeo.read();
    stage.store.hold_commits();
    let removal = juliet.begin(REMOVE).await;
    assert_eq!((juliet.read(), romeo.read()), (vec![], vec![]));
    stage.store.release_commits();
    removal.await.unwrap();
    // In between a contact may show that it took the farewell.
    let [first, .., last] = &*juliet.read() else {
        panic!("the answer, and the end");
    };
    assert!(first.contains("id='u1' type='result'"), "{first}");
    assert_eq!(last, StreamCondition::NotAuthorized.as_str());
    let seen = romeo.read().concat();
    for kind in ["unsubscribe", "unsubscribed", "unavailable"] {
        assert!(seen.contains(&format!("type='{kind}'")), "{kind}: {seen}");
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_deleted_stays_as_it_is() {
    let stage = Stage::new().await;
    stage.befriend(ROMEO, JULIET).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let juliet = stage.online("juliet@localhost/balcony").await;
    romeo.read();
    stage.store.fail_commits(Some(Error::Full));
    let answer = juliet.ask(REMOVE).await.concat();
    assert!(answer.contains("<resource-constraint"), "{answer}");
    assert!(!juliet.session.has_ended());
    assert_eq!(romeo.read(), [""; 0]);
    stage.store.fail_commits(None);
    assert!(
        stage
            .core
            .account_exists(juliet.session.account())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_new_account_does_not_inherit_the_block_list_of_a_session_that_lingers() {
    let stage = Stage::new().await;
    let before = stage.online("juliet@localhost/balcony").await;
    before.ask(BLOCK).await;
    // Ended, but its client has not taken notice: the session is still in the table.
    stage
        .core
        .delete_account(before.session.account())
        .await
        .unwrap();
    stage.create(JULIET).await;
    let after = stage.online("juliet@localhost/chamber").await;
    let list = after.ask(GET).await.concat();
    assert!(!list.contains("<item"), "{list}");
    let romeo = stage.bind("romeo@localhost/orchard").await;
    let answers = romeo
        .ask("<message to='juliet@localhost/chamber' type='chat'/>")
        .await;
    assert_eq!(answers, [""; 0]);
    assert_eq!(after.read().len(), 1);
}

#[tokio::test]
async fn a_block_list_is_not_read_in_the_middle_of_a_change() {
    let stage = Stage::new().await;
    let juliet = stage.bind("juliet@localhost/balcony").await;
    let nurse = stage.bind("juliet@localhost/chamber").await;
    stage.store.hold_commits();
    let change = juliet.begin(BLOCK).await;
    let get = nurse.begin(GET).await;
    stage.store.release_commits();
    change.await.unwrap();
    get.await.unwrap();
    let [list] = &*nurse.read() else {
        panic!("a list, and no push that it has in it already");
    };
    assert!(list.contains("<item jid='romeo@localhost'/>"), "{list}");
}

#[tokio::test]
async fn the_old_request_of_a_blocked_contact_is_not_sent_again() {
    let stage = Stage::new().await;
    for contact in [ROMEO, "nurse@localhost"] {
        let bytes = format!("<presence from='{contact}' to='{JULIET}' type='subscribe'/>");
        let stanza = Stored {
            format: 1,
            bytes: bytes.into_bytes(),
        };
        let request = PendingIn {
            jid: contact.into(),
            received_at: 1,
            stanza,
        };
        let account = JULIET.into();
        stage
            .write(Write::PendingSet {
                account,
                request,
                max: 9,
            })
            .await;
    }
    let juliet = stage.bind("juliet@localhost/balcony").await;
    juliet.ask(BLOCK).await;
    let seen = juliet.ask("<presence/>").await.concat();
    assert!(seen.contains("from='nurse@localhost'"), "{seen}");
    assert!(!seen.contains("from='romeo@localhost'"), "{seen}");
}

#[tokio::test]
async fn a_new_account_does_not_inherit_the_contacts_of_a_session_that_lingers() {
    let stage = Stage::new().await;
    stage.befriend(ROMEO, JULIET).await;
    let romeo = stage.online("romeo@localhost/orchard").await;
    let before = stage.online("juliet@localhost/balcony").await;
    stage
        .core
        .delete_account(before.session.account())
        .await
        .unwrap();
    stage.create(JULIET).await;
    romeo.read();
    stage.online("juliet@localhost/chamber").await;
    finish(stage.core.ended(&before.session)).await;
    assert_eq!(romeo.read(), [""; 0]);
}

/// A login waits for something while the password is changed, or the account disabled.
#[tokio::test]
async fn a_login_that_waits_gets_no_token_when_the_password_is_another() {
    let stage = Stage::new().await;
    let romeo = Jid::parse(ROMEO).unwrap();
    let proved = async |password| {
        let right = stage
            .core
            .verify_password("localhost", "romeo", password)
            .await;
        right.unwrap().unwrap().keys.stored_key
    };
    let wish = |stored_key| TokenUse {
        account: romeo.clone(),
        client: TokenClient::default(),
        by: LoggedInBy::Password { stored_key },
        invalidate: false,
        issue: Some(("HT-SHA-256-EXPR".into(), "secret".into())),
    };
    stage.core.set_password(&romeo, "old", None).await.unwrap();
    let old = proved("old").await;
    let given = stage.core.use_token(wish(old.clone())).await.unwrap();
    assert!(given.is_some());
    // The same once more has other keys, too: whoever sets it wants to be rid of the rest.
    stage.core.set_password(&romeo, "old", None).await.unwrap();
    assert_eq!(stage.core.use_token(wish(old)).await.unwrap(), None);
    let new = proved("old").await;
    stage.core.set_enabled(&romeo, false).await.unwrap();
    assert_eq!(stage.core.use_token(wish(new)).await.unwrap(), None);
    let left = stage.store.tokens().list(ROMEO).await.unwrap();
    assert_eq!(left, []);
}

/// XEP-0494 §3.2: what has nothing but a token is out for good, and the result says so.
#[tokio::test]
async fn a_client_that_never_showed_the_password_is_revoked_without_more_ado() {
    let stage = Stage::new().await;
    let phone = || TokenClient {
        id: "phone".into(),
        ..TokenClient::default()
    };
    let token = |expires| Token {
        mechanism: "HT-SHA-256-EXPR".into(),
        secret: "secret".into(),
        created: 1,
        expires,
        count: None,
    };
    let issue = |client, expires| Write::TokenSet {
        account: ROMEO.into(),
        client,
        token: token(expires),
        at: 1,
        proved: None,
        max: 9,
    };
    stage.write(issue(phone(), i64::MAX)).await;
    // Its time is over, so it has no access, and is none of the clients.
    stage.write(issue(TokenClient::default(), 2)).await;
    let romeo = stage.bind("romeo@localhost/orchard").await;
    let street = stage.bind("romeo@localhost/street").await;
    street.session.logged_in(SessionClient {
        id: Some("phone".into()),
        ..SessionClient::default()
    });
    let list = "<iq type='get' id='l'><list xmlns='urn:xmpp:cam:0'/></iq>";
    let listed = romeo.ask(list).await.concat();
    assert_eq!(listed.matches("<client ").count(), 2, "{listed}");
    assert!(!listed.contains("phone"), "{listed}");
    let (before, _) = listed.split_once("<fast/>").unwrap();
    let id = before.rsplit_once("id='").unwrap().1;
    let id = id.split_once('\'').unwrap().0;
    let revoke = format!("<iq type='set' id='r'><revoke xmlns='urn:xmpp:cam:0' id='{id}'/></iq>");
    let answer = romeo.ask(&revoke).await.concat();
    assert!(answer.contains("type='result'"), "{answer}");
    assert_eq!(street.read(), ["not-authorized"]);
    assert!(!romeo.session.has_ended());
    let left = stage.store.tokens().list(ROMEO).await.unwrap();
    assert!(left.iter().all(|left| left.client != phone()), "{left:?}");
    finish(stage.core.ended(&street.session)).await;
    assert_eq!(
        romeo.ask(list).await.concat().matches("<client ").count(),
        1
    );
}
