//! The scripted model behind the gateway, and the requests that came to it.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};
use testkit::{Model, Received, Reply};

use crate::SECRET;

/// The models: their names, and how the gateway is told of them. The one of chat is at a provider that
/// knows nothing but chat.
const MODELS: [(&str, &str); 4] = [
    ("scripted-chat", "fireworks_ai/scripted"),
    ("scripted-responses", "openai/responses/gpt-5-scripted"),
    ("scripted-anthropic", "anthropic/claude-sonnet-4-5-scripted"),
    ("scripted-gemini", "gemini/gemini-scripted"),
];

pub fn models(origin: &str) -> impl Iterator<Item = Value> {
    MODELS.into_iter().map(move |(name, model)| {
        // the others add their version themselves
        let base = match model.split('/').next() {
            Some("anthropic" | "gemini") => origin.to_owned(),
            _ => format!("{origin}/v1"),
        };
        let parameters = json!({"model": model, "api_base": base, "api_key": SECRET});
        json!({"model_name": name, "litellm_params": parameters})
    })
}

#[derive(Default)]
pub struct Scripted {
    model: Model,
    received: Mutex<Vec<Value>>,
}

impl Scripted {
    /// Answers as the model, or tells what came to it; `None` for other models' requests.
    pub fn answer(&self, received: &Received) -> Option<Reply> {
        let mut log = self
            .received
            .lock()
            .expect("no code panics while it holds it");
        if let Some(wanted) = received.path.strip_prefix("/received?containing=") {
            let holds = |request: &&Value| request["body"].to_string().contains(wanted);
            let found: Vec<&Value> = log.iter().filter(holds).collect();
            return Some(Reply::json(&json!(found)));
        }
        let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let named = body["model"].as_str().unwrap_or(&received.path);
        if !named.contains("scripted") {
            return None;
        }
        let headers = received.headers.iter();
        let headers: HashMap<&str, &str> = headers
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .filter(|(_, value)| !value.contains(SECRET))
            .collect();
        log.push(json!({"path": received.path, "headers": headers, "body": body}));
        self.model.answer(received, SECRET)
    }
}
