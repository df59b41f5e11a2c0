//! What a client of a protocol sends, and how it reads a stream: the same prompt and limits in each, so
//! that they ask for the same work.

use clap::ValueEnum;
use memchr::memmem;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's messages.
    Messages,
    /// OpenAI's responses, which are not to be kept.
    Responses,
}

/// What makes a request.
pub struct Asked<'a> {
    pub model: &'a str,
    pub prompt_bytes: usize,
    pub stream: bool,
    /// Chat only: ask for usage in the stream; the others bring it always.
    pub usage: bool,
}

impl Protocol {
    pub fn body(self, asked: &Asked) -> String {
        let Asked { model, stream, .. } = asked;
        let system = "You are a helpful assistant.";
        let prompt = prompt(asked.prompt_bytes);
        let tail = match (self, stream, asked.usage) {
            (_, false, _) => "",
            (Protocol::Chat, true, true) => {
                r#","stream":true,"stream_options":{"include_usage":true}"#
            }
            (_, true, _) => r#","stream":true"#,
        };
        match self {
            Protocol::Chat => format!(
                r#"{{"model":"{model}","messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{prompt}"}}],"temperature":0.7,"max_tokens":256{tail}}}"#
            ),
            Protocol::Messages => format!(
                r#"{{"model":"{model}","system":"{system}","messages":[{{"role":"user","content":"{prompt}"}}],"temperature":0.7,"max_tokens":256{tail}}}"#
            ),
            Protocol::Responses => format!(
                r#"{{"model":"{model}","instructions":"{system}","input":[{{"role":"user","content":"{prompt}"}}],"temperature":0.7,"max_output_tokens":256,"store":false{tail}}}"#
            ),
        }
    }

    /// Whether the data of an event ends a stream.
    pub fn ends(self, data: &[u8]) -> bool {
        let found = |needle: &[u8]| memmem::find(data, needle).is_some();
        match self {
            Protocol::Chat => data == b"[DONE]",
            Protocol::Messages => found(br#""type":"message_stop""#),
            Protocol::Responses => found(br#""type":"response.completed""#),
        }
    }

    /// What the upstream's stamp stands behind in an event that brings text: other events may repeat it.
    pub fn text_member(self) -> &'static [u8] {
        match self {
            Protocol::Chat => br#""content":"@"#,
            Protocol::Messages => br#""text":"@"#,
            Protocol::Responses => br#""delta":"@"#,
        }
    }
}

/// Text as people write it, as it stands in JSON: quotes and line ends, which have to be escaped, now
/// and then.
fn prompt(bytes: usize) -> String {
    let words = "the quick brown fox jumps over the lazy dog; \\\"so it goes\\\",\\n ";
    let mut prompt = words.repeat(bytes / words.len());
    prompt.push_str(&"x".repeat(bytes - prompt.len()));
    prompt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_of_the_asked_size() {
        for protocol in Protocol::value_variants() {
            for prompt_bytes in [0, 10, 1024, 100_000] {
                for (stream, usage) in [(false, true), (true, false), (true, true)] {
                    let asked = Asked {
                        model: "m",
                        prompt_bytes,
                        stream,
                        usage,
                    };
                    let body = protocol.body(&asked);
                    assert!(body.len() >= prompt_bytes);
                    assert!(body.len() < prompt_bytes + 300);
                    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
                    assert_eq!(body["stream"] == true, stream);
                    let asks = body["stream_options"]["include_usage"] == true;
                    assert_eq!(asks, stream && usage && *protocol == Protocol::Chat);
                }
            }
        }
    }
}
