//! Sessions over WebSocket: who gets one, what goes over it, what it costs, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use serde_json::{Value, json};
use store::ledger::LedgerRow;
use testkit::provider::Session;
use testkit::websocket::{Handshake, Message, connect};
use testkit::{Reply, Socket};

use crate::app::{MASTER_KEY, Setup, TestApp};

const MODELS: &str = r#"
model_list:
  - model_name: voice
    litellm_params: {model: openai/gpt-realtime, api_key: sk-provider, api_base: PROVIDER}
    model_info: {input_cost_per_token: 0.000004, output_cost_per_token: 0.000016,
      input_cost_per_audio_token: 0.000032, output_cost_per_audio_token: 0.000064,
      cache_read_input_token_cost: 0.0000004}
  - model_name: unpriced
    litellm_params: {model: openai_like/mystery, api_base: PROVIDER}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: sk-provider, api_base: PROVIDER}
"#;

/// What one answer of [`done`] costs: 50 text, 64 cached, 9 audio in; 30 text, 91 audio out.
const COST: i64 = 50 * 4_000 + 64 * 400 + 9 * 32_000 + 30 * 16_000 + 91 * 64_000;

fn done() -> Value {
    json!({"type": "response.done", "event_id": "event_9", "response": {
        "id": "resp_1", "status": "completed", "output": [{"transcript": "\"usage\": {"}],
        "usage": {"total_tokens": 244, "input_tokens": 123, "output_tokens": 121,
            "input_token_details": {"text_tokens": 110, "audio_tokens": 13, "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4}},
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91}}}})
}

fn created() -> Value {
    json!({"type": "response.created", "response": {"id": "resp_1"}})
}

