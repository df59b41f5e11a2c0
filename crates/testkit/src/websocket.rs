//! WebSockets for tests, either side of one: frames written by hand, so that a test says exactly what
//! goes over the wire.

use std::fmt;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection after its handshake.
pub struct Socket {
    stream: Box<dyn Stream>,
    arrived: Vec<u8>,
    /// The kind of the message that is under way, and what came of it.
    begun: (u8, Vec<u8>),
    /// Clients mask what they send.
    mask: Option<[u8; 4]>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What a frame carried.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// With its code and reason.
    Close(Option<u16>, String),
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Text(text) => write!(f, "text {:.200}", text),
            Message::Binary(bytes) => write!(f, "{} bytes", bytes.len()),
            Message::Ping(_) => f.write_str("ping"),
            Message::Pong(_) => f.write_str("pong"),
            Message::Close(code, reason) => write!(f, "close {code:?} {reason}"),
        }
    }
}

/// An answer to a client's handshake.
#[derive(Debug)]
pub struct Handshake {
    pub status: u16,
    pub headers: HeaderMap,
    /// What stands behind the head, if the connection stayed HTTP.
    pub body: String,
}

impl Handshake {
    /// A header's value, empty where absent.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Opens a connection as a client, with these headers beside those of the handshake.
///
/// # Panics
/// When no answer comes.
pub async fn connect(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> (Handshake, Socket) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: keep-alive, Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream
        .write_all(head.as_bytes())
        .await
        .expect("it takes the handshake");
    let mut arrived = Vec::new();
    let end = loop {
        if let Some(end) = arrived.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let count = tokio::time::timeout(crate::PATIENCE, stream.read_buf(&mut arrived)).await;
        let count = count.expect("it answers in time").expect("it answers");
        assert!(count > 0, "the connection was closed amid the handshake");
    };
    let rest = arrived.split_off(end + 4);
    let (status, headers) = parsed(&String::from_utf8_lossy(&arrived));
    let mut handshake = Handshake {
        status,
        headers,
        body: String::new(),
    };
    let mut socket = Socket {
        stream: Box::new(stream),
        arrived: rest,
        begun: (0, Vec::new()),
        mask: Some([7, 11, 13, 17]),
    };
    if status != 101 {
        let length = handshake.header("content-length").parse().unwrap_or(0);
        while socket.arrived.len() < length && socket.fill().await {}
        handshake.body = String::from_utf8_lossy(&socket.arrived).into_owned();
    }
    (handshake, socket)
}

fn parsed(head: &str) -> (u16, HeaderMap) {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name: HeaderName = name.parse().expect("a header's name");
        let value = HeaderValue::from_str(value).expect("a header's value");
        headers.append(name, value);
    }
    (status.expect("a status line"), headers)
}

impl Socket {
    /// The server's side of a connection that has left HTTP behind.
    pub fn of_server(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Socket {
        Socket {
            stream: Box::new(stream),
            arrived: Vec::new(),
            begun: (0, Vec::new()),
            mask: None,
        }
    }

    pub async fn send(&mut self, message: &Value) {
        self.send_frame(1, true, message.to_string().as_bytes())
            .await;
    }

    /// A close frame.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        self.send_frame(8, true, &payload).await;
    }

    /// One frame of this kind; a continuation is of kind 0.
    pub async fn send_frame(&mut self, kind: u8, is_final: bool, payload: &[u8]) {
        let mut bytes = vec![kind | if is_final { 0x80 } else { 0 }];
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            length @ 0..126 => bytes.push(masked | length as u8),
            length @ 126..65_536 => {
                bytes.push(masked | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(masked | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(self.mask.iter().flatten());
        let key = self.mask.unwrap_or_default();
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b));
        self.send_raw(&bytes).await;
    }

    /// Bytes as they are. One that has gone takes none, which is no fault of the test's.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next message, put together of its frames; `None` at the end of the connection.
    ///
    /// # Panics
    /// When nothing comes within [`crate::PATIENCE`].
    pub async fn receive(&mut self) -> Option<Message> {
        loop {
            let (first, payload) = self.frame().await?;
            match first & 15 {
                8 => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    let reason = payload.get(2..).unwrap_or_default();
                    let reason = String::from_utf8_lossy(reason).into_owned();
                    return Some(Message::Close(code, reason));
                }
                9 => return Some(Message::Ping(payload)),
                10 => return Some(Message::Pong(payload)),
                0 => self.begun.1.extend(payload),
                kind => self.begun = (kind, payload),
            }
            if first & 0x80 != 0 {
                let (kind, whole) = std::mem::take(&mut self.begun);
                return Some(match kind {
                    1 => Message::Text(String::from_utf8(whole).expect("text")),
                    _ => Message::Binary(whole),
                });
            }
        }
    }

    /// The next message, which must be JSON.
    pub async fn receive_json(&mut self) -> Value {
        match self.receive().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("no text came but {other:?}"),
        }
    }

    /// The first byte of the next frame and its payload, without its mask.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.take(2).await?;
        let length = match head[1] & 0x7f {
            126 => self
                .take(2)
                .await?
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            127 => self
                .take(8)
                .await?
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            short => usize::from(short),
        };
        let key = match head[1] & 0x80 {
            0 => vec![0],
            _ => self.take(4).await?,
        };
        let payload = self.take(length).await?;
        let plain = payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b);
        Some((head[0], plain.collect()))
    }

    async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.arrived.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        let rest = self.arrived.split_off(count);
        Some(std::mem::replace(&mut self.arrived, rest))
    }

    async fn fill(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.arrived);
        match tokio::time::timeout(crate::PATIENCE, read).await {
            Ok(count) => count.is_ok_and(|count| count > 0),
            Err(_) => panic!("nothing came over the WebSocket"),
        }
    }
}
