//! Tools and tool choice, read from a client and written for a provider.

use base::Result;
use serde_json::{Map, Value, json};

use super::FORMAT;
use super::names::{self, LOCAL_SHELL, TOOL_SEARCH};
use super::read_request::{array, invalid, object, other, string, wrong_type};
use crate::conversation::{Carry, Conversation, Field, ServerTool, Tool, ToolChoice};

/// Reads a list of tools, in `tools` or in an item, and adds them.
pub(super) fn read(conversation: &mut Conversation, value: &Value, path: &str) -> Result<()> {
    read_list(conversation, value, path, None)
}

fn read_list(
    conversation: &mut Conversation,
    value: &Value,
    path: &str,
    namespace: Option<&str>,
) -> Result<()> {
    for (at, value) in array(value, path)?.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let tool = object(value, &path)?;
        match (string(tool, "type", &path)?, namespace) {
            ("namespace", None) => {
                let name = string(tool, "name", &path)?;
                let list = tool.get("tools").unwrap_or(&Value::Null);
                read_list(conversation, list, &format!("{path}.tools"), Some(name))?;
            }
            (kind, _) if is_cached_search(kind, tool) => {
                // no other provider has a search without the web behind it
                other(conversation, &path, value, true);
            }
            (kind, namespace) => {
                let found = read_one(kind, namespace, tool, value, &path)?;
                add(conversation, found);
            }
        }
    }
    Ok(())
}

/// A tool that comes again, found by a search, is there already.
fn add(conversation: &mut Conversation, tool: Tool) {
    let name_of = |tool: &Tool| match tool {
        Tool::Function { name, .. } | Tool::Custom { name, .. } => Some(name.clone()),
        Tool::Server(_) | Tool::Native { .. } => None,
    };
    let name = name_of(&tool);
    let is_known = |known: &Tool| name.is_some() && name_of(known) == name;
    if !conversation.tools.iter().any(is_known) {
        conversation.tools.push(tool);
    }
}

/// A web search that may not reach the web (`external_web_access: false`).
fn is_cached_search(kind: &str, tool: &Map<String, Value>) -> bool {
    kind.starts_with("web_search")
        && tool.get("external_web_access").and_then(Value::as_bool) == Some(false)
}

fn read_one(
    kind: &str,
    namespace: Option<&str>,
    tool: &Map<String, Value>,
    value: &Value,
    path: &str,
) -> Result<Tool> {
    let word = |name: &str| Some(tool.get(name)?.as_str()?.to_owned());
    let set = |name: &str| tool.get(name).filter(|value| !value.is_null()).cloned();
    Ok(match kind {
        "function" => {
            let name = names::flat(namespace, string(tool, "name", path)?);
            let parameters = set("parameters");
            if parameters
                .as_ref()
                .is_some_and(|schema| !schema.is_object())
            {
                return Err(wrong_type(&format!("{path}.parameters"), "an object"));
            }
            Tool::Function {
                name,
                description: word("description"),
                parameters,
                strict: tool.get("strict").and_then(Value::as_bool),
                cache: None,
            }
        }
        "custom" => Tool::Custom {
            name: names::flat(namespace, string(tool, "name", path)?),
            description: word("description"),
            format: set("format").filter(|format| format.get("type") != Some(&json!("text"))),
        },
        "local_shell" => local_shell(),
        "tool_search" if word("execution").as_deref() == Some("client") => Tool::Function {
            name: TOOL_SEARCH.to_owned(),
            description: word("description"),
            parameters: set("parameters"),
            strict: None,
            cache: None,
        },
        "web_search"
        | "web_search_2025_08_26"
        | "web_search_preview"
        | "web_search_preview_2025_03_11" => Tool::Server(web_search(tool)),
        "code_interpreter" if is_plain_container(tool) => Tool::Server(ServerTool::CodeExecution),
        _ => Tool::Native {
            format: FORMAT,
            value: value.clone(),
        },
    })
}

