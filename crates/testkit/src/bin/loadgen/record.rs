//! What a run measures, and how one answer is read and judged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memchr::memmem;

use crate::Load;
use crate::answer::Answer;
use crate::events::Events;
use crate::histogram::Histogram;

pub struct Record {
    /// From the start, in an open loop the scheduled one, to the answer's last byte.
    pub latency: Histogram,
    /// To the first byte of the body.
    pub first_chunk: Histogram,
    /// From the upstream's stamp in a chunk to its arrival: of each stream's first, and of all.
    pub first_delay: Histogram,
    pub chunk_delay: Histogram,
    /// Open loop: how late a request was sent for reasons of our own.
    pub lateness: Histogram,
    /// Requests that ended well in the window.
    pub requests: u64,
    /// Requests that ended well at any time, and the chunks of all.
    pub requests_in_all: u64,
    pub chunks_in_all: u64,
    pub failures: BTreeMap<String, u64>,
}

impl Record {
    pub fn new() -> Record {
        Record {
            latency: Histogram::new(),
            first_chunk: Histogram::new(),
            first_delay: Histogram::new(),
            chunk_delay: Histogram::new(),
            lateness: Histogram::new(),
            requests: 0,
            requests_in_all: 0,
            chunks_in_all: 0,
            failures: BTreeMap::new(),
        }
    }

    pub fn merge(&mut self, other: &Record) {
        self.latency.merge(&other.latency);
        self.first_chunk.merge(&other.first_chunk);
        self.first_delay.merge(&other.first_delay);
        self.chunk_delay.merge(&other.chunk_delay);
        self.lateness.merge(&other.lateness);
        self.requests += other.requests;
        self.requests_in_all += other.requests_in_all;
        self.chunks_in_all += other.chunks_in_all;
        for (what, count) in &other.failures {
            *self.failures.entry(what.clone()).or_default() += count;
        }
    }

    /// Counts a request that began at `start` and ended now.
    pub fn ended(&mut self, load: &Load, start: Instant, result: Result<(), String>) {
        let now = Instant::now();
        match result {
            Ok(()) => {
                self.requests_in_all += 1;
                if load.window.holds(now) {
                    self.requests += 1;
                    self.latency.add(now - start);
                }
            }
            Err(what) => *self.failures.entry(what).or_default() += 1,
        }
    }
}

/// One answer on its way in.
pub struct Reading {
    start: Instant,
    answer: Answer,
    events: Events,
    usage: bool,
    parts: u32,
    spoke: bool,
    /// A stamp came.
    stamped: bool,
}

impl Reading {
    pub fn new(start: Instant) -> Reading {
        Reading {
            start,
            answer: Answer::default(),
            events: Events::default(),
            usage: false,
            parts: 0,
            spoke: false,
            stamped: false,
        }
    }

    /// Takes what a read brought; `Some` once the answer is whole: whether the connection can be
    /// used again.
    pub fn feed(
        &mut self,
        load: &Load,
        bytes: &[u8],
        record: &mut Record,
    ) -> Result<Option<bool>, String> {
        let Reading { answer, events, .. } = self;
        let before = events.count;
        let arrived = load.stream.then(since_epoch);
        let measured = load.window.holds(Instant::now());
        let (usage, parts, stamped) = (&mut self.usage, &mut self.parts, &mut self.stamped);
        let whole = answer.feed(bytes, |data| {
            *parts += 1;
            let Some(arrived) = arrived else {
                *usage |= memmem::find(data, b"\"usage\"").is_some();
                return;
            };
            events.feed(load.protocol, data, |sent| {
                let is_first = !std::mem::replace(stamped, true);
                if !measured {
                    return;
                }
                let delay = arrived.as_nanos().saturating_sub(sent);
                let delay = Duration::from_nanos(u64::try_from(delay).unwrap_or(u64::MAX));
                record.chunk_delay.add(delay);
                if is_first {
                    record.first_delay.add(delay);
                }
            });
        })?;
        record.chunks_in_all += events.count - before;
        if !self.spoke && answer.body_bytes > 0 {
            self.spoke = true;
            if measured {
                record.first_chunk.add(self.start.elapsed());
            }
        }
        if !whole {
            return Ok(None);
        }
        let reusable = !answer.closes;
        self.judge(load).map(|()| Some(reusable))
    }

    fn judge(&self, load: &Load) -> Result<(), String> {
        if self.answer.status != 200 {
            return Err(format!("status {}", self.answer.status));
        }
        // A word cut in two is not found, so only an answer in one part is held to it.
        if !load.stream && !self.usage && self.parts == 1 {
            return Err("an answer without usage".to_owned());
        }
        if load.stream && !self.events.done {
            return Err("a stream without its end".to_owned());
        }
        if self.events.count < load.expect_chunks {
            return Err(format!("a stream of {} events", self.events.count));
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with the upstream's own reading in another process"
)]
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
