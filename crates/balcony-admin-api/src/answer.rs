//! What the server answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line from the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// It is done, and durable where it had to be.
    Done,
    /// Which server answers.
    Version(Versions),
    /// A page of accounts.
    Accounts {
        /// In the order of their JIDs.
        accounts: Vec<Account>,
        /// Whether there are more after the last one.
        more: bool,
    },
    /// The sessions of an account.
    Sessions {
        /// In the order of their full JIDs.
        sessions: Vec<Session>,
    },
    /// What a reload did.
    Reloaded {
        /// Keys whose new values are in force now, as `section.key`.
        changed: Vec<String>,
        /// Keys that differ and take effect only with a restart.
        needs_restart: Vec<String>,
        /// Everything that is wrong with the file, a line each. Not empty: nothing was changed.
        problems: Vec<String>,
    },
    /// Numbers about the running server.
    Stats(Stats),
    /// An invitation that was made.
    Invite(Invite),
    /// What goes to and comes from other servers.
    Federation {
        /// Streams that are open, in the order in which they were opened.
        streams: Vec<ServerStream>,
        /// Domains that something waits for, or that could not be reached, in their order.
        queues: Vec<RemoteQueue>,
    },
    /// Streams were closed.
    Kicked {
        /// How many.
        streams: u64,
    },
    /// A piece of a stream.
    Trace(TraceLine),
    /// It was not done.
    Error {
        /// Of which kind, for scripts.
        kind: ErrorKind,
        /// What is wrong.
        message: String,
        /// What to do about it, where that can be told.
        hint: Option<String>,
    },
}

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong: a JID that is none, a host that is not served.
    Invalid,
    /// There is no such account, session or host.
    NotFound,
    /// It exists already.
    Conflict,
    /// The server cannot do it now: it is stopping, its disk is full.
    Unavailable,
    /// A fault of the server; its log has the cause.
    Internal,
}

/// Which server this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Of the server.
    pub server: String,
    /// Of the admin API.
    pub api: u32,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its bare JID.
    pub jid: String,
    /// Whether its logins are refused.
    pub disabled: bool,
    /// How many sessions it has.
    pub sessions: u32,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its full JID.
    pub jid: String,
    /// Seconds since it was bound.
    pub connected_seconds: u64,
    /// Seconds since something came from it.
    pub idle_seconds: u64,
    /// Address and port of the peer; `None` where there is no connection.
    pub address: Option<String>,
    /// Version of TLS, `1.3` or `1.2`; `None`: not encrypted.
    pub tls: Option<String>,
    /// The SASL mechanism it logged in by.
    pub mechanism: Option<String>,
    /// The name that the client gives itself (XEP-0388 §2.3); `None`: it gave none.
    pub client: Option<String>,
    /// The priority of its presence; `None`: it is not available.
    pub priority: Option<i8>,
    /// Bytes that wait to be written to it.
    pub queue_bytes: u64,
}

/// Numbers about the running server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Since the server was ready.
    pub uptime_seconds: u64,
    /// Sessions that are bound.
    pub sessions: u64,
    /// Connections that are not logged in.
    pub unauthenticated: u64,
    /// Resident memory of the process; 0 where the system does not tell.
    pub memory_bytes: u64,
    /// Each host, in the order of the configuration.
    pub hosts: Vec<HostStats>,
    /// Everything that is counted since the start, by its name in the metrics.
    pub counters: BTreeMap<String, u64>,
}

/// Numbers about one host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostStats {
    /// Its domain.
    pub host: String,
    /// Accounts that exist.
    pub accounts: u64,
    /// Sessions that are bound.
    pub sessions: u64,
}

/// One stream with another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStream {
    /// Whether the other server opened it.
    pub incoming: bool,
    /// Our domains that it is for.
    pub locals: Vec<String>,
    /// The other domains, as far as they are proved.
    pub remotes: Vec<String>,
    /// Address and port of the other end; `None`: not connected yet.
    pub address: Option<String>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// `certificate` or `dialback`; `None`: nothing is proved yet.
    pub proof: Option<String>,
    /// Whether stanzas go both ways (XEP-0288).
    pub bidirectional: bool,
    /// Whether stanzas are acknowledged (XEP-0198).
    pub acknowledged: bool,
    /// Seconds since it was opened.
    pub age_seconds: u64,
    /// Seconds since a stanza went over it.
    pub idle_seconds: u64,
    /// Stanzas that were sent.
    pub sent: u64,
    /// Stanzas that came.
    pub received: u64,
}