fn web_search(tool: &Map<String, Value>) -> ServerTool {
    let domains = |name: &str| -> Vec<String> {
        let list = tool
            .get("filters")
            .and_then(|filters| filters.get(name)?.as_array());
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let location = tool.get("user_location").and_then(Value::as_object);
    let location: Option<Map<String, Value>> = location.map(|location| {
        let set = location
            .iter()
            .filter(|(name, value)| *name != "type" && !value.is_null());
        set.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    });
    let size = tool.get("search_context_size").and_then(Value::as_str);
    ServerTool::WebSearch {
        max_uses: None,
        allowed_domains: domains("allowed_domains"),
        blocked_domains: domains("blocked_domains"),
        context_size: size.map(str::to_owned),
        location: location.filter(|location| !location.is_empty()),
    }
}

/// Whether the code runs in a new container without files.
fn is_plain_container(tool: &Map<String, Value>) -> bool {
    match tool.get("container") {
        None | Some(Value::Null) => true,
        Some(Value::Object(container)) => {
            let files = container.get("file_ids").and_then(Value::as_array);
            container.get("type") == Some(&json!("auto")) && files.is_none_or(Vec::is_empty)
        }
        Some(_) => false,
    }
}

/// The client's own shell as a function; its arguments are the `action` of a `local_shell_call`.
fn local_shell() -> Tool {
    Tool::Function {
        name: LOCAL_SHELL.to_owned(),
        description: Some(
            "Runs a command on the user's machine and returns its output.".to_owned(),
        ),
        parameters: Some(json!({
            "type": "object",
            "properties": {
                "command": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "The program and its arguments."
                },
                "working_directory": {"type": "string"},
                "timeout_ms": {"type": "integer"},
                "env": {"type": "object", "additionalProperties": {"type": "string"}}
            },
            "required": ["command"]
        })),
        strict: None,
        cache: None,
    }
}

/// Reads `tool_choice`.
pub(super) fn read_choice(conversation: &mut Conversation, value: &Value) -> Result<()> {
    let path = "tool_choice";
    let choice = match value {
        Value::String(word) => read_mode(word, path)?,
        Value::Object(choice) => match string(choice, "type", path)? {
            "function" | "custom" => {
                string(choice, "name", path)?;
                ToolChoice::Named(names::of_call(choice).unwrap_or_default())
            }
            "allowed_tools" => {
                allow(conversation, choice)?;
                read_mode(string(choice, "mode", path)?, "tool_choice.mode")?
            }
            "local_shell" => ToolChoice::Named(LOCAL_SHELL.to_owned()),
            _ => {
                other(conversation, path, value, false);
                return Ok(());
            }
        },
        _ => return Err(wrong_type(path, "a string or an object")),
    };
    conversation.tool_choice = Some(choice);
    Ok(())
}

fn read_mode(word: &str, path: &str) -> Result<ToolChoice> {
    Ok(match word {
        "auto" => ToolChoice::Auto,
        "required" => ToolChoice::Any,
        "none" => ToolChoice::None,
        _ => {
            return Err(invalid(
                path,
                format!(
                    "Invalid value: '{word}'. Supported values are: 'none', 'auto', and 'required'."
                ),
            ));
        }
    })
}

/// Keeps the tools that the model may call: providers without such a list get a shorter one.
fn allow(conversation: &mut Conversation, choice: &Map<String, Value>) -> Result<()> {
    let list = choice.get("tools").unwrap_or(&Value::Null);
    let mut allowed = Vec::new();
    for (at, tool) in array(list, "tool_choice.tools")?.iter().enumerate() {
        let path = format!("tool_choice.tools[{at}]");
        let tool = object(tool, &path)?;
        let kind = string(tool, "type", &path)?;
        allowed.push((kind.to_owned(), names::of_call(tool)));
    }
    let is_allowed = |tool: &Tool| match tool {
        Tool::Function { name, .. } | Tool::Custom { name, .. } => {
            allowed.iter().any(|(kind, allowed)| {
                allowed.as_ref() == Some(name) || allowed.is_none() && kind == name
            })
        }
        Tool::Server(ServerTool::WebSearch { .. }) => allowed
            .iter()
            .any(|(kind, _)| kind.starts_with("web_search")),
        Tool::Server(_) => allowed.iter().any(|(kind, _)| kind == "code_interpreter"),
        Tool::Native { value, .. } => {
            let kind = value.get("type").and_then(Value::as_str);
            allowed.iter().any(|(allowed, _)| Some(&**allowed) == kind)
        }
    };
    conversation.tools.retain(is_allowed);
    Ok(())
}

