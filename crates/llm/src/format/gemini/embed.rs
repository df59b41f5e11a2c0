//! Embeddings between Gemini (`embedContent`, `batchEmbedContents`) and OpenAI (`/v1/embeddings`), both
//! ways. Pure: bytes in, bytes out.

use base::{Code, Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::read_request::{elements, invalid, object, parse};
use super::wire::{Contents, WirePart, list};
use crate::conversation::{Carry, Field};
use crate::format::Format;
use crate::translate::Translated;

/// Whether a Gemini call holds one text or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// `embedContent`
    One,
    /// `batchEmbedContents`
    Many,
}

/// How OpenAI's client wants its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Float,
    /// 32-bit floats, lowest byte first, as base64: what OpenAI's own clients ask for.
    Base64,
}

/// A request in OpenAI's format, for Gemini.
#[derive(Clone, Debug)]
pub struct ForGemini {
    pub request: Translated,
    pub encoding: Encoding,
}

/// A client's embed request for a provider that speaks OpenAI's protocol, where `model` is.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong or cannot be carried.
pub fn openai_request(batch: Batch, model: &str, body: &[u8]) -> Result<Translated> {
    let raw: &RawValue = serde_json::from_slice(body)
        .map_err(|error| invalid("request_body", format!("Invalid JSON payload: {error}")))?;
    let mut texts = Vec::new();
    let mut dimensions = None;
    let mut dropped = Vec::new();
    match batch {
        Batch::One => read_one("", raw, &mut texts, &mut dimensions, &mut dropped)?,
        Batch::Many => {
            for (name, raw) in object("request_body", raw)? {
                if name != "requests" {
                    continue;
                }
                for (number, raw) in elements("requests", raw)?.into_iter().enumerate() {
                    let path = format!("requests[{number}].");
                    read_one(&path, raw, &mut texts, &mut dimensions, &mut dropped)?;
                }
            }
        }
    }
    if texts.is_empty() {
        let name = match batch {
            Batch::One => "content",
            Batch::Many => "requests",
        };
        return Err(invalid(name, format!("{name} is not specified")));
    }
    let mut request = json!({"model": model, "input": texts, "encoding_format": "float"});
    if let Some(dimensions) = dimensions {
        request["dimensions"] = dimensions.into();
    }
    Ok(Translated {
        body: request.to_string().into_bytes(),
        dropped,
    })
}

/// Reads one `EmbedContentRequest`; `path` is what its members' names begin with.
fn read_one(
    path: &str,
    raw: &RawValue,
    texts: &mut Vec<String>,
    dimensions: &mut Option<u64>,
    dropped: &mut Vec<String>,
) -> Result<()> {
    for (name, raw) in object(path.trim_end_matches('.'), raw)? {
        let path = format!("{path}{name}");
        match &*name {
            "content" => texts.push(text_of(&path, raw)?),
            "outputDimensionality" => set_dimensions(&path, parse(&path, raw)?, dimensions)?,
            "embedContentConfig" => {
                for (name, raw) in object(&path, raw)? {
                    let path = format!("{path}.{name}");
                    match &*name {
                        "outputDimensionality" => {
                            set_dimensions(&path, parse(&path, raw)?, dimensions)?;
                        }
                        _ if dropped.contains(&name) => {}
                        _ => dropped.push(name),
                    }
                }
            }
            "model" => {}
            // what the text is for helps Gemini's models; others have one embedding for all
            _ if dropped.contains(&name) => {}
            _ => dropped.push(name),
        }
    }
    Ok(())
}