/// What waits for one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteQueue {
    /// The domain.
    pub domain: String,
    /// Stanzas that wait.
    pub stanzas: u64,
    /// Bytes that wait or are not acknowledged.
    pub bytes: u64,
    /// Why it could not be reached the last time; `None`: it could.
    pub failure: Option<String>,
    /// Seconds until it is tried again; `None`: there is no reason to, or it is being tried.
    pub retry_seconds: Option<u64>,
}

/// An invitation to register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// The host on which it is good.
    pub host: String,
    /// What the client presents when it registers.
    pub token: String,
    /// The same as an address that clients open.
    pub uri: String,
    /// Seconds since 1970 until which it is good; `None`: for ever.
    pub expires: Option<u64>,
}

/// Who wrote a piece of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The server read it: the client wrote it.
    Read,
    /// The server wrote it.
    Wrote,
}

/// A piece of a stream, passwords and SASL data blanked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// Microseconds since 1970.
    pub time_micros: u64,
    /// The full JID of the session.
    pub session: String,
    /// Who wrote it.
    pub direction: Direction,
    /// As it crossed the stream, which may hold several stanzas.
    pub text: String,
}

impl Answer {
    /// A refusal without a hint.
    pub fn error(kind: ErrorKind, message: impl Into<String>) -> Answer {
        Answer::Error {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds to a refusal what to do about it; other answers stay as they are.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Answer {
        if let Answer::Error { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// The line that is sent, its newline included.
    ///
    /// # Errors
    /// None that an `Answer` can cause; the serializer's are handed on.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|text| text + "\n")
    }

    /// Reads a line that a server sent.
    ///
    /// # Errors
    /// The line is no answer that this version knows.
    pub fn from_line(line: &str) -> serde_json::Result<Answer> {
        serde_json::from_str(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Answer> {
        let account = Account {
            jid: "romeo@localhost".to_owned(),
            disabled: true,
            sessions: 2,
        };
        let session = Session {
            jid: "romeo@localhost/orchard".to_owned(),
            connected_seconds: 60,
            idle_seconds: 0,
            address: Some("[::1]:40000".to_owned()),
            tls: Some("1.3".to_owned()),
            mechanism: Some("SCRAM-SHA-256-PLUS".to_owned()),
            client: None,
            priority: Some(-1),
            queue_bytes: 0,
        };
        let host = HostStats {
            host: "localhost".to_owned(),
            accounts: 2,
            sessions: 1,
        };
        let invite = Invite {
            host: "localhost".to_owned(),
            token: "t".to_owned(),
            uri: "xmpp:localhost?register;preauth=t".to_owned(),
            expires: None,
        };
        let trace = TraceLine {
            time_micros: 1,
            session: "romeo@localhost/orchard".to_owned(),
            direction: Direction::Read,
            text: "<message>\n</message>".to_owned(),
        };
        vec![
            Answer::Done,
            Answer::Version(Versions {
                server: "0.1.0".to_owned(),
                api: 1,
            }),
            Answer::Accounts {
                accounts: vec![account],
                more: true,
            },
            Answer::Sessions {
                sessions: vec![session],
            },
            Answer::Reloaded {
                changed: vec!["host".to_owned()],
                needs_restart: vec![],
                problems: vec![],
            },
            Answer::Stats(Stats {
                hosts: vec![host],
                counters: BTreeMap::from([("stanzas_read".to_owned(), u64::MAX)]),
                ..Stats::default()
            }),
            Answer::Invite(invite),
            Answer::Trace(trace),
            Answer::error(ErrorKind::NotFound, "there is no romeo@localhost").with_hint("add it"),
        ]
    }

    #[test]
    fn every_answer_reads_back_from_its_line() {
        for answer in all() {
            let line = answer.to_line().unwrap();
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert_eq!(Answer::from_line(&line).unwrap(), answer);
        }
    }

    #[test]
    fn fields_of_a_later_server_are_ignored() {
        let line = r#"{"answer":"version","server":"9.0","api":1,"mood":"sad"}"#;
        assert!(matches!(Answer::from_line(line), Ok(Answer::Version(v)) if v.server == "9.0"));
    }

    #[test]
    fn the_form_of_an_error_on_the_wire() {
        let answer = Answer::error(ErrorKind::NotFound, "nobody");
        assert_eq!(
            answer.to_line().unwrap(),
            "{\"answer\":\"error\",\"kind\":\"not_found\",\"message\":\"nobody\",\"hint\":null}\n"
        );
    }

    #[test]
    fn only_refusals_take_a_hint() {
        assert_eq!(Answer::Done.with_hint("x"), Answer::Done);
    }
}
