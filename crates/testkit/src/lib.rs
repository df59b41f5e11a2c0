//! What tests need and users never see: fresh databases, a fake provider, recorded traffic.

pub mod databases;

pub use databases::{Database, Folder, databases, sqlite};
