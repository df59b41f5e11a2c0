//! Which output item a call becomes, by the tools that the client's request names.
//!
//! A provider of another format knows functions alone. Custom tools, tools in a namespace, the
//! client's own shell and its tool search are functions there; here a function's name tells what the
//! client takes it for.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The function that stands for the tool `local_shell`.
pub(super) const LOCAL_SHELL: &str = "local_shell";
/// The function that stands for a tool search that the client runs itself.
pub(super) const TOOL_SEARCH: &str = "tool_search";

/// The longest name of a function that every provider takes.
const MAX_NAME: usize = 64;

/// What a client's tool is called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Callee {
    Function {
        name: String,
        namespace: Option<String>,
    },
    Custom {
        name: String,
        namespace: Option<String>,
    },
    LocalShell,
    ToolSearch,
}

/// The client's tools by the name they have as functions.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, Callee>);

impl Names {
    /// Reads the tools of a request; functions of a plain name need no entry.
    pub fn of_request(request: &Value) -> Names {
        let mut names = Names::default();
        names.add(request.get("tools"), None);
        let items = request.get("input").and_then(Value::as_array);
        for item in items.into_iter().flatten() {
            if matches!(
                item.get("type").and_then(Value::as_str),
                Some("additional_tools" | "tool_search_output")
            ) {
                names.add(item.get("tools"), None);
            }
        }
        names
    }

    fn add(&mut self, tools: Option<&Value>, namespace: Option<&str>) {
        for tool in tools.and_then(Value::as_array).into_iter().flatten() {
            let word = |name: &str| tool.get(name).and_then(Value::as_str);
            let name = word("name").unwrap_or_default().to_owned();
            let within = namespace.map(str::to_owned);
            let flat = flat(namespace, &name);
            match word("type") {
                Some("namespace") if namespace.is_none() => {
                    self.add(tool.get("tools"), Some(&name))
                }
                Some("function") if namespace.is_some() => {
                    let namespace = within;
                    self.0.insert(flat, Callee::Function { name, namespace });
                }
                Some("custom") => {
                    let namespace = within;
                    self.0.insert(flat, Callee::Custom { name, namespace });
                }
                Some("local_shell") => {
                    self.0.insert(LOCAL_SHELL.to_owned(), Callee::LocalShell);
                }
                Some("tool_search") => {
                    self.0.insert(TOOL_SEARCH.to_owned(), Callee::ToolSearch);
                }
                _ => {}
            }
        }
    }

    /// What the client takes a function of this name for.
    pub fn callee(&self, name: &str) -> Callee {
        self.0
            .get(name)
            .cloned()
            .unwrap_or_else(|| Callee::Function {
                name: name.to_owned(),
                namespace: None,
            })
    }
}

/// The function's name for a tool in a namespace, the same in every request.
pub(super) fn flat(namespace: Option<&str>, name: &str) -> String {
    let Some(namespace) = namespace else {
        return name.to_owned();
    };
    let joint = if namespace.ends_with("__") { "" } else { "__" };
    let full = format!("{namespace}{joint}{name}");
    match full.len() <= MAX_NAME {
        true => full,
        false => {
            let digest = format!("_{:016x}", digest(full.as_bytes()));
            let mut end = MAX_NAME - digest.len();
            while !full.is_char_boundary(end) {
                end -= 1;
            }
            format!("{}{digest}", &full[..end])
        }
    }
}

/// The function's name of a call item that says its namespace.
pub(super) fn of_call(item: &Map<String, Value>) -> Option<String> {
    let name = item.get("name")?.as_str()?;
    Some(flat(item.get("namespace").and_then(Value::as_str), name))
}

/// FNV-1a, 64 bits: the same on every machine and in every version, as names must be.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    digest_on(DIGEST_OF_NOTHING, bytes)
}

/// The digest of what `before` digests with `bytes` after it.
pub(super) fn digest_on(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

pub(super) const DIGEST_OF_NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tool_in_a_namespace_is_found_by_its_flat_name() {
        let request = json!({
            "tools": [
                {"type": "namespace", "name": "agents", "tools": [
                    {"type": "function", "name": "wait"},
                    {"type": "custom", "name": "exec"}
                ]},
                {"type": "local_shell"}
            ],
            "input": [{"type": "additional_tools", "tools": [
                {"type": "custom", "name": "apply_patch"}
            ]}]
        });
        let names = Names::of_request(&request);
        let namespace = Some("agents".to_owned());
        assert_eq!(
            names.callee("agents__wait"),
            Callee::Function {
                name: "wait".to_owned(),
                namespace: namespace.clone()
            }
        );
        assert_eq!(
            names.callee("agents__exec"),
            Callee::Custom {
                name: "exec".to_owned(),
                namespace
            }
        );
        assert_eq!(names.callee("local_shell"), Callee::LocalShell);
        assert_eq!(
            names.callee("apply_patch"),
            Callee::Custom {
                name: "apply_patch".to_owned(),
                namespace: None
            }
        );
        assert_eq!(
            names.callee("other"),
            Callee::Function {
                name: "other".to_owned(),
                namespace: None
            }
        );
    }

    #[test]
    fn long_names_are_cut_and_differ() {
        let one = flat(Some("mcp__server"), &format!("{}1", "ü".repeat(40)));
        let two = flat(Some("mcp__server"), &format!("{}2", "ü".repeat(40)));
        assert!(one.len() <= MAX_NAME && two.len() <= MAX_NAME);
        assert_ne!(one, two);
    }
}
