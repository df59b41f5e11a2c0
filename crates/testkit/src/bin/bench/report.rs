//! From runs to figures: medians over the rounds, ratios within a round, and the project's targets.

use std::fmt::Write as _;
use std::time::Duration;

use testkit::processes::Memory;

use crate::Result;
use crate::gateway::{Conclusion, dollars};
use crate::load::Times;
use crate::open_streams::OpenStreams;
use crate::runs::{Kind, Run, Target, Work};

pub struct Results<'a> {
    pub runs: &'a [Run],
    pub works: &'a [&'static Work],
    pub nginx_memory: Memory,
    pub gateway: Option<&'a Conclusion>,
    pub open_streams: &'a [OpenStreams],
}

/// A target, and whether it is met.
pub struct Row {
    pub what: String,
    /// The highest median that passes.
    pub limit: f64,
    pub shown: &'static str,
    pub measured: Option<Spread>,
    pub decimals: usize,
}

impl Row {
    /// Nothing where it was not measured.
    fn text(&self) -> Option<String> {
        let measured = self.measured?;
        let verdict = if measured.median <= self.limit {
            "pass"
        } else {
            "**fail**"
        };
        Some(format!(
            "| {} | {} | {} | {verdict} |\n",
            self.what,
            self.shown,
            measured.text(self.decimals)
        ))
    }
}

/// A figure of several rounds.
#[derive(Clone, Copy)]
pub struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

pub fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (&low, &high) = (values.first()?, values.last()?);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    };
    Some(Spread { median, low, high })
}

impl Spread {
    pub fn text(&self, decimals: usize) -> String {
        let Spread { median, low, high } = self;
        format!("{median:.decimals$} ({low:.decimals$}–{high:.decimals$})")
    }
}

