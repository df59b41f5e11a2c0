//! The shapes of contents, parts and answers on the wire, and how a part becomes a [`Part`].
//!
//! Requests and answers share them. What is unknown is kept as it stands ([`Content::Native`]).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::conversation::{Content, Media, MediaKind, MediaSource, Part};
use crate::format::Format;

/// An answer, or a chunk of a stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    pub candidates: Option<Vec<Candidate<'a>>>,
    #[serde(default)]
    pub prompt_feedback: Option<PromptFeedback>,
    #[serde(borrow, default)]
    pub usage_metadata: Option<&'a RawValue>,
    #[serde(default)]
    pub model_version: Option<String>,
    #[serde(default)]
    pub response_id: Option<String>,
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback {
    #[serde(default)]
    pub block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(default)]
    pub index: Option<u32>,
    #[serde(borrow, default)]
    pub content: Option<Contents<'a>>,
    #[serde(default)]
    pub finish_reason: Option<String>,
    #[serde(borrow, default)]
    pub grounding_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub citation_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub logprobs_result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Contents<'a> {
    #[serde(default)]
    pub role: Option<String>,
    #[serde(borrow, default)]
    pub parts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePart<'a> {
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub thought: Option<bool>,
    #[serde(default, alias = "thought_signature")]
    pub thought_signature: Option<String>,
    #[serde(default, alias = "inline_data")]
    pub inline_data: Option<Blob>,
    #[serde(default, alias = "file_data")]
    pub file_data: Option<FileData>,
    #[serde(borrow, default, alias = "function_call")]
    pub function_call: Option<FunctionCall<'a>>,
    #[serde(borrow, default, alias = "function_response")]
    pub function_response: Option<FunctionResponse<'a>>,
    #[serde(borrow, default, alias = "video_metadata")]
    pub video_metadata: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "media_resolution")]
    pub media_resolution: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "part_metadata")]
    pub part_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob {
    #[serde(default, alias = "mime_type")]
    pub mime_type: Option<String>,
    #[serde(default)]
    pub data: Option<String>,
    #[serde(default, alias = "display_name")]
    pub display_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData {
    #[serde(default, alias = "mime_type")]
    pub mime_type: Option<String>,
    #[serde(default, alias = "file_uri")]
    pub file_uri: Option<String>,
    #[serde(default, alias = "display_name")]
    pub display_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionCall<'a> {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(borrow, default)]
    pub args: Option<&'a RawValue>,
    #[serde(default, alias = "partial_args")]
    pub partial_args: Option<Vec<PartialArg>>,
    #[serde(default, alias = "will_continue")]
    pub will_continue: Option<bool>,
}

/// A piece of a call's arguments, as Vertex streams them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartialArg {
    #[serde(default)]
    pub json_path: String,
    #[serde(default)]
    pub string_value: Option<String>,
    #[serde(default)]
    pub number_value: Option<serde_json::Number>,
    #[serde(default)]
    pub bool_value: Option<bool>,
    #[serde(default)]
    pub null_value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionResponse<'a> {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(borrow, default)]
    pub response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub parts: Option<&'a RawValue>,
}

/// The elements of a list; protobuf's JSON takes a single object for a list of one.
pub(super) fn list(raw: Option<&RawValue>) -> Result<Vec<&RawValue>, serde_json::Error> {
    match raw.map(RawValue::get) {
        None => Ok(Vec::new()),
        Some(text) if text.starts_with('{') => Ok(raw.into_iter().collect()),
        Some(text) => Ok(serde_json::from_str::<Option<_>>(text)?.unwrap_or_default()),
    }
}

/// A part that no other format knows, as it stands; `None` where it holds nothing.
pub(super) fn native(raw: &RawValue) -> Option<Part> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    let holds_nothing = value.as_object()?.keys().all(|key| {
        matches!(
            &**key,
            "thought" | "thoughtSignature" | "text" | "functionCall"
        )
    });
    let format = Format::Gemini;
    (!holds_nothing).then(|| Part::new(Content::Native { format, value }))
}

/// The bytes of `inlineData`. Text is given as text, so that every format can say it.
pub(super) fn blob(blob: Blob) -> Part {
    let data = standard_base64(blob.data.unwrap_or_default());
    let media_type = blob.mime_type.filter(|word| !word.is_empty());
    let is_text = media_type
        .as_deref()
        .is_some_and(|word| word.starts_with("text/"));
    let text = is_text
        .then(|| String::from_utf8(STANDARD.decode(&data).ok()?).ok())
        .flatten();
    media(
        media_type,
        text.map_or(MediaSource::Base64(data), MediaSource::Text),
        blob.display_name,
    )
}

/// What `fileData` points to: a file that Google keeps, or any address.
pub(super) fn file(file: FileData) -> Part {
    let uri = file.file_uri.unwrap_or_default();
    let is_kept = uri.starts_with("gs://")
        || uri.starts_with("files/")
        || uri.starts_with("https://generativelanguage.googleapis.com/");
    let media_type = file.mime_type.filter(|word| !word.is_empty());
    let media_type = media_type.or_else(|| guess_media_type(&uri).map(str::to_owned));
    let source = match is_kept {
        true => MediaSource::File {
            format: Format::Gemini,
            id: uri,
        },
        false => MediaSource::Url(uri),
    };
    media(media_type, source, file.display_name)
}

fn media(media_type: Option<String>, source: MediaSource, name: Option<String>) -> Part {
    Part::new(Content::Media(Media {
        kind: kind(media_type.as_deref().unwrap_or("")),
        media_type,
        source,
        name,
        detail: None,
        is_citable: false,
        transcript: None,
    }))
}

fn kind(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

/// A media type by the ending of an address, or by the place.
pub(super) fn guess_media_type(uri: &str) -> Option<&'static str> {
    if uri.contains("youtube.com/") || uri.contains("youtu.be/") {
        return Some("video/mp4");
    }
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let name = path.rsplit('/').next().unwrap_or(path);
    let (_, ending) = name.rsplit_once('.')?;
    Some(match &*ending.to_ascii_lowercase() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "m4a" | "aac" => "audio/aac",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        _ => return None,
    })
}

/// Google's clients write base64 in the alphabet of URLs, with or without padding.
fn standard_base64(mut data: String) -> String {
    if data.contains(['-', '_']) {
        data = data.replace('-', "+").replace('_', "/");
    }
    match data.len() % 4 {
        2 => data.push_str("=="),
        3 => data.push('='),
        _ => {}
    }
    data
}
