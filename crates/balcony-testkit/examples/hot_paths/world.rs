//! A server with clients who are there to make it work.

use std::future::poll_fn;
use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, mpsc};

use balcony_cluster::Local;
use balcony_core::config::Config;
use balcony_core::remote::Nowhere;
use balcony_core::{Clock, Core, Parts};
use balcony_modules::MODULES;
use balcony_proto::ns;
use balcony_proto::sasl::scram::{Client as Scram, ClientKeys, Login, Nonce, Secret};
use balcony_proto::sasl::{ChannelBindings, HashKind, Mechanism, Offer, ScramKeys, decode, encode};
use balcony_server::{Instance, c2s, system_random};
use balcony_store::sqlite::Settings;
use balcony_store::{
    HashName, MemoryStore, RosterItem, ScramKey, SqliteStore, Store, Subscription, Write, WriteSet,
};
use balcony_stream::Security;
use balcony_testkit::server::START_MICROS;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use crate::wire::{self, End, Flusher};

type Fault = Box<dyn std::error::Error>;
pub(crate) type Outcome<T> = Result<T, Fault>;

/// Before anything counts: buffers and tables have their size then, and caches what they hold.
const WARM_UP: usize = 32;
/// Turns that the server gets to finish what nobody waits for, such as the end of a session.
const TURNS: usize = 4;

const PASSWORD: &str = "Call me but love";
const SALT: &[u8] = b"verona's orchard";
/// The least that clients go along with (RFC 7677 §4): only the client pays for it.
const ITERATIONS: u32 = 4096;

/// Nothing holds the load back.
const CONFIG: &str = "[tls]\nrequired = false\n\
                      [limits]\nrate = \"1GiB\"\nburst = \"1GiB\"\n\
                      rate_before_login = \"1GiB\"\nburst_before_login = \"1GiB\"\n\
                      [muc]\narchive = false\nmessage_burst = 10000\npresence_burst = 10000\n";

pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' \
                                 version='1.0' xmlns='jabber:client' \
                                 xmlns:stream='http://etherx.jabber.org/streams'>";

/// Callgrind sets all counts to nothing when this is entered.
#[inline(never)]
pub(crate) fn begin_counting() {
    black_box("begin");
}

/// Callgrind writes down what it counted when this is entered.
#[inline(never)]
pub(crate) fn end_counting() {
    black_box("end");
}

/// Callgrind counts nothing of this thread in here.
#[inline(never)]
pub(crate) fn off_the_record<R>(clients_work: impl FnOnce() -> R) -> R {
    black_box(clients_work())
}

/// Polls a future off the record; what the server does meanwhile counts.
async fn apart<R>(client: impl Future<Output = R>) -> R {
    let mut client = pin!(client);
    poll_fn(|context| off_the_record(|| client.as_mut().poll(context))).await
}

/// A server and what its clients need.
pub(crate) struct World {
    instance: Arc<Instance>,
    keys: ClientKeys,
    /// A task that waits for the end of this keeps the runtime from moving its clock when all is
    /// idle.
    _holds_time: mpsc::Sender<()>,
    runtime: Runtime,
    flusher: Arc<Flusher>,
}

