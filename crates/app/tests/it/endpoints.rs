//! The endpoints that are no chats: sound, pictures, rankings, moderations. What the provider is asked,
//! what the client gets, and what the ledger says of it.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use base::Money;
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use testkit::{Reply, Split};

use crate::app::{Call, Setup, TestApp};

const MODELS: &str = r#"
model_list:
  - model_name: ears
    litellm_params: {model: openai/whisper-1, api_key: sk-provider, api_base: PROVIDER}
  - model_name: listener
    litellm_params: {model: openai/gpt-4o-transcribe, api_key: sk-provider, api_base: PROVIDER}
  - model_name: voice
    litellm_params: {model: openai/tts-1, api_key: sk-provider, api_base: PROVIDER}
  - model_name: painter
    litellm_params: {model: openai/gpt-image-1, api_key: sk-provider, api_base: PROVIDER}
  - model_name: imagine
    litellm_params: {model: xai/grok-imagine-image, api_key: sk-provider, api_base: PROVIDER}
  - model_name: judge
    litellm_params: {model: openai/omni-moderation-latest, api_key: sk-provider, api_base: PROVIDER}
  - model_name: rank
    litellm_params: {model: cohere/rerank-v3.5, api_key: sk-provider, api_base: PROVIDER}
  - model_name: local-rank
    litellm_params: {model: hosted_vllm/bge, api_key: sk-provider, api_base: PROVIDER,
      input_cost_per_token: 0.000001}
  - model_name: mocked
    litellm_params: {model: openai/whisper-1, mock_response: hi}
"#;

const FORM: &str = "multipart/form-data; boundary=a-boundary-0123";

async fn started() -> TestApp {
    Setup::default()
        .config(MODELS)
        .variable("OPENAI_API_KEY", "sk-of-the-environment")
        .variable("OPENAI_API_BASE", "PROVIDER")
        .start()
        .await
}

fn cost(dollars: &str) -> Option<Money> {
    Some(Money::from_dollars(dollars).unwrap())
}

/// A form with these fields, and a file that holds what forms are made of.
fn form(fields: &[(&str, &str)]) -> Bytes {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!(
            "--a-boundary-0123\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend(part.into_bytes());
    }
    let head = "--a-boundary-0123\r\nContent-Disposition: form-data; name=\"file\"; \
                filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n";
    body.extend(head.as_bytes());
    body.extend((0..80_000_u32).map(|n| (n % 251) as u8));
    body.extend(b"\r\n--a-boundary-0123--\r\n");
    body.into()
}

fn sent<'a>(app: &'a TestApp, path: &str, body: Bytes) -> Call<'a> {
    app.call(Method::POST, path, None)
        .header("content-type", FORM)
        .body(body)
}

#[tokio::test]
async fn a_form_goes_on_with_the_providers_model_and_nothing_else_changed() {
    let app = started().await;
    let transcript = json!({"text": "Hi.", "usage": {"type": "duration", "seconds": 60}});
    for path in [
        "/v1/audio/transcriptions",
        "/audio/transcriptions",
        "/v1/audio/translations",
    ] {
        app.provider.reply(Reply::json(&transcript));
        let own = [("litellm_metadata", r#"{"tags": ["t"]}"#)];
        let public = [
            ("model", "ears"),
            ("user", "u1"),
            own[0],
            ("response_format", "json"),
        ];
        let answer = sent(&app, path, form(&public)).await;
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(answer.body, transcript.to_string());
        let asked = app.provider.last_request();
        assert!(
            asked.path.ends_with(path.trim_start_matches("/v1")),
            "{}",
            asked.path
        );
        assert_eq!(asked.header("content-type"), FORM);
        assert_eq!(asked.header("authorization"), "Bearer sk-provider");
        let upstream = [
            ("model", "whisper-1"),
            ("user", "u1"),
            ("response_format", "json"),
        ];
        assert!(asked.body == form(&upstream), "the form has changed");
        let row = app.row(&answer).await;
        assert_eq!(row.endpoint, "atranscription");
        assert_eq!(row.units["milliseconds"], json!(60_000));
        assert_eq!(
            (row.cost, row.usage_source.as_str()),
            (cost("0.006"), "provider")
        );
        assert_eq!(row.end_user.as_deref(), Some("u1"));
        assert_eq!(*row.tags, ["t"]);
        assert_eq!(answer.header("x-litellm-response-cost"), "0.006");
    }
}

#[tokio::test]
async fn the_model_of_the_path_is_the_one_that_is_asked() {
    let app = started().await;
    for fields in [&[][..], &[("model", "voice")]] {
        app.provider.reply(Reply::json(&json!({"text": "Hi."})));
        let path = "/openai/deployments/ears/audio/transcriptions";
        let answer = sent(&app, path, form(fields)).await;
        assert_eq!(answer.status, 200, "{answer}");
        assert!(app.provider.last_request().body == form(&[("model", "whisper-1")]));
    }
}

#[tokio::test]
async fn a_transcript_that_hides_its_usage_is_estimated() {
    let app = started().await;
    app.provider.reply(Reply::bytes("text/plain", "Hi."));
    let fields = [("model", "ears"), ("response_format", "text")];
    let answer = sent(&app, "/v1/audio/transcriptions", form(&fields)).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"Hi."[..]));
    assert_eq!(answer.header("content-type"), "text/plain");
    assert_eq!(answer.header("x-tollgate-usage-source"), "estimated");
    let row = app.row(&answer).await;
    // 80 kB of compressed speech
    assert_eq!(row.units["milliseconds"], json!(10_000));
    assert_eq!((row.cost, row.input_tokens), (cost("0.001"), 0));
}

