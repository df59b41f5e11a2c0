//! Embeddings between formats: Gemini's clients at providers of OpenAI's protocol, and the clients of
//! both at Vertex AI, whose answers reach Gemini's through OpenAI's shape.

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
    match batch(from) {
        Some(batch) if to_format == Format::OpenAiEmbedding => {
            gemini_embeddings::openai_request(batch, to.model, body)
        }
        batch => vertex_embeddings::request(batch, to_format, to, body, drops),
    }
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
