//! A block list, and whom it blocks (XEP-0191 §6).

use balcony_proto::jid::Jid;

/// The JIDs that an account blocks. Never changed; a changed list is another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockList {
    /// Ordered by their text, each once.
    jids: Box<[Jid]>,
}

impl BlockList {
    /// Reads a stored list. What is no JID any more blocks nobody.
    pub(super) fn new(texts: &[String]) -> Self {
        texts
            .iter()
            .filter_map(|text| Jid::parse(text).ok())
            .collect()
    }

    /// The JIDs on the list, in order.
    pub(super) fn jids(&self) -> &[Jid] {
        &self.jids
    }

    /// The same with more JIDs.
    pub(super) fn with(&self, more: &[Jid]) -> Self {
        self.jids.iter().chain(more).cloned().collect()
    }

    /// The same with fewer JIDs.
    pub(super) fn without(&self, fewer: &[Jid]) -> Self {
        let kept = self.jids.iter().filter(|jid| !fewer.contains(jid));
        kept.cloned().collect()
    }

    /// Whether an entity is blocked. §6: by the same full JID, by the bare JID, or by the domain,
    /// which stands for all that is under it.
    pub(super) fn blocks(&self, jid: &Jid) -> bool {
        self.has(jid.as_str()) || self.has(jid.bare_str()) || self.has(jid.domain())
    }

    fn has(&self, text: &str) -> bool {
        self.jids
            .binary_search_by(|jid| jid.as_str().cmp(text))
            .is_ok()
    }
}

impl FromIterator<Jid> for BlockList {
    fn from_iter<I: IntoIterator<Item = Jid>>(jids: I) -> Self {
        let mut jids: Vec<Jid> = jids.into_iter().collect();
        jids.sort_by(|one, two| one.as_str().cmp(two.as_str()));
        jids.dedup();
        Self { jids: jids.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(jids: &[&str]) -> BlockList {
        jids.iter().map(|jid| Jid::parse(jid).unwrap()).collect()
    }

    fn blocked(by: &str) -> Vec<&'static str> {
        let list = list(&[by]);
        [
            "tybalt@capulet.lit/sword",
            "tybalt@capulet.lit/shield",
            "tybalt@capulet.lit",
            "capulet.lit/door",
            "capulet.lit",
        ]
        .into_iter()
        .filter(|jid| list.blocks(&Jid::parse(jid).unwrap()))
        .collect()
    }

    #[test]
    fn each_form_of_a_jid_blocks_what_the_matching_rules_say() {
        assert_eq!(
            blocked("tybalt@capulet.lit/sword"),
            ["tybalt@capulet.lit/sword"]
        );
        assert_eq!(
            blocked("tybalt@capulet.lit"),
            [
                "tybalt@capulet.lit/sword",
                "tybalt@capulet.lit/shield",
                "tybalt@capulet.lit"
            ]
        );
        assert_eq!(blocked("capulet.lit/door"), ["capulet.lit/door"]);
        assert_eq!(blocked("capulet.lit").len(), 5);
        assert_eq!(blocked("montague.lit"), [""; 0]);
    }

    #[test]
    fn a_list_has_each_jid_once_and_loses_what_is_taken_off() {
        let tybalt = Jid::parse("tybalt@capulet.lit").unwrap();
        let both = list(&["paris@verona.lit"]).with(&[tybalt.clone(), tybalt.clone()]);
        assert_eq!(both.jids().len(), 2);
        assert!(both.blocks(&tybalt));
        let one = both.without(std::slice::from_ref(&tybalt));
        assert!(!one.blocks(&tybalt));
        assert_eq!(one.jids().len(), 1);
    }

    #[test]
    fn what_is_stored_and_no_jid_blocks_nobody() {
        let list = BlockList::new(&["@".into(), "romeo@localhost".into()]);
        assert_eq!(list.jids().len(), 1);
    }
}
