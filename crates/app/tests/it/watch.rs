//! The watch over everything that a gateway answers in a test: no answer may hold a provider's key.
//!
//! A key is what reached the fake provider as proof, what the configuration, the environment or a request's
//! body names as one, the master key and the encryption key. Each answer that a test's own client reads is
//! kept, heads and streams too, and when the test's gateway ends all of them are searched for all keys, those
//! learned later included. A finding fails the test and names the request, never the key.
//!
//! What a model says of itself is watched, too: a test whose provider speaks a key on purpose has to be one of
//! the watch itself. Tests that speak raw TCP, WebSockets or HTTP/2 through clients of their own are not watched.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use testkit::{Received, Reply, Split};

use crate::app::{PROVIDER_KEY, Setup, TestApp};

/// Shorter ones stand in innocent words, and are not looked for.
const SHORTEST: usize = 8;
/// Of longer ones the beginning is looked for.
const LONGEST: usize = 64;

/// Whether a text that stands where keys stand is none.
fn is_exception(text: &str) -> bool {
    // the name of a variable that holds the key
    let is_reference = text.starts_with("os.environ/");
    // `api_key` names virtual keys by their hash, too, in questions about spend
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_reference || is_hash
}

/// What was learned and what was answered so far.
#[derive(Default)]
pub struct Watch {
    keys: Mutex<BTreeSet<String>>,
    answers: Mutex<Vec<Arc<Seen>>>,
}

/// An answer, as far as it was read.
struct Seen {
    /// Method and path, without a query.
    request: String,
    bytes: Mutex<Vec<u8>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds it")
}

impl Watch {
    /// Whatever this text is, no answer may hold it.
    pub fn learn(&self, key: &str) {
        let key = key.trim();
        if key.len() >= SHORTEST && !is_exception(key) {
            let end = key.floor_char_boundary(LONGEST);
            locked(&self.keys).insert(key[..end].to_owned());
        }
    }

    /// The keys in a configuration file: the values of members that are named as secrets are.
    pub fn learn_file(&self, yaml: &str) {
        for (at, _) in yaml.match_indices(':') {
            let (before, after) = (&yaml[..at], &yaml[at + 1..]);
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let name = before.rsplit(|c| !is_of_name(c)).next();
            if name.is_some_and(is_secret) && after.starts_with(' ') {
                let value = after.split([',', '}', '\n']).next().unwrap_or_default();
                self.learn(value.trim().trim_matches(['"', '\'']));
            }
        }
    }

    /// A variable of the environment, if it is named as secrets are.
    pub fn learn_variable(&self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        if is_secret(&name) || name.ends_with("_password") {
            value.split(',').for_each(|value| self.learn(value));
        }
    }

    /// The keys in a request's body.
    pub fn learn_body(&self, body: &[u8]) {
        if let Ok(body) = serde_json::from_slice(body) {
            self.learn_members(&body, false);
        }
    }

    fn learn_members(&self, value: &Value, is_key: bool) {
        match value {
            Value::String(text) if is_key => {
                self.learn(text);
                // a service account is a document with a key in it
                if text.starts_with('{') {
                    self.learn_body(text.as_bytes());
                }
            }
            Value::Array(items) => items
                .iter()
                .for_each(|item| self.learn_members(item, is_key)),
            Value::Object(members) => members
                .iter()
                .for_each(|(name, value)| self.learn_members(value, is_secret(name))),
            _ => {}
        }
    }

    /// What a provider was shown as proof.
    pub fn learn_proofs(&self, requests: &[Received]) {
        for request in requests {
            let bearer = request.header(AUTHORIZATION.as_str());
            self.learn(bearer.split_once(' ').map_or(bearer, |(_, proof)| proof));
            for name in ["x-api-key", "x-goog-api-key", "api-key"] {
                self.learn(request.header(name));
            }
            let query = request.path.split_once('?').map(|(_, query)| query);
            let members = query.into_iter().flat_map(|query| query.split('&'));
            for key in members.filter_map(|member| member.strip_prefix("key=")) {
                self.learn(key);
            }
        }
    }

    /// Keeps an answer's head, and its body while it is read.
    pub fn over(&self, method: &Method, path: &str, answer: Response<Incoming>) -> Response<Read> {
        let path = path.split('?').next().unwrap_or_default();
        let seen = Arc::new(Seen {
            request: format!("{method} {path}"),
            bytes: Mutex::new(head(answer.headers())),
        });
        locked(&self.answers).push(Arc::clone(&seen));
        answer.map(|body| Read { body, seen })
    }

    /// The requests whose answers hold a key.
    pub fn findings(&self) -> Vec<String> {
        let keys = locked(&self.keys);
        let forms: Vec<String> = keys.iter().flat_map(|key| forms(key)).collect();
        let sought = AhoCorasick::new(&forms).expect("few and short texts");
        let answers = locked(&self.answers);
        let found = answers.iter().enumerate().filter_map(|(number, seen)| {
            let bytes = locked(&seen.bytes);
            let at = sought.find(&*bytes)?.start();
            let request = &seen.request;
            Some(format!("answer {} to {request}, byte {at}", number + 1))
        });
        found.collect()
    }
}

