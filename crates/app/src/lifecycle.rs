//! The end of the process: what asks for it, and in which order things stop.
//!
//! First signal: readiness fails, nothing new is accepted, open calls end within the deadline, the
//! ledger is written, the database closed. Second signal: at once.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the system lets nobody listen for signals.
pub async fn asked_to_stop() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
