//! `tools` and `toolConfig`: what the model may call, and must.

use base::Result;
use serde_json::Value;
use serde_json::value::RawValue;

use super::read_request::{elements, invalid, object, other, parse};
use super::read_schema::to_json_schema;
use crate::conversation::{Conversation, ServerTool, Tool, ToolChoice};
use crate::format::Format;

pub(super) fn tools(raw: &RawValue, conversation: &mut Conversation) -> Result<()> {
    for (number, raw) in elements("tools", raw)?.into_iter().enumerate() {
        let path = format!("tools[{number}]");
        for (name, raw) in object(&path, raw)? {
            let path = format!("{path}.{name}");
            tool(&name, &path, raw, conversation)?;
        }
    }
    Ok(())
}

fn tool(name: &str, path: &str, raw: &RawValue, conversation: &mut Conversation) -> Result<()> {
    match name {
        "functionDeclarations" => {
            for (number, raw) in elements(path, raw)?.into_iter().enumerate() {
                let path = format!("{path}[{number}]");
                let tool = function(&path, raw, conversation)?;
                conversation.tools.push(tool);
            }
        }
        "googleSearch" | "googleSearchRetrieval" => {
            let tool = web_search(path, raw, conversation)?;
            conversation.tools.push(Tool::Server(tool));
        }
        "urlContext" => conversation.tools.push(Tool::Server(ServerTool::WebFetch)),
        "codeExecution" => {
            let tool = Tool::Server(ServerTool::CodeExecution);
            conversation.tools.push(tool);
        }
        _ => {
            let settings: Value = parse(path, raw)?;
            let format = Format::Gemini;
            let value = Value::Object([(name.to_owned(), settings)].into_iter().collect());
            conversation.tools.push(Tool::Native { format, value });
        }
    }
    Ok(())
}

fn function(path: &str, raw: &RawValue, conversation: &mut Conversation) -> Result<Tool> {
    let mut name = None;
    let mut description = None;
    let mut parameters = None;
    for (member, raw) in object(path, raw)? {
        let path = format!("{path}.{member}");
        match &*member {
            "name" => name = Some(parse::<String>(&path, raw)?),
            "description" => description = Some(parse::<String>(&path, raw)?),
            "parameters" => {
                let schema: Value = parse(&path, raw)?;
                parameters = Some(to_json_schema(&schema));
            }
            "parametersJsonSchema" => parameters = Some(parse(&path, raw)?),
            // how results look, and how the Live API waits for them: no model needs it to call
            "response" | "responseJsonSchema" | "behavior" => {
                let value = parse(&path, raw)?;
                other(conversation, path, value, true);
            }
            _ => {
                let value = parse(&path, raw)?;
                other(conversation, path, value, false);
            }
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
        let path = format!("{path}.name");
        invalid(&path, format!("{path} is missing"))
    })?;
    if parameters.as_ref().is_some_and(|value| !value.is_object()) {
        let path = format!("{path}.parameters");
        return Err(invalid(&path, format!("{path} must be an object")));
    }
    Ok(Tool::Function {
        name,
        description: description.filter(|text| !text.is_empty()),
        parameters,
        strict: None,
        cache: None,
    })
}

fn web_search(path: &str, raw: &RawValue, conversation: &mut Conversation) -> Result<ServerTool> {
    let mut blocked_domains = Vec::new();
    for (member, raw) in object(path, raw)? {
        let path = format!("{path}.{member}");
        match &*member {
            "excludeDomains" => blocked_domains = parse(&path, raw)?,
            _ => {
                let value = parse(&path, raw)?;
                other(conversation, path, value, false);
            }
        }
    }
    Ok(ServerTool::WebSearch {
        max_uses: None,
        allowed_domains: Vec::new(),
        blocked_domains,
        context_size: None,
        location: None,
    })
}

pub(super) fn tool_config(raw: &RawValue, conversation: &mut Conversation) -> Result<()> {
    for (name, raw) in object("toolConfig", raw)? {
        let path = format!("toolConfig.{name}");
        match &*name {
            "functionCallingConfig" => function_calling(&path, raw, conversation)?,
            "includeServerSideToolInvocations" => {
                let value = parse(&path, raw)?;
                other(conversation, path, value, true);
            }
            _ => {
                let value = parse(&path, raw)?;
                other(conversation, path, value, false);
            }
        }
    }
    Ok(())
}

fn function_calling(path: &str, raw: &RawValue, conversation: &mut Conversation) -> Result<()> {
    let mut mode = String::new();
    let mut allowed: Vec<String> = Vec::new();
    for (name, raw) in object(path, raw)? {
        let path = format!("{path}.{name}");
        match &*name {
            "mode" => mode = parse::<String>(&path, raw)?.to_ascii_uppercase(),
            "allowedFunctionNames" => allowed = parse(&path, raw)?,
            _ => {
                let value = parse(&path, raw)?;
                other(conversation, path, value, true);
            }
        }
    }
    conversation.tool_choice = match (&*mode, &*allowed) {
        ("" | "MODE_UNSPECIFIED", []) => None,
        // VALIDATED is AUTO with arguments held to their schema
        ("AUTO" | "VALIDATED" | "" | "MODE_UNSPECIFIED", _) => Some(ToolChoice::Auto),
        ("ANY", [only]) => Some(ToolChoice::Named(only.clone())),
        ("ANY", _) => Some(ToolChoice::Any),
        ("NONE", _) => Some(ToolChoice::None),
        (mode, _) => {
            let path = format!("{path}.mode");
            let message = format!("{path} must be AUTO, ANY, NONE or VALIDATED, not {mode:?}");
            return Err(invalid(&path, message));
        }
    };
    if allowed.len() > 1 || mode == "VALIDATED" && !allowed.is_empty() {
        // what may not be called need not be shown
        conversation
            .tools
            .retain(|tool| !matches!(tool, Tool::Function { name, .. } if !allowed.contains(name)));
    }
    Ok(())
}
