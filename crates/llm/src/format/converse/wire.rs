//! The request as it is written: borrowed from the conversation, so that pictures and documents are
//! not copied before they are sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::conversation::Number;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    pub messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<Block<'a>>,
    pub inference_config: InferenceConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<Value>,
    /// [`super::OWN_MEMBERS`]
    #[serde(flatten)]
    pub own: Map<String, Value>,
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub role: &'static str,
    pub content: Vec<Block<'a>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InferenceConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<&'a str>,
}

/// A content block: of a message, of the system prompt, of a tool's result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Block<'a> {
    Text(Cow<'a, str>),
    Image(MediaBlock<'a>),
    Video(MediaBlock<'a>),
    Audio(MediaBlock<'a>),
    Document {
        format: &'static str,
        name: String,
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<Enabled>,
    },
    ToolUse {
        tool_use_id: Cow<'a, str>,
        name: &'a str,
        input: Cow<'a, RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
    ReasoningContent(Reasoning<'a>),
    CachePoint(CachePoint),
    CitationsContent {
        content: [Text<'a>; 1],
        citations: Vec<&'a Value>,
    },
    /// A block as Bedrock gave it.
    #[serde(untagged)]
    Native(&'a Value),
}

#[derive(Serialize)]
pub(super) struct MediaBlock<'a> {
    pub format: &'static str,
    pub source: Source<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Source<'a> {
    /// Standard base64.
    Bytes(Cow<'a, str>),
    S3Location {
        uri: &'a str,
    },
    Text(&'a str),
}

#[derive(Serialize)]
pub(super) struct Text<'a> {
    pub text: &'a str,
}

#[derive(Serialize)]
pub(super) struct Enabled {
    pub enabled: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Reasoning<'a> {
    ReasoningText {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<&'a str>,
    },
    RedactedContent(&'a str),
}

#[derive(Serialize)]
pub(super) struct CachePoint {
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfig<'a> {
    pub tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Tool<'a> {
    #[serde(rename = "toolSpec")]
    Function {
        name: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<Cow<'a, str>>,
        input_schema: Schema<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
    /// Run by Bedrock.
    #[serde(rename = "systemTool")]
    Server {
        name: &'static str,
    },
    CachePoint(CachePoint),
    /// A tool as Bedrock knows it.
    #[serde(untagged)]
    Native(&'a Value),
}

#[derive(Serialize)]
pub(super) struct Schema<'a> {
    pub json: Cow<'a, Value>,
}
