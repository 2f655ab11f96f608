//! The client that a session belongs to.

use std::sync::Arc;

use super::Session;

/// What the client of a session said of itself as it logged in, and what it proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionClient {
    /// Tells an installation of a client from the account's others, and is nobody else's business.
    /// `None`: not said.
    pub id: Option<String>,
    /// The name of the software. `None`: not said.
    pub software: Option<String>,
    /// The name of the device. `None`: not said.
    pub device: Option<String>,
    /// It has shown the password, for the session or to take it up again.
    pub password: bool,
    /// When the session was bound, in microseconds since the Unix epoch.
    pub since: i64,
}

impl SessionClient {
    /// Another login took the session up: what it said counts, where it said something.
    fn renewed(&self, login: SessionClient) -> SessionClient {
        let known = self.clone();
        SessionClient {
            id: login.id.or(known.id),
            software: login.software.or(known.software),
            device: login.device.or(known.device),
            password: login.password || known.password,
            since: known.since,
        }
    }
}

impl Session {
    /// The client; `None` for a session that no login made.
    #[must_use]
    pub fn client(&self) -> Option<Arc<SessionClient>> {
        self.client.lock().clone()
    }

    /// Notes who has logged in for the session, or to take it up again.
    pub fn logged_in(&self, login: SessionClient) {
        let mut client = self.client.lock();
        let renewed = match client.as_deref() {
            Some(known) => known.renewed(login),
            None => login,
        };
        *client = Some(Arc::new(renewed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_session_up_by_a_token_has_still_shown_the_password() {
        let first = SessionClient {
            id: Some("phone".into()),
            device: Some("Romeo's phone".into()),
            password: true,
            since: 5,
            ..SessionClient::default()
        };
        let second = SessionClient {
            id: Some("phone".into()),
            software: Some("Balcony".into()),
            since: 9,
            ..SessionClient::default()
        };
        let renewed = first.renewed(second);
        assert_eq!(renewed.device, first.device);
        assert_eq!(renewed.software.as_deref(), Some("Balcony"));
        assert!(renewed.password);
        assert_eq!(renewed.since, 5);
    }
}
