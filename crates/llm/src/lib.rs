//! What the gateway knows of LLM protocols: bytes in, bytes out. No I/O, no clock, no runtime.
//!
//! - [`request`] reads a client's body and rewrites it for the provider; [`response`] watches an
//!   answer, whole or streamed, and takes its usage. Both leave every byte alone but the model's
//!   name and what the gateway itself asked for.
//! - [`usage`] holds tokens in buckets that never overlap, [`price`] and [`catalogue`] what they
//!   cost, [`cost`] the sum with its line items; [`estimate`] stands in where nobody counted.
//! - [`provider`] is the table of providers: where they are, how they want to be asked, what their
//!   errors mean.
//! - [`websocket`] reads frames, [`realtime`] what a provider says in them.
//! - [`sigv4`] signs for AWS, [`access_token`] asks Google and Microsoft for tokens, with the time as a
//!   parameter.
//! - A wire format of its own shape is a file of [`mod@format`]; a translation between two of them is
//!   a file of its own as well.

pub mod access_token;
pub mod catalogue;
pub mod conversation;
pub mod cost;
mod entra_token;
pub mod estimate;
pub mod format;
mod google_token;
mod json;
pub mod overrides;
pub mod price;
pub mod provider;
pub mod realtime;
pub mod request;
pub mod response;
pub mod sigv4;
mod sound;
mod stream;
mod template;
pub mod tokens;
pub mod translate;
pub mod usage;
pub mod websocket;
pub use catalogue::Catalogue;
pub use cost::{Receipt, cost};
pub use format::responses::turns;
pub use format::{Format, Shown, To};
pub use usage::{Usage, UsageRule, UsageSource};
