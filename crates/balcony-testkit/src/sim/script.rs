//! A run: what comes before the race, the race, and what comes after it.

use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_store::{Store, Write, WriteSet};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::client::{Client, Errand};
use super::facts::Facts;
use super::fault::Fault;
use super::line::PASSWORD;
use super::plan::{Act, Asks, Before, Message, Plan, Timed, Way};
use super::world::{HELD, World};
use crate::keys;

/// Everything that was caused has happened when the least of virtual time has passed.
const MOMENT: Duration = Duration::from_millis(1);
/// Longer than a connection may take to close.
const QUIET: Duration = Duration::from_secs(8);
/// The id that the client gives itself.
const CLIENT_ID: &str = "00000000-0000-4000-8000-000000000001";

struct Run<'a> {
    plan: &'a Plan,
    world: World,
    client: Arc<Mutex<Client>>,
    contact: Arc<Mutex<Client>>,
    stranger: Arc<Mutex<Client>>,
    next_message: u32,
    asked: u32,
    facts: Facts,
}

/// Plays it; answers what was seen, and all that was said.
pub(super) async fn play(
    plan: &Plan,
    fault: Option<Fault>,
) -> Result<(Facts, Vec<String>), String> {
    let mut run = Run {
        plan,
        world: World::start(plan.seed, fault).await?,
        client: client("romeo@localhost", "orchard")?,
        contact: client("juliet@localhost", "balcony")?,
        stranger: client("tybalt@localhost", "street")?,
        next_message: 1,
        asked: 0,
        facts: Facts::default(),
    };
    run.accounts().await?;
    run.enter().await;
    let began = run.first_connection().await;
    run.race(began).await?;
    run.settle().await;
    run.leave().await;
    Ok(run.finish().await)
}

fn client(jid: &str, resource: &str) -> Result<Arc<Mutex<Client>>, String> {
    let jid = Jid::parse(jid).map_err(|error| error.to_string())?;
    Ok(Arc::new(Mutex::new(Client::new(jid, resource))))
}

