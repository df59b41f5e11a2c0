//! `cargo xtask fuzz [TARGET] [SECONDS]`: the fuzz targets of `fuzz/`, each for so long, from a corpus
//! of the recorded exchanges where they are there. The compiler's coverage counters need no nightly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::say;
use crate::{Outcome, cargo, process, root};

const TARGETS: [&str; 4] = ["request", "answer", "stream", "pass"];
const SECONDS: &str = "600";
/// What libFuzzer needs of a program: counters on its branches, and what is compared.
const COUNTERS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

pub fn run(arguments: &[String]) -> Outcome {
    let (target, seconds) = match arguments {
        [] => (None, SECONDS),
        [target] => (Some(target.as_str()), SECONDS),
        [target, seconds] => (Some(target.as_str()), seconds.as_str()),
        _ => return Err("cargo xtask fuzz [TARGET] [SECONDS]".to_owned()),
    };
    if let Some(unknown) = target.filter(|target| !TARGETS.contains(target)) {
        return Err(format!("no target {unknown}; there are {TARGETS:?}"));
    }
    let folder = root().join("fuzz");
    // said even where it is the host's, so that build scripts get no counters
    let host = host()?;
    process::run(
        cargo()
            .args(["build", "--release", "--target", &host])
            .current_dir(&folder)
            .env("RUSTFLAGS", COUNTERS),
    )?;
    let programs = folder.join("target").join(&host).join("release");
    for name in TARGETS {
        if target.is_none_or(|target| target == name) {
            fuzz(&folder, &programs.join(name), name, seconds)?;
        }
    }
    Ok(())
}

/// The machine's own target triple.
fn host() -> Outcome<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn fuzz(folder: &Path, program: &Path, target: &str, seconds: &str) -> Outcome {
    let corpus = folder.join("corpus").join(target);
    let seeds = seed(&corpus, target)?;
    say(&format!(
        "--- {target}: {seconds} s from {seeds} recordings"
    ));
    let mut command = Command::new(program);
    command
        .arg(&corpus)
        .args([
            &format!("-max_total_time={seconds}"),
            "-max_len=65536",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ])
        .current_dir(folder);
    process::run(&mut command)
}

/// Puts the recordings into the corpus, each behind some bytes that choose formats.
fn seed(corpus: &Path, target: &str) -> Outcome<usize> {
    let failed = |error: std::io::Error| format!("{}: {error}", corpus.display());
    fs::create_dir_all(corpus).map_err(failed)?;
    let (suffixes, choice): (&[&str], usize) = match target {
        "request" => (&[".request.json"], 4),
        "answer" => (&[".response.json"], 4),
        "stream" => (&[".stream.sse", ".stream.eventstream"], 5),
        _ => (&[".request.json", ".response.json", ".stream.sse"], 3),
    };
    let mut count = 0;
    for file in recordings() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_wanted = suffixes.iter().any(|suffix| name.ends_with(suffix));
        let size = fs::metadata(&file).map_or(0, |facts| facts.len());
        if !is_wanted || size > 60_000 {
            continue;
        }
        let body = fs::read(&file).map_err(failed)?;
        // the bytes that choose: spread over all formats, the same at every run
        let mut seed: Vec<u8> = (0..choice)
            .map(|at| u8::try_from((count >> at) % 128).unwrap_or(0))
            .collect();
        seed.extend_from_slice(&body);
        fs::write(corpus.join(format!("seed-{count}")), seed).map_err(failed)?;
        count += 1;
    }
    Ok(count)
}

fn recordings() -> Vec<PathBuf> {
    let stated = std::env::var_os("TOLLGATE_RECORDINGS").map(PathBuf::from);
    let folder = stated.unwrap_or_else(|| root().join("../shared/fixtures"));
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let found = fs::read_dir(folder).into_iter().flatten().flatten();
        found.map(|entry| entry.path()).collect()
    };
    let mut files: Vec<PathBuf> = entries(&folder.join("providers"))
        .iter()
        .flat_map(|provider| entries(provider))
        .collect();
    files.sort();
    files
}
