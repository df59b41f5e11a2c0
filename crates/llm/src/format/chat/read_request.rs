//! A client's request.

use base::{Code, Error, Result};
use serde_json::{Value, json};

use super::walk::{
    self, Object, invalid, join, missing, take, take_bool, take_count, take_list, take_number,
    take_object, take_string, wrong_type,
};
use super::{read_messages, read_parts, read_tools};
use crate::conversation::{Conversation, Effort, Modalities, Number, Other, Output, Reasoning};
use crate::format::Format;
use crate::json;
use crate::request::GATEWAY_MEMBERS;

/// Members without which the answer is the same but for speed, storage, routing or bookkeeping.
const HINTS: &[&str] = &[
    "store",
    "prediction",
    "prompt_cache_retention",
    "prompt_cache_options",
    "provider",
    "usage",
    "reasoning_format",
    "safety_identifier",
    "session_id",
    "timeout",
    "drop_params",
    "litellm_call_id",
    "litellm_session_id",
    "litellm_trace_id",
];

/// Reads a request.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong.
pub(super) fn read(body: &[u8]) -> Result<Conversation> {
    let value = json::read(body).map_err(|fault| {
        Error::new(
            Code::InvalidRequest,
            format!("Invalid JSON payload: {fault}"),
        )
        .param("request_body")
    })?;
    let mut body = walk::object(value, "request_body")?;
    let mut conversation = Conversation::default();
    let messages = take(&mut body, "messages").ok_or_else(|| missing("messages"))?;
    let messages = walk::list(messages, "messages")?;
    if messages.is_empty() {
        return Err(invalid("messages", "expected at least one message"));
    }
    read_tools::read(&mut body, &mut conversation)?;
    read_messages::read(messages, &mut conversation)?;
    sampling(&mut body, &mut conversation)?;
    amounts(&mut body, &mut conversation)?;
    conversation.reasoning = reasoning(&mut body)?;
    conversation.output = output(&mut body)?;
    conversation.modalities = modalities(&mut body)?;
    bookkeeping(&mut body, &mut conversation)?;
    rest(body, &mut conversation);
    Ok(conversation)
}

