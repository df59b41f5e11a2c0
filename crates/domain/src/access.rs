//! Which models a caller may use: the lists of key, team, member, user and organization.
//!
//! Everything here is decided from values in memory; nothing waits. What no list allows is denied.
//! Which operations a caller may call is for [`crate::permissions`].

mod models;

pub use models::{check_model, lets_through, resolve_alias, visible_models, visible_wildcards};
