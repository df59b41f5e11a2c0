//! The load generator as a child, and what it reports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::Result;
use crate::machine::Programs;

/// What the load generator speaks. The upstream speaks chat completions, so that the gateway passes a
/// chat client's calls on and translates the others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Chat,
    Messages,
    Responses,
}

impl Client {
    pub const ALL: [Client; 3] = [Client::Chat, Client::Messages, Client::Responses];

    /// As the load generator's `--protocol` has it.
    pub fn name(self) -> &'static str {
        match self {
            Client::Chat => "chat",
            Client::Messages => "messages",
            Client::Responses => "responses",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Client::Chat => "/v1/chat/completions",
            Client::Messages => "/v1/messages",
            Client::Responses => "/v1/responses",
        }
    }
}

/// A load to make.
pub struct Order<'a> {
    pub address: SocketAddr,
    pub key: &'a str,
    pub client: Client,
    pub arguments: &'a [&'a str],
    /// Seconds before the measured ones.
    pub warmup: f64,
    pub seconds: f64,
}

#[derive(Deserialize)]
pub struct Report {
    pub requests_per_second: f64,
    pub requests_in_all: u64,
    pub chunks_in_all: u64,
    pub failures: BTreeMap<String, u64>,
    pub latency_us: Option<Times>,
    pub first_delay_us: Option<Times>,
    pub chunk_delay_us: Option<Times>,
    pub own_cpu_s: f64,
}

/// Microseconds.
#[derive(Clone, Copy, Deserialize)]
pub struct Times {
    pub p50: f64,
    pub p99: f64,
}

/// A load being made; it is ended with its value.
pub struct Running {
    child: Child,
    begun: Instant,
    limit: Duration,
}

pub fn start(programs: &Programs, order: &Order) -> Result<Running> {
    let mut command = Command::new(&programs.loadgen);
    let url = format!("http://{}{}", order.address, order.client.path());
    command
        .args(["--url", &url, "--protocol", order.client.name()])
        .args(["--key", order.key, "--model", crate::gateway::MODEL])
        .args(["--warmup", &order.warmup.to_string()])
        .args(["--seconds", &order.seconds.to_string()])
        .args(order.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let child = command.spawn();
    Ok(Running {
        child: child.map_err(|error| format!("loadgen: {error}"))?,
        begun: Instant::now(),
        limit: Duration::from_secs_f64(order.warmup + order.seconds + 30.0),
    })
}

impl Running {
    /// Waits until it ends, and looks meanwhile, every few milliseconds.
    pub async fn report(mut self, mut look: impl FnMut()) -> Result<Report> {
        // The report is a line, which a pipe holds until the process ended.
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if self.begun.elapsed() > self.limit {
                return Err(format!("loadgen did not end within {:?}", self.limit));
            }
            look();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let output = self.child.stdout.take().map(std::io::read_to_string);
        let text = match output {
            Some(Ok(text)) => text,
            _ => return Err("loadgen said nothing".to_owned()),
        };
        serde_json::from_str(&text).map_err(|error| format!("loadgen: {error} in `{text}`"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
