//! Official clients and coding agents, in Python and JavaScript, against a running gateway.
//!
//! The gateway is the real binary with its own configuration file, and stands before the fake
//! provider of `testkit`. It has to stop cleanly, and its log may hold no secret. OpenAI's SDKs run on
//! both databases; the others, whose calls differ in their protocols and not in what is stored, on one.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::ci::{Counts, counted};
use crate::process::say;
use crate::{Outcome, cargo, machine, postgres, process, root};

const MASTER_KEY: &str = "sk-master-key-of-the-sdk-tests";

/// The provider's key in the configuration that `scene` writes.
const PROVIDER_KEY: &str = "scene-secret";

/// What becomes of `docs/compatibility.md`, which tells what the suites found.
#[derive(Clone, Copy)]
enum Table {
    Compared,
    Written,
}

/// `cargo xtask sdk`: the same as in `cargo ci`, by itself.
pub fn alone() -> Outcome {
    let mut counts = Counts::default();
    run(&postgres::start()?, Table::Compared, &mut counts)?;
    say(&counts.summary());
    Ok(())
}

/// `cargo xtask compatibility`: the same, and writes the table.
pub fn compatibility() -> Outcome {
    run(&postgres::start()?, Table::Written, &mut Counts::default())
}

pub fn check(server: &postgres::Server, counts: &mut Counts) -> Outcome {
    run(server, Table::Compared, counts)
}

fn run(server: &postgres::Server, table: Table, counts: &mut Counts) -> Outcome {
    let suites = root().join("tests/sdk");
    let python = machine::python(&suites.join("python/requirements.txt"))?;
    machine::node_modules(&suites.join("node"))?;
    machine::node_modules(&suites.join("agents"))?;
    // the whole workspace, so that crates keep the features that the tests were built with
    process::run(
        cargo()
            .args(["build", "--workspace", "--bins", "--locked"])
            .current_dir(root()),
    )?;

    let folder = Folder::new()?;
    fs::create_dir(folder.0.join("results")).map_err(|error| error.to_string())?;
    let _scene = Scene::start(&folder.0)?;
    for database in [None, Some(server.create_database("sdk")?)] {
        say(&format!(
            "--- on {}",
            if database.is_some() {
                "PostgreSQL"
            } else {
                "SQLite"
            }
        ));
        let mut gateway = Gateway::start(&folder.0, database.as_deref())?;
        let everything = database.is_none();
        let outcome = suites_pass(&suites, &python, &gateway, &folder.0, everything, counts);
        let stopped = gateway.stop();
        outcome
            .and(stopped)
            .map_err(|error| format!("{error}\n{}", gateway.log()))?;
    }
    let mut tabulate = Command::new(&python);
    tabulate
        .arg(suites.join("python/compatibility.py"))
        .arg(folder.0.join("results"))
        .arg(root().join("docs/compatibility.md"));
    if matches!(table, Table::Compared) {
        tabulate.arg("--check");
    }
    process::run(&mut tabulate)
}

/// Suites that run on one database only.
const ON_ONE_DATABASE: [&str; 3] = ["test_agents.py", "test_clients.py", "test_replay.py"];

fn suites_pass(
    suites: &Path,
    python: &Path,
    gateway: &Gateway,
    folder: &Path,
    everything: bool,
    counts: &mut Counts,
) -> Outcome {
    let mut pytest = Command::new(python);
    pytest.args([
        "-m",
        "pytest",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
    ]);
    let of_python = suites.join("python");
    if !everything {
        let left_out = ON_ONE_DATABASE.map(|file| of_python.join(file));
        pytest.args(
            left_out
                .iter()
                .flat_map(|file| [Path::new("--ignore"), file]),
        );
    }
    pytest.arg(&of_python).env("PYTHONDONTWRITEBYTECODE", "1");
    let of_node = suites.join("node");
    // the newest packages want a newer Node.js than a machine may have: one is among them
    let mut node = Command::new(of_node.join("node_modules/.bin/node"));
    node.args(["--test", "--test-reporter=./reporter.mjs"]);
    if !everything {
        node.args(["calls.test.mjs", "errors.test.mjs", "recorded.test.mjs"]);
    }
    node.current_dir(&of_node);
    for suite in [&mut pytest, &mut node] {
        suite
            .env("TOLLGATE_URL", &gateway.url)
            .env("TOLLGATE_MASTER_KEY", MASTER_KEY);
        suite
            .env("TOLLGATE_SCENE", folder.join("scene.json"))
            .env("TOLLGATE_RESULTS", folder.join("results"))
            .env("TOLLGATE_AGENTS", suites.join("agents/node_modules/.bin"));
        counted(suite, counts)?;
    }
    Ok(())
}

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Outcome<Folder> {
        let path = std::env::temp_dir().join(format!("tollgate-sdk-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("cannot make {path:?}: {error}"))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The fake provider; it ends when its standard input does, so with the value.
struct Scene(Child);

impl Scene {
    fn start(folder: &Path) -> Outcome<Scene> {
        let mut command = program("scene")?;
        command
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start scene: {error}"))?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        let scene = Scene(child);
        if read.is_ok() && line.trim() == "ready" {
            Ok(scene)
        } else {
            Err("scene did not start".into())
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

struct Gateway {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Gateway {
    fn start(folder: &Path, database: Option<&str>) -> Outcome<Gateway> {
        let port = postgres::free_port().map_err(|error| error.to_string())?;
        let log = folder.join("gateway.log");
        let file = fs::File::create(&log).map_err(|error| error.to_string())?;
        let errors = file.try_clone().map_err(|error| error.to_string())?;
        let mut command = program("tollgate")?;
        command.arg("--config").arg(folder.join("config.yaml"));
        // nothing of the user's environment, such as a provider key, may take part
        command.env_clear().env("TOLLGATE_MASTER_KEY", MASTER_KEY);
        command.env("TOLLGATE_DATA_DIR", folder.join("data"));
        command
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string());
        command.envs(database.map(|url| ("DATABASE_URL", url)));
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start the gateway: {error}"))?;
        let mut gateway = Gateway {
            child,
            url: format!("http://127.0.0.1:{port}"),
            log,
        };
        match gateway.wait_until_ready(port) {
            Ok(()) => Ok(gateway),
            Err(error) => Err(format!("{error}\n{}", gateway.log())),
        }
    }

    fn wait_until_ready(&mut self, port: u16) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if answers(port) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the gateway ended with {status}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("the gateway was not ready within 30 seconds".to_owned())
    }

    /// Asks the gateway to stop; it has to do so by itself, with 0, and have logged no secret.
    fn stop(&mut self) -> Outcome {
        let id = self.child.id().to_string();
        process::run(Command::new("kill").args(["-TERM", &id]))?;
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                _ if Instant::now() > deadline => return Err("the gateway did not stop".to_owned()),
                _ => thread::sleep(Duration::from_millis(20)),
            }
        };
        if !status.success() {
            return Err(format!("the gateway stopped with {status}"));
        }
        let log = self.log();
        match [MASTER_KEY, PROVIDER_KEY]
            .into_iter()
            .find(|secret| log.contains(secret))
        {
            Some(secret) => Err(format!("the gateway's log holds the secret {secret}")),
            None => Ok(()),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answers(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let request = "GET /health/readiness HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    socket.write_all(request.as_bytes()).is_ok()
        && socket.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// A program of this workspace, which Cargo puts beside this one.
fn program(name: &str) -> Outcome<Command> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(Command::new(own.with_file_name(name)))
}
