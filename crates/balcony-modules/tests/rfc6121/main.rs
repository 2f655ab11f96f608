//! RFC 6121 in one process: what clients see, stanza by stanza, in its order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // tests, helpers too

mod archive;
mod faulty;
mod offline;
mod presence;
mod roster;
mod stage;
mod subscription;