impl World {
    /// With the store that servers have, where a folder is named, or else with one that is nothing
    /// but memory. The first of the accounts has all others in its roster, and they have it.
    pub(crate) fn new(folder: Option<&Path>, accounts: &[String], more: &str) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let (holds_time, held) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || held.recv());
        let store: Arc<dyn Store> = match folder {
            Some(folder) => Arc::new(SqliteStore::open(folder, Settings::default())?),
            None => Arc::new(MemoryStore::new()),
        };
        let flusher = Arc::new(Flusher::default());
        runtime.spawn(Arc::clone(&flusher).run());
        let instance = runtime.block_on(async {
            fill(&*store, accounts).await?;
            instance(store, &format!("{CONFIG}{more}")).await
        });
        Ok(Self {
            instance: instance?,
            keys: ClientKeys::derive(HashKind::Sha1, PASSWORD, SALT, ITERATIONS)?,
            _holds_time: holds_time,
            flusher,
            runtime,
        })
    }

    /// Sets the stage.
    pub(crate) fn set<R>(&self, stage: impl Future<Output = Outcome<R>>) -> Outcome<R> {
        self.runtime.block_on(stage)
    }

    /// Does something again and again, without a pause between.
    pub(crate) fn count(
        &self,
        times: usize,
        mut unit: impl AsyncFnMut() -> Outcome<()>,
    ) -> Outcome<()> {
        self.runtime.block_on(async {
            for _ in 0..WARM_UP {
                unit().await?;
            }
            begin_counting();
            for _ in 0..times {
                apart(unit()).await?;
            }
            end_counting();
            Ok(())
        })
    }

    /// Does `unit` with what `prepare` makes of what the one before has left; only
    /// the units count.
    pub(crate) fn count_prepared<T, R>(
        &self,
        times: usize,
        mut left: R,
        mut prepare: impl AsyncFnMut(R) -> Outcome<T>,
        mut unit: impl AsyncFnMut(T) -> Outcome<R>,
    ) -> Outcome<()> {
        for _ in 0..WARM_UP {
            let prepared = self.runtime.block_on(prepare(left))?;
            left = self.runtime.block_on(unit(prepared))?;
        }
        begin_counting();
        for _ in 0..times {
            let prepared = off_the_record(|| self.runtime.block_on(prepare(left)))?;
            left = self.runtime.block_on(apart(unit(prepared)))?;
        }
        end_counting();
        Ok(())
    }

    /// A client with its connection, up to the features before login.
    async fn connect(&self) -> Outcome<(Client, String)> {
        let (link, end) = wire::connection(&self.flusher);
        let instance = Arc::clone(&self.instance);
        tokio::spawn(async move {
            c2s::serve(instance, Arc::clone(&link), Security::Plain).await;
            link.hang_up();
        });
        let client = Client(end);
        let features = client.open().await?;
        Ok((client, features))
    }

    /// A client that has proved its password, up to the features after that.
    pub(crate) async fn authenticate(&self, name: &str) -> Outcome<Client> {
        let (client, features) = self.connect().await?;
        let offered: Vec<&str> = features
            .split("<mechanism>")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('<')?.0))
            .collect();
        let offer = Offer {
            mechanisms: &offered,
            channel_bindings: None,
        };
        let login = Login {
            user: name,
            authzid: None,
            secret: Secret::Keys(&self.keys),
        };
        let nonce = Nonce::from_text("fyko+d2lbbFgONRv9qkxdawL").ok_or("no nonce")?;
        let none = ChannelBindings::default();
        let mut scram = Scram::new(Mechanism::ScramSha1, &login, &offer, &none, nonce)?;
        let first = encode(&scram.first()?);
        let auth = format!(
            "<auth xmlns='{}' mechanism='SCRAM-SHA-1'>{first}</auth>",
            ns::SASL
        );
        client.say(&auth)?;
        let challenge = client.hear("</challenge>").await?;
        let challenge = decode(between(&challenge, "'>", "</challenge>")?)?;
        let response = encode(&scram.respond(&challenge)?);
        client.say(&format!(
            "<response xmlns='{}'>{response}</response>",
            ns::SASL
        ))?;
        let success = client.hear("</success>").await?;
        scram.finish(&decode(between(&success, "'>", "</success>")?)?)?;
        client.open().await?;
        Ok(client)
    }

    /// A session that has its roster and is available.
    pub(crate) async fn log_in(&self, name: &str, resource: &str) -> Outcome<Client> {
        let client = self.authenticate(name).await?;
        client.say(&format!(
            "<iq type='set' id='bind'><bind xmlns='{}'><resource>{resource}</resource></bind></iq>",
            ns::BIND
        ))?;
        client.hear("</iq>").await?;
        client.say(&format!(
            "<iq type='get' id='roster'><query xmlns='{}'/></iq>",
            ns::ROSTER
        ))?;
        client.hear("id='roster'").await?;
        client.say("<presence/>")?;
        // Answered when all that the presence leads to is done.
        client.say(&format!(
            "<iq type='get' id='ping'><ping xmlns='{}'/></iq>",
            ns::PING
        ))?;
        client.hear("id='ping'").await?;
        Ok(client)
    }
}

