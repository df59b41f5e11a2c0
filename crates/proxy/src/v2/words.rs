//! A streamed answer of the `/v2` API: OpenAI's chunks go in, events of this API come out. The last
//! event comes when the turn is kept, so that whoever has read it finds the messages.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use domain::Domain;
use domain::conversations;
use http_body::Body as _;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Chat, answered, error, json as spaced};
use crate::body::Body;
use crate::finish::Settled;

/// The longest line of a stream that is kept while its end is waited for.
const LONGEST_LINE: usize = 16 << 20;

/// A stream under way.
pub struct Words {
    domain: Domain,
    chat: Chat,
    source: Option<Source>,
    /// The beginning of a line that has not ended.
    line: Vec<u8>,
    text: String,
    /// The model has said that it is done.
    is_whole: bool,
    failure: Option<Failure>,
    /// The turn is being kept; then this goes out.
    last: Option<(oneshot::Receiver<()>, Bytes)>,
}

/// Where the chunks come from.
enum Source {
    Stream(Body),
    Whole(Bytes, Settled),
}

/// What went wrong after the stream had begun.
struct Failure {
    detail: String,
    code: String,
    status: u16,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").finish_non_exhaustive()
    }
}

impl Words {
    /// Of a stream of OpenAI's chunks.
    pub(super) fn of_stream(domain: &Domain, chat: Chat, body: Body) -> Words {
        Words::new(domain, chat, Source::Stream(body))
    }

    /// Of chunks that are all there.
    pub(super) fn of_whole(domain: &Domain, chat: Chat, body: Bytes, settled: Settled) -> Words {
        Words::new(domain, chat, Source::Whole(body, settled))
    }

    fn new(domain: &Domain, chat: Chat, source: Source) -> Words {
        Words {
            domain: domain.clone(),
            chat,
            source: Some(source),
            line: Vec::new(),
            text: String::new(),
            is_whole: false,
            failure: None,
            last: None,
        }
    }

    /// The next piece for the client; `None` at the end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while self.source.is_some() {
            let out = match self.poll_source(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(bytes)) => self.take(&bytes),
                Poll::Ready(None) => self.end(),
            };
            if !out.is_empty() {
                return Poll::Ready(Some(out.into()));
            }
        }
        let Some((kept, _)) = &mut self.last else {
            return Poll::Ready(None);
        };
        match Pin::new(kept).poll(context) {
            Poll::Pending => Poll::Pending,
            // kept, or not: the log says why
            Poll::Ready(_) => Poll::Ready(self.last.take().map(|(_, event)| event)),
        }
    }

    /// The next bytes of the provider; `None` at their end, however they end.
    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.source {
            None => Poll::Ready(None),
            Some(Source::Whole(bytes, _)) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then_some(bytes))
            }
            Some(Source::Stream(body)) => match Pin::new(body).poll_frame(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    Poll::Ready(Some(frame.into_data().unwrap_or_default()))
                }
                Poll::Ready(Some(Err(_)) | None) => Poll::Ready(None),
            },
        }
    }

    /// The events that a piece brings.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, &mut out);
        }
        if self.line.len() + rest.len() <= LONGEST_LINE {
            self.line.extend_from_slice(rest);
        }
        out
    }

    fn take_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(data) = line.strip_prefix(b"data:") else {
            return;
        };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_whole = true;
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Value>(data) else {
            return;
        };
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            self.failure = Some(Failure::read(error));
            return;
        }
        let choice = &chunk["choices"][0];
        self.is_whole |= choice["finish_reason"].is_string();
        if let Some(text) = choice["delta"]["content"].as_str()
            && !text.is_empty()
        {
            self.text.push_str(text);
            out.extend(spaced::event(&self.event(text)));
        }
    }

    /// An event that brings text.
    fn event(&self, text: &str) -> Value {
        let turn = &self.chat.turn;
        json!({
            "id": turn.request_id,
            "conversation_id": turn.conversation_id,
            "content": text,
            "model": self.chat.model.model_id,
            "done": false,
        })
    }

    /// The provider has said all it says: the turn is kept, or what went wrong is told.
    fn end(&mut self) -> Vec<u8> {
        let settled = match self.source.take() {
            Some(Source::Whole(_, settled)) => Some(settled),
            Some(Source::Stream(Body::Stream(mut forward))) => forward.take_settled(),
            _ => None,
        };
        let settled = settled.filter(|_| self.is_whole && self.failure.is_none());
        let Some(settled) = settled else {
            let failure = self.failure.take().unwrap_or_else(Failure::broken_off);
            return spaced::event(&failure.event());
        };
        let answered = answered(std::mem::take(&mut self.text), &settled);
        let turn = self.chat.turn.clone();
        let event = json!({
            "id": turn.request_id,
            "conversation_id": turn.conversation_id,
            "message_id": turn.answer_id,
            "content": "",
            "model": self.chat.model.model_id,
            "input_tokens": answered.input_tokens,
            "output_tokens": answered.output_tokens,
            "cost": answered.cost,
            "key_source": self.chat.key_source,
            "done": true,
        });
        let (done, kept) = oneshot::channel();
        let domain = self.domain.clone();
        self.domain.tasks.spawn(async move {
            if let Err(error) = conversations::keep(&domain, &turn, &answered).await {
                tracing::warn!(%error, "a conversation could not be kept");
            }
            // a client that has left waits for nothing
            let _ = done.send(());
        });
        self.last = Some((kept, spaced::event(&event).into()));
        Vec::new()
    }
}

impl Failure {
    /// Of the error in OpenAI's last event.
    fn read(error: &Value) -> Failure {
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        let status = match &error["code"] {
            Value::String(code) => code.parse().ok(),
            Value::Number(code) => code.as_u64().and_then(|code| u16::try_from(code).ok()),
            _ => None,
        };
        let status = status.filter(|status| (400..600).contains(status));
        let message = text("message").or_else(|| error.as_str().map(str::to_owned));
        let failure = base::Error::new(
            base::Code::UpstreamUnavailable,
            message.unwrap_or_else(|| BROKEN_OFF.to_owned()),
        )
        .with_status(status.unwrap_or(502));
        let told = error::told_of_upstream(&failure, "the provider");
        Failure {
            detail: told.detail,
            code: told.code.unwrap_or_default(),
            status: told.status,
        }
    }

    fn broken_off() -> Failure {
        Failure {
            detail: format!("LLM API error: {BROKEN_OFF}"),
            code: "upstream_error".to_owned(),
            status: 502,
        }
    }

    fn event(&self) -> Value {
        json!({"error": self.detail, "code": self.code, "status": self.status, "done": true})
    }
}

const BROKEN_OFF: &str = "the provider broke off in the midst of its answer";
