//! `generationConfig`: how the answer should come out.

use base::Result;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::read_request::{invalid, object, other, parse};
use super::read_schema::to_json_schema;
use crate::conversation::{Conversation, Effort, Modalities, Number, Output, Reasoning};
use crate::format::Format;

/// A number, or its text: protobuf's JSON writes either.
struct Numeric(Number);

impl<'de> Deserialize<'de> for Numeric {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Numeric, D::Error> {
        use serde::de::Error;
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(Numeric(number)),
            Value::String(text) => serde_json::from_str(&text).map(Numeric).map_err(|_| {
                let shown: String = text.chars().take(40).collect();
                D::Error::custom(format!("{shown:?} is no number"))
            }),
            _ => Err(D::Error::custom("expected a number")),
        }
    }
}

impl Numeric {
    /// A whole number that is not negative; `3.0` is one.
    fn count(&self) -> Option<u64> {
        self.0.as_u64().or_else(|| {
            let float = self.0.as_f64()?;
            (float >= 0.0 && float.fract() == 0.0).then_some(float as u64)
        })
    }
}

/// What several members say together.
#[derive(Default)]
struct Seen {
    media_type: Option<String>,
    schema: Option<Value>,
    asks_for_logprobs: bool,
    logprobs: Option<u64>,
    modalities: Vec<String>,
    settings: Map<String, Value>,
}

pub(super) fn read(raw: &RawValue, conversation: &mut Conversation) -> Result<()> {
    let mut seen = Seen::default();
    for (name, raw) in object("generationConfig", raw)? {
        let path = format!("generationConfig.{name}");
        if !sampling(&name, &path, raw, conversation)? {
            shape(&name, &path, raw, conversation, &mut seen)?;
        }
    }
    if seen.asks_for_logprobs {
        conversation.logprobs = Some(seen.logprobs.unwrap_or(0));
    }
    output(&mut seen, conversation);
    modalities(seen, conversation);
    Ok(())
}

fn count(path: &str, raw: &RawValue) -> Result<u64> {
    parse::<Numeric>(path, raw)?.count().ok_or_else(|| {
        let message = format!("{path} must be a whole number that is not negative");
        invalid(path, message)
    })
}

fn number(path: &str, raw: &RawValue) -> Result<Option<Number>> {
    Ok(Some(parse::<Numeric>(path, raw)?.0))
}

/// Members that steer the sampling; false for others.
fn sampling(
    name: &str,
    path: &str,
    raw: &RawValue,
    conversation: &mut Conversation,
) -> Result<bool> {
    match name {
        "temperature" => conversation.temperature = number(path, raw)?,
        "topP" => conversation.top_p = number(path, raw)?,
        "topK" => conversation.top_k = number(path, raw)?,
        "seed" => conversation.seed = number(path, raw)?,
        "presencePenalty" => conversation.presence_penalty = number(path, raw)?,
        "frequencyPenalty" => conversation.frequency_penalty = number(path, raw)?,
        "maxOutputTokens" => conversation.max_output_tokens = Some(count(path, raw)?),
        "candidateCount" => {
            conversation.choices = Some(count(path, raw)?).filter(|count| *count > 1);
        }
        "stopSequences" => conversation.stop = parse(path, raw)?,
        "thinkingConfig" => conversation.reasoning = reasoning(path, raw)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Members that shape the answer.
fn shape(
    name: &str,
    path: &str,
    raw: &RawValue,
    conversation: &mut Conversation,
    seen: &mut Seen,
) -> Result<()> {
    match name {
        "responseLogprobs" => seen.asks_for_logprobs = parse(path, raw)?,
        "logprobs" => seen.logprobs = Some(count(path, raw)?),
        "responseMimeType" => seen.media_type = Some(parse(path, raw)?),
        "responseSchema" => {
            let schema: Value = parse(path, raw)?;
            if schema.as_object().is_some_and(|schema| !schema.is_empty()) {
                seen.schema = Some(to_json_schema(&schema));
            }
        }
        // the second is an older name of the first
        "responseJsonSchema" | "_responseJsonSchema" => seen.schema = Some(parse(path, raw)?),
        "responseModalities" => seen.modalities = parse(path, raw)?,
        "speechConfig" | "imageConfig" => {
            seen.settings.insert(name.to_owned(), parse(path, raw)?);
        }
        _ => {
            let value: Value = parse(path, raw)?;
            if value != Value::Bool(false) {
                other(conversation, path, value, false);
            }
        }
    }
    Ok(())
}

fn reasoning(path: &str, raw: &RawValue) -> Result<Option<Reasoning>> {
    let mut reasoning = Reasoning::default();
    for (name, raw) in object(path, raw)? {
        let path = format!("{path}.{name}");
        match &*name {
            "includeThoughts" => reasoning.show = Some(parse(&path, raw)?),
            "thinkingBudget" => match parse::<Numeric>(&path, raw)?.0.as_i64() {
                Some(-1) => reasoning.is_adaptive = true,
                Some(0) => {
                    reasoning.effort = Some(Effort::None);
                    reasoning.budget = Some(0);
                }
                _ => reasoning.budget = Some(count(&path, raw)?),
            },
            "thinkingLevel" => {
                let level: String = parse(&path, raw)?;
                let level = level.to_ascii_lowercase();
                if level != "thinking_level_unspecified" {
                    reasoning.effort = Some(Effort::read(&level).ok_or_else(|| {
                        invalid(&path, format!("{path} knows no level {level:?}"))
                    })?);
                }
            }
            _ => {
                let message = format!("{path} is not known");
                return Err(invalid(&path, message));
            }
        }
    }
    Ok((reasoning != Reasoning::default()).then_some(reasoning))
}

fn output(seen: &mut Seen, conversation: &mut Conversation) {
    conversation.output = match (seen.schema.take(), seen.media_type.as_deref()) {
        (Some(schema), None | Some("application/json")) => Output::Schema {
            name: None,
            description: None,
            schema,
            strict: None,
        },
        (None, Some("application/json")) => Output::Json,
        (None, None | Some("text/plain" | "")) => Output::Text,
        (schema, Some(media_type)) => {
            let value = Value::from(media_type);
            other(
                conversation,
                "generationConfig.responseMimeType",
                value,
                false,
            );
            if let Some(schema) = schema {
                other(
                    conversation,
                    "generationConfig.responseSchema",
                    schema,
                    true,
                );
            }
            Output::Text
        }
    };
}

fn modalities(seen: Seen, conversation: &mut Conversation) {
    let has = |word: &str| {
        let mut words = seen.modalities.iter();
        words.any(|modality| modality.eq_ignore_ascii_case(word))
    };
    let (audio, image) = (has("AUDIO"), has("IMAGE"));
    if audio || image {
        let settings = seen.settings;
        conversation.modalities = Some(Modalities {
            audio,
            image,
            settings: (!settings.is_empty()).then_some((Format::Gemini, Value::Object(settings))),
        });
        return;
    }
    for (name, value) in seen.settings {
        // without the modality they say nothing
        other(
            conversation,
            format!("generationConfig.{name}"),
            value,
            true,
        );
    }
}
