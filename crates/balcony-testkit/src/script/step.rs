//! One step, from its words.

use std::time::Duration;

use balcony_proto::xml::Element;

use super::declaration::jid;
use super::lines::Entry;
use super::parse::{client, password, quoted};
use super::{Act, Admin, Mistake, Script};
use crate::compare::mark_open;
use crate::reader::elements;

pub(super) fn act(script: &Script, entry: &Entry<'_>) -> Result<Act, Mistake> {
    if let Some(time) = entry.text.strip_suffix(" pass") {
        return Ok(Act::Wait(duration(entry, time)?));
    }
    if let Some(time) = entry.text.strip_suffix(" passes") {
        return Ok(Act::Wait(duration(entry, time)?));
    }
    if let Some(what) = entry.text.strip_prefix("admin ") {
        return Ok(Act::Admin(admin(entry, what)?));
    }
    for (words, off) in [
        (" is cut off from the others", true),
        (" is reached again", false),
    ] {
        if let Some(host) = entry.text.strip_suffix(words) {
            return Ok(Act::CutServerOff(server(script, entry, host)?, off));
        }
    }
    if let Some(host) = entry.text.strip_suffix(" sends:")
        && script.servers.iter().any(|(known, _)| known == host)
    {
        return Ok(Act::ServerSends(host.to_owned(), well_formed(entry)?));
    }
    let (who, what) = client(script, entry)?;
    let act = match what {
        "connects" => Act::Connect(who),
        "is connected to" => Act::Reached(who),
        "connects by token" => Act::ConnectBy(who, true),
        "connects by password" => Act::ConnectBy(who, false),
        "comes online" => Act::ComeOnline(who, None),
        "sends:" => Act::Send(who, well_formed(entry)?),
        // Without the line ends, so that a byte that matters can begin a line.
        "sends bytes:" => Act::Send(who, block(entry)?.replace('\n', "")),
        "receives:" => receive(entry, who, false)?,
        "receives in any order:" => receive(entry, who, true)?,
        "receives nothing" => Act::ReceiveNothing(who),
        "is offered:" => Act::Offered(who, patterns(entry)?),
        "starts TLS" => Act::StartTls(who),
        "disconnects" => Act::Disconnect(who),
        "is cut off" => Act::CutOff(who),
        "stream ends" => Act::StreamEnds(who),
        "connection ends" => Act::ConnectionEnds(who),
        "stops reading" => Act::StopReading(who, true),
        "reads again" => Act::StopReading(who, false),
        _ => return longer(entry, who, what),
    };
    Ok(act)
}

/// The most repetitions of what is sent, so that a slip does not take all memory.
const REPETITIONS: usize = 100_000;

/// Steps that say something more.
fn longer(entry: &Entry<'_>, who: usize, what: &str) -> Result<Act, Mistake> {
    if let Some(priority) = what.strip_prefix("comes online with priority ") {
        let priority = priority.parse();
        let priority = priority.map_err(|_| entry.mistake("a priority is from -128 to 127"))?;
        return Ok(Act::ComeOnline(who, Some(priority)));
    }
    if let Some(times) = what.strip_prefix("sends ") {
        let times = times
            .strip_suffix(" times:")
            .and_then(|times| times.parse().ok());
        let times = times.filter(|times| (1..=REPETITIONS).contains(times));
        let times = times.ok_or_else(|| entry.mistake(format!("nobody can do this: {what}")))?;
        return Ok(Act::Send(who, well_formed(entry)?.repeat(times)));
    }
    if let Some(why) = what.strip_prefix("cannot connect: ") {
        return Ok(Act::CannotConnect(who, why.to_owned()));
    }
    if let Some(secret) = what.strip_prefix("shakes hands by ") {
        let secret = quoted(secret).ok_or_else(|| entry.mistake("secrets are in quotes"))?;
        return Ok(Act::Handshake(who, secret));
    }
    if let Some(host) = what.strip_prefix("opens a stream to ") {
        return Ok(Act::OpenStream(who, host.to_owned()));
    }
    Err(entry.mistake(format!("nobody can do this: {what}")))
}

fn server(script: &Script, entry: &Entry<'_>, host: &str) -> Result<String, Mistake> {
    let known = script.servers.iter().any(|(known, _)| known == host);
    match known {
        true => Ok(host.to_owned()),
        false => Err(entry.mistake(format!("{host} is no other server"))),
    }
}

fn block(entry: &Entry<'_>) -> Result<String, Mistake> {
    match entry.block.is_empty() {
        false => Ok(entry.block.clone()),
        true => Err(entry.mistake("what? It stands indented below")),
    }
}

fn well_formed(entry: &Entry<'_>) -> Result<String, Mistake> {
    let text = block(entry)?;
    elements(&text).map_err(|what| entry.mistake(what))?;
    Ok(text)
}

fn patterns(entry: &Entry<'_>) -> Result<Vec<Element>, Mistake> {
    let text = mark_open(&block(entry)?);
    elements(&text).map_err(|what| entry.mistake(what))
}

fn receive(entry: &Entry<'_>, client: usize, any_order: bool) -> Result<Act, Mistake> {
    Ok(Act::Receive {
        client,
        expected: patterns(entry)?,
        any_order,
    })
}

fn duration(entry: &Entry<'_>, text: &str) -> Result<Duration, Mistake> {
    let (count, unit) = text.split_once(' ').unwrap_or((text, ""));
    let count: u64 = count
        .parse()
        .map_err(|_| entry.mistake(format!("how long is {count}?")))?;
    let seconds = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return Err(entry.mistake(format!("how long is {unit}?"))),
    };
    Ok(Duration::from_secs(count * seconds))
}

fn admin(entry: &Entry<'_>, what: &str) -> Result<Admin, Mistake> {
    if what == "reloads with:" {
        return Ok(Admin::Reload(block(entry)?));
    }
    if what == "stops the server" {
        return Ok(Admin::Stop);
    }
    let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
    match verb {
        "creates" => {
            let (account, given) = rest.split_once(" with password ").unwrap_or((rest, ""));
            Ok(Admin::Create(jid(entry, account)?, password(given)))
        }
        "deletes" => Ok(Admin::Delete(jid(entry, rest)?)),
        "disables" => Ok(Admin::Enable(jid(entry, rest)?, false)),
        "enables" => Ok(Admin::Enable(jid(entry, rest)?, true)),
        "changes" => {
            let change = rest.strip_prefix("the password of ");
            let change = change.and_then(|change| change.split_once(" to "));
            let (account, given) = change.ok_or_else(|| entry.mistake("changes what?"))?;
            let given = quoted(given).ok_or_else(|| entry.mistake("passwords are in quotes"))?;
            Ok(Admin::SetPassword(jid(entry, account)?, given))
        }
        _ => Err(entry.mistake(format!("no admin {verb} anything"))),
    }
}
