//! Nobody gets in without a key, with a wrong one, or with too small a role: every operation of the
//! OpenAPI document is called, so an endpoint that nobody thought about fails here.

use domain::Role;
use http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, MASTER_KEY, Setup, TestApp};
use crate::golden::Golden;
use crate::openapi;

/// What works without a key.
const OPEN: &[&str] = &[
    "/",
    "/.well-known/litellm-ui-config",
    "/fallback/login",
    "/health/liveliness",
    "/health/liveness",
    "/health/readiness",
    "/onboarding/claim_token",
    "/onboarding/get_token",
    "/openapi.json",
    // signed links, which say for whom they speak
    "/requests/ask",
    "/requests/decide",
    "/routes",
    "/user/password/forgot",
    "/user/password/reset",
];

/// What asks for a key itself, and says in its own shape that there is none.
const ASKS_ITSELF: &[&str] = &["/login", "/v2/login", "/metrics", "/metrics/"];

/// What every valid key may call, whatever its role; the rules behind decide whose data it gets.
const FOR_EVERY_KEY: &[&str] = &[
    "GET /health",
    "GET /key/info",
    "GET /model/info",
    "GET /requests/rules",
    "GET /requests/{request_id}",
    "GET /model_group/info",
    "GET /models",
    "GET /models/{model_id}",
    "GET /v1/model/info",
    "GET /v1/models",
    "GET /v1/models/{model_id}",
    "GET /session/list",
    "GET /sso/get/ui_settings",
    "GET /team/available",
    "GET /team/daily/activity",
    "GET /team/daily/activity/aggregated",
    "GET /team/info",
    "GET /team/permissions_list",
    "GET /team/{team_id}/members/me",
    "GET /user/available_roles",
    "GET /user/daily/activity",
    "GET /user/daily/activity/aggregated",
    "GET /user/filter/ui",
    "GET /user/info",
    "GET /v1/receipts/{request_id}",
    "GET /v1beta/models",
    "GET /v1beta/models/{model_id}",
    "GET /v2/model/info",
    "GET /v2/user/info",
    "POST /invitation/delete",
    "POST /invitation/new",
    "POST /invitation/update",
    "POST /key/health",
    "POST /requests/new",
    "POST /requests/{request_id}/approve",
    "POST /requests/{request_id}/collect",
    "POST /requests/{request_id}/decline",
    "POST /requests/{request_id}/withdraw",
    "POST /session/revoke",
    "POST /session/revoke_all",
    "POST /key/claim",
    "POST /team/bulk_member_add",
    "POST /team/member_add",
    "POST /team/member_delete",
    "POST /team/member_update",
    "POST /team/permissions_update",
    "POST /team/update",
    "POST /user/password/change",
    "POST /team/{team_id}/member/{user_id}/reset_budget",
    "POST /team/{team_id}/member/{user_id}/reset_spend",
    "POST /v2/key/info",
];

/// Calls of models: for every valid key, and answered by the data plane.
fn is_call(document: &Value, operation: &str) -> bool {
    openapi::operations(document).any(|(method, path, it)| {
        format!("{method} {path}") == operation && it["tags"][0] == "calls"
    })
}

/// What a viewing administrator may send besides GET.
const VIEWER_POSTS: &[&str] = &[
    "POST /key/health",
    "POST /global/spend/end_users",
    "POST /login",
    "POST /onboarding/claim_token",
    "POST /session/revoke",
    "POST /session/revoke_all",
    "POST /spend/calculate",
    "POST /user/password/change",
    "POST /user/password/forgot",
    "POST /user/password/reset",
    "POST /v2/login",
    "POST /v2/key/info",
];

/// Every operation with its path's parameters filled in.
fn operations() -> Vec<(Method, String, String)> {
    let document = openapi::document();
    openapi::operations(&document)
        .map(|(method, path, _)| {
            let filled = openapi::filled(&path);
            (method.parse().expect("a method"), path, filled)
        })
        .collect()
}

