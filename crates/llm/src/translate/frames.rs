//! Cutting a provider's stream into its messages: server-sent events, or AWS's binary frames.
//!
//! Chunks may be cut anywhere, lines may end in LF, CRLF or CR; what is held is bounded.

use bytes::{Buf, BytesMut};

use crate::format::{Format, Frame, converse};

/// The longest message that is held until it is whole, in bytes: tool arguments of megabytes are one.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// The messages of one stream.
#[derive(Debug)]
pub(super) struct Frames {
    is_binary: bool,
    held: BytesMut,
    /// How far `held` was searched for the end of an event.
    searched: usize,
}

/// One message, owned.
#[derive(Debug)]
pub(crate) struct OwnedFrame {
    pub event: Option<String>,
    pub data: Vec<u8>,
    pub is_exception: bool,
}

impl OwnedFrame {
    pub fn as_frame(&self) -> Frame<'_> {
        Frame {
            event: self.event.as_deref(),
            data: &self.data,
            is_exception: self.is_exception,
        }
    }
}

impl Frames {
    pub fn new(format: Format) -> Frames {
        Frames {
            is_binary: format == Format::Converse,
            held: BytesMut::new(),
            searched: 0,
        }
    }

    pub fn push(&mut self, chunk: &[u8]) {
        self.held.extend_from_slice(chunk);
    }

    /// The next whole message.
    ///
    /// # Errors
    /// What is wrong with the stream, for the client: nothing more can be read from it.
    pub fn next(&mut self) -> Result<Option<OwnedFrame>, String> {
        if self.is_binary {
            return converse::next_frame(&mut self.held, MAX_FRAME_BYTES);
        }
        loop {
            let Some(end) = self.event_end() else {
                return match self.held.len() > MAX_FRAME_BYTES {
                    true => Err("the provider sent an event that is too large".to_owned()),
                    false => Ok(None),
                };
            };
            let event = self.held.split_to(end);
            self.searched = 0;
            if let Some(frame) = parse(&event) {
                return Ok(Some(frame));
            }
        }
    }

    /// The last event of a stream that ends without a blank line.
    pub fn rest(&mut self) -> Option<OwnedFrame> {
        if self.is_binary {
            return None;
        }
        let rest = self.held.split();
        parse(&rest)
    }

    /// Where the first event ends, its blank line included.
    fn event_end(&mut self) -> Option<usize> {
        // blank lines before an event, and a byte order mark, mean nothing
        let blank = self
            .held
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        if self.searched == 0 && blank > 0 {
            self.held.advance(blank);
        }
        let text = &self.held[..];
        let mut at = self.searched;
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &text[at..]) {
            let line_end = at + found;
            let next = match (text[line_end], text.get(line_end + 1)) {
                (b'\r', Some(b'\n')) => line_end + 2,
                // whether an LF belongs to it shows with the next chunk
                (b'\r', None) => {
                    self.searched = line_end;
                    return None;
                }
                _ => line_end + 1,
            };
            if matches!(text.get(next), Some(b'\n' | b'\r')) {
                return Some(next + 1);
            }
            if next == text.len() {
                self.searched = line_end;
                return None;
            }
            at = next;
        }
        self.searched = text.len();
        None
    }
}

/// The event's name and its data lines, joined; `None` for comments alone.
fn parse(event: &[u8]) -> Option<OwnedFrame> {
    let mut frame = OwnedFrame {
        event: None,
        data: Vec::new(),
        is_exception: false,
    };
    let mut has_data = false;
    let event = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
        if let Some(data) = line.strip_prefix(b"data:") {
            if has_data {
                frame.data.push(b'\n');
            }
            has_data = true;
            frame
                .data
                .extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        } else if let Some(name) = line.strip_prefix(b"event:") {
            frame.event = Some(String::from_utf8_lossy(name.trim_ascii()).into_owned());
        } else if line.starts_with(b"{") {
            // Gemini breaks a stream off with a bare JSON object
            has_data = true;
            frame.data.extend_from_slice(line);
        } else if has_data
            && !line.is_empty()
            && !line.starts_with(b":")
            && !frame.data.is_empty()
            && !is_field(line)
        {
            // … which may go over several lines
            frame.data.push(b'\n');
            frame.data.extend_from_slice(line);
        }
    }
    has_data.then_some(frame)
}

fn is_field(line: &[u8]) -> bool {
    line.starts_with(b"id:") || line.starts_with(b"retry:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunks: &[&str]) -> Vec<(Option<String>, String)> {
        let mut frames = Frames::new(Format::OpenAiChat);
        let mut found = Vec::new();
        for chunk in chunks {
            frames.push(chunk.as_bytes());
            while let Some(frame) = frames.next().unwrap() {
                found.push((frame.event, String::from_utf8(frame.data).unwrap()));
            }
        }
        if let Some(frame) = frames.rest() {
            found.push((frame.event, String::from_utf8(frame.data).unwrap()));
        }
        found
    }

    #[test]
    fn events_may_be_cut_anywhere() {
        let text = ": hello\n\nevent: a\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\ndata: 4\n\ndata:5";
        let whole = all(&[text]);
        assert_eq!(
            whole,
            [
                (Some("a".to_owned()), "1".to_owned()),
                (None, "2".to_owned()),
                (None, "3\n4".to_owned()),
                (None, "5".to_owned()),
            ]
        );
        for at in 0..text.len() {
            assert_eq!(all(&[&text[..at], &text[at..]]), whole, "cut at {at}");
        }
        let bytes: Vec<&str> = (0..text.len()).map(|at| &text[at..=at]).collect();
        assert_eq!(all(&bytes), whole);
    }

    #[test]
    fn a_bare_object_is_data() {
        let text = "data: {\"a\":1}\r\n\r\n{\n  \"error\": {\n    \"code\": 503\n  }\n}\n";
        let found = all(&[text]);
        assert_eq!(found.len(), 2);
        assert!(serde_json::from_str::<serde_json::Value>(&found[1].1).is_ok());
    }
}
