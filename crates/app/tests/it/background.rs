//! Answers that a provider makes after the call: what they cost is known when they end.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::Reply;

use crate::app::{Answer, Setup, TestApp};

const MODELS: &str = r#"
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-5, api_key: sk-provider, api_base: PROVIDER/v1,
      input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}
"#;

fn response(status: &str, usage: Value) -> Reply {
    Reply::json(
        &json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5",
        "status": status, "background": true, "output": [], "usage": usage}),
    )
}

fn completed() -> Reply {
    response(
        "completed",
        json!({"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}),
    )
}

fn wish() -> Value {
    json!({"model": "gpt", "input": "Think long.", "background": true})
}

async fn calls(app: &TestApp) -> Vec<(String, f64)> {
    let domain = app.domain();
    domain.ledger.flush().await.unwrap();
    let logs = app.get("/spend/logs").await;
    let rows = logs.json.as_array().unwrap();
    let mut found: Vec<(String, f64)> = rows
        .iter()
        .map(|row| {
            let status = row["metadata"]["status"].as_str().unwrap_or_default();
            (status.to_owned(), row["spend"].as_f64().unwrap())
        })
        .collect();
    found.sort_by(|one, other| one.1.total_cmp(&other.1));
    found
}

/// Waits until both rows are there, and gives what they cost together.
async fn both(app: &TestApp) -> Vec<(String, f64)> {
    let wait = async {
        loop {
            let found = calls(app).await;
            if found.len() == 2 {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(testkit::PATIENCE, wait).await;
    match found {
        Ok(found) => found,
        Err(_) => panic!("the second row does not come: {:?}", calls(app).await),
    }
}

async fn key(app: &TestApp) -> String {
    let made = app
        .post("/key/generate", json!({"max_budget": 1, "models": ["gpt"]}))
        .await;
    made.text("/key")
}

async fn begun(app: &TestApp, key: &str) -> Answer {
    app.provider.always(response("queued", Value::Null));
    let answer = app.post("/v1/responses", wish()).with_key(key).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.text("/status"), "queued");
    answer
}

#[tokio::test]
async fn the_cost_of_an_answer_comes_with_its_end() {
    Setup::default()
        .config(MODELS)
        .each_database(async |app| {
            let key = key(app).await;
            begun(app, &key).await;
            let path = "/v1/responses/resp_1";
            let got = app.get(path).with_key(&key).await;
            assert_eq!(got.text("/status"), "queued", "{got}");
            let refused = app.call(Method::DELETE, path, None).with_key(&key).await;
            assert_eq!(refused.status, 409, "{refused}");
            let early = calls(app).await;
            assert_eq!(early.len(), 1, "{early:?}");
            assert!(early[0].1 == 0.0, "{early:?}");
            app.provider.always(completed());
            let rows = both(app).await;
            assert!((rows[1].1 - 0.002).abs() < 1e-12, "{rows:?}");
            let info = app.get("/key/info").with_key(&key).await;
            assert_eq!(info.json["info"]["spend"], 0.002, "{info}");
            app.provider.always(Reply::json(
                &json!({"id": "resp_1", "object": "response", "deleted": true}),
            ));
            let deleted = app.call(Method::DELETE, path, None).with_key(&key).await;
            assert_eq!(deleted.status, 200, "{deleted}");
        })
        .await;
}

#[tokio::test]
async fn whoever_sees_the_end_first_settles_it_and_nobody_twice() {
    let app = Setup::default().config(MODELS).start().await;
    let key = key(&app).await;
    begun(&app, &key).await;
    app.provider.always(completed());
    let path = "/v1/responses/resp_1";
    for _ in 0..5 {
        let got = app.get(path).with_key(&key).await;
        assert_eq!(got.text("/status"), "completed", "{got}");
    }
    let rows = calls(&app).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!((rows[1].1 - 0.002).abs() < 1e-12, "{rows:?}");
}

#[tokio::test]
async fn what_fails_or_is_cancelled_costs_what_the_provider_says() {
    for status in ["failed", "cancelled"] {
        let app = Setup::default().config(MODELS).start().await;
        let key = key(&app).await;
        begun(&app, &key).await;
        app.provider.always(response(status, Value::Null));
        let rows = both(&app).await;
        assert!(rows.iter().all(|row| row.1 == 0.0), "{status}: {rows:?}");
    }
}

#[tokio::test]
async fn an_answer_whose_stream_is_left_goes_on() {
    use http_body_util::BodyExt as _;
    let app = Setup::default().config(MODELS).start().await;
    let key = key(&app).await;
    let created = json!({"type": "response.created", "sequence_number": 0, "response":
        {"id": "resp_1", "object": "response", "status": "queued", "background": true,
            "model": "gpt-5", "output": []}});
    let stream = format!("event: response.created\ndata: {created}\n\n");
    app.provider
        .reply(Reply::events(stream).hang_after_chunks(1));
    let mut wish = wish();
    wish["stream"] = true.into();
    let mut answer = app.post("/v1/responses", wish).with_key(&key).send().await;
    let frame = answer.body_mut().frame().await;
    assert!(frame.is_some());
    app.provider.always(completed());
    drop(answer);
    let rows = both(&app).await;
    assert!((rows[1].1 - 0.002).abs() < 1e-12, "{rows:?}");
}
