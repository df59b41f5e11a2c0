//! AWS's binary event stream (`application/vnd.amazon.eventstream`): messages with typed headers, a
//! payload, and two checksums, which must be right.
//!
//! ```text
//! total length u32 | headers' length u32 | CRC32 of these 8 bytes | headers | payload | CRC32 of all before
//! ```

use bytes::{Buf, BytesMut};

use crate::translate::OwnedFrame;

/// Both lengths and their checksum.
const PRELUDE: usize = 12;
/// A message without headers and payload.
const SMALLEST: usize = PRELUDE + 4;

/// Takes the next whole message from `held`; `None` until it is whole. `most` bounds its length.
///
/// # Errors
/// What is wrong, for the client: nothing more can be read from the stream.
pub(crate) fn next_frame(held: &mut BytesMut, most: usize) -> Result<Option<OwnedFrame>, String> {
    if held.len() < PRELUDE {
        return Ok(None);
    }
    let mut prelude = &held[..PRELUDE];
    let total = prelude.get_u32() as usize;
    let headers = prelude.get_u32() as usize;
    if crc32fast::hash(&held[..8]) != prelude.get_u32() {
        return Err("the provider sent what is no event stream".to_owned());
    }
    if total > most {
        return Err("the provider sent an event that is too large".to_owned());
    }
    if total < SMALLEST || headers > total - SMALLEST {
        return Err("the provider sent an event of impossible length".to_owned());
    }
    if held.len() < total {
        return Ok(None);
    }
    let message = held.split_to(total);
    let (checked, mut checksum) = message.split_at(total - 4);
    if crc32fast::hash(checked) != checksum.get_u32() {
        return Err("the provider sent an event that was garbled on the way".to_owned());
    }
    let (headers, payload) = checked[PRELUDE..].split_at(headers);
    let headers = Headers::read(headers)
        .ok_or_else(|| "the provider sent an event with headers that cannot be read".to_owned())?;
    Ok(Some(headers.frame(payload)))
}

/// The headers that say what a message is.
#[derive(Default)]
struct Headers {
    message_type: Option<String>,
    event_type: Option<String>,
    exception_type: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
}

impl Headers {
    fn read(mut rest: &[u8]) -> Option<Headers> {
        let mut headers = Headers::default();
        while !rest.is_empty() {
            let length = usize::from(rest.try_get_u8().ok()?);
            let name = take(&mut rest, length)?;
            let value = text_value(&mut rest)?;
            let slot = match name {
                b":message-type" => &mut headers.message_type,
                b":event-type" => &mut headers.event_type,
                b":exception-type" => &mut headers.exception_type,
                b":error-code" => &mut headers.error_code,
                b":error-message" => &mut headers.error_message,
                _ => continue,
            };
            *slot = Some(value);
        }
        Some(headers)
    }

