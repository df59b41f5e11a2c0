//! Citations of answers and of earlier turns.

use serde_json::{Value, json};

use crate::conversation::Citation;
use crate::format::Format;

/// Reads a citation of a text.
pub(super) fn read(value: Value) -> Citation {
    let word = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Citation {
        url: word("url"),
        title: word("title").or_else(|| word("document_title")),
        quote: word("cited_text"),
        span: None,
        native: Some((Format::Anthropic, value)),
    }
}

/// The citation as a client reads it; `None` where it has neither this format's shape nor a URL.
pub(super) fn write(citation: &Citation) -> Option<Value> {
    if let Some((Format::Anthropic, value)) = &citation.native {
        return Some(value.clone());
    }
    let url = citation.url.as_deref()?;
    Some(json!({
        "type": "web_search_result_location",
        "url": url,
        "title": citation.title,
        "cited_text": citation.quote.as_deref().unwrap_or_default(),
        "encrypted_index": "",
    }))
}
