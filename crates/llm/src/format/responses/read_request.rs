//! Reading a client's request.

use std::borrow::Cow;

use base::{Code, Error, Result};
use serde_json::{Map, Number, Value};

use super::tools;
use super::{FORMAT, read_items};
use crate::conversation::{Conversation, Effort, Other, Output, Part, Reasoning};
use crate::json;

/// Members without which the answer is the same but for storage, speed and bookkeeping.
const HINTS: &[&str] = &[
    "stream_options",
    "context_management",
    "prompt_cache_retention",
    "prompt_cache_options",
    "background_options",
    "client_metadata",
    "access_programs",
    "image",
    "truncation",
];

/// What a request may ask to be told beside the answer; without it the answer is the same.
const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";
const LOGPROBS: &str = "message.output_text.logprobs";

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Conversation> {
    let value = json::read(body)
        .map_err(|fault| invalid("request_body", format!("Invalid JSON payload: {fault}")))?;
    let Value::Object(members) = &value else {
        return Err(wrong_type("request_body", "an object"));
    };
    let mut conversation = Conversation::default();
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        member(&mut conversation, name, value)?;
    }
    read_items::read(&mut conversation, members.get("input"))?;
    if let Some(choice) = members
        .get("tool_choice")
        .filter(|choice| !choice.is_null())
    {
        tools::read_choice(&mut conversation, choice)?;
    }
    Ok(conversation)
}

/// Reads one member that is not null; `input` and `tool_choice` come after all others.
fn member(conversation: &mut Conversation, name: &str, value: &Value) -> Result<()> {
    match name {
        "model" | "input" | "tool_choice" => {}
        "instructions" => conversation
            .system
            .push(Part::text(as_string(value, name)?)),
        "tools" => tools::read(conversation, value, name)?,
        "stream" => conversation.stream = as_bool(value, name)?,
        "store" => {
            as_bool(value, name)?;
        }
        "max_output_tokens" => conversation.max_output_tokens = Some(as_count(value, name)?),
        "temperature" => conversation.temperature = Some(as_number(value, name)?),
        "top_p" => conversation.top_p = Some(as_number(value, name)?),
        "presence_penalty" => conversation.presence_penalty = nonzero(as_number(value, name)?),
        "frequency_penalty" => conversation.frequency_penalty = nonzero(as_number(value, name)?),
        // true is how it is without it
        "parallel_tool_calls" => {
            conversation.parallel_tool_calls = Some(as_bool(value, name)?).filter(|may| !may);
        }
        "top_logprobs" => {
            let count = as_count(value, name)?;
            if count > 0 {
                conversation.logprobs = Some(count);
            }
        }
        "include" => include(conversation, value)?,
        "reasoning" => reasoning(conversation, value)?,
        "text" => text(conversation, value)?,
        "user" | "safety_identifier" => {
            let end_user = as_string(value, name)?.to_owned();
            conversation.end_user.get_or_insert(end_user);
        }
        "metadata" => conversation.metadata = object(value, name)?.clone(),
        "service_tier" => conversation.service_tier = Some(as_string(value, name)?.to_owned()),
        "prompt_cache_key" => conversation.cache_key = Some(as_string(value, name)?.to_owned()),
        "background" if as_bool(value, name)? => other(conversation, name, value, false),
        "background" => {}
        "truncation" if value == "disabled" => {}
        _ => other(conversation, name, value, HINTS.contains(&name)),
    }
    Ok(())
}

/// Keeps a member that only this format knows.
pub(super) fn other(conversation: &mut Conversation, field: &str, value: &Value, is_hint: bool) {
    conversation.other.push(Other {
        field: field.to_owned(),
        value: value.clone(),
        is_hint,
    });
}

fn include(conversation: &mut Conversation, value: &Value) -> Result<()> {
    for (at, value) in array(value, "include")?.iter().enumerate() {
        let field = format!("include[{at}]");
        match as_string(value, &field)? {
            ENCRYPTED_REASONING => {}
            LOGPROBS => {
                conversation.logprobs.get_or_insert(0);
            }
            _ => other(conversation, &field, value, true),
        }
    }
    Ok(())
}

