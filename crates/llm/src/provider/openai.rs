//! OpenAI itself, and which of its models want to be asked by responses. Azure has the same models.

use super::Provider;
use super::rows::ROW as DEFAULT;
use crate::format::Format::{self, *};

pub(super) const ROW: Provider = Provider {
    name: "openai",
    title: "OpenAI",
    formats: ALL,
    base_url: Some("https://api.openai.com/v1"),
    key_variables: &["OPENAI_API_KEY"],
    base_url_variables: &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
    catalogue: Some("openai"),
    ..DEFAULT
};

pub(super) const ALL: &[Format] = &[
    OpenAiChat,
    OpenAiResponses,
    OpenAiCompletion,
    OpenAiEmbedding,
    Moderation,
    ImageGeneration,
    ImageEdit,
    Speech,
    Transcription,
    Translation,
    Rerank,
];

/// Reasoning passes through a tool loop by responses alone, and some generations take tools nowhere
/// else; clients of chat still get chat.
const REASONING: &[Format] = &[OpenAiResponses, OpenAiChat];

const RESPONSES_ONLY: &[Format] = &[OpenAiResponses];

/// What a model at OpenAI itself speaks, told by its name: a deployment at Azure may have any name.
pub(super) fn formats(model: &str) -> &'static [Format] {
    if is_responses_only(model) {
        RESPONSES_ONLY
    } else if is_reasoning(model) {
        REASONING
    } else {
        ALL
    }
}

fn is_responses_only(model: &str) -> bool {
    let is_pro = model.ends_with("-pro") || model.contains("-pro-20");
    let is_codex = model.contains("codex") && !model.contains("codex-spark");
    is_codex
        || (is_pro && is_reasoning(model))
        || model.contains("deep-research")
        || model.starts_with("computer-use")
}

/// `o1` and what came after it, `gpt-5` and what came after it, but not those made for chatting; Azure
/// writes `gpt-3.5` as `gpt-35`.
fn is_reasoning(model: &str) -> bool {
    let model = model.strip_prefix("ft:").unwrap_or(model);
    let digits = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse::<u32>().ok()
    };
    let generation = |prefix: &str| model.strip_prefix(prefix).and_then(digits);
    let is_other = ["-chat", "-image", "-search", "-audio", "-realtime"]
        .iter()
        .any(|kind| model.contains(kind));
    !is_other
        && (generation("o").is_some()
            || generation("gpt-").is_some_and(|number| (5..30).contains(&number)))
}
