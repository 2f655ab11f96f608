//! What ran, what failed, and what was skipped for which reason.

/// The count of one run. A check counts as one, a test as one.
#[derive(Default)]
pub(crate) struct Report {
    passed: usize,
    failed: usize,
    failures: Vec<String>,
    skips: Vec<(String, String)>,
    /// Tests that a test runner skipped by itself, without telling us why.
    skipped_by_runner: usize,
}

/// Counts read from what a test runner printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Report {
    pub(crate) fn pass(&mut self) {
        self.passed += 1;
    }

    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failed += 1;
        self.failures.push(what.into());
    }

    pub(crate) fn skip(&mut self, what: impl Into<String>, reason: impl Into<String>) {
        self.skips.push((what.into(), reason.into()));
    }

    /// One check that holds or does not.
    pub(crate) fn check(&mut self, what: &str, result: Result<bool, String>) {
        match result {
            Ok(true) => self.pass(),
            Ok(false) => self.fail(what),
            Err(error) => self.fail(format!("{what}: {error}")),
        }
    }

    /// The counts of a test runner. One that failed without counting a failure did not get as
    /// far as its tests.
    pub(crate) fn add(&mut self, what: &str, counts: &Counts, succeeded: bool) {
        self.passed += counts.passed;
        self.skipped_by_runner += counts.skipped;
        if counts.failed > 0 {
            self.failed += counts.failed;
            self.failures
                .push(format!("{what}: {} failed", counts.failed));
        } else if !succeeded {
            self.fail(format!("{what}: did not run to its end"));
        }
    }

    /// Prints the summary; true when nothing failed.
    pub(crate) fn print(&self) -> bool {
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        for (what, reason) in &self.skips {
            println!("skipped: {what}: {reason}");
        }
        if self.skipped_by_runner > 0 {
            println!("skipped: {} by the test runner", self.skipped_by_runner);
        }
        println!("{}", self.line());
        self.failed == 0
    }

    fn line(&self) -> String {
        let skipped = self.skips.len() + self.skipped_by_runner;
        format!(
            "{} passed, {} failed, {skipped} skipped",
            self.passed, self.failed
        )
    }
}

impl Counts {
    /// Adds up the summary lines of `cargo test` (`test result:`) and of nextest (`Summary`).
    pub(crate) fn read(output: &str) -> Self {
        let mut counts = Self::default();
        for line in output.lines() {
            let line = line.trim_start();
            if line.starts_with("test result:") || line.starts_with("Summary [") {
                counts.passed += before(line, "passed");
                counts.failed += before(line, "failed") + before(line, "timed");
                counts.skipped += before(line, "ignored") + before(line, "skipped");
            }
        }
        counts
    }
}

/// The sum of the numbers that stand before a word: `1 failed, 2 exec failed` has 3 failed.
fn before(line: &str, wanted: &str) -> usize {
    let words: Vec<&str> = line.split([' ', ',', ';', '(', ')']).collect();
    let ends = words
        .iter()
        .enumerate()
        .filter(|(_, word)| **word == wanted);
    ends.filter_map(|(at, _)| {
        let before = words
            .get(..at)?
            .iter()
            .rev()
            .filter(|word| !word.is_empty());
        before.take(2).find_map(|word| word.parse::<usize>().ok())
    })
    .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_test_lines_add_up() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n\
                      test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured\n";
        assert_eq!(
            Counts::read(output),
            Counts {
                passed: 5,
                failed: 1,
                skipped: 1
            }
        );
    }

    #[test]
    fn nextest_summary_is_read() {
        let output = "     Summary [   1.2s] 9 tests run: 5 passed (1 slow), 2 failed, \
                      1 exec failed, 1 timed out, 4 skipped\n";
        assert_eq!(
            Counts::read(output),
            Counts {
                passed: 5,
                failed: 4,
                skipped: 4
            }
        );
    }

    #[test]
    fn a_runner_that_failed_before_its_tests_is_a_failure() {
        let mut report = Report::default();
        report.add("tests", &Counts::default(), false);
        assert_eq!(report.line(), "0 passed, 1 failed, 0 skipped");
        assert!(!report.print());
    }

    #[test]
    fn the_last_line_counts_everything() {
        let mut report = Report::default();
        report.check("fmt", Ok(true));
        report.add(
            "tests",
            &Counts {
                passed: 2,
                failed: 0,
                skipped: 1,
            },
            true,
        );
        report.skip("profanity.py", "profanity is not installed");
        assert_eq!(report.line(), "3 passed, 0 failed, 2 skipped");
        assert!(report.print());
    }
}
