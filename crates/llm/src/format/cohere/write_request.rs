//! A request for Cohere's v2 chat.

use base::{Code, Error, Result};
use serde::Serialize;
use serde_json::{Map, Number, Value, json};

use super::messages::{self, Message, Messages};
use crate::conversation::{
    Carry, Conversation, Effort, Field, Number as Said, Output, Reasoning, Tool, ToolChoice,
    custom_tools,
};
use crate::format::To;

/// The most stop sequences in a request.
const MAX_STOPS: usize = 5;

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    stream: bool,
    messages: Vec<Message>,
    #[serde(flatten)]
    members: Map<String, Value>,
}

pub(super) fn write(
    conversation: &Conversation,
    to: &To<'_>,
    carry: &mut Carry,
) -> Result<Vec<u8>> {
    refuse_the_rest(conversation, carry)?;
    let mut members = Map::new();
    let Messages {
        messages,
        documents,
    } = messages::write(conversation, carry)?;
    if messages.is_empty() {
        let member = carry.from.spelling(Field::Messages);
        return Err(
            Error::new(Code::InvalidRequest, format!("{member} says nothing")).param(member),
        );
    }
    parameters(conversation, carry, &mut members)?;
    tools(conversation, carry, &mut members)?;
    if let Some(reasoning) = &conversation.reasoning {
        reason(reasoning, to.model, carry, &mut members)?;
    }
    for other in &conversation.other {
        if super::OWN_MEMBERS.contains(&&*other.field) {
            members.insert(other.field.clone(), other.value.clone());
        }
    }
    add_documents(documents, &mut members);
    let request = Request {
        model: to.model,
        stream: conversation.stream,
        messages,
        members,
    };
    serde_json::to_vec(&request).map_err(Error::internal)
}

/// The user's documents, behind those that the client set by Cohere's own member.
fn add_documents(documents: Vec<Value>, members: &mut Map<String, Value>) {
    if documents.is_empty() {
        return;
    }
    let place = members.entry("documents").or_insert_with(|| json!([]));
    match place {
        Value::Array(own) => own.extend(documents),
        odd => *odd = Value::Array(documents),
    }
}

/// Refuses what cannot be said, and leaves out hints.
fn refuse_the_rest(conversation: &Conversation, carry: &mut Carry) -> Result<()> {
    if conversation.choices.is_some_and(|choices| choices > 1) {
        carry.cannot(Field::Choices, "gives one answer to a request")?;
    }
    let bias = conversation.logit_bias.as_ref();
    if bias.is_some_and(|bias| !bias.is_empty()) {
        carry.cannot(Field::LogitBias, "has no logit bias")?;
    }
    if let Some(modalities) = &conversation.modalities
        && (modalities.audio || modalities.image)
    {
        carry.cannot(Field::Modalities, "answers in text only")?;
    }
    let tier = conversation.service_tier.as_deref();
    for (field, is_said) in [
        (Field::CacheKey, conversation.cache_key.is_some()),
        (Field::EndUser, conversation.end_user.is_some()),
        (Field::Metadata, !conversation.metadata.is_empty()),
        (
            Field::Verbosity,
            conversation
                .verbosity
                .as_deref()
                .is_some_and(|word| word != "medium"),
        ),
        (
            Field::ServiceTier,
            tier.is_some_and(|tier| !matches!(tier, "auto" | "default" | "standard_only")),
        ),
    ] {
        if is_said {
            carry.hint(field);
        }
    }
    Ok(())
}

fn parameters(
    conversation: &Conversation,
    carry: &mut Carry,
    members: &mut Map<String, Value>,
) -> Result<()> {
    let mut set = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    if let Some(most) = conversation.max_output_tokens {
        set("max_tokens", json!(most));
    }
    for (name, number) in [
        ("temperature", &conversation.temperature),
        ("k", &conversation.top_k),
        ("seed", &conversation.seed),
        ("frequency_penalty", &conversation.frequency_penalty),
        ("presence_penalty", &conversation.presence_penalty),
    ] {
        if let Some(number) = number {
            set(name, Value::Number(number.clone()));
        }
    }
    if let Some(top_p) = &conversation.top_p {
        set("p", Value::Number(at_most_099(top_p)));
    }
    if !conversation.stop.is_empty() {
        let count = conversation.stop.len().min(MAX_STOPS);
        if count < conversation.stop.len() {
            carry.cannot(Field::Stop, "takes at most 5 stop sequences")?;
        }
        set("stop_sequences", json!(conversation.stop[..count]));
    }
    if let Some(alternatives) = conversation.logprobs {
        if alternatives > 0 {
            carry.cannot(Field::Logprobs, "tells no alternatives to a token")?;
        }
        set("logprobs", json!(true));
    }
    match &conversation.output {
        Output::Text => {}
        Output::Json => set("response_format", json!({"type": "json_object"})),
        Output::Schema { schema, .. } => set(
            "response_format",
            json!({"type": "json_object", "json_schema": schema}),
        ),
    }
    Ok(())
}

