//! The layers of ARCHITECTURE.md, compared with what the crates' manifests say.
//!
//! A new crate or edge is a decision: it is written here and in the picture, or the check fails.

use crate::json::Json;
use crate::{Outcome, cargo, process, root};

/// Which of our crates each of our crates may use. Tests may use `testkit` anywhere.
const EDGES: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("llm", &["base"]),
    ("store", &["base"]),
    ("domain", &["base", "llm", "store"]),
    ("proxy", &["base", "llm", "domain"]),
    ("admin", &["base", "llm", "store", "domain"]),
    ("web", &[]),
    (
        "tollgate",
        &["base", "llm", "store", "domain", "proxy", "admin", "web"],
    ),
    ("testkit", &["base", "llm", "store"]),
    ("xtask", &[]),
];

/// Foreign crates that only some layers may use: SQL in one place, HTTP servers above the rules,
/// nothing asynchronous in the pure layers.
const RESERVED: &[(&str, &[&str])] = &[
    ("sqlx", &["store", "testkit"]),
    ("axum", &["admin", "tollgate"]),
    (
        "tokio",
        &["store", "domain", "proxy", "admin", "tollgate", "testkit"],
    ),
];

/// One dependency in the manifest of one of our crates.
struct Dependency {
    from: String,
    to: String,
    ours: bool,
    for_tests: bool,
}

pub fn check() -> Outcome {
    let mut command = cargo();
    command
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root());
    let dependencies = dependencies(&Json::parse(&process::read(&mut command)?)?);
    let violations = violations(&dependencies);
    if !violations.is_empty() {
        return Err(violations.join("\n"));
    }
    let ours = dependencies
        .iter()
        .filter(|dependency| dependency.ours)
        .count();
    process::say(&format!(
        "{ours} edges between our crates, all within the layers"
    ));
    Ok(())
}

fn dependencies(metadata: &Json) -> Vec<Dependency> {
    let mut found = Vec::new();
    for package in metadata.get("packages").list() {
        for dependency in package.get("dependencies").list() {
            found.push(Dependency {
                from: package.get("name").text().unwrap_or_default().to_owned(),
                to: dependency.get("name").text().unwrap_or_default().to_owned(),
                ours: dependency.get("path").text().is_some(),
                for_tests: dependency.get("kind").text() == Some("dev"),
            });
        }
    }
    found
}

fn violations(dependencies: &[Dependency]) -> Vec<String> {
    dependencies
        .iter()
        .filter(|dependency| !allowed(dependency))
        .map(explain)
        .collect()
}

fn allowed(
    Dependency {
        from,
        to,
        ours,
        for_tests,
    }: &Dependency,
) -> bool {
    if !ours {
        return *for_tests || row(RESERVED, to).is_none_or(|users| users.contains(&from.as_str()));
    }
    let within_layers = row(EDGES, from).is_some_and(|below| below.contains(&to.as_str()));
    within_layers || (*for_tests && to == "testkit")
}

fn explain(Dependency { from, to, .. }: &Dependency) -> String {
    if let Some(users) = row(RESERVED, to) {
        return format!("{from} may not use {to}: that is for {}", users.join(", "));
    }
    match row(EDGES, from) {
        Some([]) => format!("{from} may not use {to}: it stands on none of our crates"),
        Some(below) => format!("{from} may not use {to}: it stands on {}", below.join(", ")),
        None => format!("{from} is not in the picture of layers (crates/xtask/src/layers.rs)"),
    }
}

fn row<'a>(table: &'a [(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(from: &str, to: &str, ours: bool, for_tests: bool) -> Dependency {
        Dependency {
            from: from.to_owned(),
            to: to.to_owned(),
            ours,
            for_tests,
        }
    }

    #[test]
    fn edges_upward_and_sideways_are_refused() {
        for (from, to) in [
            ("proxy", "admin"),
            ("base", "llm"),
            ("llm", "store"),
            ("new", "base"),
        ] {
            let found = violations(&[dependency(from, to, true, false)]);
            assert_eq!(found.len(), 1, "{from} → {to}");
            assert!(found[0].starts_with(from), "{}", found[0]);
        }
        assert_eq!(
            violations(&[dependency("domain", "sqlx", false, false)]).len(),
            1
        );
        assert_eq!(
            violations(&[dependency("llm", "tokio", false, false)]).len(),
            1
        );
    }

    #[test]
    fn edges_downward_and_test_kits_are_allowed() {
        let good = [
            dependency("domain", "store", true, false),
            dependency("store", "sqlx", false, false),
            dependency("llm", "serde", false, false),
            dependency("store", "testkit", true, true),
            dependency("llm", "tokio", false, true),
        ];
        assert_eq!(violations(&good), [""; 0]);
    }

    #[test]
    fn a_test_kit_in_the_product_is_refused() {
        assert_eq!(
            violations(&[dependency("store", "testkit", true, false)]).len(),
            1
        );
    }

    #[test]
    fn every_edge_points_to_an_earlier_row() {
        for (at, (name, below)) in EDGES.iter().enumerate() {
            for lower in *below {
                assert!(
                    EDGES[..at].iter().any(|(earlier, _)| earlier == lower),
                    "{name} → {lower}"
                );
            }
        }
    }
}
