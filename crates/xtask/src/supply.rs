//! Licences, banned crates and sources of everything we build, compared with `deny.toml`.
//!
//! cargo-deny checks more (the licence texts, the advisory database) and runs where it is installed.
//! Installing it takes five minutes of processor time and its database comes from GitHub, so a machine
//! without it gets this check of the same two lists, and is told which of both it was.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::{Outcome, cargo, process, root};

pub fn check() -> Outcome {
    let deny = fs::read_to_string(root().join("deny.toml"));
    let deny = deny.map_err(|error| format!("cannot read deny.toml: {error}"))?;
    let licences = strings(&deny, "licenses", "allow");
    let banned = strings(&deny, "bans", "deny");
    if licences.is_empty() || banned.is_empty() {
        return Err("deny.toml lists no licences or no banned crates".to_owned());
    }
    let mut command = cargo();
    command.args([
        "tree",
        "--workspace",
        "--target",
        "all",
        "--edges",
        "normal,build,dev",
    ]);
    command
        .args(["--prefix", "none", "--format", "{p} | {l}", "--locked"])
        .current_dir(root());
    let tree = process::read(&mut command)?;
    let packages: BTreeSet<&str> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|l| !l.is_empty())
        .collect();
    let complaints: Vec<String> = packages
        .iter()
        .filter_map(|package| complaint(package, &licences, &banned))
        .collect();
    if !complaints.is_empty() {
        return Err(complaints.join("\n"));
    }
    process::say(&format!(
        "{} packages: licences, bans and sources checked by xtask",
        packages.len()
    ));
    cargo_deny()
}

/// Runs cargo-deny where it is installed, without the advisory database, which needs GitHub.
fn cargo_deny() -> Outcome {
    if !process::works(Command::new("cargo-deny").arg("--version")) {
        process::say(
            "cargo-deny is not installed and did not run; security advisories are unchecked",
        );
        return Ok(());
    }
    let mut command = cargo();
    command
        .args(["deny", "check", "licenses", "bans", "sources"])
        .current_dir(root());
    process::run(&mut command)?;
    process::say("cargo-deny checked licences, bans and sources too; advisories are unchecked");
    Ok(())
}

/// What is wrong with a package, given as `name vVERSION [(place)] | licence`.
fn complaint(package: &str, licences: &[String], banned: &[String]) -> Option<String> {
    let (identity, licence) = package.split_once(" | ").unwrap_or((package, ""));
    let name = identity.split(' ').next().unwrap_or_default();
    if banned.iter().any(|ban| ban == name) {
        return Some(format!("{identity} is banned by deny.toml"));
    }
    let place = identity.replace(" (proc-macro)", "");
    if let Some((_, place)) = place.split_once(" (")
        && !place.starts_with(&*root().to_string_lossy())
    {
        return Some(format!("{identity} does not come from crates.io"));
    }
    if !permitted(licence, licences) {
        return Some(format!(
            "{identity} has the licence `{licence}`, which deny.toml does not allow"
        ));
    }
    None
}

/// The strings of the list `[section] key = [ … ]` in a TOML file.
fn strings(toml: &str, section: &str, key: &str) -> Vec<String> {
    let mut lines = toml
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    let header = format!("[{section}]");
    if !lines.any(|line| line == header) {
        return Vec::new();
    }
    let body: Vec<&str> = lines.take_while(|line| !line.starts_with('[')).collect();
    let start = body.iter().position(|line| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    });
    let Some(start) = start else {
        return Vec::new();
    };
    let text = body[start..].join(" ");
    let list = text.split(']').next().unwrap_or_default();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression (`MIT OR Apache-2.0`, or `MIT/Apache-2.0` as of old) can be met with
/// the allowed licences. An exception (`WITH`) only grants more, so it needs no permission.
fn permitted(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allowed) == Some(true) && rest.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut met = all_of(words, allowed)?;
    while let Some((&"OR", after)) = words.split_first() {
        *words = after;
        met |= all_of(words, allowed)?;
    }
    Some(met)
}

fn all_of(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut met = one(words, allowed)?;
    while let Some((&"AND", after)) = words.split_first() {
        *words = after;
        met &= one(words, allowed)?;
    }
    Some(met)
}

fn one(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let (&first, after) = words.split_first()?;
    *words = after;
    if first == "(" {
        let met = any_of(words, allowed)?;
        let (&closing, after) = words.split_first()?;
        *words = after;
        return (closing == ")").then_some(met);
    }
    if let [with, _exception, after @ ..] = *words
        && *with == "WITH"
    {
        *words = after;
    }
    Some(allowed.iter().any(|licence| licence == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn expressions_are_met_or_not() {
        let allowed = owned(&["MIT", "Apache-2.0", "ISC"]);
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "ISC AND (Apache-2.0 OR GPL-3.0)",
            "Apache-2.0 WITH LLVM-exception",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(permitted(good, &allowed), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT",
            "MIT)",
            "MIT OR",
            "MIT MIT",
            "OR",
            "(((",
        ] {
            assert!(!permitted(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn lists_are_found_in_their_section_only() {
        let toml = "[bans]\ndeny = [\"ring\"] # \"no\"\n[licenses]\nallow-more = [\"X\"]\n\
                    allow = [\n  \"MIT\", # \"GPL\"\n  \"ISC\",\n]\nlast = [\"Y\"]\n";
        assert_eq!(strings(toml, "bans", "deny"), ["ring"]);
        assert_eq!(strings(toml, "licenses", "allow"), ["MIT", "ISC"]);
        assert_eq!(strings(toml, "sources", "allow"), [""; 0]);
    }

    #[test]
    fn bans_sources_and_licences_are_complained_about() {
        let (licences, banned) = (owned(&["MIT"]), owned(&["ring"]));
        let complain = |package: &str| complaint(package, &licences, &banned);
        assert_eq!(complain("good v1.0.0 | MIT"), None);
        assert_eq!(complain("macros v1.0.0 (proc-macro) | MIT"), None);
        assert_eq!(
            complain(&format!(
                "ours v1.0.0 ({}/crates/ours) | MIT",
                root().display()
            )),
            None
        );
        assert!(complain("ring v0.17.14 | MIT").unwrap().contains("banned"));
        assert!(
            complain("new v1.0.0 | GPL-3.0")
                .unwrap()
                .contains("GPL-3.0")
        );
        assert!(complain("none v1.0.0 | ").unwrap().contains("licence"));
        let git = "forked v1.0.0 (https://example.com/forked#abc) | MIT";
        assert!(complain(git).unwrap().contains("crates.io"));
    }
}
