//! A conversation as a person wrote it.

mod declaration;
mod lines;
mod parse;
mod step;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::sasl::{HashKind, Mechanism};
use balcony_proto::xml::Element;
use balcony_stream::initiating::FastToken;
use parking_lot::Mutex;

/// The password of whoever has no other.
pub const PASSWORD: &str = "secret";

/// A whole conversation.
#[derive(Clone, Debug)]
pub struct Script {
    /// The file.
    pub path: PathBuf,
    /// What the first line names: `RFC 6121 §8.5.2.1.1`.
    pub spec: String,
    /// What is shown, as a sentence.
    pub title: String,
    /// TOML that the server is started with; empty for the defaults.
    pub config: String,
    /// The hosts of other servers that the server reaches, with the TOML of each.
    pub servers: Vec<(String, String)>,
    /// Why no other server can be held to it. `None`: any can.
    pub only_balcony: Option<String>,
    /// Which other servers are known to fail, and how.
    pub not: Vec<(String, String)>,
    /// Presence is dropped unless a step waits for it.
    pub ignores_presence: bool,
    /// Who speaks.
    pub clients: Vec<Client>,
    /// Accounts with their passwords, those of the clients among them.
    pub accounts: Vec<(Jid, String)>,
    /// Accounts that have keys of one hash alone.
    pub keys: Vec<(Jid, HashKind)>,
    /// Who sees whose presence from the beginning: subscriber and contact.
    pub subscriptions: Vec<(Jid, Jid)>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// Who speaks.
#[derive(Clone, Debug)]
pub struct Client {
    /// The name in the script.
    pub name: String,
    /// How it comes in.
    pub login: Login,
    /// TLS comes first (XEP-0368), or is left out.
    pub tls: Tls,
    /// Its address.
    pub address: IpAddr,
    /// It asks for tokens (XEP-0484), and keeps the last one here. `None`: it does not.
    pub tokens: Option<Arc<Mutex<Option<FastToken>>>>,
}

impl Client {
    pub(crate) fn new(name: &str, login: Login) -> Client {
        Client {
            name: name.to_owned(),
            login,
            tls: Tls::StartTls,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tokens: None,
        }
    }

    /// The domain that it wants; that of the tests for a raw stream, which says it itself.
    #[must_use]
    pub fn host(&self) -> &str {
        match &self.login {
            Login::Account { jid, .. } | Login::Anonymous(jid) => jid.domain(),
            Login::Raw | Login::Server { .. } => "localhost",
        }
    }
}

/// How a stream is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// By STARTTLS.
    StartTls,
    /// From the first byte.
    Direct,
    /// Not at all.
    None,
}

/// How a client comes in.
#[derive(Clone, Debug)]
pub enum Login {
    /// With an account.
    Account {
        /// With the resource that it asks for, if any.
        jid: Jid,
        /// In clear.
        password: String,
        /// `None`: the best SCRAM.
        mechanism: Option<Mechanism>,
        /// By SASL2 and Bind 2.
        sasl2: bool,
        /// Makes the keys that the server lacks (XEP-0480).
        upgrade: bool,
    },
    /// By ANONYMOUS at this host.
    Anonymous(Jid),
    /// It writes every byte itself.
    Raw,
    /// The same, and it is a server of another domain.
    Server {
        /// Its domain.
        domain: String,
        /// The domains that its certificate proves, with spaces between them.
        proves: String,
    },
}

/// One step, with the line on which it stands.
#[derive(Clone, Debug)]
pub struct Step {
    /// From 1.
    pub line: usize,
    /// What happens.
    pub act: Act,
}

/// What happens. Clients are numbers in [`Script::clients`].
#[derive(Clone, Debug)]
pub enum Act {
    /// Opens the connection; logs in and binds unless raw.
    Connect(usize),
    /// The same, and the client gets in by its token, or by the password in spite of it.
    ConnectBy(usize, bool),
    /// Logs in and sends initial presence.
    ComeOnline(usize, Option<i8>),
    /// Tries to log in and fails for this reason.
    CannotConnect(usize, String),
    /// The client starts a raw stream to a host and reads the server's header.
    OpenStream(usize, String),
    /// A scripted server is connected to.
    Reached(usize),
    /// Sends this text, with placeholders.
    Send(usize, String),
    /// The next pieces are these, in this order or in any.
    Receive {
        /// Who.
        client: usize,
        /// What, with placeholders.
        expected: Vec<Element>,
        /// The order counts for nothing.
        any_order: bool,
    },
    /// Nothing comes for a while.
    ReceiveNothing(usize),
    /// The features after login contain these elements.
    Offered(usize, Vec<Element>),
    /// TLS after `<proceed/>`, on a raw stream.
    StartTls(usize),
    /// Ends the stream and sees the server end it.
    Disconnect(usize),
    /// The connection is gone without a word.
    CutOff(usize),
    /// The server ends the stream.
    StreamEnds(usize),
    /// The server drops the connection without the end of a stream.
    ConnectionEnds(usize),
    /// Takes nothing from the connection, or takes again.
    StopReading(usize, bool),
    /// Time passes.
    Wait(Duration),
    /// The server of a host reaches no other and is reached by none, or is again.
    CutServerOff(String, bool),
    /// The server of a host itself says this, with placeholders.
    ServerSends(String, String),
    /// The operator does something.
    Admin(Admin),
}

/// What an operator does to an account.
#[derive(Clone, Debug)]
pub enum Admin {
    /// Makes it.
    Create(Jid, String),
    /// Deletes it.
    Delete(Jid),
    /// Lets it log in, or not.
    Enable(Jid, bool),
    /// Changes its password.
    SetPassword(Jid, String),
    /// Stops the server, as far as others are told of it.
    Stop,
    /// Puts another configuration in force: the script's, with this behind it.
    Reload(String),
}

/// A script that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// In words.
    pub what: String,
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> Result<Script, Mistake> {
        let text = std::fs::read_to_string(path).map_err(|error| Mistake {
            line: 1,
            what: error.to_string(),
        })?;
        Script::parse(path, &text)
    }

    /// Understands a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(path: &Path, text: &str) -> Result<Script, Mistake> {
        parse::parse(path, text)
    }

    /// How long the waiting in it takes in real time.
    #[must_use]
    pub fn waits(&self) -> Duration {
        let waits = self.steps.iter().map(|step| match step.act {
            Act::Wait(time) => time,
            _ => Duration::ZERO,
        });
        waits.sum()
    }
}

/// All scripts below a folder, in the order of their names.
///
/// # Errors
/// A folder that cannot be read.
pub fn find(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "txt") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
