//! The fake provider seen from its clients: what it says, how it fails, what it notices.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use testkit::{FakeProvider, Recording, Reply, Split, cases};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

async fn post(provider: &FakeProvider, path: &str, body: Value) -> Result<Response<Incoming>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::post(format!("{}{path}", provider.url()))
        .header("authorization", "Bearer sk-test")
        .body(Full::from(body.to_string()))?;
    Ok(client.request(request).await?)
}

async fn chat(provider: &FakeProvider, stream: bool) -> Result<Response<Incoming>> {
    post(provider, "/chat/completions", ask(stream)).await
}

fn ask(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

/// The body's frames until it ends; an error where it is cut.
async fn frames(response: Response<Incoming>) -> Result<Vec<Bytes>> {
    let mut body = response.into_body();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.extend(frame?.into_data());
    }
    Ok(frames)
}

async fn text(response: Response<Incoming>) -> String {
    let frames = frames(response).await.expect("a whole body");
    String::from_utf8(frames.concat()).expect("text")
}

async fn document(response: Response<Incoming>) -> Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}

#[tokio::test]
async fn unscripted_it_answers_every_endpoint_plausibly() {
    let provider = FakeProvider::start().await;
    let answer = document(chat(&provider, false).await.unwrap()).await;
    assert_eq!(answer["model"], "m");
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        "Hello from the fake provider."
    );
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15})
    );

    let asked = json!({"model": "m", "prompt": "hi"});
    let answer = document(post(&provider, "/completions", asked).await.unwrap()).await;
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(
        answer["choices"][0]["text"],
        "Hello from the fake provider."
    );

    let asked = json!({"model": "m", "input": ["a", "b"]});
    let answer = document(post(&provider, "/embeddings", asked).await.unwrap()).await;
    assert_eq!(answer["data"][1]["embedding"], json!([0.5, -0.25, 0.125]));
    let asked = json!({"model": "m", "input": [1, 2], "encoding_format": "base64"});
    let answer = document(post(&provider, "/embeddings", asked).await.unwrap()).await;
    assert_eq!(answer["data"][0]["embedding"], "AAAAPwAAgL4AAAA+");
    assert_eq!(answer["data"].as_array().unwrap().len(), 1);

    let unknown = post(&provider, "/nonsense", json!({})).await.unwrap();
    assert_eq!(unknown.status(), 404);
    let served = provider.served();
    assert_eq!((served.requests, served.abandoned), (5, 0));
    assert_eq!((served.prompt_tokens, served.completion_tokens), (36, 12));
}