/// Cohere's `p` ends there; one means the same.
fn at_most_099(top_p: &Said) -> Number {
    match top_p.as_f64() {
        Some(value) if value > 0.99 => Number::from_f64(0.99).unwrap_or_else(|| top_p.clone()),
        _ => top_p.clone(),
    }
}

fn tools(
    conversation: &Conversation,
    carry: &mut Carry,
    members: &mut Map<String, Value>,
) -> Result<()> {
    let named = match &conversation.tool_choice {
        Some(ToolChoice::Named(name)) => Some(&**name),
        _ => None,
    };
    let mut tools = Vec::new();
    for (place, tool) in conversation.tools.iter().enumerate() {
        let written = match tool {
            Tool::Custom {
                name,
                description,
                format,
            } => function(&custom_tools::as_function(
                name,
                description.as_deref(),
                format.as_ref(),
            )),
            Tool::Function { .. } => function(tool),
            Tool::Server(_) | Tool::Native { .. } => {
                let member = format!("{}[{place}]", carry.from.spelling(Field::Tools));
                carry.cannot_say(&member, "runs no tools itself")?;
                None
            }
        };
        if let Some((name, written)) = written
            && named.is_none_or(|named| named == name)
        {
            tools.push(written);
        }
    }
    if tools.is_empty() {
        return Ok(());
    }
    if conversation.parallel_tool_calls == Some(false) {
        carry.cannot(
            Field::ParallelToolCalls,
            "may always call several tools at once",
        )?;
    }
    let choice = match &conversation.tool_choice {
        None | Some(ToolChoice::Auto) => None,
        // of the one tool that is left
        Some(ToolChoice::Any | ToolChoice::Named(_)) => Some("REQUIRED"),
        Some(ToolChoice::None) => Some("NONE"),
    };
    if let Some(choice) = choice {
        members.insert("tool_choice".to_owned(), json!(choice));
    }
    members.insert("tools".to_owned(), Value::Array(tools));
    Ok(())
}

fn function(tool: &Tool) -> Option<(String, Value)> {
    let Tool::Function {
        name,
        description,
        parameters,
        ..
    } = tool
    else {
        return None;
    };
    let mut function = json!({
        "name": name,
        "parameters": parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}})),
    });
    if let Some(description) = description {
        function["description"] = json!(description);
    }
    let tool = json!({"type": "function", "function": function});
    Some((name.clone(), tool))
}

fn reason(
    wish: &Reasoning,
    model: &str,
    carry: &mut Carry,
    members: &mut Map<String, Value>,
) -> Result<()> {
    let is_off = wish.budget == Some(0) || wish.effort == Some(Effort::None);
    let budget = wish.budget.or(wish.effort.map(Effort::budget));
    if budget.is_none() && !wish.is_adaptive {
        return Ok(());
    }
    if !thinks(model) {
        return match is_off {
            true => Ok(()),
            false => carry.cannot(Field::Reasoning, "does not think before it answers"),
        };
    }
    let thinking = match (is_off, budget) {
        (true, _) => json!({"type": "disabled"}),
        (false, Some(budget)) => json!({"type": "enabled", "token_budget": budget}),
        (false, None) => json!({"type": "enabled"}),
    };
    members.insert("thinking".to_owned(), thinking);
    Ok(())
}

/// The families that came before thinking, and those made for something else.
fn thinks(model: &str) -> bool {
    const PLAIN: &[&str] = &[
        "command-r",
        "command-light",
        "command-nightly",
        "command-a-03",
        "command-a-vision",
        "command-a-translate",
        "c4ai",
    ];
    model != "command" && !PLAIN.iter().any(|family| model.starts_with(family))
}
