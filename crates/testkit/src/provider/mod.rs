//! A provider that does as it is told: OpenAI's protocol over HTTP/1.1 on a loopback port.
//!
//! It runs inside the test's own runtime and ends with the value. POST requests take the queued
//! replies in order; when the queue is empty, and for every other method, the default answers:
//! one set by [`FakeProvider::otherwise`], or a plausible answer for the endpoint. Every request
//! is kept, and a client that leaves before its answer ended is noticed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

mod body;
mod render;
mod reply;

pub use reply::{Reply, Split};

use body::Script;

use crate::websocket::Socket;

/// A running fake provider; it stops when dropped.
pub struct FakeProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    sessions: tokio::sync::Mutex<mpsc::UnboundedReceiver<Session>>,
}

/// A WebSocket that a client has opened; the test plays the provider in it.
pub struct Session {
    pub request: Received,
    pub socket: Socket,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: Method,
    /// Path with query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a provider gave out so far; a bill would be written from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub requests: usize,
    /// Connections accepted.
    pub connections: usize,
    /// Chunks of bodies handed to the socket; a whole answer is one.
    pub chunks: usize,
    /// Prompt tokens of the answers of which at least a chunk was sent.
    pub prompt_tokens: u64,
    /// Completion tokens that the sent chunks carried.
    pub completion_tokens: u64,
    /// Answers that the client did not wait for: it closed the connection.
    pub abandoned: usize,
}

pub(crate) type Answering = dyn Fn(&Received) -> Reply + Send + Sync;

struct State {
    queue: VecDeque<Reply>,
    otherwise: Arc<Answering>,
    received: Vec<Received>,
    served: Served,
    /// What clients are answered that want a WebSocket, where they get none.
    refusal: Option<Reply>,
}

pub(crate) struct Shared {
    sessions: mpsc::UnboundedSender<Session>,
    state: Mutex<State>,
    /// Told of every change of the state, so that tests wait for conditions.
    changed: watch::Sender<()>,
    /// Counts the calls of [`FakeProvider::release`].
    released: watch::Sender<u64>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds it")
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Served)) {
        change(&mut self.state().served);
        self.changed.send_replace(());
    }
}

