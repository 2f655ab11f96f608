//! What the commands have in common on their command lines.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_proto::sasl::Mechanism;
use balcony_stream::initiating::TlsPolicy;
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

use crate::error::{Error, Result};
use crate::measure::Report;
use crate::traffic::{Pace, Plan};
use crate::wire::tls::Connector;

/// The most users, pairs and sessions of one process: more than it has descriptors for.
pub(crate) const MOST_USERS: u64 = 1_000_000;

/// Which server, and who logs in there.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// Address of the server; loopback only, unless --allow-remote
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    #[arg(long, default_value_t = 5222)]
    pub(crate) port: u16,
    /// The domain of the accounts
    #[arg(long, default_value = "localhost")]
    pub(crate) domain: String,
    /// Process id of the server, to measure its CPU time and memory with all its children; several
    /// with commas, where a database works for it
    #[arg(long, value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,
    /// What protects the streams
    #[arg(long, value_enum, default_value_t = Tls::None)]
    pub(crate) tls: Tls,
    /// Check the server's certificate against this authority (PEM). Without it, none is checked on
    /// loopback
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
    /// Check no certificate, even of a server that is not on loopback
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Load a server on another machine. It has to be yours
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// Accounts are PREFIX0, PREFIX1 and so on
    #[arg(long, default_value = "bench")]
    pub(crate) prefix: String,
    /// The password of all accounts
    #[arg(long, default_value = "benchmark")]
    pub(crate) password: String,
    /// The SASL mechanism, or `any` for the strongest on offer
    #[arg(long, default_value = "SCRAM-SHA-1")]
    pub(crate) mechanism: String,
    /// Use SASL2 and Bind 2 where they are offered
    #[arg(long)]
    pub(crate) sasl2: bool,
    /// A file that keeps the keys derived from passwords, so that only the first login derives them
    #[arg(long)]
    pub(crate) keys: Option<PathBuf>,
    /// Logins under way at a time
    #[arg(long, default_value_t = 32, value_parser = bounded(1, 10_000))]
    pub(crate) parallel: u64,
    /// Seconds for everything to be set up
    #[arg(long, default_value_t = 600, value_parser = bounded(1, 86_400))]
    pub(crate) timeout: u64,
    /// Name of the server in the results
    #[arg(long, default_value = "server")]
    pub(crate) label: String,
    /// Append the results to this file, one JSON object a line
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// Numbers within these, both included.
pub(crate) fn bounded(least: u64, most: u64) -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(least..=most)
}

/// What protects a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tls {
    None,
    Starttls,
    Direct,
}

impl Tls {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Tls::None => "none",
            Tls::Starttls => "starttls",
            Tls::Direct => "direct",
        }
    }

    pub(crate) fn policy(self) -> TlsPolicy {
        match self {
            Tls::None => TlsPolicy::Clear,
            Tls::Starttls => TlsPolicy::StartTls,
            Tls::Direct => TlsPolicy::Direct,
        }
    }
}

/// How long, how often.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Seconds that are measured
    #[arg(long, default_value_t = 8.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Seconds before that
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub(crate) warmup: f64,
    /// Runs; the result is their median
    #[arg(long, default_value_t = 3, value_parser = bounded(1, 100))]
    pub(crate) runs: u64,
}

impl Timing {
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(crate) fn warm(&self) -> Duration {
        Duration::from_secs_f64(self.warmup)
    }
}

/// How many requests or updates are under way.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Load {
    /// A second over all users. Without it: as fast as they are answered
    #[arg(long, value_parser = bounded(1, 10_000_000))]
    pub(crate) rate: Option<u64>,
    /// Under way for each user or pair where no rate is named
    #[arg(long, default_value_t = 4, value_parser = bounded(1, 10_000))]
    pub(crate) window: u64,
}

