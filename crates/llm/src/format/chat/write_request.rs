//! A request for a provider of Chat Completions, in that provider's dialect.

use base::Result;
use serde_json::{Map, Value, json};

use super::dialect::{self, Dialect, EffortStyle, Generation};
use super::{ids, write_messages, write_tools};
use crate::conversation::{
    CacheMark, Carry, Content, Conversation, Effort, Field, Output, Part, Reasoning, Role,
};
use crate::format::{Format, To};
use crate::json;
use crate::provider::StreamUsage;

/// The longest identifier of an end user that providers take, in bytes.
const MAX_END_USER: usize = 64;

/// Writes the request.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that the provider has no place for.
pub(super) fn write(
    conversation: &Conversation,
    to: &To<'_>,
    carry: &mut Carry,
) -> Result<Vec<u8>> {
    let mut writer = Writer {
        conversation,
        to,
        dialect: dialect::of(to.provider),
        generation: Generation::of(to.model),
        body: Map::new(),
    };
    writer.set("model", json!(to.model));
    writer.messages(carry)?;
    write_tools::write(conversation, writer.dialect, &mut writer.body, carry)?;
    writer.amounts(carry)?;
    writer.sampling(carry)?;
    writer.reasoning(carry);
    writer.output();
    writer.modalities(carry)?;
    writer.bookkeeping(carry);
    Ok(json::write(&Value::Object(writer.body)))
}

struct Writer<'a> {
    conversation: &'a Conversation,
    to: &'a To<'a>,
    dialect: &'static Dialect,
    generation: Generation,
    body: Map<String, Value>,
}

