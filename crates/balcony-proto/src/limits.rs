//! How much XML one peer may make us look at (RFC 6120 §13.12, XEP-0478).

/// Bounds on what the scanner accepts. Each is checked before memory is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a first-level element or a stream header, from its `<` to its `>`
    /// (RFC 6120 §13.12 point 4).
    pub stanza_bytes: usize,
    /// Open elements within a stanza, the stanza itself included.
    pub depth: u16,
    /// Attributes of one element, namespace declarations included.
    pub attributes: u16,
    /// Elements in a stanza, the stanza itself included.
    pub children: u32,
    /// Bytes of an element's or attribute's name, its prefix included.
    pub name_bytes: u16,
    /// Bytes of a namespace name.
    pub namespace_bytes: u16,
}

impl Limits {
    /// For a peer that has not proved who it is: the least that RFC 6120 §13.12 allows, and no
    /// more structure than negotiation needs.
    pub const BEFORE_LOGIN: Limits = Limits {
        stanza_bytes: 10_000,
        depth: 16,
        attributes: 32,
        children: 128,
        name_bytes: 256,
        namespace_bytes: 512,
    };

    /// For an authenticated peer. 256 KiB holds the avatars and key bundles that clients publish
    /// in one stanza; forwarded messages with rich text nest about 20 deep, so 64 is generous.
    pub const AFTER_LOGIN: Limits = Limits {
        stanza_bytes: 262_144,
        depth: 64,
        attributes: 128,
        children: 10_000,
        name_bytes: 512,
        namespace_bytes: 1_024,
    };
}

impl Default for Limits {
    /// [`Limits::BEFORE_LOGIN`].
    fn default() -> Self {
        Limits::BEFORE_LOGIN
    }
}
