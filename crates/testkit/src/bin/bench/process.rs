//! A child process that ends with its value: asked first, with its descendants killed if it does
//! not listen.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt as _;

use crate::Result;

/// How long a process may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Process {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Process {
    /// Starts it in a process group of its own, so that an interrupt from the keyboard reaches
    /// only us, and with its messages in a file under `folder`.
    pub fn start(name: &'static str, command: &mut Command, folder: &Path) -> Result<Process> {
        let log = folder.join(format!("{name}.log"));
        let opened = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (output, errors) = opened.map_err(|error| format!("{}: {error}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.process_group(0).spawn();
        let child = child.map_err(|error| format!("cannot start {name}: {error}"))?;
        Ok(Process { child, name, log })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    pub fn messages(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// An error with its last words if it ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let messages = self.messages();
                let lines: Vec<&str> = messages.lines().collect();
                let last = lines[lines.len().saturating_sub(20)..].join("\n");
                Err(format!("{} ended with {status}:\n{last}", self.name))
            }
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// Asks it to end and waits for that.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.end()
    }

    fn end(&mut self) -> Result<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Ok(status);
        }
        let family = testkit::processes::tree(self.id());
        send("TERM", &[self.id()]);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Ok(Some(status)) => return Ok(status),
                Err(error) => return Err(format!("{}: {error}", self.name)),
            }
        }
        send("KILL", &family);
        let _ = self.child.wait();
        Err(format!(
            "{} did not end within {PATIENCE:?} and was killed",
            self.name
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The shell's own `kill`, as the standard library knows only SIGKILL.
fn send(signal: &str, processes: &[u32]) {
    let list: Vec<String> = processes.iter().map(u32::to_string).collect();
    let script = format!("kill -{signal} {}", list.join(" "));
    let mut shell = Command::new("sh");
    let _ = shell.args(["-c", &script]).stderr(Stdio::null()).status();
}
