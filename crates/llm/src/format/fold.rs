//! For tests: a stream's events put together again, and the order that they must keep.

use bytes::BytesMut;

use super::{Format, Frame, ReadStream, converse};
use crate::conversation::{
    Answer, Choice, Content, Delta, Event, Media, MediaKind, MediaSource, Opening, Part,
    TokenLogprob,
};
use crate::provider::UpstreamError;

/// A stream, read to its end.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub answer: Answer,
    pub failed: Option<UpstreamError>,
    pub events: Vec<Event>,
}

/// Reads `bytes`, which arrive `cut` at a time, as the provider's stream.
pub(crate) fn read(
    format: Format,
    reader: &mut dyn ReadStream,
    bytes: &[u8],
    cut: usize,
) -> Folded {
    let mut events = Vec::new();
    let mut held = BytesMut::new();
    for chunk in bytes.chunks(cut.max(1)) {
        held.extend_from_slice(chunk);
        while let Some((event, data, is_exception)) = next(format, &mut held) {
            reader.frame(
                Frame {
                    event: event.as_deref(),
                    data: &data,
                    is_exception,
                },
                &mut events,
            );
        }
    }
    reader.end(&mut events);
    fold(events)
}

/// The next message: binary, or lines of `data:`.
fn next(format: Format, held: &mut BytesMut) -> Option<(Option<String>, Vec<u8>, bool)> {
    if format == Format::Converse {
        let frame = converse::next_frame(held, 1 << 24).ok()??;
        return Some((frame.event, frame.data, frame.is_exception));
    }
    loop {
        let end = held.iter().position(|byte| *byte == b'\n')?;
        let line = held.split_to(end + 1);
        if let Some(data) = line.strip_prefix(b"data:") {
            return Some((None, data.trim_ascii().to_vec(), false));
        }
    }
}

/// Puts events together.
///
/// # Panics
/// If they do not keep the order that [`crate::conversation::Event`] promises.
pub(crate) fn fold(events: Vec<Event>) -> Folded {
    let mut folded = Folded::default();
    let mut parts: Vec<(Part, bool)> = Vec::new();
    let mut logprobs: Vec<TokenLogprob> = Vec::new();
    let mut stop = None;
    let mut has_ended = false;
    for (at, event) in events.iter().enumerate() {
        assert!(!has_ended, "{event:?} after the end");
        assert_eq!(
            at == 0,
            matches!(event, Event::Start(_)),
            "{event:?} at {at}"
        );
        match event {
            Event::Start(start) => folded.answer.id.clone_from(&start.id),
            Event::Open { part, opening, .. } => {
                assert!(stop.is_none(), "opened after the finish");
                assert_eq!(*part as usize, parts.len(), "numbers rise");
                parts.push((opened(opening), true));
            }
            Event::Delta { part, delta, .. } => {
                let (part, is_open) = &mut parts[*part as usize];
                assert!(*is_open, "{delta:?} for a closed part");
                add(part, delta);
            }
            Event::Close { part, .. } => {
                let is_open = &mut parts[*part as usize].1;
                assert!(std::mem::take(is_open), "closed twice");
            }
            Event::Logprobs { logprobs: more, .. } => logprobs.extend(more.iter().cloned()),
            Event::Finish { stop: reason, .. } => {
                assert!(parts.iter().all(|(_, is_open)| !is_open), "finished open");
                assert!(stop.replace(reason.clone()).is_none(), "finished twice");
            }
            Event::Usage(usage) => folded.answer.usage = Some(*usage),
            Event::ServiceTier(tier) => folded.answer.service_tier = Some(tier.clone()),
            Event::Failed(error) => {
                folded.failed = Some(error.clone());
                has_ended = true;
            }
            Event::Done => {
                assert!(stop.is_some(), "done without a finish");
                has_ended = true;
            }
        }
    }
    assert!(has_ended, "no end");
    folded.answer.choices.push(Choice {
        parts: parts.into_iter().map(|(part, _)| part).collect(),
        stop,
        logprobs,
    });
    folded.events = events;
    folded
}

fn opened(opening: &Opening) -> Part {
    match opening {
        Opening::Text => Part::text(""),
        Opening::Refusal => Part::new(Content::Refusal(String::new())),
        Opening::Reasoning => Part::new(Content::Reasoning {
            text: String::new(),
            redacted: false,
        }),
        Opening::ToolCall {
            id,
            name,
            kind,
            seal,
        } => {
            let mut part = Part::new(Content::ToolCall {
                id: id.clone(),
                name: name.clone(),
                arguments: String::new(),
                kind: *kind,
            });
            part.seal.clone_from(seal);
            part
        }
        Opening::Sound { id, media_type } => Part::new(Content::Media(Media {
            kind: MediaKind::Audio,
            media_type: Some(media_type.clone()),
            source: MediaSource::Base64(String::new()),
            name: id.clone(),
            detail: None,
            is_citable: false,
            transcript: None,
        })),
        Opening::Whole(part) => (**part).clone(),
    }
}

fn add(part: &mut Part, delta: &Delta) {
    match (delta, &mut part.content) {
        (
            Delta::Text(more),
            Content::Text { text, .. } | Content::Refusal(text) | Content::Reasoning { text, .. },
        )
        | (
            Delta::Arguments(more),
            Content::ToolCall {
                arguments: text, ..
            },
        ) => text.push_str(more),
        (Delta::Text(more), Content::Media(media)) => {
            media.transcript.get_or_insert_default().push_str(more);
        }
        (Delta::Sound(more), Content::Media(media)) => match &mut media.source {
            MediaSource::Base64(data) => data.push_str(more),
            source => panic!("sound for {source:?}"),
        },
        (Delta::Citation(citation), Content::Text { citations, .. }) => {
            citations.push((**citation).clone());
        }
        (Delta::Seal(seal), _) => {
            assert!(part.seal.replace(seal.clone()).is_none(), "sealed twice");
        }
        (delta, content) => panic!("{delta:?} for {content:?}"),
    }
}

/// The files with this ending of all recorded cases of a provider whose names begin with `prefix`, but
/// for errors; none where the recordings are not there, which are no part of the repository.
#[expect(clippy::disallowed_methods, reason = "only tests read this variable")]
pub(crate) fn recordings(provider: &str, prefix: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let root = match std::env::var("TOLLGATE_RECORDINGS") {
        Ok(path) => std::path::PathBuf::from(path),
        Err(_) => std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
    };
    let folder = root.join("providers").join(provider);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!(
            "no recordings at {} (set TOLLGATE_RECORDINGS): not tested",
            folder.display()
        );
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.strip_suffix(ending)?.to_owned();
            let is_wanted = name.starts_with(prefix) && !name.contains("error");
            is_wanted.then(|| std::fs::read(&path).ok().map(|bytes| (name, bytes)))?
        })
        .collect();
    assert!(
        files.len() > 5,
        "only {} recordings of {provider}",
        files.len()
    );
    files.sort();
    files
}

/// All text of an answer's parts of one kind, and the names of its calls with their arguments.
pub(crate) fn said(answer: &Answer) -> (String, String, Vec<(String, String)>) {
    let (mut text, mut thoughts, mut calls) = (String::new(), String::new(), Vec::new());
    for part in answer.choices.iter().flat_map(|choice| &choice.parts) {
        match &part.content {
            Content::Text { text: more, .. } => text.push_str(more),
            Content::Reasoning { text: more, .. } => thoughts.push_str(more),
            Content::ToolCall {
                name, arguments, ..
            } => calls.push((name.clone(), arguments.clone())),
            _ => {}
        }
    }
    (text, thoughts, calls)
}