fn sampling(body: &mut Object, conversation: &mut Conversation) -> Result<()> {
    conversation.temperature = take_number(body, "temperature")?;
    conversation.top_p = take_number(body, "top_p")?;
    conversation.top_k = take_number(body, "top_k")?;
    let seed = take_number(body, "seed")?;
    conversation.seed = seed.or(take_number(body, "random_seed")?);
    let not_zero = |number: &Number| number.as_f64() != Some(0.0);
    conversation.presence_penalty = take_number(body, "presence_penalty")?.filter(not_zero);
    conversation.frequency_penalty = take_number(body, "frequency_penalty")?.filter(not_zero);
    conversation.logit_bias =
        take_object(body, "", "logit_bias")?.filter(|biases| !biases.is_empty());
    conversation.stop = match take(body, "stop") {
        None => Vec::new(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => {
            let string = |(index, value)| walk::string(value, &format!("stop[{index}]"));
            list.into_iter()
                .enumerate()
                .map(string)
                .collect::<Result<_>>()?
        }
        Some(other) => {
            return Err(wrong_type(
                "stop",
                "a string or an array of strings",
                &other,
            ));
        }
    };
    Ok(())
}

fn amounts(body: &mut Object, conversation: &mut Conversation) -> Result<()> {
    let old = take_count(body, "", "max_tokens")?;
    conversation.max_output_tokens = take_count(body, "", "max_completion_tokens")?.or(old);
    conversation.choices = match take_count(body, "", "n")? {
        Some(0) => return Err(invalid("n", "expected at least 1")),
        n => n.filter(|n| *n > 1),
    };
    let alternatives = take_count(body, "", "top_logprobs")?;
    conversation.logprobs = match take_bool(body, "", "logprobs")? {
        Some(true) => Some(alternatives.unwrap_or(0)),
        Some(false) => None,
        None => alternatives.filter(|count| *count > 0),
    };
    conversation.stream = take_bool(body, "", "stream")?.unwrap_or(false);
    // what it asks for is the writer's business
    take_object(body, "", "stream_options")?;
    Ok(())
}

/// `reasoning_effort` (a word, or LiteLLM's object), OpenRouter's `reasoning`, Anthropic's `thinking`.
fn reasoning(body: &mut Object) -> Result<Option<Reasoning>> {
    let mut reasoning = Reasoning::default();
    match take(body, "reasoning_effort") {
        None => {}
        Some(Value::String(word)) => reasoning.effort = effort(&word, "reasoning_effort")?,
        Some(value) => {
            let mut object = walk::object(value, "reasoning_effort")?;
            effort_object(&mut object, "reasoning_effort", &mut reasoning)?;
        }
    }
    if let Some(mut object) = take_object(body, "", "reasoning")? {
        effort_object(&mut object, "reasoning", &mut reasoning)?;
    }
    if let Some(show) = take_bool(body, "", "include_reasoning")? {
        reasoning.show = Some(show);
    }
    if let Some(mut thinking) = take_object(body, "", "thinking")? {
        match walk::need_string(&mut thinking, "thinking", "type")?.as_str() {
            "enabled" => {
                reasoning.budget = take_count(&mut thinking, "thinking", "budget_tokens")?;
                reasoning.is_adaptive = reasoning.budget.is_none() && reasoning.effort.is_none();
                reasoning.show = Some(true);
            }
            "adaptive" | "auto" => {
                reasoning.is_adaptive = true;
                reasoning.show = Some(true);
            }
            "disabled" => reasoning.effort = Some(Effort::None),
            _ => {
                return Err(invalid(
                    "thinking.type",
                    "expected enabled, adaptive or disabled",
                ));
            }
        }
    }
    Ok(Some(reasoning).filter(|reasoning| *reasoning != Reasoning::default()))
}

fn effort(word: &str, path: &str) -> Result<Option<Effort>> {
    match word {
        "default" | "auto" => Ok(None),
        "disable" => Ok(Some(Effort::None)),
        word => match Effort::read(word) {
            Some(effort) => Ok(Some(effort)),
            None => Err(invalid(
                path,
                &format!("'{word}' is none of none, minimal, low, medium, high, xhigh, max"),
            )),
        },
    }
}

fn effort_object(object: &mut Object, path: &str, reasoning: &mut Reasoning) -> Result<()> {
    if let Some(word) = take_string(object, path, "effort")? {
        reasoning.effort = effort(&word, &join(path, "effort"))?;
    }
    if let Some(budget) = take_count(object, path, "max_tokens")? {
        reasoning.budget = Some(budget);
    }
    if let Some(hidden) = take_bool(object, path, "exclude")? {
        reasoning.show = Some(!hidden);
    }
    match take_bool(object, path, "enabled")? {
        Some(true) if reasoning.effort.is_none() && reasoning.budget.is_none() => {
            reasoning.effort = Some(Effort::Medium);
        }
        Some(false) => reasoning.effort = Some(Effort::None),
        _ => {}
    }
    let summary = take_string(object, path, "summary")?;
    if summary
        .or(take_string(object, path, "generate_summary")?)
        .is_some()
    {
        reasoning.show = Some(true);
    }
    Ok(())
}

fn output(body: &mut Object) -> Result<Output> {
    let path = "response_format";
    let Some(mut format) = take_object(body, "", path)? else {
        return Ok(Output::Text);
    };
    let kind = walk::need_string(&mut format, path, "type")?;
    match kind.as_str() {
        "text" => Ok(Output::Text),
        // LiteLLM's clients put Gemini's schema beside it
        "json_object" => Ok(match take(&mut format, "response_schema") {
            Some(schema) => Output::Schema {
                name: None,
                description: None,
                schema,
                strict: None,
            },
            None => Output::Json,
        }),
        "json_schema" => {
            let path = "response_format.json_schema";
            let mut inner = take_object(&mut format, "response_format", "json_schema")?
                .ok_or_else(|| missing(path))?;
            let schema = take_object(&mut inner, path, "schema")?;
            Ok(Output::Schema {
                name: take_string(&mut inner, path, "name")?,
                description: take_string(&mut inner, path, "description")?,
                schema: schema.map_or_else(|| json!({"type": "object"}), Value::Object),
                strict: take_bool(&mut inner, path, "strict")?,
            })
        }
        _ => Err(invalid(
            "response_format.type",
            &format!("'{kind}' is none of text, json_object, json_schema"),
        )),
    }
}

fn modalities(body: &mut Object) -> Result<Option<Modalities>> {
    let mut modalities = Modalities::default();
    for (index, value) in take_list(body, "", "modalities")?.into_iter().enumerate() {
        let path = format!("modalities[{index}]");
        match walk::string(value, &path)?.as_str() {
            "text" => {}
            "audio" => modalities.audio = true,
            "image" => modalities.image = true,
            _ => return Err(invalid(&path, "expected text, audio or image")),
        }
    }
    let settings = take_object(body, "", "audio")?;
    if !modalities.audio && !modalities.image {
        return Ok(None);
    }
    modalities.settings = settings.map(|audio| (Format::OpenAiChat, Value::Object(audio)));
    Ok(Some(modalities))
}

fn bookkeeping(body: &mut Object, conversation: &mut Conversation) -> Result<()> {
    conversation.verbosity = take_string(body, "", "verbosity")?;
    conversation.end_user = take_string(body, "", "user")?;
    if conversation.end_user.is_none() {
        conversation.end_user = take_string(body, "", "safety_identifier")?;
    }
    conversation.service_tier = take_string(body, "", "service_tier")?;
    conversation.cache_key = take_string(body, "", "prompt_cache_key")?;
    conversation.cache = read_parts::cache_mark(body);
    if let Some(metadata) = take_object(body, "", "metadata")? {
        // anything else than strings is for the gateway, as in a pass-through
        let is_own = !metadata.contains_key("tags") && metadata.values().all(Value::is_string);
        if is_own {
            conversation.metadata = metadata;
        }
    }
    Ok(())
}

/// What is left: hints, what is the gateway's own, and what nobody else knows.
fn rest(body: Object, conversation: &mut Conversation) {
    for (field, value) in body {
        let is_ours = field == "model" || GATEWAY_MEMBERS.contains(&field.as_str());
        if is_ours || changes_nothing(&field, &value) {
            continue;
        }
        let is_hint = HINTS.contains(&field.as_str());
        conversation.other.push(Other {
            field,
            value,
            is_hint,
        });
    }
}

/// A null, or the value that a member has anyway.
fn changes_nothing(field: &str, value: &Value) -> bool {
    let is_default = match field {
        "min_p" | "top_a" => value.as_f64() == Some(0.0),
        "repetition_penalty" => value.as_f64() == Some(1.0),
        "echo" | "safe_prompt" => *value == Value::Bool(false),
        "best_of" => value.as_u64() == Some(1),
        _ => false,
    };
    is_default || value.is_null()
}
