//! What tests need and users never see: fresh databases, a fake provider on a real socket, and
//! the recorded and hand-written exchanges it replays.
//!
//! The library panics with a sentence where a test has to fail; it never waits for a fixed time,
//! and every wait ends after [`PATIENCE`].

use std::time::Duration;

pub mod databases;
pub mod identity;
pub mod ledger;
pub mod mailbox;
pub mod model;
pub mod processes;
pub mod provider;
pub mod recordings;
pub mod websocket;

pub use databases::{Database, Folder, databases, sqlite};
pub use identity::{Fault, IdentityProvider};
pub use mailbox::Mailbox;
pub use model::Model;
pub use provider::{FakeProvider, Received, Reply, Served, Session, Split};
pub use recordings::{Recording, cases, golden, recordings};
pub use websocket::Socket;

/// How long a wait for something that must happen may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);
