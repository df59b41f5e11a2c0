//! Reading `input`: what was said so far, item by item.

use std::collections::HashMap;

use base::Result;
use serde_json::{Map, Value, json};

use super::names::{self, LOCAL_SHELL, TOOL_SEARCH};
use super::read_request::{
    array, invalid, missing, native, object, refused, string, text_member, wrong_type,
};
use super::reasoning::{self, Neighbour, Replayed};
use super::{content, tools};
use crate::conversation::{Content, Conversation, Part, Role, Seal, ToolKind, Turn};

/// Reads the member `input`.
pub(super) fn read(conversation: &mut Conversation, input: Option<&Value>) -> Result<()> {
    let mut reader = Reader {
        conversation,
        calls: HashMap::new(),
        next_seal: None,
    };
    match input {
        None | Some(Value::Null) => Err(missing("input")),
        Some(Value::String(text)) => {
            reader.say(Role::User, 0, vec![Part::text(text.as_str())]);
            Ok(())
        }
        Some(Value::Array(items)) => {
            for (place, item) in items.iter().enumerate() {
                reader.item(place, item)?;
            }
            Ok(())
        }
        Some(_) => Err(wrong_type("input", "a string or an array")),
    }
}

struct Reader<'a> {
    conversation: &'a mut Conversation,
    /// The tools' names by the ids of their calls.
    calls: HashMap<String, String>,
    /// The seal of the next call or text.
    next_seal: Option<Seal>,
}

