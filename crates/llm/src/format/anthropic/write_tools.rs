//! Writing tools, the choice among them, and the shape of the answer.

use std::collections::BTreeMap;

use base::Result;
use serde_json::{Map, Value, json};

use super::block::CacheControl;
use super::model::Model;
use super::{ANSWER_TOOL, schema};
use crate::conversation::{
    Carry, Content, Conversation, Field, Output, ServerTool, Tool, ToolChoice, custom_tools,
};
use crate::format::Format;

/// The most tools of a request that may be strict.
const MAX_STRICT_TOOLS: usize = 20;

/// What a request says of tools and of the answer's shape.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pub tools: Vec<Value>,
    pub tool_choice: Option<Value>,
    /// `output_config.format`
    pub format: Option<Value>,
    /// To be added to the system prompt.
    pub instruction: Option<&'static str>,
    /// The model must call a tool.
    pub forces_call: bool,
}

/// JSON without a schema has no native means, and a tool without one tempts models to call it with
/// nothing.
const JSON_INSTRUCTION: &str = "Answer with a single JSON object and nothing else: no words before or \
                                after it, no Markdown fence around it.";

pub(super) fn write(conversation: &Conversation, model: Model, carry: &mut Carry) -> Result<Tools> {
    let mut written = Tools::default();
    let mut strict_left = match model.has_structured_output() {
        true => MAX_STRICT_TOOLS,
        false => 0,
    };
    for tool in &conversation.tools {
        written
            .tools
            .extend(write_tool(tool, &mut strict_left, carry)?);
    }
    let mut choice = conversation.tool_choice.clone();
    if written.tools.is_empty() {
        choice = None;
        written.tools = called_before(conversation);
        if !written.tools.is_empty() {
            choice = Some(ToolChoice::None);
        }
    }
    match &conversation.output {
        Output::Text => {}
        Output::Json => written.instruction = Some(JSON_INSTRUCTION),
        Output::Schema {
            description,
            schema,
            ..
        } => {
            let native = model
                .has_structured_output()
                .then(|| schema::closed(schema));
            match native.flatten() {
                Some(schema) => {
                    written.format = Some(json!({"type": "json_schema", "schema": schema}));
                }
                None => {
                    written
                        .tools
                        .extend(answer_tool(description.as_deref(), schema, carry)?);
                    choice = Some(answer_choice(choice));
                }
            }
        }
    }
    written.forces_call = super::reasoning::forces_call(choice.as_ref());
    written.tool_choice = match written.tools.is_empty() {
        true => None,
        false => tool_choice(choice.as_ref(), conversation.parallel_tool_calls),
    };
    Ok(written)
}

/// The model may call one of the client's tools, or answer by calling ours.
fn answer_choice(choice: Option<ToolChoice>) -> ToolChoice {
    match choice {
        None | Some(ToolChoice::Auto | ToolChoice::Any) => ToolChoice::Any,
        Some(named @ ToolChoice::Named(_)) => named,
        Some(ToolChoice::None) => ToolChoice::Named(ANSWER_TOOL.to_owned()),
    }
}

fn answer_tool(
    description: Option<&str>,
    schema: &Value,
    carry: &mut Carry,
) -> Result<Option<Value>> {
    if schema.get("type").is_some_and(|kind| kind != "object") {
        carry.cannot(Field::Output, "answers with JSON objects only")?;
        return Ok(None);
    }
    let mut text = "Gives the answer to the user. Call it once, with the whole answer.".to_owned();
    if let Some(description) = description {
        text.push(' ');
        text.push_str(description);
    }
    Ok(Some(json!({
        "name": ANSWER_TOOL,
        "description": text,
        "input_schema": object_schema(Some(schema)),
    })))
}

/// A schema that says that it describes an object, as it must.
fn object_schema(schema: Option<&Value>) -> Value {
    let mut members = match schema {
        Some(Value::Object(members)) => members.clone(),
        _ => Map::new(),
    };
    members.insert("type".to_owned(), json!("object"));
    Value::Object(members)
}

