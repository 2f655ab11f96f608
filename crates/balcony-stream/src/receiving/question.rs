//! What a receiving machine asks its owner, and what the owner may answer.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::sasl::{HashKind, Mechanism, ScramKeys};
use balcony_proto::stanza::{Stanza, StanzaError};
use balcony_proto::xml::Element;

use crate::settings::HostFacts;
use crate::user_agent::UserAgent;

/// The machine stands still until the answer comes; what the client sends meanwhile is held,
/// bounded. There is never more than one open question.
#[derive(Debug)]
#[non_exhaustive]
pub enum Question {
    /// Is this domain (normalised) served here? [`Answer::Host`].
    Host(String),
    /// The SCRAM keys of a user. [`Answer::Credentials`].
    Credentials {
        /// The account, a bare JID. It need not exist.
        account: Jid,
        /// Says which hash the keys must have.
        mechanism: Mechanism,
    },
    /// Is this the account's password? [`Answer::Verdict`]. The answer should take as long for an
    /// account that doesn't exist.
    Plain {
        /// The account, a bare JID. It need not exist.
        account: Jid,
        /// What the client sent. Never to be logged.
        password: Password,
    },
    /// The tokens that a client may log in by (XEP-0484). [`Answer::Tokens`].
    Tokens {
        /// The account, a bare JID. It need not exist.
        account: Jid,
        /// The client's id.
        client: String,
    },
    /// A client has proved that it has a token, or is to get one. [`Answer::Token`], when that is
    /// durable.
    Token(Box<TokenRequest>),
    /// Of which of these hashes has the account no keys? [`Answer::Lacks`].
    Lacks {
        /// The account, a bare JID. It has proved its password.
        account: Jid,
        /// Never empty.
        hashes: Vec<HashKind>,
    },
    /// Keep keys of a hash that the account has none of yet (XEP-0480). Keys that it has meanwhile
    /// stay. [`Answer::Kept`]; if they cannot be kept, login goes on without.
    AddKeys {
        /// The account, a bare JID.
        account: Jid,
        /// Made by the client from the password.
        keys: ScramKeys,
    },
    /// An address for an anonymous client of this host (RFC 4505). [`Answer::Anonymous`].
    Anonymous(String),
    /// Does an earlier session of the account go on over this stream (XEP-0198 §5)?
    /// [`Answer::Resume`]. Asked before any [`Question::Bind`], which follows if it doesn't. As
    /// there, what has to be written must wait for [`Output::Resumed`](super::Output::Resumed).
    Resume(Box<ResumeRequest>),
    /// Install a session. [`Answer::Bind`]. The client hears of it only after the answer, so a
    /// session that is routable by then misses nothing; what it has to write must wait for
    /// [`Output::Bound`](super::Output::Bound).
    Bind(Box<BindRequest>),
}

/// A password on its way to its check.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// A token's secret, as good as a password.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(pub String);

impl std::fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenSecret")
    }
}

/// What a client may log in by (XEP-0484 §5.1). By default nothing, as for an account that doesn't
/// exist.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// The account may not log in. The client hears so only after it proved a token.
    pub disabled: bool,
    /// At most two: one that it has used, and a newer one that it may have got.
    pub tokens: Vec<KnownToken>,
}

/// One token of a client.
#[derive(Clone, Debug)]
pub struct KnownToken {
    /// The only mechanism that it is good for.
    pub mechanism: Mechanism,
    /// What both sides know.
    pub secret: TokenSecret,
    /// The greatest count that came with it. `None`: none yet.
    pub count: Option<u32>,
    /// Its time is over.
    pub expired: bool,
    /// It is so old that the client should get another.
    pub due: bool,
}

/// A client has logged in by a token, is to get one, or both. What belongs together is to be
/// committed together.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The bare JID that authenticated.
    pub account: Jid,
    /// The client; its id is never `None`.
    pub client: UserAgent,
    /// The token by which it logged in. `None`: it proved the password.
    pub used: Option<UsedToken>,
    /// The token that it gets if the owner agrees. `None`: none was asked for nor is due.
    pub issue: Option<NewToken>,
}

/// A token that was used.
#[derive(Clone, Debug)]
pub struct UsedToken {
    /// Which.
    pub secret: TokenSecret,
    /// The count that came with it.
    pub count: Option<u32>,
    /// The client wants never to use it again (XEP-0484 §3.6).
    pub invalidate: bool,
}

/// A token that was made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The mechanism that it is for.
    pub mechanism: Mechanism,
    /// What both sides will know.
    pub secret: TokenSecret,
}

/// The answer to [`Question::Token`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAnswer {
    /// It is done.
    Done {
        /// Until when the new token is good, in microseconds since the Unix epoch. `None`: there
        /// is none.
        expires: Option<i64>,
    },
    /// The token that was used has been revoked meanwhile, or the password is another: nothing is
    /// done, and the authentication fails.
    Revoked,
}

