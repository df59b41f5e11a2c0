//! What is read of a request, and the bytes of the answers: written straight into buffers, as a
//! tree of values would cost more than everything else here.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use serde::Deserialize;

use crate::Knobs;

/// The fields of a request that shape the answer.
#[derive(Deserialize)]
pub struct Request<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    pub stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

const WORDS: &str = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do ";

fn text(length: u32) -> String {
    WORDS.chars().cycle().take(length as usize).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string serialises")
}

fn usage(prompt_tokens: u64, completion_tokens: u32) -> String {
    let total = prompt_tokens + u64::from(completion_tokens);
    format!(
        r#"{{"prompt_tokens":{prompt_tokens},"completion_tokens":{completion_tokens},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#
    )
}

/// A whole answer.
pub fn whole(asked: &Request, prompt_tokens: u64, knobs: Knobs) -> Bytes {
    let model = quoted(&asked.model);
    let text = text(knobs.body_bytes);
    let usage = usage(prompt_tokens, knobs.chunks);
    Bytes::from(format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{usage},"service_tier":"default","system_fingerprint":"fp_bench"}}"#
    ))
}

/// Writes the events of one stream, one call at a time.
pub struct Events {
    knobs: Knobs,
    prompt_tokens: u64,
    usage_asked: bool,
    /// What every event opens with, up to its choices.
    opening: String,
    text: String,
    given: u32,
}

impl Events {
    pub fn new(asked: &Request, prompt_tokens: u64, knobs: Knobs) -> Events {
        let model = quoted(&asked.model);
        let options = asked.stream_options.as_ref();
        Events {
            knobs,
            prompt_tokens,
            usage_asked: options.is_some_and(|options| options.include_usage),
            opening: format!(
                "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":{model},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\",\"choices\":["
            ),
            text: text(knobs.chunk_bytes),
            given: 0,
        }
    }

    /// The bytes to send next, and whether they end the stream. The opening event comes with
    /// the first chunk, and the closing ones together, so n chunks take n + 1 calls.
    pub fn next(&mut self, now: u128) -> (Bytes, bool) {
        let mut out = String::with_capacity(self.opening.len() + self.text.len() + 512);
        if self.given == 0 {
            let delta = r#"{"role":"assistant","content":"","refusal":null}"#;
            self.event(&mut out, delta, "null");
        }
        let ends = self.given >= self.knobs.chunks;
        if ends {
            self.close(&mut out);
        } else {
            let _ = write!(
                out,
                "{}{{\"index\":0,\"delta\":{{\"content\":\"",
                self.opening
            );
            if self.knobs.stamp == 1 {
                let _ = write!(out, "@{now}@");
            }
            out.push_str(&self.text);
            out.push_str("\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
            self.given += 1;
        }
        (Bytes::from(out), ends)
    }

    /// Chunks with text given so far.
    pub fn given(&self) -> u32 {
        self.given
    }

    fn event(&self, out: &mut String, delta: &str, finish_reason: &str) {
        let _ = write!(
            out,
            "{}{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish_reason}}}]}}\n\n",
            self.opening
        );
    }

    fn close(&self, out: &mut String) {
        self.event(out, "{}", "\"stop\"");
        if self.usage_asked {
            let usage = usage(self.prompt_tokens, self.knobs.chunks);
            let _ = write!(out, "{}],\"usage\":{usage}}}\n\n", self.opening);
        }
        out.push_str("data: [DONE]\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn knobs() -> Knobs {
        Knobs {
            chunks: 3,
            body_bytes: 300,
            stamp: 1,
            ..crate::KNOBS
        }
    }

    #[test]
    fn whole_answers_are_json_with_usage() {
        let asked = serde_json::from_str(r#"{"model":"a\"b","messages":[]}"#).unwrap();
        let answer: Value = serde_json::from_slice(&whole(&asked, 100, knobs())).unwrap();
        assert_eq!(answer["model"], "a\"b");
        assert_eq!(answer["usage"]["total_tokens"], 103);
        let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
        assert_eq!(content.len(), 300);
    }

    #[test]
    fn streams_open_speak_and_close() {
        let asked = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
        let asked = serde_json::from_str(asked).unwrap();
        let mut events = Events::new(&asked, 100, knobs());
        let mut all = String::new();
        loop {
            let (bytes, ends) = events.next(42);
            all.push_str(std::str::from_utf8(&bytes).unwrap());
            if ends {
                break;
            }
        }
        let data: Vec<&str> = all
            .split_terminator("\n\n")
            .map(|event| event.strip_prefix("data: ").unwrap())
            .collect();
        // Opening, three chunks, finish, usage, end.
        assert_eq!(data.len(), 7);
        assert_eq!(data[6], "[DONE]");
        assert!(data[1].contains("\"content\":\"@42@lorem"));
        for event in &data[..6] {
            serde_json::from_str::<Value>(event).unwrap();
        }
        let usage: Value = serde_json::from_str(data[5]).unwrap();
        assert_eq!(usage["usage"]["completion_tokens"], 3);
    }
}