fn write_tool(tool: &Tool, strict_left: &mut usize, carry: &mut Carry) -> Result<Option<Value>> {
    match tool {
        Tool::Function {
            name,
            description,
            parameters,
            strict,
            cache,
        } => {
            let mut members = Map::new();
            members.insert("name".to_owned(), json!(name));
            if let Some(description) = description {
                members.insert("description".to_owned(), json!(description));
            }
            let mut input_schema = object_schema(parameters.as_ref());
            if *strict == Some(true) {
                match schema::closed(&input_schema).filter(|_| *strict_left > 0) {
                    Some(closed) => {
                        *strict_left -= 1;
                        input_schema = closed;
                        members.insert("strict".to_owned(), json!(true));
                    }
                    None => carry.leave_out("strict"),
                }
            }
            members.insert("input_schema".to_owned(), input_schema);
            if let Some(mark) = cache {
                members.insert("cache_control".to_owned(), json!(CacheControl::from(*mark)));
            }
            Ok(Some(Value::Object(members)))
        }
        Tool::Custom {
            name,
            description,
            format,
        } => {
            let function = custom_tools::as_function(name, description.as_deref(), format.as_ref());
            write_tool(&function, strict_left, carry)
        }
        Tool::Server(tool) => server_tool(tool, carry),
        Tool::Native {
            format: Format::Anthropic,
            value,
        } => Ok(Some(value.clone())),
        Tool::Native { value, .. } => {
            let kind = value.get("type").and_then(Value::as_str).unwrap_or("such");
            carry.cannot(Field::Tools, &format!("has no {kind} tool"))?;
            Ok(None)
        }
    }
}

fn server_tool(tool: &ServerTool, carry: &mut Carry) -> Result<Option<Value>> {
    let ServerTool::WebSearch {
        max_uses,
        allowed_domains,
        blocked_domains,
        context_size,
        location,
    } = tool
    else {
        return Ok(Some(match tool {
            ServerTool::WebFetch => json!({"type": "web_fetch_20250910", "name": "web_fetch"}),
            _ => json!({"type": "code_execution_20250825", "name": "code_execution"}),
        }));
    };
    if context_size.as_deref().is_some_and(|size| size != "medium") {
        carry.leave_out("search_context_size");
    }
    let mut search = json!({"type": "web_search_20250305", "name": "web_search"});
    if let Some(count) = max_uses {
        search["max_uses"] = json!(count);
    }
    match (allowed_domains.is_empty(), blocked_domains.is_empty()) {
        (true, true) => {}
        (false, true) => search["allowed_domains"] = json!(allowed_domains),
        (true, false) => search["blocked_domains"] = json!(blocked_domains),
        (false, false) => {
            carry.cannot(Field::Tools, "takes either allowed or blocked domains")?;
            search["allowed_domains"] = json!(allowed_domains);
        }
    }
    if let Some(location) = location {
        let mut place = location.clone();
        place.insert("type".to_owned(), json!("approximate"));
        search["user_location"] = Value::Object(place);
    }
    Ok(Some(search))
}

/// Earlier calls must be of tools that the request names; they cannot be called again.
fn called_before(conversation: &Conversation) -> Vec<Value> {
    let mut names = BTreeMap::new();
    for part in conversation.turns.iter().flat_map(|turn| &turn.parts) {
        if let Content::ToolCall { name, .. } = &part.content {
            names.insert(
                name,
                json!({"name": name, "input_schema": {"type": "object"}}),
            );
        }
    }
    names.into_values().collect()
}

fn tool_choice(choice: Option<&ToolChoice>, parallel: Option<bool>) -> Option<Value> {
    let mut written = match choice {
        None | Some(ToolChoice::Auto) if parallel != Some(false) => return None,
        None | Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::Any) => json!({"type": "any"}),
        Some(ToolChoice::Named(name)) => json!({"type": "tool", "name": name}),
        Some(ToolChoice::None) => return Some(json!({"type": "none"})),
    };
    if parallel == Some(false) {
        written["disable_parallel_tool_use"] = json!(true);
    }
    Some(written)
}
