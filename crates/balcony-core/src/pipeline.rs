//! The order of the hooks, worked out once from what the modules declare.

use std::fmt::Write;

use balcony_proto::stanza::Kind;

use crate::error::Error;
use crate::module::{Band, Hook, HookSpec, Kinds, ModuleSpec, Stage};

/// A run of hooks without a commit, decision or delivery in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    SendingBefore,
    SendingRecord,
    SendingAfter,
    ArrivingBefore,
    ArrivingRecord,
    ArrivingAfter,
    Serving,
    Undelivered,
    UndeliveredAfter,
}

const GROUPS: usize = 9;
const KINDS: [(Kinds, &str); 3] = [
    (Kinds::MESSAGE, "message"),
    (Kinds::PRESENCE, "presence"),
    (Kinds::IQ, "iq"),
];

impl Group {
    fn of(stage: Stage, band: Band) -> Self {
        match (stage, band) {
            (Stage::Sending, Band::Guard | Band::Transform) => Self::SendingBefore,
            (Stage::Sending, Band::Record) => Self::SendingRecord,
            (Stage::Sending, Band::Stamp | Band::Copy | Band::Notify) => Self::SendingAfter,
            (Stage::Arriving, Band::Guard | Band::Transform) => Self::ArrivingBefore,
            (Stage::Arriving, Band::Record) => Self::ArrivingRecord,
            (Stage::Arriving, Band::Stamp | Band::Copy | Band::Notify) => Self::ArrivingAfter,
            (Stage::Serving, _) => Self::Serving,
            (Stage::Undelivered, Band::Stamp | Band::Copy | Band::Notify) => Self::UndeliveredAfter,
            (Stage::Undelivered, _) => Self::Undelivered,
        }
    }
}

/// All hooks in their order.
pub(crate) struct Pipeline {
    hooks: [[Vec<Hook>; 3]; GROUPS],
}

struct Placed {
    module: &'static str,
    spec: &'static HookSpec,
}