#[tokio::test]
async fn a_stream_has_usage_only_when_asked_for() {
    let provider = FakeProvider::start().await;
    provider.always(Reply::text(["Hel", "lo"]).usage(7, 5));
    let plain = text(chat(&provider, true).await.unwrap()).await;
    assert!(!plain.contains("usage"));
    assert!(plain.ends_with("data: [DONE]\n\n"));

    let mut asked = ask(true);
    asked["stream_options"] = json!({"include_usage": true});
    let full = text(post(&provider, "/chat/completions", asked).await.unwrap()).await;
    let events: Vec<Value> = full
        .split("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    let content = |event: &Value| {
        event["choices"][0]["delta"]["content"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(
        events.iter().filter_map(content).collect::<String>(),
        "Hello"
    );
    assert_eq!(events.last().unwrap()["usage"]["total_tokens"], 12);
    assert_eq!(provider.served().completion_tokens, 10);
}

#[tokio::test]
async fn queued_replies_come_in_order_and_requests_are_kept() {
    let provider = FakeProvider::start().await;
    provider
        .reply(Reply::rate_limited(7))
        .reply(Reply::html(502, "<h1>Bad gateway</h1>"))
        .reply(Reply::json(&json!({"ok": 1})).header("content-type", "text/plain"));
    let first = chat(&provider, false).await.unwrap();
    assert_eq!(
        (first.status().as_u16(), &first.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    assert_eq!(document(first).await["error"]["type"], "rate_limit_error");
    let second = chat(&provider, false).await.unwrap();
    assert_eq!(second.headers()["content-type"], "text/html");
    assert_eq!(text(second).await, "<h1>Bad gateway</h1>");
    let third = chat(&provider, false).await.unwrap();
    assert_eq!(third.headers()["content-type"], "text/plain");

    let requests = provider.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].path, "/v1/chat/completions");
    assert_eq!(requests[0].header("authorization"), "Bearer sk-test");
    assert_eq!(provider.last_request().json(), ask(false));
}

#[tokio::test]
async fn replies_can_depend_on_the_request() {
    let provider = FakeProvider::start().await;
    provider.otherwise(|request| match request.json()["model"].as_str() {
        Some("m") => Reply::error(500, "api_error", "no"),
        _ => Reply::plausible(),
    });
    assert_eq!(chat(&provider, false).await.unwrap().status(), 500);
    let other = post(&provider, "/chat/completions", json!({"model": "n"})).await;
    assert_eq!(other.unwrap().status(), 200);
}

#[tokio::test]
async fn every_case_of_ours_is_replayed_byte_for_byte() {
    let provider = FakeProvider::start().await;
    for case in cases() {
        for split in [Split::Events, Split::Whole, Split::Bytes(7)] {
            provider.reply(Reply::recorded(&case).split(split));
            let answer = post(&provider, "/any", json!({})).await.unwrap();
            assert_eq!(answer.status(), case.entry.status);
            let kind = answer.headers()["content-type"].to_str().unwrap();
            assert_eq!(kind, case.response_headers["content-type"]);
            assert_eq!(
                text(answer).await.as_bytes(),
                case.response,
                "{}",
                case.name()
            );
        }
    }
    let usage = Recording::own("chat-stream-usage");
    let before = provider.served();
    provider.reply(Reply::recorded(&usage));
    frames(chat(&provider, true).await.unwrap()).await.unwrap();
    let after = provider.served();
    assert_eq!(after.prompt_tokens - before.prompt_tokens, 14);
    assert_eq!(after.completion_tokens - before.completion_tokens, 6);
}

#[tokio::test]
async fn every_recording_is_replayed_byte_for_byte() {
    let provider = FakeProvider::start().await;
    for recording in testkit::recordings(|_| true).unwrap_or_default() {
        provider.reply(Reply::recorded(&recording));
        let answer = post(&provider, "/any", json!({})).await.unwrap();
        let name = recording.name();
        assert_eq!(answer.status(), recording.entry.status, "{name}");
        let got = frames(answer).await.unwrap().concat();
        assert_eq!(got, recording.response, "{name}");
    }
}

#[tokio::test]
async fn chunks_come_one_by_one_at_their_pace() {
    let provider = FakeProvider::start().await;
    let pace = Duration::from_millis(15);
    provider.reply(Reply::text(["a", "b", "c"]).paced(pace).after(pace));
    let begun = Instant::now();
    let got = frames(chat(&provider, true).await.unwrap()).await.unwrap();
    // Opening, three pieces, finish, [DONE]: five pauses, and one before the head.
    assert_eq!(got.len(), 6);
    assert!(begun.elapsed() >= pace * 6);
}

#[tokio::test]
async fn the_head_comes_before_a_slow_first_chunk() {
    let provider = FakeProvider::start().await;
    provider.reply(Reply::text(["a"]).hang_after_chunks(0));
    let answer = chat(&provider, true).await.unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    assert_eq!(provider.served().chunks, 0);
    provider.release();
    assert!(text(answer).await.ends_with("[DONE]\n\n"));
}

#[tokio::test]
async fn a_cut_reaches_the_client_as_an_error_after_what_was_sent() {
    let provider = FakeProvider::start().await;
    provider.reply(Reply::text(["a", "b", "c"]).cut_after_chunks(2));
    let mut body = chat(&provider, true).await.unwrap().into_body();
    let mut got = Vec::new();
    let failed = loop {
        match body.frame().await {
            Some(Ok(frame)) => got.extend(frame.into_data()),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(failed);
    assert!(
        String::from_utf8(got.concat())
            .unwrap()
            .contains("\"content\":\"a\"")
    );

    provider.reply(Reply::text(["whole"]).cut_after_bytes(10));
    let answer = chat(&provider, false).await.unwrap();
    assert!(answer.headers().contains_key("content-length"));
    assert!(frames(answer).await.is_err());

    provider.reply(Reply::plausible().cut_before_head());
    assert!(chat(&provider, false).await.is_err());
    let served = provider.served();
    assert_eq!((served.abandoned, served.completion_tokens), (0, 1));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let provider = FakeProvider::start().await;
    provider.reply(Reply::text(["a", "b"]).usage(4, 2).hang_after_chunks(2));
    let answer = chat(&provider, true).await.unwrap();
    provider.until(|served| served.chunks == 2).await;
    drop(answer);
    let served = provider.until(|served| served.abandoned == 1).await;
    assert_eq!((served.prompt_tokens, served.completion_tokens), (4, 1));

    provider.reply(Reply::plausible().hang_before_head());
    tokio::select! {
        _ = chat(&provider, false) => panic!("nothing is to be said"),
        _ = provider.until(|served| served.requests == 2) => {}
    }
    provider.until(|served| served.abandoned == 2).await;
}
