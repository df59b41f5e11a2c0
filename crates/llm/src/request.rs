//! Reading and rewriting a client's request without building it.
//!
//! [`peek`] checks that the body is JSON and notes what the gateway decides by; [`rewrite`] gives
//! the same bytes for the provider, with the few members replaced that are the gateway's business.
//! What is checked is what is sent: a member that we read may stand in the body only once, so that
//! no second `model` or `n` can reach the provider past the check.

use std::borrow::Cow;
use std::ops::Range;

use base::{Code, Error, Result};
use bytes::Bytes;

use crate::estimate::Measure;
use crate::format::{Format, anthropic, chat, gemini};
use crate::json::{self, Cursor, Fault, Text};

mod form;
mod rewrite;

pub use rewrite::rewrite;
use rewrite::{Edits, StreamOptions};

/// Members that LiteLLM's clients send to the gateway itself. No provider gets to see them: most
/// refuse what they do not know (contract §17).
pub(crate) const GATEWAY_MEMBERS: &[&str] = &[
    "tags",
    "litellm_metadata",
    "fallbacks",
    "num_retries",
    "guardrails",
    "mock_response",
    "mock_testing_fallbacks",
    "cache",
];

/// Members by which a client could send our credentials elsewhere, or its own to our provider.
const FORBIDDEN_MEMBERS: &[&str] = &["api_base", "base_url", "api_key"];

/// What a request says about itself, borrowed from its body.
#[derive(Clone, Debug)]
pub struct Peek<'a> {
    /// The model's name as the client gave it; never empty, but for Gemini, whose model and stream
    /// stand in the URL: the caller fills in both.
    pub model: Cow<'a, str>,
    pub stream: bool,
    /// OpenAI responses: the answer is made after the call, and is to be asked for.
    pub background: bool,
    /// The client itself asked for usage in the stream (`stream_options.include_usage`).
    pub wants_stream_usage: bool,
    /// `max_completion_tokens` or `max_tokens`, the larger if both are there; per choice.
    pub max_output_tokens: Option<u64>,
    /// How many answers are generated: `n` (or `best_of`) for each prompt. At least 1.
    pub choices: u64,
    /// `user`
    pub end_user: Option<Cow<'a, str>>,
    /// `metadata.tags`, `litellm_metadata.tags` and `tags`, without repetition.
    pub tags: Vec<String>,
    /// The service tier that was asked for; the answer says which one it was.
    pub service_tier: Option<Cow<'a, str>>,
    /// How much was asked for, where the answer will not say what it took.
    pub measure: Measure,
    /// OpenAI responses: the place of `input`, which may be large.
    pub input: Option<Range<usize>>,
    edits: Edits,
}

impl Peek<'_> {
    /// Whether the body is a form; its content type goes on with it then.
    pub fn is_form(&self) -> bool {
        self.edits.form.is_some()
    }
}

/// The body without the seals of other providers that answered earlier; `None` where it holds none. In
/// a chat the ids of tool calls carry them: for a pass-through to a provider that takes short ids only,
/// which most do. In Anthropic's format and in Gemini's they are thoughts, which both refuse. A gateway
/// behind this one wants the body as it is.
pub fn without_seals(format: Format, body: &[u8]) -> Option<Bytes> {
    let left = match format {
        Format::OpenAiChat => chat::without_seals(body),
        Format::Anthropic => anthropic::without_seals(body),
        Format::Gemini => gemini::without_seals(body),
        _ => None,
    };
    left.map(Bytes::from)
}

/// Reads a request's body, a form or JSON. `path_model` is the model that the path names: a form may do
/// without one then.
///
/// # Errors
/// As [`peek`]; and `InvalidRequest` (400) for a form that is none, or that parsers may read in
/// different ways.
pub fn read<'a>(
    format: Format,
    content_type: Option<&str>,
    body: &'a [u8],
    path_model: Option<&str>,
) -> Result<Peek<'a>> {
    match content_type {
        Some(kind) if form::is_form(format, kind)? => form::peek(format, kind, body, path_model),
        _ => peek(format, body),
    }
}

