//! Clients of one protocol, models of another: what the provider is asked, what the client reads, and
//! what the ledger says.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use http::Method;
use serde_json::{Value, json};
use testkit::Reply;

use crate::app::{Answer, MASTER_KEY, Setup, TestApp};

const MODELS: &str = r#"
model_list:
  - model_name: gpt
    litellm_params: {model: openai_like/upstream-gpt, api_key: sk-provider, api_base: PROVIDER,
      input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: sk-provider, api_base: PROVIDER,
      input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}
  - model_name: gemini
    litellm_params: {model: gemini/gemini-2.5-flash, api_key: sk-provider, api_base: PROVIDER,
      input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}
  - model_name: demo
    litellm_params: {model: openai/demo, mock_response: It works.}
"#;

async fn started() -> TestApp {
    Setup::default().config(MODELS).start().await
}

fn number(answer: &Answer, pointer: &str) -> u64 {
    let found = answer.json.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer} of {answer}"))
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello!"},
    ]})
}

fn messages(model: &str) -> Value {
    json!({"model": model, "max_tokens": 100, "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hello!"}]})
}

fn contents() -> Value {
    json!({"systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hello!"}]}]})
}

fn anthropic_answer() -> Reply {
    Reply::json(&json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "Hi there"}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 90,
            "cache_creation_input_tokens": 0, "output_tokens": 5},
    }))
}

fn anthropic_stream() -> Reply {
    let event = |kind: &str, mut data: Value| {
        data["type"] = kind.into();
        format!("event: {kind}\ndata: {data}\n\n")
    };
    Reply::events(
        [
            event(
                "message_start",
                json!({"message": {"id": "msg_1", "type": "message",
                "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
                "stop_reason": null, "usage": {"input_tokens": 10, "output_tokens": 1}}}),
            ),
            event(
                "content_block_start",
                json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
            ),
            event(
                "content_block_delta",
                json!({"index": 0, "delta": {"type": "text_delta", "text": "Hi "}}),
            ),
            event(
                "content_block_delta",
                json!({"index": 0, "delta": {"type": "text_delta", "text": "there"}}),
            ),
            event("content_block_stop", json!({"index": 0})),
            event(
                "message_delta",
                json!({"delta": {"stop_reason": "end_turn", "stop_sequence": null},
                "usage": {"output_tokens": 5}}),
            ),
            event("message_stop", json!({})),
        ]
        .concat(),
    )
}

fn gemini_answer() -> Reply {
    Reply::json(&json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi there"}]},
            "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 5, "totalTokenCount": 105},
        "modelVersion": "gemini-2.5-flash", "responseId": "r1",
    }))
}

#[tokio::test]
async fn an_openai_client_calls_an_anthropic_model() {
    let app = started().await;
    app.provider.reply(anthropic_answer());
    let answer = app.post("/v1/chat/completions", chat("claude")).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.text("/choices/0/message/content"), "Hi there");
    assert_eq!(answer.text("/choices/0/finish_reason"), "stop");
    assert_eq!(answer.text("/model"), "claude");
    let asked = app.provider.last_request();
    assert_eq!(asked.path, "/v1/messages");
    assert_eq!(asked.header("x-api-key"), "sk-provider");
    assert_eq!(asked.header("anthropic-version"), "2023-06-01");
    let sent = asked.json();
    assert_eq!(sent["model"], "claude-sonnet-4-5");
    assert!(sent["max_tokens"].as_u64().unwrap() > 0, "{sent}");
    let row = app.row(&answer).await;
    assert_eq!(row.input_tokens, 10);
    assert_eq!((row.cache_read_tokens, row.output_tokens), (90, 5));
    assert_eq!(row.upstream_id.as_deref(), Some("msg_1"));
}

