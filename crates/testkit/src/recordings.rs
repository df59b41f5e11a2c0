//! Exchanges with providers: those recorded elsewhere, read from a folder outside the
//! repository, and our own small ones under `cases/`.
//!
//! Both have one form, a group of files for each case: `<case>.meta.json`, and beside it
//! `<case>.request.json`, and `<case>.response.json` or a `<case>.stream.*`. Our own cases are
//! written by hand and always there; where the recordings are absent, that is said plainly and
//! the caller gets `None`, so that a bare clone tests what it can.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A case as its folder's index knows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub provider: String,
    pub case: String,
    /// The endpoint's name: `chat`, `completions`, `embeddings`, `models`, `responses`, ….
    pub api: String,
    #[serde(default)]
    pub features: Vec<String>,
    /// The framing of a streamed answer (`sse`, `ndjson`, …); absent for a whole one.
    pub stream: Option<String>,
    /// `complete`, `error-event` or `cut`; absent for a whole answer.
    pub stream_end: Option<String>,
    pub status: u16,
    pub model: Option<String>,
    /// How true to the wire the case is; `raw` is byte for byte.
    #[serde(default)]
    pub fidelity: String,
}

/// One exchange: what was asked and what came back.
#[derive(Clone, Debug)]
pub struct Recording {
    pub entry: Entry,
    pub method: String,
    pub host: String,
    /// Path with query.
    pub path: String,
    pub request_headers: BTreeMap<String, String>,
    pub response_headers: BTreeMap<String, String>,
    /// Absent where nothing was sent, or where the source kept only the answer.
    pub request: Option<Bytes>,
    /// The answer's body: whole, or all bytes of the stream.
    pub response: Bytes,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(flatten)]
    entry: Entry,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    request_headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    response_headers: Option<BTreeMap<String, String>>,
}

impl Recording {
    /// A recorded exchange by provider and case; `None` where the recordings are absent.
    pub fn load(provider: &str, case: &str) -> Option<Recording> {
        let root = recordings_root()?;
        Some(read(&root.join("providers").join(provider), case))
    }

    /// One of our own cases by name.
    pub fn own(case: &str) -> Recording {
        read(&cases_root(), case)
    }

    /// Whether the answer is a stream.
    pub fn streams(&self) -> bool {
        self.entry.stream.is_some()
    }

    /// A name for messages of failing tests.
    pub fn name(&self) -> String {
        format!("{}/{}", self.entry.provider, self.entry.case)
    }
}

/// The recordings the closure wants, in the index's order; `None` where they are absent.
pub fn recordings(wanted: impl Fn(&Entry) -> bool) -> Option<Vec<Recording>> {
    let root = recordings_root()?;
    let index: Vec<Entry> = parse(&root.join("index.json"));
    let load = |entry: Entry| read(&root.join("providers").join(&entry.provider), &entry.case);
    Some(
        index
            .into_iter()
            .filter(|entry| wanted(entry))
            .map(load)
            .collect(),
    )
}

/// All of our own cases, by name.
pub fn cases() -> Vec<Recording> {
    let root = cases_root();
    let files = fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut names: Vec<String> = files
        .map(|file| file.expect("a readable folder").file_name())
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".meta.json")?.to_owned()))
        .collect();
    names.sort();
    names.iter().map(|name| read(&root, name)).collect()
}

/// A recorded answer of the management API that ours has to resemble, by file name without its
/// ending; `None` where that folder is absent.
pub fn golden(name: &str) -> Option<serde_json::Value> {
    let root = folder("TOLLGATE_GOLDEN", "contracts/golden", "golden answers")?;
    Some(parse(&root.join(format!("{name}.json"))))
}

/// The folder of the recordings, if it is there.
pub fn recordings_root() -> Option<PathBuf> {
    folder("TOLLGATE_RECORDINGS", "fixtures", "recordings")
}

fn cases_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

#[expect(
    clippy::disallowed_methods,
    reason = "only tests read these variables, and no product code can"
)]
fn folder(variable: &str, default: &str, what: &str) -> Option<PathBuf> {
    let root = match std::env::var(variable) {
        Ok(path) => PathBuf::from(path),
        Err(_) => Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared")
            .join(default),
    };
    if root.is_dir() {
        return Some(root);
    }
    eprintln!(
        "no {what} at {} (set {variable}): what needs them is not tested",
        root.display()
    );
    None
}

fn read(folder: &Path, case: &str) -> Recording {
    let path = |ending: &str| folder.join(format!("{case}.{ending}"));
    let meta: Meta = parse(&path("meta.json"));
    let answers = [
        "response.json",
        "stream.sse",
        "stream.ndjson",
        "stream.json",
        "stream.eventstream",
    ];
    let response = answers
        .iter()
        .find_map(|ending| fs::read(path(ending)).ok())
        .unwrap_or_default();
    Recording {
        entry: meta.entry,
        method: meta.method.unwrap_or_else(|| "POST".to_owned()),
        host: meta.host.unwrap_or_default(),
        path: meta.path.unwrap_or_default(),
        request_headers: meta.request_headers.unwrap_or_default(),
        response_headers: meta.response_headers.unwrap_or_default(),
        request: fs::read(path("request.json")).ok().map(Bytes::from),
        response: response.into(),
    }
}

fn parse<T: DeserializeOwned>(path: &Path) -> T {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_cases_cover_the_shapes_that_tests_ask_for() {
        let names: Vec<String> = cases().into_iter().map(|case| case.entry.case).collect();
        let wanted = [
            "chat",
            "chat-error",
            "chat-stream",
            "chat-stream-tool-call",
            "chat-stream-usage",
            "chat-tool-call",
            "completions",
            "embeddings",
        ];
        assert_eq!(names, wanted);
    }

    #[test]
    fn every_case_is_whole() {
        for case in cases() {
            assert!(!case.path.is_empty(), "{}", case.name());
            assert!(case.request.is_some(), "{}", case.name());
        }
        let all = recordings(|_| true).unwrap_or_default();
        for case in cases().iter().chain(&all) {
            assert!(!case.response.is_empty(), "{}", case.name());
        }
    }

    #[test]
    fn recordings_are_found_by_what_they_are() {
        let Some(found) = recordings(|entry| entry.provider == "openai" && entry.api == "chat")
        else {
            return;
        };
        assert!(found.len() > 10);
        assert!(found.iter().all(|case| case.entry.provider == "openai"));
        let one = Recording::load("openai", &found[0].entry.case).expect("the folder is there");
        assert_eq!(one.response, found[0].response);
    }
}
