//! The content of messages and of tools' outputs, read from a client.

use serde_json::{Map, Value};

use super::FORMAT;
use super::read_request::{invalid, missing, object, string, text_member, wrong_type};
use crate::conversation::{CacheMark, Citation, Content, Media, MediaKind, MediaSource, Part};
use base::Result;

/// Reads `content`: a text, or a list of parts.
pub(super) fn read(value: &Value, path: &str) -> Result<Vec<Part>> {
    match value {
        Value::String(text) => Ok(vec![Part::text(text.as_str())]),
        Value::Array(parts) => parts
            .iter()
            .enumerate()
            .map(|(at, part)| read_part(part, &format!("{path}[{at}]")))
            .collect(),
        Value::Null => Ok(Vec::new()),
        _ => Err(wrong_type(path, "a string or an array")),
    }
}

fn read_part(value: &Value, path: &str) -> Result<Part> {
    let part = object(value, path)?;
    let kind = string(part, "type", path)?;
    let content = match kind {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
            Content::Text {
                text: text_member(part, "text", path)?,
                citations: citations(part),
            }
        }
        "refusal" => Content::Refusal(text_member(part, "refusal", path)?),
        "input_image" => Content::Media(image(part, path)?),
        "input_file" => Content::Media(file(part, path)?),
        "input_audio" => Content::Media(audio(part, path)?),
        _ => {
            return Err(invalid(
                &format!("{path}.type"),
                format!("Invalid value: '{kind}' is no content that this model can be sent."),
            ));
        }
    };
    Ok(Part {
        content,
        cache: cache_mark(part),
        seal: None,
    })
}

fn cache_mark(part: &Map<String, Value>) -> Option<CacheMark> {
    let mark = part.get("prompt_cache_breakpoint")?.as_object()?;
    Some(match mark.get("ttl").and_then(Value::as_str) {
        Some("12h") => CacheMark::OneHour,
        _ => CacheMark::FiveMinutes,
    })
}

fn image(part: &Map<String, Value>, path: &str) -> Result<Media> {
    let detail = part.get("detail").and_then(Value::as_str);
    let url = part.get("image_url").and_then(Value::as_str);
    let mut media = match (url, part.get("file_id").and_then(Value::as_str)) {
        (Some(url), _) => of_url(MediaKind::Image, url),
        (None, Some(id)) => of_file(MediaKind::Image, id),
        (None, None) => return Err(missing(&format!("{path}.image_url"))),
    };
    media.detail = detail.filter(|detail| *detail != "auto").map(str::to_owned);
    Ok(media)
}

fn file(part: &Map<String, Value>, path: &str) -> Result<Media> {
    let word = |name: &str| part.get(name).and_then(Value::as_str);
    let mut media = match (word("file_data"), word("file_url"), word("file_id")) {
        (Some(data), _, _) if data.starts_with("data:") => of_url(MediaKind::Document, data),
        (Some(data), _, _) => media(MediaKind::Document, MediaSource::Base64(data.to_owned())),
        (None, Some(url), _) => of_url(MediaKind::Document, url),
        (None, None, Some(id)) => of_file(MediaKind::Document, id),
        (None, None, None) => return Err(missing(&format!("{path}.file_data"))),
    };
    media.name = word("filename").map(str::to_owned);
    let is_pdf = |name: &str| name.to_ascii_lowercase().ends_with(".pdf");
    if media.media_type.is_none()
        && (matches!(media.source, MediaSource::Base64(_))
            || media.name.as_deref().is_some_and(is_pdf))
    {
        media.media_type = Some("application/pdf".to_owned());
    }
    Ok(media)
}

fn audio(part: &Map<String, Value>, path: &str) -> Result<Media> {
    let path = format!("{path}.input_audio");
    let audio = object(part.get("input_audio").unwrap_or(&Value::Null), &path)?;
    let data = string(audio, "data", &path)?;
    let format = string(audio, "format", &path)?;
    let mut media = media(MediaKind::Audio, MediaSource::Base64(data.to_owned()));
    media.media_type = Some(match format {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    });
    Ok(media)
}

fn media(kind: MediaKind, source: MediaSource) -> Media {
    Media {
        kind,
        media_type: None,
        source,
        name: None,
        detail: None,
        is_citable: false,
        transcript: None,
    }
}

fn of_file(kind: MediaKind, id: &str) -> Media {
    let id = id.to_owned();
    media(kind, MediaSource::File { format: FORMAT, id })
}

/// A URL, or the content of a `data:` URL.
fn of_url(kind: MediaKind, url: &str) -> Media {
    let Some((head, data)) = url
        .strip_prefix("data:")
        .and_then(|url| url.split_once(','))
    else {
        return media(kind, MediaSource::Url(url.to_owned()));
    };
    let mut found = media(kind, MediaSource::Base64(data.to_owned()));
    let media_type = head.split(';').next().unwrap_or_default();
    if !head.ends_with(";base64") {
        found.source = MediaSource::Url(url.to_owned());
    }
    if !media_type.is_empty() {
        found.media_type = Some(media_type.to_ascii_lowercase());
    }
    if kind == MediaKind::Document {
        found.kind = match media_type.split('/').next() {
            Some("image") => MediaKind::Image,
            Some("audio") => MediaKind::Audio,
            Some("video") => MediaKind::Video,
            _ => MediaKind::Document,
        };
    }
    found
}

/// The annotations of an output text.
pub(super) fn citations(part: &Map<String, Value>) -> Vec<Citation> {
    let annotations = part.get("annotations").and_then(Value::as_array);
    annotations.into_iter().flatten().map(citation).collect()
}

/// Reads one annotation.
pub(super) fn citation(annotation: &Value) -> Citation {
    let word = |name: &str| Some(annotation.get(name)?.as_str()?.to_owned());
    let number = |name: &str| annotation.get(name)?.as_u64();
    Citation {
        url: word("url"),
        title: word("title").or_else(|| word("filename")),
        quote: None,
        span: number("start_index").zip(number("end_index")),
        native: Some((FORMAT, annotation.clone())),
    }
}