#[tokio::test]
async fn a_stream_is_translated_event_by_event() {
    let app = started().await;
    app.provider.reply(anthropic_stream());
    let mut body = chat("claude");
    body["stream"] = true.into();
    let answer = app.post("/v1/chat/completions", body).await;
    let text = text(&answer);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/event-stream")
    );
    assert!(text.contains(r#""content":"Hi ""#), "{text}");
    assert!(text.contains(r#""finish_reason":"stop""#), "{text}");
    assert!(
        !text.contains("prompt_tokens"),
        "nobody asked for usage: {text}"
    );
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let row = app.row(&answer).await;
    assert_eq!((row.input_tokens, row.output_tokens), (10, 5));
    assert_eq!(row.status, "completed");
}

#[tokio::test]
async fn an_anthropic_client_calls_an_openai_model() {
    let app = started().await;
    app.provider
        .reply(Reply::text(["Hi ", "there"]).usage(100, 5));
    let call = app.post("/v1/messages", messages("gpt"));
    let answer = call.header("anthropic-version", "2023-06-01").await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.text("/type"), "message");
    assert_eq!(answer.text("/content/0/text"), "Hi there");
    assert_eq!(answer.text("/stop_reason"), "end_turn");
    let asked = app.provider.last_request();
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.header("authorization"), "Bearer sk-provider");
    assert_eq!(asked.json()["messages"][0]["role"], "system");
    assert_eq!(app.row(&answer).await.endpoint, "anthropic_messages");
}

#[tokio::test]
async fn an_anthropic_client_streams_from_an_openai_model() {
    let app = started().await;
    app.provider
        .reply(Reply::text(["Hi ", "there"]).usage(100, 5));
    let mut body = messages("gpt");
    body["stream"] = true.into();
    let answer = app.post("/v1/messages", body).await;
    let text = text(&answer);
    for event in [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ] {
        assert!(
            text.contains(&format!("event: {event}\n")),
            "{event}: {text}"
        );
    }
    let sent = app.provider.last_request().json();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    let row = app.row(&answer).await;
    assert_eq!((row.input_tokens, row.output_tokens), (100, 5));
}

#[tokio::test]
async fn a_gemini_client_calls_any_model_by_its_path() {
    let app = started().await;
    app.provider.reply(anthropic_answer());
    let path = "/v1beta/models/claude:generateContent";
    let call = app.post(path, contents()).without_key();
    let answer = call.header("x-goog-api-key", MASTER_KEY).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(
        answer.text("/candidates/0/content/parts/0/text"),
        "Hi there"
    );
    assert_eq!(answer.text("/candidates/0/finishReason"), "STOP");
    assert_eq!(number(&answer, "/usageMetadata/promptTokenCount"), 100);
    app.provider.reply(anthropic_stream());
    let path = "/v1beta/models/claude:streamGenerateContent?alt=sse";
    let events = text(&app.post(path, contents()).await);
    assert!(events.starts_with("data: {"), "{events}");
    app.provider.reply(anthropic_stream());
    let path = "/v1beta/models/claude:streamGenerateContent";
    let array = app.post(path, contents()).await;
    let list: Vec<Value> = serde_json::from_slice(&array.body).unwrap();
    assert!(list.len() >= 2, "{list:?}");
}

#[tokio::test]
async fn a_gemini_model_answers_openai_and_anthropic_clients() {
    let app = started().await;
    app.provider.always(gemini_answer());
    let answer = app.post("/v1/chat/completions", chat("gemini")).await;
    assert_eq!(answer.text("/choices/0/message/content"), "Hi there");
    let asked = app.provider.last_request();
    assert_eq!(asked.path, "/v1/models/gemini-2.5-flash:generateContent");
    assert_eq!(asked.header("x-goog-api-key"), "sk-provider");
    let answer = app.post("/v1/messages", messages("gemini")).await;
    assert_eq!(answer.text("/content/0/text"), "Hi there");
    assert_eq!(number(&answer, "/usage/input_tokens"), 100);
}

#[tokio::test]
async fn the_same_protocol_passes_as_it_is() {
    let app = started().await;
    app.provider.reply(anthropic_answer());
    let mut body = messages("claude");
    body["a_new_feature"] = json!({"of": "tomorrow"});
    let call = app.post("/v1/messages", body.clone());
    let answer = call.header("anthropic-beta", "feature-2027-01-01").await;
    assert_eq!(answer.text("/model"), "claude");
    let asked = app.provider.last_request();
    assert_eq!(asked.header("anthropic-beta"), "feature-2027-01-01");
    body["model"] = "claude-sonnet-4-5".into();
    assert_eq!(asked.json(), body);
    let row = app.row(&answer).await;
    assert_eq!((row.input_tokens, row.cache_read_tokens), (10, 90));
}

#[tokio::test]
async fn errors_have_the_shape_of_the_client() {
    let app = started().await;
    let refused = app.post("/v1/messages", messages("nobody")).await;
    assert_eq!(refused.text("/type"), "error", "{refused}");
    assert_eq!(refused.text("/error/type"), "not_found_error");
    let path = "/v1beta/models/nobody:generateContent";
    let refused = app.post(path, contents()).await;
    assert_eq!(
        refused.text("/error/status"),
        "INVALID_ARGUMENT",
        "{refused}"
    );
    assert_eq!(number(&refused, "/error/code"), 400);
    app.provider.reply(Reply::rate_limited(7));
    let limited = app.post("/v1/messages", messages("gpt")).await;
    assert_eq!(limited.status, 429);
    assert_eq!(limited.text("/error/type"), "rate_limit_error");
    assert_eq!(limited.header("retry-after"), "7");
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_or_dropped_and_told() {
    let app = started().await;
    let mut body = chat("claude");
    body["frequency_penalty"] = 1.5.into();
    let refused = app.post("/v1/chat/completions", body.clone()).await;
    assert_eq!(refused.status, 400, "{refused}");
    assert_eq!(refused.text("/error/param"), "frequency_penalty");
    let yaml = format!("{MODELS}litellm_settings: {{drop_params: true}}\n");
    let app = Setup::default().config(&yaml).start().await;
    app.provider.reply(anthropic_answer());
    let answer = app.post("/v1/chat/completions", body).await;
    assert_eq!(answer.status, 200, "{answer}");
    let dropped = answer.header("x-tollgate-dropped-params");
    assert!(dropped.contains("frequency_penalty"), "{dropped}");
}

#[tokio::test]
async fn the_demo_answers_in_every_protocol() {
    let app = started().await;
    let answer = app.post("/v1/messages", messages("demo")).await;
    assert_eq!(answer.text("/content/0/text"), "It works.");
    let answer = app
        .post("/v1beta/models/demo:generateContent", contents())
        .await;
    assert_eq!(
        answer.text("/candidates/0/content/parts/0/text"),
        "It works."
    );
    let body = json!({"model": "demo", "input": "Hello!"});
    let answer = app.post("/v1/responses", body).await;
    assert_eq!(
        answer.text("/output/0/content/0/text"),
        "It works.",
        "{answer}"
    );
}

#[tokio::test]
async fn a_cut_stream_ends_in_an_error_of_the_client() {
    let app = started().await;
    app.provider.reply(anthropic_stream().cut_after_bytes(600));
    let mut body = chat("claude");
    body["stream"] = true.into();
    let answer = app.post("/v1/chat/completions", body).await;
    let text = text(&answer);
    assert!(text.contains(r#""error""#), "{text}");
    assert_eq!(app.row(&answer).await.status, "upstream_error");
}

#[tokio::test]
async fn the_gateway_keeps_responses_that_the_provider_cannot() {
    Setup::default()
        .config(MODELS)
        .each_database(async |app| {
            app.provider.always(anthropic_answer());
            let body = json!({"model": "claude", "input": "Hello!", "instructions": "Be brief."});
            let first = app.post("/v1/responses", body).await;
            assert_eq!(first.status, 200, "{first}");
            assert_eq!(first.text("/object"), "response");
            let id = first.text("/id");
            let got = app.get(&format!("/v1/responses/{id}")).await;
            assert_eq!(got.body, first.body);
            let items = app.get(&format!("/v1/responses/{id}/input_items")).await;
            assert_eq!(items.text("/data/0/role"), "user", "{items}");
            let body = json!({"model": "claude", "input": "And now?", "previous_response_id": id});
            let second = app.post("/v1/responses", body).await;
            assert_eq!(second.status, 200, "{second}");
            let asked = app.provider.last_request().json();
            let roles: Vec<&str> = asked["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|message| message["role"].as_str().unwrap())
                .collect();
            assert_eq!(roles, ["user", "assistant", "user"], "{asked}");
            let cancelled = app
                .post(&format!("/v1/responses/{id}/cancel"), json!({}))
                .await;
            assert_eq!(cancelled.status, 400, "{cancelled}");
            let path = format!("/v1/responses/{id}");
            let deleted = app.call(Method::DELETE, &path, None).await;
            assert_eq!(deleted.json["deleted"], true, "{deleted}");
            assert_eq!(app.get(&path).await.status, 404);
        })
        .await;
}

#[tokio::test]
async fn a_response_repeats_what_was_asked_of_the_model_and_not_of_the_gateway() {
    let app = started().await;
    for (metadata, repeated) in [
        (json!({"topic": "fleas"}), json!({"topic": "fleas"})),
        (json!({"tags": ["team-red"]}), json!({})),
    ] {
        app.provider.reply(Reply::text(["Hi there"]));
        let body = json!({"model": "gpt", "metadata": metadata, "input": "Hello \"you\"!",
            "temperature": 0.5, "store": false});
        let answer = app.post("/v1/responses", body).await;
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(answer.json["metadata"], repeated, "{answer}");
        assert_eq!(answer.json["temperature"], 0.5, "{answer}");
    }
}

#[tokio::test]
async fn kept_responses_are_their_maker_s_alone() {
    let app = started().await;
    app.provider.always(anthropic_answer());
    let key = async |user: &str| {
        let made = app.post("/key/generate", json!({"user_id": user})).await;
        made.text("/key")
    };
    let (mine, theirs) = (key("u1").await, key("u2").await);
    let mut body = json!({"model": "claude", "input": "Hello!", "stream": true});
    let answer = app
        .post("/v1/responses", body.clone())
        .with_key(&mine)
        .await;
    let text = text(&answer);
    let end = text
        .split("event: response.completed\ndata: ")
        .nth(1)
        .unwrap();
    let end: Value = serde_json::from_str(end.lines().next().unwrap()).unwrap();
    let id = end["response"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/responses/{id}");
    assert_eq!(app.get(&path).with_key(&mine).await.status, 200);
    assert_eq!(app.get(&path).with_key(&theirs).await.status, 404);
    body["store"] = false.into();
    body["stream"] = false.into();
    let answer = app.post("/v1/responses", body).with_key(&mine).await;
    let path = format!("/v1/responses/{}", answer.text("/id"));
    assert_eq!(app.get(&path).with_key(&mine).await.status, 404);
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_or_as_an_estimate() {
    let app = started().await;
    app.provider
        .reply(Reply::json(&json!({"input_tokens": 14})));
    let count = app
        .post("/v1/messages/count_tokens", messages("claude"))
        .await;
    assert_eq!(number(&count, "/input_tokens"), 14);
    let path = app.provider.last_request().path;
    assert_eq!(path, "/v1/messages/count_tokens");
    let count = app.post("/v1/messages/count_tokens", messages("gpt")).await;
    assert!(number(&count, "/input_tokens") > 0, "{count}");
    assert_eq!(count.header("x-tollgate-estimate"), "true");
}

#[tokio::test]
async fn a_provider_s_own_paths_are_passed_on() {
    let app = Setup::default()
        .config(MODELS)
        .variable("ANTHROPIC_API_KEY", "sk-of-the-environment")
        .variable("ANTHROPIC_BASE_URL", "PROVIDER")
        .start()
        .await;
    app.provider
        .always(Reply::json(&json!({"data": []})).header("request-id", "r-7"));
    let listed = app.get("/anthropic/v1/files?limit=3").await;
    assert_eq!(listed.status, 200, "{listed}");
    assert_eq!(listed.header("request-id"), "r-7");
    let asked = app.provider.last_request();
    assert_eq!(asked.path, "/v1/files?limit=3");
    assert_eq!(asked.header("x-api-key"), "sk-of-the-environment");
    assert_eq!(asked.header("authorization"), "");
    app.provider.reply(anthropic_answer());
    let body = messages("claude-sonnet-4-5");
    let answer = app.post("/anthropic/v1/messages", body).await;
    assert_eq!(answer.text("/model"), "claude-sonnet-4-5");
    let row = app.row(&answer).await;
    assert_eq!(row.endpoint, "pass_through_endpoint");
    assert_eq!((row.input_tokens, row.cache_read_tokens), (10, 90));
    assert!(row.cost.unwrap().0 > 0);
    let nobody = app.get("/cohere/v1/models").await;
    assert_eq!(nobody.status, 401, "{nobody}");
    let outside = app.get("/anthropic/v1/../../etc").await;
    assert_eq!(outside.status, 400, "{outside}");
}
