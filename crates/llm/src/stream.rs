//! Watching a stream of server-sent events on its way to the client.
//!
//! What must hold: an event goes on as soon as it is whole; bytes go on as they came, but for the
//! model's name and the usage chunk that the client did not ask for; what is held back is bounded.
//! Chunks may be cut anywhere, lines may end in LF, CRLF or CR.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::format::{Format, gemini};
use crate::json;
use crate::response::{Facts, Observed};
use crate::template::Template;
use crate::usage::UsageRule;

/// An event longer than this passes unobserved instead of being held until it ends.
const MAX_EVENT_BYTES: usize = 8 << 20;

/// Watches one stream. Feed it the upstream's chunks in order and send on what it gives back.
#[derive(Debug)]
pub struct StreamObserver {
    rule: UsageRule,
    format: Format,
    hide_usage: bool,
    /// The public name of the model as JSON text.
    model: String,
    /// There is one; else the name stays the provider's.
    renames: bool,
    template: Template,
    splitter: Splitter,
    /// The stream is a JSON array (Gemini without `alt=sse`); not known before its first byte.
    array: Option<gemini::ArraySplitter>,
    has_begun: bool,
    /// The beginning of an event whose end has not come yet.
    held: BytesMut,
    /// The rest of an event too long to hold is passing.
    passing: bool,
    observed: Observed,
}

/// What becomes of an event.
enum Change {
    Keep,
    Drop,
    /// The model's name, here, is replaced.
    Rename(Range<usize>),
}

impl StreamObserver {
    /// `public_model` is the name the client asked for; empty, the provider's stays. With `hide_usage` the chunk that holds
    /// nothing but usage is kept from the client, who did not ask for it.
    pub fn new(
        format: Format,
        rule: UsageRule,
        public_model: &str,
        hide_usage: bool,
    ) -> StreamObserver {
        StreamObserver {
            rule,
            format,
            hide_usage,
            model: json::quote(public_model),
            renames: !public_model.is_empty(),
            template: Template::default(),
            splitter: Splitter::default(),
            array: None,
            has_begun: false,
            held: BytesMut::new(),
            passing: false,
            observed: Observed::default(),
        }
    }

    /// What was seen so far.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Takes the next chunk and gives what can go to the client now; it may be empty.
    pub fn feed(&mut self, chunk: Bytes) -> Bytes {
        if self.format == Format::Gemini && !self.has_begun && !chunk.is_empty() {
            self.has_begun = true;
            self.array = (chunk[0] == b'[').then(gemini::ArraySplitter::default);
        }
        if self.held.is_empty() {
            let first = self.next_end(&chunk);
            return self.pass(chunk, first);
        }
        self.held.extend_from_slice(&chunk);
        let held = std::mem::take(&mut self.held);
        let first = self.next_end(&held);
        self.held = held;
        if first.is_none() && self.held.len() <= MAX_EVENT_BYTES {
            return Bytes::new();
        }
        let text = self.held.split().freeze();
        self.pass(text, first)
    }

    /// The stream has ended, or broken off: gives the rest that was held back.
    pub fn finish(mut self) -> (Bytes, Observed) {
        let rest = self.held.split().freeze();
        let rest = match !self.passing && !rest.is_empty() {
            true => {
                let mut output = Output::new(&rest, &self.model);
                let change = self.event(&rest, usize::MAX);
                output.apply(0..rest.len(), change, &self.model);
                output.finish(rest.len())
            }
            false => rest,
        };
        (rest, self.observed)
    }

    /// Sends on the events that are whole, the first of which ends as found; holds the rest.
    fn pass(&mut self, text: Bytes, first: Option<EventEnd>) -> Bytes {
        let mut output = Output::new(&text, &self.model);
        let mut start = 0;
        let mut next = first;
        while let Some(EventEnd { end, lines }) = next {
            if !std::mem::take(&mut self.passing) {
                let change = self.event(&text[start..end], lines);
                output.apply(start..end, change, &self.model);
            }
            start = end;
            next = self.next_end(&text);
        }
        let too_long = text.len() - start > MAX_EVENT_BYTES;
        if self.passing || too_long {
            self.passing = true;
            self.move_back(text.len());
            return output.finish(text.len());
        }
        self.held.extend_from_slice(&text[start..]);
        self.move_back(start);
        output.finish(start)
    }

    fn next_end(&mut self, text: &[u8]) -> Option<EventEnd> {
        match &mut self.array {
            Some(splitter) => splitter
                .next_end(text)
                .map(|end| EventEnd { end, lines: 0 }),
            None => self.splitter.next_end(text),
        }
    }

    /// The first `length` bytes of what was searched for ends have gone on.
    fn move_back(&mut self, length: usize) {
        let at = match &mut self.array {
            Some(splitter) => &mut splitter.at,
            None => &mut self.splitter.at,
        };
        *at = at.saturating_sub(length);
    }

    /// Looks at one event, line ends included; `lines` is how many it has before the blank one.
    fn event(&mut self, event: &[u8], lines: usize) -> Change {
        if self.array.is_some() {
            let start = memchr::memchr(b'{', event).unwrap_or(event.len());
            return self.data(event, start..event.len());
        }
        if lines == 1 && event.starts_with(b"data:") {
            return self.data(event, 5..event.len());
        }
        let event_lines = Lines::read(event);
        self.observed.stream_error |= event_lines.is_error;
        match event_lines.data.as_slice() {
            [] => {
                if let Some(facts) = Facts::read(self.format, event) {
                    facts.note(self.rule, event, &mut self.observed);
                }
                Change::Keep
            }
            [only] => self.data(event, only.clone()),
            several => {
                self.several(event, several);
                Change::Keep
            }
        }
    }

