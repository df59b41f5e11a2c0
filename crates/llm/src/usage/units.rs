//! Usage of the endpoints that are no chats: tokens in the newer spelling of OpenAI, seconds of sound,
//! searches. Reading it never fails for odd values.

use serde_json::Value;

use super::counts::count;
use super::wire::Rest;
use super::{Reading, Usage, UsageRule};
use crate::format::Format;

/// Reads the JSON text of a `usage` object; `None` for what holds no count.
pub(crate) fn read(format: Format, json: &[u8]) -> Option<Reading> {
    let object: Value = serde_json::from_slice(json).ok()?;
    let is_heard = matches!(format, Format::Transcription | Format::Translation);
    // Mistral says both how many seconds and how many tokens it heard, which are the same; it charges
    // the seconds
    let seconds = ["seconds", "prompt_audio_seconds"];
    let seconds = seconds
        .into_iter()
        .find_map(|name| milliseconds(&object[name]));
    if let Some(milliseconds) = seconds.filter(|some| is_heard && *some > 0) {
        return Some(of(Usage {
            milliseconds,
            ..Usage::default()
        }));
    }
    match tokens(format, &object) {
        Some(usage) => Some(of(usage)),
        None => super::read(UsageRule::OpenAi, json),
    }
}

/// A usage of which nothing else is known.
pub(crate) fn of(usage: Usage) -> Reading {
    Reading {
        usage,
        ..Reading::default()
    }
}

/// `input_tokens` and `output_tokens`, which hold those of their details.
fn tokens(format: Format, object: &Value) -> Option<Usage> {
    let input = count(object, ["input_tokens"]);
    let output = count(object, ["output_tokens"]);
    if input.is_none() && output.is_none() {
        return None;
    }
    let details = |names: [&str; 2]| {
        let found = names.into_iter().map(|name| &object[name]);
        let mut found = found.filter(|value| value.is_object());
        found.next().unwrap_or(&Value::Null)
    };
    let heard = details(["input_tokens_details", "input_token_details"]);
    let made = details(["output_tokens_details", "output_token_details"]);
    let part = |details: &Value, name: &str| count(details, [name]).unwrap_or(0);
    let mut usage = Usage::default();
    let mut rest = Rest(input.unwrap_or(0));
    usage.cache_read = rest.take(part(heard, "cached_tokens"));
    usage.input_audio = rest.take(part(heard, "audio_tokens"));
    usage.input_image = rest.take(part(heard, "image_tokens"));
    usage.input = rest.0;
    let mut rest = Rest(output.unwrap_or(0));
    usage.reasoning = rest.take(part(made, "reasoning_tokens"));
    match format {
        Format::ImageGeneration | Format::ImageEdit => {
            usage.output = rest.take(part(made, "text_tokens"));
            usage.output_image = rest.0;
        }
        Format::Speech => usage.output_audio = rest.0,
        _ => usage.output = rest.0,
    }
    Some(usage)
}

/// A number of seconds; a text that holds one is read as well, as some servers write it.
pub(crate) fn milliseconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::String(text) => text.parse().ok()?,
        value => value.as_f64()?,
    };
    // The cast saturates.
    (seconds.is_finite() && seconds >= 0.0).then(|| (seconds * 1000.0).round() as u64)
}

/// Cohere's `meta`: what a rerank is charged for.
pub(crate) fn rerank(meta: &Value) -> Option<Usage> {
    let billed = meta.get("billed_units")?;
    let search_units = count(billed, ["search_units"]);
    let input = count(billed, ["input_tokens"]);
    if search_units.is_none() && input.is_none() {
        return None;
    }
    Some(Usage {
        search_units: search_units.unwrap_or(0),
        input: input.unwrap_or(0),
        ..Usage::default()
    })
}
