//! AWS Signature Version 4: the headers that prove to AWS who sends a request.
//!
//! A pure function of the request, the credentials and the time. The secret key never leaves this
//! file, and what is signed is the path as it goes over the wire: the model's name in it must be
//! percent-encoded once before, since AWS wants it encoded a second time in what is signed.

use base::{Code, Error, Millis, Result, Secret};
use hmac::{Hmac, KeyInit, Mac};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use sha2::{Digest, Sha256};

/// Who signs. Temporary credentials have a session token.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
}

/// Where a signature is good.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `us-east-1`
    pub region: &'a str,
    /// `bedrock` for the runtime of Bedrock.
    pub service: &'a str,
}

/// The request as it will be sent.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    pub method: &'a Method,
    /// With its authority, which is the host that is signed where `headers` name none.
    pub uri: &'a Uri,
    /// Every header here is signed, but those that a proxy may change.
    pub headers: &'a HeaderMap,
    /// See [`body_hash`].
    pub body_hash: &'a str,
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Headers that may change on the way, or that the signature makes.
static UNSIGNED: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::EXPECT,
    header::TRANSFER_ENCODING,
    header::USER_AGENT,
    HeaderName::from_static("x-amzn-trace-id"),
];
static DATE: HeaderName = HeaderName::from_static("x-amz-date");
static SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// SHA-256 of a body, in hexadecimal.
pub fn body_hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// The headers to add to the request: `x-amz-date`, `authorization` and, with a session token,
/// `x-amz-security-token`. Those that hold secrets are marked so that no log prints them.
///
/// # Errors
/// `BadRequest` if the credentials hold what no header may hold, or the URI names no host.
pub fn sign(
    credentials: &Credentials,
    scope: Scope<'_>,
    at: Millis,
    request: Unsigned<'_>,
) -> Result<HeaderMap> {
    let date = basic_format(at);
    let mut added = HeaderMap::new();
    added.insert(&DATE, header_value(&date)?);
    if let Some(token) = &credentials.session_token {
        let mut value = header_value(token.expose().trim())?;
        value.set_sensitive(true);
        added.insert(&SECURITY_TOKEN, value);
    }
    let (canonical, signed) = canonical_request(request, &added)?;
    let day = &date[..date.len().min(8)];
    let Scope { region, service } = scope;
    let scope_text = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = format!(
        "{ALGORITHM}\n{date}\n{scope_text}\n{}",
        body_hash(canonical.as_bytes())
    );
    let key = signing_key(&credentials.secret_access_key, day, scope);
    let signature = hex(&hmac(&key, &to_sign));
    let mut authorization = header_value(&format!(
        "{ALGORITHM} Credential={}/{scope_text}, SignedHeaders={signed}, Signature={signature}",
        credentials.access_key_id.trim()
    ))?;
    authorization.set_sensitive(true);
    added.insert(header::AUTHORIZATION, authorization);
    Ok(added)
}

fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        Error::new(
            Code::BadRequest,
            "the AWS credentials hold characters that no header may hold",
        )
    })
}

/// `20150830T123600Z`
fn basic_format(at: Millis) -> String {
    let text = at.to_rfc3339();
    let seconds = text.split('.').next().unwrap_or_default();
    let mut basic: String = seconds
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .collect();
    basic.push('Z');
    basic
}

fn signing_key(secret: &Secret, day: &str, scope: Scope<'_>) -> [u8; 32] {
    let first = format!("AWS4{}", secret.expose().trim());
    [scope.region, scope.service, "aws4_request"]
        .into_iter()
        .fold(hmac(first.as_bytes(), day), |key, text| hmac(&key, text))
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// What AWS computes from the request it gets, and the names of the headers in it.
fn canonical_request(request: Unsigned<'_>, added: &HeaderMap) -> Result<(String, String)> {
    let mut headers = signed_headers(request, added)?;
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| &**name).collect();
    let names = names.join(";");
    let mut text = format!(
        "{}\n{}\n{}\n",
        request.method,
        canonical_path(request.uri.path()),
        canonical_query(request.uri.query().unwrap_or_default())
    );
    for (name, value) in &headers {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&names);
    text.push('\n');
    text.push_str(request.body_hash);
    Ok((text, names))
}

fn signed_headers(request: Unsigned<'_>, added: &HeaderMap) -> Result<Vec<(String, String)>> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for map in [request.headers, added] {
        for name in map.keys() {
            let replaced = std::ptr::eq(map, request.headers) && added.contains_key(name);
            if replaced || UNSIGNED.contains(name) {
                continue;
            }
            let values: Vec<String> = map.get_all(name).iter().map(canonical_value).collect();
            headers.push((name.as_str().to_owned(), values.join(",")));
        }
    }
    if !request.headers.contains_key(header::HOST) {
        let host = request
            .uri
            .authority()
            .ok_or_else(|| Error::new(Code::BadRequest, "a request to AWS needs a host"))?;
        // Default ports are not sent.
        let host = host.as_str();
        let host = match request.uri.scheme_str() {
            Some("https") => host.strip_suffix(":443").unwrap_or(host),
            Some("http") => host.strip_suffix(":80").unwrap_or(host),
            _ => host,
        };
        headers.push(("host".to_owned(), host.to_owned()));
    }
    Ok(headers)
}

/// Without blanks around it, and with single ones inside.
fn canonical_value(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without `.`, `..` and empty segments, and percent-encoded once more than it is sent.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut text = String::with_capacity(path.len() + 16);
    for segment in &segments {
        text.push('/');
        percent_encode(segment.as_bytes(), &mut text);
    }
    let ends_in_slash = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if text.is_empty() || ends_in_slash {
        text.push('/');
    }
    text
}

/// Sorted by name and value, both encoded.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded_anew(name), encoded_anew(value))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Percent-encoded as AWS does it, however the client's URL library did.
fn encoded_anew(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escape.unwrap_or(bytes[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    let mut encoded = String::new();
    percent_encode(&decoded, &mut encoded);
    encoded
}

fn percent_encode(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            _ => {
                out.push('%');
                out.push_str(&hex(&[*byte]).to_ascii_uppercase());
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests;
