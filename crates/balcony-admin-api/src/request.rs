//! What an admin asks for.

use serde::{Deserialize, Serialize};

use crate::{Answer, ErrorKind, Secret, VERSION};

/// One line from the client: a request and the version in which it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// What is asked for.
    #[serde(flatten)]
    pub request: Request,
}

/// What is asked for. Every `jid` is a bare JID, not yet prepared, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// Nothing but a sign of life. Answer: [`Answer::Done`].
    Ping,
    /// Which server this is. Answer: [`Answer::Version`].
    Version,
    /// Makes an account. Answer: [`Answer::Done`]; [`ErrorKind::Conflict`] when it exists.
    UserAdd {
        /// The account.
        jid: String,
        /// Its password, from which the server keeps SCRAM keys only.
        password: Secret,
    },
    /// Gives an account another password and ends its sessions. Answer: [`Answer::Done`].
    UserPasswd {
        /// The account.
        jid: String,
        /// The new password.
        password: Secret,
    },
    /// Deletes an account with all that belongs to it. Answer: [`Answer::Done`].
    UserDel {
        /// The account.
        jid: String,
    },
    /// Ends an account's sessions and refuses its logins until it is enabled. Answer:
    /// [`Answer::Done`].
    UserDisable {
        /// The account.
        jid: String,
    },
    /// Allows the logins of a disabled account again. Answer: [`Answer::Done`].
    UserEnable {
        /// The account.
        jid: String,
    },
    /// A page of the accounts of a host, in the order of their localparts. Answer:
    /// [`Answer::Accounts`].
    UserList {
        /// The host; `None`: all of them, host by host.
        host: Option<String>,
        /// The JID after which the page begins; `None`: at the first.
        after: Option<String>,
        /// The most accounts in the page, up to [`MAX_PAGE`](crate::MAX_PAGE).
        limit: u32,
    },
    /// The sessions of an account. Answer: [`Answer::Sessions`].
    UserSessions {
        /// The account.
        jid: String,
    },
    /// Closes the stream of a session. Answer: [`Answer::Done`].
    SessionEnd {
        /// A full JID, or a bare one for all sessions of the account.
        jid: String,
        /// Told to the client as text of the stream error; `None`: no text.
        reason: Option<String>,
    },
    /// Reads the configuration file and the certificates again. Answer: [`Answer::Reloaded`].
    Reload,
    /// Numbers about the running server. Answer: [`Answer::Stats`].
    Stats,
    /// Makes an invitation to register on a host. Answer: [`Answer::Invite`].
    InviteCreate {
        /// The host.
        host: String,
        /// Seconds for which it is good; `None`: the server's default.
        expires_seconds: Option<u64>,
    },
    /// The streams of other servers, and the domains that something waits for. Answer:
    /// [`Answer::Federation`].
    FederationList {
        /// Only what is about this domain; `None`: all.
        domain: Option<String>,
    },
    /// Closes all streams with a domain, and tries at once to reach it when something waits for
    /// it. Answer: [`Answer::Kicked`].
    FederationKick {
        /// The other domain.
        domain: String,
    },
    /// The streams of a session as they run, passwords and SASL data blanked. Answers:
    /// [`Answer::Trace`], one for each piece, until the client closes.
    Trace {
        /// A full JID, or a bare one for all sessions of the account, also those to come.
        jid: String,
    },
}

impl Call {
    /// This request in the version of this crate.
    pub fn new(request: Request) -> Call {
        Call {
            version: VERSION,
            request,
        }
    }

