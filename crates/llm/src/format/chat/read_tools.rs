//! The tools of a client's request, and which of them may or must be called.

use base::Result;
use serde_json::{Map, Value, json};

use super::read_parts::cache_mark;
use super::walk::{
    self, Object, invalid, join, missing, need_string, take, take_bool, take_count, take_list,
    take_object, take_string, wrong_type,
};
use crate::conversation::{Conversation, ServerTool, Tool, ToolChoice};
use crate::format::Format;

/// Reads `tools`, `functions`, `web_search_options` and what chooses among them.
pub(super) fn read(body: &mut Object, conversation: &mut Conversation) -> Result<()> {
    for (index, value) in take_list(body, "", "tools")?.into_iter().enumerate() {
        let tool = tool(value, &format!("tools[{index}]"))?;
        conversation.tools.push(tool);
    }
    for (index, value) in take_list(body, "", "functions")?.into_iter().enumerate() {
        let path = format!("functions[{index}]");
        let function = walk::object(value, &path)?;
        conversation.tools.push(function_tool(function, &path)?);
    }
    if let Some(options) = take_object(body, "", "web_search_options")? {
        conversation
            .tools
            .push(web_search(options, "web_search_options")?);
    }
    if let Some(choice) = take(body, "tool_choice") {
        read_choice(choice, conversation)?;
    }
    if let Some(choice) = take(body, "function_call") {
        conversation.tool_choice = Some(match choice {
            Value::String(word) => choice_word(&word, "function_call")?,
            value => {
                let mut object = walk::object(value, "function_call")?;
                ToolChoice::Named(need_string(&mut object, "function_call", "name")?)
            }
        });
    }
    conversation.parallel_tool_calls = take_bool(body, "", "parallel_tool_calls")?;
    Ok(())
}

fn tool(value: Value, path: &str) -> Result<Tool> {
    let mut object = walk::object(value, path)?;
    let kind = match object.get("type") {
        None | Some(Value::Null) => None,
        Some(Value::String(kind)) => Some(kind.clone()),
        Some(other) => return Err(wrong_type(&join(path, "type"), "a string", other)),
    };
    let kind = match kind {
        Some(kind) => kind,
        None if object.contains_key("function") => "function".to_owned(),
        None => return google_tool(object, path),
    };
    match kind.as_str() {
        "function" => {
            let cache = cache_mark(&mut object);
            let inner = join(path, "function");
            let function =
                take_object(&mut object, path, "function")?.ok_or_else(|| missing(&inner))?;
            let mut tool = function_tool(function, &inner)?;
            if let (Tool::Function { cache: place, .. }, Some(_)) = (&mut tool, cache) {
                *place = cache;
            }
            Ok(tool)
        }
        "custom" => {
            let inner = join(path, "custom");
            let custom =
                take_object(&mut object, path, "custom")?.ok_or_else(|| missing(&inner))?;
            custom_tool(custom, &inner)
        }
        kind if kind.starts_with("web_search") => web_search(object, path),
        kind if kind.starts_with("web_fetch") => Ok(Tool::Server(ServerTool::WebFetch)),
        kind if kind.starts_with("code_execution") || kind == "code_interpreter" => {
            Ok(Tool::Server(ServerTool::CodeExecution))
        }
        _ => Ok(native(object)),
    }
}

fn native(object: Object) -> Tool {
    Tool::Native {
        format: Format::OpenAiChat,
        value: Value::Object(object),
    }
}

/// `{"googleSearch": {}}`, as clients of LiteLLM send Gemini's own tools.
fn google_tool(object: Object, path: &str) -> Result<Tool> {
    let server = |name: &str| {
        Some(match name {
            "googleSearch" | "google_search" | "googleSearchRetrieval" => ServerTool::WebSearch {
                max_uses: None,
                allowed_domains: Vec::new(),
                blocked_domains: Vec::new(),
                context_size: None,
                location: None,
            },
            "codeExecution" | "code_execution" => ServerTool::CodeExecution,
            "urlContext" | "url_context" => ServerTool::WebFetch,
            _ => return None,
        })
    };
    match object.keys().find_map(|name| server(name)) {
        Some(tool) => Ok(Tool::Server(tool)),
        None => Err(missing(&join(path, "type"))),
    }
}

fn function_tool(mut function: Object, path: &str) -> Result<Tool> {
    let parameters = take_object(&mut function, path, "parameters")?;
    Ok(Tool::Function {
        name: need_string(&mut function, path, "name")?,
        description: take_string(&mut function, path, "description")?,
        parameters: parameters.map(Value::Object),
        strict: take_bool(&mut function, path, "strict")?,
        cache: cache_mark(&mut function),
    })
}

