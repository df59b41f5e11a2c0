//! JSON as Python writes it, with a space after each `:` and `,`: clients of the `/v2` API have read
//! its events so.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// One event of a stream.
pub fn event(value: &Value) -> Vec<u8> {
    let mut event = b"data: ".to_vec();
    let mut serializer = Serializer::with_formatter(&mut event, Spaced);
    value
        .serialize(&mut serializer)
        .expect("a JSON value is always written to memory");
    event.extend_from_slice(b"\n\n");
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_spaces() {
        let event = event(&serde_json::json!({"id": "a:b,c", "list": [1, 2], "done": false}));
        let expected = b"data: {\"id\": \"a:b,c\", \"list\": [1, 2], \"done\": false}\n\n";
        assert_eq!(event, expected);
    }
}
