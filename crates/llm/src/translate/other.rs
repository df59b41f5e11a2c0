//! Calls that are no chats, between formats: counts of tokens here, and embeddings.

use base::{Code, Error, Result};
use serde_json::{Value, json};

use super::{Translated, embeddings, gemini_tokens, read_request, write_request};
use crate::conversation::{Content, Conversation, Part, Tool};
use crate::format::{Format, Shown, To};
use crate::response::Observed;
use crate::tokens;

/// The format in which a call that is no chat reaches a provider that does not speak the client's.
pub fn stand_in(client: Format, spoken: &[Format]) -> Option<Format> {
    let others: &[Format] = match client {
        Format::AnthropicTokenCount => &[Format::GeminiTokenCount],
        Format::GeminiTokenCount => &[Format::AnthropicTokenCount],
        Format::OpenAiEmbedding => &[Format::VertexEmbedding, Format::GeminiEmbedding],
        Format::GeminiEmbedding => &[Format::OpenAiEmbedding, Format::VertexEmbedding],
        Format::GeminiBatchEmbedding => &[
            Format::OpenAiEmbedding,
            Format::VertexEmbedding,
            Format::GeminiEmbedding,
        ],
        _ => return None,
    };
    let mut others = others.iter().copied();
    others.find(|other| spoken.contains(other))
}

/// Translates a request that is no chat. With `drops`, members that the provider does not know are left
/// out rather than refused.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong or cannot be carried.
pub fn other_request(
    from: Format,
    to_format: Format,
    to: &To<'_>,
    body: &[u8],
    drops: bool,
) -> Result<Translated> {
    if embeddings::is_asked_in(from) {
        return embeddings::request(from, to_format, to, body, drops);
    }
    let body = match from {
        Format::AnthropicTokenCount => {
            let conversation = read_request(Format::Anthropic, body)?;
            gemini_tokens::write_request(Format::Anthropic, &conversation, to)?
        }
        Format::GeminiTokenCount => {
            let conversation = gemini_tokens::read_request(body)?;
            anthropic_count(&conversation, to)?
        }
        _ => return Err(Error::internal("a format without a stand-in")),
    };
    Ok(Translated {
        body,
        dropped: Vec::new(),
    })
}

/// What changes no count is left out.
fn anthropic_count(conversation: &Conversation, to: &To<'_>) -> Result<Vec<u8>> {
    let translated = write_request(Format::Gemini, Format::Anthropic, to, conversation, true)?;
    let mut request: Value = serde_json::from_slice(&translated.body).map_err(Error::internal)?;
    if let Value::Object(members) = &mut request {
        members.retain(|name, _| {
            matches!(
                &**name,
                "model" | "messages" | "system" | "tools" | "tool_choice" | "thinking"
            )
        });
    }
    Ok(request.to_string().into_bytes())
}

/// Translates the answer back for the client.
///
/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of the provider's format.
pub fn other_answer(
    from_format: Format,
    to: Format,
    body: &[u8],
    shown: &Shown,
) -> Result<(Vec<u8>, Observed)> {
    if embeddings::is_asked_in(to) {
        return embeddings::answer(from_format, to, body, shown);
    }
    let tokens = match to {
        Format::AnthropicTokenCount => gemini_tokens::read_answer(body)?,
        _ => read_anthropic_count(body)?,
    };
    let observed = Observed {
        finished: true,
        ..Observed::default()
    };
    Ok((count_answer(to, tokens), observed))
}

fn read_anthropic_count(body: &[u8]) -> Result<u64> {
    #[derive(serde::Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    let count: Count = serde_json::from_slice(body).map_err(|error| {
        Error::new(
            Code::UpstreamUnavailable,
            "the provider sent an answer that cannot be read",
        )
        .caused_by(error.to_string())
    })?;
    Ok(count.input_tokens)
}

/// A count of tokens, as the client's format says it.
fn count_answer(to: Format, tokens: u64) -> Vec<u8> {
    match to {
        Format::AnthropicTokenCount => json!({ "input_tokens": tokens }).to_string().into_bytes(),
        _ => gemini_tokens::write_answer(tokens),
    }
}

/// The answer to a client's question for a count, by the tokenizer: an estimate. None where the client
/// did not ask for one.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong.
pub fn count_by_tokenizer(from: Format, model: &str, body: &[u8]) -> Result<Option<Vec<u8>>> {
    let conversation = match from {
        Format::AnthropicTokenCount => read_request(Format::Anthropic, body)?,
        Format::GeminiTokenCount => gemini_tokens::read_request(body)?,
        _ => return Ok(None),
    };
    Ok(Some(count_answer(from, estimate(model, &conversation))))
}

/// Tokens that each message and each tool costs besides its text, about.
const AROUND: u64 = 4;
/// What an image, document or sound is taken for where its size is not looked at.
const MEDIA: u64 = 1_000;

/// About how many tokens a conversation is.
fn estimate(model: &str, conversation: &Conversation) -> u64 {
    let mut text = String::new();
    let mut other = 0;
    for part in &conversation.system {
        add(part, &mut text, &mut other);
    }
    for turn in &conversation.turns {
        other += AROUND;
        for part in &turn.parts {
            add(part, &mut text, &mut other);
        }
    }
    for tool in &conversation.tools {
        other += AROUND;
        if let Tool::Function {
            name,
            description,
            parameters,
            ..
        } = tool
        {
            text.push_str(name);
            text.push_str(description.as_deref().unwrap_or_default());
            text.push_str(
                &parameters
                    .as_ref()
                    .map(Value::to_string)
                    .unwrap_or_default(),
            );
        }
    }
    tokens::count_text(model, &text) + other
}

fn add(part: &Part, text: &mut String, other: &mut u64) {
    match &part.content {
        Content::Text { text: more, .. }
        | Content::Refusal(more)
        | Content::Reasoning { text: more, .. } => text.push_str(more),
        Content::ToolCall {
            name, arguments, ..
        } => {
            text.push_str(name);
            text.push_str(arguments);
        }
        Content::ToolResult { parts, .. } => {
            for part in parts {
                add(part, text, other);
            }
        }
        Content::Media(_) => *other += MEDIA,
        Content::Native { value, .. } => text.push_str(&value.to_string()),
    }
    text.push('\n');
}
