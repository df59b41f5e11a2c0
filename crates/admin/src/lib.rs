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
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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

/// Every route, on one page.
fn routes() -> OpenApiRouter<Domain> {
    OpenApiRouter::new()
        .routes(routes!(keys::generate))
        .routes(routes!(keys::generate_service_account))
        .routes(routes!(keys::info))
        .routes(routes!(keys::info_of_several))
        .routes(routes!(keys::list))
        .routes(routes!(keys::aliases))
        .routes(routes!(keys::update))
        .routes(routes!(keys::update_several))
        .routes(routes!(keys::delete))
        .routes(routes!(keys::regenerate))
        .routes(routes!(keys::regenerate_named))
        .routes(routes!(keys::claim))
        .routes(routes!(keys::block))
        .routes(routes!(keys::unblock))
        .routes(routes!(keys::reset_spend))
        .routes(routes!(keys::health))
        .routes(routes!(users::new))
        .routes(routes!(users::info))
        .routes(routes!(users::info_v2))
        .routes(routes!(users::list))
        .routes(routes!(users::update))
        .routes(routes!(users::update_several))
        .routes(routes!(users::available))
        .routes(routes!(users::find))
        .routes(routes!(users::default_settings))
        .routes(routes!(users::delete))
        .routes(routes!(users::roles))
        .routes(routes!(permissions::own))
        .routes(routes!(teams::new))
        .routes(routes!(teams::info))
        .routes(routes!(teams::list))
        .routes(routes!(teams::list_v2))
        .routes(routes!(teams::available))
        .routes(routes!(teams::update))
        .routes(routes!(teams::patch))
        .routes(routes!(teams::update_keys))
        .routes(routes!(teams::delete))
        .routes(routes!(teams::block))
        .routes(routes!(teams::unblock))
        .routes(routes!(teams::add_members))
        .routes(routes!(teams::add_many_members))
        .routes(routes!(teams::change_member))
        .routes(routes!(teams::reset_member_spend))
        .routes(routes!(teams::reset_member_budget))
        .routes(routes!(teams::remove_member))
        .routes(routes!(teams::own_membership))
        .routes(routes!(teams::add_models))
        .routes(routes!(teams::remove_models))
        .routes(routes!(teams::permissions))
        .routes(routes!(teams::set_permissions))
        .routes(routes!(provider_keys::list))
        .routes(routes!(provider_keys::new))
        .routes(routes!(provider_keys::update))
        .routes(routes!(provider_keys::delete))
        .routes(routes!(provider_keys::test))
        .routes(routes!(credentials::list))
        .routes(routes!(credentials::new))
        .routes(routes!(credentials::delete))
        .routes(routes!(provider_keys::policies))
        .routes(routes!(provider_keys::set_policies))
        .routes(routes!(sign_in::login))
        .routes(routes!(sign_in::login_v2))
        .routes(routes!(sign_in::fallback))
        .routes(routes!(sign_in::logout))
        .routes(routes!(sign_in::list))
        .routes(routes!(sign_in::revoke))
        .routes(routes!(sign_in::revoke_all))
        .routes(routes!(sign_in::change_password))
        .routes(routes!(sign_in::forgot_password))
        .routes(routes!(sign_in::reset_password))
        .routes(routes!(sign_in::ui_settings))
        .routes(routes!(sign_in::ui_config))
        .routes(routes!(sso::start))
        .routes(routes!(sso::callback))
        .routes(routes!(sso::readiness))
        .routes(routes!(invitations::new))
        .routes(routes!(invitations::info))
        .routes(routes!(invitations::update))
        .routes(routes!(invitations::delete))
        .routes(routes!(invitations::open))
        .routes(routes!(invitations::claim))
        .routes(routes!(mail::events, mail::change_events))
        .routes(routes!(mail::reset_events))
        .routes(routes!(mail::outbox))
        .routes(routes!(mail::test))
        .routes(routes!(plans::new))
        .routes(routes!(plans::update))
        .routes(routes!(plans::info))
        .routes(routes!(plans::list))
        .routes(routes!(plans::settings))
        .routes(routes!(plans::delete))
        .routes(routes!(organizations::new))
        .routes(routes!(organizations::update))
        .routes(routes!(organizations::patch))
        .routes(routes!(organizations::delete))
        .routes(routes!(organizations::list))
        .routes(routes!(organizations::info, organizations::infos))
        .routes(routes!(organizations::add_members))
        .routes(routes!(organizations::change_member))
        .routes(routes!(organizations::remove_member))
        .routes(routes!(spend::logs))
        .routes(routes!(spend::logs_v2))
        .routes(routes!(spend::logs_ui))
        .routes(routes!(spend::detail))
        .routes(routes!(spend::of_keys))
        .routes(routes!(spend::of_users))
        .routes(routes!(spend::of_tags))
        .routes(routes!(spend::calculate))
        .routes(routes!(activity::of_users))
        .routes(routes!(activity::of_users_at_once))
        .routes(routes!(activity::of_teams))
        .routes(routes!(activity::of_teams_at_once))
        .routes(routes!(activity::of_organizations))
        .routes(routes!(activity::of_organizations_at_once))
        .routes(routes!(global_spend::total))
        .routes(routes!(global_spend::by_day))
        .routes(routes!(global_spend::by_key))
        .routes(routes!(global_spend::by_model))
        .routes(routes!(global_spend::by_team))
        .routes(routes!(global_spend::by_end_user))
        .routes(routes!(global_spend::by_provider))
        .routes(routes!(global_spend::by_tag))
        .routes(routes!(global_spend::tag_names))
        .routes(routes!(global_spend::activity))
        .routes(routes!(global_spend::activity_by_model))
        .routes(routes!(receipts::receipt))
        .routes(routes!(requests::new))
        .routes(routes!(requests::list))
        .routes(routes!(requests::rule, requests::set_rule))
        .routes(routes!(requests::ask_page, requests::ask_form))
        .routes(routes!(requests::decide_page, requests::decide_form))
        .routes(routes!(requests::info))
        .routes(routes!(requests::withdraw))
        .routes(routes!(requests::approve))
        .routes(routes!(requests::decline))
        .routes(routes!(requests::collect))
        .routes(routes!(scim::root))
        .routes(routes!(scim::config))
        .routes(routes!(scim::resource_types))
        .routes(routes!(scim::resource_type))
        .routes(routes!(scim::schemas))
        .routes(routes!(scim::schema))
        .routes(routes!(scim::users, scim::new_user))
        .routes(routes!(
            scim::user,
            scim::put_user,
            scim::patch_user,
            scim::delete_user
        ))
        .routes(routes!(scim::groups, scim::new_group))
        .routes(routes!(
            scim::group,
            scim::put_group,
            scim::patch_group,
            scim::delete_group
        ))
        .routes(routes!(audit::list))
        .routes(routes!(audit::head))
        .routes(routes!(audit::export))
        .routes(routes!(audit::info))
        .routes(routes!(docs::root))
        .routes(routes!(docs::openapi))
        .routes(routes!(docs::routes))
        .routes(routes!(health::all))
        .routes(routes!(health::liveliness))
        .routes(routes!(health::liveness))
        .routes(routes!(health::readiness))
        .routes(routes!(health::readiness_details))
        .routes(routes!(health::metrics))
        .routes(routes!(health::metrics_with_slash))
        .routes(routes!(model_list::list))
        .routes(routes!(model_list::list_unversioned))
        .routes(routes!(model_list::retrieve))
        .routes(routes!(model_list::retrieve_unversioned))
        .routes(routes!(model_list::gemini::list))
        .routes(routes!(model_list::gemini::retrieve))
        .routes(routes!(model_info::info))
        .routes(routes!(model_info::info_unversioned))
        .routes(routes!(model_info::info_page))
        .routes(routes!(model_info::groups))
        .routes(routes!(models::new))
        .routes(routes!(models::update))
        .routes(routes!(models::patch))
        .routes(routes!(models::delete))
        .merge(v2::routes())
}

/// The management API as a service.
pub fn router(domain: Domain) -> Router {
    let (router, _) = routes().split_for_parts();
    let mut router = router
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
    openapi::complete(routes().into_openapi())
}
