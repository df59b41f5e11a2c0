//! A call in one format, answered in another.
//!
//! Pure: bytes in, bytes out. A request is read whole, as a [`Conversation`], and written for the
//! provider; an answer goes the other way, a stream event by event. Where client and provider speak the
//! same format nothing here is used: [`crate::request`] and [`crate::response`] pass the bytes on.

mod asked;
mod embeddings;
mod frames;
pub(crate) use frames::OwnedFrame;
mod other;
mod stream;

use base::{Code, Error, Result};

use crate::conversation::{Answer, Carry, Content, Conversation, Part};
use crate::format::{
    Codec, Format, Shown, To, anthropic, chat, cohere, converse, gemini, responses,
};
use crate::response::Observed;
use crate::usage::UsageRule;

pub use crate::format::gemini::{
    count as gemini_tokens, embed as gemini_embeddings, predict as vertex_embeddings,
};
pub use asked::of_request;
pub use other::{count_by_tokenizer, other_answer, other_request, stand_in};
pub use stream::StreamTranslator;

/// A request for the provider, and what of the client's could not go with it.
#[derive(Clone, Debug)]
pub struct Translated {
    pub body: Vec<u8>,
    /// Members that were left out, in the client's words: hints, and whatever `drop_params` allows.
    pub dropped: Vec<String>,
}

/// The readers and writers of a chat-like format.
fn codec(format: Format) -> Result<&'static Codec> {
    Ok(match format {
        Format::OpenAiChat => &chat::CODEC,
        Format::OpenAiResponses => &responses::CODEC,
        Format::Anthropic => &anthropic::CODEC,
        Format::Gemini => &gemini::CODEC,
        Format::Converse => &converse::CODEC,
        Format::Cohere => &cohere::CODEC,
        _ => {
            return Err(Error::new(
                Code::InvalidRequest,
                "this endpoint cannot reach a provider of another protocol; use a chat endpoint",
            ));
        }
    })
}

/// Translates a client's request. With `drops`, members that the provider does not know are left out
/// rather than refused (`drop_params`).
///
/// # Errors
/// `InvalidRequest` (400), naming the member, for what is no valid request of its own format and for
/// what cannot be carried.
pub fn request(
    from: Format,
    to_format: Format,
    to: &To<'_>,
    body: &[u8],
    drops: bool,
) -> Result<Translated> {
    let conversation = read_request(from, body)?;
    write_request(from, to_format, to, &conversation, drops)
}

/// Reads a client's request.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong.
pub fn read_request(from: Format, body: &[u8]) -> Result<Conversation> {
    (codec(from)?.read_request)(body)
}

/// Writes what [`read_request`] read for a provider.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that cannot be carried.
pub fn write_request(
    from: Format,
    to_format: Format,
    to: &To<'_>,
    conversation: &Conversation,
    drops: bool,
) -> Result<Translated> {
    let mut carry = Carry::new(from, to.provider.title, drops);
    for other in &conversation.other {
        match other.is_hint {
            true => carry.leave_out(&other.field),
            // the client's format has no word for it, the provider's has
            false if takes(to_format, &other.field) => {}
            false => carry.cannot_say(&other.field, "knows no such member")?,
        }
    }
    let body = (codec(to_format)?.write_request)(conversation, to, &mut carry)?;
    Ok(Translated {
        body,
        dropped: carry.dropped,
    })
}

/// Whether a client of any format may set this member of a provider's own, under its own name.
fn takes(to_format: Format, member: &str) -> bool {
    match to_format {
        Format::Anthropic => anthropic::OWN_MEMBERS.contains(&member),
        Format::Converse => converse::OWN_MEMBERS.contains(&member),
        Format::Cohere => cohere::OWN_MEMBERS.contains(&member),
        _ => false,
    }
}

/// Translates a whole answer of a provider that speaks `from` for a client that speaks `to`.
///
/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of that format.
pub fn answer(
    from: Format,
    rule: UsageRule,
    to: Format,
    body: &[u8],
    shown: &Shown,
) -> Result<(Vec<u8>, Observed)> {
    let answer = (codec(from)?.read_answer)(rule, body)?;
    let observed = observe(&answer);
    Ok(((codec(to)?.write_answer)(&answer, shown), observed))
}

/// Writes an answer as a stream, for a client that asked for one and a provider that gave none: the
/// pieces in order, text word by word.
///
/// # Errors
/// `InvalidRequest` (400) where `to` is no chat.
pub fn write_as_stream(to: Format, answer: &Answer, shown: Shown) -> Result<Vec<Vec<u8>>> {
    let mut writer = (codec(to)?.write_stream)(shown);
    let pieces = answer
        .events()
        .into_iter()
        .map(|event| {
            let mut piece = Vec::new();
            writer.event(event, &mut piece);
            piece
        })
        .filter(|piece| !piece.is_empty())
        .collect();
    Ok(pieces)
}

/// Reads a provider's whole answer.
///
/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of that format.
pub fn read_answer(from: Format, rule: UsageRule, body: &[u8]) -> Result<Answer> {
    (codec(from)?.read_answer)(rule, body)
}

/// Writes an answer for a client that speaks `to`.
///
/// # Errors
/// `InvalidRequest` (400) where that is no chat.
pub fn write_answer(to: Format, answer: &Answer, shown: &Shown) -> Result<Vec<u8>> {
    Ok((codec(to)?.write_answer)(answer, shown))
}

/// What the ledger wants to know of an answer.
pub fn observe(answer: &Answer) -> Observed {
    let parts = answer.choices.iter().flat_map(|choice| &choice.parts);
    Observed {
        usage: answer.usage,
        model: answer.model.clone(),
        id: answer.id.clone(),
        service_tier: answer.service_tier.clone(),
        finished: true,
        output_bytes: parts.map(generated_bytes).sum(),
        ..Observed::default()
    }
}

/// Bytes of generated text in a part, for an estimate where no usage came.
fn generated_bytes(part: &Part) -> u64 {
    let length = match &part.content {
        Content::Text { text, .. } | Content::Refusal(text) | Content::Reasoning { text, .. } => {
            text.len()
        }
        Content::ToolCall {
            name, arguments, ..
        } => name.len() + arguments.len(),
        Content::Media(_) | Content::ToolResult { .. } | Content::Native { .. } => 0,
    };
    length as u64
}
