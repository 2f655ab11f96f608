//! `[registration]`: what may be registered, and how often.

use std::time::Duration;

use balcony_core::module::{Config, KeyKind, Section};
use balcony_proto::jid::prepare_local;
use balcony_proto::stanza::StanzaError;

use crate::keys::key;

const DAY: u64 = 86_400;

/// Longest life of an invitation in seconds. Ten years: a bound that catches a slip of the unit
/// and no real wish.
pub(super) const MOST_LIFETIME: u64 = 3_650 * DAY;

/// `[registration]`
pub(super) static SECTION: Section = Section {
    name: "registration",
    doc: "Accounts that people make and change from a client (XEP-0077). Who may make one is the \
          key `registration` of each `[[host]]`.",
    list: false,
    keys: &[
        key(
            "tries_per_address",
            KeyKind::Int {
                min: 1,
                max: 1_000_000,
            },
            "10",
            "Registrations that one address may try within `window`, successful or not. A family \
             behind one address gets its accounts, with a few names that were taken.",
        ),
        key(
            "window",
            KeyKind::Duration { min: 1, max: DAY },
            "\"1h\"",
            "The time in which `tries_per_address` and `password_changes` are counted.",
        ),
        key(
            "password_characters",
            KeyKind::Int { min: 1, max: 128 },
            "8",
            "The fewest characters of a password that a client sets; `balcony user passwd` takes \
             any. Eight is the least of NIST SP 800-63B §3.1.1.2, which wants no other rules.",
        ),
        key(
            "reserved_names",
            KeyKind::Strs,
            "[\"abuse\", \"admin\", \"administrator\", \"hostmaster\", \"info\", \
                 \"postmaster\", \"root\", \"security\", \"support\", \"webmaster\", \"xmpp\"]",
            "Names in front of the `@` that cannot be registered, since they would seem to speak \
             for the server: the mailboxes of RFC 2142 and the like. Addresses in `admins` of any \
             host are always refused. `balcony user add` makes them all.",
        ),
        key(
            "invite_lifetime",
            KeyKind::Duration {
                min: 60,
                max: MOST_LIFETIME,
            },
            "\"7d\"",
            "How long an invitation is good that was made without a time of its own. A week is \
             enough for somebody who reads mail at the weekend.",
        ),
        key(
            "password_change",
            KeyKind::Bool,
            "true",
            "Whether people may change their password from a client.",
        ),
        key(
            "password_changes",
            KeyKind::Int {
                min: 1,
                max: 1_000_000,
            },
            "10",
            "How often one account may change its password within `window`. Each change costs the \
             server as much as a registration.",
        ),
        key(
            "removal",
            KeyKind::Bool,
            "true",
            "Whether people may remove their account from a client, with all that belongs to it.",
        ),
    ],
};

/// The values of `[registration]`.
pub(super) struct Settings {
    pub(super) tries_per_address: u32,
    pub(super) window: Duration,
    password_characters: usize,
    reserved_names: Vec<String>,
    pub(super) invite_lifetime: Duration,
    pub(super) password_change: bool,
    pub(super) password_changes: u32,
    pub(super) removal: bool,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        let values = config.values("registration");
        Self {
            tries_per_address: values.int("tries_per_address"),
            window: values.duration("window"),
            password_characters: values.int("password_characters"),
            reserved_names: values.texts("reserved_names").to_vec(),
            invite_lifetime: values.duration("invite_lifetime"),
            password_change: values.bool("password_change"),
            password_changes: values.int("password_changes"),
            removal: values.bool("removal"),
        }
    }

    /// Whether nobody may register this prepared localpart.
    pub(super) fn reserves(&self, local: &str) -> bool {
        let mut names = self.reserved_names.iter();
        names.any(|name| prepare_local(name).is_ok_and(|name| name == local))
    }

    /// # Errors
    /// `not-acceptable` for a password that is too short.
    pub(super) fn check_password(&self, password: &str) -> Result<(), StanzaError> {
        let least = self.password_characters;
        if password.chars().count() >= least {
            return Ok(());
        }
        let text = format!("a password has {least} characters at least");
        Err(StanzaError::not_acceptable().with_text(text))
    }
}

#[cfg(test)]
pub(super) fn parsed(text: &str) -> Settings {
    Settings::new(&Config::parse(text, None, &[&SECTION]).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_seem_to_speak_for_the_server_are_reserved_in_any_case() {
        let settings = parsed("[registration]\nreserved_names = [\"Admin\", \"@\"]\n");
        assert!(settings.reserves("admin"));
        assert!(!settings.reserves("juliet"));
        assert!(parsed("").reserves("postmaster"));
    }

    #[test]
    fn a_password_is_measured_in_characters() {
        let settings = parsed("");
        assert!(settings.check_password("ρωμαίος!").is_ok());
        assert!(settings.check_password("ρωμαίο!").is_err());
    }
}
