//! Embeddings between formats: Gemini's clients at providers of OpenAI's protocol, and the clients of
//! both at Vertex AI. What Gemini's client asks of Vertex's `:predict` goes through OpenAI's shape.

use base::Result;
use serde_json::Value;

use super::Translated;
use super::gemini_embeddings::{self, Batch};
use super::vertex_embeddings::{self, Encoding};
use crate::format::{Format, Shown, To};
use crate::response::{self, Observed};

/// Whether a client of this format asks for embeddings.
pub(super) fn is_asked_in(client: Format) -> bool {
    client == Format::OpenAiEmbedding || batch(client).is_some()
}

/// Of a client of Gemini's.
fn batch(client: Format) -> Option<Batch> {
    match client {
        Format::GeminiEmbedding => Some(Batch::One),
        Format::GeminiBatchEmbedding => Some(Batch::Many),
        _ => None,
    }
}

pub(super) fn request(
    from: Format,
    to_format: Format,
    to: &To<'_>,
    body: &[u8],
    drops: bool,
) -> Result<Translated> {
    let asked = match batch(from) {
        Some(batch) => gemini_embeddings::openai_request(batch, to.model, body)?,
        None => Translated {
            body: body.to_vec(),
            dropped: Vec::new(),
        },
    };
    if to_format == Format::OpenAiEmbedding {
        return Ok(asked);
    }
    let mut written = vertex_embeddings::request(to_format, to, &asked.body, drops)?;
    written.dropped.extend(asked.dropped);
    Ok(written)
}

pub(super) fn answer(
    from_format: Format,
    to: Format,
    body: &[u8],
    shown: &Shown,
) -> Result<(Vec<u8>, Observed)> {
    let body = match from_format {
        Format::OpenAiEmbedding => body.to_vec(),
        _ => {
            let asked = shown.request.as_ref().and_then(Value::as_object);
            let encoding = asked.and_then(|asked| asked.get("encoding_format"));
            vertex_embeddings::answer(&shown.model, Encoding::read(encoding)?, body)?
        }
    };
    let rule = crate::UsageRule::OpenAi;
    let (body, observed) = response::observe(Format::OpenAiEmbedding, rule, body.into(), "");
    match batch(to) {
        Some(batch) => Ok((gemini_embeddings::gemini_answer(batch, &body)?, observed)),
        None => Ok((body.into(), observed)),
    }
}
