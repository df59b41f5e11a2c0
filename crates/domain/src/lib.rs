//! The rules: who may do what, how much is left, which deployment answers, what a call has cost.
//!
//! No HTTP framework and no SQL. The data plane and the management API are both built on this crate
//! and do not know each other.

pub mod access;
pub mod audit;
pub mod auth;
pub mod budgets;
pub mod caller;
pub mod changes;
pub mod config;
pub mod deployment;
pub mod ledger;
pub mod metrics;
pub mod models;
