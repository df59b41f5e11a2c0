//! `temperature`, `top_p`, `top_k`, and what this format has no member for.

use base::Result;

use super::model::Model;
use crate::conversation::{Carry, Conversation, Field, Number};

/// What goes to the model.
#[derive(Debug, Default)]
pub(in crate::format) struct Sampling<'a> {
    pub temperature: Option<&'a Number>,
    pub top_p: Option<&'a Number>,
    pub top_k: Option<&'a Number>,
}

pub(in crate::format) fn sampling<'a>(
    conversation: &'a Conversation,
    model: Model,
    thinks: bool,
    carry: &mut Carry,
) -> Result<Sampling<'a>> {
    let is_one = |number: &&Number| number.as_f64() == Some(1.0);
    // one is the default of both
    let temperature = conversation.temperature.as_ref().filter(|n| !is_one(n));
    let top_p = conversation.top_p.as_ref().filter(|n| !is_one(n));
    let mut sampling = Sampling::default();
    let refusal = match (model.takes_sampling(), thinks) {
        (false, _) => Some("is not told how to sample"),
        (true, true) => Some("does not take it while it thinks"),
        (true, false) => None,
    };
    if let Some(temperature) = temperature {
        match refusal {
            Some(why) => carry.cannot(Field::Temperature, why)?,
            None if temperature.as_f64().is_some_and(|value| value > 1.0) => {
                carry.cannot(Field::Temperature, "takes no temperature above 1")?;
            }
            None => sampling.temperature = Some(temperature),
        }
    }
    if let Some(top_p) = top_p {
        let is_high = |least: f64| top_p.as_f64().is_some_and(|value| value >= least);
        let is_taken = refusal.is_none() || model.takes_sampling() && is_high(0.95);
        match is_taken {
            true if sampling.temperature.is_some() && !model.takes_temperature_with_top_p() => {
                carry.cannot(Field::TopP, "takes either temperature or top_p")?;
            }
            true => sampling.top_p = Some(top_p),
            false => carry.cannot(Field::TopP, refusal.unwrap_or_default())?,
        }
    }
    if let Some(top_k) = &conversation.top_k {
        match refusal {
            Some(why) => carry.cannot(Field::TopK, why)?,
            None => sampling.top_k = Some(top_k),
        }
    }
    Ok(sampling)
}

/// Refuses what cannot be said, and leaves out hints.
pub(in crate::format) fn refuse_the_rest(
    conversation: &Conversation,
    carry: &mut Carry,
) -> Result<()> {
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
    if conversation
        .logit_bias
        .as_ref()
        .is_some_and(|bias| !bias.is_empty())
    {
        carry.cannot(Field::LogitBias, "has no logit bias")?;
    }
    if let Some(modalities) = &conversation.modalities
        && (modalities.audio || modalities.image)
    {
        carry.cannot(Field::Modalities, "answers in text only")?;
    }
    if conversation.cache_key.is_some() {
        carry.hint(Field::CacheKey);
    }
    if !conversation.metadata.is_empty() {
        carry.hint(Field::Metadata);
    }
    if conversation
        .verbosity
        .as_deref()
        .is_some_and(|verbosity| verbosity != "medium")
    {
        carry.hint(Field::Verbosity);
    }
    Ok(())
}