/// Writes a tool for a provider; `None` where it was left out.
pub(super) fn write(tool: &Tool, carry: &mut Carry) -> Result<Option<Value>> {
    let mut written = Map::new();
    let mut put = |name: &str, value: Value| {
        written.insert(name.to_owned(), value);
    };
    match tool {
        Tool::Function {
            name,
            description,
            parameters,
            strict,
            ..
        } => {
            put("type", json!("function"));
            put("name", json!(name));
            if let Some(description) = description {
                put("description", json!(description));
            }
            let none = || json!({"type": "object", "properties": {}});
            put("parameters", parameters.clone().unwrap_or_else(none));
            // here a function is strict unless it says no; elsewhere it is the other way round
            put("strict", json!(strict.unwrap_or(false)));
        }
        Tool::Custom {
            name,
            description,
            format,
        } => {
            put("type", json!("custom"));
            put("name", json!(name));
            if let Some(description) = description {
                put("description", json!(description));
            }
            if let Some(format) = format {
                put("format", flat_format(format));
            }
        }
        Tool::Server(tool) => return write_server_tool(tool, carry),
        Tool::Native { format, value } if *format == FORMAT => return Ok(Some(value.clone())),
        Tool::Native { .. } => {
            carry.cannot(Field::Tools, "does not have one of the tools")?;
            return Ok(None);
        }
    }
    Ok(Some(Value::Object(written)))
}

/// OpenAI chat has a grammar's members one level deeper.
fn flat_format(format: &Value) -> Value {
    match format.get("grammar") {
        Some(Value::Object(grammar)) => {
            let mut flat = grammar.clone();
            flat.insert("type".to_owned(), json!("grammar"));
            Value::Object(flat)
        }
        _ => format.clone(),
    }
}

fn write_server_tool(tool: &ServerTool, carry: &mut Carry) -> Result<Option<Value>> {
    match tool {
        ServerTool::WebSearch {
            max_uses,
            allowed_domains,
            blocked_domains,
            context_size,
            location,
        } => {
            let mut search = json!({"type": "web_search"});
            if max_uses.is_some() {
                carry.leave_out("tools.max_uses");
            }
            if !allowed_domains.is_empty() {
                search["filters"]["allowed_domains"] = json!(allowed_domains);
            }
            if !blocked_domains.is_empty() {
                search["filters"]["blocked_domains"] = json!(blocked_domains);
            }
            if let Some(size) = context_size {
                search["search_context_size"] = json!(size);
            }
            if let Some(location) = location {
                let mut location = location.clone();
                location.insert("type".to_owned(), json!("approximate"));
                search["user_location"] = Value::Object(location);
            }
            Ok(Some(search))
        }
        ServerTool::CodeExecution => Ok(Some(
            json!({"type": "code_interpreter", "container": {"type": "auto"}}),
        )),
        ServerTool::WebFetch => {
            carry.cannot(Field::Tools, "has no tool that fetches web pages")?;
            Ok(None)
        }
    }
}

/// Writes the choice of a tool for a provider.
pub(super) fn write_choice(choice: &ToolChoice, tools: &[Tool]) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::Any => json!("required"),
        ToolChoice::None => json!("none"),
        ToolChoice::Named(named) => {
            let is_custom = tools
                .iter()
                .any(|tool| matches!(tool, Tool::Custom { name, .. } if name == named));
            let kind = if is_custom { "custom" } else { "function" };
            json!({"type": kind, "name": named})
        }
    }
}
