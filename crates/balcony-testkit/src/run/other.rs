//! Somebody else's server: accounts are made and removed as its users would, by XEP-0077.

use std::net::SocketAddr;

use balcony_proto::jid::Jid;
use balcony_proto::ns;
use balcony_proto::xml::Element;

use super::REAL;
use super::speaker::Speaker;
use super::tcp::TcpWire;
use super::wire::Wire;
use crate::reader::Piece;
use crate::script::{Admin, Client, Login, Tls};

/// A server that is not ours.
pub struct Other {
    /// Where STARTTLS is spoken.
    pub plain: SocketAddr,
    /// Where TLS comes first, if it is known.
    pub direct: Option<SocketAddr>,
}

impl Other {
    pub(super) async fn connect(&self, client: &Client) -> Result<Wire, String> {
        let address = match client.tls {
            Tls::Direct => self.direct.ok_or("nobody said where TLS comes first")?,
            Tls::StartTls | Tls::None => self.plain,
        };
        let mut wire = TcpWire::connect(address, client.address, client.host()).await?;
        // Some know only bindings that TLS 1.3 does not have, and do not say so.
        wire.binds = false;
        Ok(Wire::Tcp(Box::new(wire)))
    }

    /// Makes an account anew: one of an earlier run goes first.
    pub(super) async fn add_account(&self, account: &Jid, password: &str) -> Result<(), String> {
        if self.register(account, password).await?.is_none() {
            return Ok(());
        }
        self.remove_account(account, password).await?;
        match self.register(account, password).await? {
            None => Ok(()),
            Some(refusal) => Err(format!("{account} cannot be registered: {refusal}")),
        }
    }

    /// Answers why the server did not want to.
    async fn register(&self, account: &Jid, password: &str) -> Result<Option<String>, String> {
        let client = Client::new("the registrar", Login::Raw);
        let mut speaker = Speaker::default();
        speaker.connect(self.connect(&client).await?, false).await?;
        let features = open(&mut speaker, account.domain()).await?;
        if features.child(ns::TLS, "starttls").is_some() {
            let starttls = format!("<starttls xmlns='{}'/>", ns::TLS);
            speaker.send(starttls.as_bytes()).await?;
            element(&mut speaker).await?;
            speaker.start_tls().await?;
            open(&mut speaker, account.domain()).await?;
        }
        let user = account.local().unwrap_or_default();
        let fields = format!("<username>{user}</username><password>{password}</password>");
        request(&mut speaker, &fields).await
    }

    /// Removes an account, by its own wish.
    pub(super) async fn remove_account(&self, account: &Jid, password: &str) -> Result<(), String> {
        let login = Login::Account {
            jid: account.clone(),
            password: password.to_owned(),
            mechanism: None,
            sasl2: false,
            upgrade: false,
        };
        let client = Client::new("the owner", login);
        let wire = self.connect(&client).await?;
        let mut speaker = Speaker::default();
        let entered = speaker.log_in(&client, wire).await;
        entered.map_err(|refusal| refusal.words)?;
        // Some end the stream before they answer.
        let _ = request(&mut speaker, "<remove/>").await;
        Ok(())
    }

    pub(super) async fn admin(&self, act: &Admin) -> Result<(), String> {
        match act {
            Admin::Create(account, password) => self.add_account(account, password).await,
            _ => Err("this is not for us to do on another's server".to_owned()),
        }
    }
}

async fn request(speaker: &mut Speaker, fields: &str) -> Result<Option<String>, String> {
    let query = format!(
        "<iq type='set' id='account'><query xmlns='{}'>{fields}</query></iq>",
        ns::REGISTER
    );
    speaker.send(query.as_bytes()).await?;
    let answer = element(speaker).await?;
    match answer.attr("type") {
        Some("result") => Ok(None),
        _ => Ok(Some(crate::compare::pretty(&answer))),
    }
}

/// Opens a stream; answers its features.
async fn open(speaker: &mut Speaker, host: &str) -> Result<Element, String> {
    let header = format!(
        "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' xmlns='{}' \
         xmlns:stream='{}'>",
        ns::CLIENT,
        ns::STREAMS
    );
    speaker.send(header.as_bytes()).await?;
    speaker.next(REAL.expected).await?;
    element(speaker).await
}

async fn element(speaker: &mut Speaker) -> Result<Element, String> {
    match speaker.next(REAL.expected).await? {
        Some(Some(Piece::Element(element))) => Ok(element),
        other => Err(format!("the server does not register accounts: {other:?}")),
    }
}
