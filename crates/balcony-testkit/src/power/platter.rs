//! Files as a disk has them: what was synced, and what may or may not have reached it since.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Cut;
use super::log::{Change, Record};
use crate::crash::Seeded;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// The index of a write-ahead log is shared memory: it is made anew after a crash.
const INDEX: &str = "-shm";

/// A folder on the disk.
#[derive(Debug, Default)]
pub(super) struct Platter {
    /// Files by their names, as indexes; creation, removal and new names are durable at once.
    names: BTreeMap<String, usize>,
    files: Vec<File>,
    /// What the numbers in the log stand for.
    opened: HashMap<u32, usize>,
    /// Names that were there and are gone.
    removed: Vec<String>,
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    /// Not synced, in order, with its place in the log.
    pending: Vec<(u64, Pending)>,
}

#[derive(Debug)]
enum Pending {
    Bytes(usize, Vec<u8>),
    Length(usize),
    AtLeast(usize),
}

impl Platter {
    /// Takes what is there for durable.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut platter = Self::default();
        let mut folders = vec![PathBuf::new()];
        while let Some(relative) = folders.pop() {
            let Ok(entries) = fs::read_dir(folder.join(&relative)) else {
                continue;
            };
            for entry in entries {
                let entry = entry?;
                let name = relative.join(entry.file_name());
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(name);
                } else if kind.is_file() && !is_index(&name) {
                    let durable = fs::read(entry.path())?;
                    let file = platter.named(&name.display().to_string());
                    platter.change(file, |file| file.durable = durable);
                }
            }
        }
        Ok(platter)
    }

    fn named(&mut self, name: &str) -> usize {
        if let Some(file) = self.names.get(name) {
            return *file;
        }
        self.files.push(File::default());
        self.names.insert(name.to_owned(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn change(&mut self, file: usize, change: impl FnOnce(&mut File)) {
        if let Some(file) = self.files.get_mut(file) {
            change(file);
        }
    }

    /// The next thing that happened.
    pub(super) fn apply(&mut self, record: Record<'_>) {
        let number = record.number;
        let pending = match record.change {
            Change::Opened { name, emptied } => {
                let file = self.named(name);
                self.opened.insert(number, file);
                match emptied {
                    true => Pending::Length(0),
                    false => return,
                }
            }
            Change::Written { at, bytes } => Pending::Bytes(size(at), bytes.to_vec()),
            Change::Length(length) => Pending::Length(size(length)),
            Change::AtLeast(length) => Pending::AtLeast(size(length)),
            Change::Synced { before } => {
                if let Some(file) = self.opened.get(&number).copied() {
                    self.change(file, |file| file.sync(before));
                }
                return;
            }
            Change::Removed(name) => {
                self.names.remove(name);
                return self.removed.push(name.to_owned());
            }
            Change::Renamed(from, to) => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.to_owned(), file);
                }
                return self.removed.push(from.to_owned());
            }
        };
        if let Some(file) = self.opened.get(&number).copied() {
            self.change(file, |file| file.pending.push((record.position, pending)));
        }
    }

    /// Of what was not synced some is lost and some is torn.
    pub(super) fn cut(&mut self, random: &mut Seeded) -> Cut {
        let mut cut = Cut::default();
        // All, half, or nothing: a disk with a small cache, and one with a large one.
        let losing = random.of(&[100, 50, 50, 20]).copied().unwrap_or(100);
        for file in &mut self.files {
            for (_, pending) in std::mem::take(&mut file.pending) {
                cut.unsynced += 1;
                if random.percent(losing) {
                    cut.lost += 1;
                } else if let (Pending::Bytes(at, bytes), true) = (&pending, random.percent(40)) {
                    cut.torn += 1;
                    file.tear(*at, bytes, random);
                } else {
                    file.make(pending);
                }
            }
        }
        cut
    }

    /// Puts the files into the folder.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let indexes = self.names.keys().map(|name| format!("{name}{INDEX}"));
        for name in self.removed.iter().cloned().chain(indexes) {
            if !self.names.contains_key(&name) && folder.join(&name).exists() {
                fs::remove_file(folder.join(&name))?;
            }
        }
        for (name, file) in &self.names {
            if let Some(file) = self.files.get(*file) {
                fs::write(folder.join(name), &file.durable)?;
            }
        }
        Ok(())
    }
}

