//! What the bench needs from the machine and says about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base::Clock;

use crate::Result;

/// Where the programs are.
pub struct Programs {
    pub upstream: PathBuf,
    pub loadgen: PathBuf,
    pub nginx: PathBuf,
    pub gateway: Option<PathBuf>,
}

/// Builds ours in release and finds or installs nginx.
pub fn programs(gateway: Option<&Path>, no_gateway: bool) -> Result<Programs> {
    build(&["--package", "testkit", "--bins"])?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = |name: &str| own.with_file_name(name);
    let gateway = match gateway {
        Some(path) if path.is_file() => Some(
            path.canonicalize()
                .map_err(|error| format!("{}: {error}", path.display()))?,
        ),
        Some(path) => return Err(format!("there is no program {}", path.display())),
        None if no_gateway => None,
        None => {
            build(&[])?;
            Some(beside("tollgate"))
        }
    };
    Ok(Programs {
        upstream: beside("upstream"),
        loadgen: beside("loadgen"),
        nginx: nginx()?,
        gateway,
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn build(what: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release"])
        .args(what)
        .current_dir(root());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo build --release ended with {status}")),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

fn nginx() -> Result<PathBuf> {
    if find_nginx().is_none() {
        install_nginx()?;
    }
    find_nginx().ok_or_else(|| "nginx is installed but not found".to_owned())
}

fn find_nginx() -> Option<PathBuf> {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&search_path)
        .chain([PathBuf::from("/usr/sbin")])
        .collect();
    folders
        .into_iter()
        .map(|folder| folder.join("nginx"))
        .find(|program| program.is_file())
}

fn install_nginx() -> Result<()> {
    let asks = "please install nginx (on Debian: `apt-get install nginx-light`)";
    if said("id", &["-u"]) != "0" || said("apt-get", &["--version"]).is_empty() {
        return Err(asks.to_owned());
    }
    println!("installing nginx-light");
    for arguments in [
        &["update", "--quiet"][..],
        &[
            "install",
            "--quiet",
            "--yes",
            "--no-install-recommends",
            "nginx-light",
        ],
    ] {
        let mut command = Command::new("apt-get");
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        // Keeps the package from starting a server of its own.
        command.env("RUNLEVEL", "1");
        let output = command
            .output()
            .map_err(|error| format!("apt-get: {error}"))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{asks}: {}", errors.trim()));
        }
    }
    Ok(())
}

/// What a program says, trimmed; nothing where it fails.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output();
    let output = output.ok().filter(|output| output.status.success());
    let text = output.map(|output| {
        let all = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&all).trim().to_owned()
    });
    text.unwrap_or_default()
}

/// The opening of the results: when, on what, and the command that repeats it.
pub fn facts(nginx: &Path, rounds: usize, seconds: f64) -> String {
    let date: String = Clock::system()
        .now()
        .to_rfc3339()
        .chars()
        .take(10)
        .collect();
    let processor = field("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: u64 = field("/proc/meminfo", "MemTotal")
        .split(' ')
        .next()
        .and_then(|kilobytes| kilobytes.parse().ok())
        .unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let nginx = said(&nginx.to_string_lossy(), &["-v"]);
    let nginx = nginx.rsplit(' ').next().unwrap_or_default();
    format!(
        "# What the gateway costs beside nginx

As measured on {date} by `cargo xtask bench --rounds {rounds} --seconds {seconds}`, at commit {}.

- Machine: {processor}, {cores} cores, {} GiB; Linux {}; everything on loopback, plain HTTP.
- Compared with: {nginx} as a plain reverse proxy, two workers.
- Clients of messages and of responses are translated for an upstream of chat completions; those of
  chat are passed on.
- The gateway ran with all of its policy on: key, budgets of key, team and user, usage read from
  every answer, a ledger row a call, on SQLite.
- CPU is user and system time of the process tree, until it was quiet again after the load.
- Ratios are the median of the rounds, with the lowest and the highest.
",
        said("git", &["rev-parse", "--short", "HEAD"]),
        memory.div_ceil(1 << 20),
        kernel.trim(),
    )
}

/// The first value of a `name : value` file.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

pub fn write_results(text: &str) -> Result<()> {
    let folder = root().join("bench");
    let file = folder.join("RESULTS.md");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, text))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    println!("written to bench/RESULTS.md");
    Ok(())
}
