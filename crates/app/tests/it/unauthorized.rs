//! Nobody gets in without a key, with a wrong one, or with too small a role: every operation of the
//! OpenAPI document is called, so an endpoint that nobody thought about fails here.

use domain::permissions::{self, Door};
use http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, MASTER_KEY, Setup, TestApp};
use crate::golden::Golden;
use crate::openapi;

/// How an operation is reached, as the table of permissions says.
fn door(method: &Method, path: &str) -> Door {
    let row = permissions::find(method, path).or_else(|| permissions::find_call(path));
    row.map_or(Door::Key(&[]), |row| row.door)
}

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
    let body = (*method != Method::GET).then(|| json!({}));
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
            _ if door(&method, &path) == Door::Open => {
                !none.to_string().contains("No api key passed in")
            }
            _ if door(&method, &path) == Door::AsksItself => true,
            path if path.starts_with("/scim/") => {
                let kind = &none.json["schemas"][0];
                all == [401; 3] && kind == "urn:ietf:params:scim:api:messages:2.0:Error"
            }
            path if domain::v2::is_path(path) => {
                all == [401, 403, 403]
                    && none.json["detail"] == "Not authenticated"
                    && wrong.json["detail"] == "Invalid API key"
            }
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

#[tokio::test]
async fn keys_are_used_from_the_networks_of_the_configuration_alone() {
    let setup = |networks: &str| {
        let settings = format!("general_settings: {{allowed_ips: [{networks}]}}");
        Setup::default().with(&settings)
    };
    let elsewhere = setup("192.0.2.0/24, 198.51.100.7").start().await;
    for path in ["/key/info", "/v1/models"] {
        let refused = elsewhere.get(path).await;
        assert_eq!(refused.status, 403, "{path}: {refused}");
        assert!(
            refused
                .to_string()
                .contains("IP address 127.0.0.1 not allowed")
        );
    }
    let call = json!({"model": "mock-model", "messages": []});
    let refused = elsewhere.post("/v1/chat/completions", call).await;
    assert_eq!(refused.status, 403, "{refused}");
    let live = elsewhere.get("/health/liveness").without_key().await;
    assert_eq!(live.status, 200, "{live}");
    let here = setup("127.0.0.0/8").start().await;
    assert_eq!(here.get("/v1/models").await.status, 200);
}
