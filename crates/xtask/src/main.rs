//! The tasks of this repository, behind Cargo aliases: `cargo dev`, `cargo ci`, `cargo xtask VERB`.
//!
//! Standard library only, so that it compiles in seconds on a machine that has just cloned us.
//! Every verb ends with an exit code that tells the truth: 0 only when everything it names is done.

mod ci;
mod fuzz;
mod json;
mod layers;
mod machine;
mod postgres;
mod process;
mod sdk;
mod supply;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What a verb answers; the error is the last line that the user reads.
type Outcome<T = ()> = Result<T, String>;

const HELP: &str = "\
cargo dev [ARGS]           build the gateway and start it on http://localhost:4000, data in ./data;
                           ARGS go to the gateway (`cargo dev --help` lists them)
cargo ci                   everything that must be green before a change lands: format, lints, layers,
                           licences, tests on SQLite and PostgreSQL, the official SDKs; installs
                           what the tests need
cargo xtask bench [ARGS]   measure the gateway beside nginx (release build), ARGS go to the bench
cargo xtask fuzz [TARGET] [SECONDS]
                           run the fuzz targets, ten minutes each unless told
cargo xtask layers         compare the crates' dependencies with the layers of ARCHITECTURE.md
cargo xtask supply         compare licences, banned crates and sources with deny.toml
cargo xtask sdk            only the tests with official clients and coding agents
cargo xtask compatibility  the same, and write docs/compatibility.md by what they find
cargo xtask help           this text";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match verb.as_str() {
        "dev" => dev(&rest),
        "ci" => ci::run(),
        "bench" => bench(&rest),
        "fuzz" => fuzz::run(&rest),
        "layers" => layers::check(),
        "supply" => supply::check(),
        "sdk" => sdk::alone(),
        "compatibility" => sdk::compatibility(),
        "help" | "--help" | "-h" | "" => {
            process::say(HELP);
            Ok(())
        }
        unknown => Err(format!("unknown verb `{unknown}`\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            process::complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// Builds and becomes the gateway: signals and the exit code need no forwarding then. The folder
/// stays the user's, so that file names among the arguments mean what they say.
fn dev(arguments: &[String]) -> Outcome {
    let mut command = cargo();
    command.args(["run", "--package", "tollgate", "--manifest-path"]);
    command
        .arg(root().join("Cargo.toml"))
        .arg("--")
        .args(arguments);
    process::become_it(command)
}

fn bench(arguments: &[String]) -> Outcome {
    let mut command = cargo();
    command.args([
        "run",
        "--release",
        "--package",
        "testkit",
        "--bin",
        "bench",
        "--",
    ]);
    command.args(arguments).current_dir(root());
    process::become_it(command)
}

/// The Cargo that runs us, so that a toolchain override stays in force.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The root of the workspace this program was built in.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .expect("crates/xtask is two folders below the root")
        .to_path_buf()
}
