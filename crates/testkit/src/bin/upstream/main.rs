//! The provider that the bench measures against: OpenAI's chat completions, whole and streamed,
//! at some 10 µs of CPU a request on one thread, so that it is never what is measured.
//!
//! `POST /knobs?name=value&…` sets the knobs, `GET /counts` tells what was served to callers that
//! put `/gateway` before the path: the sum that a ledger has to arrive at.

#![expect(clippy::print_stdout, reason = "says the address it listens on")]

mod stream;
mod wire;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use clap::Parser;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use stream::{Answer, Paced};
use wire::Events;

#[derive(Parser)]
#[command(about = "A fast provider for load tests")]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// What shapes an answer.
#[derive(Clone, Copy)]
pub struct Knobs {
    /// Before the head of a whole answer, or a stream's first chunk.
    pub first_ms: u32,
    /// Between two chunks of a stream.
    pub chunk_ms: u32,
    /// Chunks with text in a stream, and the completion tokens of any answer.
    pub chunks: u32,
    /// Bytes of text in a chunk.
    pub chunk_bytes: u32,
    /// Bytes of text in a whole answer.
    pub body_bytes: u32,
    /// 1: the text of a chunk opens with `@<time of sending in ns>@`.
    pub stamp: u32,
}

const KNOBS: Knobs = Knobs {
    first_ms: 0,
    chunk_ms: 0,
    chunks: 50,
    chunk_bytes: 8,
    body_bytes: 256,
    stamp: 0,
};

impl Knobs {
    /// Those of a query, the defaults for what it leaves out; `None` for an unknown one.
    fn of(query: &str) -> Option<Knobs> {
        let mut knobs = KNOBS;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let knob = match name {
                "first_ms" => &mut knobs.first_ms,
                "chunk_ms" => &mut knobs.chunk_ms,
                "chunks" => &mut knobs.chunks,
                "chunk_bytes" => &mut knobs.chunk_bytes,
                "body_bytes" => &mut knobs.body_bytes,
                "stamp" => &mut knobs.stamp,
                _ => return None,
            };
            *knob = value.parse().ok()?;
        }
        Some(knobs)
    }
}

/// Answers given whole to callers under `/gateway`, and the tokens their usage stated.
#[derive(Default)]
pub struct Counts {
    answers: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

impl Counts {
    pub fn add(&self, prompt_tokens: u64, completion_tokens: u64) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.prompt_tokens
            .fetch_add(prompt_tokens, Ordering::Relaxed);
        self.completion_tokens
            .fetch_add(completion_tokens, Ordering::Relaxed);
    }
}

struct Upstream {
    knobs: Mutex<Knobs>,
    counts: Arc<Counts>,
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(arguments.listen))
}

async fn serve(address: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    let upstream = Arc::new(Upstream {
        knobs: Mutex::new(KNOBS),
        counts: Arc::default(),
    });
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let _ = socket.set_nodelay(true);
        let upstream = upstream.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "the process is ended by a signal"
        )]
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&upstream, request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(
    upstream: &Upstream,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let path = request.uri().path();
    let counted = path.strip_prefix("/gateway");
    Ok(match (request.method(), counted.unwrap_or(path)) {
        (&Method::POST, "/v1/chat/completions") => {
            let counts = counted.map(|_| upstream.counts.clone());
            let knobs = *upstream.knobs.lock().expect("nothing panics with it");
            chat(knobs, counts, request).await
        }
        (&Method::POST, "/knobs") => match Knobs::of(request.uri().query().unwrap_or_default()) {
            Some(knobs) => {
                *upstream.knobs.lock().expect("nothing panics with it") = knobs;
                json(StatusCode::OK, "{}".into())
            }
            None => refuse(StatusCode::BAD_REQUEST, "unknown knob"),
        },
        (&Method::GET, "/counts") => {
            let counts = &upstream.counts;
            let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
            let body = format!(
                r#"{{"answers":{},"prompt_tokens":{},"completion_tokens":{}}}"#,
                count(&counts.answers),
                count(&counts.prompt_tokens),
                count(&counts.completion_tokens)
            );
            json(StatusCode::OK, body.into())
        }
        (&Method::GET, "/v1/models") => {
            let model = r#"{"id":"bench-upstream","object":"model","created":1700000000,"owned_by":"bench"}"#;
            json(
                StatusCode::OK,
                format!(r#"{{"object":"list","data":[{model}]}}"#).into(),
            )
        }
        _ => refuse(StatusCode::NOT_FOUND, "unknown path"),
    })
}

async fn chat(
    knobs: Knobs,
    counts: Option<Arc<Counts>>,
    request: Request<Incoming>,
) -> Response<Answer> {
    let Ok(body) = request.into_body().collect().await else {
        return refuse(StatusCode::BAD_REQUEST, "half a body");
    };
    let body = body.to_bytes();
    let Ok(asked) = serde_json::from_slice::<wire::Request>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "not a chat request");
    };
    // A caller can compute it for itself.
    let prompt_tokens = (body.len() as u64 / 4).max(1);
    if asked.stream.unwrap_or(false) {
        let events = Events::new(&asked, prompt_tokens, knobs);
        let paced = Paced::new(events, knobs, prompt_tokens, counts);
        let mut answer = Response::new(Answer::Stream(Box::new(paced)));
        let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        return answer;
    }
    if knobs.first_ms > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(knobs.first_ms.into())).await;
    }
    if let Some(counts) = counts {
        counts.add(prompt_tokens, knobs.chunks.into());
    }
    json(StatusCode::OK, wire::whole(&asked, prompt_tokens, knobs))
}

fn refuse(status: StatusCode, message: &str) -> Response<Answer> {
    let body = format!(
        r#"{{"error":{{"message":"{message}","type":"invalid_request_error","param":null,"code":null}}}}"#
    );
    json(status, body.into())
}

fn json(status: StatusCode, body: Bytes) -> Response<Answer> {
    let mut answer = Response::new(Answer::Whole(Some(body)));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