    /// The line that is sent, its newline included.
    ///
    /// # Errors
    /// None that a `Request` can cause; the serializer's are handed on.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|text| text + "\n")
    }

    /// Reads a line that a client sent.
    ///
    /// # Errors
    /// The [`Answer::Error`] to send back: another version, an unknown request, or no request.
    pub fn from_line(line: &str) -> Result<Call, Answer> {
        let refuse = |message: String, hint: &str| {
            Answer::error(ErrorKind::Invalid, message).with_hint(hint)
        };
        // The version is read first, so that a request that only another version knows is not
        // told to be unknown.
        let value: serde_json::Value = serde_json::from_str(line).map_err(|error| {
            refuse(
                format!("this is no request: {error}"),
                "send JSON, one object a line",
            )
        })?;
        let version = value.get("version").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(VERSION)) {
            let message = match version {
                Some(other) => format!("this server speaks version {VERSION}, not {other}"),
                None => format!("the request names no version; this server speaks {VERSION}"),
            };
            return Err(refuse(
                message,
                "use the balcony command of the running server",
            ));
        }
        // Only the position of a fault is told: the text of the error may quote a password.
        let call = Call::deserialize(&value);
        call.map_err(|_| {
            let name = value
                .get("request")
                .and_then(serde_json::Value::as_str)
                .unwrap_or("?");
            let message = format!("the request {name} is unknown or misses a field");
            refuse(message, "use the balcony command of the running server")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Request> {
        let jid = || "romeo@localhost".to_owned();
        let password = || Secret::new("call me but love");
        vec![
            Request::Ping,
            Request::Version,
            Request::UserAdd {
                jid: jid(),
                password: password(),
            },
            Request::UserPasswd {
                jid: jid(),
                password: password(),
            },
            Request::UserDel { jid: jid() },
            Request::UserDisable { jid: jid() },
            Request::UserEnable { jid: jid() },
            Request::UserList {
                host: None,
                after: Some(jid()),
                limit: 10,
            },
            Request::UserSessions { jid: jid() },
            Request::SessionEnd {
                jid: jid(),
                reason: None,
            },
            Request::Reload,
            Request::Stats,
            Request::InviteCreate {
                host: "localhost".to_owned(),
                expires_seconds: Some(60),
            },
            Request::FederationList { domain: None },
            Request::FederationKick {
                domain: "mantua.example".to_owned(),
            },
            Request::Trace { jid: jid() },
        ]
    }

    #[test]
    fn every_request_reads_back_from_its_line() {
        for request in all() {
            let call = Call::new(request);
            let line = call.to_line().unwrap();
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert_eq!(Call::from_line(&line), Ok(call));
        }
    }

    #[test]
    fn the_form_on_the_wire_is_flat() {
        let call = Call::new(Request::UserDel {
            jid: "romeo@localhost".to_owned(),
        });
        assert_eq!(
            call.to_line().unwrap(),
            "{\"version\":1,\"request\":\"user_del\",\"jid\":\"romeo@localhost\"}\n"
        );
    }

    #[test]
    fn fields_that_may_be_absent_may_be_left_out() {
        let call = Call::from_line(r#"{"version":1,"request":"user_list","limit":5}"#).unwrap();
        assert_eq!(
            call.request,
            Request::UserList {
                host: None,
                after: None,
                limit: 5
            }
        );
    }

    fn refused(line: &str) -> String {
        let Err(Answer::Error { message, hint, .. }) = Call::from_line(line) else {
            panic!("accepted: {line}")
        };
        assert!(hint.is_some());
        message
    }

    #[test]
    fn another_version_is_told_before_an_unknown_request() {
        assert!(refused(r#"{"version":9,"request":"dance"}"#).contains("version 1, not 9"));
        assert!(refused(r#"{"request":"ping"}"#).contains("no version"));
        assert!(refused(r#"{"version":1,"request":"dance"}"#).contains("dance"));
        assert!(refused("ping").contains("no request"));
        assert!(refused(r#"{"version":1,"request":"user_del"}"#).contains("misses a field"));
    }

    #[test]
    fn passwords_are_shown_neither_by_debug_nor_by_a_refusal() {
        for request in all() {
            assert!(!format!("{request:?}").contains("love"));
        }
        let line = r#"{"version":1,"request":"user_add","password":"but love"}"#;
        assert!(!refused(line).contains("love"));
        let line = r#"{"version":1,"request":"user_add","jid":"a@b","password":["but love"]}"#;
        assert!(!refused(line).contains("love"));
    }
}
