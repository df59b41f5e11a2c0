//! What a call costs that is translated, beside one that is passed on: the figures and their targets.

use std::fmt::Write as _;

use crate::load::Client;
use crate::open_streams::{OpenStreams, STREAMS};
use crate::report::{Results, Row, Spread, spread};
use crate::runs::{Kind, Run, Target, WORKS, Work};

impl Results<'_> {
    /// CPU of a translated call, or whole stream, as a multiple of a passed one in the same round.
    pub fn times_passed(&self, work: &Work) -> Option<Spread> {
        self.compared(work, work.passed()?, Target::Gateway, |run, passed| {
            run.cpu_per_request() / passed.cpu_per_request()
        })
    }

    /// Milliseconds that a first chunk takes longer through the gateway than from the upstream itself.
    fn first_chunk_added(&self, work: &Work, figure: impl Fn(&Run) -> f64) -> Option<Spread> {
        let from_upstream = work.passed().unwrap_or(work);
        self.compared(work, from_upstream, Target::Direct, |run, direct| {
            (figure(run) - figure(direct)) / 1000.0
        })
    }

    /// A work on the gateway against another work on a target in the same round.
    fn compared(
        &self,
        work: &Work,
        other: &Work,
        target: Target,
        compare: impl Fn(&Run, &Run) -> f64,
    ) -> Option<Spread> {
        let pairs = self.of(work.name, Target::Gateway).filter_map(|run| {
            let mut others = self.of(other.name, target);
            let same = others.find(|other| other.round == run.round)?;
            Some(compare(run, same))
        });
        spread(pairs.collect())
    }

    pub fn translated_targets(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let translated = |work: &&Work| work.client != Client::Chat;
        for work in WORKS.iter().filter(translated) {
            if matches!(work.kind, Kind::Whole | Kind::Stream) {
                rows.push(Row {
                    what: format!("CPU of {}: {}, × passed on", work.name, work.what),
                    limit: 3.0,
                    shown: "< 3",
                    measured: self.times_passed(work),
                    decimals: 2,
                });
            }
            if work.kind == Kind::First {
                rows.push(Row {
                    what: format!("first token added, {} client, p50, ms", work.client.name()),
                    limit: 1.0,
                    shown: "≤ 1",
                    measured: self.first_chunk_added(work, first_p50),
                    decimals: 3,
                });
            }
        }
        // the last event of responses repeats the whole text, which has to be kept for it
        let is_bound = |open: &&OpenStreams| open.client != Client::Responses || open.text <= 16;
        for open in self.open_streams.iter().filter(is_bound) {
            rows.push(Row {
                what: format!(
                    "memory of an open stream of {} KB, {} client, KiB",
                    open.text,
                    open.client.name()
                ),
                limit: 64.0,
                shown: "≤ 64",
                measured: spread(vec![open.memory / 1024.0]),
                decimals: 1,
            });
        }
        rows
    }

    /// The way of first chunks, and the memory of open streams, in full.
    pub fn streams(&self) -> String {
        let mut text = String::new();
        for work in WORKS.iter().filter(|work| work.kind == Kind::First) {
            let added = |figure: fn(&Run) -> f64| self.first_chunk_added(work, figure);
            let (Some(p50), Some(p99)) = (added(first_p50), added(first_p99)) else {
                continue;
            };
            if text.is_empty() {
                text += "\n## A stream's first chunk, ms beyond its way from the upstream itself\n\n| client | p50 | p99 |\n|---|---|---|\n";
            }
            let client = work.client.name();
            let _ = writeln!(text, "| {client} | {} | {} |", p50.text(3), p99.text(3));
        }
        if !self.open_streams.is_empty() {
            let _ = write!(
                text,
                "\n## Memory of {STREAMS} open streams, KiB a stream at the most\n\nThe last event of responses repeats the whole text, which is kept for it; 16 KB are some 4,000 tokens.\n\n| client | text, KB | KiB |\n|---|---|---|\n"
            );
        }
        for open in self.open_streams {
            let _ = writeln!(
                text,
                "| {} | {} | {:.1} |",
                open.client.name(),
                open.text,
                open.memory / 1024.0
            );
        }
        text
    }
}

fn first_p50(run: &Run) -> f64 {
    run.report.first_delay_us.map_or(0.0, |times| times.p50)
}

fn first_p99(run: &Run) -> f64 {
    run.report.first_delay_us.map_or(0.0, |times| times.p99)
}
