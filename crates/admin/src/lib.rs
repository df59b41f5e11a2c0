//! The management and self-service API: keys, people, teams, models, spend.
//!
//! A handler extracts, calls one function of `domain`, and wraps what it gives. Every operation is
//! in the OpenAPI document, which is made from the same routes; whom an operation is for
//! says the table in [`domain::permissions`], without a row in which it cannot be called.

pub mod activity;
pub mod audit;
pub mod budgets;
pub mod callers;
pub mod cookies;
pub mod credentials;
pub mod dialect;
pub mod docs;
pub mod error;
pub mod extract;
pub mod fields;
pub mod global_spend;
pub mod health;
pub mod invitations;
pub mod keys;
pub mod mail;
pub mod model_info;
pub mod model_list;
pub mod models;
pub mod openapi;
mod operations;
pub mod organizations;
pub mod page;
pub mod pages;
pub mod permissions;
pub mod plans;
pub mod provider_keys;
pub mod receipts;
pub mod requests;
pub mod scim;
pub mod sign_in;
pub mod spend;
pub mod sso;
pub mod teams;
pub mod users;
pub mod v2;

use axum::Router;
use axum::middleware::from_fn_with_state;
use domain::Domain;
use http::{HeaderName, HeaderValue, header};
use model_list::gemini as gemini_models;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi;

/// On every answer (contract §1 "Security headers"); what is answered here is nobody's to keep.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("frame-ancestors 'none'"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::VARY, HeaderValue::from_static("Origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

operations::operations! {
    keys: generate, generate_service_account, info, info_of_several, list, aliases, update,
        update_several, delete, regenerate, regenerate_named, claim, block, unblock,
        reset_spend, health;
    users: new, info, info_v2, list, update, update_several, available, find,
        default_settings, delete, roles;
    permissions: own;
    teams: new, info, list, list_v2, available, update, patch, update_keys, delete, block,
        unblock, add_members, add_many_members, change_member, reset_member_spend,
        reset_member_budget, remove_member, own_membership, add_models, remove_models,
        permissions, set_permissions;
    provider_keys: list, new, update, delete, test, policies, set_policies;
    credentials: list, new, delete;
    sign_in: login, login_v2, fallback, logout, list, revoke, revoke_all, change_password,
        forgot_password, reset_password, ui_settings, ui_config;
    sso: start, callback, readiness;
    invitations: new, info, update, delete, open, claim;
    mail: events, change_events, reset_events, outbox, test;
    plans: new, update, info, list, settings, delete;
    organizations: new, update, patch, delete, list, info, infos, add_members,
        change_member, remove_member;
    spend: logs, logs_v2, logs_ui, detail, of_keys, of_users, of_tags, calculate;
    activity: of_users, of_users_at_once, of_teams, of_teams_at_once, of_organizations,
        of_organizations_at_once;
    global_spend: total, by_day, by_key, by_model, by_team, by_end_user, by_provider,
        by_tag, tag_names, activity, activity_by_model;
    receipts: receipt;
    requests: new, list, rule, set_rule, ask_page, ask_form, decide_page, decide_form, info,
        withdraw, approve, decline, collect;
    scim: root, config, resource_types, resource_type, schemas, schema, users, new_user,
        user, put_user, patch_user, delete_user, groups, new_group, group, put_group,
        patch_group, delete_group;
    audit: list, head, export, info;
    docs: root, openapi, routes;
    health: all, liveliness, liveness, readiness, readiness_details, metrics,
        metrics_with_slash;
    model_list: list, list_unversioned, retrieve, retrieve_unversioned;
    gemini_models: list, retrieve;
    model_info: info, info_unversioned, info_page, groups;
    models: new, update, patch, delete;
}

/// The management API as a service.
pub fn router(domain: Domain) -> Router {
    let mut router = operations()
        .merge(v2::operations())
        .route_layer(from_fn_with_state(domain.clone(), callers::admit))
        // for people and without a key, so behind no gate
        .merge(pages::router())
        .fallback(error::not_found)
        .layer(CatchPanicLayer::custom(error::panicked))
        .with_state(domain);
    for (name, value) in HEADERS {
        router = router.layer(SetResponseHeaderLayer::if_not_present(name, value));
    }
    router
}

/// The OpenAPI document of the gateway.
pub fn openapi() -> OpenApi {
    openapi::complete(documented().merge(v2::documented()).into_openapi())
}