impl Load {
    pub(crate) fn plan(&self, timing: &Timing, server: &[u32]) -> Plan {
        Plan {
            pace: match self.rate {
                Some(rate) => Pace::Rate(rate as f64),
                None => Pace::Window(self.window as u32),
            },
            warmup: timing.warm(),
            seconds: timing.measured(),
            server: server.to_vec(),
        }
    }

    /// A report that names these settings.
    pub(crate) fn report(&self, case: &str, tls: Tls, label: &str) -> Report {
        let pace = self.rate.map_or("loop".to_owned(), |rate| rate.to_string());
        let mut report = Report::new(format!("{case}-{pace}-{}", tls.as_str()), label);
        match self.rate {
            Some(rate) => report.set("rate", rate),
            None => report.set("window", self.window),
        }
        report
    }
}

/// A day is more than any case takes.
fn seconds(text: &str) -> std::result::Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=86_400.0).contains(&value) {
        Ok(value)
    } else {
        Err("0 to 86400".to_owned())
    }
}

impl Target {
    /// The address, when it is one that may be put under load.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let usage = |text: String| Err(Error::Usage(text));
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let Some(address) = found.ok().and_then(|mut all| all.next()) else {
            return usage(format!("{} has no address", self.host));
        };
        if is_loopback(address.ip()) {
            return Ok(address);
        }
        if !self.allow_remote {
            return usage(format!(
                "{} is not on loopback: a load test of another machine needs --allow-remote",
                self.host
            ));
        }
        if self.tls != Tls::None && self.ca.is_none() && !self.insecure {
            return usage("a server that is not on loopback needs --ca or --insecure".into());
        }
        Ok(address)
    }

    /// What encrypts; `None` when nothing does.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Tls`].
    pub(crate) fn connector(&self) -> Result<Option<Connector>> {
        let wanted = self.tls != Tls::None;
        wanted
            .then(|| Connector::new(&self.domain, self.ca.as_deref()))
            .transpose()
    }

    /// The localpart of a user.
    pub(crate) fn user(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }

    /// The bare JID of a user.
    ///
    /// # Errors
    /// [`Error::Usage`] when prefix or domain make none.
    pub(crate) fn jid(&self, number: usize) -> Result<Jid> {
        let jid = Jid::from_parts(Some(&self.user(number)), &self.domain, None);
        jid.map_err(|error| Error::Usage(format!("no address: {error}")))
    }

    /// The mechanisms that may be used.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is not known.
    pub(crate) fn mechanisms(&self) -> Result<Vec<Mechanism>> {
        if self.mechanism == "any" {
            return Ok(Mechanism::ALL
                .into_iter()
                .filter(|m| m.hash().is_some())
                .collect());
        }
        let found = Mechanism::parse(&self.mechanism);
        let unknown = || Error::Usage(format!("{} is no known mechanism", self.mechanism));
        Ok(vec![found.ok_or_else(unknown)?])
    }

    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        target: Target,
    }

    fn target(line: &[&str]) -> Target {
        Line::parse_from([&["bench"], line].concat()).target
    }

    #[test]
    fn only_loopback_is_loaded_unless_asked() {
        assert!(target(&[]).address().is_ok());
        assert!(target(&["--host", "127.8.9.10"]).address().is_ok());
        assert!(target(&["--host", "::1"]).address().is_ok());
        assert!(target(&["--host", "::ffff:127.0.0.1"]).address().is_ok());
        assert!(target(&["--host", "192.0.2.1"]).address().is_err());
        assert!(
            target(&["--host", "192.0.2.1", "--allow-remote"])
                .address()
                .is_ok()
        );
    }

    #[test]
    fn a_remote_certificate_is_checked_or_said_not_to_be() {
        let remote = ["--host", "192.0.2.1", "--allow-remote", "--tls", "direct"];
        assert!(target(&remote).address().is_err());
        assert!(
            target(&[&remote[..], &["--insecure"]].concat())
                .address()
                .is_ok()
        );
    }
}