/// Reads a request's JSON body.
///
/// # Errors
/// `InvalidRequest` (400) for what is no JSON object (`param: request_body`), for a missing `model`,
/// `messages` or `input`, for wrong types, and for members that stand there twice; `param` names
/// the member. Contract §2.3.
pub fn peek(format: Format, body: &[u8]) -> Result<Peek<'_>> {
    let at_fault = |fault| malformed(body, fault);
    let mut cursor = Cursor::new(body, 0);
    let mut members = cursor.members().ok_or_else(|| not_an_object(body))?;
    let mut reader = Reader::new(format, body);
    while let Some(key) = members.key().map_err(at_fault)? {
        let value = members.value().map_err(at_fault)?;
        reader.member(&key, value)?;
    }
    reader.edits.end = cursor.at - 1;
    cursor.whitespace();
    match cursor.peek() {
        None => reader.finish(),
        Some(_) => Err(malformed(
            body,
            cursor.fault("unexpected content after document"),
        )),
    }
}

/// The members that we read; the order of their bits in [`Reader::seen`].
const READ_MEMBERS: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "best_of",
    "user",
    "tags",
    "metadata",
    "litellm_metadata",
    "service_tier",
    "messages",
    "prompt",
    "input",
    "contents",
    "generationConfig",
    "generation_config",
    "max_output_tokens",
    "safety_identifier",
    "stream_format",
    "background",
];

/// What is known while the members of a body go by.
struct Reader<'a> {
    format: Format,
    body: &'a [u8],
    seen: u32,
    model: Option<Cow<'a, str>>,
    stream: bool,
    background: bool,
    max_output_tokens: Option<u64>,
    answers: u64,
    prompts: u64,
    end_user: Option<Cow<'a, str>>,
    tags: Vec<String>,
    service_tier: Option<Cow<'a, str>>,
    measure: Measure,
    input: Option<Range<usize>>,
    edits: Edits,
    removal: Removal,
}

/// Where members can be cut out so that the commas still fit.
#[derive(Default)]
struct Removal {
    /// The end of the last member that stays.
    kept_end: Option<usize>,
    /// The start of the removed members before the first one that stays.
    leading: Option<usize>,
}

