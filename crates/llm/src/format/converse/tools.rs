//! Tools, which of them must be called, and the forced tool that stands for structured output.

use std::borrow::Cow;

use base::Result;
use serde_json::{Map, Value, json};

use super::ANSWER_TOOL;
use super::blocks::BlockWriter;
use super::model::{Maker, Model};
use super::parameters;
use super::wire::{Schema, Tool, ToolConfig};
use crate::conversation::{
    self, Carry, Content, Conversation, Field, Output, ServerTool, ToolChoice, custom_tools,
};
use crate::format::Format;
use crate::format::anthropic::{reasoning, schema};

/// By what means the answer gets its shape.
pub(super) enum Shape<'a> {
    Free,
    /// `outputConfig`
    Native(Value),
    /// The model is made to call a tool with this schema.
    Forced(Tool<'a>),
}

/// # Errors
/// `InvalidRequest` (400) for a shape that the model cannot be made to keep.
pub(super) fn shape<'a>(
    conversation: &'a Conversation,
    model: Model,
    carry: &mut Carry,
) -> Result<Shape<'a>> {
    let thinks = parameters::wishes_thinking(conversation);
    let any_object = || json!({"type": "object", "additionalProperties": true});
    let (schema, description) = match &conversation.output {
        Output::Text => return Ok(Shape::Free),
        Output::Json => (Cow::Owned(any_object()), None),
        Output::Schema {
            schema,
            name,
            description,
            ..
        } => {
            if model.has_structured_output(thinks)
                && let Some(closed) = schema::closed(schema)
            {
                return Ok(Shape::Native(text_format(closed, name, description)));
            }
            (Cow::Borrowed(schema), description.as_deref())
        }
    };
    if !model.can_be_forced() || !is_of_object(&schema) {
        carry.cannot(Field::Output, "cannot be made to keep this shape")?;
        return Ok(Shape::Free);
    }
    Ok(Shape::Forced(Tool::Function {
        name: Cow::Borrowed(ANSWER_TOOL),
        description: Some(Cow::Borrowed(description.unwrap_or(
            "Give your final answer to the user by calling this tool; its input is the answer.",
        ))),
        input_schema: Schema { json: schema },
        strict: None,
    }))
}

fn is_of_object(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

fn text_format(schema: Value, name: &Option<String>, description: &Option<String>) -> Value {
    let mut definition = Map::new();
    definition.insert("schema".to_owned(), Value::String(schema.to_string()));
    for (member, text) in [("name", name), ("description", description)] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            definition.insert(member.to_owned(), Value::String(text.clone()));
        }
    }
    json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}})
}

/// `toolConfig`; must be there where the history calls tools.
pub(super) fn config<'a>(
    conversation: &'a Conversation,
    forced: Option<Tool<'a>>,
    writer: &mut BlockWriter<'_>,
) -> Result<Option<ToolConfig<'a>>> {
    let called = called_names(conversation);
    let is_none = conversation.tool_choice == Some(ToolChoice::None);
    let mut tools = Vec::new();
    if !is_none || !called.is_empty() {
        for (place, tool) in conversation.tools.iter().enumerate() {
            write_tool(tool, place, writer, &mut tools)?;
        }
    }
    let is_forced = forced.is_some();
    let tool_choice = match forced {
        Some(tool) => {
            let has_others = !tools.is_empty() && !is_none;
            tools.push(tool);
            Some(match has_others {
                true => json!({"any": {}}),
                false => json!({"tool": {"name": ANSWER_TOOL}}),
            })
        }
        None => choice(conversation),
    };
    if tools.is_empty() {
        tools.extend(called.into_iter().map(as_it_was_called));
    }
    if tools.is_empty() {
        return Ok(None);
    }
    if is_none && !is_forced {
        // Bedrock has no word for it, and wants the tools that the history calls.
        writer.carry.hint(Field::ToolChoice);
    }
    Ok(Some(ToolConfig { tools, tool_choice }))
}

