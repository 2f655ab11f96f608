//! What stands before the first step: who speaks, and to what server.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::sasl::Mechanism;

use super::lines::Entry;
use super::parse::{password, quoted};
use super::{Client, Login, Mistake, PASSWORD, Script, Tls};

/// Takes an entry that declares something; answers whether it was one.
pub(super) fn declare(script: &mut Script, entry: &Entry<'_>) -> Result<bool, Mistake> {
    let known = match entry.text {
        "with config:" => {
            script.config.clone_from(&entry.block);
            true
        }
        "everyone ignores presence" => {
            script.ignores_presence = true;
            true
        }
        text => {
            if let Some(host) = text.strip_suffix(" is another server") {
                script.servers.push((host.to_owned(), String::new()));
                true
            } else if let Some(host) = text.strip_suffix(" is another server, with config:") {
                script.servers.push((host.to_owned(), entry.block.clone()));
                true
            } else if let Some(reason) = text.strip_prefix("only balcony:") {
                script.only_balcony = Some(reason.trim().to_owned());
                true
            } else if let Some((server, how)) = exception(text) {
                script.not.push((server.to_owned(), how.to_owned()));
                true
            } else if let Some(account) = text.strip_prefix("There is an account ") {
                add_account(script, entry, account)?;
                true
            } else if let Some((account, keys)) = text.split_once(" has keys for ") {
                limit_keys(script, entry, account, keys)?;
                true
            } else if let Some(pair) = text.strip_suffix(" see each other") {
                let (one, other) = pair
                    .split_once(" and ")
                    .ok_or_else(|| entry.mistake("who and who?"))?;
                subscribe(script, entry, one, other)?;
                subscribe(script, entry, other, one)?;
                true
            } else if let Some((subscriber, contact)) = text.split_once(" sees ") {
                subscribe(script, entry, subscriber, contact)?;
                true
            } else {
                speaker(script, entry)?
            }
        }
    };
    match known && !script.steps.is_empty() {
        false => Ok(known),
        true => Err(entry.mistake("this belongs before the first step")),
    }
}

/// `not prosody: how it fails`
fn exception(text: &str) -> Option<(&str, &str)> {
    let (server, how) = text.strip_prefix("not ")?.split_once(':')?;
    Some((server.trim(), how.trim()))
}

pub(super) fn jid(entry: &Entry<'_>, text: &str) -> Result<Jid, Mistake> {
    Jid::parse(text.trim()).map_err(|error| entry.mistake(format!("{text}: {error}")))
}

fn add_account(script: &mut Script, entry: &Entry<'_>, text: &str) -> Result<(), Mistake> {
    let (account, rest) = text.split_once(" with password ").unwrap_or((text, ""));
    let account = jid(entry, account)?;
    script.accounts.push((account, password(rest)));
    Ok(())
}

/// `SCRAM-SHA-1 alone`
fn limit_keys(
    script: &mut Script,
    entry: &Entry<'_>,
    account: &str,
    keys: &str,
) -> Result<(), Mistake> {
    let mechanism = keys.strip_suffix(" alone").and_then(Mechanism::parse);
    let hash = mechanism.and_then(Mechanism::hash);
    let hash = hash.ok_or_else(|| entry.mistake("keys are for one SCRAM mechanism alone"))?;
    script.keys.push((jid(entry, account)?, hash));
    Ok(())
}

fn subscribe(
    script: &mut Script,
    entry: &Entry<'_>,
    subscriber: &str,
    contact: &str,
) -> Result<(), Mistake> {
    let pair = (jid(entry, subscriber)?, jid(entry, contact)?);
    script.subscriptions.push(pair);
    Ok(())
}

/// `Romeo is …`
fn speaker(script: &mut Script, entry: &Entry<'_>) -> Result<bool, Mistake> {
    let Some((name, rest)) = entry.text.split_once(" is ") else {
        return Ok(false);
    };
    let known = script.clients.iter().any(|client| client.name == name);
    let is_server = script.servers.iter().any(|(host, _)| host == name);
    if known || is_server || name.contains(' ') {
        return Ok(false);
    }
    let mut options = rest.split(',').map(str::trim);
    let what = options.next().unwrap_or_default();
    let login = if what == "a raw stream" {
        Login::Raw
    } else if let Some(domain) = what.strip_prefix("the server of ") {
        Login::Server {
            domain: jid(entry, domain)?.domain().to_owned(),
            proves: String::new(),
        }
    } else if let Some(host) = what.strip_prefix("anonymous at ") {
        Login::Anonymous(jid(entry, host)?)
    } else {
        Login::Account {
            jid: jid(entry, what)?,
            password: PASSWORD.to_owned(),
            mechanism: None,
            sasl2: false,
            upgrade: false,
        }
    };
    let mut client = Client::new(name, login);
    for option in options {
        if choose(&mut client, option).is_none() {
            return Err(entry.mistake(format!("nobody can be ‘{option}’")));
        }
    }
    script.clients.push(client);
    Ok(true)
}

fn choose(client: &mut Client, option: &str) -> Option<()> {
    match option {
        "over direct TLS" => client.tls = Tls::Direct,
        "without TLS" => client.tls = Tls::None,
        "with tokens" => client.tokens = Some(Arc::default()),
        _ if option.starts_with("at ") => {
            client.address = option.strip_prefix("at ")?.parse().ok()?;
        }
        _ if option.starts_with("with a certificate of ") => {
            let Login::Server { proves, .. } = &mut client.login else {
                return None;
            };
            let domains = option.strip_prefix("with a certificate of ")?;
            *proves = domains.replace(" and ", " ");
        }
        _ => return choose_login(&mut client.login, option),
    }
    Some(())
}

fn choose_login(login: &mut Login, option: &str) -> Option<()> {
    let Login::Account {
        password,
        mechanism,
        sasl2,
        upgrade,
        ..
    } = login
    else {
        return None;
    };
    if option == "by SASL2" {
        *sasl2 = true;
    } else if option == "upgrading its keys" {
        *upgrade = true;
    } else if let Some(given) = option.strip_prefix("with password ") {
        *password = quoted(given)?;
    } else {
        *mechanism = Some(Mechanism::parse(option.strip_prefix("by ")?)?);
    }
    Some(())
}
