//! What is to happen in a run, as its seed says.

use std::fmt;

use crate::crash::Seeded;

/// Who takes part. All but the last own both rooms when the race begins.
pub const PEOPLE: [&str; 4] = ["romeo", "juliet", "nurse", "tybalt"];
/// Where: few, so that they meet.
pub const ROOMS: [&str; 2] = ["garden", "street"];

/// Acts of one person in a run.
const ACTS: u64 = 14;

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Comes in, and makes the room if there is none.
    Enter,
    /// Goes.
    Leave,
    /// Gives the room a description of this number, and says whether the room is to last.
    Describe(u64, bool),
    /// Makes somebody, by the place among [`PEOPLE`], an owner, or a member, or nothing.
    Affiliate(usize, &'static str),
    /// Takes the own name as a nickname in the room, or gives it up.
    Register(bool),
    /// Asks what the room is, for which it is loaded.
    Ask,
    /// Says something.
    Say,
    /// Ends the room.
    Destroy,
    /// Ends the connection, and does nothing more.
    Quit,
}

/// An act with its moment and its place.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Turns that others have before.
    pub turns: u64,
    /// Milliseconds that pass before.
    pub pause: u64,
    /// The place among [`ROOMS`].
    pub room: usize,
    /// What is done.
    pub act: Act,
}

/// A schedule.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed that it is from, which orders the turns as well.
    pub seed: u64,
    /// For each of [`PEOPLE`].
    pub steps: Vec<Vec<Step>>,
    /// When the account of the last of them is deleted, in milliseconds. `None`: never.
    pub deleted: Option<u64>,
}

impl Plan {
    /// The schedule of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut chance = Seeded::new(seed).part(1);
        let mut number = 0;
        let steps = PEOPLE.iter().map(|_| {
            let count = chance.between(ACTS / 2, ACTS);
            let mut steps: Vec<Step> = (0..count)
                .map(|_| {
                    number += 1;
                    step(&mut chance, number)
                })
                .collect();
            if chance.percent(15) {
                steps.push(Step {
                    act: Act::Quit,
                    ..step(&mut chance, number)
                });
            }
            steps
        });
        let steps = steps.collect();
        let deleted = chance.percent(25).then(|| chance.below(12));
        Plan {
            seed,
            steps,
            deleted,
        }
    }
}

fn step(chance: &mut Seeded, number: u64) -> Step {
    let act = match chance.below(100) {
        0..20 => Act::Enter,
        20..40 => Act::Leave,
        40..60 => Act::Describe(number, chance.percent(50)),
        60..72 => {
            // Not the one whose account may be deleted.
            let who = chance.below(3);
            let what = ["owner", "member", "none"];
            let what = what.into_iter().nth(chance.below(3) as usize);
            Act::Affiliate(who as usize, what.unwrap_or("none"))
        }
        72..80 => Act::Register(chance.percent(60)),
        80..90 => Act::Ask,
        90..95 => Act::Say,
        _ => Act::Destroy,
    };
    Step {
        turns: chance.below(6),
        pause: if chance.percent(40) {
            chance.below(3)
        } else {
            0
        },
        room: usize::from(chance.percent(50)),
        act,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, deleted: {:?}", self.seed, self.deleted)?;
        for (who, steps) in PEOPLE.iter().zip(&self.steps) {
            for step in steps {
                writeln!(f, "  {who}: {step:?}")?;
            }
        }
        Ok(())
    }
}
