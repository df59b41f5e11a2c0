//! Counts server-sent events in bytes that may be cut anywhere.

use memchr::{memchr, memmem};

use crate::client::Protocol;

#[derive(Default)]
pub struct Events {
    /// Data events so far, the closing one not among them.
    pub count: u64,
    /// Whether the closing one came.
    pub done: bool,
    /// The start of a line whose end is still missing.
    kept: Vec<u8>,
}

impl Events {
    /// Reads on; every time of sending that an event states goes to `stamp`.
    pub fn feed(&mut self, protocol: Protocol, mut bytes: &[u8], mut stamp: impl FnMut(u128)) {
        while let Some(end) = memchr(b'\n', bytes) {
            if self.kept.is_empty() {
                self.line(protocol, &bytes[..end], &mut stamp);
            } else {
                let mut line = std::mem::take(&mut self.kept);
                line.extend_from_slice(&bytes[..end]);
                self.line(protocol, &line, &mut stamp);
                line.clear();
                self.kept = line;
            }
            bytes = &bytes[end + 1..];
        }
        self.kept.extend_from_slice(bytes);
    }

    fn line(&mut self, protocol: Protocol, line: &[u8], stamp: &mut impl FnMut(u128)) {
        let Some(data) = line.strip_prefix(b"data:") else {
            return;
        };
        let data = data.trim_ascii();
        if protocol.ends(data) {
            self.done = true;
            return;
        }
        self.count += 1;
        if let Some(at) = stamped(protocol, data) {
            stamp(at);
        }
    }
}

/// The time in text that opens with `@<ns>@`.
fn stamped(protocol: Protocol, data: &[u8]) -> Option<u128> {
    let member = protocol.text_member();
    let start = memmem::find(data, member)? + member.len();
    let length = memchr(b'@', &data[start..])?;
    let digits = std::str::from_utf8(&data[start..start + length]).ok()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_they_are_cut() {
        let chat = "data: {\"role\":1}\r\n\r\ndata: {\"content\":\"@123@lorem\"}\n\n: ping\n\ndata: [DONE]\n\n";
        let messages = "event: x\ndata: {\"type\":\"x\"}\n\ndata: {\"text\":\"@123@a\"}\n\ndata: {\"type\":\"message_stop\"}\n\n";
        let responses = "data: {\"delta\":\"@123@a\"}\n\ndata: {\"text\":\"@123@a\"}\n\ndata: {\"type\":\"response.completed\"}\n\n";
        for (protocol, text) in [
            (Protocol::Chat, chat),
            (Protocol::Messages, messages),
            (Protocol::Responses, responses),
        ] {
            let text = text.as_bytes();
            for cut in 0..text.len() {
                let (mut events, mut stamps) = (Events::default(), Vec::new());
                for part in [&text[..cut], &text[cut..]] {
                    events.feed(protocol, part, |at| stamps.push(at));
                }
                assert!(events.done);
                assert_eq!((events.count, stamps), (2, vec![123]), "cut at {cut}");
            }
        }
    }
}
