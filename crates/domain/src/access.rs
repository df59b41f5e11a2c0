//! Who may call what: routes by role and by what a key is limited to, models by the lists of key,
//! team, member, user and organization.
//!
//! Everything here is decided from values in memory; nothing waits. What no rule allows is denied.

mod models;
mod routes;

pub use models::{check_model, resolve_alias, visible_models, visible_wildcards};
pub use routes::{check_route, is_delegate, refused};