    /// Looks at the one payload of an event.
    fn data(&mut self, event: &[u8], place: Range<usize>) -> Change {
        let payload = event[place.clone()].trim_ascii_start();
        let offset = place.end - payload.len();
        let payload = payload.trim_ascii_end();
        if payload == b"[DONE]" {
            self.observed.finished = true;
            return Change::Keep;
        }
        let Some(facts) = self.read(payload) else {
            return Change::Keep;
        };
        facts.note(self.rule, payload, &mut self.observed);
        if self.hide_usage && facts.is_usage_only() {
            return Change::Drop;
        }
        match facts.model {
            Some(model) if self.renames && payload[model.clone()] != *self.model.as_bytes() => {
                Change::Rename(offset + model.start..offset + model.end)
            }
            _ => Change::Keep,
        }
    }

    fn read(&mut self, payload: &[u8]) -> Option<Facts> {
        if let Some(facts) = self.template.read(payload) {
            return Some(facts);
        }
        let mut facts = Facts::read(self.format, payload)?;
        self.template.learn(payload, &mut facts);
        Some(facts)
    }

    /// An event with several data lines: one JSON text over them all, or one each. Observed only.
    fn several(&mut self, event: &[u8], places: &[Range<usize>]) {
        let lines: Vec<&[u8]> = places.iter().map(|place| &event[place.clone()]).collect();
        let joined = lines.join(&b'\n');
        if let Some(facts) = Facts::read(self.format, &joined) {
            return facts.note(self.rule, &joined, &mut self.observed);
        }
        for line in lines {
            self.observed.finished |= line.trim_ascii() == b"[DONE]";
            if let Some(facts) = Facts::read(self.format, line) {
                facts.note(self.rule, line, &mut self.observed);
            }
        }
    }
}

/// The bytes that go on: the input itself while nothing has changed, a copy from then on.
struct Output<'a> {
    input: &'a Bytes,
    changed: Option<BytesMut>,
    /// How much of the input has been copied or left out.
    done: usize,
    slack: usize,
}

impl<'a> Output<'a> {
    fn new(input: &'a Bytes, model: &str) -> Output<'a> {
        Output {
            input,
            changed: None,
            done: 0,
            slack: 4 * model.len(),
        }
    }

    fn apply(&mut self, event: Range<usize>, change: Change, model: &str) {
        match change {
            Change::Keep => {}
            Change::Drop => self.replace(event, b""),
            Change::Rename(place) => {
                self.replace(
                    event.start + place.start..event.start + place.end,
                    model.as_bytes(),
                );
            }
        }
    }

    fn replace(&mut self, place: Range<usize>, with: &[u8]) {
        let capacity = self.input.len() + self.slack;
        let changed = self
            .changed
            .get_or_insert_with(|| BytesMut::with_capacity(capacity));
        changed.extend_from_slice(&self.input[self.done..place.start]);
        changed.extend_from_slice(with);
        self.done = place.end;
    }

    /// What goes on of the input up to `end`.
    fn finish(self, end: usize) -> Bytes {
        match self.changed {
            None => self.input.slice(..end),
            Some(mut changed) => {
                changed.extend_from_slice(&self.input[self.done..end]);
                changed.freeze()
            }
        }
    }
}

/// Where an event ends, its blank line included, and how many lines it has before that.
#[derive(Clone, Copy)]
struct EventEnd {
    end: usize,
    lines: usize,
}

/// Finds where events end, going on where it stopped when more text has come.
#[derive(Debug)]
struct Splitter {
    at: usize,
    at_line_start: bool,
    /// Lines of the event so far.
    lines: usize,
}

impl Default for Splitter {
    fn default() -> Splitter {
        Splitter {
            at: 0,
            at_line_start: true,
            lines: 0,
        }
    }
}

impl Splitter {
    fn next_end(&mut self, text: &[u8]) -> Option<EventEnd> {
        loop {
            if self.at_line_start {
                let blank = match (text.get(self.at)?, text.get(self.at + 1)) {
                    (b'\r', Some(b'\n')) => 2,
                    // An LF that may still come is a blank line of its own: it harms nothing.
                    (b'\n' | b'\r', _) => 1,
                    _ => 0,
                };
                if blank > 0 {
                    self.at += blank;
                    let lines = std::mem::take(&mut self.lines);
                    return Some(EventEnd {
                        end: self.at,
                        lines,
                    });
                }
                self.at_line_start = false;
            }
            let Some(length) = memchr::memchr2(b'\n', b'\r', &text[self.at..]) else {
                self.at = text.len();
                return None;
            };
            let end = self.at + length;
            self.at = match (text[end], text.get(end + 1)) {
                (b'\r', Some(b'\n')) => end + 2,
                (b'\r', None) => {
                    // Whether an LF belongs to it shows with the next chunk.
                    self.at = end;
                    return None;
                }
                _ => end + 1,
            };
            self.at_line_start = true;
            self.lines += 1;
        }
    }
}

/// The data lines of an event of any shape.
#[derive(Default)]
struct Lines {
    data: Vec<Range<usize>>,
    is_error: bool,
}

impl Lines {
    fn read(event: &[u8]) -> Lines {
        let mut lines = Lines::default();
        let mut at = if event.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        while at < event.len() {
            let end = memchr::memchr2(b'\n', b'\r', &event[at..]).map_or(event.len(), |n| at + n);
            let line = &event[at..end];
            if line.starts_with(b"data:") {
                lines.data.push(at + 5..end);
            }
            if let Some(name) = line.strip_prefix(b"event:") {
                lines.is_error |= name.trim_ascii() == b"error";
            }
            at = end + 1;
        }
        lines
    }
}