impl FakeProvider {
    /// Starts one on a free port of 127.0.0.1. It answers everything plausibly until told other.
    pub async fn start() -> FakeProvider {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has one");
        let (begun, sessions) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            sessions: begun,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                otherwise: Arc::new(|_| Reply::plausible()),
                received: Vec::new(),
                served: Served::default(),
                refusal: None,
            }),
            changed: watch::channel(()).0,
            released: watch::channel(0).0,
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with the value; a test kit has no shutdown to wait for it"
        )]
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        FakeProvider {
            address,
            shared,
            accepting,
            sessions: tokio::sync::Mutex::new(sessions),
        }
    }

    /// The next WebSocket that is opened here.
    ///
    /// # Panics
    /// When none is within [`crate::PATIENCE`].
    pub async fn session(&self) -> Session {
        let mut sessions = self.sessions.lock().await;
        match tokio::time::timeout(crate::PATIENCE, sessions.recv()).await {
            Ok(Some(session)) => session,
            Ok(None) | Err(_) => panic!("nobody opened a WebSocket at the provider"),
        }
    }

    /// Answers everybody so who wants a WebSocket.
    pub fn refuse_sessions(&self, reply: Reply) -> &FakeProvider {
        self.shared.state().refusal = Some(reply);
        self
    }

    /// The base URL as a deployment's `api_base` names it: ends in `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues a reply for the next POST request that has none.
    pub fn reply(&self, reply: Reply) -> &FakeProvider {
        self.shared.state().queue.push_back(reply);
        self
    }

    /// Answers with this whenever the queue is empty.
    pub fn always(&self, reply: Reply) -> &FakeProvider {
        self.otherwise(move |_| reply.clone())
    }

    /// Lets the closure decide whenever the queue is empty.
    pub fn otherwise(
        &self,
        answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> &FakeProvider {
        self.shared.state().otherwise = Arc::new(answer);
        self
    }

    /// Lets every reply that hangs now go on.
    pub fn release(&self) {
        self.shared.released.send_modify(|count| *count += 1);
    }

    /// Every request so far, the oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }

    /// The newest request; panics when there was none.
    pub fn last_request(&self) -> Received {
        let last = self.shared.state().received.last().cloned();
        last.expect("the provider was asked at least once")
    }

    pub fn served(&self) -> Served {
        self.shared.state().served
    }

    /// Waits until the figures satisfy the condition, and gives them.
    ///
    /// # Panics
    /// When they do not within [`crate::PATIENCE`].
    pub async fn until(&self, condition: impl Fn(&Served) -> bool) -> Served {
        let mut changed = self.shared.changed.subscribe();
        let wait = async {
            loop {
                changed.mark_unchanged();
                let served = self.served();
                if condition(&served) {
                    return served;
                }
                changed.changed().await.expect("self holds the sender");
            }
        };
        match tokio::time::timeout(crate::PATIENCE, wait).await {
            Ok(served) => served,
            Err(_) => panic!("did not happen at the provider: {:?}", self.served()),
        }
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Received {
    /// The body as JSON; panics where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// A header's value, empty where absent.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Held here, so that the connections end when this task is aborted.
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        shared.count(|served| served.connections += 1);
        connections.spawn(serve(socket, shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(|request| answer(request, shared.clone()));
    // An error here is a client that left or a cut the script asked for.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades()
        .await;
}

/// The script asks for the connection to be closed with no answer.
#[derive(Debug)]
struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed with no answer, as told")
    }
}

impl std::error::Error for NoAnswer {}

async fn answer(
    mut request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Script>, NoAnswer> {
    let upgrade = request
        .headers()
        .contains_key(UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Err(NoAnswer);
    };
    let path = head.uri.path_and_query();
    let received = Received {
        method: head.method,
        path: path.map_or_else(|| "/".to_owned(), ToString::to_string),
        headers: head.headers,
        body: body.to_bytes(),
    };
    let (queued, otherwise) = {
        let mut state = shared.state();
        state.received.push(received.clone());
        let post = received.method == Method::POST;
        let queued = post.then(|| state.queue.pop_front()).flatten();
        (queued, state.otherwise.clone())
    };
    let watched = body::Watched::new(shared.clone());
    shared.count(|served| served.requests += 1);
    let refusal = shared.state().refusal.clone();
    if let (Some(upgrade), None) = (upgrade, &refusal) {
        let head = accepted(&received);
        begin(upgrade, received, shared.sessions.clone());
        return Ok(head.map(|()| Script::new(VecDeque::new(), Some(0), 0, watched)));
    }
    let queued = queued.or(refusal.filter(|_| received.headers.contains_key(UPGRADE)));
    let reply = queued.unwrap_or_else(|| otherwise(&received));
    reply.perform(&received, watched).await.ok_or(NoAnswer)
}

/// The answer to a handshake. What is accepted is told by the client's key, though not hashed.
fn accepted(received: &Received) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = format!("accepted {}", received.header(SEC_WEBSOCKET_KEY.as_str()));
    let accept = HeaderValue::from_str(&accept).expect("made of a header's value");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    let offered = received.header(SEC_WEBSOCKET_PROTOCOL.as_str());
    let first = offered.split(',').next().unwrap_or_default().trim();
    if let Ok(first) = HeaderValue::from_str(first)
        && !first.is_empty()
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, first);
    }
    response
}

fn begin(
    upgrade: hyper::upgrade::OnUpgrade,
    request: Received,
    sessions: mpsc::UnboundedSender<Session>,
) {
    let begin = async move {
        if let Ok(upgraded) = upgrade.await {
            let socket = Socket::of_server(TokioIo::new(upgraded));
            // a test that does not ask for its sessions needs none
            let _ = sessions.send(Session { request, socket });
        }
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the handshake; a test kit has no shutdown to wait for it"
    )]
    tokio::spawn(begin);
}
