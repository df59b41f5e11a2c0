//! Media as Chat Completions says them: data URLs, and formats of sound.

use crate::conversation::{Media, MediaKind, MediaSource};

/// Media from a URL, which may be a `data:` URL.
///
/// # Errors
/// What is wrong with the URL, for the client.
pub(super) fn media_of_url(kind: Option<MediaKind>, url: String) -> Result<Media, &'static str> {
    let Some(data) = url.strip_prefix("data:") else {
        if !url.contains("://") {
            return Err("expected a URL or a data URL");
        }
        return Ok(media(
            kind.unwrap_or(MediaKind::Document),
            None,
            MediaSource::Url(url),
        ));
    };
    let (head, content) = data
        .split_once(',')
        .ok_or("expected data after a comma in the data URL")?;
    let head = head
        .strip_suffix(";base64")
        .ok_or("expected base64 in the data URL")?;
    let media_type = head.split(';').next().filter(|name| !name.is_empty());
    let kind = kind.unwrap_or_else(|| kind_of(media_type.unwrap_or("")));
    Ok(media(
        kind,
        media_type.map(str::to_owned),
        MediaSource::Base64(content.to_owned()),
    ))
}

pub(super) fn media(kind: MediaKind, media_type: Option<String>, source: MediaSource) -> Media {
    Media {
        kind,
        media_type,
        source,
        name: None,
        detail: None,
        is_citable: false,
        transcript: None,
    }
}

/// What a media type is of.
pub(super) fn kind_of(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

/// The media type of a file by the ending of its name.
pub(super) fn type_of_name(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" => "text/html",
        "json" => "application/json",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        _ => return None,
    })
}

/// `mp3` of `audio/mpeg`: the words of `input_audio.format`.
pub(super) fn audio_format(media_type: Option<&str>) -> &str {
    match media_type.unwrap_or("audio/wav") {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        other => other.split_once('/').map_or("wav", |(_, name)| name),
    }
}

/// `audio/mpeg` of `mp3`.
pub(super) fn audio_type(format: &str) -> String {
    match format {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    }
}

/// A URL that says the same as the source; `None` where there is no URL for it.
pub(super) fn url_of(media: &Media) -> Option<String> {
    match &media.source {
        MediaSource::Url(url) => Some(url.clone()),
        MediaSource::Base64(data) => {
            let media_type = media.media_type.as_deref().unwrap_or(match media.kind {
                MediaKind::Image => "image/png",
                MediaKind::Audio => "audio/wav",
                MediaKind::Video => "video/mp4",
                MediaKind::Document => "application/pdf",
            });
            Some(format!("data:{media_type};base64,{data}"))
        }
        MediaSource::Text(_) | MediaSource::File { .. } => None,
    }
}