/// An authenticated client wants a resource.
#[derive(Clone, Debug)]
pub struct BindRequest {
    /// The bare JID that authenticated.
    pub account: Jid,
    /// A valid resourcepart: the client's wish, or one made here. Binding another is allowed (RFC
    /// 6120 §7.7.1).
    pub resource: String,
    /// The client asked for exactly this resource. If not, it is random and free.
    pub requested: bool,
    /// How it authenticated.
    pub mechanism: Mechanism,
    /// Asked by Bind 2 (XEP-0386), so that its rules hold: offline messages are not flooded.
    pub bind2: bool,
    /// What the client said of itself, by SASL2 only. An earlier session of the same client, by its
    /// id, should end when this one is installed (XEP-0386 §3.2).
    pub client: Option<UserAgent>,
    /// What stood in `<bind/>` of Bind 2 beside the tag: features to enable at once.
    pub inline: Vec<Element>,
    /// What stood in `<authenticate/>` of SASL2 that the machine doesn't know.
    pub authenticate: Vec<Element>,
}

/// An authenticated client wants an earlier session back.
#[derive(Clone, Debug)]
pub struct ResumeRequest {
    /// The bare JID that authenticated. The session must be one of its own.
    pub account: Jid,
    /// The id that the session got with `<enabled/>`; as the client sent it, not empty.
    pub previd: String,
    /// The stanzas that the client has handled in that session, modulo 2³².
    pub h: u32,
    /// How it authenticated.
    pub mechanism: Mechanism,
    /// What the client said of itself, by SASL2 only.
    pub client: Option<UserAgent>,
}

/// What becomes of a resumption.
#[derive(Clone, Debug)]
pub enum Resumption {
    /// The session goes on over this stream: nothing is bound.
    Resumed {
        /// The session's full JID.
        jid: Jid,
        /// `<resumed/>`: by SASL2 inside of `<success/>`, with no features behind it (XEP-0198
        /// §9.2).
        resumed: Element,
    },
    /// It doesn't: `<failed/>` with its condition. The client may bind.
    Failed(Element),
}

/// A session stands.
#[derive(Clone, Debug)]
pub struct BindAnswer {
    /// The full JID.
    pub jid: Jid,
    /// Goes into `<bound/>` (XEP-0386 §3.2): archive metadata, `<enabled/>`. Ignored without Bind
    /// 2.
    pub bound: Vec<Element>,
    /// Goes into `<success/>` beside `<bound/>`. Ignored without Bind 2.
    pub success: Vec<Element>,
}

impl BindAnswer {
    /// A session with nothing to tell.
    pub fn new(jid: Jid) -> BindAnswer {
        BindAnswer {
            jid,
            bound: Vec::new(),
            success: Vec::new(),
        }
    }
}

/// The answer to the open question. One that doesn't fit it ends the stream with
/// `internal-server-error`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// `None`: the domain isn't served.
    Host(Option<Arc<HostFacts>>),
    /// To [`Question::Credentials`].
    Credentials(Credentials),
    /// To [`Question::Plain`].
    Verdict(Verdict),
    /// To [`Question::Tokens`].
    Tokens(Tokens),
    /// To [`Question::Token`].
    Token(TokenAnswer),
    /// To [`Question::Lacks`].
    Lacks(Vec<HashKind>),
    /// To [`Question::AddKeys`].
    Kept,
    /// A bare JID on the host for this client alone; `None`: not now.
    Anonymous(Option<Jid>),
    /// To [`Question::Resume`].
    Resume(Resumption),
    /// The session, or why there is none (RFC 6120 §7.6.2, §7.7.2).
    Bind(Result<BindAnswer, StanzaError>),
    /// The reply to [`Output::PreAuth`](super::Output::PreAuth). `None`: what came has no place
    /// before login, so the stream ends with `not-authorized`.
    PreAuth(Option<Box<Stanza>>),
    /// The answer cannot be had: a store that is down, a queue that is full, too many attempts from
    /// this address. `temporary-auth-failure` during authentication, `internal-server-error`
    /// elsewhere.
    Failed,
}

/// What is known of a user's password.
#[derive(Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// The keys for the mechanism's hash.
    Keys {
        /// As stored.
        keys: ScramKeys,
        /// The account exists but may not log in. The client hears so only after it proved the
        /// password.
        disabled: bool,
    },
    /// No such user, or no keys of this hash: answered as a wrong password is.
    Unknown,
}

/// The check of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is the password.
    Right,
    /// It isn't, or there is no such user.
    Wrong,
    /// It is, but the account may not log in.
    Disabled,
}
