//! Writing a request for a provider.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::block::{Block, CacheControl};
use super::model::Model;
use super::write_messages::{self, Message};
use super::{OWN_MEMBERS, reasoning, sampling, write_tools};
use crate::conversation::{Carry, Conversation, Field, Number};
use crate::format::{Format, To};

/// The longest `metadata.user_id`, in characters.
const MAX_USER_ID: usize = 512;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    output_config: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a Number>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
    /// [`OWN_MEMBERS`]
    #[serde(flatten)]
    own: BTreeMap<&'a str, &'a Value>,
}

/// # Errors
/// `InvalidRequest` (400), naming the member that cannot be carried.
pub(super) fn write(
    conversation: &Conversation,
    to: &To<'_>,
    carry: &mut Carry,
) -> Result<Vec<u8>> {
    let model = Model::read(to.model);
    sampling::refuse_the_rest(conversation, carry)?;
    let tools = write_tools::write(conversation, model, carry)?;
    let plan = reasoning::plan(
        conversation,
        tools.forces_call,
        model,
        to,
        Format::Anthropic,
        carry,
    )?;
    let sampling = sampling::sampling(conversation, model, plan.thinks, carry)?;
    let (mut system, messages) = write_messages::write(conversation, model, to, carry)?;
    if let Some(instruction) = tools.instruction {
        system.push(Block::Text {
            text: Cow::Borrowed(instruction),
            citations: Vec::new(),
            cache_control: None,
        });
    }
    let mut output_config = Map::new();
    if let Some(effort) = plan.effort {
        output_config.insert("effort".to_owned(), json!(effort));
    }
    if let Some(format) = tools.format {
        output_config.insert("format".to_owned(), format);
    }
    let body = Body {
        model: to.model,
        max_tokens: plan.max_tokens,
        stream: conversation.stream,
        tools: tools.tools,
        tool_choice: tools.tool_choice,
        system,
        messages,
        thinking: plan.thinking,
        output_config,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        stop_sequences: stop_sequences(conversation, carry)?,
        service_tier: service_tier(conversation, carry),
        metadata: metadata(conversation, carry),
        cache_control: conversation.cache.map(Into::into),
        own: own_members(conversation),
    };
    serde_json::to_vec(&body).map_err(Error::internal)
}

fn own_members(conversation: &Conversation) -> BTreeMap<&str, &Value> {
    let named = conversation
        .other
        .iter()
        .map(|other| (&*other.field, &other.value));
    named
        .filter(|(name, _)| OWN_MEMBERS.contains(name))
        .collect()
}

/// Blank sequences are refused by the provider.
fn stop_sequences<'a>(conversation: &'a Conversation, carry: &mut Carry) -> Result<Vec<&'a str>> {
    let stops = conversation.stop.iter().map(String::as_str);
    let (blank, said): (Vec<&str>, Vec<&str>) = stops.partition(|stop| stop.trim().is_empty());
    if !blank.is_empty() {
        carry.cannot(Field::Stop, "does not stop at blanks")?;
    }
    Ok(said)
}

fn service_tier(conversation: &Conversation, carry: &mut Carry) -> Option<&'static str> {
    match conversation.service_tier.as_deref()? {
        "auto" | "priority" => Some("auto"),
        "default" | "standard" | "standard_only" => Some("standard_only"),
        _ => {
            carry.hint(Field::ServiceTier);
            None
        }
    }
}

fn metadata(conversation: &Conversation, carry: &mut Carry) -> Option<Value> {
    let user = conversation
        .end_user
        .as_deref()
        .filter(|user| !user.is_empty())?;
    if user.chars().count() > MAX_USER_ID {
        carry.hint(Field::EndUser);
        return None;
    }
    Some(json!({ "user_id": user }))
}