#[tokio::test]
async fn a_streamed_transcript_is_counted() {
    let app = started().await;
    let events = [
        json!({"type": "transcript.text.delta", "delta": "Hi"}),
        json!({"type": "transcript.text.done", "text": "Hi", "usage": {"type": "tokens",
            "input_tokens": 100, "input_token_details": {"text_tokens": 0, "audio_tokens": 100},
            "output_tokens": 10, "total_tokens": 110}}),
    ];
    let stream: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    app.provider
        .reply(Reply::events(stream.clone()).split(Split::Bytes(9)));
    let fields = [("model", "listener"), ("stream", "true")];
    let answer = sent(&app, "/v1/audio/transcriptions", form(&fields)).await;
    assert_eq!(answer.body, stream);
    let row = app.row(&answer).await;
    assert!(row.stream);
    assert_eq!((row.input_audio_tokens, row.output_tokens), (100, 10));
    assert_eq!(
        (row.cost, row.usage_source.as_str()),
        (cost("0.00035"), "provider")
    );
}

#[tokio::test]
async fn forms_that_are_none_are_refused() {
    let app = started().await;
    let good = form(&[("model", "ears")]);
    let twice = form(&[("model", "ears"), ("model", "voice")]);
    for (kind, body, parameter) in [
        (FORM, form(&[]), "model"),
        (FORM, twice, "model"),
        (FORM, good.slice(..good.len() - 8), "request_body"),
        (FORM, good.slice(..40), "request_body"),
        (FORM, Bytes::new(), "request_body"),
        ("multipart/form-data", good.clone(), "request_body"),
        (
            "multipart/form-data; boundary=other",
            good.clone(),
            "request_body",
        ),
        (
            "multipart/mixed; boundary=a-boundary-0123",
            good.clone(),
            "request_body",
        ),
        ("application/json", good.clone(), "request_body"),
    ] {
        let call = app.call(Method::POST, "/v1/audio/transcriptions", None);
        let answer = call.header("content-type", kind).body(body).await;
        assert_eq!(answer.status, 400, "{kind}: {answer}");
        assert_eq!(answer.text("/error/param"), parameter, "{answer}");
    }
    let answer = sent(&app, "/v1/chat/completions", good).await;
    assert_eq!(answer.status, 400, "{answer}");
    let unknown = sent(
        &app,
        "/v1/audio/transcriptions",
        form(&[("model", "nobody")]),
    )
    .await;
    assert_eq!(unknown.status, 400, "{unknown}");
    let mocked = sent(
        &app,
        "/v1/audio/transcriptions",
        form(&[("model", "mocked")]),
    )
    .await;
    assert_eq!(
        (mocked.status, mocked.text("/error/param")),
        (400, "model".to_owned())
    );
    assert_eq!(app.provider.served().requests, 0);
}

