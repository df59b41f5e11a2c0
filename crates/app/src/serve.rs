//! Listening: from sockets to requests, and from a request to the part of the gateway it is for.
//!
//! A connection must send its head in time, is told at once when small answers are ready
//! (`TCP_NODELAY`), and ends with its open call when the process stops. The data plane is asked
//! first, and pays for nothing that it does not need.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::routes::{Body, Gateway};
use crate::workers::{Connection, Workers};

/// Limits of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long the head of a request may take, and an idle connection may stay.
    pub header_timeout: Duration,
    /// How long open calls may take after the process was asked to stop.
    pub shutdown_timeout: Duration,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// Longer heads are answered with 431.
    pub max_header_bytes: usize,
    /// Longer bodies of management requests are answered with 413.
    pub max_management_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            header_timeout: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(60),
            max_connections: 16_384,
            max_header_bytes: 64 * 1024,
            max_management_bytes: 8 * 1024 * 1024,
        }
    }
}

/// Listens until [`Server::stop`].
pub struct Server {
    pub addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    _workers: Arc<Workers>,
}

struct Shared {
    config: Config,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Ends connections after their open call.
    stop: CancellationToken,
    /// Ends connections at once.
    kill: CancellationToken,
}

impl Server {
    /// Binds all addresses (`host:port`) and starts accepting; connections are served by one worker
    /// for each gateway.
    ///
    /// # Errors
    /// An address that cannot be bound, with its name.
    pub async fn start(
        addresses: &[String],
        config: Config,
        gateways: Vec<Gateway>,
    ) -> Result<Server> {
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))?;
            listeners.push(listener);
        }
        let bound: std::io::Result<_> = listeners.iter().map(TcpListener::local_addr).collect();
        let shared = Arc::new(Shared {
            config,
            places: Arc::new(Semaphore::new(config.max_connections)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
        });
        let serving = Arc::clone(&shared);
        let seats = gateways.into_iter().map(Arc::new).collect();
        let workers = Workers::start(seats, &shared.tasks, move |connection, gateway| {
            serve(connection, Arc::clone(gateway), Arc::clone(&serving))
        })?;
        let workers = Arc::new(workers);
        for listener in listeners {
            let accepting = accept(listener, Arc::clone(&workers), Arc::clone(&shared));
            shared.tasks.spawn(accepting);
        }
        Ok(Server {
            addresses: bound?,
            shared,
            _workers: workers,
        })
    }

    /// Accepts nothing more, and waits for open calls until the deadline; what is left is cut off.
    pub async fn stop(self) {
        let shared = &self.shared;
        shared.stop.cancel();
        shared.tasks.close();
        let ended = tokio::time::timeout(shared.config.shutdown_timeout, shared.tasks.wait()).await;
        if ended.is_err() {
            tracing::warn!(connections = shared.tasks.len(), "open calls are cut off");
            shared.kill.cancel();
            shared.tasks.wait().await;
        }
    }
}

/// How long accepting pauses when the system is out of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

async fn accept(listener: TcpListener, workers: Arc<Workers>, shared: Arc<Shared>) {
    loop {
        let next = async {
            let place = Arc::clone(&shared.places).acquire_owned().await;
            (
                place.expect("the semaphore is never closed"),
                listener.accept().await,
            )
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => workers.take(Connection {
                stream,
                peer,
                place,
            }),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether accepting failed because of a client that has already left.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn serve(connection: Connection, gateway: Arc<Gateway>, shared: Arc<Shared>) {
    let Connection {
        stream,
        peer,
        place: _place,
    } = connection;
    // without it a stream's first chunk can wait 40 ms for an acknowledgement
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let protocol = tokio::select! {
        protocol = protocol(&stream, shared.config.header_timeout) => protocol,
        () = shared.stop.cancelled() => return,
    };
    let Some(protocol) = protocol else {
        return;
    };
    let begun: Arc<Mutex<Option<proxy::Session>>> = Arc::default();
    let beginning = Arc::clone(&begun);
    let service = service_fn(move |request: Request<Incoming>| {
        let (gateway, beginning) = (Arc::clone(&gateway), Arc::clone(&beginning));
        async move {
            let mut response = gateway.answer(request, peer).await;
            if let Body::Call(body) = response.body_mut()
                && let Some(session) = body.take_session()
            {
                *beginning.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
            }
            Ok::<Response<Body>, Infallible>(response)
        }
    });
    let io = TokioIo::new(stream);
    // children, so that connections do not share a lock that each poll takes
    let (stop, kill) = (shared.stop.child_token(), shared.kill.child_token());
    macro_rules! run {
        ($connection:expr) => {{
            let mut connection = pin!($connection);
            let is_over = tokio::select! {
                biased;
                // a client that breaks off is its own affair
                _ = connection.as_mut() => true,
                () = stop.cancelled() => false,
            };
            if !is_over {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = connection => {}
                    () = kill.cancelled() => return,
                }
            }
        }};
    }
    match protocol {
        Protocol::Http1 => run!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(shared.config.header_timeout)
                .max_header_size(shared.config.max_header_bytes)
                .serve_connection(io, service)
                .with_upgrades()
        ),
        Protocol::Http2 => run!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(shared.config.header_timeout)
                .max_header_list_size(
                    u32::try_from(shared.config.max_header_bytes).unwrap_or(u32::MAX)
                )
                .serve_connection(io, service)
        ),
    }
    // the connection left HTTP behind: it stays ours until its session ends
    let session = begun.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(session) = session {
        tokio::select! {
            () = session.run() => {}
            () = kill.cancelled() => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    /// Without TLS, by prior knowledge (RFC 9113 §3.3).
    Http2,
}

/// How an HTTP/2 connection begins; no request of HTTP/1.1 begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Looks at the first bytes, which stay to be read. `None`: none came in time, or the client left.
async fn protocol(stream: &TcpStream, timeout: Duration) -> Option<Protocol> {
    let look = async {
        let mut bytes = [0; PREFACE.len()];
        let mut known = 0;
        loop {
            let count = stream.peek(&mut bytes).await.ok()?;
            if count == 0 {
                return None;
            }
            if bytes[..count] != PREFACE[..count] {
                return Some(Protocol::Http1);
            }
            if count == PREFACE.len() {
                return Some(Protocol::Http2);
            }
            // part of a preface: readiness does not tell of more bytes while some are unread
            if count == known {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            known = count;
        }
    };
    tokio::time::timeout(timeout, look).await.ok().flatten()
}
