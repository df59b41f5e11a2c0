//! The heads of HTTP/1.1 messages: a request's as bytes, an answer's from bytes, and how the answer's
//! body is framed (RFC 9112). Pure; what does not follow the rules is an error, never a guess, because
//! the next answer on the connection begins where this one is taken to end.

use std::io;
use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

/// The most headers an answer may have.
const MOST_HEADERS: usize = 128;
/// The longest head of an answer, in bytes.
const LONGEST: usize = 64 << 10;

/// How an answer's body is framed, and what of it is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunk),
    /// All that comes until the connection ends.
    UntilClose,
}

/// Where in a chunked body (RFC 9112 §7.1) reading stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// At a line with a size.
    Size,
    /// In a chunk of which so many bytes are left.
    Data(u64),
    /// At the end of a chunk's data.
    DataEnd,
    /// Behind the last chunk, at a trailer or the empty line.
    Trailer,
}

/// What an answer's head says.
#[derive(Debug)]
pub struct Head {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub framing: Framing,
    /// Another request may follow on the connection.
    pub keeps_alive: bool,
}

/// A request's head as it is sent. The body's length is told here and nowhere else; that of an empty one
/// where the method has a meaning for it (RFC 9110 §8.6).
pub fn write(method: &Method, uri: &Uri, headers: &HeaderMap, body_length: usize) -> BytesMut {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| {
        // what stands before an @ is nobody's but ours
        let text = authority.as_str();
        text.rsplit_once('@').map_or(text, |(_, host)| host)
    });
    let length = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum::<usize>();
    let mut head = BytesMut::with_capacity(path.len() + host.len() + length + 96);
    for part in [method.as_str(), " ", path, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    if !headers.contains_key(HOST) {
        for part in ["host: ", host, "\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
    }
    let has_body = body_length > 0 || matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    if has_body {
        head.extend_from_slice(format!("content-length: {body_length}\r\n").as_bytes());
    }
    let others = headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH);
    for (name, value) in others {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Takes an answer's head out of what was read. `None`: it is not there whole. Interim answers
/// (100 …) are passed over; a change of protocol (101) is an answer.
///
/// # Errors
/// What is no answer of HTTP/1, or frames its body in a way that two readers could take for two lengths.
pub fn read(buffer: &mut BytesMut, method: &Method) -> io::Result<Option<Head>> {
    loop {
        let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut parsed, buffer, &mut room)
            .map_err(|_| bad("an answer that is not HTTP"))?;
        let httparse::Status::Complete(length) = status else {
            return match buffer.len() > LONGEST {
                true => Err(bad("an answer with a head that is too long")),
                false => Ok(None),
            };
        };
        let code = parsed.code.unwrap_or_default();
        if (100..200).contains(&code) && code != 101 {
            drop(buffer.split_to(length));
            continue;
        }
        let version = match parsed.version {
            Some(0) => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        let places: Vec<Place> = parsed
            .headers
            .iter()
            .map(|header| Place::of(buffer, header))
            .collect();
        let head = buffer.split_to(length).freeze();
        let headers = taken(&head, &places)?;
        let status = StatusCode::from_u16(code).map_err(|_| bad("an answer without a status"))?;
        let framing = framing(status, &headers, method, version)?;
        let keeps_alive = keeps_alive(&headers, version) && framing != Framing::UntilClose;
        return Ok(Some(Head {
            status,
            headers,
            framing,
            keeps_alive,
        }));
    }
}

/// Where in the head a header's name and value stand.
struct Place {
    name: (usize, usize),
    value: (usize, usize),
}

impl Place {
    fn of(head: &[u8], header: &httparse::Header<'_>) -> Place {
        let begin = head.as_ptr().addr();
        let place = |part: &[u8]| {
            let at = part.as_ptr().addr() - begin;
            (at, at + part.len())
        };
        Place {
            name: place(header.name.as_bytes()),
            value: match header.value {
                // an empty value has no place of its own
                b"" => (0, 0),
                value => place(value),
            },
        }
    }
}

/// The headers, whose values share the bytes that were read.
fn taken(head: &Bytes, places: &[Place]) -> io::Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(places.len());
    for place in places {
        let name = HeaderName::from_bytes(&head[place.name.0..place.name.1])
            .map_err(|_| bad("an answer with a header that has no name"))?;
        let value = HeaderValue::from_maybe_shared(head.slice(place.value.0..place.value.1))
            .map_err(|_| bad("an answer with a header that has no text"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// RFC 9112 §6.3.
fn framing(
    status: StatusCode,
    headers: &HeaderMap,
    method: &Method,
    version: Version,
) -> io::Result<Framing> {
    let is_empty = method == Method::HEAD
        || matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS
        );
    if is_empty {
        return Ok(Framing::Length(0));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !is_chunked || codings.next().is_some() || version == Version::HTTP_10 {
            return Err(bad("an answer in a transfer coding that is not 'chunked'"));
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(bad("an answer that is both chunked and of a given length"));
        }
        return Ok(Framing::Chunked(Chunk::Size));
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else {
        return Ok(Framing::UntilClose);
    };
    if lengths.any(|other| other != first) {
        return Err(bad("an answer of two lengths"));
    }
    let digits = first.to_str().unwrap_or_default();
    match digits.bytes().all(|digit| digit.is_ascii_digit()) {
        true => digits
            .parse()
            .map(Framing::Length)
            .map_err(|_| bad("an answer whose length is no number")),
        false => Err(bad("an answer whose length is no number")),
    }
}

fn keeps_alive(headers: &HeaderMap, version: Version) -> bool {
    let says = |word: &[u8]| {
        headers.get_all(CONNECTION).iter().any(|value| {
            let mut words = value.as_bytes().split(|byte| *byte == b',');
            words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word))
        })
    };
    match version {
        Version::HTTP_11 => !says(b"close"),
        _ => says(b"keep-alive"),
    }
}

/// An answer that is not to be trusted any further.
pub fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> io::Result<Option<Head>> {
        read(&mut BytesMut::from(text), &Method::POST)
    }

    fn framed(headers: &str) -> io::Result<Framing> {
        parsed(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).map(|head| head.unwrap().framing)
    }

    #[test]
    fn a_head_is_taken_and_the_body_left() {
        let mut buffer = BytesMut::from(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 3\r\nx-empty:\r\n\
             content-length: 4\r\n\r\nbody",
        );
        let head = read(&mut buffer, &Method::POST).unwrap().unwrap();
        assert_eq!(head.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(head.headers["retry-after"], "3");
        assert_eq!(head.headers["x-empty"], "");
        assert_eq!(head.framing, Framing::Length(4));
        assert!(head.keeps_alive);
        assert_eq!(&buffer[..], b"body");
    }

    #[test]
    fn a_head_in_pieces_is_waited_for() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        for cut in 0..text.len() {
            assert!(parsed(&text[..cut]).unwrap().is_none(), "cut at {cut}");
        }
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(LONGEST));
        assert!(parsed(&long).is_err());
    }

    #[test]
    fn a_body_has_one_length_or_the_answer_is_refused() {
        let chunked = Framing::Chunked(Chunk::Size);
        assert_eq!(framed("Transfer-Encoding: Chunked\r\n").unwrap(), chunked);
        assert_eq!(framed("").unwrap(), Framing::UntilClose);
        let twice = "content-length: 5\r\ncontent-length: 5\r\n";
        assert_eq!(framed(twice).unwrap(), Framing::Length(5));
        for bad in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: +5\r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip\r\n",
            "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert!(framed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_connection_is_kept_when_the_provider_keeps_it() {
        for (head, kept) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x, Close\r\n\r\n",
                false,
            ),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
        ] {
            assert_eq!(parsed(head).unwrap().unwrap().keeps_alive, kept, "{head}");
        }
    }

    #[test]
    fn a_request_names_its_host_and_keeps_what_it_is_given() {
        let uri: Uri = "http://user:secret@example.com:8080/v1/chat?a=b"
            .parse()
            .unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-one", HeaderValue::from_static("1"));
        // what the client said of its own body is not what is sent
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
        let begin = "/v1/chat?a=b HTTP/1.1\r\nhost: example.com:8080\r\n";
        for (method, length, told) in [
            (Method::POST, 12, "content-length: 12\r\n"),
            (Method::POST, 0, "content-length: 0\r\n"),
            (Method::GET, 3, "content-length: 3\r\n"),
            (Method::GET, 0, ""),
            (Method::DELETE, 0, ""),
        ] {
            let expected = format!("{method} {begin}{told}x-one: 1\r\n\r\n");
            let head = write(&method, &uri, &headers, length);
            assert_eq!(str::from_utf8(&head).unwrap(), expected);
        }
    }
}
