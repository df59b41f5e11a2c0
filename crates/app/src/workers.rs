//! One thread a core, each with a runtime, a set of connections and a pool of upstream connections
//! of its own: a call is served from end to end where its connection lives, and shares no queue and
//! no lock with calls on other cores.
//!
//! What is not a call — the ledger's writer, the database, other tasks — runs on the runtime of the
//! process, beside them.

use std::future::Future;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_util::task::TaskTracker;

/// An accepted connection on its way to a worker.
pub struct Connection {
    pub stream: tokio::net::TcpStream,
    pub peer: SocketAddr,
    /// Its place among the connections that there may be at once.
    pub place: OwnedSemaphorePermit,
}

/// The threads. They end when this is dropped and their connections have ended.
pub struct Workers(Vec<Worker>);

struct Worker {
    connections: UnboundedSender<(TcpStream, SocketAddr, OwnedSemaphorePermit)>,
    open: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts a worker for each of `seats`; `serve` makes a connection's task of a seat.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start<S, F>(
        seats: Vec<S>,
        tasks: &TaskTracker,
        serve: impl Fn(Connection, &S) -> F + Clone + Send + 'static,
    ) -> Result<Workers>
    where
        S: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut workers = Vec::with_capacity(seats.len());
        for (index, seat) in seats.into_iter().enumerate() {
            workers.push(start_one(index, seat, tasks.clone(), serve.clone())?);
        }
        Ok(Workers(workers))
    }

    /// Hands a connection to the worker that has the fewest.
    pub fn take(&self, connection: Connection) {
        let least = self
            .0
            .iter()
            .min_by_key(|worker| worker.open.load(Ordering::Relaxed));
        // a connection that cannot be moved between runtimes is one that is gone already
        let (Some(worker), Ok(stream)) = (least, connection.stream.into_std()) else {
            return;
        };
        worker.open.fetch_add(1, Ordering::Relaxed);
        // a worker lives as long as we do
        let _ = worker
            .connections
            .send((stream, connection.peer, connection.place));
    }
}

fn start_one<S, F>(
    index: usize,
    seat: S,
    tasks: TaskTracker,
    serve: impl Fn(Connection, &S) -> F + Send + 'static,
) -> Result<Worker>
where
    S: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("a worker's runtime cannot be made")?;
    let (connections, mut incoming) = mpsc::unbounded_channel();
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let work = async move {
        while let Some((stream, peer, place)) = incoming.recv().await {
            let closed = Closed(Arc::clone(&count));
            let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
                continue;
            };
            let connection = serve(
                Connection {
                    stream,
                    peer,
                    place,
                },
                &seat,
            );
            tasks.spawn(async move {
                connection.await;
                drop(closed);
            });
        }
        tasks.wait().await;
    };
    std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || runtime.block_on(work))
        .context("a worker's thread cannot be started")?;
    Ok(Worker { connections, open })
}

/// Counts a connection as closed, however it ended.
struct Closed(Arc<AtomicUsize>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