/// The format of a custom tool is kept flat, as the Responses API writes it:
/// `{"type": "grammar", "syntax": …, "definition": …}`.
fn custom_tool(mut custom: Object, path: &str) -> Result<Tool> {
    let format = match take_object(&mut custom, path, "format")? {
        Some(mut format) => Some(match take_object(&mut format, path, "grammar")? {
            Some(mut grammar) => {
                grammar.insert("type".to_owned(), json!("grammar"));
                Value::Object(grammar)
            }
            None => Value::Object(format),
        }),
        None => None,
    };
    Ok(Tool::Custom {
        name: need_string(&mut custom, path, "name")?,
        description: take_string(&mut custom, path, "description")?,
        format,
    })
}

/// OpenAI's `web_search_options`, or the tool of Anthropic and the Responses API.
fn web_search(mut options: Object, path: &str) -> Result<Tool> {
    let strings = |list: Vec<Value>, name: &str| -> Result<Vec<String>> {
        let path = join(path, name);
        list.into_iter()
            .map(|value| walk::string(value, &path))
            .collect()
    };
    let location = match take_object(&mut options, path, "user_location")? {
        Some(mut location) => {
            let inner = take_object(&mut location, &join(path, "user_location"), "approximate")?;
            Some(flat(inner.unwrap_or(location)))
        }
        None => None,
    };
    let mut filters = take_object(&mut options, path, "filters")?.unwrap_or_default();
    let mut allowed = take_list(&mut options, path, "allowed_domains")?;
    allowed.extend(take_list(&mut filters, path, "allowed_domains")?);
    let mut blocked = take_list(&mut options, path, "blocked_domains")?;
    blocked.extend(take_list(&mut filters, path, "blocked_domains")?);
    Ok(Tool::Server(ServerTool::WebSearch {
        max_uses: take_count(&mut options, path, "max_uses")?,
        allowed_domains: strings(allowed, "allowed_domains")?,
        blocked_domains: strings(blocked, "blocked_domains")?,
        context_size: take_string(&mut options, path, "search_context_size")?,
        location,
    }))
}

fn flat(location: Object) -> Map<String, Value> {
    location
        .into_iter()
        .filter(|(name, value)| name != "type" && !value.is_null())
        .collect()
}

fn choice_word(word: &str, path: &str) -> Result<ToolChoice> {
    Ok(match word {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        // Mistral and Anthropic say any
        "required" | "any" => ToolChoice::Any,
        other => {
            return Err(invalid(
                path,
                &format!("'{other}' is none of auto, none, required"),
            ));
        }
    })
}

fn read_choice(choice: Value, conversation: &mut Conversation) -> Result<()> {
    let path = "tool_choice";
    let mut object = match choice {
        Value::String(word) => {
            conversation.tool_choice = Some(choice_word(&word, path)?);
            return Ok(());
        }
        Value::Object(object) => object,
        other => return Err(wrong_type(path, "a string or an object", &other)),
    };
    let kind = take_string(&mut object, path, "type")?.unwrap_or_else(|| "function".to_owned());
    conversation.tool_choice = Some(match kind.as_str() {
        "function" | "custom" | "tool" => {
            let inner = take_object(&mut object, path, &kind)?;
            let inner_path = join(path, &kind);
            match inner {
                Some(mut inner) => ToolChoice::Named(need_string(&mut inner, &inner_path, "name")?),
                None => ToolChoice::Named(need_string(&mut object, path, "name")?),
            }
        }
        "allowed_tools" => {
            let path = join(path, "allowed_tools");
            let mut allowed = take_object(&mut object, "tool_choice", "allowed_tools")?
                .ok_or_else(|| missing(&path))?;
            let mode = take_string(&mut allowed, &path, "mode")?;
            keep_allowed(take_list(&mut allowed, &path, "tools")?, conversation);
            choice_word(mode.as_deref().unwrap_or("auto"), &join(&path, "mode"))?
        }
        word => choice_word(word, "tool_choice.type")?,
    });
    Ok(())
}

/// A choice among some of the tools is a request with those alone.
fn keep_allowed(allowed: Vec<Value>, conversation: &mut Conversation) {
    let names: Vec<String> = allowed
        .iter()
        .filter_map(|tool| {
            let name = [
                &tool["function"]["name"],
                &tool["custom"]["name"],
                &tool["name"],
            ];
            name.into_iter().find_map(Value::as_str).map(str::to_owned)
        })
        .collect();
    conversation.tools.retain(|tool| match tool {
        Tool::Function { name, .. } | Tool::Custom { name, .. } => names.contains(name),
        Tool::Server(_) | Tool::Native { .. } => true,
    });
}