impl<'a> Reader<'a> {
    fn new(format: Format, body: &'a [u8]) -> Reader<'a> {
        Reader {
            format,
            body,
            seen: 0,
            model: None,
            stream: false,
            background: false,
            max_output_tokens: None,
            answers: 1,
            prompts: 1,
            end_user: None,
            tags: Vec::new(),
            service_tier: None,
            measure: Measure {
                text: body.len() as u64,
                ..Measure::default()
            },
            input: None,
            edits: Edits::default(),
            removal: Removal::default(),
        }
    }

    fn member(&mut self, name: &Text, value: Range<usize>) -> Result<()> {
        let key = name.bytes(self.body);
        let known = READ_MEMBERS
            .iter()
            .position(|name| name.as_bytes() == &*key);
        if let Some(bit) = known {
            self.once(bit)?;
            self.read(READ_MEMBERS[bit], value.clone())?;
        }
        let is_one_of = |names: &[&str]| names.iter().any(|name| name.as_bytes() == &*key);
        if is_one_of(FORBIDDEN_MEMBERS) {
            let name = String::from_utf8_lossy(&key).into_owned();
            return Err(invalid(
                format!("{name} is not allowed in the request body"),
                name,
            ));
        }
        let removed = is_one_of(GATEWAY_MEMBERS)
            || *key == *b"metadata" && self.is_gateway_metadata(value.clone());
        self.keep_or_remove(name.quoted().start..value.end, removed);
        Ok(())
    }

    fn once(&mut self, bit: usize) -> Result<()> {
        let name = READ_MEMBERS[bit];
        if self.seen & (1 << bit) != 0 {
            return Err(invalid(format!("Duplicate parameter: '{name}'."), name));
        }
        self.seen |= 1 << bit;
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        READ_MEMBERS
            .iter()
            .position(|known| *known == name)
            .is_some_and(|bit| self.seen & (1 << bit) != 0)
    }

    fn read(&mut self, name: &'static str, value: Range<usize>) -> Result<()> {
        let first = self.body[value.start];
        if self.format.names_model_in_path() {
            return self.read_gemini(name, value);
        }
        if first == b'n' && !matches!(name, "model" | "messages" | "input" | "stream_options") {
            return Ok(());
        }
        match name {
            "model" => self.read_model(value)?,
            "stream" => self.stream = self.boolean(name, value)?,
            "background" if self.format == Format::OpenAiResponses => {
                self.background = self.boolean(name, value)?;
            }
            "stream_options" => self.read_stream_options(value)?,
            "max_tokens" | "max_completion_tokens" => {
                let limit = self.count(name, value)?;
                self.max_output_tokens = self.max_output_tokens.max(Some(limit));
            }
            "max_output_tokens" if self.format == Format::OpenAiResponses => {
                self.max_output_tokens = Some(self.count(name, value)?);
            }
            "n" | "best_of" => self.answers = self.answers.max(self.count(name, value)?),
            "user" => self.end_user = Some(self.string(name, value)?),
            "safety_identifier" if self.format != Format::Anthropic => {
                let identifier = self.string(name, value)?;
                self.end_user.get_or_insert(identifier);
            }
            "service_tier" => self.service_tier = Some(self.string(name, value)?),
            "tags" => self.add_tags(value),
            "metadata" | "litellm_metadata" => {
                if let Some(tags) = json::find(self.body, value.clone(), b"tags") {
                    self.add_tags(tags);
                }
                if self.format == Format::Anthropic && name == "metadata" {
                    let user = json::find(self.body, value, b"user_id");
                    let user = user.and_then(|user| json::string_at(self.body, user));
                    self.end_user = user.map(anthropic::without_session);
                }
            }
            "messages"
                if matches!(self.format, Format::OpenAiChat | Format::Anthropic)
                    && first != b'[' =>
            {
                return Err(wrong_type(name, "an array"));
            }
            "input"
                if self.format == Format::OpenAiResponses
                    && !matches!(first, b'[' | b'"' | b'n') =>
            {
                return Err(wrong_type(name, "a string or an array"));
            }
            "input" if self.format == Format::OpenAiResponses => self.input = Some(value),
            "input" if self.format == Format::Speech => {
                self.measure.characters = self.string(name, value)?.chars().count() as u64;
            }
            "stream_format" if self.format == Format::Speech => {
                self.stream |= self.string(name, value)? == "sse";
            }
            // a template's name, not prompts
            "prompt" if self.format == Format::OpenAiResponses => {}
            "prompt" => self.prompts = prompts(self.body, value).max(1),
            _ => {}
        }
        Ok(())
    }

    /// Of Gemini's members only these mean anything; the others may stand there with any value.
    fn read_gemini(&mut self, name: &'static str, value: Range<usize>) -> Result<()> {
        match name {
            "generationConfig" | "generation_config" => {
                if self.has("generationConfig") && self.has("generation_config") {
                    let twice = "generationConfig";
                    return Err(invalid(format!("Duplicate parameter: '{twice}'."), twice));
                }
                let limits = gemini::peek_limits(self.body, value)?;
                self.max_output_tokens = limits.max_output_tokens;
                self.answers = limits.candidates.unwrap_or(1).max(1);
            }
            "contents" if !matches!(self.body[value.start], b'[' | b'{') => {
                return Err(wrong_type(name, "an array"));
            }
            "tags" => self.add_tags(value),
            "metadata" | "litellm_metadata" => {
                if let Some(tags) = json::find(self.body, value, b"tags") {
                    self.add_tags(tags);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_model(&mut self, value: Range<usize>) -> Result<()> {
        if self.body[value.start] == b'n' {
            return Ok(());
        }
        self.edits.model = value.clone();
        self.model = Some(self.string("model", value)?).filter(|model| !model.is_empty());
        Ok(())
    }

    fn read_stream_options(&mut self, value: Range<usize>) -> Result<()> {
        let name = "stream_options";
        if self.body[value.start] == b'n' {
            self.edits.stream_options = StreamOptions::Null(value);
            return Ok(());
        }
        let at_fault = |fault| malformed(self.body, fault);
        let mut cursor = Cursor::new(self.body, value.start);
        let mut members = cursor
            .members()
            .ok_or_else(|| wrong_type(name, "an object"))?;
        let inside = value.start + 1;
        let mut empty = true;
        let mut include_usage = None;
        while let Some(key) = members.key().map_err(at_fault)? {
            let place = members.value().map_err(at_fault)?;
            empty = false;
            if *key.bytes(self.body) == *b"include_usage" && include_usage.replace(place).is_some()
            {
                let twice = "stream_options.include_usage";
                return Err(invalid(format!("Duplicate parameter: '{twice}'."), twice));
            }
        }
        self.edits.stream_options = match include_usage {
            None => StreamOptions::Without { inside, empty },
            Some(place) => match &self.body[place.clone()] {
                b"true" => StreamOptions::On,
                b"false" | b"null" => StreamOptions::Off(place),
                _ => return Err(wrong_type("stream_options.include_usage", "a boolean")),
            },
        };
        Ok(())
    }

    fn string(&self, name: &'static str, value: Range<usize>) -> Result<Cow<'a, str>> {
        json::string_at(self.body, value).ok_or_else(|| wrong_type(name, "a string"))
    }

    fn boolean(&self, name: &'static str, value: Range<usize>) -> Result<bool> {
        match &self.body[value] {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(wrong_type(name, "a boolean")),
        }
    }

    /// A whole number that is not negative; `3.0` is one.
    fn count(&self, name: &'static str, value: Range<usize>) -> Result<u64> {
        serde_json::from_slice::<f64>(&self.body[value])
            .ok()
            .filter(|number| *number >= 0.0 && number.fract() == 0.0)
            .map(|number| number as u64)
            .ok_or_else(|| wrong_type(name, "a whole number that is not negative"))
    }

    fn add_tags(&mut self, value: Range<usize>) {
        for tag in json::strings(self.body, value) {
            if !self.tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
    }

    /// OpenAI's `metadata` has string values only; anything else, and `tags`, is for the gateway.
    fn is_gateway_metadata(&self, value: Range<usize>) -> bool {
        let mut cursor = Cursor::new(self.body, value.start);
        let Some(mut members) = cursor.members() else {
            return false;
        };
        while let Ok(Some(key)) = members.key() {
            let is_text = members.cursor.peek() == Some(b'"');
            if !is_text || *key.bytes(self.body) == *b"tags" || members.value().is_err() {
                return true;
            }
        }
        false
    }

    fn keep_or_remove(&mut self, member: Range<usize>, removed: bool) {
        let Range { start, end } = member;
        match (removed, self.removal.kept_end) {
            (true, Some(kept_end)) => {
                // The comma before goes with it; neighbours that go too are one piece.
                match self.edits.removed.last_mut() {
                    Some(last) if last.start == kept_end => last.end = end,
                    _ => self.edits.removed.push(kept_end..end),
                }
            }
            (true, None) => {
                self.removal.leading.get_or_insert(start);
            }
            (false, _) => {
                if let Some(leading) = self.removal.leading.take() {
                    self.edits.removed.push(leading..start);
                }
                self.removal.kept_end = Some(end);
            }
        }
    }

    fn finish(self) -> Result<Peek<'a>> {
        let required = match self.format {
            Format::OpenAiChat | Format::Anthropic => Some("messages"),
            Format::OpenAiEmbedding => Some("input"),
            Format::Gemini => Some("contents"),
            _ => None,
        };
        if let Some(name) = required.filter(|name| !self.has(name)) {
            return Err(missing(name));
        }
        let model = match self.model {
            Some(model) => model,
            None if self.format.names_model_in_path() => Cow::Borrowed(""),
            None => return Err(missing("model")),
        };
        Ok(Peek {
            model,
            stream: self.stream && self.format.streams(),
            background: self.background,
            wants_stream_usage: self.edits.stream_options == StreamOptions::On,
            max_output_tokens: self.max_output_tokens,
            choices: self.answers.saturating_mul(self.prompts),
            end_user: self.end_user,
            tags: self.tags,
            service_tier: self.service_tier,
            measure: Measure {
                images: self.answers,
                ..self.measure
            },
            input: self.input,
            edits: self.edits,
        })
    }
}

/// How many prompts a completion request holds: a list of texts or of token lists holds several.
fn prompts(body: &[u8], value: Range<usize>) -> u64 {
    let mut cursor = Cursor::new(body, value.start);
    let Some(mut elements) = cursor.elements() else {
        return 1;
    };
    let mut count = 0;
    while let Ok(true) = elements.more() {
        count += u64::from(matches!(elements.cursor.peek(), Some(b'"' | b'[')));
        if elements.cursor.value().is_err() {
            break;
        }
    }
    count
}

fn invalid(message: String, param: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Code::InvalidRequest, message).param(param)
}

fn missing(name: &'static str) -> Error {
    invalid(format!("Missing required parameter: '{name}'."), name)
}

fn wrong_type(name: &'static str, expected: &str) -> Error {
    invalid(
        format!("Invalid type for '{name}': expected {expected}."),
        name,
    )
}

fn not_an_object(body: &[u8]) -> Error {
    let mut cursor = Cursor::new(body, 0);
    let fault = match cursor.value() {
        Ok(_) => Fault {
            at: 0,
            reason: "expected an object",
        },
        Err(fault) => fault,
    };
    malformed(body, fault)
}

fn malformed(body: &[u8], fault: Fault) -> Error {
    let before = &body[..fault.at.min(body.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = fault.at - memchr::memrchr(b'\n', before).map_or(0, |end| end + 1) + 1;
    let reason = fault.reason;
    invalid(
        format!(
            "Invalid JSON payload: {reason}: line {line} column {column} (char {})",
            fault.at
        ),
        "request_body",
    )
}