fn set_dimensions(path: &str, count: u64, dimensions: &mut Option<u64>) -> Result<()> {
    match dimensions.replace(count) {
        Some(other) if other != count => {
            let message = format!("{path} must be the same in all requests");
            Err(invalid(path, message))
        }
        _ => Ok(()),
    }
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

/// An OpenAI client's request as `batchEmbedContents` of `model`. With `drops`, members that Gemini
/// does not know are left out rather than refused.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong or cannot be carried.
pub fn gemini_request(model: &str, body: &[u8], drops: bool) -> Result<ForGemini> {
    let members: serde_json::Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| invalid("request_body", format!("Invalid JSON payload: {error}")))?;
    let mut carry = Carry::new(Format::OpenAiEmbedding, "Google Gemini", drops);
    let mut texts = None;
    let mut dimensions = None;
    let mut encoding = Encoding::Float;
    for (name, value) in members {
        match (&*name, value) {
            (_, Value::Null) | ("model", _) => {}
            ("input", value) => texts = Some(input(value)?),
            ("dimensions", Value::Number(count)) => dimensions = Some(count),
            ("encoding_format", value) => {
                encoding = match value.as_str() {
                    Some("float") => Encoding::Float,
                    Some("base64") => Encoding::Base64,
                    _ => {
                        let message = "encoding_format must be float or base64".to_owned();
                        return Err(invalid(&name, message));
                    }
                }
            }
            ("user", _) => carry.hint(Field::EndUser),
            _ => carry.cannot_say(&name, "knows no such member")?,
        }
    }
    let texts = texts.ok_or_else(|| invalid("input", "input is not specified".to_owned()))?;
    let name = model.strip_prefix("models/").unwrap_or(model);
    let requests: Vec<Value> = texts
        .into_iter()
        .map(|text| {
            let mut request = json!({
                "model": format!("models/{name}"),
                "content": {"parts": [{"text": text}]},
            });
            if let Some(dimensions) = &dimensions {
                request["outputDimensionality"] = dimensions.clone().into();
            }
            request
        })
        .collect();
    Ok(ForGemini {
        request: Translated {
            body: json!({"requests": requests}).to_string().into_bytes(),
            dropped: carry.dropped,
        },
        encoding,
    })
}

fn input(value: Value) -> Result<Vec<String>> {
    let refused = || {
        let message = "input must be a text or a list of texts: this model takes no tokens";
        invalid("input", message.to_owned())
    };
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(texts) if !texts.is_empty() => texts
            .into_iter()
            .map(|text| match text {
                Value::String(text) => Ok(text),
                _ => Err(refused()),
            })
            .collect(),
        _ => Err(refused()),
    }
}

/// Gemini's answer (of either call) for OpenAI's client, who asked for `model`.
///
/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of that format.
pub fn openai_answer(model: &str, encoding: Encoding, body: &[u8]) -> Result<Vec<u8>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        #[serde(default)]
        embedding: Option<Values>,
        #[serde(default)]
        embeddings: Vec<Values>,
        #[serde(default)]
        usage_metadata: Option<Usage>,
    }
    #[derive(Deserialize)]
    struct Values {
        #[serde(default)]
        values: Vec<serde_json::Number>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Usage {
        #[serde(default)]
        prompt_token_count: u64,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(unreadable)?;
    let data: Vec<Value> = answer
        .embedding
        .into_iter()
        .chain(answer.embeddings)
        .enumerate()
        .map(|(index, values)| {
            let embedding = match encoding {
                Encoding::Float => values.values.into_iter().map(Value::Number).collect(),
                Encoding::Base64 => Value::from(as_base64(&values.values)),
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    if data.is_empty() {
        return Err(unreadable("no embedding"));
    }
    let tokens = answer
        .usage_metadata
        .map_or(0, |usage| usage.prompt_token_count);
    let response = json!({
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    Ok(response.to_string().into_bytes())
}

fn as_base64(numbers: &[serde_json::Number]) -> String {
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| (number.as_f64().unwrap_or(0.0) as f32).to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

fn unreadable(why: impl ToString) -> Error {
    Error::new(
        Code::UpstreamUnavailable,
        "the provider sent an answer that cannot be read",
    )
    .caused_by(why.to_string())
}