impl Reader<'_> {
    fn item(&mut self, place: usize, value: &Value) -> Result<()> {
        let path = format!("input[{place}]");
        let item = object(value, &path)?;
        let kind = match item.get("type") {
            None | Some(Value::Null) if item.contains_key("role") => "message",
            _ => string(item, "type", &path)?,
        };
        match kind {
            "message" => self.message(place, item, &path),
            "reasoning" => {
                self.reasoning(place, item);
                Ok(())
            }
            "function_call" | "custom_tool_call" | "local_shell_call" | "tool_search_call" => {
                let part = self.call(kind, item, &path)?;
                self.say(Role::Assistant, place, part.into_iter().collect());
                Ok(())
            }
            "function_call_output"
            | "custom_tool_call_output"
            | "local_shell_call_output"
            | "tool_search_output" => self.output(place, kind, item, &path),
            "additional_tools" => {
                let list = item.get("tools").unwrap_or(&Value::Null);
                tools::read(self.conversation, list, &format!("{path}.tools"))
            }
            "item_reference" => Err(refused(
                &path,
                "the item is kept by another provider; send the item itself",
            )),
            "compaction" | "compaction_summary" => Err(refused(
                &path,
                "only the provider that made it can read the compacted conversation",
            )),
            _ => {
                let role = match kind.ends_with("_output") || kind.ends_with("_response") {
                    true => Role::User,
                    false => Role::Assistant,
                };
                self.say(role, place, vec![Part::new(native(value))]);
                Ok(())
            }
        }
    }

    fn message(&mut self, place: usize, item: &Map<String, Value>, path: &str) -> Result<()> {
        let role = match string(item, "role", path)? {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" | "developer" => Role::System,
            role => {
                return Err(invalid(
                    &format!("{path}.role"),
                    format!(
                        "Invalid value: '{role}'. Supported values are: 'assistant', 'system', \
                         'developer', and 'user'."
                    ),
                ));
            }
        };
        let content = item
            .get("content")
            .ok_or_else(|| missing(&format!("{path}.content")))?;
        let parts = content::read(content, &format!("{path}.content"))?;
        self.say(role, place, parts);
        Ok(())
    }

    /// Adds to the turn of `role`, or begins one. What the system says before all others is the
    /// system prompt.
    fn say(&mut self, role: Role, place: usize, mut parts: Vec<Part>) {
        if role == Role::System && self.conversation.turns.is_empty() {
            self.conversation.system.extend(parts);
            return;
        }
        if role == Role::Assistant
            && let Some(first) = parts.first_mut().filter(|part| takes_seal(part))
            && let Some(seal) = self.next_seal.take()
        {
            first.seal = Some(seal);
        }
        match self.conversation.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.extend(parts),
            _ => self.conversation.turns.push(Turn { role, parts, place }),
        }
    }

    fn reasoning(&mut self, place: usize, item: &Map<String, Value>) {
        match reasoning::replayed(item) {
            Replayed::Reasoning(part) => self.say(Role::Assistant, place, vec![part]),
            Replayed::Of(Neighbour::Next, seal) => self.next_seal = Some(seal),
            Replayed::Of(Neighbour::Last, seal) => {
                let turn = self.conversation.turns.last_mut();
                let last = turn
                    .filter(|turn| turn.role == Role::Assistant)
                    .and_then(|turn| turn.parts.last_mut())
                    .filter(|part| takes_seal(part));
                if let Some(last) = last {
                    last.seal = Some(seal);
                }
            }
        }
    }

    /// A call of a tool that the client runs; `None` for a search that the provider ran.
    fn call(&mut self, kind: &str, item: &Map<String, Value>, path: &str) -> Result<Option<Part>> {
        if kind == TOOL_SEARCH_CALL && !is_client_search(item) {
            return Ok(Some(Part::new(native(&Value::Object(item.clone())))));
        }
        let id = match kind {
            "local_shell_call" if !item.contains_key("call_id") => string(item, "id", path)?,
            _ => string(item, "call_id", path)?,
        };
        let name = || {
            string(item, "name", path)?;
            names::of_call(item).ok_or_else(|| missing(&format!("{path}.name")))
        };
        let (name, arguments, tool_kind) = match kind {
            "custom_tool_call" => (name()?, text_member(item, "input", path)?, ToolKind::Custom),
            "local_shell_call" => {
                let action = item.get("action").unwrap_or(&Value::Null);
                let text = Value::Object(object(action, &format!("{path}.action"))?.clone());
                (LOCAL_SHELL.to_owned(), text.to_string(), ToolKind::Function)
            }
            TOOL_SEARCH_CALL => {
                let arguments = item.get("arguments").cloned().unwrap_or_else(|| json!({}));
                (
                    TOOL_SEARCH.to_owned(),
                    arguments.to_string(),
                    ToolKind::Function,
                )
            }
            _ => {
                let mut arguments = text_member(item, "arguments", path)?;
                if arguments.trim().is_empty() {
                    "{}".clone_into(&mut arguments);
                }
                (name()?, arguments, ToolKind::Function)
            }
        };
        self.calls.insert(id.to_owned(), name.clone());
        Ok(Some(Part::new(Content::ToolCall {
            id: id.to_owned(),
            name,
            arguments,
            kind: tool_kind,
        })))
    }

    fn output(
        &mut self,
        place: usize,
        kind: &str,
        item: &Map<String, Value>,
        path: &str,
    ) -> Result<()> {
        let parts = match kind {
            "tool_search_output" if !is_client_search(item) => {
                let part = Part::new(native(&Value::Object(item.clone())));
                self.say(Role::Assistant, place, vec![part]);
                return Ok(());
            }
            "tool_search_output" => {
                let list = item.get("tools").unwrap_or(&Value::Null);
                let path = format!("{path}.tools");
                array(list, &path)?;
                tools::read(self.conversation, list, &path)?;
                vec![Part::text(list.to_string())]
            }
            _ => {
                let path = format!("{path}.output");
                content::read(item.get("output").ok_or_else(|| missing(&path))?, &path)?
            }
        };
        let id = match item.get("call_id") {
            None if kind == "local_shell_call_output" => string(item, "id", path)?,
            _ => string(item, "call_id", path)?,
        };
        let result = Content::ToolResult {
            call_id: id.to_owned(),
            name: self.calls.get(id).cloned(),
            parts,
            is_error: false,
            kind: match kind {
                "custom_tool_call_output" => ToolKind::Custom,
                _ => ToolKind::Function,
            },
        };
        self.say(Role::User, place, vec![Part::new(result)]);
        Ok(())
    }
}

const TOOL_SEARCH_CALL: &str = "tool_search_call";

/// Whether the client ran the search for tools, not the provider.
fn is_client_search(item: &Map<String, Value>) -> bool {
    item.get("execution").and_then(Value::as_str) == Some("client")
}

fn takes_seal(part: &Part) -> bool {
    matches!(
        part.content,
        Content::Text { .. } | Content::ToolCall { .. } | Content::Media(_)
    )
}
