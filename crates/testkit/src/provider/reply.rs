//! One scripted reply: what it says, how it is cut into chunks, and what goes wrong with it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::Received;
use super::body::{Chunk, Script, Step, Watched};
use super::render::{self, Rendered};
use crate::recordings::Recording;

/// A reply to be given once (queued) or always (as the default).
#[derive(Clone, Debug)]
pub struct Reply {
    content: Content,
    status: StatusCode,
    headers: HeaderMap,
    usage: Option<(u64, u64)>,
    before_head: Duration,
    before_first_chunk: Duration,
    between_chunks: Duration,
    split: Split,
    trouble: Trouble,
}

/// How a body is cut into writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Each server-sent event in a write of its own; a body that is no stream in one.
    Events,
    /// Everything in one write.
    Whole,
    /// So many bytes to a write, wherever that cuts.
    Bytes(usize),
}

#[derive(Clone, Debug)]
enum Content {
    /// What the endpoint would say.
    Plausible,
    /// This text, in the shape that the endpoint and the request ask for.
    Spoken(Vec<String>),
    /// These bytes.
    Fixed {
        body: Bytes,
        kind: String,
        length_known: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    HangBeforeHead,
    HangAfterChunks(usize),
    CutBeforeHead,
    CutAfterChunks(usize),
    CutAfterBytes(usize),
}

impl Reply {
    fn new(content: Content) -> Reply {
        Reply {
            content,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            usage: None,
            before_head: Duration::ZERO,
            before_first_chunk: Duration::ZERO,
            between_chunks: Duration::ZERO,
            split: Split::Events,
            trouble: Trouble::None,
        }
    }

    /// What the endpoint would say: a short text, a vector an input, a list of models.
    pub fn plausible() -> Reply {
        Reply::new(Content::Plausible)
    }

    /// A text in pieces of one token each, whole or streamed (a chunk a piece) as the request
    /// asks; usage is sent where OpenAI would send it.
    pub fn text<P: Into<String>>(pieces: impl IntoIterator<Item = P>) -> Reply {
        Reply::new(Content::Spoken(
            pieces.into_iter().map(Into::into).collect(),
        ))
    }

    /// A JSON document, sent as it is.
    pub fn json(document: &serde_json::Value) -> Reply {
        Reply::bytes("application/json", document.to_string())
    }

    /// A body of a known length, sent as it is.
    pub fn bytes(content_type: &str, body: impl Into<Bytes>) -> Reply {
        Reply::new(Content::Fixed {
            body: body.into(),
            kind: content_type.to_owned(),
            length_known: true,
        })
    }

    /// The bytes of a stream of server-sent events, sent as they are.
    pub fn events(body: impl Into<Bytes>) -> Reply {
        Reply::new(Content::Fixed {
            body: body.into(),
            kind: "text/event-stream; charset=utf-8".to_owned(),
            length_known: false,
        })
    }

    /// An error in OpenAI's shape.
    pub fn error(status: u16, kind: &str, message: &str) -> Reply {
        let error = json!({"message": message, "type": kind, "param": null, "code": null});
        Reply::json(&json!({ "error": error })).status(status)
    }

    /// An error page, as proxies in front of providers send them.
    pub fn html(status: u16, page: &str) -> Reply {
        Reply::bytes("text/html", page.to_owned()).status(status)
    }

    /// Too many requests, to be tried again after so many seconds.
    pub fn rate_limited(seconds: u32) -> Reply {
        Reply::error(429, "rate_limit_error", "slow down")
            .header(RETRY_AFTER.as_str(), &seconds.to_string())
    }

    /// What was recorded: status, the headers that describe the answer, body.
    pub fn recorded(recording: &Recording) -> Reply {
        let said = recording.response_headers.get("content-type");
        let kind = said.map_or("application/json", String::as_str);
        let mut reply = if recording.streams() {
            Reply::events(recording.response.clone())
        } else {
            Reply::bytes(kind, recording.response.clone())
        };
        if recording.streams()
            && let Some(said) = said
        {
            reply = reply.header(CONTENT_TYPE.as_str(), said);
        }
        for (name, value) in &recording.response_headers {
            // Those describe the recorded connection, not the answer.
            let framing = ["content-length", "transfer-encoding", "content-encoding"];
            let skip = ["content-type", "connection", "keep-alive", "date"];
            if !framing.contains(&name.as_str()) && !skip.contains(&name.as_str()) {
                reply = reply.header(name, value);
            }
        }
        reply.status(recording.entry.status)
    }

    pub fn status(mut self, status: u16) -> Reply {
        self.status = StatusCode::from_u16(status).expect("a status between 100 and 999");
        self
    }

    /// Sets a header; `content-type` in place of the one the body would have.
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        let name: HeaderName = name.parse().expect("a header's name");
        let value = HeaderValue::from_str(value).expect("a header's value");
        self.headers.insert(name, value);
        self
    }

    /// The token counts of a spoken answer (9 and one a piece otherwise).
    pub fn usage(mut self, prompt: u64, completion: u64) -> Reply {
        self.usage = Some((prompt, completion));
        self
    }

    /// Waits before the head is sent.
    pub fn after(mut self, wait: Duration) -> Reply {
        self.before_head = wait;
        self
    }

    /// Sends the head at once and waits before the first chunk.
    pub fn first_chunk_after(mut self, wait: Duration) -> Reply {
        self.before_first_chunk = wait;
        self
    }

