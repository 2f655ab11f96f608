//! A server without sockets: a core over the memory store, and clients that are sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use balcony_cluster::Local;
use balcony_core::config::Config;
use balcony_core::module::{Event, Session};
use balcony_core::{Clock, Core, Outgoing, Parts, Pending, Wake};
use balcony_modules::MODULES;
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::{IqType, Kind, MessageType, Payload, PresenceType, Stanza};
use balcony_proto::xml::Element;
use balcony_store::sqlite::Settings;
use balcony_store::{Bounds, MemoryStore, SqliteStore, Store, Stored, Waiting, Write, WriteSet};
use parking_lot::Mutex;

/// 2001-09-09T01:46:40Z.
pub(crate) const NOW: i64 = 1_000_000_000_000_000;

/// Longer than any disk takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) core: Arc<Core>,
    sockets: Sockets,
}

pub(crate) struct Client {
    core: Arc<Core>,
    pub(crate) session: Arc<Session>,
    socket: Arc<Socket>,
    sockets: Sockets,
}

/// What has been written to one client and not been read by the test.
struct Socket {
    session: Arc<Session>,
    written: Mutex<Vec<Outgoing>>,
    /// The client does not read.
    stuck: AtomicBool,
}

impl Socket {
    fn write(&self) {
        if !self.stuck.load(Ordering::Relaxed) {
            self.write_all();
        }
    }

    fn write_all(&self) {
        for outgoing in self.session.drain(usize::MAX).items {
            match outgoing {
                Outgoing::Written(tell) => drop(tell.send(())),
                Outgoing::Stanza(item) => {
                    item.written();
                    self.written.lock().push(Outgoing::Stanza(item));
                }
                other => self.written.lock().push(other),
            }
        }
    }
}

type Sockets = Arc<Mutex<Vec<Arc<Socket>>>>;

/// Waits for work, then for tasks that wait until something is written to a client.
async fn finish(sockets: &Sockets, pending: Option<Pending>) {
    if let Some(pending) = pending {
        let in_time = tokio::time::timeout(PATIENCE, pending).await;
        in_time.expect("the work waits for something that does not come");
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
        sockets.lock().iter().for_each(|socket| socket.write());
    }
}

struct Still;

impl Wake for Still {
    fn wake(&self) {}
}

impl Stage {
    pub(crate) async fn new(accounts: &[&str]) -> Self {
        Self::with_config(accounts, "").await
    }

    pub(crate) async fn with_config(accounts: &[&str], config: &str) -> Self {
        Self::over(Arc::new(MemoryStore::new()), accounts, config).await
    }

    /// With a real disk below, so that commits take their time and tasks meet. The folder lives
    /// as long as what is answered with the stage.
    pub(crate) async fn on_disk(accounts: &[&str]) -> (Self, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Settings::default()).unwrap();
        (Self::over(Arc::new(store), accounts, "").await, folder)
    }

    pub(crate) async fn over(store: Arc<dyn Store>, accounts: &[&str], config: &str) -> Self {
        for user in accounts {
            let create = Write::CreateAccount {
                host: "localhost".into(),
                user: (*user).into(),
                created: NOW,
                keys: Vec::new(),
            };
            store.commit(WriteSet::from(create)).await.unwrap();
        }
        let sections = MODULES.iter().flat_map(|module| module.config);
        let sections: Vec<_> = sections.copied().collect();
        let core = Core::new(Parts {
            config: Config::parse(config, None, &sections).unwrap(),
            store,
            cluster: Arc::new(Local::alone()),
            remote: Arc::new(balcony_core::remote::Nowhere),
            clock: Clock::virtual_at(NOW),
            modules: MODULES,
        });
        Self {
            core: core.await.unwrap(),
            sockets: Sockets::default(),
        }
    }

    /// A connected resource.
    pub(crate) fn bind(&self, jid: &str) -> Client {
        let jid = Jid::parse(jid).unwrap();
        let session = self
            .core
            .bind(&jid.bare(), jid.resource(), Arc::new(Still))
            .unwrap();
        let socket = Arc::new(Socket {
            session: Arc::clone(&session),
            written: Mutex::default(),
            stuck: AtomicBool::new(false),
        });
        self.sockets.lock().push(Arc::clone(&socket));
        Client {
            core: Arc::clone(&self.core),
            session,
            socket,
            sockets: Arc::clone(&self.sockets),
        }
    }

    /// A resource that has asked for its roster and sent initial presence, and read all answers.
    pub(crate) async fn online(&self, jid: &str) -> Client {
        let client = self.bind(jid);
        client
            .send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
            .await;
        client.send("<presence/>").await;
        client.read();
        client
    }

    /// Puts a row of this format into Juliet's offline queue.
    pub(crate) async fn keep(&self, format: u16, received_at: i64) {
        let push = Write::OfflinePush {
            account: "juliet@localhost".into(),
            received_at,
            stanza: Waiting::Stanza(Stored {
                format,
                bytes: b"<message/>".to_vec(),
            }),
            bounds: Bounds {
                rows: 9,
                bytes: 999,
            },
        };
        self.core
            .store()
            .commit(WriteSet::from(push))
            .await
            .unwrap();
    }

    pub(crate) async fn tick(&self) {
        finish(&self.sockets, self.core.fire(Event::Tick)).await;
    }
}

impl Client {
    pub(crate) async fn send(&self, xml: &str) {
        finish(&self.sockets, self.begin(xml)).await;
    }

    /// Sends, and answers what is left to be done for it.
    pub(crate) fn begin(&self, xml: &str) -> Option<Pending> {
        let stanza = stanza(xml).with_from(self.session.jid().clone());
        self.core.accept_one(&self.session, stanza)
    }

    /// From now on nothing can be written to the client, because it does not read.
    pub(crate) fn stick(&self) {
        self.socket.stuck.store(true, Ordering::Relaxed);
    }

    /// What came since the last look, as text; ids of pushes are left out.
    pub(crate) fn read(&self) -> Vec<String> {
        let text = |item| match item {
            Outgoing::Stanza(item) => text(&item.stanza),
            Outgoing::Close(error) => format!("close {error:?}"),
            other => unreachable!("{other:?}, see Socket::write_all"),
        };
        self.socket.write_all();
        let written = std::mem::take(&mut *self.socket.written.lock());
        written.into_iter().map(text).collect()
    }

    /// What came since the last look must be this, in this order.
    #[track_caller]
    pub(crate) fn sees(&self, expected: &[&str]) {
        assert_eq!(self.read(), expected, "seen by {}", self.session.jid());
    }

    /// Sends and looks what comes back to the same client.
    pub(crate) async fn ask(&self, xml: &str) -> Vec<String> {
        self.send(xml).await;
        self.read()
    }

    /// The connection is lost.
    pub(crate) async fn lost(&self) {
        finish(&self.sockets, self.core.ended(&self.session)).await;
    }
}

fn text(stanza: &Stanza) -> String {
    let mut stanza = stanza.clone();
    if stanza
        .id
        .as_deref()
        .is_some_and(|id| id.starts_with("push"))
    {
        stanza.id = None;
    }
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
