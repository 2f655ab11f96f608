use std::collections::BTreeMap;

use super::MemoryStore;
use super::apply::misplaced;
use super::tables::{AccountData, Kind, Name, Tables, name_of};
use crate::{
    Affiliation, BoxFuture, Error, Result, RoomAffiliation, RoomData, RoomEntry, Rooms, Stored,
    Write,
};

/// What a room has beside what accounts have too.
#[derive(Clone)]
pub(super) struct RoomRow {
    config: Stored,
    subject: Option<Stored>,
    affiliations: BTreeMap<String, RoomAffiliation>,
}

impl RoomRow {
    fn set_affiliation(&mut self, jid: &str, new: &RoomAffiliation, max: u32) -> Result<()> {
        let mut others = self.affiliations.iter().filter(|(of, _)| *of != jid);
        if new.nick.is_some() && others.any(|(_, other)| other.nick == new.nick) {
            return Err(Error::Conflict("nickname"));
        }
        if !self.affiliations.contains_key(jid) && self.affiliations.len() >= max as usize {
            return Err(Error::Limit("affiliations"));
        }
        self.affiliations.insert(jid.to_owned(), new.clone());
        Ok(())
    }
}

impl AccountData {
    fn room(&self) -> Option<&RoomRow> {
        match &self.kind {
            Kind::Room(room) => Some(room),
            _ => None,
        }
    }
}

impl Tables {
    pub(super) fn apply_room(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::RoomCreate {
                host,
                room,
                created,
                config,
            } => self.create_room((host.clone(), room.clone()), *created, config),
            Write::RoomConfigSet { room, config } => {
                self.change_room(room)?.config = config.clone();
                Ok(())
            }
            Write::RoomSubjectSet { room, subject } => {
                self.change_room(room)?.subject.clone_from(subject);
                Ok(())
            }
            Write::RoomAffiliationSet {
                room,
                jid,
                affiliation,
                max,
            } => {
                let room = self.change_room(room)?;
                match affiliation {
                    Some(new) => return room.set_affiliation(jid, new, *max),
                    None => room.affiliations.remove(jid),
                };
                Ok(())
            }
            Write::RoomDelete { room } => {
                self.change_room(room)?;
                self.delete_account(&name_of(room).ok_or(Error::NotFound)?)
            }
            _ => Err(misplaced()),
        }
    }

    fn create_room(&mut self, name: Name, created: i64, config: &Stored) -> Result<()> {
        if self.named(&name).is_some() {
            return Err(Error::Conflict("room"));
        }
        let room = RoomRow {
            config: config.clone(),
            subject: None,
            affiliations: BTreeMap::new(),
        };
        let data = self.new_owner(Kind::Room(room), created);
        self.add_account(name, data);
        Ok(())
    }

    fn change_room(&mut self, room: &str) -> Result<&mut RoomRow> {
        match &mut self.change(room)?.kind {
            Kind::Room(room) => Ok(room),
            _ => Err(Error::NotFound),
        }
    }

    /// The rooms of a service, in order, from this localpart on.
    fn rooms_from(
        &self,
        host: &str,
        from: &str,
    ) -> impl Iterator<Item = (&String, &AccountData, &RoomRow)> {
        let all = self.accounts_from((host.to_owned(), from.to_owned()));
        all.take_while(move |((of, _), _)| of == host)
            .filter_map(|((_, room), data)| Some((room, data, data.room()?)))
    }
}

impl Rooms for MemoryStore {
    fn get(&self, room: &str) -> BoxFuture<'_, Result<Option<RoomData>>> {
        self.read(|tables| {
            let data = tables.account(room)?;
            let room = data.room()?;
            let affiliations = room.affiliations.iter();
            Some(RoomData {
                created: data.created,
                config: room.config.clone(),
                subject: room.subject.clone(),
                affiliations: affiliations
                    .map(|(jid, kept)| (jid.clone(), kept.clone()))
                    .collect(),
            })
        })
    }

    fn list(
        &self,
        host: &str,
        after: Option<&str>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<RoomEntry>>> {
        let after = after.unwrap_or("");
        self.read(|tables| {
            let rooms = tables.rooms_from(host, after);
            let rooms = rooms.filter(|(name, ..)| *name != after);
            let entries = rooms.map(|(name, data, room)| RoomEntry {
                room: name.clone(),
                created: data.created,
                config: room.config.clone(),
            });
            entries.take(limit as usize).collect()
        })
    }

    fn owned_by(&self, host: &str, jid: &str) -> BoxFuture<'_, Result<u32>> {
        self.read(|tables| {
            let rooms = tables.rooms_from(host, "");
            let theirs = rooms.filter_map(|(_, _, room)| room.affiliations.get(jid));
            let owned = theirs.filter(|kept| kept.affiliation == Affiliation::Owner);
            u32::try_from(owned.count()).unwrap_or(u32::MAX)
        })
    }

    fn rooms_of(&self, host: &str, jid: &str) -> BoxFuture<'_, Result<Vec<(String, Affiliation)>>> {
        self.read(|tables| {
            let rooms = tables.rooms_from(host, "");
            let theirs = rooms.filter_map(|(name, _, room)| {
                Some((name.clone(), room.affiliations.get(jid)?.affiliation))
            });
            theirs.collect()
        })
    }
}