/// The tools that the history calls, each once.
fn called_names(conversation: &Conversation) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for part in conversation.turns.iter().flat_map(|turn| &turn.parts) {
        let name = match &part.content {
            Content::ToolCall { name, .. } => name,
            Content::ToolResult { name, .. } => name.as_deref().unwrap_or("tool"),
            _ => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A tool that is known from its calls alone.
fn as_it_was_called(name: &str) -> Tool<'_> {
    Tool::Function {
        name: Cow::Borrowed(name),
        description: None,
        input_schema: Schema {
            json: Cow::Owned(json!({"type": "object"})),
        },
        strict: None,
    }
}

fn choice(conversation: &Conversation) -> Option<Value> {
    let choice = conversation.tool_choice.as_ref()?;
    if conversation.tools.is_empty() {
        return None;
    }
    Some(match choice {
        ToolChoice::None => return None,
        ToolChoice::Auto => json!({"auto": {}}),
        ToolChoice::Any => json!({"any": {}}),
        ToolChoice::Named(name) => json!({"tool": {"name": name}}),
    })
}

/// Whether the client leaves the model no other answer than a call.
pub(super) fn forces_call(conversation: &Conversation) -> bool {
    !conversation.tools.is_empty() && reasoning::forces_call(conversation.tool_choice.as_ref())
}

fn write_tool<'a>(
    tool: &'a conversation::Tool,
    place: usize,
    writer: &mut BlockWriter<'_>,
    out: &mut Vec<Tool<'a>>,
) -> Result<()> {
    match tool {
        conversation::Tool::Function {
            name,
            description,
            parameters,
            strict,
            cache,
        } => {
            check_name(name, place, writer.carry)?;
            out.push(function(
                name,
                description.as_deref(),
                parameters.as_ref(),
                *strict == Some(true) && writer.model.caches_tools(),
                writer.model,
            ));
            let is_taken = writer.model.caches_tools();
            if let Some(point) = cache.and_then(|mark| writer.cache_point(mark, is_taken)) {
                out.push(Tool::CachePoint(point));
            }
        }
        conversation::Tool::Custom {
            name,
            description,
            format,
        } => {
            check_name(name, place, writer.carry)?;
            out.extend(custom(name, description.as_deref(), format.as_ref()));
        }
        conversation::Tool::Server(server) => out.extend(server_tool(server, writer)?),
        conversation::Tool::Native {
            format: Format::Converse,
            value,
        } => out.push(Tool::Native(value)),
        conversation::Tool::Native { .. } => {
            writer.carry.cannot_say(
                &tool_member(place, writer.carry),
                "knows no tool of this type",
            )?;
        }
    }
    Ok(())
}

/// The function that stands for a tool of free text.
fn custom<'a>(
    name: &'a str,
    description: Option<&str>,
    format: Option<&Value>,
) -> Option<Tool<'a>> {
    let conversation::Tool::Function {
        description,
        parameters,
        ..
    } = custom_tools::as_function(name, description, format)
    else {
        return None;
    };
    Some(Tool::Function {
        name: Cow::Borrowed(name),
        description: description.map(Cow::Owned),
        input_schema: Schema {
            json: Cow::Owned(parameters?),
        },
        strict: None,
    })
}

fn tool_member(place: usize, carry: &Carry) -> String {
    format!("{}[{place}]", carry.from.spelling(Field::Tools))
}

/// A tool whose name cannot be said is never left out: the client would wait for its calls.
fn check_name(name: &str, place: usize, carry: &Carry) -> Result<()> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    let member = tool_member(place, carry);
    Err(base::Error::new(
        base::Code::InvalidRequest,
        format!(
            "{member} cannot be sent to this model: its name must be 1 to 64 letters, digits, \
             underscores and hyphens"
        ),
    )
    .param(member))
}

fn function<'a>(
    name: &'a str,
    description: Option<&'a str>,
    parameters: Option<&'a Value>,
    is_strict: bool,
    model: Model,
) -> Tool<'a> {
    let strict = is_strict && model.has_structured_output(false);
    let closed = parameters.filter(|_| strict).and_then(schema::closed);
    let strict = closed.is_some().then_some(true);
    let json = match (closed, parameters) {
        (Some(closed), _) => Cow::Owned(closed),
        (None, Some(parameters)) if is_of_object(parameters) => Cow::Borrowed(parameters),
        (None, Some(Value::Object(members))) => {
            let mut members = members.clone();
            members.insert("type".to_owned(), json!("object"));
            Cow::Owned(Value::Object(members))
        }
        (None, _) => Cow::Owned(json!({"type": "object", "properties": {}})),
    };
    Tool::Function {
        name: Cow::Borrowed(name),
        description: description
            .filter(|text| !text.trim().is_empty())
            .map(Cow::Borrowed),
        input_schema: Schema { json },
        strict,
    }
}

/// Nova alone has tools that Bedrock runs.
fn server_tool<'a>(tool: &ServerTool, writer: &mut BlockWriter<'_>) -> Result<Option<Tool<'a>>> {
    let maker = writer.model.maker;
    let name = match tool {
        ServerTool::WebSearch {
            max_uses,
            allowed_domains,
            blocked_domains,
            context_size,
            location,
        } if matches!(maker, Maker::Nova | Maker::Nova2) => {
            let is_limited =
                max_uses.is_some() || !allowed_domains.is_empty() || !blocked_domains.is_empty();
            if is_limited {
                writer
                    .carry
                    .cannot(Field::Tools, "takes no limits on its web search")?;
            }
            if context_size.is_some() || location.is_some() {
                writer.carry.hint(Field::Tools);
            }
            "nova_grounding"
        }
        ServerTool::CodeExecution if maker == Maker::Nova2 => "nova_code_interpreter",
        _ => {
            let why = match tool {
                ServerTool::WebSearch { .. } => "has no web search",
                ServerTool::CodeExecution => "does not run code",
                ServerTool::WebFetch => "fetches no pages",
            };
            writer.carry.cannot(Field::Tools, why)?;
            return Ok(None);
        }
    };
    Ok(Some(Tool::Server { name }))
}