async fn started() -> TestApp {
    Setup::default().config(MODELS).start().await
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

async fn asked(app: &TestApp, path: &str, key: &str) -> (Handshake, Socket) {
    let key = bearer(key);
    connect(app.address(), path, &[("authorization", &key)]).await
}

/// A session with the model `voice`, from the client to the provider.
async fn opened(app: &TestApp, key: &str) -> (Handshake, Socket, Session) {
    let (handshake, client) = asked(app, "/v1/realtime?model=voice", key).await;
    assert_eq!(handshake.status, 101, "{handshake:?}");
    let session = app.provider.session().await;
    (handshake, client, session)
}

/// The row of a session, once it has ended.
async fn row(app: &TestApp, handshake: &Handshake) -> LedgerRow {
    let domain = app.domain();
    let id = handshake.header("x-litellm-call-id");
    let look = async {
        loop {
            domain.ledger.flush().await.unwrap();
            if let Some(row) = store::ledger::find(&domain.db, id).await.unwrap() {
                return row;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(testkit::PATIENCE, look).await;
    found.unwrap_or_else(|_| panic!("no row of the session {id}"))
}

async fn key(app: &TestApp, what: Value) -> String {
    let made = app.post("/key/generate", what).await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/key")
}

#[tokio::test]
async fn a_session_goes_both_ways_and_is_paid_for() {
    let app = started().await;
    let key = key(&app, json!({"max_budget": 1.0})).await;
    let (handshake, mut client, mut session) = opened(&app, &key).await;
    assert_eq!(
        handshake.header("sec-websocket-accept"),
        "accepted dGhlIHNhbXBsZSBub25jZQ=="
    );
    assert_eq!(handshake.header("sec-websocket-extensions"), "");
    let request = &session.request;
    assert_eq!(request.path, "/v1/realtime?model=gpt-realtime");
    assert_eq!(request.header("authorization"), "Bearer sk-provider");
    assert_eq!(request.header("sec-websocket-extensions"), "");
    assert!(!format!("{request:?}").contains(&key));

    let session_created = json!({"type": "session.created",
        "session": {"id": "sess_1", "model": "gpt-realtime-2025-08-28"}});
    session.socket.send(&session_created).await;
    assert_eq!(client.receive_json().await, session_created);
    // more than any buffer, in frames cut within a message
    let audio = json!({"type": "input_audio_buffer.append", "audio": "QUJD".repeat(100_000)});
    client.send(&audio).await;
    assert_eq!(session.socket.receive_json().await, audio);
    client.send_frame(9, true, b"there?").await;
    let ping = session.socket.receive().await;
    assert_eq!(ping, Some(Message::Ping(b"there?".to_vec())));

    for _ in 0..2 {
        session.socket.send(&created()).await;
        let text = done().to_string();
        let (first, last) = text.as_bytes().split_at(40);
        session.socket.send_frame(1, false, first).await;
        session.socket.send_frame(9, true, b"").await;
        session.socket.send_frame(0, true, last).await;
        assert_eq!(client.receive_json().await, created());
        // a ping between the frames of a message goes on before the message is whole
        assert_eq!(client.receive().await, Some(Message::Ping(Vec::new())));
        assert_eq!(client.receive_json().await, done());
    }
    client.close(1000, "bye").await;
    let bye = session.socket.receive().await;
    assert_eq!(bye, Some(Message::Close(Some(1000), "bye".to_owned())));
    session.socket.close(1000, "bye").await;
    let answered = client.receive().await;
    assert_eq!(answered, Some(Message::Close(Some(1000), "bye".to_owned())));
    drop((client, session));

    let row = row(&app, &handshake).await;
    assert_eq!(
        (row.status.as_str(), row.endpoint.as_str()),
        ("completed", "_arealtime")
    );
    assert_eq!(row.cost.unwrap().0, 2 * COST);
    assert_eq!((row.input_tokens, row.cache_read_tokens), (100, 128));
    assert_eq!((row.input_audio_tokens, row.output_audio_tokens), (18, 182));
    assert_eq!(
        (row.output_tokens, row.usage_source.as_str()),
        (60, "provider")
    );
    assert_eq!(row.upstream_id.as_deref(), Some("sess_1"));
    assert_eq!(
        row.answered_model.as_deref(),
        Some("gpt-realtime-2025-08-28")
    );
    let info = app.get("/key/info").with_key(&key).await;
    let spend = info.json["info"]["spend"].as_f64().unwrap();
    assert!((spend - 2.0 * COST as f64 / 1e9).abs() < 1e-12, "{info}");
}

#[tokio::test]
async fn a_used_up_budget_ends_the_session_after_the_answer() {
    let app = started().await;
    let limit = 1.5 * COST as f64 / 1e9;
    let key = key(&app, json!({"max_budget": limit})).await;
    let (handshake, mut client, mut session) = opened(&app, &key).await;
    for _ in 0..2 {
        session.socket.send(&created()).await;
        session.socket.send(&done()).await;
        assert_eq!(client.receive_json().await, created());
        assert_eq!(client.receive_json().await, done());
    }
    let refused = client.receive_json().await;
    assert_eq!(refused["type"], "error");
    assert_eq!(refused["error"]["type"], "budget_exceeded");
    let closed = client.receive().await;
    assert!(
        matches!(&closed, Some(Message::Close(Some(1008), reason)) if reason.contains("Budget")),
        "{closed:?}"
    );
    let told = session.socket.receive().await;
    assert_eq!(told, Some(Message::Close(Some(1001), String::new())));
    drop(client);
    let row = row(&app, &handshake).await;
    assert_eq!(row.cost.unwrap().0, 2 * COST);
    assert_eq!(row.error_code.as_deref(), Some("budget_exceeded"));
    let (again, _) = asked(&app, "/v1/realtime?model=voice", &key).await;
    assert_eq!(again.status, 422, "{again:?}");
    assert!(again.body.contains("budget_exceeded"), "{again:?}");
}

#[tokio::test]
async fn a_key_that_is_blocked_meanwhile_gets_no_other_answer() {
    let app = started().await;
    let key = key(&app, json!({})).await;
    let (_, mut client, mut session) = opened(&app, &key).await;
    let blocked = app.post("/key/block", json!({"key": key})).await;
    assert_eq!(blocked.status, 200, "{blocked}");
    session.socket.send(&done()).await;
    assert_eq!(client.receive_json().await, done());
    assert_eq!(client.receive_json().await["error"]["type"], "auth_error");
    let closed = client.receive().await;
    assert!(
        matches!(closed, Some(Message::Close(Some(1008), _))),
        "{closed:?}"
    );
}

#[tokio::test]
async fn browsers_send_their_key_among_the_protocols() {
    let app = started().await;
    let key = key(&app, json!({})).await;
    let protocols = format!("realtime, openai-insecure-api-key.{key}, openai-beta.realtime-v1");
    let path = "/openai/v1/realtime?model=voice";
    let headers = [
        ("sec-websocket-protocol", protocols.as_str()),
        ("origin", "https://app.example"),
    ];
    let (handshake, _client) = connect(app.address(), path, &headers).await;
    assert_eq!(handshake.status, 101, "{handshake:?}");
    assert_eq!(handshake.header("sec-websocket-protocol"), "realtime");
    let request = app.provider.session().await.request;
    let offered = request.header("sec-websocket-protocol");
    assert_eq!(offered, "realtime, openai-beta.realtime-v1");
    assert!(!format!("{request:?}").contains(&key));
    let wrong = [(
        "sec-websocket-protocol",
        "realtime, openai-insecure-api-key.sk-nobody",
    )];
    let (refused, _) = connect(app.address(), path, &wrong).await;
    assert_eq!(refused.status, 401, "{refused:?}");
}

#[tokio::test]
async fn who_may_not_call_opens_nothing() {
    let app = started().await;
    let limited = key(&app, json!({"models": ["claude"]})).await;
    let poor = key(&app, json!({"max_budget": 1.0})).await;
    let elsewhere = key(&app, json!({"allowed_routes": ["/v1/chat/completions"]})).await;
    for (path, key, status, says) in [
        (
            "/v1/realtime?model=voice",
            "sk-wrong",
            401,
            "token_not_found",
        ),
        (
            "/v1/realtime?model=voice",
            limited.as_str(),
            403,
            "key_model_access_denied",
        ),
        (
            "/v1/realtime?model=voice",
            elsewhere.as_str(),
            403,
            "not allowed to call this route",
        ),
        (
            "/v1/realtime?model=unpriced",
            poor.as_str(),
            403,
            "has no price",
        ),
        ("/v1/realtime", MASTER_KEY, 400, "names no model"),
        ("/v1/realtime?model=nope", MASTER_KEY, 400, "nope"),
        (
            "/v1/realtime?model=claude",
            MASTER_KEY,
            400,
            "no realtime API",
        ),
        (
            "/v1/realtime?model=voice&intent=transcription",
            MASTER_KEY,
            400,
            "intent",
        ),
    ] {
        let (refused, _) = asked(&app, path, key).await;
        assert_eq!(refused.status, status, "{path}: {refused:?}");
        assert!(refused.body.contains(says), "{path}: {refused:?}");
    }
    let plain = app.get("/v1/realtime?model=voice").await;
    assert_eq!(plain.status, 426, "{plain}");
    assert_eq!(plain.header("upgrade"), "websocket");
    assert_eq!(app.provider.served().requests, 0);
}

#[tokio::test]
async fn a_provider_that_refuses_is_quoted() {
    let app = started().await;
    let refusal = Reply::error(404, "invalid_request_error", "no such model here");
    app.provider.refuse_sessions(refusal);
    let (refused, _) = asked(&app, "/v1/realtime?model=voice", MASTER_KEY).await;
    assert_eq!(refused.status, 404, "{refused:?}");
    assert!(refused.body.contains("no such model here"), "{refused:?}");
    assert_eq!(row(&app, &refused).await.status, "upstream_error");
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_cancelled_and_counted() {
    let app = started().await;
    let (handshake, mut client, mut session) = opened(&app, MASTER_KEY).await;
    session.socket.send(&created()).await;
    assert_eq!(client.receive_json().await, created());
    drop(client);
    let cancel = session.socket.receive_json().await;
    assert_eq!(cancel, json!({"type": "response.cancel"}));
    session.socket.send(&done()).await;
    let closed = session.socket.receive().await;
    assert_eq!(closed, Some(Message::Close(Some(1001), String::new())));
    let row = row(&app, &handshake).await;
    assert_eq!(row.cost.unwrap().0, COST);
    assert_eq!(row.status, "completed");
}

#[tokio::test]
async fn a_provider_that_breaks_off_is_told_of() {
    let app = started().await;
    let (handshake, mut client, session) = opened(&app, MASTER_KEY).await;
    drop(session);
    let failed = client.receive_json().await;
    assert_eq!(failed["error"]["type"], "upstream_error");
    let closed = client.receive().await;
    assert!(
        matches!(closed, Some(Message::Close(Some(1011), _))),
        "{closed:?}"
    );
    assert_eq!(client.receive().await, None);
    let row = row(&app, &handshake).await;
    assert_eq!(
        (row.status.as_str(), row.cost.unwrap().0),
        ("upstream_error", 0)
    );
}

#[tokio::test]
async fn a_provider_that_closes_says_why_itself() {
    let app = started().await;
    let (handshake, mut client, mut session) = opened(&app, MASTER_KEY).await;
    session.socket.close(1000, "session expired").await;
    drop(session);
    let closed = client.receive().await;
    assert_eq!(
        closed,
        Some(Message::Close(Some(1000), "session expired".to_owned()))
    );
    assert_eq!(client.receive().await, None);
    assert_eq!(row(&app, &handshake).await.status, "completed");
}

#[tokio::test]
async fn a_session_in_which_nobody_speaks_is_ended() {
    let app = Setup::default()
        .config(MODELS)
        .with("tollgate_settings: {session_idle_timeout: 1}")
        .start()
        .await;
    let (handshake, mut client, mut session) = opened(&app, MASTER_KEY).await;
    assert_eq!(client.receive_json().await["type"], "error");
    let closed = client.receive().await;
    assert!(
        matches!(closed, Some(Message::Close(Some(1001), _))),
        "{closed:?}"
    );
    let closed = session.socket.receive().await;
    assert!(
        matches!(closed, Some(Message::Close(Some(1001), _))),
        "{closed:?}"
    );
    drop(client);
    assert_eq!(row(&app, &handshake).await.status, "completed");
}

#[tokio::test]
async fn stopping_waits_for_the_answer_and_no_longer() {
    let mut app = started().await;
    let (handshake, mut client, mut session) = opened(&app, MASTER_KEY).await;
    session.socket.send(&created()).await;
    assert_eq!(client.receive_json().await, created());
    let running = app.take_running();
    let domain = running.domain.clone();
    let client = async {
        domain.tasks.draining().await;
        session.socket.send(&done()).await;
        assert_eq!(client.receive_json().await, done());
        assert_eq!(
            client.receive_json().await["error"]["type"],
            "service_unavailable"
        );
        let closed = client.receive().await;
        assert!(
            matches!(closed, Some(Message::Close(Some(1001), _))),
            "{closed:?}"
        );
        drop(client);
    };
    let stopped = async { tokio::join!(running.stop(), client) };
    tokio::time::timeout(testkit::PATIENCE, stopped)
        .await
        .expect("it stops as soon as the answer is done");
    app.restart().await;
    assert_eq!(row(&app, &handshake).await.cost.unwrap().0, COST);
}

#[tokio::test]
async fn providers_own_sockets_are_passed_on_where_no_money_is_to_be_held() {
    let app = Setup::default()
        .config(MODELS)
        .variable("GEMINI_API_KEY", "of-the-environment")
        .variable("GEMINI_API_BASE", "PROVIDER")
        .start()
        .await;
    let path = "/gemini/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=x";
    let poor = key(&app, json!({"max_budget": 1.0})).await;
    let (refused, _) = asked(&app, path, &poor).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("PERMISSION_DENIED"), "{refused:?}");
    let rich = key(&app, json!({})).await;
    let (handshake, mut client) = asked(&app, path, &rich).await;
    assert_eq!(handshake.status, 101, "{handshake:?}");
    let mut session = app.provider.session().await;
    assert_eq!(
        session.request.header("x-goog-api-key"),
        "of-the-environment"
    );
    assert!(
        !session.request.path.contains("key=x"),
        "{:?}",
        session.request
    );
    client.send(&json!({"setup": {"model": "models/m"}})).await;
    assert_eq!(
        session.socket.receive_json().await["setup"]["model"],
        "models/m"
    );
    session
        .socket
        .send_frame(2, true, b"{\"setupComplete\":{}}")
        .await;
    let came = client.receive().await;
    assert_eq!(
        came,
        Some(Message::Binary(b"{\"setupComplete\":{}}".to_vec()))
    );
    client.close(1000, "").await;
    assert!(matches!(
        session.socket.receive().await,
        Some(Message::Close(..))
    ));
    drop((client, session));
    let row = row(&app, &handshake).await;
    assert_eq!(
        (row.endpoint.as_str(), row.cost),
        ("pass_through_endpoint", None)
    );
}

#[tokio::test]
async fn other_protocols_that_a_client_would_like_are_left_out() {
    let app = Setup::default()
        .config(MODELS)
        .variable("ANTHROPIC_API_KEY", "sk-of-the-environment")
        .variable("ANTHROPIC_BASE_URL", "PROVIDER")
        .start()
        .await;
    let listed = app.get("/anthropic/v1/models");
    let listed = listed
        .header("connection", "Upgrade, HTTP2-Settings")
        .header("upgrade", "h2c");
    assert_eq!(listed.await.status, 200);
    assert_eq!(app.provider.last_request().header("upgrade"), "");
}
