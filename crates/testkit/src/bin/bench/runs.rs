//! The kinds of work, and the runs of the load generator over them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use testkit::processes;

use crate::gateway::Gateway;
use crate::load::{self, Client, Order, Report};
use crate::machine::Programs;
use crate::nginx::Nginx;
use crate::process::Process;
use crate::{Result, open_streams, web};

/// A kind of work that each target does.
pub struct Work {
    pub name: &'static str,
    pub what: &'static str,
    pub kind: Kind,
    /// Where it is no chat client, only the gateway can do the work.
    pub client: Client,
    arguments: &'static [&'static str],
    knobs: &'static str,
    /// Seconds before the measured ones.
    warmup: f64,
    /// Measured seconds as a multiple of what was asked for.
    longer: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Whole,
    Stream,
    /// The open loop, which is about time and not about CPU; it is run against the upstream too.
    Open,
    /// Streams whose first chunk's way is measured, which is run against the upstream and not nginx.
    First,
}

const A32: Work = Work {
    name: "a32",
    what: "1 KB prompt, whole answer, 32 connections",
    kind: Kind::Whole,
    client: Client::Chat,
    arguments: &["--connections", "32"],
    knobs: "",
    warmup: 0.5,
    longer: 1.0,
};

const B32: Work = Work {
    name: "b32",
    what: "100 KB prompt, whole answer, 32 connections",
    arguments: &["--connections", "32", "--prompt-bytes", "100000"],
    ..A32
};

const C32: Work = Work {
    name: "c32",
    what: "stream of 50 chunks at full speed, 32 connections",
    kind: Kind::Stream,
    arguments: &["--connections", "32", "--stream", "--expect-chunks", "52"],
    knobs: "stamp=1",
    ..A32
};

const F32: Work = Work {
    name: "f32",
    what: "32 streams at once, the first chunk after 20 ms",
    kind: Kind::First,
    arguments: &["--connections", "32", "--stream", "--expect-chunks", "12"],
    knobs: "stamp=1&first_ms=20&chunk_ms=20&chunks=10",
    ..A32
};

const fn from(client: Client, name: &'static str, what: &'static str, like: Work) -> Work {
    Work {
        client,
        name,
        what,
        ..like
    }
}

#[rustfmt::skip]
pub const WORKS: &[Work] = &[
    Work { name: "a1", what: "1 KB prompt, whole answer, 1 connection",
        arguments: &["--connections", "1"], warmup: 0.4, ..A32 },
    A32,
    from(Client::Messages, "a32m", "a32 from a messages client", A32),
    from(Client::Responses, "a32r", "a32 from a responses client", A32),
    Work { name: "a256", what: "1 KB prompt, whole answer, 256 connections",
        arguments: &["--connections", "256"], warmup: 0.6, ..A32 },
    B32,
    from(Client::Messages, "b32m", "b32 from a messages client", B32),
    from(Client::Responses, "b32r", "b32 from a responses client", B32),
    C32,
    from(Client::Messages, "c32m", "c32 from a messages client", C32),
    from(Client::Responses, "c32r", "c32 from a responses client", C32),
    Work { name: "d200", what: "200 streams at once, a chunk each 20 ms", kind: Kind::Stream,
        arguments: &["--connections", "200", "--stream", "--expect-chunks", "52"],
        knobs: "stamp=1&chunk_ms=20", warmup: 1.0, longer: 1.6, ..A32 },
    F32,
    from(Client::Messages, "f32m", "f32 from a messages client", F32),
    from(Client::Responses, "f32r", "f32 from a responses client", F32),
    Work { name: "o1000", what: "1,000 requests/s of 1 KB on a schedule", kind: Kind::Open,
        arguments: &["--connections", "64", "--rate", "1000"], longer: 1.2, ..A32 },
];

impl Work {
    /// The same work from a chat client, which is passed on as it is.
    pub fn passed(&self) -> Option<&'static Work> {
        let own = self.name.strip_suffix(['m', 'r'])?;
        WORKS.iter().find(|work| work.name == own)
    }

    fn targets(&self, has_gateway: bool) -> Vec<Target> {
        let mut targets = Vec::new();
        if self.client == Client::Chat {
            match self.kind {
                Kind::Whole | Kind::Stream => targets.push(Target::Nginx),
                Kind::Open => targets.extend([Target::Nginx, Target::Direct]),
                Kind::First => targets.push(Target::Direct),
            }
        }
        targets.extend(has_gateway.then_some(Target::Gateway));
        targets
    }
}

/// The named kinds of work; all when none is named.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Work>> {
    let known: Vec<&str> = WORKS.iter().map(|work| work.name).collect();
    let known = [&known[..], &[open_streams::NAME]].concat();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!(
            "no work is called `{unknown}`, but {}",
            known.join(", ")
        ));
    }
    let wanted = |work: &&Work| names.is_empty() || names.iter().any(|name| name == work.name);
    Ok(WORKS.iter().filter(wanted).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Direct,
    Nginx,
    Gateway,
}

impl Target {
    pub fn name(self) -> &'static str {
        match self {
            Target::Direct => "upstream itself",
            Target::Nginx => "nginx",
            Target::Gateway => "gateway",
        }
    }
}

