//! Model calls: what reaches the upstream, what comes back, and what the ledger says of it.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use serde_json::{Value, json};
use store::ledger::LedgerRow;
use testkit::{Recording, Reply};

use crate::app::{Setup, TestApp, each_database};

/// A model with round prices: a dollar a million tokens in, two out.
const PRICED: &str = r#"
model_list:
  - model_name: small
    litellm_params:
      model: openai/upstream-small
      api_key: sk-of-the-provider
      api_base: PROVIDER
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000002
  - model_name: free
    litellm_params:
      model: openai/upstream-free
      api_key: sk-of-the-provider
      api_base: PROVIDER
      input_cost_per_token: 0
      output_cost_per_token: 0
  - model_name: unpriced
    litellm_params: {model: openai/nobody-knows-this, api_key: sk-of-the-provider, api_base: PROVIDER}
"#;

fn priced() -> Setup {
    Setup::default().config(PRICED)
}

fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello!"}]})
}

fn streamed(model: &str) -> Value {
    let mut body = hello(model);
    body["stream"] = true.into();
    body
}

async fn key(app: &TestApp, fields: Value) -> String {
    let made = app.post("/key/generate", fields).await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/key")
}

/// The ledger row of an answered call.
#[tokio::test]
async fn a_call_leaves_an_exact_row() {
    priced()
        .each_database(async |app| {
            app.provider.reply(Reply::text(["Hi", "!"]).usage(1000, 50));
            let key = key(app, json!({"user_id": "u1", "max_budget": 1})).await;
            let answer = app
                .post("/v1/chat/completions", hello("small"))
                .with_key(&key)
                .await;
            assert_eq!(answer.status, 200, "{answer}");
            assert_eq!(answer.text("/model"), "small");
            assert_eq!(answer.header("x-litellm-response-cost"), "0.0011");
            assert_eq!(answer.header("x-litellm-key-spend"), "0.0011");
            assert_eq!(answer.header("x-litellm-key-max-budget"), "1");
            let asked = app.provider.last_request();
            assert_eq!(asked.header("authorization"), "Bearer sk-of-the-provider");
            assert_eq!(asked.json(), hello("upstream-small"));
            let row = app.row(&answer).await;
            assert_eq!(row.cost.unwrap().0, 1_100_000);
            assert_eq!((row.input_tokens, row.output_tokens), (1000, 50));
            assert_eq!(
                (row.status.as_str(), row.usage_source.as_str()),
                ("completed", "provider")
            );
            assert_eq!(row.user_id.as_deref(), Some("u1"));
            assert_eq!(row.paid_by, "system");
            assert_eq!(row.upstream_model.as_deref(), Some("upstream-small"));
        })
        .await;
}

