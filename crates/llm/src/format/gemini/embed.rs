//! Embeddings for Gemini's clients (`embedContent`, `batchEmbedContents`) at providers that speak OpenAI's
//! protocol (`/v1/embeddings`). Pure: bytes in, bytes out.

use base::{Code, Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::read_request::{elements, invalid, object, parse};
use super::wire::{Contents, WirePart, list};
use crate::translate::Translated;

/// Whether a Gemini call holds one text or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// `embedContent`
    One,
    /// `batchEmbedContents`
    Many,
}

/// What is to be embedded, and how.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub texts: Vec<Text>,
    pub dimensions: Option<u64>,
    /// Whether a text that is too long is cut rather than refused.
    pub auto_truncate: Option<bool>,
    /// Members that nothing is known of, in the client's words.
    pub dropped: Vec<String>,
}

/// A text, and what it is for, which helps Google's models.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub text: String,
    pub task_type: Option<String>,
    pub title: Option<String>,
}

/// Reads a Gemini client's request.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong.
pub(super) fn read(batch: Batch, body: &[u8]) -> Result<Asked> {
    let raw: &RawValue = serde_json::from_slice(body)
        .map_err(|error| invalid("request_body", format!("Invalid JSON payload: {error}")))?;
    let mut asked = Asked::default();
    match batch {
        Batch::One => asked.read_one("", raw)?,
        Batch::Many => {
            for (name, raw) in object("request_body", raw)? {
                if name != "requests" {
                    continue;
                }
                for (number, raw) in elements("requests", raw)?.into_iter().enumerate() {
                    asked.read_one(&format!("requests[{number}]."), raw)?;
                }
            }
        }
    }
    if asked.texts.is_empty() {
        let name = match batch {
            Batch::One => "content",
            Batch::Many => "requests",
        };
        return Err(invalid(name, format!("{name} is not specified")));
    }
    Ok(asked)
}

impl Asked {
    /// Reads one `EmbedContentRequest`; `path` is what its members' names begin with.
    fn read_one(&mut self, path: &str, raw: &RawValue) -> Result<()> {
        let mut text = Text::default();
        let mut has_content = false;
        for (name, raw) in object(path.trim_end_matches('.'), raw)? {
            let path = format!("{path}{name}");
            match &*name {
                "content" => {
                    text.text = text_of(&path, raw)?;
                    has_content = true;
                }
                "embedContentConfig" => {
                    for (name, raw) in object(&path, raw)? {
                        self.setting(&mut text, &format!("{path}.{name}"), &name, raw)?;
                    }
                }
                "model" => {}
                name => self.setting(&mut text, &path, name, raw)?,
            }
        }
        if has_content {
            self.texts.push(text);
        }
        Ok(())
    }

    fn setting(&mut self, text: &mut Text, path: &str, name: &str, raw: &RawValue) -> Result<()> {
        match name {
            "outputDimensionality" => {
                let count: u64 = parse(path, raw)?;
                if self
                    .dimensions
                    .replace(count)
                    .is_some_and(|other| other != count)
                {
                    let message = format!("{path} must be the same in all requests");
                    return Err(invalid(path, message));
                }
            }
            "taskType" => text.task_type = parse(path, raw)?,
            "title" => text.title = parse(path, raw)?,
            name => self.drop(name),
        }
        Ok(())
    }

    fn drop(&mut self, name: &str) {
        if !self.dropped.iter().any(|dropped| dropped == name) {
            self.dropped.push(name.to_owned());
        }
    }
}

/// A client's embed request for a provider that speaks OpenAI's protocol, where `model` is.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong or cannot be carried.
pub fn openai_request(batch: Batch, model: &str, body: &[u8]) -> Result<Translated> {
    let mut asked = read(batch, body)?;
    let mut texts = Vec::with_capacity(asked.texts.len());
    for text in std::mem::take(&mut asked.texts) {
        // what a text is for helps Google's models; others have one embedding for all
        if text.task_type.is_some() {
            asked.drop("taskType");
        }
        if text.title.is_some() {
            asked.drop("title");
        }
        texts.push(text.text);
    }
    let mut request = json!({"model": model, "input": texts, "encoding_format": "float"});
    if let Some(dimensions) = asked.dimensions {
        request["dimensions"] = dimensions.into();
    }
    Ok(Translated {
        body: request.to_string().into_bytes(),
        dropped: asked.dropped,
    })
}

fn text_of(path: &str, raw: &RawValue) -> Result<String> {
    let content: Contents<'_> = parse(path, raw)?;
    let mut text = String::new();
    let parts =
        list(content.parts).map_err(|_| invalid(path, format!("{path}.parts must be an array")))?;
    for (number, raw) in parts.into_iter().enumerate() {
        let path = format!("{path}.parts[{number}]");
        let part: WirePart<'_> = parse(&path, raw)?;
        let more = part.text.ok_or_else(|| {
            let message = format!("{path} cannot be sent to this model: it embeds text only");
            invalid(&path, message)
        })?;
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&more);
    }
    Ok(text)
}

/// An OpenAI provider's answer for Gemini's client.
///
/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of that format.
pub fn gemini_answer(batch: Batch, body: &[u8]) -> Result<Vec<u8>> {
    #[derive(Deserialize)]
    struct Answer {
        data: Vec<Item>,
        #[serde(default)]
        usage: Option<Usage>,
    }
    #[derive(Deserialize)]
    struct Item {
        #[serde(default)]
        index: Option<u64>,
        embedding: Embedding,
    }
    #[derive(Deserialize)]
    struct Usage {
        #[serde(default)]
        prompt_tokens: u64,
    }
    let mut answer: Answer = serde_json::from_slice(body).map_err(unreadable)?;
    answer.data.sort_by_key(|item| item.index);
    let mut embeddings = Vec::with_capacity(answer.data.len());
    for item in answer.data {
        embeddings.push(json!({"values": item.embedding.values()?}));
    }
    let mut response = match batch {
        Batch::Many => json!({"embeddings": embeddings}),
        Batch::One => {
            let first = embeddings.into_iter().next();
            let first = first.ok_or_else(|| unreadable("no embedding"))?;
            json!({"embedding": first})
        }
    };
    if let Some(usage) = answer.usage {
        response["usageMetadata"] = json!({"promptTokenCount": usage.prompt_tokens});
    }
    Ok(response.to_string().into_bytes())
}

/// Numbers, or their bytes as base64.
#[derive(Deserialize)]
#[serde(untagged)]
enum Embedding {
    Numbers(Vec<serde_json::Number>),
    Base64(String),
}

impl Embedding {
    fn values(self) -> Result<Value> {
        Ok(match self {
            Embedding::Numbers(numbers) => numbers.into_iter().map(Value::Number).collect(),
            Embedding::Base64(text) => {
                let bytes = STANDARD.decode(text).map_err(unreadable)?;
                let (floats, _) = bytes.as_chunks::<4>();
                let floats = floats.iter().map(|bytes| f32::from_le_bytes(*bytes));
                floats.map(Value::from).collect()
            }
        })
    }
}

pub(super) fn unreadable(why: impl ToString) -> Error {
    Error::new(
        Code::UpstreamUnavailable,
        "the provider sent an answer that cannot be read",
    )
    .caused_by(why.to_string())
}
