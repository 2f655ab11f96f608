//! Typed notes that a module keeps on a session or an envelope.

use std::any::{Any, TypeId};

/// Values keyed by their type. The type is private to the module that owns the note, so no other
/// module can reach it by accident. Holds no heap while empty.
#[derive(Default)]
pub struct Notes {
    // A linear search: a session has a handful of notes, an envelope hardly ever one.
    entries: Vec<(TypeId, Box<dyn Any + Send>)>,
}

impl Notes {
    /// The note of type `T`, if there is one.
    #[must_use]
    pub fn get<T: Any + Send>(&self) -> Option<&T> {
        let (_, value) = self
            .entries
            .iter()
            .find(|(id, _)| *id == TypeId::of::<T>())?;
        value.downcast_ref()
    }

    /// The note of type `T` for changing, if there is one.
    pub fn get_mut<T: Any + Send>(&mut self) -> Option<&mut T> {
        let (_, value) = self
            .entries
            .iter_mut()
            .find(|(id, _)| *id == TypeId::of::<T>())?;
        value.downcast_mut()
    }

    /// Sets the note of type `T` and gives back what was there.
    pub fn set<T: Any + Send>(&mut self, value: T) -> Option<T> {
        let before = self.take();
        self.entries.reserve_exact(1);
        self.entries.push((TypeId::of::<T>(), Box::new(value)));
        before
    }

    /// Removes the note of type `T`.
    pub fn take<T: Any + Send>(&mut self) -> Option<T> {
        let at = self
            .entries
            .iter()
            .position(|(id, _)| *id == TypeId::of::<T>())?;
        self.entries
            .swap_remove(at)
            .1
            .downcast()
            .ok()
            .map(|value| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_found_by_its_type_alone() {
        let mut notes = Notes::default();
        assert_eq!(notes.set(1_u8), None);
        assert_eq!(notes.set("text"), None);
        assert_eq!(notes.set(2_u8), Some(1));
        assert_eq!(notes.get::<u8>(), Some(&2));
        assert_eq!(notes.get::<u16>(), None);
        assert_eq!(notes.take::<&str>(), Some("text"));
        assert_eq!(notes.get::<&str>(), None);
    }
}