/// Makes the accounts with their rosters.
async fn fill(store: &dyn Store, accounts: &[String]) -> Outcome<()> {
    let ScramKeys {
        salt,
        iterations,
        stored_key,
        server_key,
        ..
    } = ScramKeys::derive(HashKind::Sha1, PASSWORD, SALT, ITERATIONS)?;
    let key = ScramKey {
        hash: HashName::Sha1,
        salt,
        iterations,
        stored_key,
        server_key,
    };
    let mut writes = WriteSet::new();
    for user in accounts {
        writes.push(Write::CreateAccount {
            host: "localhost".to_owned(),
            user: user.clone(),
            created: START_MICROS,
            keys: vec![key.clone()],
        });
    }
    if let Some((first, others)) = accounts.split_first() {
        let pairs = others
            .iter()
            .flat_map(|other| [(first, other), (other, first)]);
        for (owner, contact) in pairs {
            writes.push(contact_of(owner, contact));
        }
    }
    store.commit(writes).await?;
    Ok(())
}

fn contact_of(owner: &str, contact: &str) -> Write {
    Write::RosterSet {
        account: format!("{owner}@localhost"),
        item: RosterItem {
            jid: format!("{contact}@localhost"),
            name: Some(format!("{contact} of Verona")),
            groups: vec!["Verona".to_owned()],
            subscription: Subscription::Both,
            ..RosterItem::default()
        },
        base: None,
        max_items: 1000,
    }
}

async fn instance(store: Arc<dyn Store>, config: &str) -> Outcome<Arc<Instance>> {
    let sections: Vec<_> = MODULES
        .iter()
        .flat_map(|module| module.config.iter().copied())
        .collect();
    let config = Config::parse(config, None, &sections);
    let config = config.map_err(|problems| format!("{problems:?}"))?;
    let core = Core::new(Parts {
        config,
        store,
        cluster: Arc::new(Local::alone()),
        remote: Arc::new(Nowhere),
        clock: Clock::virtual_at(START_MICROS),
        modules: MODULES,
    });
    Ok(Instance::new(core.await?, system_random()?))
}

/// The client's side of a stream.
pub(crate) struct Client(End);

impl Client {
    pub(crate) fn say(&self, text: &str) -> Outcome<()> {
        match self.0.send(text.as_bytes()) {
            true => Ok(()),
            false => Err("the server has closed the connection".into()),
        }
    }

    /// Waits until this has come; answers all that has come by then.
    pub(crate) async fn hear(&self, what: &str) -> Outcome<String> {
        let mut heard = Vec::new();
        while self.0.receive(&mut heard).await {
            let text = std::str::from_utf8(&heard)?;
            if text.contains(what) {
                return Ok(text.to_owned());
            }
        }
        let heard = String::from_utf8_lossy(&heard);
        Err(format!("the stream ended without {what}: {heard}").into())
    }

    /// Begins a stream; answers the features.
    async fn open(&self) -> Outcome<String> {
        self.say(HEADER)?;
        self.hear("</stream:features>").await
    }

    /// Ends the stream.
    pub(crate) async fn close(self) -> Outcome<()> {
        self.say("</stream:stream>")?;
        self.0.close();
        let mut rest = Vec::new();
        while self.0.receive(&mut rest).await {}
        Ok(())
    }

    /// Turns stream management on; answers the name of the stream.
    pub(crate) async fn enable(&self) -> Outcome<String> {
        self.say(&format!("<enable xmlns='{}' resume='true'/>", ns::SM))?;
        let enabled = self.hear("<enabled ").await?;
        Ok(between(&enabled, " id='", "'")?.to_owned())
    }

    /// Wants the stream of this name to go on.
    pub(crate) fn resume(&self, name: &str, had: usize) -> Outcome<()> {
        self.say(&format!(
            "<resume xmlns='{}' h='{had}' previd='{name}'/>",
            ns::SM
        ))
    }

    pub(crate) fn acknowledge(&self, handled: usize) -> Outcome<()> {
        self.say(&format!("<a xmlns='{}' h='{handled}'/>", ns::SM))
    }
}

/// What stands between two pieces of a text.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Outcome<&'t str> {
    let found = text
        .split_once(before)
        .and_then(|(_, rest)| rest.split_once(after));
    match found {
        Some((found, _)) => Ok(found),
        None => Err(format!("nothing between {before} and {after}: {text}").into()),
    }
}

/// Lets the server finish what nobody waits for.
pub(crate) async fn settle() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}