fn is_index(name: &Path) -> bool {
    name.to_string_lossy().ends_with(INDEX)
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl File {
    fn sync(&mut self, before: u64) {
        let pending = std::mem::take(&mut self.pending);
        for (position, pending) in pending {
            match position < before {
                true => self.make(pending),
                false => self.pending.push((position, pending)),
            }
        }
    }

    fn make(&mut self, pending: Pending) {
        match pending {
            Pending::Bytes(at, bytes) => self.put(at, &bytes),
            Pending::Length(length) => self.durable.resize(length, 0),
            Pending::AtLeast(length) if length > self.durable.len() => {
                self.durable.resize(length, 0);
            }
            Pending::AtLeast(_) => {}
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        if let Some(place) = self.durable.get_mut(at..end) {
            place.copy_from_slice(bytes);
        }
    }

    /// Puts some of the sectors that the bytes touch.
    fn tear(&mut self, at: usize, bytes: &[u8], random: &mut Seeded) {
        let mut done = 0;
        while done < bytes.len() {
            let place = at + done;
            let end = (done + SECTOR - place % SECTOR).min(bytes.len());
            if let Some(part) = bytes.get(done..end).filter(|_| random.percent(50)) {
                self.put(place, part);
            }
            done = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platter(changes: &[Change<'_>]) -> Platter {
        let mut platter = Platter::default();
        for (position, change) in changes.iter().enumerate() {
            platter.apply(Record {
                position: position as u64,
                number: 1,
                change: *change,
            });
        }
        platter
    }

    const OPENED: Change<'_> = Change::Opened {
        name: "db",
        emptied: false,
    };

    fn written(at: u64, bytes: &[u8]) -> Change<'_> {
        Change::Written { at, bytes }
    }

    fn after_cut(platter: &mut Platter, seed: u64) -> Vec<u8> {
        platter.cut(&mut Seeded::new(seed));
        platter.files[0].durable.clone()
    }

    #[test]
    fn what_was_synced_stays_and_what_was_not_may_go() {
        let sync = Change::Synced { before: 2 };
        let changes = [OPENED, written(0, b"one"), sync, written(0, b"two")];
        let outcomes: Vec<Vec<u8>> = (0..100)
            .map(|seed| after_cut(&mut platter(&changes), seed))
            .collect();
        assert!(outcomes.contains(&b"one".to_vec()));
        assert!(outcomes.contains(&b"two".to_vec()));
        assert!(outcomes.iter().all(|outcome| outcome.len() == 3));
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_began() {
        let sync = Change::Synced { before: 2 };
        let changes = [OPENED, written(0, b"1"), written(1, b"2"), sync];
        let outcomes: Vec<Vec<u8>> = (0..100)
            .map(|seed| after_cut(&mut platter(&changes), seed))
            .collect();
        assert!(outcomes.contains(&b"1".to_vec()));
    }

    #[test]
    fn a_write_is_torn_at_the_borders_of_sectors() {
        let bytes = vec![7; 3 * SECTOR];
        let mut torn = false;
        for seed in 0..100 {
            let mut platter = platter(&[OPENED, written(100, &bytes)]);
            let cut = platter.cut(&mut Seeded::new(seed));
            let outcome = &platter.files[0].durable;
            torn |= cut.torn == 1;
            for sector in outcome.chunks(SECTOR).skip(1) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "{sector:?}");
            }
        }
        assert!(torn);
    }

    #[test]
    fn names_are_durable_at_once() {
        let renamed = Change::Renamed("db", "new");
        let mut platter = platter(&[OPENED, written(0, b"x"), renamed]);
        platter.apply(Record {
            position: 9,
            number: 1,
            change: Change::Synced { before: 9 },
        });
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("db"), "old").unwrap();
        platter.cut(&mut Seeded::new(1));
        platter.write(folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("new")).unwrap(), b"x");
        assert!(!folder.path().join("db").exists());
    }
}
