//! Watching what a provider says in OpenAI's realtime protocol, as its frames pass.
//!
//! Nothing is kept of a message but what the gateway must know: which kind it is, and the usage of an
//! answer that is done. Most messages are known for unimportant by their first member and then only
//! counted past, audio above all.

use crate::usage::{self, Usage};
use crate::websocket::{Frames, Kind, Step};

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session is open.
    Opened {
        id: Option<String>,
        /// The model as the provider names it.
        model: Option<String>,
    },
    /// The model began to answer.
    Began,
    /// The model has answered, as far as it did; with what that used, if the provider says so.
    Done(Option<Usage>),
    /// The provider ends the connection, with this code.
    Closed(Option<u16>),
}

/// Reads the provider's side of a session.
#[derive(Debug, Default)]
pub struct Watch {
    frames: Frames,
    /// What the payload belongs to that comes next.
    payload: Payload,
    is_final: bool,
    message: Scan,
    close_code: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Payload {
    #[default]
    Unseen,
    Text,
    Close,
}

impl Watch {
    /// Reads on, and stops behind what matters: how many of the bytes were read, and what it was. All of
    /// them are read where it is nothing.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Option<Event>) {
        let mut at = 0;
        while at < bytes.len() {
            let (taken, step) = self.frames.step(&bytes[at..]);
            let piece = &bytes[at..at + taken];
            at += taken;
            match step {
                Step::Incomplete => {}
                Step::Head(head) => self.begin(head.kind, head.is_final),
                Step::Payload => match self.payload {
                    Payload::Unseen => {}
                    Payload::Text => self.message.feed(piece),
                    Payload::Close => {
                        let room = 2_usize.saturating_sub(self.close_code.len());
                        self.close_code.extend(piece.iter().take(room));
                    }
                },
            }
            if self.frames.is_between_frames()
                && let Some(event) = self.end_of_frame()
            {
                return (at, Some(event));
            }
        }
        (at, None)
    }

    /// Whether a message of the gateway's own may stand here.
    pub fn is_between_messages(&self) -> bool {
        self.frames.is_between_messages()
    }

    /// Whether a frame that closes the connection may stand here.
    pub fn is_between_frames(&self) -> bool {
        self.frames.is_between_frames()
    }

    fn begin(&mut self, kind: Kind, is_final: bool) {
        match kind {
            Kind::Text => {
                self.message = Scan::default();
                self.payload = Payload::Text;
                self.is_final = is_final;
            }
            Kind::Binary => {
                self.message = Scan::default();
                self.message.is_settled = true;
                self.payload = Payload::Text;
                self.is_final = is_final;
            }
            Kind::Continuation => {
                self.payload = Payload::Text;
                self.is_final = is_final;
            }
            Kind::Close => {
                self.payload = Payload::Close;
                self.close_code.clear();
            }
            Kind::Ping | Kind::Pong | Kind::Other(_) => self.payload = Payload::Unseen,
        }
    }

    fn end_of_frame(&mut self) -> Option<Event> {
        match std::mem::take(&mut self.payload) {
            Payload::Close => {
                let code = self.close_code.first_chunk().copied();
                Some(Event::Closed(code.map(u16::from_be_bytes)))
            }
            Payload::Text if self.is_final => std::mem::take(&mut self.message).event(),
            Payload::Text | Payload::Unseen => None,
        }
    }
}

/// The longest name or text that is looked at.
const MOST_TEXT: usize = 256;
/// The longest usage object that is read.
const MOST_USAGE: usize = 16 << 10;

/// Which message it is, of those that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    SessionCreated,
    ResponseCreated,
    ResponseDone,
}

/// Reads one message's JSON from byte to byte: the members of the outermost object, and those of its
/// `response` and `session`. The order of members does not matter, nor where the text is cut. What is
/// no JSON is read as something; it cannot be more than a wrong count.
#[derive(Debug, Default)]
struct Scan {
    /// Nothing more is to be learnt of this message.
    is_settled: bool,
    kind: Option<Message>,
    depth: usize,
    string: Option<Text>,
    /// Whether the two outermost containers are objects, not arrays.
    is_object: [bool; 2],
    /// A string that begins now is a name.
    expects_name: bool,
    /// The members at which the two outermost objects stand.
    names: [Name; 2],
    /// The text of the usage object, while and after it is read.
    usage: Vec<u8>,
    in_usage: bool,
    id: Option<String>,
    model: Option<String>,
}

/// A string under way.
#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    is_escaped: bool,
    is_name: bool,
    /// It says something that matters.
    is_kept: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Name {
    Type,
    /// `response` or `session`
    Holder,
    Usage,
    Id,
    Model,
    #[default]
    Other,
}

