//! A chat as every format can say it: what a translation reads from one wire format and writes in
//! another.
//!
//! A chat-like format is a folder of [`crate::format`] with the same readers and writers, so a new
//! format is translated into every other by writing its own files alone. Nothing may be lost on the
//! way unseen: what only one format knows stays under that format's name ([`Content::Native`],
//! [`Conversation::other`], [`Seal`]), and a writer that cannot say a thing tells [`Carry`].

mod answer;
mod carry;
pub mod custom_tools;
mod event;
mod request;
mod seal;

pub use answer::{Answer, Choice, Citation, Stop, TokenLogprob, TopLogprob};
pub use carry::{Carry, Field};
pub use event::{Delta, Event, Opening, Start};
pub use request::{
    CacheMark, Content, Conversation, Effort, Media, MediaKind, MediaSource, Modalities, Number,
    Other, Output, Part, Reasoning, Role, ServerTool, Tool, ToolChoice, ToolKind, Turn,
};
pub use seal::Seal;
pub(crate) use seal::WRAPPED_MARK;
