//! Everything that must be green, in the order in which it is cheapest to learn of a failure.
//!
//! Nothing is skipped silently, nothing runs twice, and the last line is the verdict. Warnings are
//! denied by clippy (which reports the compiler's too) and not through RUSTFLAGS, so that the
//! builds of a desk and of this command share their artifacts.

use std::process::Command;
use std::time::Instant;

use crate::process::{say, step};
use crate::{Outcome, cargo, layers, postgres, process, root, sdk, supply};

pub fn run() -> Outcome {
    let start = Instant::now();
    step("format", || {
        process::run(
            cargo()
                .args(["fmt", "--all", "--check"])
                .current_dir(root()),
        )
    })?;
    step("layers", layers::check)?;
    step("licences, bans, sources", supply::check)?;
    step("lints", lints)?;

    let mut counts = Counts::default();
    {
        let server = step("PostgreSQL for the tests", postgres::start)?;
        step("tests", || tests(&server.url, &mut counts))?;
        step("documentation tests", || documentation_tests(&mut counts))?;
        step("official SDKs", || sdk::check(&server, &mut counts))?;
    }
    say(&format!(
        "\nall green in {:.0} s",
        start.elapsed().as_secs_f64()
    ));
    say(&counts.summary());
    Ok(())
}

fn lints() -> Outcome {
    let mut command = cargo();
    command.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]);
    process::run(command.current_dir(root()))
}

fn tests(postgres: &str, counts: &mut Counts) -> Outcome {
    let mut command = cargo();
    if process::works(Command::new("cargo-nextest").args(["nextest", "--version"])) {
        command.args([
            "nextest",
            "run",
            "--workspace",
            "--locked",
            "--no-fail-fast",
        ]);
    } else {
        say("cargo-nextest is not installed; cargo test runs the same tests");
        command.args([
            "test",
            "--workspace",
            "--all-targets",
            "--locked",
            "--no-fail-fast",
        ]);
    }
    command
        .env("TOLLGATE_TEST_POSTGRES", postgres)
        .current_dir(root());
    counted(&mut command, counts)
}

/// nextest does not run these. A workspace without any is fine.
fn documentation_tests(counts: &mut Counts) -> Outcome {
    let mut command = cargo();
    command
        .args(["test", "--workspace", "--doc", "--locked", "--quiet"])
        .current_dir(root());
    process::read(&mut command)?
        .lines()
        .for_each(|line| counts.add(line));
    Ok(())
}

/// Runs tests and adds what they report; a run that reports no test is a failure.
pub fn counted(command: &mut Command, counts: &mut Counts) -> Outcome {
    let before = counts.passed;
    process::watch(command, |line| counts.add(line))?;
    if counts.passed == before {
        Err("no test ran".to_owned())
    } else {
        Ok(())
    }
}

/// How many tests ended how, over all runners.
#[derive(Default)]
pub struct Counts {
    pub passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    /// Adds the closing line of a test runner; any other line adds nothing.
    ///
    /// nextest: `Summary [ 1.2s] 5 tests run: 5 passed, 0 skipped`; cargo: `test result: ok. 5 passed;
    /// 0 failed; 1 ignored; …`; pytest: `==== 5 passed, 1 skipped in 0.51s ====`; node: `ℹ pass 5`.
    fn add(&mut self, line: &str) {
        let words: Vec<&str> = line
            .split([' ', ',', ';', '(', ')'])
            .filter(|w| !w.is_empty())
            .collect();
        if let [_, name, number] = words.as_slice()
            && matches!(line.chars().next(), Some('ℹ' | '#'))
        {
            return self.count(name, number);
        }
        let closing = line.trim_start().starts_with("Summary [")
            || line.starts_with("test result:")
            || (line.starts_with('=') && line.ends_with('='));
        if closing {
            words
                .windows(2)
                .for_each(|pair| self.count(pair[1], pair[0]));
        }
    }

    fn count(&mut self, name: &str, number: &str) {
        let Ok(number) = number.parse::<u64>() else {
            return;
        };
        match name {
            "passed" | "pass" => self.passed += number,
            "failed" | "fail" | "timed" | "error" | "errors" | "cancelled" => self.failed += number,
            "skipped" | "ignored" | "todo" => self.skipped += number,
            _ => {}
        }
    }

    pub fn summary(&self) -> String {
        let skipped = match self.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} skipped"),
        };
        format!("{} passed, {} failed{skipped}", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn summary(lines: &[&str]) -> String {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| counts.add(line));
        counts.summary()
    }

    #[test]
    fn closing_lines_of_every_runner_are_counted() {
        assert_eq!(
            summary(&[
                "     Summary [   1.012s] 9 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 2 skipped"
            ]),
            "7 passed, 2 failed, 2 skipped"
        );
        assert_eq!(
            summary(&[
                "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out"
            ]),
            "5 passed, 0 failed, 1 skipped"
        );
        assert_eq!(
            summary(&["======== 1 failed, 4 passed in 0.51s ========"]),
            "4 passed, 1 failed"
        );
        assert_eq!(
            summary(&["ℹ tests 6", "ℹ pass 6", "ℹ fail 0", "ℹ duration_ms 12.5"]),
            "6 passed, 0 failed"
        );
        assert_eq!(summary(&["# pass 2", "# fail 1"]), "2 passed, 1 failed");
    }

    #[test]
    fn other_lines_count_nothing() {
        let lines = [
            "running 5 tests",
            "test keys::pass ... ok",
            "# pass the salt",
            "3 passed away",
            "",
        ];
        assert_eq!(summary(&lines), "0 passed, 0 failed");
    }
}
