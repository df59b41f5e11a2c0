//! Where statements come from: `groundingMetadata` and `citationMetadata` as citations, and back.
//!
//! Google counts in bytes of the part's text, citations in characters.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::conversation::{Citation, Content, Part};

/// A citation whose place is still in bytes.
pub(super) struct Found {
    pub citation: Citation,
    pub bytes: Option<(usize, usize)>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Grounding {
    grounding_chunks: Vec<Chunk>,
    grounding_supports: Vec<Support>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Chunk {
    web: Option<Source>,
    maps: Option<Source>,
    retrieved_context: Option<Source>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    uri: Option<String>,
    title: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Support {
    segment: Segment,
    grounding_chunk_indices: Vec<usize>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Segment {
    start_index: usize,
    end_index: Option<usize>,
    text: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct CitationMetadata {
    /// Vertex
    citations: Vec<CitationSource>,
    /// Gemini API
    citation_sources: Vec<CitationSource>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct CitationSource {
    start_index: usize,
    end_index: Option<usize>,
    uri: Option<String>,
    title: Option<String>,
}

/// Reads both kinds of metadata; what cannot be read tells nothing.
pub(super) fn read(grounding: Option<&RawValue>, citations: Option<&RawValue>) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(grounding) =
        grounding.and_then(|raw| serde_json::from_str::<Grounding>(raw.get()).ok())
    {
        read_grounding(grounding, &mut found);
    }
    if let Some(metadata) =
        citations.and_then(|raw| serde_json::from_str::<CitationMetadata>(raw.get()).ok())
    {
        let sources = metadata.citations.into_iter();
        found.extend(
            sources
                .chain(metadata.citation_sources)
                .map(|source| Found {
                    bytes: source.end_index.map(|end| (source.start_index, end)),
                    citation: Citation {
                        url: source.uri,
                        title: source.title,
                        ..Citation::default()
                    },
                }),
        );
    }
    found
}

fn read_grounding(grounding: Grounding, found: &mut Vec<Found>) {
    let sources: Vec<Source> = grounding
        .grounding_chunks
        .into_iter()
        .map(|chunk| {
            let source = chunk.web.or(chunk.maps).or(chunk.retrieved_context);
            source.unwrap_or_default()
        })
        .collect();
    let cite = |source: &Source, quote: Option<String>| Citation {
        url: source.uri.clone(),
        title: source.title.clone(),
        quote,
        ..Citation::default()
    };
    for support in &grounding.grounding_supports {
        let segment = &support.segment;
        for source in support
            .grounding_chunk_indices
            .iter()
            .filter_map(|index| sources.get(*index))
        {
            found.push(Found {
                citation: cite(source, segment.text.clone()),
                bytes: segment.end_index.map(|end| (segment.start_index, end)),
            });
        }
    }
    if grounding.grounding_supports.is_empty() {
        let known = sources.iter().filter(|source| source.uri.is_some());
        found.extend(known.map(|source| Found {
            citation: cite(source, None),
            bytes: None,
        }));
    }
}

/// Puts citations to the text they speak of: the part whose text stands at the place, else the last.
pub(super) fn attach(found: Vec<Found>, parts: &mut [Part]) {
    for Found {
        mut citation,
        bytes,
    } in found
    {
        let fits = |text: &str| match (bytes, &citation.quote) {
            (Some((start, end)), Some(quote)) => text.get(start..end) == Some(quote),
            (Some((start, end)), None) => text.get(start..end).is_some(),
            (None, _) => false,
        };
        let at = parts
            .iter()
            .position(|part| matches!(&part.content, Content::Text { text, .. } if fits(text)));
        let last = || {
            let is_text = |part: &Part| matches!(part.content, Content::Text { .. });
            parts.iter().rposition(is_text)
        };
        let Some(Content::Text { text, citations }) = at
            .or_else(last)
            .and_then(|at| parts.get_mut(at))
            .map(|part| &mut part.content)
        else {
            continue;
        };
        citation.span = match (at, bytes) {
            (Some(_), Some(bytes)) => in_characters(text, bytes),
            _ => citation.quote.as_deref().and_then(|quote| {
                let start = text.find(quote)?;
                in_characters(text, (start, start + quote.len()))
            }),
        };
        citations.push(citation);
    }
}

fn in_characters(text: &str, (start, end): (usize, usize)) -> Option<(u64, u64)> {
    let before = text.get(..start)?.chars().count() as u64;
    let within = text.get(start..end)?.chars().count() as u64;
    Some((before, before + within))
}

/// A citation of an answer for a client, its place in bytes.
pub(super) struct Cited<'a> {
    pub citation: &'a Citation,
    pub part: usize,
    pub bytes: Option<(usize, usize)>,
}

/// The place of a citation in bytes of `text`.
pub(super) fn in_bytes(text: &str, span: Option<(u64, u64)>) -> Option<(usize, usize)> {
    let (start, end) = span?;
    let place = |characters: u64| {
        let characters = usize::try_from(characters).ok()?;
        let mut places = text.char_indices().map(|(at, _)| at);
        places.nth(characters).or_else(|| {
            let length = text.chars().count();
            (length == characters).then_some(text.len())
        })
    };
    let (start, end) = (place(start)?, place(end)?);
    (start <= end).then_some((start, end))
}

/// `groundingMetadata` of these citations; `None` where none of them names a source.
pub(super) fn write(cited: &[Cited<'_>]) -> Option<Value> {
    let mut sources: Vec<(&str, Option<&str>)> = Vec::new();
    let mut supports = Vec::new();
    for Cited {
        citation,
        part,
        bytes,
    } in cited
    {
        let Some(url) = citation.url.as_deref() else {
            continue;
        };
        let known = sources.iter().position(|(known, _)| *known == url);
        let index = known.unwrap_or_else(|| {
            sources.push((url, citation.title.as_deref()));
            sources.len() - 1
        });
        let mut segment = serde_json::Map::new();
        if let Some((start, end)) = bytes {
            segment.insert("startIndex".to_owned(), (*start).into());
            segment.insert("endIndex".to_owned(), (*end).into());
        }
        if let Some(quote) = &citation.quote {
            segment.insert("text".to_owned(), quote.as_str().into());
        }
        if segment.is_empty() {
            continue;
        }
        if *part > 0 {
            segment.insert("partIndex".to_owned(), (*part).into());
        }
        supports.push(json!({"segment": segment, "groundingChunkIndices": [index]}));
    }
    let chunks: Vec<Value> = sources
        .iter()
        .map(|(url, title)| match title {
            Some(title) => json!({"web": {"uri": url, "title": title}}),
            None => json!({"web": {"uri": url}}),
        })
        .collect();
    (!chunks.is_empty()).then(|| json!({"groundingChunks": chunks, "groundingSupports": supports}))
}
