//! The client's body for the provider: the same bytes, but for the places that are the gateway's
//! business.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::{Peek, form};
use crate::json;

/// The places in the body that [`rewrite`] may change.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits {
    /// The value of `model` with its quotes.
    pub(super) model: Range<usize>,
    /// Members that are not for the provider, each with one comma.
    pub(super) removed: Vec<Range<usize>>,
    pub(super) stream_options: StreamOptions,
    /// The closing brace of the body.
    pub(super) end: usize,
    /// The body is a form.
    pub(super) form: Option<FormPlaces>,
}

/// Where a form takes its model.
#[derive(Clone, Debug)]
pub(super) struct FormPlaces {
    /// The boundary before the first part.
    pub(super) first: Range<usize>,
    /// A part of the form names it.
    pub(super) has_model: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum StreamOptions {
    #[default]
    Absent,
    /// The whole value, a `null`, is here.
    Null(Range<usize>),
    /// An object without `include_usage`; its first member, or its end, stands here.
    Without {
        inside: usize,
        empty: bool,
    },
    /// An object whose `include_usage` is off; its value is here.
    Off(Range<usize>),
    On,
}

/// The body for the provider, as segments that share the client's bytes: `model` takes the place of
/// the name the client used, `stream_options.include_usage` is set if `add_stream_usage`, members
/// meant for the gateway alone are left out, all else is untouched.
///
/// `peek` must be what [`read`](super::read) read from this very `body`.
pub fn rewrite(body: &Bytes, peek: &Peek<'_>, model: &str, add_stream_usage: bool) -> Vec<Bytes> {
    let edits = &peek.edits;
    let mut changes: Vec<(Range<usize>, Cow<'static, str>)> = Vec::new();
    if let Some((place, text)) = edits.model_change(body, model) {
        changes.push((place, Cow::Owned(text)));
    }
    if add_stream_usage {
        changes.extend(edits.usage_change());
    }
    changes.extend(
        edits
            .removed
            .iter()
            .map(|place| (place.clone(), Cow::Borrowed(""))),
    );
    changes.sort_by_key(|(place, _)| place.start);

    let mut segments = Vec::with_capacity(2 * changes.len() + 1);
    let mut at = 0;
    for (place, text) in changes {
        if place.start > at {
            segments.push(body.slice(at..place.start));
        }
        if !text.is_empty() {
            segments.push(match text {
                Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
                Cow::Owned(text) => Bytes::from(text),
            });
        }
        at = place.end;
    }
    if at < body.len() {
        segments.push(body.slice(at..));
    }
    segments
}

impl Edits {
    /// The change that names the model as the provider does. What stands in the body counts: where the
    /// path names the model, that was never checked.
    fn model_change(&self, body: &[u8], model: &str) -> Option<(Range<usize>, String)> {
        if let Some(places) = &self.form {
            return form::model_change(body, self, places, model);
        }
        if self.model.is_empty() {
            return None;
        }
        let name = json::quote(model);
        (body[self.model.clone()] != *name.as_bytes()).then(|| (self.model.clone(), name))
    }

    /// The change that makes `stream_options.include_usage` true.
    fn usage_change(&self) -> Option<(Range<usize>, Cow<'static, str>)> {
        let (place, text) = match &self.stream_options {
            StreamOptions::On => return None,
            StreamOptions::Absent => (
                self.end..self.end,
                r#","stream_options":{"include_usage":true}"#,
            ),
            StreamOptions::Null(place) => (place.clone(), r#"{"include_usage":true}"#),
            StreamOptions::Off(place) => (place.clone(), "true"),
            StreamOptions::Without {
                inside,
                empty: true,
            } => (*inside..*inside, r#""include_usage":true"#),
            StreamOptions::Without {
                inside,
                empty: false,
            } => (*inside..*inside, r#""include_usage":true,"#),
        };
        Some((place, Cow::Borrowed(text)))
    }
}
