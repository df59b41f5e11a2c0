//! Makes the load of the bench and measures it from the client's side; prints one JSON document.
//!
//! It must never be what is measured: requests are bytes made once, answers are read by a parser
//! of a few lines, and there is one thread for all connections of a closed loop.

#![expect(clippy::print_stdout, reason = "the report is the output")]

mod answer;
mod client;
mod closed;
mod events;
mod histogram;
mod open;
mod record;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;

use client::{Asked, Protocol};
use record::Record;

#[derive(Parser)]
#[command(about = "Load on a chat endpoint on this machine")]
pub struct Arguments {
    /// The endpoint, http://ADDRESS:PORT/PATH; loopback only.
    #[arg(long)]
    url: http::Uri,
    /// Sent as `authorization: Bearer KEY`.
    #[arg(long, default_value = "sk-bench")]
    key: String,
    /// What is spoken at the endpoint.
    #[arg(long, value_enum, default_value = "chat")]
    protocol: Protocol,
    #[arg(long, default_value = "bench-model")]
    model: String,
    /// Closed loop: requests always in flight. Open loop: the most there can be.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Open loop: requests a second on a fixed schedule. A request's time counts from its place
    /// in the schedule, so that a stall is not left out.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds before the measured ones.
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Seconds measured.
    #[arg(long, default_value_t = 2.5)]
    seconds: f64,
    /// Seconds after which a request has failed.
    #[arg(long, default_value_t = 20.0)]
    timeout: f64,
    /// Bytes of text in the prompt.
    #[arg(long, default_value_t = 1024)]
    prompt_bytes: usize,
    /// Ask for a stream, with usage.
    #[arg(long)]
    stream: bool,
    /// Chat: do not ask for usage in the stream.
    #[arg(long)]
    no_usage: bool,
    /// A stream with fewer events than this has failed.
    #[arg(long, default_value_t = 0)]
    expect_chunks: u64,
}

/// The load, made ready.
pub struct Load {
    pub address: SocketAddr,
    /// Head and body as they go out.
    pub request: Bytes,
    pub protocol: Protocol,
    pub stream: bool,
    pub expect_chunks: u64,
    pub timeout: Duration,
    pub window: Window,
}

/// What is recorded is what ends between `measure` and `end`.
#[derive(Clone, Copy)]
pub struct Window {
    pub start: Instant,
    pub measure: Instant,
    pub end: Instant,
}

impl Window {
    pub fn holds(&self, at: Instant) -> bool {
        (self.measure..self.end).contains(&at)
    }
}

fn main() -> Result<(), String> {
    // Threads begun later inherit it: sleeps then end on time and not up to 50 µs late.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    let arguments = Arguments::parse();
    let load = load(&arguments)?;
    let record = match arguments.rate {
        Some(rate) if rate > 0.0 => open::run(&load, arguments.connections, rate),
        Some(rate) => return Err(format!("a rate of {rate} makes no load")),
        None => closed::run(&load, arguments.connections),
    };
    let seconds = (load.window.end - load.window.measure).as_secs_f64();
    println!("{}", report(&record, seconds));
    Ok(())
}

fn load(arguments: &Arguments) -> Result<Load, String> {
    let authority = arguments.url.authority().ok_or("the URL names no host")?;
    let address: SocketAddr = authority
        .as_str()
        .parse()
        .map_err(|_| format!("{authority} is not ADDRESS:PORT"))?;
    if !address.ip().is_loopback() {
        return Err(format!("{address} is not on this machine"));
    }
    let seconds =
        |number: f64| Duration::try_from_secs_f64(number).map_err(|error| error.to_string());
    let start = Instant::now() + Duration::from_millis(20);
    let measure = start + seconds(arguments.warmup)?;
    Ok(Load {
        address,
        request: request(arguments, address),
        protocol: arguments.protocol,
        stream: arguments.stream,
        expect_chunks: arguments.expect_chunks,
        timeout: seconds(arguments.timeout)?,
        window: Window {
            start,
            measure,
            end: measure + seconds(arguments.seconds)?,
        },
    })
}

fn request(arguments: &Arguments, address: SocketAddr) -> Bytes {
    let body = arguments.protocol.body(&Asked {
        model: &arguments.model,
        prompt_bytes: arguments.prompt_bytes,
        stream: arguments.stream,
        usage: !arguments.no_usage,
    });
    let path = arguments
        .url
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        arguments.key,
        body.len()
    );
    Bytes::from(head + &body)
}

fn report(record: &Record, seconds: f64) -> serde_json::Value {
    serde_json::json!({
        "seconds": seconds,
        "requests": record.requests,
        "requests_per_second": record.requests as f64 / seconds,
        "requests_in_all": record.requests_in_all,
        "chunks_in_all": record.chunks_in_all,
        "failures": record.failures,
        "latency_us": record.latency.summary(),
        "first_chunk_us": record.first_chunk.summary(),
        "first_delay_us": record.first_delay.summary(),
        "chunk_delay_us": record.chunk_delay.summary(),
        "own_lateness_us": record.lateness.summary(),
        "own_cpu_s": testkit::processes::cpu(std::process::id()).as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded() {
        let url = "http://192.0.2.1:80/";
        let arguments = Arguments::parse_from(["loadgen", "--url", url]);
        assert!(load(&arguments).is_err());
    }
}