    /// Waits between two chunks.
    pub fn paced(mut self, wait: Duration) -> Reply {
        self.between_chunks = wait;
        self
    }

    pub fn split(mut self, split: Split) -> Reply {
        self.split = split;
        self
    }

    /// Takes the request and says nothing, until released.
    pub fn hang_before_head(mut self) -> Reply {
        self.trouble = Trouble::HangBeforeHead;
        self
    }

    /// Falls silent after so many chunks (0: after the head), until released.
    pub fn hang_after_chunks(mut self, chunks: usize) -> Reply {
        self.trouble = Trouble::HangAfterChunks(chunks);
        self
    }

    /// Takes the request and closes the connection.
    pub fn cut_before_head(mut self) -> Reply {
        self.trouble = Trouble::CutBeforeHead;
        self
    }

    /// Closes the connection after so many chunks of the body.
    pub fn cut_after_chunks(mut self, chunks: usize) -> Reply {
        self.trouble = Trouble::CutAfterChunks(chunks);
        self
    }

    /// Closes the connection after so many bytes of the body.
    pub fn cut_after_bytes(mut self, bytes: usize) -> Reply {
        self.trouble = Trouble::CutAfterBytes(bytes);
        self
    }

    /// Plays the part that comes before the body; `None` where the connection is to be closed
    /// instead.
    pub(super) async fn perform(
        self,
        received: &Received,
        mut watched: Watched,
    ) -> Option<Response<Script>> {
        tokio::time::sleep(self.before_head).await;
        match self.trouble {
            Trouble::CutBeforeHead => {
                watched.answered();
                return None;
            }
            Trouble::HangBeforeHead => watched.released().await,
            _ => {}
        }
        let rendered = self.rendered(received);
        let mut response = Response::new(());
        *response.status_mut() = rendered.status.unwrap_or(self.status);
        let kind = HeaderValue::from_str(&rendered.kind).expect("made of a header's value");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        let length = rendered.length;
        let prompt_tokens = rendered.prompt_tokens;
        let steps = self.steps(split(self.split, rendered.chunks));
        let script = Script::new(steps, length, prompt_tokens, watched);
        Some(response.map(|()| script))
    }

    fn rendered(&self, received: &Received) -> Rendered {
        match &self.content {
            Content::Plausible => render::plausible(received, self.usage),
            Content::Spoken(pieces) => render::spoken(received, pieces, self.usage),
            Content::Fixed {
                body,
                kind,
                length_known,
            } => render::fixed(body, kind, *length_known),
        }
    }

    fn steps(&self, chunks: Vec<Chunk>) -> VecDeque<Step> {
        let mut steps = VecDeque::new();
        let mut sent = 0;
        for (index, mut chunk) in chunks.into_iter().enumerate() {
            match self.trouble {
                Trouble::HangAfterChunks(after) if after == index => steps.push_back(Step::Hang),
                Trouble::CutAfterChunks(after) if after == index => break,
                _ => {}
            }
            let wait = if index == 0 {
                self.before_first_chunk
            } else {
                self.between_chunks
            };
            if !wait.is_zero() {
                steps.push_back(Step::Wait(wait));
            }
            if let Trouble::CutAfterBytes(limit) = self.trouble
                && sent + chunk.bytes.len() > limit
            {
                chunk.bytes.truncate(limit - sent);
                chunk.completion_tokens = 0;
                steps.push_back(Step::Send(chunk));
                break;
            }
            sent += chunk.bytes.len();
            steps.push_back(Step::Send(chunk));
        }
        if matches!(
            self.trouble,
            Trouble::CutAfterChunks(_) | Trouble::CutAfterBytes(_)
        ) {
            steps.push_back(Step::Cut);
        }
        steps
    }
}

/// Cuts chunks anew. Tokens belong to the piece that holds their chunk's end.
fn split(split: Split, chunks: Vec<Chunk>) -> Vec<Chunk> {
    let size = match split {
        Split::Events => return chunks,
        Split::Whole => usize::MAX,
        Split::Bytes(size) => size.max(1),
    };
    let mut all = Vec::new();
    let mut ends = Vec::new();
    for chunk in chunks {
        all.extend_from_slice(&chunk.bytes);
        ends.push((all.len(), chunk.completion_tokens));
    }
    let all = Bytes::from(all);
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < all.len() {
        let end = start.saturating_add(size).min(all.len());
        let inside = ends.iter().filter(|(at, _)| start < *at && *at <= end);
        pieces.push(Chunk {
            completion_tokens: inside.map(|(_, tokens)| tokens).sum(),
            bytes: all.slice(start..end),
        });
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_keeps_bytes_and_tokens() {
        let chunk = |text: &'static str, completion_tokens| Chunk {
            bytes: Bytes::from_static(text.as_bytes()),
            completion_tokens,
        };
        let chunks = || vec![chunk("abc", 1), chunk("defg", 2), chunk("h", 3)];
        for size in 1..10 {
            let pieces = split(Split::Bytes(size), chunks());
            let text: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| piece.bytes.to_vec())
                .collect();
            assert_eq!(text, b"abcdefgh");
            assert!(pieces.iter().all(|piece| piece.bytes.len() <= size));
            assert_eq!(
                pieces
                    .iter()
                    .map(|piece| piece.completion_tokens)
                    .sum::<u64>(),
                6
            );
        }
        assert_eq!(split(Split::Whole, chunks()).len(), 1);
        assert_eq!(split(Split::Events, chunks()).len(), 3);
    }
}
