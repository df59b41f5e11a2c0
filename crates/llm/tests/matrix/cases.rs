//! The recorded chats: what they speak, and how their usage adds up.

use std::path::{Path, PathBuf};

use llm::{Format, UsageRule, provider};
use serde_json::Value;

pub struct Case {
    pub name: String,
    pub format: Format,
    pub rule: UsageRule,
    pub status: u64,
    /// Without its ending.
    path: PathBuf,
}

impl Case {
    pub fn file(&self, ending: &str) -> Option<Vec<u8>> {
        std::fs::read(format!("{}.{ending}", self.path.display())).ok()
    }

    /// The stream, in whichever framing.
    pub fn stream(&self) -> Option<Vec<u8>> {
        let framings = ["stream.sse", "stream.eventstream"];
        framings.iter().find_map(|ending| self.file(ending))
    }
}

#[expect(clippy::disallowed_methods, reason = "only tests read this variable")]
fn root() -> Option<PathBuf> {
    let root = match std::env::var("TOLLGATE_RECORDINGS") {
        Ok(path) => PathBuf::from(path),
        Err(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
    };
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("no recordings at {}: not tested", root.display());
    None
}

/// All recorded chats in a format that is translated.
pub fn cases() -> Vec<Case> {
    let Some(root) = root() else {
        return Vec::new();
    };
    let index = std::fs::read(root.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let found: Vec<Case> = index
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| case(&root, entry))
        .collect();
    assert!(found.len() > 500, "only {} chats are there", found.len());
    found
}

fn case(root: &Path, entry: &Value) -> Option<Case> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let (provider, case) = (text("provider"), text("case"));
    let format = match (provider, text("api")) {
        (_, "chat") => Format::OpenAiChat,
        (_, "responses") => Format::OpenAiResponses,
        (_, "messages") => Format::Anthropic,
        (_, "generateContent" | "streamGenerateContent") => Format::Gemini,
        (_, "converse" | "converse-stream") => Format::Converse,
        ("cohere", "native_chat") => Format::Cohere,
        _ => return None,
    };
    Some(Case {
        name: format!("{provider}/{case}"),
        format,
        rule: rule(provider, text("api"), text("model")),
        status: entry["status"].as_u64()?,
        path: root.join("providers").join(provider).join(case),
    })
}

fn rule(provider: &str, api: &str, model: &str) -> UsageRule {
    let name = match (provider, api) {
        // what xAI counts apart in chats it counts together in responses
        (_, "responses") => "openai",
        ("vercel-gateway", _) => "vercel_ai_gateway",
        (name, _) => name,
    };
    provider::find(name)
        .unwrap_or_else(|| panic!("no row for {name}"))
        .usage_rule(model)
}
