//! How the model should answer: sampling, limits, thinking. What Converse has no member for goes to
//! the model as its maker spells it.

use base::Result;
use serde_json::{Map, Value, json};

use super::model::{Maker, Model};
use super::wire::InferenceConfig;
use crate::conversation::{Carry, Conversation, Effort, Field, Reasoning};
use crate::format::anthropic::{reasoning, sampling};
use crate::format::{Format, To};

/// What a request says beside its content.
pub(super) struct Parameters<'a> {
    pub inference: InferenceConfig<'a>,
    /// `additionalModelRequestFields`
    pub fields: Map<String, Value>,
}

/// `forces_call`: the answer must be a tool call, before which Claude may not think.
pub(super) fn read<'a>(
    conversation: &'a Conversation,
    model: Model,
    to: &To<'_>,
    forces_call: bool,
    carry: &mut Carry,
) -> Result<Parameters<'a>> {
    sampling::refuse_the_rest(conversation, carry)?;
    if conversation.end_user.is_some() {
        carry.hint(Field::EndUser);
    }
    let mut parameters = Parameters {
        inference: InferenceConfig {
            max_tokens: conversation.max_output_tokens,
            ..InferenceConfig::default()
        },
        fields: Map::new(),
    };
    let stop = conversation.stop.iter().map(String::as_str);
    parameters.inference.stop_sequences = stop.filter(|sequence| !sequence.is_empty()).collect();
    if model.maker == Maker::Anthropic {
        let plan = reasoning::plan(
            conversation,
            forces_call,
            model.claude,
            to,
            Format::Converse,
            carry,
        )?;
        let sampling = sampling::sampling(conversation, model.claude, plan.thinks, carry)?;
        parameters.take(plan, sampling);
        return Ok(parameters);
    }
    if let Some(wish) = &conversation.reasoning {
        parameters.reason(wish, conversation, model, carry)?;
    }
    parameters.sample(conversation, model, carry)?;
    Ok(parameters)
}

/// Whether the client wants the model to think before it answers.
pub(super) fn wishes_thinking(conversation: &Conversation) -> bool {
    conversation.reasoning.as_ref().is_some_and(|wish| {
        wish.is_adaptive
            || wish.budget.is_some_and(|budget| budget > 0)
            || wish.effort.is_some_and(|effort| effort > Effort::None)
    })
}

impl<'a> Parameters<'a> {
    /// What Claude is told at Anthropic's own place.
    fn take(&mut self, plan: reasoning::Plan, sampling: sampling::Sampling<'a>) {
        self.inference.temperature = sampling.temperature;
        self.inference.top_p = sampling.top_p;
        if let Some(top_k) = sampling.top_k {
            self.field("top_k", json!(top_k));
        }
        if let Some(effort) = plan.effort {
            self.field("output_config", json!({ "effort": effort }));
        }
        if let Some(thinking) = plan.thinking {
            // The limit has to hold the budget; without one Bedrock's is the model's own.
            if thinking.get("budget_tokens").is_some() {
                self.inference.max_tokens = Some(plan.max_tokens);
            }
            self.field("thinking", thinking);
        }
    }

    fn sample(
        &mut self,
        conversation: &'a Conversation,
        model: Model,
        carry: &mut Carry,
    ) -> Result<()> {
        self.inference.temperature = conversation.temperature.as_ref();
        self.inference.top_p = conversation.top_p.as_ref();
        let Some(top_k) = &conversation.top_k else {
            return Ok(());
        };
        match model.maker {
            Maker::Mistral => self.field("top_k", json!(top_k)),
            Maker::Nova | Maker::Nova2 => {
                self.field("inferenceConfig", json!({ "topK": top_k }));
            }
            _ => carry.cannot(Field::TopK, "has no top_k")?,
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
