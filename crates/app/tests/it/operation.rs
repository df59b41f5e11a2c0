//! What an operator sees: pages, unknown paths, limits of connections, the end.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use store::spend::Filter;
use testkit::Reply;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::{Setup, TestApp, each_database};
use crate::watch::Read;

#[tokio::test]
async fn the_reference_page_is_served_without_a_key() {
    let app = Setup::default().start().await;
    let page = app.get("/docs").without_key().await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    let tag = page.header("etag").to_owned();
    let again = app.get("/docs").header("if-none-match", &tag).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[tokio::test]
async fn a_stopped_gateway_starts_again_on_its_data() {
    each_database(async |app| {
        app.restart().await;
        assert_eq!(app.get("/docs").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn anybody_may_ask_whether_it_lives_and_is_ready() {
    each_database(async |app| {
        for path in ["/health/liveliness", "/health/liveness"] {
            assert_eq!(app.get(path).without_key().await.json, "I'm alive!");
        }
        let ready = app.get("/health/readiness").without_key().await;
        assert_eq!(ready.status, 200);
        assert_eq!(ready.json, json!({"status": "healthy", "db": "connected"}));
        assert_eq!(
            app.get("/health/readiness/details")
                .without_key()
                .await
                .status,
            401
        );
        let details = app.get("/health/readiness/details").await;
        assert_eq!(details.text("/db"), "connected");

        app.domain().tasks.drain();
        let ready = app.get("/health/readiness").without_key().await;
        assert_eq!(
            (ready.status, ready.text("/status")),
            (503, "unhealthy".to_owned())
        );
        assert_eq!(app.get("/health/liveness").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn health_tells_which_upstreams_answer_and_asks_each_once() {
    let app = Setup::default().start().await;
    let health = app.get("/health").await;
    assert_eq!(health.status, 200, "{health}");
    assert_eq!(health.json["unhealthy_count"], 1);
    assert_eq!(
        health.text("/unhealthy_endpoints/0/api_base"),
        "http://127.0.0.1:9/v1"
    );
    assert_eq!(
        health.text("/unhealthy_endpoints/0/error"),
        "it could not be reached"
    );
    assert_eq!(health.json["healthy_count"], 6);
    // six deployments share one address and key, and asking again soon asks nobody
    app.get("/health").await;
    assert_eq!(app.provider.requests().len(), 1);
    assert_eq!(
        app.get("/health?model=gpt-4o").await.json["healthy_count"],
        1
    );
    assert_eq!(app.get("/health?model=broken-upstream").await.status, 503);
}

/// A transaction costs more than the rows in it: calls that follow each other are written together.
#[tokio::test]
async fn calls_share_the_transactions_of_the_ledger() {
    let app = Setup::default().start().await;
    app.provider.always(Reply::plausible());
    let begun = std::time::Instant::now();
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello!"}]});
    // something always comes while a batch is written
    let call_on = async || {
        for _ in 0..80 {
            let answer = app.post("/v1/chat/completions", body.clone()).await;
            assert_eq!(answer.status, 200, "{answer}");
        }
    };
    tokio::join!(call_on(), call_on(), call_on(), call_on());
    app.domain().ledger.flush().await.unwrap();
    let most = begun.elapsed().as_millis() / 200 + 3;
    let metrics = app.get("/metrics").await.to_string();
    let (_, count) = metrics
        .split_once("\ntollgate_ledger_batches_total ")
        .unwrap_or_else(|| panic!("{metrics}"));
    let count: u128 = count.lines().next().unwrap().parse().unwrap();
    assert!(0 < count && count <= most, "{count} and not {most}");
}

#[tokio::test]
async fn metrics_need_the_key_of_somebody_who_sees_everything() {
    let app = Setup::default().start().await;
    let none = app.get("/metrics").without_key().await;
    assert_eq!(none.status, 401);
    assert!(
        none.json
            .as_str()
            .is_some_and(|text| text.starts_with("Unauthorized access to metrics"))
    );
    let metrics = app.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(
        metrics.to_string().contains("tollgate_ledger_queue 0"),
        "{metrics}"
    );
    let open = Setup::default()
        .with("litellm_settings: {require_auth_for_metrics_endpoint: false}")
        .start()
        .await;
    assert_eq!(open.get("/metrics").without_key().await.status, 200);
}

#[tokio::test]
async fn the_document_and_the_routes_are_public() {
    let app = Setup::default().start().await;
    let document = app.get("/openapi.json").without_key().await;
    assert!(document.text("/openapi").starts_with("3.1"), "{document}");
    assert!(document.json["paths"]["/v1/models/{model_id}"].is_object());
    let routes = app.get("/routes").without_key().await;
    let routes = routes.json["routes"].as_array().expect("routes").clone();
    let new = routes
        .iter()
        .find(|route| route["path"] == "/model/new")
        .expect("a known route");
    assert_eq!(new["methods"], json!(["POST"]));
    let root = app.get("/").without_key().await;
    assert_eq!((root.status, root.header("location")), (307, "/docs"));
}

#[tokio::test]
async fn large_bodies_of_management_requests_are_refused() {
    let app = Setup::default()
        .with("tollgate_settings: {max_management_body_kb: 4}")
        .start()
        .await;
    let fits = app
        .post("/model/delete", json!({"id": "x".repeat(3000)}))
        .await;
    assert_eq!(fits.status, 400, "{fits}");
    let large = app
        .post("/model/delete", json!({"id": "x".repeat(5000)}))
        .await;
    assert_eq!(large.status, 413, "{large}");
    assert_eq!(large.text("/error/code"), "413");
}

/// What a client that speaks for itself is answered, up to the end of the connection.
async fn raw(app: &TestApp, request: &[u8]) -> String {
    let address = app.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the gateway listens");
    stream
        .write_all(request)
        .await
        .expect("the request is sent");
    let mut answer = Vec::new();
    // the gateway may reset the connection after its answer, as it has not read everything
    let reading = stream.read_to_end(&mut answer);
    let ended = tokio::time::timeout(testkit::PATIENCE, reading).await;
    ended.expect("the gateway closes the connection").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn heads_that_are_too_long_or_no_http_are_refused() {
    let app = Setup::default().start().await;
    let long = format!(
        "GET /docs HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(100_000)
    );
    let answer = raw(&app, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = raw(&app, b"EHLO mail\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_closes_the_connection() {
    let app = Setup::default()
        .with("tollgate_settings: {header_timeout: 0.2}")
        .start()
        .await;
    for begun in ["", "P", "GET /docs HT", "GET /docs HTTP/1.1\r\nhost: x\r\n"] {
        let answer = raw(&app, begun.as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{begun}: {answer}");
    }
}

#[tokio::test]
async fn http_2_is_spoken_with_those_who_begin_it() {
    let app = Setup::default().start().await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Empty<Bytes>>();
    let uri = format!("{}/health/liveness", app.url)
        .parse()
        .expect("a URL");
    let answer = client.get(uri).await.expect("an answer");
    assert_eq!(
        (answer.version(), answer.status().as_u16()),
        (http::Version::HTTP_2, 200)
    );
}

/// A stream that has begun and waits for the provider to be released.
async fn open_stream(app: &TestApp) -> Read {
    app.provider
        .reply(Reply::text(["Hello", " and", " goodbye"]).hang_after_chunks(2));
    let body = json!({"model": "gpt-4o", "stream": true,
        "messages": [{"role": "user", "content": "Hello!"}]});
    let answer = app.post("/v1/chat/completions", body).send().await;
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let first = body.frame().await.expect("a chunk").expect("a whole chunk");
    assert!(first.is_data());
    body
}

#[tokio::test]
async fn stopping_lets_an_open_stream_end_and_writes_its_row() {
    each_database(async |app| {
        let stream = open_stream(app).await;
        let stopping = app.take_running();
        let domain = stopping.domain.clone();
        let address = app.url.trim_start_matches("http://");
        let ending = async {
            while !domain.tasks.is_draining() {
                tokio::task::yield_now().await;
            }
            while TcpStream::connect(address).await.is_ok() {}
            let releasing = async {
                loop {
                    app.provider.release();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! {
                said = stream.collect() => said.expect("the stream ends as it should").to_bytes(),
                () = releasing => unreachable!("it never ends"),
            }
        };
        let (said, ()) = tokio::join!(ending, stopping.stop());
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.contains("goodbye") && said.ends_with("data: [DONE]\n\n"),
            "{said}"
        );
        let rows = store::spend::count(&app.database.db, &Filter::default(), 10).await;
        assert_eq!(rows.expect("the database answers"), 1);
    })
    .await;
}

#[tokio::test]
async fn stopping_cuts_off_what_does_not_end_in_time() {
    let mut app = Setup::default()
        .with("tollgate_settings: {shutdown_timeout: 0.2}")
        .start()
        .await;
    let stream = open_stream(&app).await;
    let stopping = app.take_running();
    let ended = tokio::time::timeout(testkit::PATIENCE, stopping.stop()).await;
    assert!(ended.is_ok(), "the gateway does not stop");
    assert!(
        stream.collect().await.is_err(),
        "the stream was not cut off"
    );
}

#[tokio::test]
async fn the_gateway_s_own_budget_binds_everybody_and_outlives_a_restart() {
    Setup::default()
        .with("litellm_settings: {max_budget: 0.0000001}")
        .each_database(async |app| {
            let call = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
            let first = app.post("/v1/chat/completions", call.clone()).await;
            assert_eq!(first.status, 200, "{first}");
            for _ in 0..2 {
                let second = app.post("/v1/chat/completions", call.clone()).await;
                assert_eq!(second.status, 422, "{second}");
                assert_eq!(second.text("/error/type"), "budget_exceeded");
                app.restart().await;
            }
        })
        .await;
}
