//! Reads an HTTP/1.1 answer out of reads that may cut it anywhere: status, then the body by its
//! length or its chunks. Bodies that end with their connection count as failed, as both the
//! gateway and nginx keep connections alive.

use memchr::{memchr, memmem};

/// An answer as far as it was read.
#[derive(Default)]
pub struct Answer {
    pub status: u16,
    /// Bytes of the body so far.
    pub body_bytes: u64,
    /// The server closes the connection after this answer.
    pub closes: bool,
    state: State,
    /// A head or a line of which the end is still missing.
    kept: Vec<u8>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Fixed(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailer,
    Done,
}

impl Answer {
    /// Takes what a read brought; body bytes go to `body`. `Ok(true)` once the answer is whole.
    pub fn feed(&mut self, mut bytes: &[u8], mut body: impl FnMut(&[u8])) -> Result<bool, String> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head => self.head(bytes)?,
                State::Fixed(left) | State::ChunkData(left) => {
                    let (data, rest) = split_at_most(bytes, left);
                    self.body_bytes += data.len() as u64;
                    body(data);
                    self.state = match (self.state, left - data.len() as u64) {
                        (State::Fixed(_), 0) => State::Done,
                        (State::Fixed(_), left) => State::Fixed(left),
                        (_, 0) => State::ChunkEnd,
                        (_, left) => State::ChunkData(left),
                    };
                    rest
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.line(bytes)?,
                State::Done => return Err("bytes after the answer's end".to_owned()),
            };
        }
        Ok(self.state == State::Done)
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let before = self.kept.len();
        self.kept.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.kept, b"\r\n\r\n") else {
            return Ok(&[]);
        };
        let head = std::str::from_utf8(&self.kept[..end]).map_err(|error| error.to_string())?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        self.status = status
            .and_then(|status| status.parse().ok())
            .ok_or("no status")?;
        let mut state = None;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let length = value.parse().map_err(|_| "no length")?;
                state = Some(if length == 0 {
                    State::Done
                } else {
                    State::Fixed(length)
                });
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                state = Some(State::ChunkSize);
            } else if name.eq_ignore_ascii_case("connection") {
                self.closes = value.eq_ignore_ascii_case("close");
            }
        }
        self.state = state.ok_or("an answer of unknown length")?;
        self.kept.clear();
        Ok(&bytes[end + 4 - before..])
    }

    /// Lines between chunks: sizes, the empty ones after data, trailers.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.kept.extend_from_slice(bytes);
            return Ok(&[]);
        };
        self.kept.extend_from_slice(&bytes[..end]);
        let line = self.kept.trim_ascii_end();
        self.state = match self.state {
            State::ChunkSize => match chunk_size(line).ok_or("no chunk size")? {
                0 => State::Trailer,
                size => State::ChunkData(size),
            },
            State::Trailer if line.is_empty() => State::Done,
            State::Trailer => State::Trailer,
            _ => State::ChunkSize,
        };
        self.kept.clear();
        Ok(&bytes[end + 1..])
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?.trim(), 16).ok()
}

fn split_at_most(bytes: &[u8], most: u64) -> (&[u8], &[u8]) {
    let at = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    bytes.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], size: usize) -> Result<(u16, Vec<u8>, bool), String> {
        let (mut answer, mut body, mut done) = (Answer::default(), Vec::new(), false);
        for part in text.chunks(size) {
            done = answer.feed(part, |data| body.extend_from_slice(data))?;
        }
        assert_eq!(answer.body_bytes, body.len() as u64);
        Ok((answer.status, body, done))
    }

    #[test]
    fn answers_are_whole_however_they_are_cut() {
        let fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let chunked = b"HTTP/1.1 429 Too\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=1\r\nlo\r\n0\r\n\r\n";
        let empty = b"HTTP/1.1 204 None\r\ncontent-length: 0\r\n\r\n";
        for size in 1..80 {
            assert_eq!(read(fixed, size), Ok((200, b"hello".to_vec(), true)));
            assert_eq!(read(chunked, size), Ok((429, b"hello".to_vec(), true)));
            assert_eq!(read(empty, size), Ok((204, Vec::new(), true)));
        }
        let half = &chunked[..chunked.len() - 2];
        assert_eq!(read(half, 7), Ok((429, b"hello".to_vec(), false)));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            &b"HTTP/1.1 200 OK\r\n\r\nx"[..],
            b"nonsense\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxx",
        ] {
            assert!(read(text, 1000).is_err());
        }
    }
}
