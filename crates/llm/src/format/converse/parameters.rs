//! How the model should answer: sampling, limits, thinking. What Converse has no member for goes to
//! the model as its maker spells it.

use base::Result;
use serde_json::{Map, Value, json};

use super::model::{Maker, Model};
use super::wire::InferenceConfig;
use crate::conversation::{Carry, Conversation, Effort, Field, Number, Reasoning};

/// The fewest tokens that Claude thinks with.
const LEAST_BUDGET: u64 = 1024;

/// What a request says beside its content.
pub(super) struct Parameters<'a> {
    pub inference: InferenceConfig<'a>,
    /// `additionalModelRequestFields`
    pub fields: Map<String, Value>,
    /// Claude thinks before it answers.
    pub thinks: bool,
}

pub(super) fn read<'a>(
    conversation: &'a Conversation,
    model: Model,
    carry: &mut Carry,
) -> Result<Parameters<'a>> {
    refuse_the_rest(conversation, carry)?;
    let mut parameters = Parameters {
        inference: InferenceConfig {
            max_tokens: conversation.max_output_tokens,
            ..InferenceConfig::default()
        },
        fields: Map::new(),
        thinks: false,
    };
    let stop = conversation.stop.iter().map(String::as_str);
    parameters.inference.stop_sequences = stop.filter(|sequence| !sequence.is_empty()).collect();
    if let Some(wish) = &conversation.reasoning {
        parameters.reason(wish, conversation, model, carry)?;
    }
    parameters.sample(conversation, model, carry)?;
    Ok(parameters)
}

/// Refuses what cannot be said, and leaves out hints.
fn refuse_the_rest(conversation: &Conversation, carry: &mut Carry) -> Result<()> {
    let is_set = |number: &Option<Number>| {
        let value = number.as_ref().and_then(Number::as_f64);
        value.is_some_and(|value| value != 0.0)
    };
    if conversation.seed.is_some() {
        carry.cannot(Field::Seed, "has no seed")?;
    }
    if is_set(&conversation.presence_penalty) {
        carry.cannot(Field::PresencePenalty, "has no presence penalty")?;
    }
    if is_set(&conversation.frequency_penalty) {
        carry.cannot(Field::FrequencyPenalty, "has no frequency penalty")?;
    }
    if conversation.choices.is_some_and(|choices| choices > 1) {
        carry.cannot(Field::Choices, "gives one answer to a request")?;
    }
    if conversation.logprobs.is_some() {
        carry.cannot(Field::Logprobs, "does not tell log probabilities")?;
    }
    let bias = conversation.logit_bias.as_ref();
    if bias.is_some_and(|bias| !bias.is_empty()) {
        carry.cannot(Field::LogitBias, "has no logit bias")?;
    }
    if let Some(modalities) = &conversation.modalities
        && (modalities.audio || modalities.image)
    {
        carry.cannot(Field::Modalities, "answers in text only")?;
    }
    for (field, is_said) in [
        (Field::CacheKey, conversation.cache_key.is_some()),
        (Field::EndUser, conversation.end_user.is_some()),
        (Field::Metadata, !conversation.metadata.is_empty()),
        (
            Field::Verbosity,
            conversation
                .verbosity
                .as_deref()
                .is_some_and(|word| word != "medium"),
        ),
    ] {
        if is_said {
            carry.hint(field);
        }
    }
    Ok(())
}

