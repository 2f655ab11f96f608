//! The clients of an account: those that the store knows, and those that are here.

use std::cmp::Reverse;
use std::sync::Arc;

use balcony_core::module::{Core, Session, SessionClient, stanza_error};
use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::stanza::StanzaError;
use balcony_proto::xep::date_time;
use balcony_proto::xml::Element;
use balcony_store::ClientTokens;

use super::reference::{Key, reference};

/// An installation of a client that said who it is, else a session.
#[derive(Debug)]
pub(super) struct Client {
    /// What it is called to its account.
    pub(super) id: String,
    /// What it calls itself, for itself alone. `None`: nothing, and it is one session.
    pub(super) installation: Option<String>,
    /// The same where the store knows it, too.
    pub(super) stored: Option<String>,
    software: Option<String>,
    device: Option<String>,
    /// In microseconds since the Unix epoch, as the next.
    first_seen: i64,
    last_seen: i64,
    /// It has shown the password that the account has.
    pub(super) password: bool,
    /// It has a token that is still good.
    fast: bool,
    /// The ids of its sessions, of those too that wait for their client (§3.1).
    pub(super) sessions: Vec<u64>,
}

/// Who has access to an account, whoever was there last first.
///
/// # Errors
/// What the client is told when the store does not answer.
pub(super) async fn clients(core: &Core, account: &Jid) -> Result<Vec<Client>, StanzaError> {
    let key = Key::get(core).await?;
    let stored = core.store().tokens().list(account.as_str()).await;
    let stored = stored.map_err(|cause| stanza_error(&cause))?;
    let stored = stored.into_iter();
    let mut clients: Vec<_> = stored
        .map(|tokens| Client::stored(core, key, account, tokens))
        .collect();
    for session in core.sessions().of(account.bare_str()) {
        if session.has_ended() {
            continue;
        }
        let login = session.client();
        let login = login.as_deref().cloned().unwrap_or_default();
        let known = clients
            .iter_mut()
            .find(|client| client.installation.is_some() && client.installation == login.id);
        match known {
            Some(known) => known.has(core, &session, login),
            None => {
                let mut client = Client::of_session(key, &session, &login);
                client.has(core, &session, login);
                clients.push(client);
            }
        }
    }
    // A client whose tokens have expired, and that knows no password, has no access.
    clients.retain(|client| client.password || client.fast || !client.sessions.is_empty());
    clients.sort_by_key(|client| Reverse(client.last_seen));
    Ok(clients)
}

impl Client {
    fn stored(core: &Core, key: &[u8], account: &Jid, tokens: ClientTokens) -> Client {
        let good = |token: &_| !core.token_expired(token);
        let fast = tokens.current.iter().chain(&tokens.new).any(good);
        let names = tokens.client;
        Client {
            id: of_installation(key, account, &names.id),
            stored: Some(names.id.clone()),
            installation: Some(names.id),
            software: names.software,
            device: names.device,
            first_seen: tokens.created,
            last_seen: tokens.used,
            password: tokens.password.is_some(),
            fast,
            sessions: Vec::new(),
        }
    }

    fn of_session(key: &[u8], session: &Session, login: &SessionClient) -> Client {
        let account = session.account();
        let since = login.since.to_string();
        Client {
            id: match &login.id {
                Some(id) => of_installation(key, account, id),
                None => reference(key, &["session", session.jid().as_str(), &since]),
            },
            installation: login.id.clone(),
            stored: None,
            software: None,
            device: None,
            first_seen: login.since,
            last_seen: login.since,
            password: false,
            fast: false,
            sessions: Vec::new(),
        }
    }

    /// One of its sessions is here.
    fn has(&mut self, core: &Core, session: &Arc<Session>, login: SessionClient) {
        self.software = login.software.or(self.software.take());
        self.device = login.device.or(self.device.take());
        self.first_seen = self.first_seen.min(login.since);
        self.last_seen = self.last_seen.max(last_active(core, session));
        self.password |= login.password;
        self.sessions.push(session.id());
    }

    /// §3.1. Its type: whoever has a token or knows the password has had a session, as there is no
    /// other way to use them. Its permission: an account here has no rights that some of its
    /// clients lack.
    pub(super) fn to_element(&self) -> Element {
        let time = |name, micros| named(name).with_text(&date_time::format_utc(micros));
        let auth = [("password", self.password), ("fast", self.fast)];
        let auth = auth.into_iter().filter(|(_, used)| *used);
        let texts = [("software", &self.software), ("device", &self.device)];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| Some(named(name).with_text(text.as_ref()?)));
        let connected = !self.sessions.is_empty();
        named("client")
            .with_attr("id", self.id.clone())
            .with_attr("type", "session")
            .with_attr("connected", connected.to_string())
            .with_child(time("first-seen", self.first_seen))
            .with_child(time("last-seen", self.last_seen))
            .with_child(named("auth").with_children(auth.map(|(name, _)| named(name))))
            .with_child(named("permission").with_attr("status", "unrestricted"))
            .with_child(named("user-agent").with_children(texts))
    }
}

fn of_installation(key: &[u8], account: &Jid, id: &str) -> String {
    reference(key, &["installation", account.as_str(), id])
}

/// When the client of a session last sent something, in microseconds since the Unix epoch.
fn last_active(core: &Core, session: &Session) -> i64 {
    let clock = core.clock();
    let silent = clock.coarse_seconds().saturating_sub(session.last_active());
    clock.utc_micros() - i64::from(silent) * 1_000_000
}

fn named(name: &'static str) -> Element {
    Element::new(ns::CLIENT_ACCESS, name)
}
