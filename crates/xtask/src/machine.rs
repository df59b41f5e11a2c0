//! What the tests need from the machine: found, or installed, or named exactly.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, process};

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
