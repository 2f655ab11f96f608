//! A domain that this server serves.

use std::sync::Arc;

use balcony_proto::jid::Jid;
use balcony_proto::map::Map;

use crate::Core;
use crate::config::{self, Registration};

/// A host as the configuration has it. Replaced as a whole on reload.
#[derive(Clone, Debug)]
pub struct Host {
    name: Jid,
    registration: Registration,
    admins: Vec<Jid>,
}

impl Host {
    /// Its domainpart.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Its address.
    #[must_use]
    pub fn jid(&self) -> &Jid {
        &self.name
    }

    /// Who may make an account (XEP-0077).
    #[must_use]
    pub fn registration(&self) -> Registration {
        self.registration
    }

    /// The bare JIDs of those who run it.
    #[must_use]
    pub fn admins(&self) -> &[Jid] {
        &self.admins
    }

    /// Whether this address belongs to somebody who runs the host.
    #[must_use]
    pub fn is_admin(&self, jid: &Jid) -> bool {
        self.admins
            .iter()
            .any(|admin| admin.as_str() == jid.bare_str())
    }
}

impl Core {
    /// Whether this address belongs to somebody who runs a host of this server, any of them.
    #[must_use]
    pub fn is_admin_anywhere(&self, jid: &Jid) -> bool {
        self.hosts.load().values().any(|host| host.is_admin(jid))
    }

    /// Whether whoever has the one address runs all hosts that the other one's owner runs: then
    /// the account of that one gives no powers that are not there already.
    #[must_use]
    pub fn is_equal_admin(&self, jid: &Jid, other: &Jid) -> bool {
        let hosts = self.hosts.load();
        let mut run = hosts.values().filter(|host| host.is_admin(other));
        run.all(|host| host.is_admin(jid))
    }
}

/// The hosts by name.
pub(crate) type Hosts = Map<Box<str>, Arc<Host>>;

/// Makes the table of hosts from a configuration, which has checked the names.
#[must_use]
pub(crate) fn hosts(config: &config::Config) -> Hosts {
    let host = |entry: &config::HostConfig| {
        let name = Jid::from_parts(None, &entry.name, None).ok()?;
        let host = Host {
            registration: entry.registration,
            admins: entry.admins.clone(),
            name: name.clone(),
        };
        Some((Box::from(name.as_str()), Arc::new(host)))
    };
    config.hosts.iter().filter_map(host).collect()
}
