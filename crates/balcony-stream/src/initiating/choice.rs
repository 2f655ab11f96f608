//! Which mechanism a client uses: the strongest that is offered, allowed and possible (RFC 6120
//! §6.3.3), by the rules of XEP-0440 §3.

use balcony_proto::sasl::{BindingType, ChannelBindings, Mechanism, Offer};
use balcony_proto::stream::Features;

use super::Failure;
use crate::sasl_profile::Profile;

/// What the server offers in the profile that is used, in its own words, for XEP-0474 too.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) profile: Profile,
    mechanisms: Vec<String>,
    bindings: Option<Vec<String>>,
}

impl Offered {
    /// SASL2 where it is wanted and offered, over TLS only (XEP-0388 §3).
    pub(super) fn read(features: &Features, sasl2: bool) -> Offered {
        let modern = if sasl2 {
            features.sasl2_mechanisms()
        } else {
            Vec::new()
        };
        let (profile, mechanisms) = match modern.is_empty() {
            false => (Profile::Sasl2, modern),
            true => (Profile::Classic, features.mechanisms()),
        };
        Offered {
            profile,
            mechanisms,
            bindings: features.channel_bindings(),
        }
    }

    /// Of a login by token, which signs no offer.
    pub(super) fn by_token() -> Offered {
        Offered {
            profile: Profile::Sasl2,
            mechanisms: Vec::new(),
            bindings: None,
        }
    }

    /// Lends the offer in the form that SCRAM signs.
    pub(super) fn with<R>(&self, use_it: impl FnOnce(&Offer<'_>) -> R) -> R {
        let mechanisms: Vec<&str> = self.mechanisms.iter().map(String::as_str).collect();
        let bindings: Option<Vec<&str>> = self
            .bindings
            .as_ref()
            .map(|types| types.iter().map(String::as_str).collect());
        use_it(&Offer {
            mechanisms: &mechanisms,
            channel_bindings: bindings.as_deref(),
        })
    }

    pub(super) fn choose(
        &self,
        allowed: &[Mechanism],
        encrypted: bool,
        ours: &ChannelBindings,
    ) -> Result<Mechanism, Failure> {
        let binds = !ours.is_empty() && self.bindable(ours)?;
        let possible = |mechanism: &Mechanism| match mechanism {
            Mechanism::Plain => encrypted,
            Mechanism::External => false,
            other => !other.is_plus() || binds,
        };
        let offered = |known: &Mechanism| self.mechanisms.iter().any(|name| name == known.as_str());
        Mechanism::ALL
            .into_iter()
            .filter(|known| allowed.contains(known) && possible(known))
            .find(offered)
            .ok_or_else(|| self.nothing())
    }

    /// Whether a -PLUS mechanism can be used. XEP-0440 §3 rules 4 to 6 for a client that can bind.
    fn bindable(&self, ours: &ChannelBindings) -> Result<bool, Failure> {
        let plus = self.with(|offer| offer.has_plus());
        match (&self.bindings, plus) {
            // Rule 4: undefined in classic SASL, where servers older than XEP-0440 are like that.
            (None, true) if self.profile == Profile::Sasl2 => Err(Failure::Contradiction),
            (None, plus) => Ok(plus),
            // Rule 5.
            (Some(_), false) => Err(Failure::Contradiction),
            (Some(types), true) => {
                let has = |known: BindingType| types.iter().any(|name| name == known.as_str());
                let common = ours.types().any(has);
                // Rule 6: every server has tls-server-end-point. XEP-0474 §6 lets SCRAM go on where
                // it has not, for its hash then tells whether the list was changed; but a server
                // without the hash would go unnoticed.
                if !common && !has(BindingType::TlsServerEndPoint) {
                    return Err(Failure::Contradiction);
                }
                Ok(common)
            }
        }
    }

    fn nothing(&self) -> Failure {
        let offered = match self.mechanisms.is_empty() {
            true => "nothing".to_string(),
            false => self.mechanisms.join(", "),
        };
        Failure::NoMechanism { offered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(mechanisms: &[&str], bindings: Option<&[&str]>) -> Offered {
        let features = Features::new().with_sasl2(mechanisms.iter().copied(), []);
        Offered::read(
            &match bindings {
                Some(types) => features.with_channel_bindings(types.iter().copied()),
                None => features,
            },
            true,
        )
    }

    fn ours() -> ChannelBindings {
        ChannelBindings {
            exporter: Some([1; 32]),
            server_end_point: Some(vec![2; 32]),
        }
    }

    #[test]
    fn a_bound_mechanism_comes_before_a_stronger_hash() {
        let offered = offer(
            &["SCRAM-SHA-512", "SCRAM-SHA-1-PLUS"],
            Some(&["tls-exporter"]),
        );
        let chosen = offered.choose(&Mechanism::ALL, true, &ours()).unwrap();
        assert_eq!(chosen, Mechanism::ScramSha1Plus);
        let unable = ChannelBindings::default();
        let chosen = offered.choose(&Mechanism::ALL, true, &unable).unwrap();
        assert_eq!(chosen, Mechanism::ScramSha512);
    }

    #[test]
    fn stripped_offers_are_refused() {
        for offered in [
            offer(&["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], None),
            offer(&["SCRAM-SHA-1"], Some(&["tls-exporter"])),
            offer(&["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], Some(&["tls-dummy"])),
        ] {
            let refused = offered.choose(&Mechanism::ALL, true, &ours());
            assert!(
                matches!(refused, Err(Failure::Contradiction)),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn plain_is_never_used_in_clear_nor_unless_allowed() {
        let offered = offer(&["PLAIN"], None);
        let none = ChannelBindings::default();
        assert!(offered.choose(&[Mechanism::Plain], true, &none).is_ok());
        let refused = offered
            .choose(&[Mechanism::Plain], false, &none)
            .unwrap_err();
        assert!(refused.to_string().contains("PLAIN"));
        assert!(
            offered
                .choose(&[Mechanism::ScramSha1], true, &none)
                .is_err()
        );
    }
}
