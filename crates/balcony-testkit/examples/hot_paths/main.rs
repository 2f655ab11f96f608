//! The hot paths of a server for callgrind: one of them, many times, in one process without
//! sockets. `cargo xtask bench --instructions` runs them all and compares.
//!
//! `cargo run -p balcony-testkit --example hot_paths -- PATH TIMES FOLDER`, where PATH is one of
//! [`PATHS`] and FOLDER is empty, for the stores of those that keep something.
//!
//! What is between [`begin_counting`] and [`end_counting`] counts, on all threads, except for what
//! clients do, which is [`world::off_the_record`]. Time stands still, so that no timer runs.

mod wire;
mod world;

use std::hint::black_box;
use std::path::PathBuf;

use balcony_proto::limits::Limits;
use balcony_proto::ns;
use balcony_proto::xml::{Item, Scanner};

use world::{Client, HEADER, Outcome, World, begin_counting, end_counting, settle};

/// A path by its name, and what does it so many times.
type PathByName = (&'static str, fn(&Run) -> Outcome<()>);

/// All of them.
const PATHS: [PathByName; 8] = [
    ("scan", scan),
    ("message", message),
    ("message-archived", message_archived),
    ("presence", presence),
    ("room", room),
    ("login", login),
    ("resume", resume),
    ("mam", mam),
];

/// Contacts of whoever has some; a quarter of them is online where not all are.
const CONTACTS: usize = 20;
/// Occupants of the room.
const OCCUPANTS: usize = 100;
/// Messages in the archive that is read, and on a page of it.
const ARCHIVED: usize = 200;
const PAGE: usize = 20;

/// What is said: a hundred bytes.
const WORDS: &str = "But soft, what light through yonder window breaks? It is the east, \
                     and Juliet is the sun. Arise now!";

const PRESENCE: &str = "<presence><show>away</show><status>In the orchard</status>\
                        <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
                        node='https://example.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>\
                        </presence>";

const ROOM: &str = "verona@conference.localhost";

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "hot_paths PATH TIMES FOLDER";
    let name = arguments.next().ok_or(usage)?;
    let run = Run {
        times: arguments.next().ok_or(usage)?.parse()?,
        folder: arguments.next().ok_or(usage)?.into(),
    };
    let path = PATHS.iter().find(|(known, _)| *known == name);
    let (_, path) = path.ok_or("there is no such path")?;
    path(&run)
}

/// What the arguments say.
struct Run {
    times: usize,
    folder: PathBuf,
}

/// The accounts of a path; the first has all others as contacts.
fn accounts(count: usize) -> Vec<String> {
    let known = ["romeo", "juliet"].map(str::to_owned);
    let others = (known.len()..count).map(|number| format!("guest{number}"));
    known.into_iter().chain(others).take(count).collect()
}

fn chat(more: &str) -> String {
    format!(
        "<message to='juliet@localhost/balcony' type='chat' id='6c3d1f0e-51c1-4d2a'>\
         <body>{WORDS}</body></message>{more}"
    )
}

/// The scanner alone: a message, a presence and a request.
fn scan(run: &Run) -> Outcome<()> {
    let mut scanner = Scanner::new(ns::CLIENT, Limits::AFTER_LOGIN);
    if scanner.next(&mut HEADER.as_bytes())?.is_none() {
        return Err("no stream".into());
    }
    let ping = "<iq type='get' id='ping-1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    let samples = [&chat(""), PRESENCE, ping];
    begin_counting();
    for _ in 0..run.times {
        for sample in samples {
            let mut bytes = black_box(sample.as_bytes());
            match black_box(scanner.next(&mut bytes)?) {
                Some(Item::Stanza(_)) => {}
                _ => return Err("not a stanza".into()),
            }
        }
    }
    end_counting();
    Ok(())
}

/// From one session to another.
fn message(run: &Run) -> Outcome<()> {
    let world = World::new(None, &accounts(2), "[archive]\ndefault = \"never\"\n")?;
    let (romeo, juliet) = world.set(async {
        let romeo = world.log_in("romeo", "orchard").await?;
        Ok((romeo, world.log_in("juliet", "balcony").await?))
    })?;
    let chat = chat("");
    world.count(run.times, async || {
        romeo.say(&chat)?;
        juliet.hear("</message>").await?;
        Ok(())
    })
}

/// The same with both archives on the disk, and streams whose stanzas are acknowledged.
fn message_archived(run: &Run) -> Outcome<()> {
    let world = World::new(Some(&run.folder), &accounts(2), "")?;
    let (romeo, juliet) = world.set(async {
        let romeo = world.log_in("romeo", "orchard").await?;
        let juliet = world.log_in("juliet", "balcony").await?;
        romeo.enable().await?;
        juliet.enable().await?;
        Ok((romeo, juliet))
    })?;
    let chat = chat(&format!("<r xmlns='{}'/>", ns::SM));
    let mut sent = 0;
    world.count(run.times, async || {
        sent += 1;
        romeo.say(&chat)?;
        let heard = juliet.hear("</message>").await?;
        if heard.contains("<r ") {
            juliet.acknowledge(sent)?;
        }
        romeo.hear(&format!(" h='{sent}'")).await?;
        Ok(())
    })
}

