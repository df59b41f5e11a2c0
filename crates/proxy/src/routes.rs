//! Which paths are calls of models, and in whose protocol.

use std::borrow::Cow;

use http::{Method, Uri};
use llm::Format;

use crate::{kept, passthrough, realtime, v2};

/// What a path of the data plane asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A model is called.
    Call(CallRoute),
    /// A chat of the `/v2` API.
    Chat(v2::Route),
    /// An earlier answer of `/v1/responses` is asked for.
    Kept(kept::Route),
    /// A session over WebSocket is to be opened with a model.
    Session,
    /// A provider's own path, passed on as it is.
    Passthrough(passthrough::Route),
}

/// Which call, and what the path says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRoute {
    pub format: Format,
    /// The model named by the path (`/engines/{model}/…`, `/openai/deployments/{model}/…`,
    /// `/v1beta/models/{model}:…`), which then counts instead of the body's.
    pub model: Option<String>,
    /// Where the path says whether the answer is streamed (Gemini), rather than the body.
    pub stream: Option<bool>,
    /// Gemini: a stream is one JSON array, as without `alt=sse`.
    pub as_array: bool,
}

impl CallRoute {
    fn of(format: Format) -> CallRoute {
        CallRoute {
            format,
            model: None,
            stream: None,
            as_array: false,
        }
    }
}

/// OpenAI's endpoints, below `/v1` or nothing.
const OPENAI: [(&str, Format); 10] = [
    ("chat/completions", Format::OpenAiChat),
    ("completions", Format::OpenAiCompletion),
    ("embeddings", Format::OpenAiEmbedding),
    ("responses", Format::OpenAiResponses),
    ("moderations", Format::Moderation),
    ("images/generations", Format::ImageGeneration),
    ("images/edits", Format::ImageEdit),
    ("audio/speech", Format::Speech),
    ("audio/transcriptions", Format::Transcription),
    ("audio/translations", Format::Translation),
];

/// Gemini's actions on a model that are calls.
const GEMINI: [(&str, Format, bool); 5] = [
    ("generateContent", Format::Gemini, false),
    ("streamGenerateContent", Format::Gemini, true),
    ("countTokens", Format::GeminiTokenCount, false),
    ("embedContent", Format::GeminiEmbedding, false),
    ("batchEmbedContents", Format::GeminiBatchEmbedding, false),
];

/// Whether a request is one for the data plane, and which.
pub fn route(method: &Method, uri: &Uri) -> Option<Route> {
    let path = uri.path().strip_prefix('/')?;
    let tail = path.strip_prefix("v1/").unwrap_or(path);
    if let Some(tail) = tail.strip_prefix("responses/") {
        return kept::route(method, tail).map(Route::Kept);
    }
    if let Some(chat) = v2::route(method, uri.path()) {
        return Some(Route::Chat(chat));
    }
    if method == Method::POST
        && let Some(call) = call(path, tail, uri.query())
    {
        return Some(Route::Call(call));
    }
    if realtime::is_session(method, uri) {
        return Some(Route::Session);
    }
    passthrough::route(uri.path()).map(Route::Passthrough)
}

fn call(path: &str, tail: &str, query: Option<&str>) -> Option<CallRoute> {
    if let Some((_, format)) = OPENAI.iter().find(|(name, _)| *name == tail) {
        return Some(CallRoute::of(*format));
    }
    match path {
        "v1/messages" => return Some(CallRoute::of(Format::Anthropic)),
        "v1/messages/count_tokens" => return Some(CallRoute::of(Format::AnthropicTokenCount)),
        "rerank" | "v1/rerank" | "v2/rerank" => return Some(CallRoute::of(Format::Rerank)),
        _ => {}
    }
    gemini(path, query).or_else(|| deployment(path))
}

/// `/v1beta/models/{model}:{action}`
fn gemini(path: &str, query: Option<&str>) -> Option<CallRoute> {
    let named = ["v1beta/models/", "v1/models/", "models/"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))?;
    let (model, action) = named.rsplit_once(':')?;
    let (_, format, streams) = GEMINI.iter().find(|(name, ..)| *name == action)?;
    let has_events = query
        .unwrap_or_default()
        .split('&')
        .any(|pair| pair == "alt=sse");
    Some(CallRoute {
        format: *format,
        model: Some(decoded(model)?),
        stream: (*format == Format::Gemini).then_some(*streams),
        as_array: *streams && !has_events,
    })
}

/// The call that `{model}:{action}` is.
pub fn gemini_action(text: &str) -> Option<(Format, Option<String>)> {
    let (model, action) = text.rsplit_once(':')?;
    let (_, format, _) = GEMINI.iter().find(|(name, ..)| *name == action)?;
    Some((*format, Some(decoded(model)?)))
}

