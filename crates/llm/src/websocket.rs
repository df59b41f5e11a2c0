//! Frames of WebSocket connections (RFC 6455 §5), read where they pass: nothing is copied, nothing is
//! judged but lengths, and no bytes are refused. What is wrong with a frame is for its receiver.

/// The most bytes that the head of a frame has.
const MOST_HEAD: usize = 14;

/// What a frame carries (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// More of the message that is under way.
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
    /// A code that the standard leaves open.
    Other(u8),
}

impl Kind {
    fn of(code: u8) -> Kind {
        match code {
            0 => Kind::Continuation,
            1 => Kind::Text,
            2 => Kind::Binary,
            8 => Kind::Close,
            9 => Kind::Ping,
            10 => Kind::Pong,
            code => Kind::Other(code),
        }
    }

    fn code(self) -> u8 {
        match self {
            Kind::Continuation => 0,
            Kind::Text => 1,
            Kind::Binary => 2,
            Kind::Close => 8,
            Kind::Ping => 9,
            Kind::Pong => 10,
            Kind::Other(code) => code & 15,
        }
    }

    /// Whether it may stand between the frames of a message.
    pub fn is_control(self) -> bool {
        self.code() >= 8
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub kind: Kind,
    /// The last frame of its message.
    pub is_final: bool,
    /// Only clients mask.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub length: u64,
}

/// What the reader found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Part of a head; there is more to come.
    Incomplete,
    /// A frame begins. Its payload follows, if it has any.
    Head(Head),
    /// Payload, all of it or a part.
    Payload,
}

/// Reads one direction of a connection, cut into pieces wherever the network cuts.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    head: [u8; MOST_HEAD],
    known: usize,
    /// Bytes of payload that are still to come.
    rest: u64,
    /// A message has begun and its last frame has not.
    in_message: bool,
}

impl Frames {
    /// Takes the next step into `bytes`, which must not be empty: how many of them belong to it, and
    /// what it is. At least one byte is taken.
    pub fn step(&mut self, bytes: &[u8]) -> (usize, Step) {
        if self.rest > 0 {
            let here = usize::try_from(self.rest).map_or(bytes.len(), |rest| rest.min(bytes.len()));
            self.rest -= here as u64;
            return (here, Step::Payload);
        }
        let mut taken = 0;
        loop {
            let wanted = self.head_length();
            if self.known == wanted {
                break;
            }
            let Some(byte) = bytes.get(taken) else {
                return (taken, Step::Incomplete);
            };
            self.head[self.known] = *byte;
            self.known += 1;
            taken += 1;
        }
        let head = self.parsed();
        self.known = 0;
        self.rest = head.length;
        if !head.kind.is_control() {
            self.in_message = !head.is_final;
        }
        (taken, Step::Head(head))
    }

    /// Reads past a piece of which nothing is to be known.
    pub fn skip(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            at += self.step(&bytes[at..]).0;
        }
    }

    /// Whether a frame may begin here that the sender did not send.
    pub fn is_between_frames(&self) -> bool {
        self.known == 0 && self.rest == 0
    }

    /// Whether a message may begin here that the sender did not send.
    pub fn is_between_messages(&self) -> bool {
        self.is_between_frames() && !self.in_message
    }

    /// As far as is known by now.
    fn head_length(&self) -> usize {
        if self.known < 2 {
            return 2;
        }
        let length = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn parsed(&self) -> Head {
        let number = |bytes: &[u8]| {
            let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            bytes.iter().fold(0, fold)
        };
        let (length, end) = match self.head[1] & 0x7f {
            126 => (number(&self.head[2..4]), 4),
            127 => (number(&self.head[2..10]), 10),
            short => (u64::from(short), 2),
        };
        let masked = self.head[1] & 0x80 != 0;
        let mask = masked.then(|| {
            let mut mask = [0; 4];
            mask.copy_from_slice(&self.head[end..end + 4]);
            mask
        });
        Head {
            kind: Kind::of(self.head[0] & 15),
            is_final: self.head[0] & 0x80 != 0,
            mask,
            length,
        }
    }
}

/// A whole frame that is a message of its own; with a mask as clients send it.
pub fn frame(kind: Kind, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + MOST_HEAD);
    bytes.push(0x80 | kind.code());
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => bytes.push(masked | length),
        (_, Ok(length)) => {
            bytes.push(masked | 126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            bytes.push(masked | 127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    match mask {
        None => bytes.extend_from_slice(payload),
        Some(mask) => {
            bytes.extend_from_slice(&mask);
            let key = mask.iter().cycle();
            bytes.extend(payload.iter().zip(key).map(|(byte, key)| byte ^ key));
        }
    }
    bytes
}

/// A frame that ends the connection, with its reason, of which so much is sent as a frame holds.
pub fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    const MOST_REASON: usize = 123;
    let mut end = reason.len().min(MOST_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::with_capacity(2 + end);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    frame(Kind::Close, &payload, mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_has_its_code_and_a_reason_that_fits() {
        let bytes = close(1008, "no money", None);
        assert_eq!(bytes[..4], [0x88, 10, 0x03, 0xf0]);
        assert_eq!(&bytes[4..], b"no money");
        let long = close(1008, &"€".repeat(100), None);
        assert_eq!(long.len(), 2 + 2 + 123);
        assert!(std::str::from_utf8(&long[4..]).is_ok());
    }

    #[test]
    fn a_masked_frame_is_read_as_it_was_written() {
        let mask = [1, 2, 3, 4];
        let bytes = frame(Kind::Text, b"hello", Some(mask));
        let mut frames = Frames::default();
        let (taken, step) = frames.step(&bytes);
        let head = Head {
            kind: Kind::Text,
            is_final: true,
            mask: Some(mask),
            length: 5,
        };
        assert_eq!((taken, step), (6, Step::Head(head)));
        assert!(!frames.is_between_frames());
        assert_eq!(frames.step(&bytes[6..]), (5, Step::Payload));
        assert!(frames.is_between_messages());
    }

    #[test]
    fn control_frames_may_stand_within_a_message() {
        let mut frames = Frames::default();
        let mut first = frame(Kind::Text, b"a", None);
        first[0] &= 0x7f;
        frames.skip(&first);
        assert!(frames.is_between_frames() && !frames.is_between_messages());
        frames.skip(&frame(Kind::Ping, b"", None));
        assert!(!frames.is_between_messages());
        frames.skip(&frame(Kind::Continuation, b"b", None));
        assert!(frames.is_between_messages());
    }
}
