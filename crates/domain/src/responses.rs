//! Answers of `/v1/responses` that the gateway keeps, where the provider that gave them cannot: for
//! thirty days, for those who asked, unless they said `store: false`.
//!
//! They are written behind the call. Whoever asks for one waits until it is there.

use std::time::Duration;

use base::{Code, Error, Millis, Result};
use store::Db;
use store::responses::ResponseRow;
use tokio::sync::{mpsc, oneshot};

use crate::tasks::Tasks;
use crate::{Caller, Domain, storage};

/// How long an answer is kept, as OpenAI keeps them.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Answers that may wait to be written; more than these are not kept.
const CAPACITY: usize = 1_024;
const CLEANED: Duration = Duration::from_secs(3600);

/// The way to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Responses(mpsc::Sender<Message>);

#[derive(Debug)]
enum Message {
    Keep(Box<ResponseRow>),
    /// Answered when all that came before is written.
    Flush(oneshot::Sender<()>),
}

impl Responses {
    /// Starts the writer. It ends after [`Tasks::stop`].
    pub fn start(db: Db, tasks: &Tasks) -> Responses {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        tasks.spawn(write(db, receiver, tasks.clone()));
        Responses(sender)
    }

    /// Keeps an answer for its caller. Never waits; an answer too many is not kept, and said so.
    pub fn keep(&self, caller: &Caller, id: String, now: Millis, input: String, body: String) {
        let row = ResponseRow {
            id,
            key_id: caller.key_id().map(str::to_owned),
            user_id: caller.user_id.clone(),
            created_at: now,
            expires_at: now + KEPT,
            input,
            body,
        };
        if self.0.try_send(Message::Keep(Box::new(row))).is_err() {
            tracing::warn!("a response is not kept: too many are waiting to be written");
        }
    }

    async fn flush(&self) -> Result<()> {
        let (done, written) = oneshot::channel();
        let stopped = |_| Error::new(Code::Unavailable, "the gateway is stopping");
        self.0
            .send(Message::Flush(done))
            .await
            .map_err(|_| stopped(()))?;
        written.await.map_err(|_| stopped(()))
    }
}

async fn write(db: Db, mut receiver: mpsc::Receiver<Message>, tasks: Tasks) {
    let mut cleaned_at = None;
    loop {
        let message = tokio::select! {
            message = receiver.recv() => message,
            () = tasks.stopping(), if !receiver.is_closed() => {
                receiver.close();
                continue;
            }
        };
        let row = match message {
            None => return,
            Some(Message::Flush(done)) => {
                // whoever waited may have left
                let _ = done.send(());
                continue;
            }
            Some(Message::Keep(row)) => row,
        };
        let clean = cleaned_at.is_none_or(|at: Millis| row.created_at.since(at) >= CLEANED);
        if let Err(error) = keep(&db, &row, clean).await {
            tracing::warn!(%error, "a response could not be kept");
        }
        if clean {
            cleaned_at = Some(row.created_at);
        }
    }
}

async fn keep(db: &Db, row: &ResponseRow, clean: bool) -> store::Result<()> {
    let mut tx = db.begin().await?;
    store::responses::insert(&mut tx, row).await?;
    if clean {
        store::responses::delete_expired(&mut tx, row.created_at).await?;
    }
    tx.commit().await
}

/// The kept answer with this id, if it is the caller's own: made with the same key, or by the same
/// user, or asked for by an administrator.
pub async fn find(domain: &Domain, caller: &Caller, id: &str) -> Result<Option<ResponseRow>> {
    domain.responses.flush().await?;
    let row = store::responses::find(&domain.db, id)
        .await
        .map_err(storage)?;
    let now = domain.clock.now();
    Ok(row.filter(|row| {
        row.expires_at > now && is_own(caller, row.key_id.as_deref(), row.user_id.as_deref())
    }))
}

/// Deletes the caller's kept answer; whether there was one.
pub async fn delete(domain: &Domain, caller: &Caller, id: &str) -> Result<bool> {
    if find(domain, caller, id).await?.is_none() {
        return Ok(false);
    }
    store::responses::delete(&domain.db, id)
        .await
        .map_err(storage)
}

/// Who gave the answer with this id, as far as the ledger knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Giver {
    /// No call through this gateway.
    Unknown,
    /// A call of somebody else.
    Another,
    /// A call of the caller, answered by the deployment with this id.
    Deployment(String),
}

/// Where the provider keeps the answer with this id.
pub async fn giver(domain: &Domain, caller: &Caller, id: &str) -> Result<Giver> {
    domain.ledger.flush().await?;
    let row = store::ledger::find_by_upstream(&domain.db, id)
        .await
        .map_err(storage)?;
    let Some(row) = row else {
        return Ok(Giver::Unknown);
    };
    let own = is_own(caller, row.key_id.as_deref(), row.user_id.as_deref());
    Ok(match row.deployment_id {
        Some(deployment) if own => Giver::Deployment(deployment),
        _ => Giver::Another,
    })
}

fn is_own(caller: &Caller, key_id: Option<&str>, user_id: Option<&str>) -> bool {
    let same_key = key_id.is_some() && key_id == caller.key_id();
    let same_user = user_id.is_some() && user_id == caller.user_id.as_deref();
    same_key || same_user || caller.is_admin()
}
