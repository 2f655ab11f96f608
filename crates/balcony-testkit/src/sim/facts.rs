//! What was seen in a run, for [`check`](super::check) to judge.

use super::plan::Asks;

/// What a connection was told when it asked for the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has it; so many stanzas of the client are handled.
    Resumed(u32),
    /// It has not; so many were handled, if the server says so.
    Failed(Option<u32>),
    /// It was not let in, or its own stream was ended first.
    Ended(String),
}

/// A connection that asked for the stream.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its number among all connections of its client.
    pub line: usize,
    /// Who asks, and how truthfully.
    pub asks: Asks,
    /// `None`: silence.
    pub answer: Option<Answer>,
    /// It was cut before there could be an answer.
    pub cut: bool,
}

/// A stanza that came over a stream that counts.
#[derive(Clone, Debug)]
pub struct Came {
    /// The stream.
    pub stream: usize,
    /// The connection.
    pub line: usize,
    /// The how manieth of its stream it is.
    pub position: u32,
    /// Its bytes.
    pub bytes: String,
    /// The number in its id, where it is a message of the other.
    pub message: Option<u32>,
}

/// A message of the other came.
#[derive(Clone, Copy, Debug)]
pub struct Got {
    /// Its number.
    pub number: u32,
    /// It was for the account, not for one session.
    pub for_account: bool,
    /// Over which stream it came; `None` for one that is not counted.
    pub stream: Option<usize>,
}

/// Something that one of both said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its number; later ones are higher.
    pub number: u32,
    /// It is archived, so that it outlives the stream.
    pub lasting: bool,
    /// The server has counted it as handled, and sent no error.
    pub taken: bool,
}

/// The server said how many stanzas it has handled.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Over which stream, of which client.
    pub stream: usize,
    /// So many.
    pub h: u32,
    /// What it had said before.
    pub before: u32,
    /// So many were sent.
    pub sent: u32,
}

/// A connection that had the stream and has it no more, though its client did nothing to it.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Which.
    pub line: usize,
    /// The condition of the stream error. `None`: there was none.
    pub condition: Option<String>,
}

/// What is left on the server when all are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Sessions in the table.
    pub sessions: usize,
    /// Sessions that are held by somebody, with their queues.
    pub held: usize,
    /// Connections that are counted as not logged in.
    pub strangers: usize,
    /// Tasks beside the clock's.
    pub tasks: usize,
    /// Bugs that ended a task.
    pub panics: u64,
}

/// One client's side.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// What it was told of what it sent.
    pub counts: Vec<Count>,
    /// What came over streams that count.
    pub came: Vec<Came>,
    /// The other's messages, in the order in which they came.
    pub got: Vec<Got>,
    /// What it said.
    pub said: Vec<Said>,
    /// Connections that it lost.
    pub lost: Vec<Lost>,
    /// What is wrong in the protocol itself.
    pub faults: Vec<String>,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The client whose stream is wanted.
    pub client: Side,
    /// Who talks to it, and sees its presence.
    pub contact: Side,
    /// Who asked for the stream.
    pub attempts: Vec<Attempt>,
    /// At each quiet moment: the connections that have the stream.
    pub holders: Vec<Vec<usize>>,
    /// What a contact saw of the client's sessions: the full JID, and whether it is available.
    pub presences: Vec<(String, bool)>,
    /// What others got who asked for the stream.
    pub leaked: Vec<String>,
    /// Something may have ended the stream.
    pub may_end: bool,
    /// The disk took nothing for a while: what a stream had handled may not be written down.
    pub disk_failed: bool,
    /// The stream went on to the end.
    pub went_on: bool,
    /// What is left.
    pub left: Left,
}
