//! The content of a client's message: a string, or a list of parts.

use base::Result;
use serde_json::Value;

use super::content::{audio_type, kind_of, media, media_of_url, type_of_name};
use super::details;
use super::walk::{
    self, Object, invalid, join, missing, need_string, take, take_object, take_string, wrong_type,
};
use crate::conversation::{CacheMark, Content, Media, MediaKind, MediaSource, Part, Seal};
use crate::format::Format;

/// Reads a message's `content`. Empty texts are left out.
pub(super) fn content(value: Value, path: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    match value {
        Value::String(text) => parts.push(Part::text(text)),
        Value::Array(items) => {
            for (index, item) in items.into_iter().enumerate() {
                part(item, &format!("{path}[{index}]"), &mut parts)?;
            }
        }
        other => return Err(wrong_type(path, "a string or an array of parts", &other)),
    }
    parts.retain(|part| !matches!(&part.content, Content::Text { text, .. } if text.is_empty()));
    Ok(parts)
}

/// Reads `cache_control`.
pub(super) fn cache_mark(object: &mut Object) -> Option<CacheMark> {
    let mark = take(object, "cache_control").or_else(|| take(object, "prompt_cache_breakpoint"))?;
    Some(match mark["ttl"].as_str() {
        Some("1h") => CacheMark::OneHour,
        _ => CacheMark::FiveMinutes,
    })
}

fn part(item: Value, path: &str, parts: &mut Vec<Part>) -> Result<()> {
    let mut object = match item {
        Value::String(text) => {
            parts.push(Part::text(text));
            return Ok(());
        }
        item => walk::object(item, path)?,
    };
    let kind = need_string(&mut object, path, "type")?;
    let cache = cache_mark(&mut object);
    let before = parts.len();
    match kind.as_str() {
        "text" | "input_text" | "output_text" => {
            parts.push(Part::text(need_string(&mut object, path, "text")?));
        }
        "refusal" => parts.push(Part::new(Content::Refusal(need_string(
            &mut object,
            path,
            "refusal",
        )?))),
        "thinking" | "redacted_thinking" => parts.extend(details::thinking_block(&mut object)),
        _ => parts.push(Part::new(Content::Media(media_part(
            &kind,
            &mut object,
            path,
        )?))),
    }
    if parts.len() > before
        && let Some(last) = parts.last_mut()
    {
        last.cache = cache;
    }
    Ok(())
}

fn media_part(kind: &str, object: &mut Object, path: &str) -> Result<Media> {
    match kind {
        "image_url" | "input_image" => {
            let mut image = url_media(object, path, "image_url", MediaKind::Image)?;
            if image.detail.is_none() {
                image.detail = take_string(object, path, "detail")?;
            }
            Ok(image)
        }
        "video_url" => url_media(object, path, "video_url", MediaKind::Video),
        "document_url" => {
            let mut document = url_media(object, path, "document_url", MediaKind::Document)?;
            document.name = take_string(object, path, "document_name")?;
            Ok(document)
        }
        "input_audio" => audio(object, path),
        "file" => file(object, path),
        "image" | "document" => source(kind, object, path),
        other => Err(invalid(
            &join(path, "type"),
            &format!("'{other}' is no type of content that is known here"),
        )),
    }
}

/// `{"image_url": {"url": …, "detail": …}}`, or the URL alone.
fn url_media(object: &mut Object, path: &str, name: &str, kind: MediaKind) -> Result<Media> {
    let path = join(path, name);
    let (url, mut inner) = match take(object, name) {
        None => return Err(missing(&path)),
        Some(Value::String(url)) => (url, Object::new()),
        Some(value) => {
            let mut inner = walk::object(value, &path)?;
            (need_string(&mut inner, &path, "url")?, inner)
        }
    };
    let mut media = media_of_url(Some(kind), url).map_err(|fault| invalid(&path, fault))?;
    media.detail = take_string(&mut inner, &path, "detail")?;
    if let Some(media_type) = take_string(&mut inner, &path, "format")? {
        media.media_type = Some(media_type);
    }
    Ok(media)
}

