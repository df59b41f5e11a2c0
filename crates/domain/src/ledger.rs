//! The ledger's writer: takes finished calls from the hot path and writes them in batches, each
//! batch one transaction with the counters that it moves.
//!
//! A call reserves its place in the queue before the upstream is called ([`Ledger::place`]), so that
//! a finished call can always be recorded without waiting. When the database does not take the rows,
//! they are kept and tried again; when the queue is full, new calls are refused, and nothing is lost.

mod batch;
mod entry;

use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, Result};
use store::Db;
use tokio::sync::mpsc::{self, OwnedPermit, Receiver, Sender};
use tokio::sync::{Notify, oneshot};

use crate::metrics::Metrics;
use crate::scopes::{Delta, ScopeKind};
use crate::tasks::Tasks;

pub use entry::Entry;

use batch::{Batch, Contexts};

/// Calls that may be open or unwritten at once.
const CAPACITY: usize = 65_536;
/// A batch is written when it has so many rows …
const BATCH_ROWS: usize = 4_000;
/// … or is this old. So much is lost at the most when the process is killed.
const BATCH_AGE: Duration = Duration::from_millis(200);
/// How long the writer waits before it tries a failed batch again, at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The way to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: Sender<Message>,
    /// Told when somebody waits for the batch that is gathering.
    wanted: Arc<Notify>,
}

#[derive(Debug)]
enum Message {
    Entry(Box<Entry>),
    Adjust(Adjustment),
    /// Answered when all that came before is written.
    Flush(oneshot::Sender<()>),
}

/// A counter that an administrator has moved.
#[derive(Debug)]
pub struct Adjustment {
    pub kind: ScopeKind,
    pub id: Arc<str>,
    pub delta: Delta,
}

/// A place in the queue, held while a call is under way.
#[derive(Debug)]
pub struct Place(OwnedPermit<Message>);

impl Place {
    /// Hands a finished call to the writer. Never waits, never fails.
    pub fn record(self, entry: Entry) {
        self.0.send(Message::Entry(Box::new(entry)));
    }
}

impl Ledger {
    /// Starts the writer. It ends after [`Tasks::stop`], when all is written and every place is given
    /// back.
    pub fn start(db: Db, metrics: Arc<Metrics>, tasks: &Tasks) -> Ledger {
        let (queue, receiver) = mpsc::channel(CAPACITY);
        let wanted = Arc::new(Notify::new());
        let writer = Writer {
            db,
            metrics,
            receiver,
            wanted: Arc::clone(&wanted),
            batch: Batch::default(),
            contexts: Contexts::default(),
        };
        tasks.spawn(writer.run(tasks.clone()));
        Ledger { queue, wanted }
    }

    /// Reserves room for the row of a call that is about to start.
    ///
    /// # Errors
    /// [`Code::Unavailable`] when the database has not taken rows for so long that the queue is full.
    pub fn place(&self) -> Result<Place> {
        self.queue
            .clone()
            .try_reserve_owned()
            .map(Place)
            .map_err(|_| {
                Error::new(
                Code::Unavailable,
                "the gateway cannot record more calls until its database answers again; try again",
            )
            .retry_after(Duration::from_secs(5))
            })
    }

    /// Hands a moved counter to the writer.
    pub async fn adjust(&self, adjustment: Adjustment) -> Result<()> {
        self.queue
            .send(Message::Adjust(adjustment))
            .await
            .map_err(|_| stopped())
    }

    /// Waits until everything recorded so far is in the database, so that a report is exact.
    pub async fn flush(&self) -> Result<()> {
        let (done, written) = oneshot::channel();
        self.queue
            .send(Message::Flush(done))
            .await
            .map_err(|_| stopped())?;
        self.wanted.notify_one();
        written.await.map_err(|_| stopped())
    }

    /// How many calls are open or not yet written.
    pub fn depth(&self) -> usize {
        CAPACITY - self.queue.capacity()
    }
}

fn stopped() -> Error {
    Error::new(Code::Unavailable, "the gateway is stopping")
}

struct Writer {
    db: Db,
    metrics: Arc<Metrics>,
    receiver: Receiver<Message>,
    wanted: Arc<Notify>,
    batch: Batch,
    contexts: Contexts,
}

impl Writer {
    async fn run(mut self, tasks: Tasks) {
        let mut stopping = false;
        while let Some(first) = self.next(&tasks, &mut stopping).await {
            self.add(first);
            if !stopping && self.batch.waiting.is_empty() {
                self.gather(&tasks).await;
            }
            // what comes while a batch is written gathers again, unless it fills another
            loop {
                let is_full = self.drain();
                self.write().await;
                if !is_full {
                    break;
                }
            }
        }
    }

    /// The next message; `None` when the process is stopping and nothing more can come.
    async fn next(&mut self, tasks: &Tasks, stopping: &mut bool) -> Option<Message> {
        if !*stopping {
            tokio::select! {
                message = self.receiver.recv() => return message,
                () = tasks.stopping() => {
                    *stopping = true;
                    // places that are held can still be used; new ones cannot be had
                    self.receiver.close();
                }
            }
        }
        self.receiver.recv().await
    }

    /// Lets a batch gather. Nothing is received meanwhile: a writer that waits for messages would be
    /// woken by each of them, and that costs a call more than its row does.
    async fn gather(&self, tasks: &Tasks) {
        tokio::select! {
            () = tokio::time::sleep(BATCH_AGE) => {}
            () = self.wanted.notified() => {}
            () = tasks.stopping() => {}
        }
    }

    fn add(&mut self, message: Message) {
        self.batch.add(message, &mut self.contexts, &self.metrics);
    }

    /// Fills the batch with what has come; whether there may be more.
    fn drain(&mut self) -> bool {
        while self.batch.calls.len() < BATCH_ROWS {
            match self.receiver.try_recv() {
                Ok(message) => self.add(message),
                Err(_) => return false,
            }
        }
        true
    }

    /// Writes the batch, trying until the database takes it.
    async fn write(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        let mut pause = Duration::from_millis(50);
        while let Err(error) = batch.write(&self.db, &mut self.contexts).await {
            tracing::error!(rows = batch.calls.len(), %error, "ledger rows could not be written; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.metrics.ledger_batches.inc();
        batch.count(&self.contexts);
        self.contexts.limit();
        for waiting in batch.waiting {
            // whoever waited may have left
            let _ = waiting.send(());
        }
    }
}
