//! The closed loop: each connection sends its next request when the last answer ended. One
//! thread drives them all.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::Load;
use crate::record::{Reading, Record};

/// Streams still running at the end may finish, but not hold the run up for longer.
const DRAIN: Duration = Duration::from_secs(5);
const BUFFER: usize = 64 * 1024;

pub fn run(load: &Load, connections: usize) -> Record {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a thread can have a runtime");
    let record = Rc::new(RefCell::new(Record::new()));
    let load = Rc::new(Load {
        request: load.request.clone(),
        ..*load
    });
    let tasks = LocalSet::new();
    for _ in 0..connections {
        tasks.spawn_local(connection(load.clone(), record.clone()));
    }
    let rest = (load.window.end + DRAIN).saturating_duration_since(Instant::now());
    runtime.block_on(async {
        if tokio::time::timeout(rest, tasks).await.is_err() {
            let mut record = record.borrow_mut();
            *record
                .failures
                .entry("still running at the end".to_owned())
                .or_default() += 1;
        }
    });
    record.replace(Record::new())
}

async fn connection(load: Rc<Load>, record: Rc<RefCell<Record>>) {
    tokio::time::sleep_until(load.window.start.into()).await;
    let mut buffer = vec![0; BUFFER];
    let mut socket = None;
    while Instant::now() < load.window.end {
        let start = Instant::now();
        let asked = ask(&load, &mut socket, start, &mut buffer, &record);
        let result = match tokio::time::timeout(load.timeout, asked).await {
            Ok(result) => result,
            Err(_) => Err("timeout".to_owned()),
        };
        let failed = result.is_err();
        record.borrow_mut().ended(&load, start, result);
        if failed {
            // A dead server must not make a busy loop.
            socket = None;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn ask(
    load: &Load,
    kept: &mut Option<TcpStream>,
    start: Instant,
    buffer: &mut [u8],
    record: &RefCell<Record>,
) -> Result<(), String> {
    let mut socket = match kept.take() {
        Some(socket) => socket,
        None => connect(load).await?,
    };
    socket
        .write_all(&load.request)
        .await
        .map_err(|error| error.to_string())?;
    let mut reading = Reading::new(start);
    loop {
        let count = socket
            .read(buffer)
            .await
            .map_err(|error| error.to_string())?;
        if count == 0 {
            return Err("closed amid an answer".to_owned());
        }
        let ended = reading.feed(load, &buffer[..count], &mut record.borrow_mut())?;
        if let Some(reusable) = ended {
            *kept = reusable.then_some(socket);
            return Ok(());
        }
    }
}

async fn connect(load: &Load) -> Result<TcpStream, String> {
    let socket = TcpStream::connect(load.address).await;
    let socket = socket.map_err(|error| format!("connect: {error}"))?;
    let _ = socket.set_nodelay(true);
    Ok(socket)
}