impl<'a> Parameters<'a> {
    fn sample(
        &mut self,
        conversation: &'a Conversation,
        model: Model,
        carry: &mut Carry,
    ) -> Result<()> {
        let is_claude = model.maker == Maker::Anthropic;
        // One is Claude's default for both, which it takes in any case.
        let said = |number: &'a Option<Number>| {
            let is_default = |number: &&Number| is_claude && number.as_f64() == Some(1.0);
            number.as_ref().filter(|number| !is_default(number))
        };
        let (temperature, top_p) = (said(&conversation.temperature), said(&conversation.top_p));
        let refusal = match (model.takes_sampling(), self.thinks) {
            (false, _) => Some("is not told how to sample"),
            (true, true) => Some("does not take it while it thinks"),
            (true, false) => None,
        };
        if let Some(temperature) = temperature {
            match refusal {
                Some(why) => carry.cannot(Field::Temperature, why)?,
                None if is_claude && temperature.as_f64().is_some_and(|value| value > 1.0) => {
                    carry.cannot(Field::Temperature, "takes no temperature above 1")?;
                }
                None => self.inference.temperature = Some(temperature),
            }
        }
        if let Some(top_p) = top_p {
            let is_high = top_p.as_f64().is_some_and(|value| value >= 0.95);
            let has_temperature = self.inference.temperature.is_some();
            match refusal {
                Some(why) if !(model.takes_sampling() && is_high) => {
                    carry.cannot(Field::TopP, why)?;
                }
                _ if has_temperature && !model.takes_temperature_with_top_p() => {
                    carry.cannot(Field::TopP, "takes either temperature or top_p")?;
                }
                _ => self.inference.top_p = Some(top_p),
            }
        }
        let Some(top_k) = &conversation.top_k else {
            return Ok(());
        };
        match (refusal, model.maker) {
            (Some(why), _) => carry.cannot(Field::TopK, why)?,
            (None, Maker::Anthropic | Maker::Mistral) => self.field("top_k", json!(top_k)),
            (None, Maker::Nova | Maker::Nova2) => {
                self.field("inferenceConfig", json!({ "topK": top_k }));
            }
            (None, _) => carry.cannot(Field::TopK, "has no top_k")?,
        }
        Ok(())
    }

    fn field(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    fn reason(
        &mut self,
        wish: &Reasoning,
        conversation: &Conversation,
        model: Model,
        carry: &mut Carry,
    ) -> Result<()> {
        let is_off = wish.budget == Some(0) || wish.effort == Some(Effort::None);
        let effort = wish.effort.or(wish.budget.map(Effort::of_budget));
        let is_wished = effort.is_some() || wish.is_adaptive;
        match model.maker {
            _ if !is_wished => {}
            Maker::Anthropic => self.think(wish, is_off, conversation, model, carry)?,
            Maker::Nova2 if is_off => {}
            Maker::Nova2 => self.reason_as_nova(effort, conversation, carry),
            Maker::GptOss if is_off => carry.cannot(Field::Reasoning, "always reasons")?,
            Maker::GptOss | Maker::DeepSeek => {
                if let Some(effort) = effort.filter(|_| !is_off) {
                    self.field("reasoning_effort", json!(of_three(effort)));
                }
            }
            Maker::Gpt => {
                if let Some(effort) = effort {
                    self.field("reasoning", json!({ "effort": word(effort) }));
                }
            }
            // it reasons unasked
            Maker::DeepSeekR1 if !is_off => carry.hint(Field::Reasoning),
            Maker::DeepSeekR1 => carry.cannot(Field::Reasoning, "always reasons")?,
            _ if is_off => {}
            _ => carry.cannot(Field::Reasoning, "is not told how to reason")?,
        }
        Ok(())
    }

    /// Claude's `thinking`.
    fn think(
        &mut self,
        wish: &Reasoning,
        is_off: bool,
        conversation: &Conversation,
        model: Model,
        carry: &mut Carry,
    ) -> Result<()> {
        if is_off {
            match (model.thinks(), model.always_thinks()) {
                (true, false) => self.field("thinking", json!({"type": "disabled"})),
                (true, true) => carry.cannot(Field::Reasoning, "always thinks")?,
                (false, _) => {}
            }
            return Ok(());
        }
        if !model.thinks() {
            return carry.cannot(Field::Reasoning, "does not think before it answers");
        }
        let has_budget = wish.budget.is_some() && model.takes_budget();
        if model.is_adaptive() && !has_budget {
            let mut thinking = json!({"type": "adaptive"});
            // models without budgets show nothing unless they are asked
            if let Some(show) = wish.show.filter(|_| !model.takes_budget()) {
                thinking["display"] = json!(if show { "summarized" } else { "omitted" });
            }
            self.field("thinking", thinking);
            if let Some(effort) = wish.effort.or(wish.budget.map(Effort::of_budget)) {
                let word = match effort {
                    Effort::None | Effort::Minimal | Effort::Low => "low",
                    Effort::Medium => "medium",
                    Effort::High => "high",
                    Effort::Max => "max",
                };
                self.field("output_config", json!({ "effort": word }));
            }
            self.thinks = true;
            return Ok(());
        }
        let effort = wish.effort.unwrap_or(Effort::High);
        let budget = wish.budget.unwrap_or_else(|| effort.budget());
        // What is thought counts as output, and something must be left to answer with.
        let most = conversation
            .max_output_tokens
            .map_or(u64::MAX, |most| most.saturating_sub(1));
        if most < LEAST_BUDGET {
            carry.hint(Field::Reasoning);
            return Ok(());
        }
        let budget = budget.max(LEAST_BUDGET).min(most);
        self.field(
            "thinking",
            json!({"type": "enabled", "budget_tokens": budget}),
        );
        self.thinks = true;
        Ok(())
    }

    /// Nova refuses limits and sampling together with its highest effort.
    fn reason_as_nova(
        &mut self,
        effort: Option<Effort>,
        conversation: &Conversation,
        carry: &mut Carry,
    ) {
        let is_limited = conversation.max_output_tokens.is_some()
            || conversation.temperature.is_some()
            || conversation.top_p.is_some();
        let effort = match of_three(effort.unwrap_or(Effort::Medium)) {
            "high" if is_limited => {
                carry.hint(Field::Reasoning);
                "medium"
            }
            effort => effort,
        };
        self.field(
            "reasoningConfig",
            json!({"type": "enabled", "maxReasoningEffort": effort}),
        );
    }
}

/// For models that know three.
fn of_three(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Max => "high",
    }
}

/// As OpenAI spells it.
fn word(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Max => "xhigh",
    }
}
