//! What the tests need from the machine: found, or installed, or named exactly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, process, root};

/// Where things that `cargo ci` installs or writes live; `cargo clean` removes them.
pub fn folder() -> PathBuf {
    root().join("target/ci")
}

/// Whether we run as the system's administrator, who may install packages.
pub fn is_root() -> bool {
    process::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Installs Debian packages, or says which are missing.
pub fn install(packages: &[&str]) -> Outcome {
    let wanted = packages.join(" ");
    if !is_root() || !process::works(Command::new("apt-get").arg("--version")) {
        return Err(format!(
            "please install: {wanted} (on Debian: `apt-get install {wanted}`)"
        ));
    }
    process::say(&format!("installing {wanted}"));
    let mut update = Command::new("apt-get");
    process::read(update.args(["update", "--quiet"]))?;
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--quiet", "--yes", "--no-install-recommends"])
        .args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    process::read(&mut install).map(drop)
}

/// The folder with PostgreSQL's server programs, installed when they are missing.
pub fn postgres_programs() -> Outcome<PathBuf> {
    if find_postgres().is_none() {
        install(&["postgresql"])?;
    }
    find_postgres().ok_or_else(|| "PostgreSQL is installed but `initdb` is not found".to_owned())
}

/// Debian keeps the server's programs out of the search path, in a folder for each version.
fn find_postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect();
    versions.sort();
    let newest_first = versions.into_iter().rev().map(|(_, path)| path.join("bin"));
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&search_path).collect::<Vec<_>>();
    newest_first
        .chain(elsewhere)
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// The Python of a virtual environment that holds what `requirements` lists.
pub fn python(requirements: &Path) -> Outcome<PathBuf> {
    let environment = folder().join("python");
    let python = environment.join("bin/python");
    let stamp = environment.join("installed.txt");
    if same(requirements, &stamp) && python.exists() {
        return Ok(python);
    }
    let _ = fs::remove_dir_all(&environment);
    let create = || {
        process::read(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        )
    };
    if create().is_err() {
        install(&["python3", "python3-venv"])?;
        create()?;
    }
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    process::run(install.arg("--requirement").arg(requirements))?;
    fs::copy(requirements, &stamp).map_err(|error| format!("cannot write {stamp:?}: {error}"))?;
    Ok(python)
}

/// Installs what the `package-lock.json` of a folder lists into its `node_modules`.
pub fn node_modules(project: &Path) -> Outcome {
    if !process::works(Command::new("node").arg("--version")) {
        install(&["nodejs", "npm"])?;
    }
    let (lock, stamp) = (
        project.join("package-lock.json"),
        project.join("node_modules/.installed"),
    );
    if same(&lock, &stamp) {
        return Ok(());
    }
    let mut install = Command::new("npm");
    install
        .args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"])
        .current_dir(project);
    process::run(&mut install)?;
    fs::copy(&lock, &stamp).map_err(|error| format!("cannot write {stamp:?}: {error}"))?;
    Ok(())
}

fn same(wanted: &Path, installed: &Path) -> bool {
    let (wanted, installed) = (fs::read(wanted), fs::read(installed));
    wanted.is_ok_and(|wanted| installed.is_ok_and(|installed| wanted == installed))
}