impl Scan {
    fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() && !self.is_settled {
            let start = at;
            match &mut self.string {
                Some(text) => {
                    let (taken, is_whole) = text.read(&bytes[at..]);
                    at += taken;
                    if is_whole {
                        self.end_string();
                    }
                }
                None => {
                    self.structure(bytes[at]);
                    at += 1;
                }
            }
            self.capture(&bytes[start..at]);
        }
    }

    /// One byte that is in no string.
    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                let is_name = self.expects_name && self.depth <= 2;
                let is_kept = match (is_name, self.depth) {
                    (true, _) => true,
                    (false, 1) => self.names[0] == Name::Type,
                    (false, 2) => {
                        self.names[0] == Name::Holder
                            && matches!(self.names[1], Name::Id | Name::Model)
                    }
                    _ => false,
                };
                self.string = Some(Text {
                    is_name,
                    is_kept,
                    ..Text::default()
                });
            }
            b'{' | b'[' => self.open(byte == b'{'),
            b'}' | b']' => self.close(),
            b',' => {
                self.expects_name = (1..=2).contains(&self.depth) && self.is_object[self.depth - 1];
            }
            b':' => self.expects_name = false,
            _ if self.depth == 0 && !byte.is_ascii_whitespace() => self.is_settled = true,
            _ => {}
        }
    }

    fn open(&mut self, is_object: bool) {
        if self.depth == 0 && !is_object {
            self.is_settled = true;
        }
        if self.depth == 2
            && is_object
            && self.names == [Name::Holder, Name::Usage]
            && self.is_object == [true, true]
        {
            self.usage.clear();
            self.in_usage = true;
        }
        self.depth += 1;
        if (1..=2).contains(&self.depth) {
            self.is_object[self.depth - 1] = is_object;
            self.names[self.depth - 1] = Name::Other;
            self.expects_name = is_object;
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        // a member of the outer one has ended; a comma says whether there is another
        self.expects_name = false;
    }

    fn end_string(&mut self) {
        let Some(text) = self.string.take().filter(|text| text.is_kept) else {
            return;
        };
        if text.is_name {
            self.names[self.depth.clamp(1, 2) - 1] = match &text.bytes[..] {
                b"type" => Name::Type,
                b"response" | b"session" => Name::Holder,
                b"usage" => Name::Usage,
                b"id" => Name::Id,
                b"model" => Name::Model,
                _ => Name::Other,
            };
            return;
        }
        if self.depth == 1 {
            self.kind = match &text.bytes[..] {
                b"session.created" => Some(Message::SessionCreated),
                b"response.created" => Some(Message::ResponseCreated),
                b"response.done" => Some(Message::ResponseDone),
                _ => None,
            };
            // what else there is of a beginning does not matter
            self.is_settled = matches!(self.kind, None | Some(Message::ResponseCreated));
            return;
        }
        let said = String::from_utf8(text.bytes).ok();
        match self.names[1] {
            Name::Id => self.id = said,
            _ => self.model = said,
        }
    }

    /// Keeps what belongs to the usage object.
    fn capture(&mut self, bytes: &[u8]) {
        if !self.in_usage {
            return;
        }
        self.usage.extend_from_slice(bytes);
        if self.depth == 2 {
            self.in_usage = false;
        } else if self.usage.len() > MOST_USAGE {
            self.in_usage = false;
            self.usage.clear();
        }
    }

    fn event(self) -> Option<Event> {
        match self.kind? {
            Message::SessionCreated => Some(Event::Opened {
                id: self.id,
                model: self.model,
            }),
            Message::ResponseCreated => Some(Event::Began),
            Message::ResponseDone => Some(Event::Done(usage::realtime::read(&self.usage))),
        }
    }
}

impl Text {
    /// Reads on: how many bytes, at least one, and whether the string ends with them.
    fn read(&mut self, bytes: &[u8]) -> (usize, bool) {
        if self.is_escaped {
            self.is_escaped = false;
            self.keep(&bytes[..1]);
            return (1, false);
        }
        match memchr::memchr2(b'"', b'\\', bytes) {
            None => {
                self.keep(bytes);
                (bytes.len(), false)
            }
            Some(at) => {
                self.keep(&bytes[..at]);
                self.is_escaped = bytes[at] == b'\\';
                (at + 1, !self.is_escaped)
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.is_kept {
            let room = MOST_TEXT.saturating_sub(self.bytes.len());
            self.bytes.extend(bytes.iter().take(room));
        }
    }
}
