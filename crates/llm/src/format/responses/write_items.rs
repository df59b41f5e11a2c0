//! The output items of an answer, as the client's SDK takes them.

use serde_json::{Map, Value, json};

use super::FORMAT;
use super::names::Callee;
use super::reasoning::{self, Neighbour};
use crate::conversation::{
    Citation, Content, Media, MediaKind, MediaSource, Part, Seal, TokenLogprob, ToolKind,
    custom_tools,
};
use crate::format::Format;

/// A message that holds these parts.
pub(super) fn message(id: &str, status: &str, content: Vec<Value>) -> Value {
    json!({
        "id": id, "type": "message", "status": status, "role": "assistant", "content": content,
    })
}

pub(super) fn text(text: &str, annotations: &[Value], logprobs: &[TokenLogprob]) -> Value {
    json!({
        "type": "output_text",
        "text": text,
        "annotations": annotations,
        "logprobs": self::logprobs(logprobs),
    })
}

pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

pub(super) fn logprobs(logprobs: &[TokenLogprob]) -> Value {
    let one = |token: &str, logprob: f64, bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_deref().unwrap_or(token.as_bytes());
        json!({"token": token, "logprob": logprob, "bytes": bytes})
    };
    let list = logprobs.iter().map(|entry| {
        let mut written = one(&entry.token, entry.logprob, &entry.bytes);
        let top = entry.top.iter();
        let top: Vec<Value> = top
            .map(|top| one(&top.token, top.logprob, &top.bytes))
            .collect();
        written["top_logprobs"] = Value::Array(top);
        written
    });
    Value::Array(list.collect())
}

/// The annotation for a citation in a text of so many characters; `None` where it names no page.
pub(super) fn annotation(citation: &Citation, length: u64) -> Option<Value> {
    if let Some((FORMAT, native)) = &citation.native {
        return Some(native.clone());
    }
    let url = citation.url.as_deref()?;
    let (start, end) = citation.span.unwrap_or((0, length));
    Some(json!({
        "type": "url_citation",
        "start_index": start,
        "end_index": end,
        "title": citation.title.as_deref().unwrap_or(url),
        "url": url,
    }))
}

/// A reasoning item; `status` is only there while it is being made.
pub(super) fn reasoning(id: &str, text: &str, redacted: bool, seal: Option<&Seal>) -> Value {
    let mut item = seal.and_then(reasoning::sealed_item).unwrap_or_else(|| {
        let mut item = Map::new();
        item.insert("type".to_owned(), json!("reasoning"));
        item.insert("summary".to_owned(), reasoning::summary(text));
        if let Some(seal) = seal {
            let wrapped = reasoning::wrapped(seal, redacted);
            item.insert("encrypted_content".to_owned(), json!(wrapped));
        }
        item
    });
    item.insert("id".to_owned(), json!(id));
    Value::Object(item)
}

/// A reasoning item that says nothing but carries the seal of the item beside it.
pub(super) fn neighbour(id: &str, seal: &Seal, neighbour: Neighbour) -> Value {
    json!({
        "id": id, "type": "reasoning", "summary": [],
        "encrypted_content": reasoning::wrapped_neighbour(seal, neighbour),
    })
}

/// Which item a call becomes, by what the client calls the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallItem {
    Function,
    Custom,
    LocalShell,
    ToolSearch,
}

impl CallItem {
    pub fn of(callee: &Callee, kind: ToolKind) -> CallItem {
        match (callee, kind) {
            (Callee::Custom { .. }, _) | (Callee::Function { .. }, ToolKind::Custom) => {
                CallItem::Custom
            }
            (Callee::Function { .. }, ToolKind::Function) => CallItem::Function,
            (Callee::LocalShell, _) => CallItem::LocalShell,
            (Callee::ToolSearch, _) => CallItem::ToolSearch,
        }
    }

