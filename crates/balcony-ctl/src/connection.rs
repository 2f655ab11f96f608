//! The admin socket: a call out, answers in.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use balcony_admin_api::{Answer, Call, MAX_ANSWER, Request};

use crate::Error;

/// How long an answer may take. Deleting an account with years of messages is the slowest call,
/// and takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    pub(crate) fn open(socket: &Path) -> Result<Connection, Error> {
        let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Error::NoServer(socket.to_path_buf())
            }
            io::ErrorKind::PermissionDenied => Error::NotAllowed(socket.to_path_buf()),
            _ => Error::Socket(socket.to_path_buf(), error),
        })?;
        let timeouts = stream.set_read_timeout(Some(PATIENCE));
        timeouts
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(Error::Lost)?;
        Ok(Connection {
            stream: BufReader::new(stream),
        })
    }

    /// Asks and waits for the one answer; a refusal is an error.
    pub(crate) fn call(&mut self, request: Request) -> Result<Answer, Error> {
        self.send(request)?;
        self.next()?
            .ok_or_else(|| Error::Lost(io::ErrorKind::UnexpectedEof.into()))
    }

    pub(crate) fn send(&mut self, request: Request) -> Result<(), Error> {
        let line = Call::new(request).to_line();
        let line = line.map_err(|error| Error::Protocol(error.to_string()))?;
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(Error::Lost)
    }

    /// Waits for ever between answers: a trace may be silent for hours.
    pub(crate) fn wait_for_ever(&mut self) -> Result<(), Error> {
        self.stream
            .get_ref()
            .set_read_timeout(None)
            .map_err(Error::Lost)
    }

    /// The next answer; `None` when the server has closed. A refusal is an error.
    pub(crate) fn next(&mut self) -> Result<Option<Answer>, Error> {
        let mut line = String::new();
        let bound = u64::try_from(MAX_ANSWER).unwrap_or(u64::MAX);
        let read = (&mut self.stream)
            .take(bound)
            .read_line(&mut line)
            .map_err(Error::Lost)?;
        if read == 0 {
            return Ok(None);
        }
        if !line.ends_with('\n') {
            return Err(Error::Protocol("it ends in the middle".to_owned()));
        }
        match Answer::from_line(&line).map_err(|error| Error::Protocol(error.to_string()))? {
            Answer::Error {
                kind,
                message,
                hint,
            } => Err(Error::Refused {
                kind,
                message,
                hint,
            }),
            answer => Ok(Some(answer)),
        }
    }
}

/// The error for an answer of the wrong kind.
pub(crate) fn unexpected(answer: &Answer) -> Error {
    let text = answer.to_line().unwrap_or_default();
    let start: String = text.trim_end().chars().take(60).collect();
    Error::Protocol(start)
}