impl<'a> Results<'a> {
    /// Everything as Markdown.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(gateway) = self.gateway {
            text += &self.targets(gateway);
        }
        text += &self.table();
        text += &self.added_latency();
        text += &self.streams();
        text += &self.memory();
        if let Some(gateway) = self.gateway {
            text += &books(gateway);
        }
        let noise = spread(self.runs.iter().map(|run| run.noise).collect());
        if let Some(noise) = noise {
            let _ = writeln!(
                text,
                "\nOthers on the machine kept {} cores busy meanwhile.",
                noise.text(2)
            );
        }
        text
    }

    /// An error where something was not measured properly; a missed target is none.
    pub fn verdict(&self) -> Result<()> {
        let failed = self
            .runs
            .iter()
            .filter(|run| !run.report.failures.is_empty());
        let mut wrong: Vec<String> = failed
            .map(|run| {
                format!(
                    "{} on {}: {:?}",
                    run.work,
                    run.target.name(),
                    run.report.failures
                )
            })
            .collect();
        wrong.extend(
            self.gateway
                .iter()
                .flat_map(|gateway| gateway.wrong.clone()),
        );
        if wrong.is_empty() {
            return Ok(());
        }
        Err(wrong.join("\n"))
    }

    pub fn of(&self, work: &str, target: Target) -> impl Iterator<Item = &'a Run> {
        let runs = self.runs.iter();
        runs.filter(move |run| run.work == work && run.target == target)
    }

    fn median(&self, work: &str, target: Target, figure: impl Fn(&Run) -> f64) -> Option<f64> {
        spread(self.of(work, target).map(figure).collect()).map(|spread| spread.median)
    }

    /// A figure of the gateway against that of another target in the same round.
    fn against(
        &self,
        work: &str,
        other: Target,
        compare: impl Fn(&Run, &Run) -> f64,
    ) -> Option<Spread> {
        let pairs = self.of(work, Target::Gateway).filter_map(|run| {
            let same = self.of(work, other).find(|other| other.round == run.round);
            same.map(|other| compare(run, other))
        });
        spread(pairs.collect())
    }

    fn ratio(&self, work: &str) -> Option<Spread> {
        self.against(work, Target::Nginx, |gateway, nginx| {
            if gateway.report.chunks_in_all > 0 {
                gateway.cpu_per_chunk() / nginx.cpu_per_chunk()
            } else {
                gateway.cpu_per_request() / nginx.cpu_per_request()
            }
        })
    }

    fn added(&self, target: Target, figure: impl Fn(&Run) -> f64) -> Option<Spread> {
        // Milliseconds beyond those of the upstream alone.
        let pairs = self.of("o1000", target).filter_map(|run| {
            let mut direct = self.of("o1000", Target::Direct);
            let direct = direct.find(|direct| direct.round == run.round)?;
            Some((figure(run) - figure(direct)) / 1000.0)
        });
        spread(pairs.collect())
    }

    fn targets(&self, gateway: &Conclusion) -> String {
        let (p50, p99) = (
            self.added(Target::Gateway, p50),
            self.added(Target::Gateway, p99),
        );
        let starts = spread(gateway.starts.iter().map(milliseconds).collect());
        let idle = spread(vec![megabytes(gateway.restarted.now)]);
        let row = |what: &str, limit, shown, measured, decimals| Row {
            what: what.to_owned(),
            limit,
            shown,
            measured,
            decimals,
        };
        #[rustfmt::skip]
        let mut rows = vec![
            row("CPU of a 1 KB request, × nginx", 1.5, "≤ 1.5", self.ratio("a32"), 2),
            row("CPU of a 100 KB prompt, × nginx", 2.0, "≤ 2", self.ratio("b32"), 2),
            row("CPU of a chunk in paced streams, × nginx", 1.25, "≤ 1.25", self.ratio("d200"), 2),
            row("CPU of a fast stream, × nginx", 2.2, "≤ 2.2", self.ratio("c32"), 2),
            row("added latency at 1,000/s, p50, ms", 0.1, "< 0.1", p50, 3),
            row("added latency at 1,000/s, p99, ms", 0.5, "< 0.5", p99, 3),
            row("start to first answer on existing data, ms", 200.0, "< 200", starts, 0),
            row("idle memory on existing data, MB", 30.0, "< 30", idle, 1),
        ];
        rows.extend(self.translated_targets());
        let head = "\n## Targets\n\n| what | target | measured | |\n|---|---|---|---|\n";
        let rows: String = rows.iter().filter_map(Row::text).collect();
        format!("{head}{rows}")
    }

    fn table(&self) -> String {
        let mut text = String::from(
            "\n## Work\n\n| work | target | requests/s | p50 µs | p99 µs | CPU µs/request | CPU µs/chunk | CPU × nginx | CPU × passed on |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for work in self.works {
            for target in [Target::Direct, Target::Nginx, Target::Gateway] {
                let median = |figure: fn(&Run) -> f64| self.median(work.name, target, figure);
                let Some(rate) = median(|run| run.report.requests_per_second) else {
                    continue;
                };
                let shown = |figure: Option<f64>, decimals: usize| {
                    figure.map_or_else(String::new, |figure| format!("{figure:.decimals$}"))
                };
                let cpu =
                    target != Target::Direct && matches!(work.kind, Kind::Whole | Kind::Stream);
                let whole = cpu.then(|| median(Run::cpu_per_request)).flatten();
                let chunk = (cpu && work.kind == Kind::Stream)
                    .then(|| median(Run::cpu_per_chunk))
                    .flatten();
                let of_gateway = |ratio: fn(&Results, &Work) -> Option<Spread>| {
                    let ratio = (cpu && target == Target::Gateway).then(|| ratio(self, work));
                    ratio
                        .flatten()
                        .map_or_else(String::new, |ratio| ratio.text(2))
                };
                let _ = writeln!(
                    text,
                    "| {}: {} | {} | {rate:.0} | {} | {} | {} | {} | {} | {} |",
                    work.name,
                    work.what,
                    target.name(),
                    shown(median(p50), 0),
                    shown(median(p99), 0),
                    shown(whole, 1),
                    shown(chunk, 2),
                    of_gateway(|results, work| results.ratio(work.name)),
                    of_gateway(|results, work| results.times_passed(work)),
                );
            }
        }
        text
    }

    fn added_latency(&self) -> String {
        let mut text = String::new();
        let rows = |target: Target| -> Option<String> {
            let (p50, p99) = (self.added(target, p50)?, self.added(target, p99)?);
            Some(format!(
                "| {} | {} | {} |\n",
                target.name(),
                p50.text(3),
                p99.text(3)
            ))
        };
        if let Some(nginx) = rows(Target::Nginx) {
            text += "\n## Latency added at 1,000 requests/s, ms\n\n| target | p50 | p99 |\n|---|---|---|\n";
            text += &nginx;
            text += &rows(Target::Gateway).unwrap_or_default();
        }
        let delays = |target: Target| {
            let delay = |figure: fn(&Times) -> f64| {
                self.median("d200", target, |run| {
                    run.report.chunk_delay_us.as_ref().map_or(0.0, figure)
                })
            };
            let (p50, p99) = (delay(|times| times.p50)?, delay(|times| times.p99)?);
            Some(format!("| {} | {p50:.0} | {p99:.0} |\n", target.name()))
        };
        if let Some(nginx) = delays(Target::Nginx) {
            text += "\n## A chunk's way through 200 paced streams, µs from the upstream to the client\n\n| target | p50 | p99 |\n|---|---|---|\n";
            text += &nginx;
            text += &delays(Target::Gateway).unwrap_or_default();
        }
        text
    }

    fn memory(&self) -> String {
        let mut text = String::from("\n## Memory (RSS), MB\n\n| | now | peak |\n|---|---|---|\n");
        let mut row = |what: &str, memory: Memory| {
            let (now, peak) = (megabytes(memory.now), megabytes(memory.peak));
            let _ = writeln!(text, "| {what} | {now:.1} | {peak:.1} |");
        };
        row("nginx after the load, all workers", self.nginx_memory);
        if let Some(gateway) = self.gateway {
            row("gateway idle on an empty database", gateway.fresh);
            row("gateway after the load", gateway.loaded);
            row(
                "gateway idle after a restart on that data",
                gateway.restarted,
            );
        }
        text
    }
}

fn books(gateway: &Conclusion) -> String {
    let starts = spread(gateway.starts.iter().map(milliseconds).collect());
    let stops = spread(gateway.stops.iter().map(milliseconds).collect());
    let shown = |spread: Option<Spread>| spread.map_or_else(String::new, |spread| spread.text(0));
    let verdict = if gateway.wrong.is_empty() {
        "key, team, user and the ledger's rows all say exactly that, before and after a restart"
            .to_owned()
    } else {
        format!("**wrong**: {}", gateway.wrong.join("; "))
    };
    format!(
        "\n## The books\n\n{} calls went through the gateway and cost {}: {verdict}.\n\nStart to first answer on that data: {} ms. Stop: {} ms.\n",
        gateway.calls,
        dollars(gateway.cost),
        shown(starts),
        shown(stops),
    )
}

fn p50(run: &Run) -> f64 {
    run.report.latency_us.map_or(0.0, |times| times.p50)
}

fn p99(run: &Run) -> f64 {
    run.report.latency_us.map_or(0.0, |times| times.p99)
}

fn milliseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_lie_between_the_extremes() {
        assert!(spread(Vec::new()).is_none());
        let odd = spread(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.low, odd.median, odd.high), (1.0, 2.0, 3.0));
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(odd.text(1), "2.0 (1.0–3.0)");
    }
}
