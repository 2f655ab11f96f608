//! Why a command was not done, in words for who typed it.

use std::io;
use std::path::PathBuf;

use balcony_admin_api::{Answer, ErrorKind};

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing listens on the socket.
    #[error("no server answers on {}: is it running? start it with `balcony serve`", .0.display())]
    NoServer(PathBuf),
    /// The socket belongs to somebody else.
    #[error("the admin socket {} may only be opened by the user who runs the server", .0.display())]
    NotAllowed(PathBuf),
    /// The socket cannot be used for another reason.
    #[error("the admin socket {} cannot be opened: {}", .0.display(), .1)]
    Socket(PathBuf, #[source] io::Error),
    /// The server went away or was too slow.
    #[error("the server gave no answer: {0}")]
    Lost(#[source] io::Error),
    /// The server said something that this command does not understand.
    #[error("the server's answer makes no sense: {0}; are both of the same version?")]
    Protocol(String),
    /// The server refused.
    #[error("{message}")]
    Refused {
        /// Of which kind.
        kind: ErrorKind,
        /// Why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// There is no password to send.
    #[error("{0}")]
    Password(String),
    /// A deletion that nobody confirmed.
    #[error("not done: {0}")]
    Unconfirmed(&'static str),
    /// Standard input cannot be read.
    #[error("standard input: {0}")]
    Input(#[source] io::Error),
    /// The answer cannot be shown.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// Whether it only says that nobody reads the output any more.
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The lines for standard error.
    pub(crate) fn describe(&self) -> String {
        let text = format!("error: {}", crate::output::harmless(&self.to_string()));
        match self {
            Error::Refused {
                hint: Some(hint), ..
            } => {
                format!("{text}\n hint: {}", crate::output::harmless(hint))
            }
            _ => text,
        }
    }

    /// The same as the server would have said it, for `--json`.
    pub(crate) fn answer(&self) -> Answer {
        match self {
            Error::Refused {
                kind,
                message,
                hint,
            } => Answer::Error {
                kind: *kind,
                message: message.clone(),
                hint: hint.clone(),
            },
            Error::Password(_) | Error::Unconfirmed(_) | Error::Input(_) => {
                Answer::error(ErrorKind::Invalid, self.to_string())
            }
            _ => Answer::error(ErrorKind::Unavailable, self.to_string()),
        }
    }
}