#[tokio::test]
async fn a_key_calls_no_model_but_its_own_by_a_form() {
    let app = started().await;
    let key = app
        .post("/key/generate", json!({"models": ["voice"]}))
        .await
        .text("/key");
    for (path, model) in [
        ("/v1/audio/transcriptions", "ears"),
        ("/openai/v1/audio/transcriptions", "whisper-1"),
    ] {
        let answer = sent(&app, path, form(&[("model", model)]))
            .with_key(&key)
            .await;
        assert!(matches!(answer.status, 401 | 403), "{answer}");
    }
    assert_eq!(app.provider.served().requests, 0);
}

#[tokio::test]
async fn speech_flows_as_it_comes() {
    let app = started().await;
    let sound: Vec<u8> = (0..50_000_u32).map(|n| (n % 253) as u8).collect();
    let reply = Reply::bytes("audio/mpeg", sound.clone());
    app.provider
        .reply(reply.split(Split::Bytes(1_000)).hang_after_chunks(3));
    let asked = json!({"model": "voice", "input": "héllo", "voice": "alloy"});
    let answer = app.post("/v1/audio/speech", asked.clone()).send().await;
    assert_eq!(answer.headers()["content-type"], "audio/mpeg");
    let id = answer.headers()["x-litellm-call-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let mut body = answer.into_body();
    let mut got = Vec::new();
    // the provider says no more before it is released, so this came without waiting for the rest
    while got.len() < 3_000 {
        got.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    app.provider.release();
    got.extend(body.collect().await.unwrap().to_bytes());
    assert!(got == sound, "the sound has changed");
    assert_eq!(app.provider.last_request().json()["model"], "tts-1");
    let row = app.row_of(&id).await;
    assert_eq!(
        (row.status.as_str(), row.units["characters"].clone()),
        ("completed", json!(5))
    );
    assert_eq!(
        (row.cost, row.usage_source.as_str()),
        (cost("0.000075"), "estimated")
    );
}

#[tokio::test]
async fn speech_that_breaks_off_breaks_off_for_the_client() {
    let app = started().await;
    let reply = Reply::bytes("audio/mpeg", vec![1; 50_000]);
    app.provider
        .reply(reply.split(Split::Bytes(1_000)).cut_after_chunks(3));
    let asked = json!({"model": "voice", "input": "hello", "voice": "alloy"});
    let answer = app.post("/v1/audio/speech", asked).send().await;
    let id = answer.headers()["x-litellm-call-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let got = answer.into_body().collect().await;
    assert!(got.is_err(), "a piece that looks whole");
    let row = app.row_of(&id).await;
    assert_eq!(
        (row.status.as_str(), row.cost),
        ("upstream_error", cost("0.000075"))
    );
}

#[tokio::test]
async fn speech_as_events_says_what_it_used() {
    let app = started().await;
    let events = [
        json!({"type": "speech.audio.delta", "audio": "AAAA"}),
        json!({"type": "speech.audio.done",
            "usage": {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}}),
    ];
    let stream: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    app.provider.reply(Reply::events(stream.clone()));
    let asked = json!({"model": "voice", "input": "hello", "voice": "alloy",
        "stream_format": "sse"});
    let answer = app.post("/v1/audio/speech", asked).await;
    assert_eq!(answer.body, stream);
    let row = app.row(&answer).await;
    assert!(row.stream);
    assert_eq!((row.input_tokens, row.output_audio_tokens), (10, 20));
    // tts-1 is priced by the character alone
    assert_eq!((row.cost, row.usage_source.as_str()), (None, "provider"));
}

#[tokio::test]
async fn pictures_are_counted_and_edited_by_form_or_json() {
    let app = started().await;
    let counted = json!({"created": 1, "data": [{"b64_json": "AAAA"}], "usage": {
        "input_tokens": 50, "output_tokens": 272, "total_tokens": 322,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}});
    app.provider.reply(Reply::json(&counted));
    let fields = [("model", "painter"), ("prompt", "a cat"), ("n", "1")];
    let answer = sent(&app, "/v1/images/edits", form(&fields)).await;
    assert_eq!(answer.body, counted.to_string());
    let upstream = [("model", "gpt-image-1"), ("prompt", "a cat"), ("n", "1")];
    assert!(app.provider.last_request().body == form(&upstream));
    let edited = app.row(&answer).await;
    assert_eq!(
        (edited.input_image_tokens, edited.output_image_tokens),
        (40, 272)
    );
    assert_eq!(
        (edited.endpoint.as_str(), edited.cost),
        ("aimage_edit", cost("0.01133"))
    );

    app.provider.reply(Reply::json(&counted));
    let asked = json!({"model": "painter", "prompt": "a cat", "images": [{"image_url": "u"}]});
    let answer = app.post("/v1/images/edits", asked).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(app.provider.last_request().json()["model"], "gpt-image-1");

    let plain = json!({"created": 1, "data": [{"url": "https://a"}, {"url": "https://b"}]});
    app.provider.reply(Reply::json(&plain));
    let asked = json!({"model": "imagine", "prompt": "a cat", "n": 2});
    let answer = app.post("/v1/images/generations", asked).await;
    assert_eq!(answer.body, plain.to_string());
    let drawn = app.row(&answer).await;
    assert_eq!(
        (drawn.units["images"].clone(), drawn.cost),
        (json!(2), cost("0.04"))
    );
}

#[tokio::test]
async fn rankings_and_moderations_are_counted() {
    let app = started().await;
    let ranked = json!({"id": "1", "results": [{"index": 0, "relevance_score": 0.7}],
        "meta": {"billed_units": {"search_units": 2}}});
    let asked = |model: &str| json!({"model": model, "query": "q", "documents": ["a"]});
    for path in ["/v1/rerank", "/v2/rerank", "/rerank"] {
        app.provider.reply(Reply::json(&ranked));
        let answer = app.post(path, asked("rank")).await;
        assert_eq!(answer.body, ranked.to_string());
        assert_eq!(app.provider.last_request().path, "/v2/rerank");
        let row = app.row(&answer).await;
        assert_eq!(row.units["search_units"], json!(2));
        assert_eq!(
            (row.cost, row.usage_source.as_str()),
            (cost("0.004"), "provider")
        );
    }
    let jina = json!({"model": "local-rank", "results": [], "usage": {"total_tokens": 17}});
    app.provider.reply(Reply::json(&jina));
    let answer = app.post("/v1/rerank", asked("local-rank")).await;
    assert_eq!(answer.body, jina.to_string());
    let local = app.row(&answer).await;
    assert_eq!((local.input_tokens, local.cost), (17, cost("0.000017")));

    let judged = json!({"id": "modr-1", "model": "judge", "results": [{"flagged": false}]});
    app.provider.reply(Reply::json(&judged));
    let answer = app
        .post("/v1/moderations", json!({"model": "judge", "input": "x"}))
        .await;
    assert_eq!(answer.body, judged.to_string());
    assert_eq!(app.row(&answer).await.cost, Some(Money::ZERO));
}

#[tokio::test]
async fn a_form_passes_through_as_it_is() {
    let app = started().await;
    let transcript = json!({"text": "Hi.", "usage": {"type": "duration", "seconds": 60}});
    app.provider.reply(Reply::json(&transcript));
    let body = form(&[("model", "whisper-1"), ("tags", "t")]);
    let answer = sent(&app, "/openai/v1/audio/transcriptions", body.clone()).await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &Bytes::from(transcript.to_string()))
    );
    let asked = app.provider.last_request();
    assert_eq!(
        (asked.header("content-type"), asked.body == body),
        (FORM, true)
    );
    assert!(
        asked.path.ends_with("/audio/transcriptions"),
        "{}",
        asked.path
    );
    let passed = app.row(&answer).await;
    assert_eq!(passed.requested_model, "whisper-1");
    assert_eq!(passed.units["milliseconds"], json!(60_000));
    assert_eq!(
        (passed.cost, passed.endpoint.as_str()),
        (cost("0.006"), "pass_through_endpoint")
    );

    let sound = vec![7; 30_000];
    app.provider
        .reply(Reply::bytes("audio/mpeg", sound.clone()));
    let asked = json!({"model": "tts-1", "input": "hello", "voice": "alloy"});
    let answer = app.post("/openai/v1/audio/speech", asked).await;
    assert!(answer.body == sound);
    let passed = app.row(&answer).await;
    assert_eq!(
        (passed.units["characters"].clone(), passed.cost),
        (json!(5), cost("0.000075"))
    );
}

/// Recorded traffic of these endpoints: path, form or not, and the model's own name.
fn recorded(entry: &testkit::recordings::Entry) -> Option<(&'static str, &'static str)> {
    let path = match entry.api.as_str() {
        "transcription" => "/v1/audio/transcriptions",
        "images" => "/v1/images/generations",
        "moderation" => "/v1/moderations",
        "rerank" => "/v1/rerank",
        _ => return None,
    };
    let prefix = match entry.provider.as_str() {
        "openai" => "openai",
        "mistral" => "mistral",
        "llamacpp" => "llamacpp",
        // their pictures and transcriptions have paths and shapes of their own
        "openrouter" if entry.api == "rerank" => "openrouter",
        "cohere" if entry.api == "rerank" => "cohere",
        _ => return None,
    };
    Some((path, prefix))
}

/// What the recorded answer used, as its own words say.
fn recorded_units(answer: &Value) -> Option<(&'static str, i64)> {
    let at = |pointer: &str| answer.pointer(pointer).and_then(Value::as_i64);
    at("/meta/billed_units/search_units")
        .map(|units| ("search_units", units))
        .or(at("/usage/prompt_audio_seconds").map(|seconds| ("milliseconds", seconds * 1000)))
        .or(at("/usage/total_tokens").map(|tokens| ("tokens", tokens)))
        .or(answer["data"]
            .as_array()
            .map(|data| ("images", data.len() as i64)))
}

#[tokio::test]
async fn what_was_recorded_reaches_the_client_and_is_accounted_for() {
    let Some(recordings) = testkit::recordings(|entry| recorded(entry).is_some()) else {
        return;
    };
    let mut models = Vec::new();
    for (index, recording) in recordings.iter().enumerate() {
        let (_, prefix) = recorded(&recording.entry).unwrap();
        let answer: Value = serde_json::from_slice(&recording.response).unwrap_or_default();
        // under the name that the answer bears, so that not one byte has a reason to change
        let name = answer["model"]
            .as_str()
            .map_or(format!("recorded-{index}"), str::to_owned);
        models.push(json!({"model_name": name, "litellm_params": {
            "model": format!("{prefix}/some-model"), "api_key": "sk-of-a-recording-5af2", "api_base": "PROVIDER"}}));
    }
    let config = json!({ "model_list": models }).to_string();
    let app = Setup::default().config(&config).start().await;
    for (recording, model) in recordings.iter().zip(&models) {
        let (path, _) = recorded(&recording.entry).unwrap();
        let model = model["model_name"].as_str().unwrap();
        app.provider.reply(Reply::recorded(recording));
        let answer = match &recording.request {
            None => {
                let stream = if recording.streams() { "true" } else { "false" };
                sent(&app, path, form(&[("model", model), ("stream", stream)])).await
            }
            Some(request) => {
                let mut asked: Value = serde_json::from_slice(request).unwrap();
                asked["model"] = model.into();
                app.post(path, asked).await
            }
        };
        let name = recording.name();
        assert_eq!(answer.status, recording.entry.status, "{name}");
        if answer.status != 200 {
            assert!(
                answer.json["error"]["message"].is_string(),
                "{name}: {answer}"
            );
            continue;
        }
        assert!(answer.body == recording.response, "{name}: {answer}");
        let row = app.row(&answer).await;
        let text = String::from_utf8_lossy(&recording.response).into_owned();
        let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let documents = events.chain([text.as_str()]);
        let documents = documents.filter_map(|text| serde_json::from_str(text.trim()).ok());
        let used = documents
            .filter_map(|document| recorded_units(&document))
            .next_back();
        let Some((unit, count)) = used else {
            assert_eq!(row.usage_source, "estimated", "{name}");
            continue;
        };
        assert_eq!(row.usage_source, "provider", "{name}");
        let counted = match unit {
            "tokens" => row.prompt_tokens() + row.completion_tokens(),
            unit => row.units.get(unit).and_then(Value::as_i64).unwrap_or(0),
        };
        assert_eq!(counted, count, "{name}: {unit}");
    }
    assert!(recordings.len() >= 10, "only {}", recordings.len());
}
