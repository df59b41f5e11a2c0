//! Embeddings at Vertex AI for OpenAI's clients (`/v1/embeddings`) and, where a model has not their call, for
//! Gemini's: `:predict`, which its embedding models share, and `:embedContent` of the newer ones, which
//! takes one text. Pure: bytes in, bytes out.
//!
//! Shapes: cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api.

use base::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value, json};

use super::embed::{self, Asked, Batch, Text, unreadable};
use super::read_request::invalid;
use crate::conversation::{Carry, Field};
use crate::format::{Format, To};
use crate::translate::Translated;

/// How OpenAI's client wants its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Float,
    /// 32-bit floats, lowest byte first, as base64: what OpenAI's own clients ask for.
    Base64,
}

impl Encoding {
    /// What a request's `encoding_format` says.
    ///
    /// # Errors
    /// `InvalidRequest` (400) for what is none.
    pub fn read(value: Option<&Value>) -> Result<Encoding> {
        match value {
            None | Some(Value::Null) => Ok(Encoding::Float),
            Some(Value::String(name)) if name == "float" => Ok(Encoding::Float),
            Some(Value::String(name)) if name == "base64" => Ok(Encoding::Base64),
            Some(_) => Err(invalid(
                "encoding_format",
                "encoding_format must be float or base64".to_owned(),
            )),
        }
    }

    fn write(self, numbers: Vec<Number>) -> Value {
        if self == Encoding::Float {
            return numbers.into_iter().map(Value::Number).collect();
        }
        let floats = numbers
            .iter()
            .map(|number| number.as_f64().unwrap_or(0.0) as f32);
        let bytes: Vec<u8> = floats.flat_map(f32::to_le_bytes).collect();
        STANDARD.encode(bytes).into()
    }
}

/// A client's request for Vertex, in `to_format`: `:predict` or `:embedContent`. The client speaks
/// OpenAI's format, or Gemini's of `batch`. With `drops`, members that Vertex does not know are left out
/// rather than refused.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong or cannot be carried.
pub fn request(
    batch: Option<Batch>,
    to_format: Format,
    to: &To<'_>,
    body: &[u8],
    drops: bool,
) -> Result<Translated> {
    let mut carry = Carry::new(Format::OpenAiEmbedding, to.provider.title, drops);
    let asked = match batch {
        Some(batch) => embed::read(batch, body)?,
        None => read(body, &mut carry)?,
    };
    for name in &asked.dropped {
        carry.leave_out(name);
    }
    let written = match to_format {
        Format::VertexEmbedding => predict(asked),
        _ => {
            let texts = if batch.is_some() { "requests" } else { "input" };
            embed_content(asked, texts, &mut carry)?
        }
    };
    Ok(Translated {
        body: written.to_string().into_bytes(),
        dropped: carry.dropped,
    })
}

/// Reads an OpenAI client's request, which may hold Vertex's own members under LiteLLM's names.
fn read(body: &[u8], carry: &mut Carry) -> Result<Asked> {
    let members: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| invalid("request_body", format!("Invalid JSON payload: {error}")))?;
    let (mut asked, mut each) = (Asked::default(), Text::default());
    for (name, value) in members {
        match (&*name, value) {
            (_, Value::Null) | ("model", _) => {}
            ("input", value) => asked.texts = input(value)?,
            ("dimensions", value) => asked.dimensions = Some(of_type(&name, value)?),
            ("auto_truncate", value) => asked.auto_truncate = Some(of_type(&name, value)?),
            ("task_type", value) => each.task_type = Some(of_type(&name, value)?),
            ("title", value) => each.title = Some(of_type(&name, value)?),
            ("encoding_format", value) => drop(Encoding::read(Some(&value))?),
            ("user", _) => carry.hint(Field::EndUser),
            _ => carry.cannot_say(&name, "knows no such member")?,
        }
    }
    if asked.texts.is_empty() {
        return Err(invalid("input", "input is not specified".to_owned()));
    }
    for text in &mut asked.texts {
        text.task_type.clone_from(&each.task_type);
        text.title.clone_from(&each.title);
    }
    Ok(asked)
}