/// Whether a member, variable or setting of this name holds a secret that may never be shown again.
fn is_secret(name: &str) -> bool {
    const ENDS: [&str; 9] = [
        "_credentials",
        "_secret",
        "access_key",
        "access_token",
        "api_key",
        "encryption_key",
        "master_key",
        "private_key",
        "session_token",
    ];
    ENDS.iter().any(|end| name.ends_with(end))
}

fn head(headers: &HeaderMap) -> Vec<u8> {
    let lines = headers
        .iter()
        .map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    lines.collect::<Vec<_>>().concat()
}

/// A text as it is, within JSON, within a URL, and within base64 wherever it begins there.
fn forms(key: &str) -> BTreeSet<String> {
    let json = Value::from(key).to_string();
    let url = url::form_urlencoded::byte_serialize(key.as_bytes());
    let mut forms = BTreeSet::from([
        key.to_owned(),
        json[1..json.len() - 1].to_owned(),
        url.collect(),
    ]);
    for before in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before], key.as_bytes()].concat());
        // the characters that hold bits of the key alone
        let own = (8 * before).div_ceil(6)..8 * (before + key.len()) / 6;
        let own = &encoded[own];
        forms.extend([own.to_owned(), own.replace('+', "-").replace('/', "_")]);
    }
    forms
}

/// The body of an answer; what is read of it is kept.
pub struct Read {
    body: Incoming,
    seen: Arc<Seen>,
}

impl Body for Read {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let mut bytes = locked(&self.seen.bytes);
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            } else if let Some(trailers) = frame.trailers_ref() {
                bytes.extend(head(trailers));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a test fails with when its gateway ends.
fn failure(app: TestApp) -> Option<String> {
    let ends = std::panic::AssertUnwindSafe(|| drop(app));
    let said = std::panic::catch_unwind(ends).err()?;
    Some(said.downcast_ref::<String>().cloned().unwrap_or_default())
}

fn chat(stream: bool) -> Value {
    json!({"model": "gpt-4o", "stream": stream,
        "messages": [{"role": "user", "content": "Which key do you have?"}]})
}

#[tokio::test]
async fn an_answer_with_a_key_fails_its_test_wherever_the_key_stands() {
    let in_base64 = STANDARD_NO_PAD.encode(format!("user:{PROVIDER_KEY}!"));
    for (place, reply, stream) in [
        ("nowhere", Reply::text(["none"]), false),
        ("body", Reply::text([PROVIDER_KEY]), false),
        ("base64", Reply::text([in_base64]), false),
        (
            "header",
            Reply::text(["none"]).header("x-key", PROVIDER_KEY),
            false,
        ),
        (
            "stream",
            Reply::text([PROVIDER_KEY]).split(Split::Bytes(7)),
            true,
        ),
    ] {
        let app = Setup::default().start().await;
        app.provider.reply(reply);
        let answer = app.post("/v1/chat/completions", chat(stream)).await;
        assert_eq!(answer.status, 200, "{answer}");
        let said = failure(app);
        assert_eq!(said.is_some(), place != "nowhere", "{place}");
        if let Some(said) = said {
            assert!(said.contains("POST /v1/chat/completions"), "{said}");
            assert!(!said.contains(PROVIDER_KEY), "{said}");
        }
    }
}

#[tokio::test]
async fn a_key_is_found_that_is_cut_in_two_or_was_learned_after_the_answer() {
    let app = Setup::default().start().await;
    let late = "a key of which nobody knew before";
    let reply = Reply::bytes("audio/mpeg", late);
    app.provider
        .reply(reply.split(Split::Bytes(10)).hang_after_chunks(1));
    let asked = json!({"model": "openai/tts-1", "input": "hello", "voice": "alloy"});
    let answer = app.post("/v1/audio/speech", asked).send().await;
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let frame = body.frame().await.expect("a piece").expect("a whole piece");
    let first = frame.into_data().expect("data");
    assert_eq!(&first[..], &late.as_bytes()[..10]);
    app.provider.release();
    body.collect().await.expect("the rest");
    assert_eq!(app.watch.findings(), Vec::<String>::new());
    app.watch.learn(late);
    let said = failure(app).expect("a finding");
    assert!(said.contains("POST /v1/audio/speech"), "{said}");
}

#[tokio::test]
async fn keys_are_learned_from_files_variables_bodies_and_what_providers_are_shown() {
    let app = Setup::default()
        .config(
            "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, \
             api_key: \"key-of-the-file\", api_base: PROVIDER}",
        )
        .variable("SMTP_PASSWORD", "key of the environment")
        .start()
        .await;
    let values = json!({"credential_name": "c", "credential_values": {"api_key": "key-of-the-body"},
        "credential_info": {"description": "no key at all"}});
    // a body that is refused has a key in it as well
    app.post("/credentials", values).await;
    app.watch.learn_proofs(&[Received {
        method: Method::POST,
        path: "/v1/models?alt=sse&key=key-of-the-query".to_owned(),
        headers: HeaderMap::from_iter([(
            AUTHORIZATION,
            http::HeaderValue::from_static("Bearer key-of-the-proof"),
        )]),
        body: Bytes::new(),
    }]);
    for known in [
        crate::app::MASTER_KEY,
        "key-of-the-file",
        "key of the environment",
        "key-of-the-body",
        "key-of-the-query",
        "key-of-the-proof",
    ] {
        assert!(locked(&app.watch.keys).contains(known), "{known}");
    }
    assert!(!locked(&app.watch.keys).contains("no key at all"));
}
