//! What a stranger's server and a stranger's client find of a domain, and what to do about it.
//!
//! It asks the DNS and connects as they do; a server of one's own need not run.

mod certificate;
mod dns;
mod offers;
mod probe;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use balcony_net::{Certificates, PeerTls, Resolver, Roots, Service};

use crate::network;

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The domain.
    pub domain: String,
    /// Whether clients are to find it too: not those of services, on which nobody has an account.
    pub clients: bool,
    /// The DNS server; `None`: that of the system.
    pub resolver: Option<SocketAddr>,
    /// A file of DNSSEC keys, as [`Resolver::validating`] reads it; `None`: those of the root.
    pub anchors: Option<PathBuf>,
    /// A PEM file of authorities; `None`: those of the system.
    pub trust_roots: Option<PathBuf>,
    /// The domain as which it introduces itself to servers.
    pub from: String,
    /// How long each step may take.
    pub within: Duration,
    /// The time, for certificates.
    pub now: SystemTime,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Works, and could be better.
    Note,
    /// Somebody cannot get through.
    Fault,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub state: State,
    /// What.
    pub what: String,
    /// What to do. `None`: nothing.
    pub advice: Option<String>,
}

impl Finding {
    pub(crate) fn good(what: impl Into<String>) -> Finding {
        Finding {
            state: State::Good,
            what: what.into(),
            advice: None,
        }
    }

    pub(crate) fn note(what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            state: State::Note,
            what: what.into(),
            advice: Some(advice.into()),
        }
    }

    pub(crate) fn fault(what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            state: State::Fault,
            ..Finding::note(what, advice)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Good => "good ",
            State::Note => "note ",
            State::Fault => "FAULT",
        };
        write!(f, "{state}  {}", printable(&self.what))?;
        match &self.advice {
            Some(advice) => write!(f, "\n       → {}", printable(advice)),
            None => Ok(()),
        }
    }
}

/// Names in certificates are another's words, and a terminal obeys what it is sent.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// What the probes share.
pub(crate) struct Doctor<'a> {
    pub(crate) options: &'a Options,
    resolver: Resolver,
    /// The same with DNSSEC, for DANE only: what it makes of a resolver that drops signatures is
    /// not to be in the way of everything else.
    validating: Resolver,
    pub(crate) tls: PeerTls,
    pub(crate) roots: Roots,
}

/// Looks at a domain.
///
/// # Errors
/// Why nothing can be looked at at all, in words.
pub async fn examine(options: &Options) -> Result<Vec<Finding>, String> {
    let scratch = Scratch::new()?;
    let own = Certificates::load(&scratch.0, std::slice::from_ref(&options.from));
    let own = own.map_err(|errors| errors.to_string())?;
    let roots = match &options.trust_roots {
        Some(path) => Roots::from_pem_file(path),
        None => Roots::system(),
    };
    let roots = roots.map_err(|error| error.to_string())?;
    let resolver = network::resolver(options.resolver.as_slice(), false)?.within(options.within);
    let validating = resolver.clone().validating(options.anchors.as_deref());
    let doctor = Doctor {
        options,
        resolver,
        validating: validating.map_err(|error| error.to_string())?,
        tls: PeerTls::new(Arc::new(own), roots.clone()).map_err(|error| error.to_string())?,
        roots,
    };
    let mut findings = Vec::new();
    doctor.service(Service::Server, &mut findings).await;
    if options.clients {
        doctor.service(Service::Client, &mut findings).await;
    }
    Ok(findings)
}

/// For the reader.
pub(crate) fn whom(service: Service) -> &'static str {
    match service {
        Service::Server => "servers",
        Service::Client => "clients",
    }
}

/// A folder for the certificate that the doctor shows, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, String> {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let name = format!("balcony-doctor-{:016x}", u64::from_ne_bytes(random));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is a key that nobody trusts.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_printed_with_what_to_do() {
        let note = Finding::note("it is old", "renew it");
        assert_eq!(note.to_string(), "note   it is old\n       → renew it");
        assert_eq!(Finding::good("it works").to_string(), "good   it works");
    }

    #[test]
    fn a_terminal_is_not_at_the_mercy_of_certificates() {
        let finding = Finding::fault("its name is \u{1b}[2J\n", "\u{7}");
        assert!(!finding.to_string().contains(['\u{1b}', '\u{7}']));
        assert_eq!(finding.to_string().lines().count(), 2);
    }
}