async fn call(app: &TestApp, method: &Method, path: &str, key: Option<&str>) -> Answer {
    let body = (*method != Method::GET).then(|| match path {
        // what these are about decides who may do it, so they need to be whole
        "/model/new" => json!({"model_name": "m", "litellm_params": {"model": "openai/gpt-4o"}}),
        "/model/update" => {
            json!({"model_info": {"id": "a-model-of-the-test"}, "litellm_params": {}})
        }
        "/model/delete" => json!({"id": "a-model-of-the-test"}),
        _ => json!({}),
    });
    let call = app.call(method.clone(), path, body);
    match key {
        Some(key) => call.with_key(key).await,
        None => call.without_key().await,
    }
}

#[tokio::test]
async fn every_operation_needs_a_key_unless_it_is_listed() {
    let app = Setup::default().start().await;
    let operations = operations();
    assert!(!operations.is_empty());
    let mut differing = Vec::new();
    for (method, path, filled) in operations {
        let none = call(&app, &method, &filled, None).await;
        let wrong = call(&app, &method, &filled, Some("sk-wrong-key-of-nobody")).await;
        let garbage = call(&app, &method, &filled, Some("nonsense")).await;
        let all = [none.status, wrong.status, garbage.status];
        let kind = |answer: &Answer| answer.json["error"]["type"].clone();
        let google = |answer: &Answer| answer.json["error"]["status"] == "UNAUTHENTICATED";
        let anthropic = |answer: &Answer| {
            answer.json["type"] == "error" && kind(answer) == "authentication_error"
        };
        let is_right = match path.as_str() {
            open if OPEN.contains(&open) => !all.contains(&401),
            itself if ASKS_ITSELF.contains(&itself) => all == [401; 3],
            path if path.starts_with("/v1beta/") => {
                all == [401; 3] && [&none, &wrong, &garbage].into_iter().all(google)
            }
            path if path.starts_with("/v1/messages") => {
                all == [401; 3] && [&none, &wrong, &garbage].into_iter().all(anthropic)
            }
            _ => {
                all == [401; 3]
                    && kind(&none) == "auth_error"
                    && kind(&wrong) == "token_not_found_in_db"
            }
        };
        if !is_right {
            differing.push(format!("{method} {path}: {none}, {wrong}, {garbage}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[tokio::test]
async fn a_key_without_a_role_reaches_only_what_is_for_every_key() {
    let app = Setup::default()
        .variable("OPENAI_API_KEY", "sk-of-the-environment")
        .variable("OPENAI_BASE_URL", "PROVIDER")
        .start()
        .await;
    let made = app.post("/key/generate", json!({})).await;
    assert_eq!(made.status, 200, "{made}");
    let key = made.text("/key");
    let model = json!({"model_name": "m", "litellm_params": {"model": "openai/gpt-4o"},
        "model_info": {"id": "a-model-of-the-test"}});
    let model = app.post("/model/new", model).await;
    assert_eq!(model.status, 200, "{model}");
    let document = openapi::document();
    let mut differing = Vec::new();
    for (method, path, filled) in operations() {
        if OPEN.contains(&path.as_str()) || ASKS_ITSELF.contains(&path.as_str()) {
            continue;
        }
        let operation = format!("{method} {path}");
        let answer = call(&app, &method, &filled, Some(&key)).await;
        let is_refused = matches!(answer.status, 401 | 403);
        let is_open = FOR_EVERY_KEY.contains(&operation.as_str());
        if is_refused == (is_open || is_call(&document, &operation)) {
            differing.push(format!("{operation}: {answer}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[tokio::test]
async fn a_viewer_who_sees_all_changes_nothing() {
    let app = Setup::default().start().await;
    let key = key_of(&app, Role::ProxyAdminViewer).await;
    let document = openapi::document();
    let mut differing = Vec::new();
    for (method, path, filled) in operations() {
        let operation = format!("{method} {path}");
        let is_open = VIEWER_POSTS.contains(&operation.as_str()) || OPEN.contains(&path.as_str());
        if method == Method::GET || is_open || is_call(&document, &operation) {
            continue;
        }
        let answer = call(&app, &method, &filled, Some(&key)).await;
        if answer.status != 403 {
            differing.push(format!("{operation}: {answer}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// A key of a user with this role.
async fn key_of(app: &TestApp, role: Role) -> String {
    crate::keys::add_user(app, "someone", Some(role)).await;
    let made = app
        .post("/key/generate", json!({"user_id": "someone"}))
        .await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/key")
}

#[tokio::test]
async fn a_key_that_is_limited_to_calls_of_models_manages_nothing() {
    let app = Setup::default().start().await;
    let made = app
        .post("/key/generate", json!({"key_type": "llm_api"}))
        .await;
    let key = made.text("/key");
    for path in ["/key/info", "/key/list", "/spend/logs"] {
        let answer = app.get(path).with_key(&key).await;
        assert_eq!(answer.status, 403, "{path}: {answer}");
        let said = answer.text("/detail");
        assert!(said.starts_with("Virtual key is not allowed to call this route."));
    }
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_say_so_without_a_key() {
    let app = Setup::default().start().await;
    let nothing = app.get("/nope-route").without_key().await;
    assert_eq!(
        (nothing.status, &nothing.json),
        (404, &json!({"detail": "Not Found"}))
    );
    let method = app.get("/key/generate").without_key().await;
    assert_eq!(method.status, 405);
    assert_eq!(method.json, json!({"detail": "Method Not Allowed"}));
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let app = Setup::default().start().await;
    for path in ["/key/info", "/nope-route", "/key/generate"] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(
            answer.header("content-security-policy"),
            "frame-ancestors 'none'"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("vary").contains("Origin"));
    }
}

#[tokio::test]
async fn keys_are_read_and_refused_as_the_reference_does() {
    let app = Setup::default().start().await;
    let bearer = format!("bearer {MASTER_KEY}");
    for (golden, name, value) in [
        ("models_lowercase_bearer", "authorization", bearer.as_str()),
        ("models_x_litellm_api_key", "x-litellm-api-key", MASTER_KEY),
        ("models_api_key", "api-key", MASTER_KEY),
        ("models_x_api_key", "x-api-key", MASTER_KEY),
        ("models_no_bearer", "authorization", MASTER_KEY),
        (
            "models_badkey",
            "authorization",
            "Bearer sk-wrong-key-of-nobody",
        ),
        (
            "key_generate_malformed",
            "authorization",
            "Bearer not-a-key",
        ),
        ("models_nokey", "accept", "*/*"),
    ] {
        let answer = app
            .get("/v1/models")
            .without_key()
            .header(name, value)
            .await;
        if let Some(golden) = Golden::load(golden) {
            golden.compare(&answer);
        }
    }
    let limited = json!({"allowed_routes": ["/v1/chat/completions"]});
    let limited = app.post("/key/generate", limited).await.text("/key");
    for (golden, path) in [
        ("allowed_routes_models", "/v1/models"),
        ("key_info_self", "/key/info"),
    ] {
        let answer = app.get(path).with_key(&limited).await;
        assert_eq!(answer.status, 403, "{answer}");
        if let Some(golden) = Golden::load(golden) {
            golden.compare(&answer);
        }
    }
    let query = app.get(&format!("/v1/models?key={MASTER_KEY}"));
    assert_eq!(query.without_key().await.status, 401);
}

#[tokio::test]
async fn hostile_headers_are_refused_in_the_usual_shape() {
    let app = Setup::default().start().await;
    for value in [
        "Bearer",
        "Bearer ",
        "Basic dTpw",
        "Bearer \u{e9}",
        "sk-bare",
    ] {
        let answer = app.get("/key/info").header("authorization", value).await;
        assert_eq!(answer.status, 401, "{value}: {answer}");
        assert_eq!(answer.json["error"]["code"], Value::from("401"));
    }
}