/// `{"input_audio": {"data": base64, "format": "wav"}}`; Mistral takes data or a URL alone.
fn audio(object: &mut Object, path: &str) -> Result<Media> {
    let path = join(path, "input_audio");
    let (data, format) = match take(object, "input_audio") {
        None => return Err(missing(&path)),
        Some(Value::String(data)) => (data, None),
        Some(value) => {
            let mut inner = walk::object(value, &path)?;
            let data = need_string(&mut inner, &path, "data")?;
            (data, take_string(&mut inner, &path, "format")?)
        }
    };
    if data.starts_with("data:") || data.contains("://") {
        return media_of_url(Some(MediaKind::Audio), data).map_err(|fault| invalid(&path, fault));
    }
    let media_type = audio_type(format.as_deref().unwrap_or("mp3"));
    Ok(media(
        MediaKind::Audio,
        Some(media_type),
        MediaSource::Base64(data),
    ))
}

/// `{"file": {"file_id" | "file_data", "filename"}}`. LiteLLM's clients put URLs into `file_id`.
fn file(object: &mut Object, path: &str) -> Result<Media> {
    let path = join(path, "file");
    let mut inner = take_object(object, path.as_str(), "file")
        .map_err(|_| invalid(&path, "expected an object"))?
        .ok_or_else(|| missing(&path))?;
    let name = take_string(&mut inner, &path, "filename")?;
    let format = take_string(&mut inner, &path, "format")?;
    let told = format.or_else(|| type_of_name(name.as_deref()?).map(str::to_owned));
    let data = take_string(&mut inner, &path, "file_data")?;
    let id = take_string(&mut inner, &path, "file_id")?;
    let mut media = match (data, id) {
        (Some(data), _) if data.starts_with("data:") || data.contains("://") => {
            let kind = told.as_deref().map(kind_of);
            media_of_url(kind, data).map_err(|fault| invalid(&join(&path, "file_data"), fault))?
        }
        (Some(data), _) => {
            let kind = kind_of(told.as_deref().unwrap_or("application/pdf"));
            media(kind, None, MediaSource::Base64(data))
        }
        (None, Some(url)) if url.contains("://") => {
            let kind = told.as_deref().map(kind_of);
            media_of_url(kind, url).map_err(|fault| invalid(&join(&path, "file_id"), fault))?
        }
        (None, Some(id)) => {
            let kind = kind_of(told.as_deref().unwrap_or(""));
            let format = Format::OpenAiChat;
            media(kind, None, MediaSource::File { format, id })
        }
        (None, None) => return Err(invalid(&path, "needs file_data or file_id")),
    };
    media.media_type = media.media_type.or(told);
    media.name = name;
    Ok(media)
}

/// Anthropic's shape, which clients of LiteLLM send too: `{"type": "image", "source": {…}}`.
fn source(kind: &str, object: &mut Object, path: &str) -> Result<Media> {
    let kind = match kind {
        "image" => MediaKind::Image,
        _ => MediaKind::Document,
    };
    let at = join(path, "source");
    let mut inner = take_object(object, path, "source")?.ok_or_else(|| missing(&at))?;
    let media_type = take_string(&mut inner, &at, "media_type")?;
    let from = match need_string(&mut inner, &at, "type")?.as_str() {
        "base64" => MediaSource::Base64(need_string(&mut inner, &at, "data")?),
        "text" => MediaSource::Text(need_string(&mut inner, &at, "data")?),
        "url" => MediaSource::Url(need_string(&mut inner, &at, "url")?),
        "file" => MediaSource::File {
            format: Format::Anthropic,
            id: need_string(&mut inner, &at, "file_id")?,
        },
        _ => {
            return Err(invalid(
                &join(&at, "type"),
                "expected base64, text, url or file",
            ));
        }
    };
    let mut media = media(kind, media_type, from);
    media.name = take_string(object, path, "title")?;
    media.is_citable = object
        .get("citations")
        .is_some_and(|citations| citations["enabled"] == true);
    Ok(media)
}

/// A part of reasoning.
pub(super) fn reasoning(text: String, redacted: bool, seal: Option<Seal>) -> Part {
    Part {
        content: Content::Reasoning { text, redacted },
        cache: None,
        seal,
    }
}