impl Run<'_> {
    async fn accounts(&self) -> Result<(), String> {
        for user in ["romeo", "juliet", "tybalt"] {
            let create = Write::CreateAccount {
                host: "localhost".to_owned(),
                user: user.to_owned(),
                created: 0,
                keys: keys::of_account(PASSWORD)?,
            };
            let created = self.world.store.commit(WriteSet::from(create)).await;
            created.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn id(&self) -> Option<&'static str> {
        self.plan.same_client.then_some(CLIENT_ID)
    }

    /// The contact and the client come, and the contact sees the client's presence.
    async fn enter(&mut self) {
        let (client, contact) = (Arc::clone(&self.client), Arc::clone(&self.contact));
        // By SASL2, which keeps the keys for all other logins of this process.
        self.world
            .connect(&contact, Way::Inline, None, Errand::Bind, None);
        sleep(MOMENT).await;
        self.world
            .connect(&client, self.plan.login, self.id(), Errand::Bind, None);
        sleep(MOMENT).await;
        let ask = "<presence type='subscribe' to='romeo@localhost'/>";
        contact.lock().say(ask.to_owned(), None);
        sleep(MOMENT).await;
        let grant = "<presence type='subscribed' to='juliet@localhost'/>";
        client.lock().say(grant.to_owned(), None);
        sleep(MOMENT).await;
        self.world.look();
    }

    /// What was said before, and what becomes of the first connection. Answers when the race
    /// begins.
    async fn first_connection(&mut self) -> Duration {
        let (heard, said, got) = self.plan.warm;
        for _ in 0..heard.min(got) {
            self.hear(Message::Bare);
        }
        sleep(MOMENT).await;
        self.client.lock().acknowledge(0);
        sleep(MOMENT).await;
        for _ in got..heard {
            self.hear(Message::Full);
        }
        for _ in 0..said {
            self.say(Message::Bare);
        }
        sleep(MOMENT).await;
        let began = self.world.now();
        {
            let mut client = self.client.lock();
            match self.plan.before {
                Before::Alive => {}
                Before::Cut => client.cut(0),
                Before::HalfClosed => client.half_close(0),
                Before::Dead => client.die(0),
                Before::Mute => client.mute(0),
            }
        }
        match self.plan.at_expiry {
            Some(early) => began + HELD - Duration::from_millis(early),
            None => began + MOMENT,
        }
    }

    async fn race(&mut self, began: Duration) -> Result<(), String> {
        self.world.until(began).await;
        for Timed { at, turns, act } in &self.plan.acts {
            self.world.until(began + Duration::from_millis(*at)).await;
            for _ in 0..*turns {
                tokio::task::yield_now().await;
            }
            self.log(format!("-- {act:?}"));
            self.act(*act).await?;
            self.world.look();
        }
        self.log("-- quiet".to_owned());
        self.world.heal();
        sleep(QUIET).await;
        self.quiet();
        Ok(())
    }

    async fn act(&mut self, act: Act) -> Result<(), String> {
        match act {
            Act::Resume(way, asks) => self.resume(way, asks),
            Act::Replace => {
                let client = Arc::clone(&self.client);
                self.world
                    .connect(&client, Way::Plain, None, Errand::Bind, None);
            }
            Act::Cut => {
                let mut client = self.client.lock();
                // What is written before stanzas are counted may be lost with the connection: it is
                // in the archive alone then, as docs/guarantees.md says.
                if let Some(last) = client.current.filter(|last| client.counts(*last)) {
                    client.cut(last);
                }
            }
            Act::Close => self.on_the_latest("</stream:stream>"),
            Act::Garbage => self.on_the_latest("<message to='@'><body>&what;</body></message>"),
            Act::Hear(message) => self.hear(message),
            Act::Say(message) => self.say(message),
            Act::Ask => {
                self.asked += 1;
                let id = self.asked;
                let query = "<query xmlns='jabber:iq:roster'/>";
                let ask = format!("<iq type='get' id='q{id}'>{query}</iq>");
                self.client.lock().say(ask, None);
            }
            Act::Hold => self.world.store.hold_commits(),
            Act::ReleaseOne => {
                self.world.store.release_one();
            }
            Act::Release => self.world.store.release_commits(),
            Act::Fail => {
                self.facts.disk_failed = true;
                self.client.lock().careful = true;
                self.world.fail();
            }
            Act::Heal => self.world.heal(),
            Act::Kick => self.world.kick(&self.client.lock()),
            Act::Restart => {
                let all = [&self.client, &self.stranger].map(Arc::clone);
                all.iter().for_each(|who| who.lock().stopping = true);
                self.world.restart().await?;
                sleep(MOMENT).await;
                all.iter().for_each(|who| who.lock().stopping = false);
                self.back(&Arc::clone(&self.contact), Way::Plain).await;
            }
        }
        Ok(())
    }

    fn on_the_latest(&self, bytes: &str) {
        let mut client = self.client.lock();
        if let Some(last) = client.current {
            client.leave(last, bytes);
        }
    }

    fn resume(&mut self, way: Way, asks: Asks) {
        let Some(wish) = self.client.lock().wish(0, asks) else {
            return;
        };
        let (who, id) = match asks {
            Asks::Stranger => (Arc::clone(&self.stranger), None),
            _ => (Arc::clone(&self.client), self.id()),
        };
        self.world.connect(&who, way, id, Errand::Ask, Some(wish));
    }

    /// The contact says something to the client.
    fn hear(&mut self, message: Message) {
        let to = match message {
            Message::Bare => "romeo@localhost".to_owned(),
            _ => self.client.lock().jid_of(0),
        };
        self.message(&Arc::clone(&self.contact), &to, message);
    }

    fn say(&mut self, message: Message) {
        let to = match message {
            Message::Bare => "juliet@localhost".to_owned(),
            _ => self.contact.lock().jid_of(0),
        };
        self.message(&Arc::clone(&self.client), &to, message);
    }

    fn message(&mut self, from: &Mutex<Client>, to: &str, message: Message) {
        let number = self.next_message;
        self.next_message += 1;
        let (kind, lasting) = match message {
            Message::Headline => ("headline", false),
            _ => ("chat", true),
        };
        let bytes = format!(
            "<message to='{to}' type='{kind}' id='m{number}'><body>{number}</body></message>"
        );
        from.lock().say(bytes, Some((number, lasting)));
    }

    fn log(&mut self, what: String) {
        self.client.lock().log.push(what);
    }

    /// Who has the stream, when nothing is under way.
    fn quiet(&mut self) {
        let client = self.client.lock();
        for stream in 0..client.streams.len() {
            let holders = client.holders(stream);
            self.facts.holders.push(holders);
        }
    }

    /// Whoever has no connection gets one: by its stream, or by another.
    async fn back(&mut self, who: &Arc<Mutex<Client>>, way: Way) {
        let (wish, id) = {
            let client = who.lock();
            let live = client.current.is_some_and(|line| client.is_live(line));
            if live {
                return;
            }
            let last = client.streams.len().saturating_sub(1);
            (client.wish(last, Asks::Truly), self.id())
        };
        let errand = match wish {
            Some(_) => Errand::AskOrBind,
            None => Errand::Bind,
        };
        let id = id.filter(|_| Arc::ptr_eq(who, &self.client));
        self.world.connect(who, way, id, errand, wish);
        sleep(QUIET).await;
    }

    /// Everybody is there again, and says and gets what is left.
    async fn settle(&mut self) {
        let (client, contact) = (Arc::clone(&self.client), Arc::clone(&self.contact));
        self.back(&contact, Way::Plain).await;
        let way = self.plan.login;
        self.back(&client, way).await;
        if client.lock().streams.len() > 1 {
            // What a session has that its client never heard of waits until its time is over.
            sleep(HELD).await;
        }
        for message in [Message::Bare, Message::Headline] {
            self.hear(message);
            self.say(message);
        }
        // Whether it is there or not: it is none of the stranger's concern.
        self.resume(Way::Plain, Asks::Stranger);
        sleep(QUIET).await;
        for who in [&client, &contact] {
            who.lock().ask();
        }
        sleep(QUIET).await;
        self.quiet();
        // Now, before what has no answer yet is cut with all the rest.
        for who in [&client, &self.stranger] {
            self.facts
                .attempts
                .extend(who.lock().attempts.iter().cloned());
        }
        let went_on = client.lock().went_on();
        self.facts.went_on = went_on;
        self.facts.may_end = self.plan.may_end_the_stream();
        let in_full = contact.lock().went_on();
        if !in_full {
            let what = "the contact's stream ended, and nobody ended it".to_owned();
            contact.lock().fault(what);
        }
    }

    async fn leave(&mut self) {
        self.world.look();
        let (client, contact) = (Arc::clone(&self.client), Arc::clone(&self.contact));
        self.log("-- the client leaves".to_owned());
        if !self.plan.leaves_by_cut {
            self.on_the_latest("</stream:stream>");
            sleep(QUIET).await;
        }
        for who in [&client, &Arc::clone(&self.stranger)] {
            let lines = who.lock().lines.len();
            (0..lines).for_each(|line| who.lock().cut(line));
        }
        sleep(HELD + QUIET).await;
        let last = contact.lock().current;
        if let Some(last) = last {
            contact.lock().leave(last, "</stream:stream>");
        }
        sleep(QUIET).await;
        let lines = contact.lock().lines.len();
        (0..lines).for_each(|line| contact.lock().cut(line));
        sleep(HELD + QUIET).await;
    }

    async fn finish(mut self) -> (Facts, Vec<String>) {
        let mut facts = std::mem::take(&mut self.facts);
        facts.left = self.world.left().await;
        let mut client = self.client.lock();
        let mut contact = self.contact.lock();
        let stranger = self.stranger.lock();
        client.finish();
        contact.finish();
        facts.presences.clone_from(&contact.presences);
        facts.leaked.clone_from(&stranger.uncounted);
        let came = stranger.side.came.iter().map(|came| came.bytes.clone());
        facts
            .leaked
            .extend(came.filter(|bytes| !bytes.contains("from='tybalt@localhost")));
        facts.client = std::mem::take(&mut client.side);
        facts.contact = std::mem::take(&mut contact.side);
        let mut journal = std::mem::take(&mut client.log);
        for other in [&contact.log, &stranger.log] {
            journal.extend(other.iter().cloned());
        }
        (facts, journal)
    }
}