impl Writer<'_> {
    fn set(&mut self, name: &str, value: Value) {
        self.body.insert(name.to_owned(), value);
    }

    fn messages(&mut self, carry: &mut Carry) -> Result<()> {
        let system_role = match self.dialect.is_openai && self.generation.thinks() {
            true => "developer",
            false => "system",
        };
        let mut system = self.conversation.system.clone();
        if let (Output::Schema { schema, .. }, false) =
            (&self.conversation.output, self.dialect.json_schema)
        {
            system.push(Part::text(format!(
                "Answer with nothing but a JSON object that fits this JSON schema:\n{schema}"
            )));
        }
        if has_cache_marks(self.conversation) && !self.dialect.cache_marks {
            carry.hint(Field::Cache);
        }
        let messages = write_messages::write(
            &system,
            &self.conversation.turns,
            self.dialect,
            system_role,
            carry,
        )?;
        self.set("messages", Value::Array(messages));
        Ok(())
    }

    fn amounts(&mut self, carry: &mut Carry) -> Result<()> {
        let conversation = self.conversation;
        if let Some(limit) = conversation.max_output_tokens {
            let name = match self.dialect.is_openai && self.generation.thinks() {
                true => "max_completion_tokens",
                false => self.dialect.limit,
            };
            self.set(name, json!(limit));
        }
        if let Some(n) = conversation.choices {
            self.set("n", json!(n));
        }
        if let Some(count) = conversation.logprobs {
            if !self.dialect.logprobs {
                carry.cannot(Field::Logprobs, "tells no log probabilities")?;
            } else if self.generation.has_fixed_sampling() && self.dialect.is_openai {
                carry.cannot(Field::Logprobs, "tells no log probabilities of this model")?;
            } else {
                self.set("logprobs", json!(true));
                if count > 0 {
                    self.set("top_logprobs", json!(count));
                }
            }
        }
        if conversation.stream {
            self.set("stream", json!(true));
            if self.to.provider.stream_usage == StreamUsage::Asked {
                self.set("stream_options", json!({"include_usage": true}));
            }
        }
        Ok(())
    }

    fn sampling(&mut self, carry: &mut Carry) -> Result<()> {
        let conversation = self.conversation;
        let is_fixed = self.dialect.is_openai && self.generation.has_fixed_sampling();
        let numbers = [
            (
                Field::Temperature,
                "temperature",
                &conversation.temperature,
                1.0,
            ),
            (Field::TopP, "top_p", &conversation.top_p, 1.0),
            (
                Field::PresencePenalty,
                "presence_penalty",
                &conversation.presence_penalty,
                0.0,
            ),
            (
                Field::FrequencyPenalty,
                "frequency_penalty",
                &conversation.frequency_penalty,
                0.0,
            ),
        ];
        for (field, name, value, fixed) in numbers {
            let Some(number) = value else { continue };
            if !is_fixed {
                self.set(name, Value::Number(number.clone()));
            } else if number.as_f64() != Some(fixed) {
                carry.cannot(field, "has no choice of it for this model")?;
            }
        }
        if let Some(number) = &conversation.top_k {
            match self.dialect.top_k {
                true => self.set("top_k", Value::Number(number.clone())),
                false => carry.cannot(Field::TopK, "has no top_k")?,
            }
        }
        if let Some(seed) = &conversation.seed {
            self.set(self.dialect.seed, Value::Number(seed.clone()));
        }
        if let Some(biases) = &conversation.logit_bias {
            match self.dialect.logit_bias && !is_fixed {
                true => self.set("logit_bias", Value::Object(biases.clone())),
                false => carry.cannot(Field::LogitBias, "has no logit_bias for this model")?,
            }
        }
        if !conversation.stop.is_empty() {
            match is_fixed {
                false => self.set("stop", json!(conversation.stop)),
                true => carry.cannot(Field::Stop, "has no stop sequences for this model")?,
            }
        }
        Ok(())
    }

    /// How much to think is a wish: a model that cannot be told answers as it does.
    fn reasoning(&mut self, carry: &mut Carry) {
        let Some(reasoning) = &self.conversation.reasoning else {
            return;
        };
        let effort = reasoning.effort.or(reasoning.budget.map(Effort::of_budget));
        match self.dialect.effort {
            EffortStyle::Words => match effort {
                Some(effort) => match dialect::effort_word(self.dialect, self.to.model, effort) {
                    Some(word) => self.set("reasoning_effort", json!(word)),
                    None if effort == Effort::None => {}
                    None => carry.hint(Field::Reasoning),
                },
                None if reasoning.is_adaptive => {}
                None => {}
            },
            EffortStyle::Object => self.set("reasoning", effort_object(reasoning)),
            EffortStyle::Switch => {
                let is_on = effort != Some(Effort::None);
                if effort.is_some() || reasoning.is_adaptive {
                    let kind = if is_on { "enabled" } else { "disabled" };
                    self.set("thinking", json!({ "type": kind }));
                }
            }
            EffortStyle::Enable => {
                let is_on = effort != Some(Effort::None);
                if effort.is_some() || reasoning.is_adaptive {
                    self.set("enable_thinking", json!(is_on));
                }
                if let (Some(budget), true) = (reasoning.budget, is_on) {
                    self.set("thinking_budget", json!(budget));
                }
            }
        }
    }

    fn output(&mut self) {
        let format = match &self.conversation.output {
            Output::Text => return,
            Output::Json => json!({"type": "json_object"}),
            Output::Schema { .. } if !self.dialect.json_schema => json!({"type": "json_object"}),
            Output::Schema {
                name,
                description,
                schema,
                strict,
            } => {
                let name = name.as_deref().unwrap_or("answer");
                let mut inner = json!({"name": name, "schema": schema});
                if let Some(description) = description {
                    inner["description"] = json!(description);
                }
                if let Some(strict) = strict {
                    inner["strict"] = json!(strict);
                }
                json!({"type": "json_schema", "json_schema": inner})
            }
        };
        self.set("response_format", format);
    }

    fn modalities(&mut self, carry: &mut Carry) -> Result<()> {
        let Some(modalities) = &self.conversation.modalities else {
            return Ok(());
        };
        let mut words = vec!["text"];
        if modalities.audio {
            if !self.dialect.is_openai {
                return carry.cannot(Field::Modalities, "makes no sound");
            }
            words.push("audio");
            let settings = match &modalities.settings {
                Some((Format::OpenAiChat, settings)) => settings.clone(),
                _ => json!({"voice": "alloy", "format": "pcm16"}),
            };
            self.set("audio", settings);
        }
        if modalities.image {
            if self.dialect.effort != EffortStyle::Object {
                return carry.cannot(Field::Modalities, "makes no images in a chat");
            }
            words.push("image");
        }
        self.set("modalities", json!(words));
        Ok(())
    }

    fn bookkeeping(&mut self, carry: &mut Carry) {
        let conversation = self.conversation;
        if let Some(verbosity) = &conversation.verbosity {
            let is_known = !self.dialect.is_openai || self.generation.thinks();
            match self.dialect.verbosity && is_known {
                true => self.set("verbosity", json!(verbosity)),
                false if verbosity == "medium" => {}
                // a wish of style; Codex has it in every request
                false => carry.hint(Field::Verbosity),
            }
        }
        if let Some(user) = &conversation.end_user {
            match self.dialect.user {
                true => self.set("user", json!(ids::shorten(user, MAX_END_USER))),
                false => carry.hint(Field::EndUser),
            }
        }
        if !conversation.metadata.is_empty() {
            // OpenAI takes it with stored answers only
            carry.hint(Field::Metadata);
        }
        if let Some(tier) = &conversation.service_tier {
            let is_word = ["auto", "default", "flex", "scale", "priority", "fast"];
            match self.dialect.service_tier && is_word.contains(&tier.as_str()) {
                true => self.set("service_tier", json!(tier)),
                false => carry.hint(Field::ServiceTier),
            }
        }
        if let Some(key) = &conversation.cache_key {
            match self.dialect.cache_key {
                true => self.set("prompt_cache_key", json!(ids::shorten(key, MAX_END_USER))),
                false => carry.hint(Field::CacheKey),
            }
        }
    }
}

