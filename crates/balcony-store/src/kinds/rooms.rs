use crate::{BoxFuture, Result, Stored};

/// A lasting association with a room (XEP-0045 §5.2). Whoever has none is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Affiliation {
    /// Decides over the room itself.
    Owner,
    /// Decides over members, outcasts and moderators.
    Admin,
    /// May enter a room that is for members only.
    Member,
    /// May not enter.
    Outcast,
}

impl Affiliation {
    /// All of them.
    pub const ALL: [Affiliation; 4] = [
        Affiliation::Owner,
        Affiliation::Admin,
        Affiliation::Member,
        Affiliation::Outcast,
    ];

    /// As written in a stanza and as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Affiliation::Owner => "owner",
            Affiliation::Admin => "admin",
            Affiliation::Member => "member",
            Affiliation::Outcast => "outcast",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Affiliation> {
        Affiliation::ALL
            .into_iter()
            .find(|word| word.as_str() == text)
    }
}

/// What a room keeps about somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomAffiliation {
    /// The affiliation.
    pub affiliation: Affiliation,
    /// The nickname that is reserved for them (XEP-0045 §7.10), no one else's in this room.
    pub nick: Option<String>,
    /// Why they have the affiliation, in the words of whoever gave it.
    pub reason: Option<String>,
}

/// What is stored of a room, its archive and vCard aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomData {
    /// When it was created.
    pub created: i64,
    /// Its configuration.
    pub config: Stored,
    /// Its subject. `None`: there is none.
    pub subject: Option<Stored>,
    /// Who has an affiliation, by bare JID or domain, ordered by that.
    pub affiliations: Vec<(String, RoomAffiliation)>,
}

/// One line of the list of rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomEntry {
    /// The localpart.
    pub room: String,
    /// When it was created.
    pub created: i64,
    /// Its configuration.
    pub config: Stored,
}

/// Reads of rooms (XEP-0045). `host` is the domainpart of a service, which is no host that has
/// accounts; `room` is a bare JID. A room's archive and vCard are read by its bare JID as those of
/// an account are.
pub trait Rooms: Send + Sync {
    /// The room with all its affiliations, from one state of the store. `None`: no such room.
    fn get(&self, room: &str) -> BoxFuture<'_, Result<Option<RoomData>>>;
    /// Up to `limit` rooms of a service, ordered by localpart bytewise, those after `after`.
    fn list(
        &self,
        host: &str,
        after: Option<&str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RoomEntry>>>;
    /// How many rooms of a service a bare JID owns.
    fn owned_by(&self, host: &str, jid: &str) -> BoxFuture<'_, Result<u32>>;
    /// The localparts of the rooms of a service in which a bare JID has an affiliation, in order,
    /// with which one.
    fn rooms_of(&self, host: &str, jid: &str) -> BoxFuture<'_, Result<Vec<(String, Affiliation)>>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_affiliation_is_read_back_by_its_word() {
        for word in Affiliation::ALL {
            assert_eq!(Affiliation::parse(word.as_str()), Some(word));
        }
        assert_eq!(Affiliation::parse("none"), None);
    }
}