    /// The beginning of the item's id.
    pub fn prefix(self) -> &'static str {
        match self {
            CallItem::Function => "fc",
            CallItem::Custom => "ctc",
            CallItem::LocalShell => "lsh",
            CallItem::ToolSearch => "tsc",
        }
    }
}

/// A call; `text` is the JSON of a function's arguments, or a custom tool's input as it stands.
pub(super) fn call(
    id: &str,
    call_id: &str,
    callee: &Callee,
    kind: ToolKind,
    text: &str,
    status: &str,
) -> Value {
    let mut item = json!({"id": id, "call_id": call_id, "status": status});
    let object = |text: &str| match serde_json::from_str(text) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    };
    match CallItem::of(callee, kind) {
        CallItem::Function => {
            item["type"] = json!("function_call");
            item["arguments"] = json!(text);
        }
        CallItem::Custom => {
            item["type"] = json!("custom_tool_call");
            item["input"] = json!(text);
        }
        CallItem::LocalShell => {
            item["type"] = json!("local_shell_call");
            item["action"] = shell_action(object(text));
        }
        CallItem::ToolSearch => {
            item["type"] = json!("tool_search_call");
            item["execution"] = json!("client");
            item["arguments"] = Value::Object(object(text));
        }
    }
    if let Callee::Function { name, namespace } | Callee::Custom { name, namespace } = callee {
        item["name"] = json!(name);
        if let Some(namespace) = namespace {
            item["namespace"] = json!(namespace);
        }
    }
    item
}

/// The input of a custom tool from what its call holds.
pub(super) fn call_text(callee: &Callee, kind: ToolKind, arguments: &str) -> String {
    match (CallItem::of(callee, kind), kind) {
        (CallItem::Custom, ToolKind::Function) => custom_tools::input(arguments),
        (CallItem::Custom, ToolKind::Custom) => arguments.to_owned(),
        _ if arguments.trim().is_empty() => "{}".to_owned(),
        _ => arguments.to_owned(),
    }
}

fn shell_action(mut action: Map<String, Value>) -> Value {
    if let Some(Value::String(line)) = action.get("command") {
        let command = json!(["bash", "-lc", line]);
        action.insert("command".to_owned(), command);
    }
    action.insert("type".to_owned(), json!("exec"));
    for (name, default) in [("command", json!([])), ("env", json!({}))] {
        action.entry(name).or_insert(default);
    }
    Value::Object(action)
}

/// The item for a part that comes whole and is neither text nor call; `None` where the client has no
/// such thing.
pub(super) fn whole(id: &str, part: &Part) -> Option<Value> {
    match &part.content {
        Content::Native { format, value } if *format == FORMAT => Some(value.clone()),
        Content::Native {
            format: Format::Anthropic,
            value,
        } => anthropic_search(id, value),
        Content::Media(Media {
            kind: MediaKind::Image,
            source: MediaSource::Base64(data),
            ..
        }) => Some(json!({
            "id": id, "type": "image_generation_call", "status": "completed", "result": data,
        })),
        _ => None,
    }
}

/// A web search that Anthropic ran.
fn anthropic_search(id: &str, block: &Value) -> Option<Value> {
    let word = |name: &str| block.get(name).and_then(Value::as_str);
    if word("type") != Some("server_tool_use") || word("name") != Some("web_search") {
        return None;
    }
    let query = block
        .get("input")
        .and_then(|input| input.get("query")?.as_str());
    Some(json!({
        "id": id,
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": query.unwrap_or_default()},
    }))
}

/// What a part says as text, where it has no item of its own.
pub(super) fn spoken(part: &Part) -> Option<&str> {
    match &part.content {
        Content::Text { text, .. } => Some(text),
        Content::Media(media) => media.transcript.as_deref(),
        _ => None,
    }
}

/// Whether a seal is another provider's and so must be carried beside its part.
pub(super) fn is_foreign(seal: &Seal) -> bool {
    seal.format != FORMAT
}
