//! Pictures, documents, sound and films as blocks. Bedrock takes them as base64, or from S3.

use std::borrow::Cow;

use base::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document_name::DocumentNames;
use super::wire::{Block, Enabled, MediaBlock, Source};
use crate::conversation::{Carry, Media, MediaKind, MediaSource};

/// # Errors
/// `InvalidRequest` (400), naming the message at `place`, for what Bedrock does not take.
pub(super) fn block<'a>(
    media: &'a Media,
    names: &mut DocumentNames,
    place: usize,
    carry: &Carry,
) -> Result<Block<'a>> {
    let refused = |why: &str| Err(carry.content(place, why));
    if media.kind == MediaKind::Document {
        return document(media, names, place, carry);
    }
    let Some(source) = source(&media.source) else {
        return refused(
            "takes pictures, sound and films as base64 or from S3 only, by no other URL",
        );
    };
    let subtype = subtype(media);
    let format = match media.kind {
        MediaKind::Image => image_format(&subtype, &media.source),
        MediaKind::Audio => audio_format(&subtype),
        _ => video_format(&subtype),
    };
    let Some(format) = format else {
        return refused(match media.kind {
            MediaKind::Image => "takes pictures as PNG, JPEG, GIF or WebP only",
            MediaKind::Audio => "does not take sound of this type",
            _ => "does not take films of this type",
        });
    };
    let block = MediaBlock { format, source };
    Ok(match media.kind {
        MediaKind::Image => Block::Image(block),
        MediaKind::Audio => Block::Audio(block),
        _ => Block::Video(block),
    })
}

fn document<'a>(
    media: &'a Media,
    names: &mut DocumentNames,
    place: usize,
    carry: &Carry,
) -> Result<Block<'a>> {
    let citations = media.is_citable.then_some(Enabled { enabled: true });
    if let MediaSource::Text(text) = &media.source {
        let source = match media.is_citable {
            true => Source::Text(text),
            // older models know documents as files alone
            false => Source::Bytes(Cow::Owned(STANDARD.encode(text))),
        };
        return Ok(Block::Document {
            format: "txt",
            name: names.give(media.name.as_deref()),
            source,
            citations,
        });
    }
    let Some(source) = source(&media.source) else {
        return Err(carry.content(
            place,
            "takes documents as base64 or from S3 only, by no other URL",
        ));
    };
    let ending = media.name.as_deref().and_then(|name| name.rsplit_once('.'));
    let format = document_format(&subtype(media))
        .or_else(|| document_format(&ending?.1.to_ascii_lowercase()));
    let Some(format) = format else {
        return Err(carry.content(place, "does not take documents of this type"));
    };
    Ok(Block::Document {
        format,
        name: names.give(media.name.as_deref()),
        source,
        citations,
    })
}

fn source(source: &MediaSource) -> Option<Source<'_>> {
    match source {
        MediaSource::Base64(data) => Some(Source::Bytes(Cow::Borrowed(data))),
        MediaSource::Url(uri) if uri.starts_with("s3://") => Some(Source::S3Location { uri }),
        MediaSource::Url(_) | MediaSource::Text(_) | MediaSource::File { .. } => None,
    }
}

/// What stands behind the slash of the media type, or the ending of a URL.
fn subtype(media: &Media) -> String {
    let text = match (&media.media_type, &media.source) {
        (Some(media_type), _) => media_type.split([';', ' ']).next(),
        (None, MediaSource::Url(url)) => url.rsplit('.').next(),
        (None, _) => None,
    };
    let text = text.unwrap_or_default();
    let text = text.rsplit_once('/').map_or(text, |(_, subtype)| subtype);
    text.to_ascii_lowercase()
}

fn image_format(subtype: &str, source: &MediaSource) -> Option<&'static str> {
    Some(match subtype {
        "png" => "png",
        "jpeg" | "jpg" => "jpeg",
        "gif" => "gif",
        "webp" => "webp",
        "" => sniffed(source)?,
        _ => return None,
    })
}

/// The type of a picture by its first bytes.
fn sniffed(source: &MediaSource) -> Option<&'static str> {
    let MediaSource::Base64(data) = source else {
        return None;
    };
    [
        ("iVBORw0KGgo", "png"),
        ("/9j/", "jpeg"),
        ("R0lGOD", "gif"),
        ("UklGR", "webp"),
    ]
    .into_iter()
    .find(|(beginning, _)| data.starts_with(beginning))
    .map(|(_, format)| format)
}

fn audio_format(subtype: &str) -> Option<&'static str> {
    Some(match subtype {
        "mp3" | "mpeg" | "mpga" => "mp3",
        "wav" | "x-wav" | "wave" | "vnd.wave" => "wav",
        "flac" | "x-flac" => "flac",
        "ogg" => "ogg",
        "opus" => "opus",
        "aac" => "aac",
        "x-aac" => "x-aac",
        "m4a" | "x-m4a" => "m4a",
        "mp4" => "mp4",
        "webm" => "webm",
        "mka" | "x-matroska" => "mka",
        "pcm" | "l16" => "pcm",
        _ => return None,
    })
}

fn video_format(subtype: &str) -> Option<&'static str> {
    Some(match subtype {
        "mp4" => "mp4",
        "mov" | "quicktime" => "mov",
        "mkv" | "x-matroska" => "mkv",
        "webm" => "webm",
        "flv" | "x-flv" => "flv",
        "mpeg" => "mpeg",
        "mpg" => "mpg",
        "wmv" | "x-ms-wmv" => "wmv",
        "3gpp" | "3gp" | "three_gp" => "three_gp",
        _ => return None,
    })
}

/// By the subtype, or by the ending of a file's name.
fn document_format(word: &str) -> Option<&'static str> {
    Some(match word {
        "pdf" | "x-pdf" => "pdf",
        "csv" => "csv",
        "msword" | "doc" => "doc",
        "vnd.openxmlformats-officedocument.wordprocessingml.document" | "docx" => "docx",
        "vnd.ms-excel" | "xls" => "xls",
        "vnd.openxmlformats-officedocument.spreadsheetml.sheet" | "xlsx" => "xlsx",
        "html" | "htm" => "html",
        "markdown" | "x-markdown" | "md" => "md",
        "plain" | "txt" | "json" | "xml" | "x-yaml" | "yaml" => "txt",
        _ => return None,
    })
}
