//! The vocabulary every other crate speaks: money, time, ids, errors, secrets.
//!
//! Nothing here does I/O and nothing here is asynchronous.

pub mod error;
pub mod ids;
pub mod money;
pub mod secret;
pub mod time;

pub use error::{Code, Error, Result};
pub use ids::RequestId;
pub use money::{Money, Price};
pub use secret::Secret;
pub use time::{Clock, Millis};
