//! Proofs that nothing is lost: clients under load against a real server that is killed, stopped,
//! or loses its power, again and again; in the end everything is accounted for.
//!
//! `docs/testing-durability.md` says how to run it and how to read what it finds.

pub mod check;
mod device;
mod eager;
pub mod journal;
pub mod observed;
mod round;
mod seeded;
mod world;

pub use eager::EagerStore;
pub use round::{Mutant, Options, Outcome, round};
pub use seeded::Seeded;