impl Pipeline {
    /// Orders the hooks: by stage, by band, then by `after`; what is left in the order of the
    /// modules.
    ///
    /// # Errors
    /// [`Error::Modules`] when `after` makes a circle, or when two hooks change the same thing in
    /// one place without saying which comes first.
    pub(crate) fn new(modules: &[&'static ModuleSpec]) -> Result<Self, Error> {
        let mut hooks: [[Vec<Hook>; 3]; GROUPS] = Default::default();
        for placed in ordered(modules)? {
            check_promptness(&placed)?;
            let group = Group::of(placed.spec.stage, placed.spec.band) as usize;
            let Some(row) = hooks.get_mut(group) else {
                continue;
            };
            for (list, (kind, _)) in row.iter_mut().zip(KINDS) {
                if placed.spec.kinds.0 & kind.0 != 0 {
                    list.push(placed.spec.hook);
                }
            }
        }
        Ok(Self { hooks })
    }

    /// The hooks of one group for one kind of stanza.
    pub(crate) fn hooks(&self, group: Group, kind: Kind) -> &[Hook] {
        let column = match kind {
            Kind::Message(_) => 0,
            Kind::Presence(_) => 1,
            Kind::Iq(_) => 2,
        };
        self.hooks
            .get(group as usize)
            .and_then(|row| row.get(column))
            .map_or(&[], Vec::as_slice)
    }
}

/// The whole order, for people: `docs/pipeline.txt`.
///
/// # Errors
/// As the start of a server with these modules would give them.
pub fn listing(modules: &[&'static ModuleSpec]) -> Result<String, Error> {
    let mut text = String::from("stage, band: module (stanzas) -> what it changes\n");
    for Placed { module, spec } in ordered(modules)? {
        let kinds: Vec<_> = KINDS
            .iter()
            .filter(|(k, _)| spec.kinds.0 & k.0 != 0)
            .map(|(_, name)| *name)
            .collect();
        let waits = if matches!(spec.hook, Hook::Waits(_)) {
            ", waits"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "{:?}, {:?}: {module} ({}{waits}) -> {}",
            spec.stage,
            spec.band,
            kinds.join(" "),
            if spec.changes.is_empty() {
                "nothing".into()
            } else {
                spec.changes.join(", ")
            },
        );
    }
    Ok(text)
}

fn ordered(modules: &[&'static ModuleSpec]) -> Result<Vec<Placed>, Error> {
    let mut waiting: Vec<Placed> = modules
        .iter()
        .flat_map(|module| {
            module.hooks.iter().map(|spec| Placed {
                module: module.name,
                spec,
            })
        })
        .collect();
    waiting.sort_by_key(|placed| (placed.spec.stage, placed.spec.band));
    check_conflicts(&waiting)?;
    let mut order: Vec<Placed> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting
            .iter()
            .position(|next| !waiting.iter().any(|other| must_precede(other, next)));
        let Some(at) = ready else {
            let names: Vec<_> = waiting.iter().map(|placed| placed.module).collect();
            return Err(Error::Modules(format!(
                "`after` makes a circle among {names:?}"
            )));
        };
        order.push(waiting.remove(at));
    }
    Ok(order)
}

fn same_place(one: &Placed, two: &Placed) -> bool {
    one.spec.stage == two.spec.stage && one.spec.band == two.spec.band
}

fn must_precede(first: &Placed, second: &Placed) -> bool {
    let place = |placed: &Placed| (placed.spec.stage, placed.spec.band);
    place(first) < place(second)
        || (same_place(first, second) && second.spec.after.contains(&first.module))
}

/// What comes after the commit is done in the order of the commits, and nobody may hold it up. At
/// the server itself nothing is recorded, and whoever takes something looks after it elsewhere.
fn check_promptness(placed: &Placed) -> Result<(), Error> {
    let Placed { module, spec } = placed;
    if spec.stage == Stage::Serving && spec.band != Band::Guard {
        let band = spec.band;
        return Err(Error::Modules(format!("{module} has {band:?} in Serving")));
    }
    let prompt = spec.band > Band::Record || spec.stage == Stage::Serving;
    if prompt && matches!(spec.hook, Hook::Waits(_)) {
        return Err(Error::Modules(format!(
            "{module} waits in {:?}, {:?}, where nothing may",
            spec.stage, spec.band,
        )));
    }
    Ok(())
}

fn check_conflicts(hooks: &[Placed]) -> Result<(), Error> {
    for (at, one) in hooks.iter().enumerate() {
        for two in hooks.iter().skip(at + 1) {
            let related = must_precede(one, two) || must_precede(two, one);
            let meet = one.spec.kinds.0 & two.spec.kinds.0 != 0;
            let both = one
                .spec
                .changes
                .iter()
                .find(|what| two.spec.changes.contains(what));
            if let (true, true, false, Some(what)) = (same_place(one, two), meet, related, both) {
                return Err(Error::Modules(format!(
                    "{} and {} both change `{what}` in {:?}, {:?}; one must come `after` the other",
                    one.module, two.module, one.spec.stage, one.spec.band,
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Flow;

    const fn hook(
        band: Band,
        after: &'static [&'static str],
        changes: &'static [&'static str],
    ) -> HookSpec {
        HookSpec {
            stage: Stage::Sending,
            band,
            kinds: Kinds::MESSAGE,
            after,
            changes,
            hook: Hook::Now(|_, _| Flow::Continue),
        }
    }

    static RECORD: [HookSpec; 1] = [hook(Band::Record, &[], &[])];
    static FIRST: [HookSpec; 1] = [hook(Band::Guard, &[], &["payload"])];
    static SECOND: [HookSpec; 1] = [hook(Band::Guard, &["first"], &["payload"])];
    static CIRCLE: [HookSpec; 1] = [hook(Band::Guard, &["circle"], &[])];
    static RECORDER: ModuleSpec = ModuleSpec {
        name: "recorder",
        hooks: &RECORD,
        ..ModuleSpec::NOTHING
    };
    static ONE: ModuleSpec = ModuleSpec {
        name: "first",
        hooks: &FIRST,
        ..ModuleSpec::NOTHING
    };
    static TWO: ModuleSpec = ModuleSpec {
        name: "second",
        hooks: &SECOND,
        ..ModuleSpec::NOTHING
    };
    static RIVAL: ModuleSpec = ModuleSpec {
        name: "rival",
        hooks: &FIRST,
        ..ModuleSpec::NOTHING
    };
    static KNOT: ModuleSpec = ModuleSpec {
        name: "circle",
        hooks: &CIRCLE,
        ..ModuleSpec::NOTHING
    };

    #[test]
    fn bands_come_before_the_order_of_modules_and_after_decides_within() {
        let names: Vec<_> = ordered(&[&RECORDER, &TWO, &ONE])
            .unwrap()
            .iter()
            .map(|placed| placed.module)
            .collect();
        assert_eq!(names, ["first", "second", "recorder"]);
    }

    #[test]
    fn two_hooks_that_change_the_same_thing_must_be_related() {
        let error = ordered(&[&ONE, &RIVAL]).err().unwrap().to_string();
        assert!(
            error.contains("first and rival both change `payload`"),
            "{error}"
        );
    }

    #[test]
    fn a_circle_is_refused() {
        assert!(ordered(&[&KNOT]).is_err());
    }
}
