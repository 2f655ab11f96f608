//! XEP-0215 External Service Discovery 1.0.0: STUN, TURN and other services beside XMPP.

use super::date_time;
use crate::ns;
use crate::xml::Element;

/// A `<service/>` (XEP-0215 §2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What it is: `stun`, `turn`…; the attribute `type`.
    pub kind: String,
    /// Its domain or IP address.
    pub host: String,
    /// `None`: the one that is usual for the type.
    pub port: Option<u16>,
    /// `udp` or `tcp`. `None`: not said.
    pub transport: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// Whether it wants credentials, which may have to be asked for (§3.3).
    pub restricted: bool,
    /// With which name and password to log in there.
    pub credentials: Option<Credentials>,
}

/// How to log in at a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// Until when they hold: microseconds since the Unix epoch, UTC. `None`: not said.
    pub expires: Option<i64>,
}

impl Service {
    /// Reads a `<service/>`. `None` without `host` or `type`, which are required.
    #[must_use]
    pub fn parse(element: &Element) -> Option<Self> {
        let text = |key: &str| element.attr(key).map(str::to_owned);
        let credentials = text("username").zip(text("password"));
        Some(Service {
            kind: text("type")?,
            host: text("host")?,
            port: element.attr("port").and_then(|port| port.parse().ok()),
            transport: text("transport"),
            name: text("name"),
            restricted: matches!(element.attr("restricted"), Some("true" | "1")),
            credentials: credentials.map(|(username, password)| Credentials {
                username,
                password,
                expires: element.attr("expires").and_then(date_time::parse),
            }),
        })
    }

    /// The `<service/>`.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let service = Element::new(ns::EXTDISCO, "service")
            .with_attr("type", self.kind.as_str())
            .with_attr("host", self.host.as_str())
            .with_opt_attr("port", self.port.map(|port| port.to_string()))
            .with_opt_attr("transport", self.transport.as_deref())
            .with_opt_attr("name", self.name.as_deref())
            .with_opt_attr("restricted", self.restricted.then_some("true"));
        let Some(credentials) = &self.credentials else {
            return service;
        };
        service
            .with_attr("username", credentials.username.as_str())
            .with_attr("password", credentials.password.as_str())
            .with_opt_attr("expires", credentials.expires.map(date_time::format_utc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_written_and_read_back() {
        let service = Service {
            kind: "turn".into(),
            host: "turn.localhost".into(),
            port: Some(3478),
            transport: Some("udp".into()),
            name: None,
            restricted: true,
            credentials: Some(Credentials {
                username: "1031699305:romeo".into(),
                password: "secret".into(),
                expires: Some(1_031_699_305_000_000),
            }),
        };
        assert_eq!(Service::parse(&service.to_element()), Some(service));
        assert_eq!(Service::parse(&Element::new(ns::EXTDISCO, "service")), None);
    }
}