/// Another status for contacts who are all online.
fn presence(run: &Run) -> Outcome<()> {
    let accounts = accounts(1 + CONTACTS);
    let world = World::new(None, &accounts, "")?;
    let (romeo, contacts) = world.set(async {
        let romeo = world.log_in("romeo", "orchard").await?;
        let mut contacts = Vec::new();
        for name in accounts.iter().skip(1) {
            contacts.push(world.log_in(name, "house").await?);
        }
        Ok((romeo, contacts))
    })?;
    world.count(run.times, async || {
        romeo.say(PRESENCE)?;
        for contact in &contacts {
            contact.hear("In the orchard").await?;
        }
        romeo.hear("In the orchard").await?;
        Ok(())
    })
}

/// A message to all occupants of a room.
fn room(run: &Run) -> Outcome<()> {
    let accounts = accounts(OCCUPANTS);
    let world = World::new(None, &accounts, "")?;
    let unlock = format!(
        "<iq type='set' id='unlock' to='{ROOM}'><query xmlns='{}'>\
         <x xmlns='{}' type='submit'/></query></iq>",
        ns::MUC_OWNER,
        ns::DATA_FORMS
    );
    let occupants = world.set(async {
        let mut occupants = Vec::new();
        for name in &accounts {
            let client = world.log_in(name, "house").await?;
            client.say(&format!(
                "<presence to='{ROOM}/{name}'><x xmlns='{}'/></presence>",
                ns::MUC
            ))?;
            client.hear("<subject/>").await?;
            if occupants.is_empty() {
                // Nobody else comes in before (XEP-0045 §10.1.2).
                client.say(&unlock)?;
                client.hear("id='unlock'").await?;
            }
            occupants.push(client);
        }
        Ok(occupants)
    })?;
    let speaker = occupants.first().ok_or("nobody is in the room")?;
    let message = format!(
        "<message to='{ROOM}' type='groupchat' id='6c3d1f0e-51c1-4d2a'>\
         <body>{WORDS}</body></message>"
    );
    world.count(run.times, async || {
        speaker.say(&message)?;
        for occupant in &occupants {
            occupant.hear("</message>").await?;
        }
        Ok(())
    })
}

/// From the connection to the session with its roster, a quarter of whose contacts is online.
fn login(run: &Run) -> Outcome<()> {
    let accounts = accounts(1 + CONTACTS);
    let world = World::new(None, &accounts, "")?;
    let (contacts, romeo) = world.set(async {
        let mut contacts = Vec::new();
        for name in accounts.iter().skip(1).step_by(4) {
            contacts.push(world.log_in(name, "house").await?);
        }
        Ok((contacts, world.log_in("romeo", "orchard").await?))
    })?;
    let log_out = async |romeo: Client| {
        romeo.close().await?;
        for contact in &contacts {
            contact.hear("type='unavailable'").await?;
        }
        settle().await;
        Ok(())
    };
    world.count_prepared(run.times, romeo, log_out, async |()| {
        let romeo = world.log_in("romeo", "orchard").await?;
        for contact in &contacts {
            contact.hear("romeo@localhost/orchard").await?;
        }
        Ok(romeo)
    })
}

/// A stream goes on over another connection whose client is logged in; one message comes again.
fn resume(run: &Run) -> Outcome<()> {
    let world = World::new(None, &accounts(2), "[archive]\ndefault = \"never\"\n")?;
    let (romeo, juliet, previd) = world.set(async {
        let romeo = world.log_in("romeo", "orchard").await?;
        let juliet = world.log_in("juliet", "balcony").await?;
        let previd = juliet.enable().await?;
        Ok((romeo, juliet, previd))
    })?;
    let chat = chat("");
    let reconnect = async |(juliet, had): (Client, usize)| {
        juliet.acknowledge(had)?;
        romeo.say(&chat)?;
        juliet.hear("</message>").await?;
        drop(juliet);
        settle().await;
        Ok((world.authenticate("juliet").await?, had))
    };
    world.count_prepared(run.times, (juliet, 0), reconnect, async |(juliet, had)| {
        juliet.resume(&previd, had)?;
        juliet.hear("</message>").await?;
        Ok((juliet, had + 1))
    })
}

/// The newest page of an archive on the disk.
fn mam(run: &Run) -> Outcome<()> {
    let world = World::new(Some(&run.folder), &accounts(2), "")?;
    let romeo = world.set(async {
        let romeo = world.log_in("romeo", "orchard").await?;
        let juliet = world.log_in("juliet", "balcony").await?;
        for _ in 0..ARCHIVED {
            romeo.say(&chat(""))?;
            juliet.hear("</message>").await?;
        }
        Ok(romeo)
    })?;
    let query = format!(
        "<iq type='set' id='page'><query xmlns='{}'><set xmlns='{}'><max>{PAGE}</max><before/>\
         </set></query></iq>",
        ns::MAM,
        ns::RSM
    );
    world.count(run.times, async || {
        romeo.say(&query)?;
        let page = romeo.hear("</iq>").await?;
        match page.matches("<forwarded ").count() {
            PAGE => Ok(()),
            other => Err(format!("a page of {other} messages").into()),
        }
    })
}
