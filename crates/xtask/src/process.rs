//! Starting other programs and telling the user what happens.
//!
//! A program that fails is an error that names its command line. Nothing is run through a shell.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::Outcome;

/// Writes a line for the user.
pub fn say(line: &str) {
    // a closed pipe (`cargo ci | head`) is no reason to panic
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes the line that explains a failure.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "\n{line}");
}

/// Runs one named step of a longer task and prints how long it took.
pub fn step<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    say(&format!("\n=== {name}"));
    let start = Instant::now();
    let outcome = work();
    let seconds = start.elapsed().as_secs_f64();
    match &outcome {
        Ok(_) => say(&format!("--- {name}: ok ({seconds:.1} s)")),
        Err(_) => say(&format!("--- {name}: FAILED ({seconds:.1} s)")),
    }
    outcome.map_err(|error| format!("FAILED: {name}: {error}"))
}

/// Runs a command whose output the user sees.
pub fn run(command: &mut Command) -> Outcome {
    let status = command
        .status()
        .map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", line(command)))
    }
}

/// Runs a command and gives what it wrote to standard output; the error holds all that it wrote.
pub fn read(command: &mut Command) -> Outcome<String> {
    let output = command
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let line = line(command);
        return Err(format!(
            "{line} ended with {}\n{said}{complaint}",
            output.status
        ));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{} wrote no UTF-8", line(command)))
}

/// Whether a command can be started and succeeds; its output is dropped.
pub fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command whose output the user sees, and hands each line, without colours, to `look`.
pub fn watch(command: &mut Command, look: impl FnMut(&str) + Send) -> Outcome {
    if std::io::stdout().is_terminal() {
        command
            .env("CARGO_TERM_COLOR", "always")
            .env("FORCE_COLOR", "1");
    }
    let spawned = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|error| cannot_start(command, &error))?;
    let stdout = child.stdout.take().expect("standard output is piped");
    let stderr = child.stderr.take().expect("standard error is piped");
    let look = Mutex::new(look);
    thread::scope(|scope| {
        scope.spawn(|| echo(stdout, std::io::stdout(), &look));
        scope.spawn(|| echo(stderr, std::io::stderr(), &look));
    });
    let status = child
        .wait()
        .map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", line(command)))
    }
}

fn echo(from: impl Read, mut to: impl Write, look: &Mutex<impl FnMut(&str)>) {
    for bytes in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = writeln!(to, "{text}");
        let mut look = look.lock().expect("the other reader does not panic");
        (*look)(&without_colours(&text));
    }
}

/// Leaves out the escape sequences (`ESC [ … letter`) that colour a terminal.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Replaces this process by the command.
#[cfg(unix)]
pub fn become_it(mut command: Command) -> Outcome {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(cannot_start(&command, &error))
}

/// Runs the command and ends with its exit code, where a process cannot be replaced.
#[cfg(not(unix))]
pub fn become_it(mut command: Command) -> Outcome {
    let status = command
        .status()
        .map_err(|error| cannot_start(&command, &error))?;
    std::process::exit(status.code().unwrap_or(1))
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot run {}: {error}", line(command))
}

/// The command line as a user would type it: the program without its folder.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_name().unwrap_or_default()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out() {
        assert_eq!(
            without_colours("\u{1b}[32;1m  Summary\u{1b}[0m 3 passed"),
            "  Summary 3 passed"
        );
        assert_eq!(without_colours("cut off \u{1b}[3"), "cut off ");
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(error.contains("`false` ended with"), "{error}");
        let error = run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(
            error.contains("cannot run `no-such-program-here`"),
            "{error}"
        );
    }

    #[test]
    fn both_outputs_are_watched() {
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2"]);
        watch(&mut command, |line| seen.push(line.to_owned())).unwrap();
        seen.sort();
        assert_eq!(seen, ["err", "out"]);
    }
}
