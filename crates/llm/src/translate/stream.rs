//! A stream in one format, sent on in another, event by event.

use base::Result;
use bytes::Bytes;

use super::{codec, frames::Frames, generated_bytes};
use crate::conversation::{Delta, Event, Opening};
use crate::format::{Format, ReadStream, Shown, WriteStream};
use crate::provider::UpstreamError;
use crate::response::Observed;
use crate::usage::UsageRule;

/// Translates one stream. Feed it the upstream's chunks in order and send on what it gives back: an
/// event leaves with the chunk that brought its end.
#[derive(Debug)]
pub struct StreamTranslator {
    frames: Frames,
    reader: Box<dyn ReadStream>,
    writer: Box<dyn WriteStream>,
    /// Scratch, kept for its memory.
    events: Vec<Event>,
    observed: Observed,
    /// The last event has been written; whatever comes after it is not the client's business.
    has_ended: bool,
}

impl StreamTranslator {
    /// From a provider that speaks `from` to a client that speaks `to`.
    ///
    /// # Errors
    /// `InvalidRequest` (400) where one of them is no chat.
    pub fn new(
        from: Format,
        rule: UsageRule,
        to: Format,
        shown: Shown,
    ) -> Result<StreamTranslator> {
        Ok(StreamTranslator {
            frames: Frames::new(from),
            reader: (codec(from)?.read_stream)(rule),
            writer: (codec(to)?.write_stream)(shown),
            events: Vec::new(),
            observed: Observed::default(),
            has_ended: false,
        })
    }

    /// What was seen so far.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Takes the next chunk and gives what can go to the client now; it may be empty.
    pub fn feed(&mut self, chunk: &[u8]) -> Bytes {
        let mut out = Vec::new();
        self.frames.push(chunk);
        while !self.has_ended {
            match self.frames.next() {
                Ok(Some(frame)) => {
                    self.reader.frame(frame.as_frame(), &mut self.events);
                    self.write(&mut out);
                }
                Ok(None) => break,
                Err(fault) => self.fail(fault, &mut out),
            }
        }
        out.into()
    }

    /// The provider's stream ended, or the connection broke.
    pub fn finish(mut self) -> (Bytes, Observed) {
        let mut out = Vec::new();
        if !self.has_ended
            && let Some(frame) = self.frames.rest()
        {
            self.reader.frame(frame.as_frame(), &mut self.events);
            self.write(&mut out);
        }
        if !self.has_ended {
            self.reader.end(&mut self.events);
            self.write(&mut out);
        }
        (out.into(), self.observed)
    }

    /// The gateway itself breaks the stream off, for example because the provider fell silent.
    pub fn break_off(mut self, message: &str) -> (Bytes, Observed) {
        let mut out = Vec::new();
        self.fail(message.to_owned(), &mut out);
        (out.into(), self.observed)
    }

    fn fail(&mut self, message: String, out: &mut Vec<u8>) {
        if !self.has_ended {
            self.events
                .push(Event::Failed(UpstreamError::of_stream(message)));
            self.write(out);
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        for event in self.events.drain(..) {
            if self.has_ended {
                continue;
            }
            note(&event, &mut self.observed);
            self.has_ended = matches!(event, Event::Done | Event::Failed(_));
            self.writer.event(event, out);
        }
    }
}

/// Takes from an event what the ledger wants to know.
fn note(event: &Event, observed: &mut Observed) {
    match event {
        Event::Start(start) => {
            observed.model.clone_from(&start.model);
            observed.id.clone_from(&start.id);
            observed.usage = start.usage;
        }
        Event::Open { opening, .. } => match opening {
            Opening::ToolCall { name, .. } => observed.output_bytes += name.len() as u64,
            Opening::Whole(part) => observed.output_bytes += generated_bytes(part),
            Opening::Text | Opening::Refusal | Opening::Reasoning | Opening::Sound { .. } => {}
        },
        Event::Delta { delta, .. } => match delta {
            Delta::Text(text) | Delta::Arguments(text) => {
                observed.output_bytes += text.len() as u64;
            }
            Delta::Sound(_) | Delta::Citation(_) | Delta::Seal(_) => {}
        },
        Event::Usage(usage) => observed.usage = Some(*usage),
        Event::ServiceTier(tier) => observed.service_tier = Some(tier.clone()),
        Event::Finish { .. } | Event::Done => observed.finished = true,
        Event::Failed(_) => observed.stream_error = true,
        Event::Close { .. } | Event::Logprobs { .. } => {}
    }
}
