//! Recorded traffic of Anthropic's messages, OpenAI's responses and Gemini's generateContent, through
//! the whole gateway in its own protocol: not one byte of an answer changes.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::{Recording, Reply};

use crate::app::{Setup, TestApp};

const PROVIDERS: [(&str, &str); 3] = [
    ("anthropic", "messages"),
    ("openai", "responses"),
    ("gemini", "generateContent"),
];

fn wanted() -> Option<Vec<Recording>> {
    testkit::recordings(|entry| {
        let is_framed = entry.stream.as_deref().is_none_or(|kind| kind == "sse");
        let is_gemini = entry.provider == "gemini" && entry.api == "streamGenerateContent";
        let is_ours = PROVIDERS.contains(&(entry.provider.as_str(), entry.api.as_str()));
        (is_ours || is_gemini) && is_framed && entry.status == 200
    })
}

/// The name that the answer gives its model, so that nothing has to be replaced.
fn answered_model(recording: &Recording) -> String {
    let text = String::from_utf8_lossy(&recording.response);
    let named = ["\"model\":", "\"modelVersion\":"].iter().find_map(|key| {
        let rest = &text[text.find(key)? + key.len()..];
        let name = rest.trim_start().strip_prefix('"')?;
        name.split('"').next()
    });
    let asked = recording.entry.model.as_deref();
    let name = named.filter(|name| !name.is_empty()).or(asked);
    name.unwrap_or("unnamed").to_owned()
}

async fn gateway(recordings: &[Recording]) -> TestApp {
    let names: BTreeSet<(&str, String)> = recordings
        .iter()
        .map(|recording| (recording.entry.provider.as_str(), answered_model(recording)))
        .collect();
    let list: Vec<Value> = names
        .iter()
        .map(|(provider, name)| {
            json!({
                "model_name": name,
                "litellm_params": {"model": format!("{provider}/{name}"), "api_key": "sk-of-a-recording-5af2",
                    "api_base": "PROVIDER"},
            })
        })
        .collect();
    let config = json!({ "model_list": list }).to_string();
    Setup::default().config(&config).start().await
}

fn request(recording: &Recording, name: &str) -> (String, Value) {
    let asked = recording.request.as_ref();
    let asked: Option<Value> = asked.and_then(|bytes| serde_json::from_slice(bytes).ok());
    let streams = recording.streams();
    let turn = json!([{"role": "user", "content": "hi"}]);
    match recording.entry.provider.as_str() {
        "gemini" => {
            let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
            let body = asked.unwrap_or_else(|| json!({ "contents": contents }));
            let action = match streams {
                true => "streamGenerateContent?alt=sse",
                false => "generateContent",
            };
            (format!("/v1beta/models/{name}:{action}"), body)
        }
        provider => {
            let is_anthropic = provider == "anthropic";
            let mut body = asked.unwrap_or_else(|| match is_anthropic {
                true => json!({"max_tokens": 10, "messages": turn}),
                false => json!({ "input": turn }),
            });
            body["model"] = name.into();
            body["stream"] = streams.into();
            // answers before it came through elsewhere
            body.as_object_mut().unwrap().remove("previous_response_id");
            let path = match is_anthropic {
                true => "/v1/messages",
                false => "/v1/responses",
            };
            (path.to_owned(), body)
        }
    }
}

#[tokio::test]
async fn what_was_recorded_reaches_a_client_of_its_own_protocol() {
    let Some(recordings) = wanted() else {
        return;
    };
    let app = gateway(&recordings).await;
    let mut failures = Vec::new();
    for recording in &recordings {
        let name = answered_model(recording);
        app.provider.reply(Reply::recorded(recording));
        let (path, body) = request(recording, &name);
        let answer = app.post(&path, body).await;
        if answer.status != 200 {
            failures.push(format!("{}: {answer}", recording.name()));
        } else if answer.body != recording.response {
            failures.push(format!("{}: other bytes", recording.name()));
        }
    }
    assert!(recordings.len() > 150, "only {}", recordings.len());
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        recordings.len(),
        failures.join("\n")
    );
}
