//! Every recorded chat behind a model of its own, each at a provider that speaks the recording's format
//! and nothing else that a client speaks, and that counts as the recorded one does: whoever asks in
//! another format gets a translation.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use testkit::recordings::{self, Entry};
use testkit::{Received, Recording, Reply};

use crate::SECRET;

pub struct Replays(Vec<Recording>);

/// What the suites are told of one.
#[derive(Serialize)]
pub struct Replay<'a> {
    model: String,
    provider: &'a str,
    case: &'a str,
    /// Of the wire, or the endpoint's name where no provider's protocol fits.
    api: &'a str,
    status: u16,
    end: Option<&'a str>,
    streams: bool,
    /// The files of the recording, without their endings.
    path: String,
    features: &'a [String],
    /// The recorded model.
    asked: Option<&'a str>,
}

impl Replays {
    pub fn new() -> Replays {
        let wanted = |entry: &Entry| upstream(entry, 0).is_some();
        Replays(testkit::recordings(wanted).unwrap_or_default())
    }

    pub fn models(&self, origin: &str) -> Vec<Value> {
        let named = self.0.iter().enumerate();
        named
            .filter_map(|(at, recording)| {
                let model = upstream(&recording.entry, at)?;
                let mut parameters =
                    json!({"model": model, "api_base": base(&model, origin), "api_key": SECRET});
                if model.starts_with("bedrock/") {
                    parameters = json!({"model": model, "api_base": origin,
                        "aws_region_name": "us-east-1", "aws_access_key_id": "AKIDSCENE",
                        "aws_secret_access_key": SECRET});
                }
                Some(json!({"model_name": name(recording), "litellm_params": parameters}))
            })
            .collect()
    }

    pub fn described(&self) -> Vec<Replay<'_>> {
        let root = recordings::recordings_root();
        self.0
            .iter()
            .map(|recording| {
                let entry = &recording.entry;
                let folder = root.as_deref().unwrap_or(Path::new("")).join("providers");
                Replay {
                    model: name(recording),
                    provider: &entry.provider,
                    case: &entry.case,
                    api: &entry.api,
                    status: entry.status,
                    end: entry.stream_end.as_deref(),
                    streams: recording.streams(),
                    path: folder
                        .join(&entry.provider)
                        .join(&entry.case)
                        .display()
                        .to_string(),
                    features: &entry.features,
                    asked: entry.model.as_deref(),
                }
            })
            .collect()
    }

    /// The recorded answer, where the request names one of these models in its path or body.
    pub fn answer(&self, received: &Received) -> Option<Reply> {
        let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let named = |text: &str| -> Option<usize> {
            let digits = text.split("recorded-").nth(1)?.get(..4)?;
            digits.parse().ok()
        };
        let at = body["model"]
            .as_str()
            .and_then(named)
            .or_else(|| named(&received.path))?;
        self.0.get(at).map(Reply::recorded)
    }
}

fn name(recording: &Recording) -> String {
    format!("replay/{}", recording.name())
}

/// The gateway's name of the provider and model; the number finds the recording again.
fn upstream(entry: &Entry, at: usize) -> Option<String> {
    let model = format!("recorded-{at:04}");
    let asked = entry.model.as_deref().unwrap_or_default();
    let framed = entry
        .stream
        .as_deref()
        .is_none_or(|framing| matches!(framing, "sse" | "eventstream"));
    if !framed {
        return None;
    }
    Some(match (entry.provider.as_str(), entry.api.as_str()) {
        ("xai", "chat") => format!("vercel_ai_gateway/google/{model}"),
        ("vercel-gateway", "chat") if asked.starts_with("google/") => {
            format!("vercel_ai_gateway/google/{model}")
        }
        ("azure", "chat") if asked.contains("grok") => format!("azure_ai/grok-{model}"),
        (provider @ ("mistral" | "perplexity"), "chat") => format!("{provider}/{model}"),
        (_, "chat") => format!("together_ai/{model}"),
        (_, "responses") => format!("openai/responses/{model}"),
        (_, "messages") => format!("anthropic/{model}"),
        (_, "generateContent" | "streamGenerateContent") => format!("gemini/{model}"),
        (_, "converse" | "converse-stream") => format!("bedrock/{model}"),
        ("cohere", "native_chat") => format!("cohere/{model}"),
        _ => return None,
    })
}

/// Those that add no version to their URL are given one.
fn base(model: &str, origin: &str) -> String {
    match model.split('/').next() {
        Some("anthropic" | "gemini" | "cohere" | "azure_ai") => origin.to_owned(),
        _ => format!("{origin}/v1"),
    }
}
