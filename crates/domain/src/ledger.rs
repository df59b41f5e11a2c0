//! The ledger's writer: takes finished calls from the hot path and writes them in batches, each
//! batch one transaction with the counters that it moves.
//!
//! A call reserves its place in the queue before the upstream is called ([`Ledger::place`]), so that
//! a finished call can always be recorded without waiting. When the database does not take the rows,
//! they are kept and tried again; when the queue is full, new calls are refused, and nothing is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, Millis, Result};
use store::Db;
use store::counters::CounterRow;
use tokio::sync::mpsc::{self, OwnedPermit, Receiver, Sender};
use tokio::sync::{Notify, oneshot};

use crate::budgets::Settled;
use crate::metrics::Metrics;
use crate::scopes::{CounterName, Delta, ScopeKind};
use crate::tasks::Tasks;

pub use store::Json;
pub use store::json::Object;
pub use store::ledger::{LedgerRow, Line};

/// Calls that may be open or unwritten at once.
const CAPACITY: usize = 65_536;
/// A batch is written when it has so many rows …
const BATCH_ROWS: usize = 1_000;
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

/// A finished call and what it has added to the counters.
#[derive(Debug)]
pub struct Entry {
    pub row: LedgerRow,
    pub settled: Vec<Settled>,
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
}

#[derive(Default)]
struct Batch {
    rows: Vec<LedgerRow>,
    deltas: HashMap<(ScopeKind, Arc<str>, CounterName), Delta>,
    /// When each key was used last, by id.
    used: HashMap<String, Millis>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Writer {
    async fn run(mut self, tasks: Tasks) {
        let mut stopping = false;
        while let Some(first) = self.next(&tasks, &mut stopping).await {
            self.batch.add(first);
            if !stopping && self.batch.waiting.is_empty() {
                self.gather(&tasks).await;
            }
            while self.drain() {
                self.write().await;
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

    /// Fills the batch with what has come; whether there is anything to write.
    fn drain(&mut self) -> bool {
        while self.batch.rows.len() < BATCH_ROWS {
            match self.receiver.try_recv() {
                Ok(message) => self.batch.add(message),
                Err(_) => break,
            }
        }
        !self.batch.is_empty()
    }

    /// Writes the batch, trying until the database takes it.
    async fn write(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let mut pause = Duration::from_millis(50);
        while let Err(error) = batch.write(&self.db).await {
            tracing::error!(rows = batch.rows.len(), %error, "ledger rows could not be written; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        for row in &batch.rows {
            self.metrics.count(row);
        }
        for waiting in batch.waiting {
            // whoever waited may have left
            let _ = waiting.send(());
        }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.deltas.is_empty() && self.waiting.is_empty()
    }

    fn add(&mut self, message: Message) {
        match message {
            Message::Entry(entry) => {
                for Settled { scope, deltas } in entry.settled {
                    for delta in deltas {
                        self.add_delta(scope.kind, &scope.id, delta);
                    }
                }
                if let Some(key_id) = &entry.row.key_id {
                    self.used.insert(key_id.clone(), entry.row.ended_at);
                }
                self.rows.push(entry.row);
            }
            Message::Adjust(Adjustment { kind, id, delta }) => self.add_delta(kind, &id, delta),
            Message::Flush(done) => self.waiting.push(done),
        }
    }

    fn add_delta(&mut self, kind: ScopeKind, id: &Arc<str>, delta: Delta) {
        let name = (kind, Arc::clone(id), delta.counter.clone());
        match self.deltas.get_mut(&name) {
            Some(sum) if sum.started_at == delta.started_at => {
                sum.settled = sum.settled.saturating_add(delta.settled);
                sum.personal = sum.personal.saturating_add(delta.personal);
                sum.requests += delta.requests;
            }
            // a later window: what the earlier one had is history
            Some(sum) if sum.started_at < delta.started_at => *sum = delta,
            Some(_) => {}
            None => drop(self.deltas.insert(name, delta)),
        }
    }

    async fn write(&self, db: &Db) -> store::Result<()> {
        if self.rows.is_empty() && self.deltas.is_empty() {
            return Ok(());
        }
        let mut tx = db.begin().await?;
        store::ledger::insert_all(&mut tx, &self.rows).await?;
        for ((kind, id, counter), delta) in &self.deltas {
            let row = CounterRow {
                scope_kind: kind.as_str().to_owned(),
                scope_id: id.to_string(),
                counter: counter.as_str().to_owned(),
                started_at: delta.started_at,
                settled: delta.settled,
                personal: delta.personal,
                requests: delta.requests,
                updated_at: self.rows.last().map_or(Millis(0), |row| row.ended_at),
            };
            store::counters::add(&mut tx, &row).await?;
        }
        for (key_id, at) in &self.used {
            store::keys::mark_used(&mut tx, key_id, *at).await?;
        }
        tx.commit().await
    }
}
