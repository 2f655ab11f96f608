//! What the owner of a server fixes for all streams, and what it knows of one host.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::limits::Limits;
use balcony_proto::sasl::{HashKind, Mechanism};
use balcony_proto::xml::Element;

/// The same for every stream a server receives. Held in an `Arc`: it is read, never copied.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Nothing but STARTTLS is possible before encryption (RFC 6120 §5.3.1). Default: true.
    /// A host can require it too, never lift it.
    pub tls_required: bool,
    /// `<starttls/>` is offered on a stream that is not encrypted. Default: true.
    pub starttls: bool,
    /// The host of a stream header without `to` that came without SNI too. `None` (the default):
    /// such a header is answered with `improper-addressing`. Meant for servers of one host.
    pub default_host: Option<String>,
    /// What the scanner accepts until the client is authenticated. Default:
    /// [`Limits::BEFORE_LOGIN`].
    pub before_login: Limits,
    /// What the scanner accepts from an authenticated client. Default: [`Limits::AFTER_LOGIN`].
    pub after_login: Limits,
    /// All bytes that a client may send until it is authenticated, with everything it tries on the
    /// way. Default: 64 KiB. A login needs under 4 KiB and a registration with a form a few more;
    /// and as nothing that came is held more than once, this is also what a stranger can make one
    /// stream hold.
    pub bytes_before_login: usize,
    /// Failed authentications until the stream is closed. Default: 3, which is two retries
    /// (RFC 6120 §6.4.5: at least 2 and no more than 5).
    pub auth_attempts: u8,
    /// Failed resource bindings until the stream is closed. Default: 6, which is five retries
    /// (RFC 6120 §7.7.3: at least 5 and no more than 10).
    pub bind_attempts: u8,
    /// Time-outs of the phases.
    pub timeouts: Timeouts,
    /// What XEP-0478 announces as `<idle-seconds/>`. `None` (the default): not announced.
    pub idle_seconds: Option<u64>,
    /// The key from which users that don't exist get a salt of their own that never changes, so
    /// that they look like users. Must be random, secret and the same on every instance and after a
    /// restart. Default: zeros.
    pub decoy_secret: DecoySecret,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            tls_required: true,
            starttls: true,
            default_host: None,
            before_login: Limits::BEFORE_LOGIN,
            after_login: Limits::AFTER_LOGIN,
            bytes_before_login: 64 * 1024,
            auth_attempts: 3,
            bind_attempts: 6,
            timeouts: Timeouts::default(),
            idle_seconds: None,
            decoy_secret: DecoySecret([0; 32]),
        }
    }
}

/// See [`Settings::decoy_secret`].
#[derive(Clone, Copy)]
pub struct DecoySecret(pub [u8; 32]);

impl fmt::Debug for DecoySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecoySecret")
    }
}

/// How long a phase may take. What expires gets `connection-timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A TLS handshake. Default: 15 s, five times what a bad mobile link needs.
    pub tls_handshake: Duration,
    /// From the connection to the bound resource. Default: 60 s. A slow phone needs ten; a
    /// connection that never logs in must not be held for long.
    pub negotiation: Duration,
    /// The same when the client registers an account on the way (XEP-0077), as a person fills in a
    /// form. Default: 300 s.
    pub registration: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            tls_handshake: Duration::from_secs(15),
            negotiation: Duration::from_secs(60),
            registration: Duration::from_secs(300),
        }
    }
}

/// What the owner knows of a host that it serves: the answer to
/// [`Question::Host`](crate::receiving::Question::Host).
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// The domainpart, normalised. It becomes the `from` of the response stream header.
    pub name: String,
    /// The mechanisms that the host allows. Each is offered only where it can be used: the `-PLUS`
    /// ones over TLS with bindings, PLAIN over TLS, EXTERNAL never. The order doesn't matter.
    pub mechanisms: Vec<Mechanism>,
    /// Encryption is required on this host even if [`Settings::tls_required`] is false.
    /// Default: false.
    pub tls_required: bool,
    /// SASL2 (XEP-0388) with Bind 2 (XEP-0386) is offered, over TLS. Classic SASL always is.
    pub sasl2: bool,
    /// An account can be registered before login (XEP-0077 §3.1): announced, and handed out as
    /// [`Output::PreAuth`](crate::receiving::Output::PreAuth).
    pub registration: bool,
    /// PBKDF2 iterations of new keys, and of the keys of users that don't exist where
    /// [`Self::key_counts`] says nothing.
    pub iterations: u32,
    /// The iterations of the accounts' keys, among which users that don't exist have theirs.
    pub key_counts: Arc<KeyCounts>,
    /// Clients can get tokens to log in by (XEP-0484). Default: false.
    pub fast: bool,
    /// Hashes for which accounts lack keys that clients can make (XEP-0480). Default: none.
    pub upgrades: Vec<HashKind>,
    /// Further stream features before login, complete as they go out.
    pub features_before_login: Vec<Element>,
    /// Further stream features after login, complete as they go out: roster versioning,
    /// subscription pre-approval, caps.
    pub features_after_login: Vec<Element>,
    /// What stands beside `<bind/>` in the `<inline/>` of SASL2 (XEP-0388 §2.1), as `<sm
    /// xmlns='urn:xmpp:sm:3'/>`.
    pub inline: Vec<Element>,
    /// The `var`s of the `<inline/>` of Bind 2 (XEP-0386 §3.1).
    pub bind_inline: Vec<String>,
}

/// How many accounts have keys of which hash and iteration count. Only proportions matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts(pub Vec<(HashKind, u32, u64)>);

impl KeyCounts {
    /// An iteration count as frequent among all values of `share` as it is among the accounts.
    /// `None`: no account has keys of this hash.
    pub(crate) fn pick(&self, hash: HashKind, share: u64) -> Option<u32> {
        let of_hash = || self.0.iter().filter(|(of, ..)| *of == hash);
        let total: u64 = of_hash().map(|(_, _, accounts)| accounts).sum();
        let mut at = share.checked_rem(total)?;
        for (_, iterations, accounts) in of_hash() {
            match at.checked_sub(*accounts) {
                Some(rest) => at = rest,
                None => return Some(*iterations),
            }
        }
        None
    }
}

impl HostFacts {
    /// A host with SCRAM in all its forms, SASL2, and nothing else.
    pub fn new(name: impl Into<String>) -> HostFacts {
        use Mechanism::*;
        HostFacts {
            name: name.into(),
            mechanisms: vec![
                ScramSha512Plus,
                ScramSha512,
                ScramSha256Plus,
                ScramSha256,
                ScramSha1Plus,
                ScramSha1,
            ],
            tls_required: false,
            sasl2: true,
            registration: false,
            iterations: 10_000,
            key_counts: Arc::default(),
            fast: false,
            upgrades: Vec::new(),
            features_before_login: Vec::new(),
            features_after_login: Vec::new(),
            inline: Vec::new(),
            bind_inline: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterations_are_as_frequent_as_among_the_accounts() {
        let counts = KeyCounts(vec![
            (HashKind::Sha1, 4096, 5),
            (HashKind::Sha256, 4096, 1),
            (HashKind::Sha256, 10_000, 3),
        ]);
        let picked: Vec<_> = (0..8)
            .filter_map(|share| counts.pick(HashKind::Sha256, share))
            .collect();
        let round = [4096, 10_000, 10_000, 10_000];
        assert_eq!(picked, [round, round].concat());
        assert_eq!(counts.pick(HashKind::Sha512, 7), None);
    }
}
