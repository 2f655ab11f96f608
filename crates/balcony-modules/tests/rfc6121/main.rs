//! RFC 6121 in one process: what clients see, stanza by stanza, in its order.

mod offline;
mod presence;
mod roster;
mod stage;
mod subscription;
