//! One direction of a session: bytes from a reader to a writer through a buffer that does not grow.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes that are under way in one direction.
const BUFFER: usize = 16 << 10;

pub type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

pub struct Way {
    reader: Reader,
    pub writer: Writer,
    buffer: Box<[u8]>,
    from: usize,
    to: usize,
    is_flushed: bool,
}

/// What a direction has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something arrived; see [`Way::held`].
    Arrived,
    /// Something went on.
    Moved,
    /// No more arrives, and all that did went on.
    Ended,
    /// Nothing can be sent any more.
    Stuck,
}

impl Way {
    pub fn new(reader: Reader, writer: Writer) -> Way {
        Way {
            reader,
            writer,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            from: 0,
            to: 0,
            is_flushed: true,
        }
    }

    /// Does one thing. Dropping it before it is done loses nothing.
    pub async fn step(&mut self) -> Step {
        if self.from < self.to {
            return match self.writer.write(&self.buffer[self.from..self.to]).await {
                Ok(0) | Err(_) => Step::Stuck,
                Ok(count) => {
                    self.from += count;
                    self.is_flushed = false;
                    Step::Moved
                }
            };
        }
        if !self.is_flushed {
            if self.writer.flush().await.is_err() {
                return Step::Stuck;
            }
            self.is_flushed = true;
        }
        match self.reader.read(&mut self.buffer).await {
            Ok(0) | Err(_) => Step::Ended,
            Ok(count) => {
                (self.from, self.to) = (0, count);
                Step::Arrived
            }
        }
    }

    /// What has arrived and not gone on.
    pub fn held(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// Keeps no more than so many bytes of what is held.
    pub fn truncate(&mut self, length: usize) {
        self.to = self.to.min(self.from + length);
    }

    /// Sends what is held, and then `last`.
    pub async fn finish(&mut self, last: &[u8]) -> std::io::Result<()> {
        let held = std::mem::take(&mut self.from)..std::mem::take(&mut self.to);
        self.writer.write_all(&self.buffer[held]).await?;
        self.writer.write_all(last).await?;
        self.writer.flush().await
    }

    /// Reads on without sending anything; gives nothing at the end.
    pub async fn read(&mut self) -> Option<&[u8]> {
        match self.reader.read(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(count) => Some(&self.buffer[..count]),
        }
    }
}