fn of_type<T: DeserializeOwned>(name: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|_| invalid(name, format!("{name} is of the wrong type")))
}

fn input(value: Value) -> Result<Vec<Text>> {
    let text = |value| match value {
        Value::String(text) => Ok(Text {
            text,
            ..Text::default()
        }),
        _ => Err(invalid(
            "input",
            "input must be a text or a list of texts: this model takes no tokens".to_owned(),
        )),
    };
    match value {
        Value::Array(texts) => texts.into_iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

fn predict(asked: Asked) -> Value {
    let instances = asked.texts.into_iter().map(|text| {
        let mut instance = json!({"content": text.text});
        set(&mut instance, "task_type", text.task_type);
        set(&mut instance, "title", text.title);
        instance
    });
    let mut written = json!({"instances": instances.collect::<Value>()});
    let mut parameters = json!({});
    set(&mut parameters, "outputDimensionality", asked.dimensions);
    set(&mut parameters, "autoTruncate", asked.auto_truncate);
    if parameters != json!({}) {
        written["parameters"] = parameters;
    }
    written
}

/// `texts` is where the client's texts stand.
fn embed_content(asked: Asked, texts: &str, carry: &mut Carry) -> Result<Value> {
    let Ok([text]) = <[Text; 1]>::try_from(asked.texts) else {
        let message =
            format!("this model embeds one text a call: send those of {texts} one by one");
        return Err(invalid(texts, message));
    };
    let mut written = json!({"content": {"parts": [{"text": text.text}]}});
    set(&mut written, "taskType", text.task_type);
    set(&mut written, "title", text.title);
    set(&mut written, "outputDimensionality", asked.dimensions);
    if asked.auto_truncate.is_some() {
        carry.cannot_say("auto_truncate", "knows no such member of this model")?;
    }
    Ok(written)
}

fn set(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[name] = value.into();
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Of `:predict`.
    #[serde(default)]
    predictions: Vec<Prediction>,
    /// Of `:embedContent`.
    embedding: Option<Embedding>,
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Deserialize)]
struct Prediction {
    embeddings: Embedding,
}

#[derive(Deserialize)]
struct Embedding {
    #[serde(default)]
    values: Vec<Number>,
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    /// Some models count in floats.
    token_count: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    #[serde(default)]
    prompt_token_count: u64,
}

/// Vertex's answer (of either call) for OpenAI's client, who asked for `model`.
///
/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of that format.
pub fn answer(model: &str, encoding: Encoding, body: &[u8]) -> Result<Vec<u8>> {
    let answer: Answer = serde_json::from_slice(body).map_err(unreadable)?;
    let of_predict = answer.predictions.into_iter().map(|one| one.embeddings);
    let embeddings: Vec<Embedding> = of_predict.chain(answer.embedding).collect();
    if embeddings.is_empty() {
        return Err(unreadable("no embedding"));
    }
    let counts = embeddings.iter().map(|one| one.statistics.as_ref());
    let counted: Option<f64> = counts.map(|counts| counts?.token_count).sum();
    // where nothing is counted, nothing is said: no tokens would be a count too
    let tokens = match answer.usage_metadata {
        Some(usage) => Some(usage.prompt_token_count),
        None => counted.map(|count| count.max(0.0).ceil() as u64),
    };
    let data = embeddings.into_iter().enumerate().map(|(index, one)| {
        json!({"object": "embedding", "index": index, "embedding": encoding.write(one.values)})
    });
    let mut written = json!({
        "object": "list",
        "data": data.collect::<Value>(),
        "model": model,
    });
    if let Some(tokens) = tokens {
        written["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    }
    Ok(written.to_string().into_bytes())
}
