//! House rules that a machine can check. Each rule is a function over the tree, listed in `RULES`
//! with the reason it stands for; an exception is a line in `tidy-allow.toml` with its own reason.

mod allow;
mod boundaries;
mod citations;
mod layers;
mod links;
mod manifests;
mod quotes;
mod shape;
pub(crate) mod source;
mod words;

use crate::repo::Tree;
use allow::AllowList;

#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Print the rules and why each stands, and check nothing.
    #[arg(long)]
    rules: bool,
}

/// One thing that is wrong, where, and by which rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    pub(crate) path: String,
    /// From 1; 0 when the fault is the whole file's.
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) message: String,
}

/// What a rule reports: path, line and message. The rule's name is added by the caller.
type Found = (String, usize, String);

/// A house rule.
struct Rule {
    name: &'static str,
    why: &'static str,
    check: fn(&Tree) -> Vec<Found>,
}

const RULES: &[Rule] = &[
    Rule {
        name: "function-length",
        why: "a function of more than 70 lines cannot be held in the head at once",
        check: shape::long_functions,
    },
    Rule {
        name: "file-length",
        why: "a file of more than 800 lines has more than one reason to be opened",
        check: shape::long_files,
    },
    Rule {
        name: "line-length",
        why: "two files fit side by side at 100 columns",
        check: shape::long_lines,
    },
    Rule {
        name: "trailing-space",
        why: "invisible characters make noise in every diff",
        check: shape::trailing_space,
    },
    Rule {
        name: "name",
        why: "a file named for no subject collects every subject",
        check: shape::forbidden_names,
    },
    Rule {
        name: "first-sentence",
        why: "the first line of a crate says what it is for",
        check: shape::first_sentences,
    },
    Rule {
        name: "arrows",
        why: "dependencies only go down, and siblings never see each other",
        check: manifests::arrows,
    },
    Rule {
        name: "lints",
        why: "the lints of the workspace deny unsafe code and careless panics in every crate",
        check: manifests::lints,
    },
    Rule {
        name: "core-names-no-xep",
        why: "features live in modules; the core can be read without them",
        check: boundaries::core_names_no_xep,
    },
    Rule {
        name: "module-door",
        why: "modules see the core only through core::module",
        check: boundaries::module_door,
    },
    Rule {
        name: "sql",
        why: "only the store knows SQL, so that another database is one crate's work",
        check: boundaries::sql,
    },
    Rule {
        name: "sans-io",
        why: "proto and stream do no I/O, so that they can be tested, fuzzed and simulated",
        check: boundaries::sans_io,
    },
    Rule {
        name: "clock",
        why: "time comes from one clock that a test can hold still",
        check: boundaries::clock,
    },
    Rule {
        name: "unfinished",
        why: "what is left to do stands in the issues, not in the code",
        check: words::unfinished,
    },
    Rule {
        name: "ignored-test",
        why: "a test that does not run proves nothing",
        check: words::ignored_tests,
    },
    Rule {
        name: "machine-path",
        why: "a path of one machine means nothing on another",
        check: words::machine_paths,
    },
    Rule {
        name: "links",
        why: "a document that points at nothing has not been read since",
        check: links::dead_ends,
    },
    Rule {
        name: "quotes",
        why: "an example that no longer is what the code says teaches what is wrong",
        check: quotes::outdated,
    },
    Rule {
        name: "citations",
        why: "a rule taken from a document is cited where it is obeyed",
        check: citations::too_few,
    },
];

/// Prints every fault; true when there is none.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    if options.rules {
        for rule in RULES {
            println!("{:<18} {}", rule.name, rule.why);
        }
        return Ok(true);
    }
    let tree = Tree::read()?;
    let faults = AllowList::read()?.filter(check(&tree));
    for Fault {
        path,
        line,
        rule,
        message,
    } in &faults
    {
        println!("{path}:{line}: {rule}: {message}");
    }
    println!("tidy: {} rules, {} faults", RULES.len(), faults.len());
    for density in citations::densities(&tree) {
        println!("tidy: {density}");
    }
    Ok(faults.is_empty())
}

/// Every fault of the tree, before the allow-list.
fn check(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for rule in RULES {
        let found = (rule.check)(tree).into_iter();
        faults.extend(found.map(|(path, line, message)| Fault {
            path,
            line,
            rule: rule.name,
            message,
        }));
    }
    faults.sort();
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_name_and_a_reason() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
        assert!(RULES.iter().all(|rule| rule.why.len() > 20));
    }

    #[test]
    fn a_fault_carries_the_name_of_its_rule() {
        let faults = check(&Tree::of(&[("docs/a.md", "trailing \n")]));
        let rules: Vec<_> = faults
            .iter()
            .map(|fault| (fault.line, fault.rule))
            .collect();
        assert_eq!(rules, [(1, "trailing-space")]);
    }
}
