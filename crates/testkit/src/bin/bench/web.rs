//! A few HTTP calls outside the measured load.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::Result;

const PATIENCE: Duration = Duration::from_secs(20);

/// Calls and gives the JSON of an answer that says 200; anything else is an error that quotes it.
pub async fn call(
    method: Method,
    address: SocketAddr,
    path: &str,
    key: &str,
    body: Option<&Value>,
) -> Result<Value> {
    let what = format!("{method} {path}");
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::<Bytes>::from(
            body.map(Value::to_string).unwrap_or_default(),
        ))
        .map_err(|error| format!("{what}: {error}"))?;
    let answered = async {
        let answer = Client::builder(TokioExecutor::new())
            .build_http()
            .request(request)
            .await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if !status.is_success() {
            return Err(format!("{status} {}", String::from_utf8_lossy(&body)));
        }
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    };
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(result) => result.map_err(|error: String| format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: no answer within {PATIENCE:?}")),
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> Result<SocketAddr> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    bound.map_err(|error| format!("no free port: {error}"))
}

/// A small chat request, as the load generator's.
pub fn hello() -> Value {
    serde_json::json!({
        "model": crate::gateway::MODEL,
        "messages": [{"role": "user", "content": "hello"}],
    })
}