#[tokio::test]
async fn a_stream_costs_what_the_whole_answer_costs() {
    priced()
        .each_database(async |app| {
            app.provider
                .always(Reply::text(["Hel", "lo", " there"]).usage(300, 3));
            let whole = app.post("/v1/chat/completions", hello("small")).await;
            let stream = app.post("/v1/chat/completions", streamed("small")).await;
            assert_eq!(stream.status, 200, "{stream}");
            let text = String::from_utf8(stream.body.to_vec()).unwrap();
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
            assert!(
                !text.contains("prompt_tokens"),
                "nobody asked for usage: {text}"
            );
            assert!(text.contains(r#""model":"small""#), "{text}");
            let sent = app.provider.last_request().json();
            assert_eq!(sent["stream_options"]["include_usage"], true);
            let (whole, stream) = (app.row(&whole).await, app.row(&stream).await);
            assert_eq!(stream.cost, whole.cost);
            assert_eq!(stream.cost.unwrap().0, 306_000);
            assert!(stream.stream && !whole.stream);
        })
        .await;
}

#[tokio::test]
async fn a_client_that_asks_for_usage_gets_it() {
    let app = priced().start().await;
    app.provider.reply(Reply::text(["Hi"]).usage(7, 1));
    let mut body = streamed("small");
    body["stream_options"] = json!({"include_usage": true});
    let answer = app.post("/v1/chat/completions", body).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains(r#""prompt_tokens":7"#), "{text}");
}

#[tokio::test]
async fn a_used_up_budget_refuses_and_says_what_to_do() {
    priced()
        .each_database(async |app| {
            app.provider.always(Reply::text(["Hi"]).usage(1_000_000, 0));
            let key = key(app, json!({"max_budget": 1.5, "key_alias": "thrifty"})).await;
            let call = async |model: &str| {
                app.post("/v1/chat/completions", hello(model))
                    .with_key(&key)
                    .await
            };
            assert_eq!(call("small").await.status, 200);
            assert_eq!(call("small").await.status, 200);
            let refused = call("small").await;
            assert_eq!(refused.status, 422, "{refused}");
            assert_eq!(refused.text("/error/type"), "budget_exceeded");
            assert_eq!(refused.text("/error/code"), "422");
            let message = refused.text("/error/message");
            assert!(
                message.contains("Budget has been exceeded! Key=thrifty"),
                "{message}"
            );
            assert!(message.contains("Max budget: 1.5"), "{message}");
            assert_eq!(app.provider.requests().len(), 2);
            assert_eq!(app.row(&refused).await.status, "refused");
            assert_eq!(
                call("free").await.status,
                200,
                "what costs nothing passes any budget"
            );
            let unpriced = call("unpriced").await;
            assert_eq!(unpriced.text("/error/type"), "budget_exceeded");
        })
        .await;
}

#[tokio::test]
async fn a_model_without_a_price_is_unpriced_and_never_free() {
    priced()
        .each_database(async |app| {
            let limited = key(app, json!({"max_budget": 100})).await;
            let refused = app
                .post("/v1/chat/completions", hello("unpriced"))
                .with_key(&limited)
                .await;
            assert_eq!(refused.status, 403, "{refused}");
            assert_eq!(refused.text("/error/type"), "model_cost_map_missing");
            let unlimited = key(app, json!({})).await;
            let answer = app
                .post("/v1/chat/completions", hello("unpriced"))
                .with_key(&unlimited)
                .await;
            assert_eq!(answer.status, 200, "{answer}");
            assert_eq!(answer.header("x-litellm-response-cost"), "");
            assert_eq!(app.row(&answer).await.cost, None);
        })
        .await;
}

#[tokio::test]
async fn every_scope_of_a_key_is_charged_and_a_restart_forgets_nothing() {
    priced()
        .each_database(async |app| {
            app.provider.always(Reply::text(["Hi"]).usage(500_000, 0));
            let team = app
                .post("/team/new", json!({"team_alias": "t", "max_budget": 0.9}))
                .await
                .text("/team_id");
            let key = key(app, json!({"user_id": "u1", "team_id": team})).await;
            let call = async |app: &TestApp| {
                app.post("/v1/chat/completions", hello("small"))
                    .with_key(&key)
                    .await
            };
            assert_eq!(call(app).await.status, 200);
            app.restart().await;
            assert_eq!(call(app).await.status, 200);
            let refused = call(app).await;
            assert_eq!(refused.status, 422, "{refused}");
            let message = refused.text("/error/message");
            assert!(message.contains(&format!("Team={team}")), "{message}");
            let info = app.get(&format!("/key/info?key={key}")).await;
            assert_eq!(info.json["info"]["spend"], 1.0, "{info}");
        })
        .await;
}

#[tokio::test]
async fn the_provider_s_error_reaches_the_client_in_one_shape() {
    let app = priced().start().await;
    for (reply, status, words) in [
        (
            Reply::error(400, "invalid_request_error", "temperature is too hot"),
            400,
            "too hot",
        ),
        (
            Reply::error(404, "invalid_request_error", "no such model"),
            404,
            "no such model",
        ),
        (Reply::rate_limited(7), 429, "slow down"),
        (
            Reply::error(500, "server_error", "it broke"),
            500,
            "it broke",
        ),
        (Reply::html(503, "<html>busy</html>"), 503, ""),
    ] {
        app.provider.reply(reply);
        let answer = app.post("/v1/chat/completions", streamed("small")).await;
        assert_eq!(answer.status, status, "{answer}");
        assert!(answer.text("/error/message").contains(words), "{answer}");
        assert_eq!(answer.text("/error/code"), status.to_string());
        if status == 429 {
            assert_eq!(answer.header("retry-after"), "7");
        }
        let row = app.row(&answer).await;
        assert_eq!(
            (row.status.as_str(), row.cost.unwrap().0),
            ("upstream_error", 0)
        );
    }
}

#[tokio::test]
async fn a_provider_that_refuses_our_key_does_not_show_it() {
    let app = priced().start().await;
    let message = "Incorrect API key provided: sk-of-the-provider.";
    app.provider
        .reply(Reply::error(401, "invalid_request_error", message));
    let answer = app.post("/v1/chat/completions", hello("small")).await;
    assert_eq!(answer.status, 401);
    assert!(!answer.to_string().contains("sk-of"), "{answer}");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502() {
    let app = Setup::default().start().await;
    let answer = app
        .post("/v1/chat/completions", hello("broken-upstream"))
        .await;
    assert_eq!(answer.status, 502, "{answer}");
    assert_eq!(app.row(&answer).await.status, "upstream_error");
}

#[tokio::test]
async fn an_upstream_that_hangs_is_given_up_when_the_client_says() {
    let app = priced().start().await;
    app.provider.reply(Reply::plausible().hang_before_head());
    let answer = app
        .post("/v1/chat/completions", hello("small"))
        .header("x-litellm-timeout", "0.05")
        .await;
    assert_eq!(answer.status, 504, "{answer}");
    app.provider.until(|served| served.abandoned == 1).await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_an_error_and_is_billed_for_what_came() {
    priced()
        .each_database(async |app| {
            app.provider
                .reply(Reply::text(["one ", "two ", "three "]).cut_after_chunks(3));
            let answer = app.post("/v1/chat/completions", streamed("small")).await;
            assert_eq!(answer.status, 200);
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            let last = text.trim_end().rsplit("\n\n").next().unwrap();
            let error: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(error["error"]["type"], "upstream_error", "{text}");
            let row = app.row(&answer).await;
            assert_eq!(row.status, "upstream_error");
            assert_eq!(row.usage_source, "estimated");
            assert!(row.cost.unwrap().0 > 0);
        })
        .await;
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_upstream_and_is_billed_for_what_came() {
    use http_body_util::BodyExt as _;
    priced()
        .each_database(async |app| {
            app.provider
                .reply(Reply::text(["one ", "two ", "three "]).hang_after_chunks(3));
            let mut answer = app
                .post("/v1/chat/completions", streamed("small"))
                .send()
                .await;
            let id = answer.headers()["x-litellm-call-id"]
                .to_str()
                .unwrap()
                .to_owned();
            // the chunk that opens a stream holds no text, and may come alone
            let mut came = Vec::new();
            while !String::from_utf8_lossy(&came).contains("one ") {
                let frame = answer.body_mut().frame().await.unwrap().unwrap();
                came.extend_from_slice(&frame.into_data().unwrap());
            }
            drop(answer);
            app.provider.until(|served| served.abandoned == 1).await;
            let row = eventually_row(app, &id).await;
            assert_eq!(row.status, "cancelled_by_client");
            assert_eq!(row.usage_source, "estimated");
            assert!(row.output_tokens > 0);
        })
        .await;
}

/// The row of a call that ends without anybody waiting for it.
async fn eventually_row(app: &TestApp, id: &str) -> LedgerRow {
    let domain = app.domain();
    let wait = async {
        loop {
            domain.ledger.flush().await.unwrap();
            if let Some(row) = store::ledger::find(&domain.db, id).await.unwrap() {
                return row;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(testkit::PATIENCE, wait)
        .await
        .expect("the row comes")
}

#[tokio::test]
async fn the_next_deployment_answers_when_one_fails() {
    let yaml = r#"
model_list:
  - model_name: both
    litellm_params: {model: openai/first, api_key: sk-of-two-servers-61cc, api_base: "http://127.0.0.1:9/v1", order: 1}
  - model_name: both
    litellm_params: {model: openai/second, api_key: sk-of-two-servers-61cc, api_base: PROVIDER, order: 2}
"#;
    let app = Setup::default().config(yaml).start().await;
    let answer = app.post("/v1/chat/completions", hello("both")).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("x-litellm-attempted-retries"), "1");
    assert_eq!(app.provider.last_request().json()["model"], "second");
    assert_eq!(app.row(&answer).await.attempts, 2);
}

#[tokio::test]
async fn the_body_passes_byte_for_byte_but_for_the_model() {
    let app = priced().start().await;
    let sent = "{ \"x_new\": {\"a\":[1, 2.50]},\r\n \"model\" : \"small\", \"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9 \\\"model\\\":1\"}] }";
    let answer = app
        .post("/v1/chat/completions", Value::Null)
        .body(sent)
        .await;
    assert_eq!(answer.status, 200, "{answer}");
    let received = app.provider.last_request().body;
    assert_eq!(
        received,
        sent.replace("\"small\"", "\"upstream-small\"").as_bytes()
    );
}

#[tokio::test]
async fn azure_style_paths_name_the_model() {
    let app = priced().start().await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    let answer = app
        .post(
            "/openai/deployments/small/chat/completions?api-version=1",
            body,
        )
        .await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(
        app.provider.last_request().json()["model"],
        "upstream-small"
    );
}

#[tokio::test]
async fn bad_input_is_refused_in_the_protocol_s_own_shape() {
    let app = priced().start().await;
    let refused = async |body: &str| {
        let answer = app
            .post("/v1/chat/completions", Value::Null)
            .body(body.to_owned())
            .await;
        assert_eq!(answer.status, 400, "{body}: {answer}");
        assert_eq!(answer.text("/error/type"), "invalid_request_error");
        answer.text("/error/param")
    };
    assert_eq!(refused("{").await, "request_body");
    assert_eq!(refused("").await, "request_body");
    assert_eq!(refused("[]").await, "request_body");
    assert_eq!(refused(r#"{"messages":[]}"#).await, "model");
    assert_eq!(refused(r#"{"model":7,"messages":[]}"#).await, "model");
    assert_eq!(refused(r#"{"model":"small"}"#).await, "messages");
    assert_eq!(
        refused(r#"{"model":"nobody","messages":[{"role":"user","content":"x"}]}"#).await,
        "model"
    );
    assert!(app.provider.requests().is_empty());
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_a_413() {
    let app = priced()
        .with("general_settings: {max_request_size_mb: 1}")
        .start()
        .await;
    let body = format!(
        r#"{{"model":"small","messages":"{}"}}"#,
        "x".repeat(2 << 20)
    );
    let answer = app
        .post("/v1/chat/completions", Value::Null)
        .body(body)
        .await;
    assert_eq!(answer.status, 413, "{}", answer.status);
    assert_eq!(answer.text("/error/param"), "request_body");
}

#[tokio::test]
async fn keys_are_taken_from_every_header_that_clients_use() {
    let app = priced().start().await;
    let key = key(&app, json!({})).await;
    for name in [
        "x-litellm-api-key",
        "api-key",
        "x-api-key",
        "ocp-apim-subscription-key",
    ] {
        let answer = app
            .post("/v1/chat/completions", hello("small"))
            .without_key()
            .header(name, &key)
            .await;
        assert_eq!(answer.status, 200, "{name}: {answer}");
    }
    let answer = app
        .post("/v1/chat/completions", hello("small"))
        .without_key()
        .await;
    assert_eq!(answer.status, 401);
    assert!(
        answer
            .text("/error/message")
            .contains("No api key passed in")
    );
}

#[tokio::test]
async fn a_blocked_expired_or_deleted_key_stops_at_once() {
    each_database(async |app| {
        let call = async |key: &str| {
            app.post("/v1/chat/completions", hello("gpt-4o"))
                .with_key(key)
                .await
        };
        let blocked = key(app, json!({})).await;
        assert_eq!(call(&blocked).await.status, 200);
        app.post("/key/block", json!({"key": blocked})).await;
        let answer = call(&blocked).await;
        assert_eq!(
            (answer.status, answer.text("/error/type").as_str()),
            (401, "auth_error")
        );
        let deleted = key(app, json!({})).await;
        assert_eq!(call(&deleted).await.status, 200);
        app.post("/key/delete", json!({"keys": [deleted]})).await;
        let answer = call(&deleted).await;
        assert_eq!(answer.text("/error/type"), "token_not_found_in_db");
    })
    .await;
    let clock = base::Clock::fixed(base::Millis(1_795_258_033_814));
    let app = Setup::default().clock(clock).start().await;
    let expiring = key(&app, json!({"duration": "1h"})).await;
    app.clock.advance(std::time::Duration::from_secs(3601));
    let answer = app
        .post("/v1/chat/completions", hello("gpt-4o"))
        .with_key(&expiring)
        .await;
    assert_eq!(
        (answer.status, answer.text("/error/type").as_str()),
        (401, "expired_key")
    );
}

#[tokio::test]
async fn completions_and_embeddings_are_priced_too() {
    priced()
        .each_database(async |app| {
            for (path, case) in [
                ("/v1/completions", "completions"),
                ("/v1/embeddings", "embeddings"),
            ] {
                let recorded = Recording::own(case);
                app.provider.reply(Reply::recorded(&recorded));
                let mut body: Value =
                    serde_json::from_slice(recorded.request.as_ref().unwrap()).unwrap();
                body["model"] = "small".into();
                let answer = app.post(path, body).await;
                assert_eq!(answer.status, 200, "{answer}");
                let usage: Value = serde_json::from_slice(&recorded.response).unwrap();
                let tokens = usage["usage"]["prompt_tokens"].as_i64().unwrap();
                let row = app.row(&answer).await;
                assert_eq!(row.prompt_tokens(), tokens);
                let expected = tokens * 1000 + row.completion_tokens() * 2000;
                assert_eq!(row.cost.unwrap().0, expected);
            }
        })
        .await;
}