/// OpenRouter's `reasoning`.
fn effort_object(reasoning: &Reasoning) -> Value {
    let mut object = Map::new();
    match (reasoning.budget, reasoning.effort) {
        (Some(0), _) | (None, Some(Effort::None)) => {
            object.insert("enabled".to_owned(), json!(false));
        }
        (Some(budget), _) => {
            object.insert("max_tokens".to_owned(), json!(budget));
        }
        (None, Some(effort)) => {
            let word = match effort {
                Effort::None => "none",
                Effort::Minimal => "minimal",
                Effort::Low => "low",
                Effort::Medium => "medium",
                Effort::High => "high",
                Effort::Max => "xhigh",
            };
            object.insert("effort".to_owned(), json!(word));
        }
        (None, None) => {
            object.insert("enabled".to_owned(), json!(true));
        }
    }
    if reasoning.show == Some(false) {
        object.insert("exclude".to_owned(), json!(true));
    }
    Value::Object(object)
}

fn has_cache_marks(conversation: &Conversation) -> bool {
    let is_marked = |part: &Part| {
        part.cache.is_some()
            || matches!(&part.content, Content::ToolResult { parts, .. }
                if parts.iter().any(|part| part.cache.is_some()))
    };
    conversation.cache.is_some()
        || conversation.system.iter().any(is_marked)
        || conversation
            .turns
            .iter()
            .any(|turn| turn.role != Role::System && turn.parts.iter().any(is_marked))
}

/// `cache_control` of a mark.
pub(super) fn cache_control(mark: CacheMark) -> Value {
    match mark {
        CacheMark::FiveMinutes => json!({"type": "ephemeral"}),
        CacheMark::OneHour => json!({"type": "ephemeral", "ttl": "1h"}),
    }
}
