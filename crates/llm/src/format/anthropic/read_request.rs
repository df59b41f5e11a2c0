//! Reading a client's request.

use base::Result;
use serde_json::Value;

use super::fields::{Fields, invalid};
use super::{read_blocks, read_tools};
use crate::conversation::{Conversation, Effort, Other, Output, Reasoning, Turn};
use crate::request::GATEWAY_MEMBERS;

/// Members without which the answer is the same but for speed, storage, bookkeeping or how a long
/// context is trimmed.
const HINTS: &[&str] = &[
    "anthropic_beta",
    "anthropic_version",
    "betas",
    "billing_policy",
    "compaction",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "speed",
    "user_profile_id",
    "workspace_id",
];

/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong.
pub(super) fn read(body: &[u8]) -> Result<Conversation> {
    let mut fields = Fields::of_body(body)?;
    let mut conversation = Conversation {
        system: read_blocks::system(&mut fields)?,
        turns: turns(&mut fields)?,
        max_output_tokens: fields.count("max_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.number("top_k")?,
        stop: fields.strings("stop_sequences")?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        service_tier: service_tier(&mut fields)?,
        cache: fields.cache_mark()?,
        ..Conversation::default()
    };
    read_tools::tools(&mut fields, &mut conversation)?;
    read_tools::choice(&mut fields, &mut conversation)?;
    metadata(&mut fields, &mut conversation)?;
    thinking(&mut fields, &mut conversation)?;
    output_config(&mut fields, &mut conversation)?;
    rest(fields, &mut conversation);
    Ok(conversation)
}

fn turns(fields: &mut Fields) -> Result<Vec<Turn>> {
    let messages = fields
        .array("messages")?
        .ok_or_else(|| fields.wrong("messages", "is required"))?;
    if messages.is_empty() {
        return Err(fields.wrong("messages", "at least one message is required"));
    }
    read_blocks::turns(messages)
}

/// OpenAI's words, which the other formats use.
fn service_tier(fields: &mut Fields) -> Result<Option<String>> {
    let tier = fields.string("service_tier")?;
    Ok(tier.and_then(|tier| match &*tier {
        "standard_only" => Some("default".to_owned()),
        // as if nothing was said
        "auto" => None,
        _ => Some(tier),
    }))
}

fn metadata(fields: &mut Fields, conversation: &mut Conversation) -> Result<()> {
    let Some(mut metadata) = fields.object("metadata")? else {
        return Ok(());
    };
    conversation.end_user = metadata.string("user_id")?;
    // other members are for the gateway: its tags, for example
    Ok(())
}

fn thinking(fields: &mut Fields, conversation: &mut Conversation) -> Result<()> {
    let Some(mut thinking) = fields.object("thinking")? else {
        return Ok(());
    };
    let mut reasoning = Reasoning {
        show: match thinking.string("display")?.as_deref() {
            None => None,
            Some("omitted") => Some(false),
            Some(_) => Some(true),
        },
        ..Reasoning::default()
    };
    match thinking.word("type")? {
        "enabled" => match thinking.count("budget_tokens")? {
            Some(budget) => reasoning.budget = Some(budget),
            None => return Err(thinking.wrong("budget_tokens", "is required")),
        },
        "adaptive" | "between_tools" => reasoning.is_adaptive = true,
        "disabled" => reasoning.budget = Some(0),
        _ => return Err(thinking.wrong("type", "must be enabled, adaptive or disabled")),
    }
    conversation.reasoning = Some(reasoning);
    Ok(())
}

/// `output_config`, and `output_format`, the older place of its `format`.
fn output_config(fields: &mut Fields, conversation: &mut Conversation) -> Result<()> {
    if let Some(format) = fields.object("output_format")? {
        conversation.output = output(format)?;
    }
    let Some(mut config) = fields.object("output_config")? else {
        return Ok(());
    };
    if let Some(format) = config.object("format")? {
        conversation.output = output(format)?;
    }
    if let Some(word) = config.string("effort")? {
        let effort = Effort::read(&word)
            .ok_or_else(|| config.wrong("effort", "must be low, medium, high, xhigh or max"))?;
        let reasoning = conversation.reasoning.get_or_insert_default();
        // thinking that is switched off stays off
        if reasoning.budget != Some(0) {
            reasoning.effort = Some(effort);
        }
    }
    for (name, value) in config.into_rest() {
        conversation.other.push(Other {
            field: format!("output_config.{name}"),
            value,
            is_hint: name == "task_budget",
        });
    }
    Ok(())
}

fn output(mut format: Fields) -> Result<Output> {
    if format.word("type")? != "json_schema" {
        return Err(format.wrong("type", "must be json_schema"));
    }
    let schema = format
        .value("schema")
        .ok_or_else(|| format.wrong("schema", "is required"))?;
    match schema.is_object() {
        true => Ok(Output::Schema {
            name: format.string("name")?,
            description: None,
            schema,
            strict: Some(true),
        }),
        false => Err(invalid(format.path_of("schema"), "must be an object")),
    }
}

/// What only Anthropic knows.
fn rest(fields: Fields, conversation: &mut Conversation) {
    for (field, value) in fields.into_rest() {
        let says_nothing = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::String(word) => field == "inference_geo" && word == "global",
            _ => false,
        };
        if says_nothing || field == "model" || GATEWAY_MEMBERS.contains(&&*field) {
            continue;
        }
        let is_hint = HINTS.contains(&&*field);
        conversation.other.push(Other {
            field,
            value,
            is_hint,
        });
    }
}
