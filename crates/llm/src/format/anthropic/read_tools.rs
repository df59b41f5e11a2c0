//! Reading a request's tools and the choice among them.

use base::Result;
use serde_json::Value;

use super::fields::Fields;
use crate::conversation::{Conversation, Other, ServerTool, Tool, ToolChoice};
use crate::format::Format;

pub(super) fn tools(fields: &mut Fields, conversation: &mut Conversation) -> Result<()> {
    let tools = fields.array("tools")?.unwrap_or_default();
    for (place, value) in tools.into_iter().enumerate() {
        let path = format!("tools[{place}]");
        let native = value.clone();
        let mut tool = Fields::of(value, path)?;
        let kind = tool.string("type")?;
        let kind = kind.as_deref().unwrap_or("custom");
        if kind.starts_with("tool_search_tool_") {
            // other providers get all tools at once, so that there is nothing to search for
            conversation.other.push(Other {
                field: tool.path().to_owned(),
                value: native,
                is_hint: true,
            });
            continue;
        }
        conversation.tools.push(tool_of(kind, tool, native)?);
    }
    Ok(())
}

fn tool_of(kind: &str, mut tool: Fields, native: Value) -> Result<Tool> {
    if kind == "custom" {
        return function(tool);
    }
    if kind.starts_with("web_search_") {
        return Ok(Tool::Server(web_search(tool)?));
    }
    if kind.starts_with("code_execution_") {
        return Ok(Tool::Server(ServerTool::CodeExecution));
    }
    let has_domains = !tool.strings("allowed_domains")?.is_empty()
        || !tool.strings("blocked_domains")?.is_empty();
    if kind.starts_with("web_fetch_") && !has_domains {
        return Ok(Tool::Server(ServerTool::WebFetch));
    }
    Ok(Tool::Native {
        format: Format::Anthropic,
        value: native,
    })
}

fn function(mut tool: Fields) -> Result<Tool> {
    let name = tool.required_string("name")?;
    if name.is_empty() {
        return Err(tool.wrong("name", "must not be empty"));
    }
    let parameters = match tool.value("input_schema") {
        Some(schema) if schema.is_object() => schema,
        Some(_) => return Err(tool.wrong("input_schema", "must be an object")),
        None => return Err(tool.wrong("input_schema", "is required")),
    };
    Ok(Tool::Function {
        name,
        description: tool.string("description")?,
        parameters: Some(parameters),
        strict: tool.boolean("strict")?,
        cache: tool.cache_mark()?,
    })
}

fn web_search(mut tool: Fields) -> Result<ServerTool> {
    let location = match tool.object("user_location")? {
        None => None,
        Some(location) => {
            let mut members = location.into_rest();
            members.retain(|name, value| name != "type" && !value.is_null());
            Some(members)
        }
    };
    Ok(ServerTool::WebSearch {
        max_uses: tool.count("max_uses")?,
        allowed_domains: tool.strings("allowed_domains")?,
        blocked_domains: tool.strings("blocked_domains")?,
        context_size: None,
        location,
    })
}

pub(super) fn choice(fields: &mut Fields, conversation: &mut Conversation) -> Result<()> {
    let Some(mut choice) = fields.object("tool_choice")? else {
        return Ok(());
    };
    if choice.boolean("disable_parallel_tool_use")? == Some(true) {
        conversation.parallel_tool_calls = Some(false);
    }
    conversation.tool_choice = Some(match choice.word("type")? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.required_string("name")?),
        _ => return Err(choice.wrong("type", "must be auto, any, tool or none")),
    });
    Ok(())
}
