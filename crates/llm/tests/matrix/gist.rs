//! What an answer comes to, whatever its format: text, calls of tools, why it stopped, what it used.

use llm::Format;
use llm::conversation::{Answer, Content, MediaKind, Stop};
use serde_json::{Value, json};

#[derive(Debug, Default, PartialEq)]
pub struct Gist {
    /// Of the first choice, a refusal included: not every format has the others.
    text: String,
    calls: Vec<(String, Value)>,
    stop: Option<&'static str>,
    /// Tokens of the prompt, of them cached, and generated.
    usage: Option<(u64, u64, u64)>,
    has_failed: bool,
    /// Seen on the way: some formats have a text for it and others a stop reason.
    has_refused: bool,
    /// Clients that can hear get no text of it.
    has_sound: bool,
}

impl Gist {
    pub fn of_answer(answer: &Answer) -> Gist {
        let mut gist = Gist::default();
        let mut refused = false;
        let choice = answer.choices.first();
        for part in choice.iter().flat_map(|choice| &choice.parts) {
            match &part.content {
                Content::Text { text, .. } => gist.text.push_str(text),
                Content::Refusal(text) => {
                    refused = true;
                    gist.text.push_str(text);
                }
                // clients of text alone read what is said
                Content::Media(media) => {
                    gist.has_sound |= media.kind == MediaKind::Audio;
                    gist.text
                        .push_str(media.transcript.as_deref().unwrap_or_default());
                }
                Content::ToolCall {
                    name, arguments, ..
                } => gist.calls.push((name.clone(), arguments_of(arguments))),
                _ => {}
            }
        }
        let stop = choice.and_then(|choice| choice.stop.as_ref());
        gist.stop = stop.map(|stop| match stop {
            Stop::MaxTokens => "length",
            Stop::Filtered | Stop::Refusal => "filtered",
            _ if refused => "filtered",
            _ => "end",
        });
        gist.usage = answer.usage.map(|usage| {
            let (prompt, generated) = (usage.prompt_tokens(), usage.completion_tokens());
            (prompt, usage.cache_read, generated)
        });
        gist
    }

    pub fn of_chat_stream(stream: &[u8]) -> Gist {
        let mut gist = Gist::default();
        let mut arguments: Vec<String> = Vec::new();
        for line in stream.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data: ") else {
                continue;
            };
            let Ok(chunk) = serde_json::from_slice::<Value>(data) else {
                assert_eq!(data, b"[DONE]");
                continue;
            };
            gist.has_failed |= chunk["error"].is_object();
            gist.see(&chunk, &mut arguments);
        }
        if gist.has_refused {
            gist.stop = Some("filtered");
        }
        for (call, arguments) in gist.calls.iter_mut().zip(&arguments) {
            call.1 = arguments_of(arguments);
        }
        gist
    }

    fn see(&mut self, chunk: &Value, arguments: &mut Vec<String>) {
        let choices = chunk["choices"].as_array();
        let choice = choices.and_then(|choices| choices.iter().find(|choice| choice["index"] == 0));
        let delta = choice.map_or(&Value::Null, |choice| &choice["delta"]);
        for member in ["content", "refusal"] {
            self.text
                .push_str(delta[member].as_str().unwrap_or_default());
        }
        self.has_refused |= delta["refusal"]
            .as_str()
            .is_some_and(|text| !text.is_empty());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let function = match call.get("custom") {
                Some(custom) => custom,
                None => &call["function"],
            };
            let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if at == self.calls.len() {
                self.calls
                    .push((function["name"].as_str().unwrap().to_owned(), Value::Null));
                arguments.push(String::new());
            }
            let piece = function.get("arguments").or(function.get("input"));
            arguments[at].push_str(piece.and_then(Value::as_str).unwrap_or_default());
        }
        let finish = choice.and_then(|choice| choice["finish_reason"].as_str());
        if let Some(finish) = finish {
            self.stop = Some(match finish {
                "length" => "length",
                "content_filter" => "filtered",
                _ => "end",
            });
        }
        let usage = &chunk["usage"];
        if usage.is_object() {
            let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
            let cached = count("/prompt_tokens_details/cached_tokens");
            self.usage = Some((count("/prompt_tokens"), cached, count("/completion_tokens")));
        }
    }

    /// What is another in a translation to a client of `to`.
    pub fn differs(&self, other: &Gist, to: Format) -> Option<String> {
        if self.has_failed || other.has_failed {
            // whatever came before it is the writer's to show
            return (self.has_failed != other.has_failed)
                .then(|| format!("{self:?} became {other:?}"));
        }
        let mut wanted = Gist {
            has_refused: other.has_refused,
            has_sound: other.has_sound,
            text: self.text.clone(),
            calls: self.calls.clone(),
            ..*self
        };
        // Anthropic and OpenAI's responses always state a usage
        if wanted.usage.is_none()
            && matches!(
                to,
                Format::Anthropic | Format::OpenAiResponses | Format::Gemini
            )
        {
            wanted.usage = other.usage;
        }
        if self.has_sound && other.has_sound {
            wanted.text.clone_from(&other.text);
        }
        // an answer without its end is an end for formats that must say one
        if wanted.stop.is_none() {
            wanted.stop = other.stop;
        }
        (wanted != *other).then(|| format!("{wanted:?} became {other:?}"))
    }
}

/// Arguments may change their spacing, but not their meaning. Free text, and what is cut short, stands in
/// a member `input` where arguments are objects.
fn arguments_of(text: &str) -> Value {
    let meant = if text.trim().is_empty() { "{}" } else { text };
    match serde_json::from_str(meant) {
        Ok(Value::Object(members)) => Value::Object(members),
        _ => json!({ "input": text }),
    }
}