/// One run of the load generator.
pub struct Run {
    pub work: &'static str,
    pub target: Target,
    pub round: usize,
    pub report: Report,
    /// CPU of the target for everything in the report.
    pub cpu: Duration,
    /// Cores that others on the machine kept busy meanwhile.
    pub noise: f64,
}

impl Run {
    pub fn cpu_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.report.requests_in_all.max(1) as f64
    }

    pub fn cpu_per_chunk(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.report.chunks_in_all.max(1) as f64
    }
}

/// The fake provider all of them call.
pub struct Upstream {
    pub address: SocketAddr,
    process: Process,
}

impl Upstream {
    pub fn start(programs: &Programs, folder: &Path) -> Result<Upstream> {
        let mut process =
            Process::start("upstream", &mut Command::new(&programs.upstream), folder)?;
        let begun = Instant::now();
        loop {
            process.check()?;
            if let Ok(address) = process.messages().trim().parse() {
                return Ok(Upstream { address, process });
            }
            if begun.elapsed() > Duration::from_secs(5) {
                return Err("the upstream says no address".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub async fn set(&self, knobs: &str) -> Result<()> {
        let path = format!("/knobs?{knobs}");
        web::call(Method::POST, self.address, &path, "", None)
            .await
            .map(drop)
    }

    /// What it served to the gateway.
    pub async fn counts(&self) -> Result<Value> {
        web::call(Method::GET, self.address, "/counts", "", None).await
    }
}

pub struct Bench<'a> {
    pub programs: &'a Programs,
    pub upstream: &'a Upstream,
    pub nginx: &'a Nginx,
    pub gateway: Option<&'a Gateway>,
    pub seconds: f64,
}

impl Bench<'_> {
    /// Every kind of work on every target, so often; the targets change places each round.
    pub async fn rounds(&self, works: &[&'static Work], rounds: usize) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        for round in 0..rounds {
            for work in works {
                let mut targets = work.targets(self.gateway.is_some());
                if round % 2 == 1 {
                    targets.reverse();
                }
                for target in targets {
                    let run = self.run(work, target, round).await?;
                    println!("{}", line(&run));
                    runs.push(run);
                }
            }
        }
        Ok(runs)
    }

    async fn run(&self, work: &Work, target: Target, round: usize) -> Result<Run> {
        self.upstream.set(work.knobs).await?;
        let process = match target {
            Target::Direct => None,
            Target::Nginx => Some(self.nginx.process.id()),
            Target::Gateway => self.gateway.map(Gateway::id),
        };
        let cpu = || process.map_or(Duration::ZERO, processes::cpu);
        let (before, machine, begun) = (cpu(), processes::machine(), Instant::now());
        let upstream = processes::cpu(self.upstream.process.id());
        let report = self.load(work, target).await?;
        // A gateway may write its ledger a while after the calls; that belongs to them.
        if target == Target::Gateway {
            quiet(&cpu).await;
        }
        let used = cpu() - before;
        let upstream = processes::cpu(self.upstream.process.id()) - upstream;
        let ours = used + upstream + Duration::from_secs_f64(report.own_cpu_s);
        let others = (processes::machine() - machine).saturating_sub(ours);
        Ok(Run {
            work: work.name,
            target,
            round,
            report,
            cpu: used,
            noise: others.as_secs_f64() / begun.elapsed().as_secs_f64(),
        })
    }

    async fn load(&self, work: &Work, target: Target) -> Result<Report> {
        let (address, key) = match (target, self.gateway) {
            (Target::Gateway, Some(gateway)) => (gateway.address, gateway.key.as_str()),
            (Target::Nginx, _) => (self.nginx.address, "sk-client"),
            _ => (self.upstream.address, "sk-client"),
        };
        let order = Order {
            address,
            key,
            client: work.client,
            arguments: work.arguments,
            warmup: work.warmup,
            seconds: self.seconds * work.longer,
        };
        load::start(self.programs, &order)?.report(|| {}).await
    }
}

/// Waits until a process has done what it put off: over a second, and then until it rests.
async fn quiet(cpu: &impl Fn() -> Duration) {
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for _ in 0..40 {
        let before = cpu();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if cpu() - before <= Duration::from_millis(10) {
            return;
        }
    }
}

fn line(run: &Run) -> String {
    let report = &run.report;
    let times = report.latency_us.map_or_else(String::new, |times| {
        format!("p50 {:7.0}  p99 {:7.0} µs", times.p50, times.p99)
    });
    let cpu = match (run.target, report.chunks_in_all) {
        (Target::Direct, _) => String::new(),
        (_, 0) => format!("  CPU {:6.1} µs/request", run.cpu_per_request()),
        _ => format!("  CPU {:6.2} µs/chunk", run.cpu_per_chunk()),
    };
    let failures = if report.failures.is_empty() {
        String::new()
    } else {
        format!("  FAILED {:?}", report.failures)
    };
    format!(
        "{} {:5} {:15} {:8.0}/s  {times}{cpu}{failures}",
        run.round + 1,
        run.work,
        run.target.name(),
        report.requests_per_second,
    )
}
