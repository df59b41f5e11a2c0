//! The client's side of formats that only providers speak: nothing comes from a client in them, and
//! nothing goes to one.

use base::{Code, Error, Result};

use super::{Shown, WriteStream};
use crate::conversation::{Answer, Conversation, Event};

/// No client's request is in such a format.
pub(crate) fn read_request(_body: &[u8]) -> Result<Conversation> {
    Err(Error::new(
        Code::InvalidRequest,
        "clients do not speak this format; use a chat endpoint",
    ))
}

/// No client reads such an answer, so there is nothing to write.
pub(crate) fn write_answer(_answer: &Answer, _shown: &Shown) -> Vec<u8> {
    Vec::new()
}

/// No client reads such a stream, so nothing is written.
pub(crate) fn write_stream(_shown: Shown) -> Box<dyn WriteStream> {
    Box::new(Silent)
}

#[derive(Debug)]
struct Silent;

impl WriteStream for Silent {
    fn event(&mut self, _event: Event, _out: &mut Vec<u8>) {}
}
