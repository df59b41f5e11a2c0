//! The body of an answer out of the bytes of its connection. Pure. However many chunks one read brought,
//! they leave as one piece.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;

use super::head::{Chunk, Framing, bad};

/// The longest line with a chunk's size, and the longest trailer, in bytes.
const LONGEST_LINE: usize = 8 << 10;

/// Takes what there is of the body; whether the body has ended with it.
///
/// # Errors
/// Chunks that are not framed as RFC 9112 §7.1 says.
pub fn take(buffer: &mut BytesMut, framing: &mut Framing) -> io::Result<(Bytes, bool)> {
    match framing {
        Framing::Length(left) => {
            let count = at_most(*left, buffer.len());
            *left -= count as u64;
            Ok((buffer.split_to(count).freeze(), *left == 0))
        }
        Framing::UntilClose => Ok((buffer.split().freeze(), false)),
        Framing::Chunked(chunk) => chunks(buffer, chunk),
    }
}

fn at_most(left: u64, here: usize) -> usize {
    usize::try_from(left).map_or(here, |left| left.min(here))
}

fn chunks(buffer: &mut BytesMut, chunk: &mut Chunk) -> io::Result<(Bytes, bool)> {
    // copied, so that the buffer stays whole and takes the next read without new memory
    let (mut first, mut joined) = (Bytes::new(), Vec::new());
    let most = buffer.len();
    let mut keep = |piece: &[u8]| match first.is_empty() {
        true => first = Bytes::copy_from_slice(piece),
        false => {
            if joined.is_empty() {
                joined.reserve_exact(most);
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(piece);
        }
    };
    let has_ended = loop {
        match *chunk {
            Chunk::Size => {
                let Some(end) = line(buffer)? else {
                    break false;
                };
                *chunk = match size(&buffer[..end])? {
                    0 => Chunk::Trailer,
                    size => Chunk::Data(size),
                };
                buffer.advance(end + 2);
            }
            Chunk::Data(left) => {
                let count = at_most(left, buffer.len());
                if count == 0 {
                    break false;
                }
                keep(&buffer[..count]);
                buffer.advance(count);
                *chunk = match left - count as u64 {
                    0 => Chunk::DataEnd,
                    left => Chunk::Data(left),
                };
            }
            Chunk::DataEnd => {
                if buffer.len() < 2 {
                    break false;
                }
                if buffer[..2] != *b"\r\n" {
                    return Err(bad("a chunk that is longer than it says"));
                }
                buffer.advance(2);
                *chunk = Chunk::Size;
            }
            Chunk::Trailer => match line(buffer)? {
                None => break false,
                // nobody asked for trailers
                Some(end) => {
                    buffer.advance(end + 2);
                    if end == 0 {
                        break true;
                    }
                }
            },
        }
    };
    match joined.is_empty() {
        true => Ok((first, has_ended)),
        false => Ok((joined.into(), has_ended)),
    }
}

/// Where the line ends that the buffer begins with, before its `\r\n`; `None`: it is not there whole.
fn line(buffer: &[u8]) -> io::Result<Option<usize>> {
    match memchr(b'\n', buffer) {
        Some(end) if end > 0 && buffer[end - 1] == b'\r' && end <= LONGEST_LINE => {
            Ok(Some(end - 1))
        }
        None if buffer.len() <= LONGEST_LINE => Ok(None),
        _ => Err(bad("a chunk without a well-formed beginning")),
    }
}

/// A chunk's size; extensions behind it mean nothing to us.
fn size(line: &[u8]) -> io::Result<u64> {
    let end = memchr(b';', line).unwrap_or(line.len());
    let digits = line[..end].trim_ascii();
    if digits.is_empty() || digits.len() > 15 {
        return Err(bad("a chunk without a size"));
    }
    digits.iter().try_fold(0, |size, digit| {
        let digit = char::from(*digit).to_digit(16);
        let digit = digit.ok_or_else(|| bad("a chunk without a size"))?;
        Ok(size * 16 + u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"5\r\nhello\r\n1;a=b\r\n \r\nA ;x=1\r\nworld, abc\r\n000\r\nx-trailer: 1\r\n\r\nnext";

    #[test]
    fn chunks_are_joined_however_they_are_cut() {
        for one in 0..TEXT.len() {
            for two in one..TEXT.len() {
                let (mut buffer, mut framing) = (BytesMut::new(), Framing::Chunked(Chunk::Size));
                let (mut got, mut ended) = (Vec::new(), false);
                for part in [&TEXT[..one], &TEXT[one..two], &TEXT[two..]] {
                    buffer.extend_from_slice(part);
                    if !ended {
                        let (data, ends) = take(&mut buffer, &mut framing).unwrap();
                        got.extend_from_slice(&data);
                        ended = ends;
                    }
                }
                assert_eq!(got, b"hello world, abc", "cut at {one} and {two}");
                assert!(ended, "cut at {one} and {two}");
                assert_eq!(&buffer[..], b"next", "cut at {one} and {two}");
            }
        }
    }

    #[test]
    fn what_is_not_framed_well_is_refused() {
        for text in [
            &b"zz\r\n"[..],
            b"\r\n",
            b"-1\r\n",
            b"5\nhello\r\n",
            b"2\r\nhello\r\n",
            b"1000000000000000\r\n",
        ] {
            let mut framing = Framing::Chunked(Chunk::Size);
            let taken = take(&mut BytesMut::from(text), &mut framing);
            assert!(taken.is_err(), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let mut framing = Framing::Length(4);
        let mut buffer = BytesMut::from("bo");
        let (piece, ends) = take(&mut buffer, &mut framing).unwrap();
        assert_eq!((&piece[..], ends), (&b"bo"[..], false));
        buffer.extend_from_slice(b"dynext");
        let (piece, ends) = take(&mut buffer, &mut framing).unwrap();
        assert_eq!((&piece[..], ends), (&b"dy"[..], true));
        assert_eq!(&buffer[..], b"next");
    }
}
