//! Tools of a request, for a provider.

use base::Result;
use serde_json::{Map, Value, json};

use super::dialect::{Dialect, Search};
use super::write_request::cache_control;
use crate::conversation::{Carry, Conversation, Field, ServerTool, Tool, ToolChoice, custom_tools};
use crate::format::Format;

/// Writes `tools`, `tool_choice`, `parallel_tool_calls`, and the search.
pub(super) fn write(
    conversation: &Conversation,
    dialect: &Dialect,
    body: &mut Map<String, Value>,
    carry: &mut Carry,
) -> Result<()> {
    let mut tools = Vec::new();
    for tool in &conversation.tools {
        match tool {
            Tool::Function { .. } => tools.push(function(tool, dialect)),
            Tool::Custom {
                name,
                description,
                format,
            } => tools.push(custom(
                name,
                description.as_deref(),
                format.as_ref(),
                dialect,
            )),
            Tool::Server(ServerTool::WebSearch {
                context_size,
                location,
                ..
            }) => search(
                context_size.as_deref(),
                location.as_ref(),
                dialect,
                body,
                carry,
            )?,
            Tool::Server(ServerTool::CodeExecution) => {
                carry.cannot(Field::Tools, "runs no code over this API")?;
            }
            Tool::Server(ServerTool::WebFetch) => {
                carry.cannot(Field::Tools, "fetches no pages over this API")?;
            }
            Tool::Native {
                format: Format::OpenAiChat,
                value,
            } => tools.push(value.clone()),
            Tool::Native { value, .. } => {
                let kind = value["type"].as_str().unwrap_or("one of them");
                carry.cannot(Field::Tools, &format!("has no such tool ({kind})"))?;
            }
        }
    }
    // without tools most providers refuse what is said about them
    if tools.is_empty() {
        return Ok(());
    }
    body.insert("tools".to_owned(), Value::Array(tools));
    if let Some(choice) = &conversation.tool_choice {
        let value = match choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::Any => json!("required"),
            ToolChoice::None => json!("none"),
            ToolChoice::Named(name) => named(name, conversation, dialect),
        };
        body.insert("tool_choice".to_owned(), value);
    }
    if let Some(parallel) = conversation.parallel_tool_calls {
        body.insert("parallel_tool_calls".to_owned(), json!(parallel));
    }
    Ok(())
}

fn named(name: &str, conversation: &Conversation, dialect: &Dialect) -> Value {
    let is_custom = dialect.custom_tools
        && conversation
            .tools
            .iter()
            .any(|tool| matches!(tool, Tool::Custom { name: custom, .. } if custom == name));
    match is_custom {
        true => json!({"type": "custom", "custom": {"name": name}}),
        false => json!({"type": "function", "function": {"name": name}}),
    }
}

fn function(tool: &Tool, dialect: &Dialect) -> Value {
    let Tool::Function {
        name,
        description,
        parameters,
        strict,
        cache,
    } = tool
    else {
        return Value::Null;
    };
    let mut function = Map::new();
    function.insert("name".to_owned(), json!(name));
    if let Some(description) = description {
        function.insert("description".to_owned(), json!(description));
    }
    let none = || json!({"type": "object", "properties": {}});
    function.insert(
        "parameters".to_owned(),
        parameters.clone().unwrap_or_else(none),
    );
    if let Some(strict) = strict {
        function.insert("strict".to_owned(), json!(strict));
    }
    let mut tool = json!({"type": "function", "function": function});
    if let (Some(mark), true) = (cache, dialect.cache_marks) {
        tool["cache_control"] = cache_control(*mark);
    }
    tool
}

/// A custom tool, or a function with one text where the provider has no custom tools.
fn custom(
    name: &str,
    description: Option<&str>,
    format: Option<&Value>,
    dialect: &Dialect,
) -> Value {
    if dialect.custom_tools {
        let mut custom = json!({"name": name});
        if let Some(description) = description {
            custom["description"] = json!(description);
        }
        if let Some(format) = format {
            custom["format"] = nested(format);
        }
        return json!({"type": "custom", "custom": custom});
    }
    function(
        &custom_tools::as_function(name, description, format),
        dialect,
    )
}

/// The grammar in an object of its own, as this format has it.
fn nested(format: &Value) -> Value {
    match format["definition"].is_string() {
        true => json!({"type": "grammar", "grammar": {
            "definition": format["definition"],
            "syntax": format["syntax"],
        }}),
        false => format.clone(),
    }
}

fn search(
    context_size: Option<&str>,
    location: Option<&Map<String, Value>>,
    dialect: &Dialect,
    body: &mut Map<String, Value>,
    carry: &mut Carry,
) -> Result<()> {
    match dialect.search {
        Search::Never => carry.cannot(Field::Tools, "does not search the web over this API"),
        Search::Plugin => {
            body.insert("plugins".to_owned(), json!([{"id": "web"}]));
            Ok(())
        }
        Search::Options | Search::Always => {
            let mut options = Map::new();
            if let Some(size) = context_size {
                options.insert("search_context_size".to_owned(), json!(size));
            }
            if let Some(location) = location {
                let location = json!({"type": "approximate", "approximate": location});
                options.insert("user_location".to_owned(), location);
            }
            if dialect.search == Search::Options || !options.is_empty() {
                body.insert("web_search_options".to_owned(), Value::Object(options));
            }
            Ok(())
        }
    }
}
