//! The open loop: requests leave on a fixed schedule, whatever became of those before. Each
//! connection is a thread that sleeps until its next turn, as the kernel's timers are exact to
//! microseconds and an asynchronous runtime's to a millisecond.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::Load;
use crate::record::{Reading, Record};

const BUFFER: usize = 64 * 1024;

/// `rate` requests a second. A connection that is behind its schedule sends at once, and the
/// request's time still counts from its turn.
pub fn run(load: &Load, connections: usize, rate: f64) -> Record {
    let mut all = Record::new();
    thread::scope(|scope| {
        let begin = |index| scope.spawn(move || connection(load, index, connections, rate));
        let threads: Vec<_> = (0..connections).map(begin).collect();
        for thread in threads {
            match thread.join() {
                Ok(record) => all.merge(&record),
                Err(_) => {
                    *all.failures
                        .entry("a thread panicked".to_owned())
                        .or_default() += 1
                }
            }
        }
    });
    all
}

fn connection(load: &Load, index: usize, connections: usize, rate: f64) -> Record {
    let mut record = Record::new();
    let mut buffer = vec![0; BUFFER];
    let mut socket = None;
    for turn in (index..).step_by(connections) {
        let due = load.window.start + Duration::from_secs_f64(turn as f64 / rate);
        if due >= load.window.end {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if load.window.holds(due) && socket.is_some() {
            record.lateness.add(due.elapsed());
        }
        let result = ask(load, &mut socket, due, &mut buffer, &mut record);
        record.ended(load, due, result);
    }
    record
}

fn ask(
    load: &Load,
    kept: &mut Option<TcpStream>,
    due: Instant,
    buffer: &mut [u8],
    record: &mut Record,
) -> Result<(), String> {
    let mut socket = match kept.take() {
        Some(socket) => socket,
        None => connect(load)?,
    };
    socket
        .write_all(&load.request)
        .map_err(|error| error.to_string())?;
    let mut reading = Reading::new(due);
    loop {
        let count = socket.read(buffer).map_err(|error| error.to_string())?;
        if count == 0 {
            return Err("closed amid an answer".to_owned());
        }
        if let Some(reusable) = reading.feed(load, &buffer[..count], record)? {
            *kept = reusable.then_some(socket);
            return Ok(());
        }
    }
}

fn connect(load: &Load) -> Result<TcpStream, String> {
    let connected = TcpStream::connect(load.address).and_then(|socket| {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(load.timeout))?;
        Ok(socket)
    });
    connected.map_err(|error| format!("connect: {error}"))
}
