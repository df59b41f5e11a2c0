//! What a translation could not carry: refused by name, or left out and told.

use base::{Code, Error, Result};

use crate::format::Format;

/// The rules of one translation, and what it left out.
#[derive(Clone, Debug)]
pub struct Carry {
    /// The client's format, whose words errors use.
    pub from: Format,
    /// The provider's title, for messages.
    provider: String,
    /// Leave out what cannot be carried instead of refusing the call (LiteLLM's `drop_params`).
    drops: bool,
    /// Members that were left out, in the client's words.
    pub dropped: Vec<String>,
}

/// A member of a request that some format has no place for; each format has a word of its own for
/// it ([`Format::spelling`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    Messages,
    System,
    Tools,
    ToolChoice,
    ParallelToolCalls,
    MaxOutputTokens,
    Temperature,
    TopP,
    TopK,
    Stop,
    Seed,
    PresencePenalty,
    FrequencyPenalty,
    Choices,
    Logprobs,
    LogitBias,
    Reasoning,
    Output,
    Modalities,
    Verbosity,
    EndUser,
    Metadata,
    ServiceTier,
    CacheKey,
    Cache,
}

impl Carry {
    pub fn new(from: Format, provider: impl Into<String>, drops: bool) -> Carry {
        Carry {
            from,
            provider: provider.into(),
            drops,
            dropped: Vec::new(),
        }
    }

    /// `field` cannot be said to the provider; `why` goes on after its name: "has no seed".
    ///
    /// # Errors
    /// `InvalidRequest` (400) with the member's name, unless members are to be dropped.
    pub fn cannot(&mut self, field: Field, why: &str) -> Result<()> {
        self.cannot_say(self.from.spelling(field), why)
    }

    /// As [`Carry::cannot`], with the member's name as the client wrote it.
    ///
    /// # Errors
    /// As [`Carry::cannot`].
    pub fn cannot_say(&mut self, member: &str, why: &str) -> Result<()> {
        if self.drops {
            self.leave_out(member);
            return Ok(());
        }
        Err(Error::new(
            Code::InvalidRequest,
            format!(
                "{member} cannot be sent to this model: {} {why}. Leave it out, or have the \
                 administrator set drop_params.",
                self.provider
            ),
        )
        .param(member.to_owned()))
    }

    /// A hint that changes nothing of the answer is left out; a header tells the client.
    pub fn hint(&mut self, field: Field) {
        self.leave_out(self.from.spelling(field));
    }

    /// As [`Carry::hint`], with the member's name as the client wrote it.
    pub fn leave_out(&mut self, member: &str) {
        if !self.dropped.iter().any(|dropped| dropped == member) {
            self.dropped.push(member.to_owned());
        }
    }

    /// Content of the message at `place` that the provider does not take. It is never dropped: the
    /// model would answer another question.
    pub fn content(&self, place: usize, why: &str) -> Error {
        let member = format!("{}[{place}]", self.from.spelling(Field::Messages));
        Error::new(
            Code::InvalidRequest,
            format!(
                "{member} cannot be sent to this model: {} {why}",
                self.provider
            ),
        )
        .param(member)
    }
}