fn reasoning(conversation: &mut Conversation, value: &Value) -> Result<()> {
    let mut reasoning = Reasoning::default();
    for (name, value) in object(value, "reasoning")? {
        let field = format!("reasoning.{name}");
        match (&**name, value) {
            (_, Value::Null) => {}
            ("effort", value) => {
                let word = as_string(value, &field)?;
                let effort = Effort::read(word).ok_or_else(|| {
                    invalid(&field, format!("Invalid value: '{word}' is no effort."))
                })?;
                reasoning.effort = Some(effort);
            }
            ("summary" | "generate_summary", value) => {
                reasoning.show = Some(as_string(value, &field)? != "none");
            }
            ("mode", value) => other(conversation, &field, value, value == "standard"),
            ("context", value) => other(conversation, &field, value, true),
            (_, value) => other(conversation, &field, value, false),
        }
    }
    if reasoning != Reasoning::default() {
        conversation.reasoning = Some(reasoning);
    }
    Ok(())
}

fn text(conversation: &mut Conversation, value: &Value) -> Result<()> {
    for (name, value) in object(value, "text")? {
        match (&**name, value) {
            (_, Value::Null) => {}
            ("format", value) => conversation.output = output(value)?,
            ("verbosity", value) => {
                let word = as_string(value, "text.verbosity")?;
                // medium is how it is without it
                conversation.verbosity = Some(word.to_owned()).filter(|word| word != "medium");
            }
            (name, value) => other(conversation, &format!("text.{name}"), value, false),
        }
    }
    Ok(())
}

fn output(value: &Value) -> Result<Output> {
    let path = "text.format";
    let format = object(value, path)?;
    match string(format, "type", path)? {
        "text" => Ok(Output::Text),
        "json_object" => Ok(Output::Json),
        "json_schema" => {
            let word = |name: &str| Some(format.get(name)?.as_str()?.to_owned());
            let schema = format.get("schema").unwrap_or(&Value::Null);
            object(schema, "text.format.schema")?;
            Ok(Output::Schema {
                name: word("name"),
                description: word("description"),
                schema: schema.clone(),
                strict: format.get("strict").and_then(Value::as_bool),
            })
        }
        kind => Err(invalid(
            "text.format.type",
            format!(
                "Invalid value: '{kind}'. Supported values are: 'text', 'json_object', and 'json_schema'."
            ),
        )),
    }
}

fn nonzero(number: Number) -> Option<Number> {
    Some(number).filter(|number| number.as_f64() != Some(0.0))
}

pub(super) fn invalid(param: &str, message: String) -> Error {
    Error::new(Code::InvalidRequest, message).param(param.to_owned())
}

pub(super) fn missing(path: &str) -> Error {
    invalid(path, format!("Missing required parameter: '{path}'."))
}

pub(super) fn wrong_type(path: &str, expected: &str) -> Error {
    invalid(
        path,
        format!("Invalid type for '{path}': expected {expected}."),
    )
}

pub(super) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>> {
    value
        .as_object()
        .ok_or_else(|| wrong_type(path, "an object"))
}

pub(super) fn array<'a>(value: &'a Value, path: &str) -> Result<&'a Vec<Value>> {
    value.as_array().ok_or_else(|| wrong_type(path, "an array"))
}

pub(super) fn as_string<'a>(value: &'a Value, path: &str) -> Result<&'a str> {
    value.as_str().ok_or_else(|| wrong_type(path, "a string"))
}

/// The required string `name` of the object at `path`.
pub(super) fn string<'a>(
    object: &'a Map<String, Value>,
    name: &str,
    path: &str,
) -> Result<&'a str> {
    match object.get(name) {
        None | Some(Value::Null) => Err(missing(&format!("{path}.{name}"))),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(wrong_type(&format!("{path}.{name}"), "a string")),
    }
}

pub(super) fn text_member(object: &Map<String, Value>, name: &str, path: &str) -> Result<String> {
    string(object, name, path).map(str::to_owned)
}

fn as_bool(value: &Value, path: &str) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong_type(path, "a boolean"))
}

fn as_number(value: &Value, path: &str) -> Result<Number> {
    match value {
        Value::Number(number) => Ok(number.clone()),
        _ => Err(wrong_type(path, "a number")),
    }
}

/// A whole number that is not negative; `3.0` is one.
fn as_count(value: &Value, path: &str) -> Result<u64> {
    let number = value.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0);
    value
        .as_u64()
        .or(number.map(|number| number as u64))
        .ok_or_else(|| wrong_type(path, "a whole number that is not negative"))
}

/// What stands in another provider's words is refused by name.
pub(super) fn refused(path: &str, why: impl Into<Cow<'static, str>>) -> Error {
    let why = why.into();
    invalid(path, format!("{path} cannot be sent to this model: {why}"))
}

/// Whether a block is of this format and goes back to it as it stands.
pub(super) fn native(value: &Value) -> crate::conversation::Content {
    crate::conversation::Content::Native {
        format: FORMAT,
        value: value.clone(),
    }
}