/// `/engines/{model}/…` and `/openai/deployments/{model}/…`, as Azure's clients call.
fn deployment(path: &str) -> Option<CallRoute> {
    let named = path
        .strip_prefix("engines/")
        .or_else(|| path.strip_prefix("openai/deployments/"))?;
    // the longest that fits comes first, and its words are never a model's
    let (before, format) = OPENAI
        .iter()
        .find_map(|(name, format)| Some((named.strip_suffix(name)?, *format)))?;
    let model = before.strip_suffix('/')?;
    Some(CallRoute {
        model: Some(decoded(model)?),
        ..CallRoute::of(format)
    })
}

/// A model's name as it stands in a path.
fn decoded(model: &str) -> Option<String> {
    let model: Cow<'_, str> = percent_encoding::percent_decode_str(model)
        .decode_utf8()
        .ok()?;
    (!model.is_empty()).then(|| model.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(path: &str) -> Option<CallRoute> {
        match route(&Method::POST, &path.parse().unwrap()) {
            Some(Route::Call(call)) => Some(call),
            _ => None,
        }
    }

    fn routed(path: &str) -> Option<(Format, Option<String>)> {
        called(path).map(|call| (call.format, call.model))
    }

    #[test]
    fn the_documented_paths_are_calls() {
        let model = |name: &str| Some(name.to_owned());
        for (path, format, named) in [
            ("/v1/chat/completions", Format::OpenAiChat, None),
            ("/embeddings", Format::OpenAiEmbedding, None),
            ("/v1/responses", Format::OpenAiResponses, None),
            ("/v1/messages", Format::Anthropic, None),
            (
                "/v1/messages/count_tokens",
                Format::AnthropicTokenCount,
                None,
            ),
            ("/v2/rerank", Format::Rerank, None),
            (
                "/openai/deployments/org/m/completions",
                Format::OpenAiCompletion,
                model("org/m"),
            ),
            (
                "/engines/gpt-4o/chat/completions",
                Format::OpenAiChat,
                model("gpt-4o"),
            ),
            (
                "/v1beta/models/gemini-2.5-flash:generateContent",
                Format::Gemini,
                model("gemini-2.5-flash"),
            ),
            (
                "/v1beta/models/a%2Fb:c:countTokens",
                Format::GeminiTokenCount,
                model("a/b:c"),
            ),
        ] {
            assert_eq!(routed(path), Some((format, named)), "{path}");
        }
    }

    #[test]
    fn gemini_says_in_the_path_how_it_streams() {
        let events = called("/v1beta/models/m:streamGenerateContent?key=k&alt=sse").unwrap();
        assert_eq!((events.stream, events.as_array), (Some(true), false));
        let array = called("/v1beta/models/m:streamGenerateContent").unwrap();
        assert_eq!((array.stream, array.as_array), (Some(true), true));
    }

    #[test]
    fn answers_are_asked_for_by_their_id() {
        let kept = |method, path: &'static str| route(&method, &Uri::from_static(path));
        let expected = |action| {
            Some(Route::Kept(kept::Route {
                id: "resp_1".to_owned(),
                action,
            }))
        };
        let path = "/v1/responses/resp_1";
        assert_eq!(kept(Method::GET, path), expected(kept::Action::Get));
        assert_eq!(kept(Method::DELETE, path), expected(kept::Action::Delete));
        let cancel = kept(Method::POST, "/responses/resp_1/cancel");
        assert_eq!(cancel, expected(kept::Action::Cancel));
        assert_eq!(kept(Method::GET, "/v1/responses/a%2Fb"), None);
        assert_eq!(kept(Method::GET, "/v1/responses/a/b"), None);
    }

    #[test]
    fn sessions_are_those_that_name_a_model_or_can_be_nothing_else() {
        let asked = |path: &'static str| route(&Method::GET, &Uri::from_static(path));
        for path in [
            "/v1/realtime?model=gpt-realtime",
            "/realtime",
            "/v1/realtime?intent=transcription",
            "/openai/v1/realtime?model=gpt-realtime",
            "/openai/realtime?api-version=2025-04-01-preview&deployment=d",
        ] {
            assert_eq!(asked(path), Some(Route::Session), "{path}");
        }
        for path in [
            "/openai/v1/realtime?intent=transcription",
            "/openai/v1/realtime?model=",
            "/openai/v1/realtime/calls",
        ] {
            assert!(matches!(asked(path), Some(Route::Passthrough(_))), "{path}");
        }
    }

    #[test]
    fn other_paths_are_not() {
        for path in [
            "/",
            "/v1/models",
            "/engines/chat/completions",
            "/engines//embeddings",
            "/v1beta/models/m:fly",
            "/v1beta/models/:generateContent",
        ] {
            assert_eq!(routed(path), None, "{path}");
        }
        let uri = Uri::from_static("/v1/embeddings");
        assert_eq!(route(&Method::GET, &uri), None);
    }
}
