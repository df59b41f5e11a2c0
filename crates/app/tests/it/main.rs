//! The product, over HTTP, on every database: one file a subject, one binary.
//!
//! Each test starts a real gateway on a free port with its own database and its own fake provider;
//! see [`app`].

mod app;
mod audit;
mod background;
mod byok;
mod calls;
mod configuration;
mod endpoints;
mod golden;
mod guides;
mod invitations;
mod jwt;
mod key_budgets;
mod key_life;
mod key_lists;
mod key_permissions;
mod keys;
mod mail;
mod models;
mod openapi;
mod operation;
mod organizations;
mod protocols;
mod provider_keys;
mod realtime;
mod recorded;
mod recorded_protocols;
mod recorded_rest;
mod requests;
mod rights;
mod scim;
mod several;
mod shared_budgets;
mod sign_in;
mod spend;
mod sso;
mod team_members;
mod teams;
mod unauthorized;
mod users;
mod v2;
mod v2_guide;
mod v2_usage;
mod vault;
