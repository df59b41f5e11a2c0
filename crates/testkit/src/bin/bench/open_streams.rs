//! What an open stream costs in memory: so many at once through a gateway that has just started, and
//! how much larger it gets than it was.

use std::time::Duration;

use testkit::processes;

use crate::Result;
use crate::gateway::Gateway;
use crate::load::{self, Client, Order};
use crate::machine::Programs;
use crate::runs::Upstream;

/// The name that chooses this measurement.
pub const NAME: &str = "m1000";
pub const STREAMS: u64 = 1000;
/// Texts of some 4,000 tokens, and such large ones that one that is held back shows; in KB, and how the
/// upstream makes them.
const TEXTS: [(u32, &str); 2] = [
    (16, "chunks=64&chunk_bytes=250&chunk_ms=150"),
    (64, "chunks=64&chunk_bytes=1000&chunk_ms=150"),
];
/// Less than a stream takes, so that each connection makes one.
const SECONDS: f64 = 9.0;

pub struct OpenStreams {
    pub client: Client,
    /// What is streamed, in KB.
    pub text: u32,
    /// Bytes for each stream, at the most.
    pub memory: f64,
}

/// Measures it for clients of each protocol, each on a gateway started anew.
pub async fn measure(
    gateway: &mut Gateway,
    upstream: &Upstream,
    programs: &Programs,
) -> Result<Vec<OpenStreams>> {
    let connections = STREAMS.to_string();
    let mut found = Vec::new();
    let all = TEXTS.iter();
    let all = all.flat_map(|text| Client::ALL.map(|client| (text, client)));
    for ((text, knobs), client) in all {
        upstream.set(knobs).await?;
        gateway.start_anew().await?;
        let id = gateway.id();
        let before = processes::memory(id).now;
        let order = Order {
            address: gateway.address,
            key: &gateway.key,
            client,
            arguments: &["--connections", &connections, "--stream"],
            warmup: 0.0,
            seconds: SECONDS,
        };
        let mut most = before;
        let look = || most = most.max(processes::memory(id).now);
        let report = load::start(programs, &order)?.report(look).await?;
        if !report.failures.is_empty() {
            let name = client.name();
            return Err(format!("{STREAMS} {name} streams: {:?}", report.failures));
        }
        let memory = (most - before) as f64 / STREAMS as f64;
        println!(
            "  {NAME} gateway, {} client, {text} KB: {:.1} KiB/stream",
            client.name(),
            memory / 1024.0
        );
        found.push(OpenStreams {
            client,
            text: *text,
            memory,
        });
    }
    upstream.set("").await?;
    // What the last streams left is not for the next measurement.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(found)
}