    fn frame(self, payload: &[u8]) -> OwnedFrame {
        match self.message_type.as_deref() {
            // an error without a payload: its words are in the headers
            Some("error") => OwnedFrame {
                event: self.error_code,
                data: serde_json::json!({ "message": self.error_message })
                    .to_string()
                    .into_bytes(),
                is_exception: true,
            },
            Some("exception") => OwnedFrame {
                event: self.exception_type,
                data: payload.to_vec(),
                is_exception: true,
            },
            _ => OwnedFrame {
                event: self.event_type,
                data: payload.to_vec(),
                is_exception: false,
            },
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// Steps over one value and gives it if it is text, else an empty one; `None` if it cannot be read.
fn text_value(rest: &mut &[u8]) -> Option<String> {
    let length = match rest.try_get_u8().ok()? {
        // true, false
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        // a long, a timestamp
        5 | 8 => 8,
        // a UUID
        9 => 16,
        // bytes
        6 => usize::from(rest.try_get_u16().ok()?),
        7 => {
            let length = usize::from(rest.try_get_u16().ok()?);
            let text = take(rest, length)?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        _ => return None,
    };
    take(rest, length)?;
    Some(String::new())
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::*;

    /// Headers in the wire's form.
    fn text_header(name: &str, value: &str) -> Vec<u8> {
        let mut out = vec![name.len() as u8];
        out.extend_from_slice(name.as_bytes());
        out.put_u8(7);
        out.put_u16(value.len() as u16);
        out.extend_from_slice(value.as_bytes());
        out
    }

    fn message(headers: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u32((headers.len() + payload.len() + SMALLEST) as u32);
        out.put_u32(headers.len() as u32);
        out.put_u32(crc32fast::hash(&out));
        out.extend_from_slice(headers);
        out.extend_from_slice(payload);
        out.put_u32(crc32fast::hash(&out));
        out
    }

    pub fn event(name: &str, payload: &str) -> Vec<u8> {
        let mut headers = text_header(":event-type", name);
        headers.extend(text_header(":content-type", "application/json"));
        headers.extend(text_header(":message-type", "event"));
        message(&headers, payload.as_bytes())
    }

    fn all(bytes: &[u8], cut: usize) -> Result<Vec<OwnedFrame>, String> {
        let mut held = BytesMut::new();
        let mut frames = Vec::new();
        for chunk in bytes.chunks(cut.max(1)) {
            held.extend_from_slice(chunk);
            while let Some(frame) = next_frame(&mut held, 1 << 20)? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn messages_may_be_cut_anywhere() {
        let mut bytes = event("messageStart", r#"{"role":"assistant"}"#);
        bytes.extend(event("messageStop", "{}"));
        for cut in 1..bytes.len() {
            let frames = all(&bytes, cut).unwrap();
            let names: Vec<_> = frames.iter().map(|frame| frame.event.as_deref()).collect();
            assert_eq!(names, [Some("messageStart"), Some("messageStop")]);
            assert_eq!(frames[0].data, br#"{"role":"assistant"}"#);
        }
    }

    #[test]
    fn headers_of_all_types_are_stepped_over() {
        let mut headers = Vec::new();
        for (kind, length) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 4),
            (5, 8),
            (8, 8),
            (9, 16),
        ] {
            headers.extend([1, b'x', kind]);
            headers.extend(std::iter::repeat_n(0xff, length));
        }
        headers.extend([1, b'x', 6, 0, 2, 9, 9]);
        headers.extend(text_header(":event-type", "metadata"));
        let frames = all(&message(&headers, b"{}"), 7).unwrap();
        assert_eq!(frames[0].event.as_deref(), Some("metadata"));
    }

    #[test]
    fn exceptions_and_errors_are_told_from_events() {
        let mut headers = text_header(":message-type", "exception");
        headers.extend(text_header(":exception-type", "throttlingException"));
        let frames = all(&message(&headers, br#"{"message":"slow down"}"#), 1000).unwrap();
        assert!(frames[0].is_exception);
        assert_eq!(frames[0].event.as_deref(), Some("throttlingException"));
        let mut headers = text_header(":message-type", "error");
        headers.extend(text_header(":error-code", "InternalError"));
        headers.extend(text_header(":error-message", "an \"odd\" one"));
        let frames = all(&message(&headers, b""), 1000).unwrap();
        assert!(frames[0].is_exception);
        assert_eq!(frames[0].data, br#"{"message":"an \"odd\" one"}"#);
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(all(b"<html><title>502 Bad Gateway</title></html>", 5).is_err());
        let good = event("metadata", "{}");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            assert!(all(&bad, 1000).is_err(), "byte {at}");
        }
        assert!(next_frame(&mut BytesMut::from(&good[..]), 20).is_err());
        // lengths that contradict each other, with a right checksum
        let mut bad = Vec::new();
        bad.put_u32(20);
        bad.put_u32(30);
        bad.put_u32(crc32fast::hash(&bad));
        assert!(all(&bad, 1000).is_err());
        assert!(all(&message(&[9, b'x'], b""), 1000).is_err());
        assert!(all(&message(&[1, b'x', 77], b""), 1000).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 1_usize..50) {
            let _ = all(&bytes, cut);
        }

        #[test]
        fn no_headers_panic(headers in proptest::collection::vec(any::<u8>(), 0..60), cut in 1_usize..50) {
            let _ = all(&message(&headers, b"{}"), cut);
        }
    }
}
