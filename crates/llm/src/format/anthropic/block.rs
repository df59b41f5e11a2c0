//! Content blocks as they are written, for providers and for clients.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::conversation::CacheMark;

/// A content block; what it holds is borrowed where it can be.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<Citations>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Thinking {
        thinking: &'a str,
        signature: Cow<'a, str>,
    },
    RedactedThinking {
        data: Cow<'a, str>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Input<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    #[serde(untagged)]
    Native(&'a Value),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 {
        media_type: Cow<'a, str>,
        data: &'a str,
    },
    Text {
        media_type: &'static str,
        data: Cow<'a, str>,
    },
    Url {
        url: &'a str,
    },
    File {
        file_id: &'a str,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct Citations {
    pub enabled: bool,
}

/// The arguments of a call: an object.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Input<'a> {
    /// As the model wrote it, byte for byte.
    Borrowed(&'a RawValue),
    Owned(Value),
}

impl<'a> Input<'a> {
    /// What is no object, because the model was cut off or the text is free, becomes the one member
    /// `input`.
    pub fn of(arguments: &'a str) -> Input<'a> {
        let is_object = arguments.trim_start().starts_with('{');
        match serde_json::from_str::<&RawValue>(arguments) {
            Ok(raw) if is_object => Input::Borrowed(raw),
            _ if arguments.trim().is_empty() => Input::Owned(serde_json::json!({})),
            _ => Input::Owned(serde_json::json!({ "input": arguments })),
        }
    }
}

/// `cache_control`
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct CacheControl {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

impl From<CacheMark> for CacheControl {
    fn from(mark: CacheMark) -> CacheControl {
        CacheControl {
            r#type: "ephemeral",
            ttl: match mark {
                CacheMark::FiveMinutes => None,
                CacheMark::OneHour => Some("1h"),
            },
        }
    }
}
