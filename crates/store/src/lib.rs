//! All SQL of the gateway, and no rules: one file per table, functions that take a [`db::Db`] or an
//! open transaction, one SQL text for SQLite and PostgreSQL.

pub mod audit;
pub mod audit_guard;
pub mod budget_links;
pub mod budget_plans;
pub mod budgets;
pub mod changes;
pub mod conversations;
pub mod counters;
pub mod db;
pub mod deployments;
mod filled;
pub mod invitations;
pub mod json;
pub mod key_lists;
pub mod keys;
pub mod known_places;
pub mod ledger;
pub mod ledger_calls;
pub mod ledger_contexts;
pub mod model_grants;
pub mod organizations;
pub mod outbox;
pub mod password_resets;
pub mod provider_keys;
pub mod requests;
pub mod responses;
pub mod row;
pub mod scim;
pub mod sessions;
pub mod settings;
pub mod spend;
pub mod sso_states;
pub mod teams;
pub mod usage;
pub mod users;

pub use db::{Db, On, Result, Tx};
pub use json::Json;
pub use sqlx::Error as Failure;
