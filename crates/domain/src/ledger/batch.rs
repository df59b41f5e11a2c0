//! What the writer has gathered and not yet written: rows, and the sums by which counters move.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Millis;
use foldhash::HashMap;
use store::Db;
use store::counters::CounterRow;
use store::ledger_calls::CallRow;
use store::ledger_contexts::ContextRow;
use tokio::sync::oneshot;

use super::entry::{Entry, Scratch};
use super::{Adjustment, Message};
use crate::budgets::Settled;
use crate::metrics::{Meters, Metrics};
use crate::scopes::{CounterName, Delta, ScopeKind};

/// Contexts that are remembered; when there are more, all are forgotten and found again in the
/// database as calls come.
const MOST_CONTEXTS: usize = 8_192;

/// A batch that gathers.
#[derive(Default)]
pub(super) struct Batch {
    pub calls: Vec<Recorded>,
    deltas: HashMap<(ScopeKind, Arc<str>), Sums>,
    /// When each key was used last, by id.
    used: BTreeMap<String, Millis>,
    pub waiting: Vec<oneshot::Sender<()>>,
}

/// A row whose context is still a place in [`Contexts`].
pub(super) struct Recorded {
    row: CallRow,
    context: usize,
}

/// The contexts of calls, by all that they hold.
#[derive(Default)]
pub(super) struct Contexts {
    places: HashMap<Vec<u8>, usize>,
    all: Vec<Known>,
    identity: Vec<u8>,
    scratch: Scratch,
}

struct Known {
    state: State,
    meters: Meters,
}

enum State {
    /// Not in the database as far as we know.
    New(Box<ContextRow>),
    Stored(i64),
}

impl Contexts {
    /// The place of an entry's context.
    fn place(&mut self, entry: &Entry, metrics: &Metrics) -> usize {
        let context = entry.context(&mut self.scratch);
        self.identity.clear();
        context.identity(&mut self.identity);
        if let Some(place) = self.places.get(&self.identity) {
            return *place;
        }
        let place = self.all.len();
        self.all.push(Known {
            state: State::New(Box::new(context.to_row())),
            meters: metrics.meters(&context),
        });
        self.places.insert(self.identity.clone(), place);
        place
    }

    /// Lets go of all when there are too many. Only between batches, whose rows hold places.
    pub fn limit(&mut self) {
        if self.all.len() > MOST_CONTEXTS {
            self.places.clear();
            self.all.clear();
        }
    }
}

/// By how much the counters of one scope move.
#[derive(Default)]
struct Sums(Vec<Delta>);

impl Sums {
    fn add(&mut self, delta: Delta) {
        let mut known = self.0.iter_mut();
        match known.find(|sum| sum.counter == delta.counter) {
            Some(sum) if sum.started_at == delta.started_at => {
                sum.settled = sum.settled.saturating_add(delta.settled);
                sum.personal = sum.personal.saturating_add(delta.personal);
                sum.requests += delta.requests;
            }
            // a later window: what the earlier one had is history
            Some(sum) if sum.started_at < delta.started_at => *sum = delta,
            Some(_) => {}
            None => self.0.push(delta),
        }
    }
}

impl Batch {
    pub fn add(&mut self, message: Message, contexts: &mut Contexts, metrics: &Metrics) {
        match message {
            Message::Entry(entry) => self.add_entry(*entry, contexts, metrics),
            Message::Adjust(Adjustment { kind, id, delta }) => self.add_delta(kind, &id, delta),
            Message::Flush(done) => self.waiting.push(done),
        }
    }

    fn add_entry(&mut self, mut entry: Entry, contexts: &mut Contexts, metrics: &Metrics) {
        for settled in std::mem::take(&mut entry.settled) {
            self.add_settled(settled);
        }
        let key = entry.caller.as_ref().and_then(|caller| caller.key_id());
        if let Some(key_id) = key {
            match self.used.get_mut(key_id) {
                Some(at) => *at = entry.ended_at,
                None => drop(self.used.insert(key_id.to_owned(), entry.ended_at)),
            }
        }
        let context = contexts.place(&entry, metrics);
        let row = entry.into_call();
        self.calls.push(Recorded { row, context });
    }

    fn add_settled(&mut self, settled: Settled) {
        let Settled { scope, moved, bill } = settled;
        let (settled_amount, personal) = bill.amounts();
        let delta = |counter, started_at| Delta {
            counter,
            started_at,
            settled: settled_amount,
            personal,
            requests: bill.calls,
        };
        let id = Arc::clone(&scope.id);
        let sums = self.deltas.entry((scope.kind, id)).or_default();
        sums.add(delta(CounterName::Lifetime, Millis(0)));
        sums.add(delta(CounterName::Main, moved.main));
        for (counter, started_at) in moved.others {
            sums.add(delta(counter, started_at));
        }
    }

    fn add_delta(&mut self, kind: ScopeKind, id: &Arc<str>, delta: Delta) {
        let id = Arc::clone(id);
        self.deltas.entry((kind, id)).or_default().add(delta);
    }

    /// Writes all in one transaction. When that fails nothing is written, and it can be tried again.
    pub async fn write(&mut self, db: &Db, contexts: &mut Contexts) -> store::Result<()> {
        if self.calls.is_empty() && self.deltas.is_empty() {
            return Ok(());
        }
        let mut tx = db.begin().await?;
        let mut stored = Vec::new();
        // the new ones stand last
        for (place, known) in contexts.all.iter().enumerate().rev() {
            let State::New(context) = &known.state else {
                break;
            };
            let id = store::ledger_contexts::put(&mut tx, context).await?;
            stored.push((place, id));
        }
        let ids: HashMap<usize, i64> = stored.iter().copied().collect();
        for call in &mut self.calls {
            call.row.context_id = match &contexts.all[call.context].state {
                State::Stored(id) => *id,
                State::New(_) => ids[&call.context],
            };
        }
        store::ledger_calls::insert_all(&mut tx, self.calls.iter().map(|call| &call.row)).await?;
        let updated_at = self
            .calls
            .last()
            .map_or(Millis(0), |call| call.row.ended_at);
        let mut counters: Vec<CounterRow> = Vec::new();
        for ((kind, id), sums) in &self.deltas {
            let rows = sums.0.iter();
            counters.extend(rows.map(|delta| counter_row(*kind, id, delta, updated_at)));
        }
        // in one order, so that two gateways on one database do not wait for each other
        counters.sort_by(|one, other| one.place().cmp(&other.place()));
        store::counters::add_all(&mut tx, &counters).await?;
        store::keys::mark_used(&mut tx, &self.used).await?;
        tx.commit().await?;
        for (place, id) in stored {
            contexts.all[place].state = State::Stored(id);
        }
        Ok(())
    }

    /// Counts the calls that are in the ledger now.
    pub fn count(&self, contexts: &Contexts) {
        for call in &self.calls {
            contexts.all[call.context].meters.count(&call.row);
        }
    }
}

fn counter_row(kind: ScopeKind, id: &str, delta: &Delta, updated_at: Millis) -> CounterRow {
    CounterRow {
        scope_kind: kind.as_str().to_owned(),
        scope_id: id.to_owned(),
        counter: delta.counter.as_str().to_owned(),
        started_at: delta.started_at,
        settled: delta.settled,
        personal: delta.personal,
        requests: delta.requests,
        updated_at,
    }
}
