//! What a call used, in buckets that never overlap (money.md, "Usage").
//!
//! Providers count the same tokens twice in different ways: one has cached tokens inside the prompt,
//! another beside it. Here every token stands in exactly one bucket, so that a price can be put on
//! each and the sum is the bill.

pub(crate) mod anthropic;
pub(crate) mod cohere;
pub(crate) mod converse;
mod counts;
pub(crate) mod gemini;
pub(crate) mod realtime;
pub(crate) mod responses;
pub(crate) mod units;
mod wire;

use serde::{Deserialize, Serialize};

pub(crate) use wire::read;
pub use wire::{Reading, SearchContext};

/// A kind of thing that is counted and priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// Prompt tokens of text that no cache knew.
    Input,
    CacheRead,
    /// Written to a cache that lives five minutes, or as long as the provider sees fit.
    #[serde(rename = "cache_write_5m")]
    CacheWrite5m,
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    InputAudio,
    InputImage,
    /// Generated tokens of text.
    Output,
    /// Generated tokens that the provider keeps to itself or shows as thinking.
    Reasoning,
    OutputAudio,
    OutputImage,
    WebSearches,
    Images,
    /// Audio or video, in thousandths of a second.
    Milliseconds,
    Characters,
    Pages,
    /// Searches of a rerank: a query over up to a hundred documents, at Cohere.
    SearchUnits,
    /// The call itself, where a provider charges for each; not part of [`Usage`].
    Requests,
}

impl Bucket {
    pub const ALL: [Bucket; 17] = [
        Bucket::Input,
        Bucket::CacheRead,
        Bucket::CacheWrite5m,
        Bucket::CacheWrite1h,
        Bucket::InputAudio,
        Bucket::InputImage,
        Bucket::Output,
        Bucket::Reasoning,
        Bucket::OutputAudio,
        Bucket::OutputImage,
        Bucket::WebSearches,
        Bucket::Images,
        Bucket::Milliseconds,
        Bucket::Characters,
        Bucket::Pages,
        Bucket::SearchUnits,
        Bucket::Requests,
    ];

    /// The bucket whose price applies where this one has none of its own.
    pub fn parent(self) -> Option<Bucket> {
        match self {
            Bucket::CacheRead | Bucket::CacheWrite5m | Bucket::InputAudio | Bucket::InputImage => {
                Some(Bucket::Input)
            }
            Bucket::CacheWrite1h => Some(Bucket::CacheWrite5m),
            Bucket::Reasoning | Bucket::OutputAudio | Bucket::OutputImage => Some(Bucket::Output),
            _ => None,
        }
    }

    /// Whether the bucket holds tokens, rather than counted units.
    pub fn is_tokens(self) -> bool {
        self <= Bucket::OutputImage
    }

    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Bucket::Input => "input",
            Bucket::CacheRead => "cache_read",
            Bucket::CacheWrite5m => "cache_write_5m",
            Bucket::CacheWrite1h => "cache_write_1h",
            Bucket::InputAudio => "input_audio",
            Bucket::InputImage => "input_image",
            Bucket::Output => "output",
            Bucket::Reasoning => "reasoning",
            Bucket::OutputAudio => "output_audio",
            Bucket::OutputImage => "output_image",
            Bucket::WebSearches => "web_searches",
            Bucket::Images => "images",
            Bucket::Milliseconds => "milliseconds",
            Bucket::Characters => "characters",
            Bucket::Pages => "pages",
            Bucket::SearchUnits => "search_units",
            Bucket::Requests => "requests",
        }
    }
}

/// The usage of one call. Every field is a [`Bucket`] of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    pub input_audio: u64,
    pub input_image: u64,
    pub output: u64,
    pub reasoning: u64,
    pub output_audio: u64,
    pub output_image: u64,
    pub web_searches: u64,
    pub images: u64,
    pub milliseconds: u64,
    pub characters: u64,
    pub pages: u64,
    pub search_units: u64,
}

impl Usage {
    pub fn get(&self, bucket: Bucket) -> u64 {
        match bucket {
            Bucket::Input => self.input,
            Bucket::CacheRead => self.cache_read,
            Bucket::CacheWrite5m => self.cache_write_5m,
            Bucket::CacheWrite1h => self.cache_write_1h,
            Bucket::InputAudio => self.input_audio,
            Bucket::InputImage => self.input_image,
            Bucket::Output => self.output,
            Bucket::Reasoning => self.reasoning,
            Bucket::OutputAudio => self.output_audio,
            Bucket::OutputImage => self.output_image,
            Bucket::WebSearches => self.web_searches,
            Bucket::Images => self.images,
            Bucket::Milliseconds => self.milliseconds,
            Bucket::Characters => self.characters,
            Bucket::Pages => self.pages,
            Bucket::SearchUnits => self.search_units,
            Bucket::Requests => 0,
        }
    }

    /// All tokens that went in, cached ones too: `prompt_tokens` as LiteLLM and OpenAI show it.
    pub fn prompt_tokens(&self) -> u64 {
        [
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.input_audio,
            self.input_image,
        ]
        .into_iter()
        .fold(self.input, u64::saturating_add)
    }

    /// All tokens that came out, reasoning too: `completion_tokens` as LiteLLM and OpenAI show it.
    pub fn completion_tokens(&self) -> u64 {
        [self.reasoning, self.output_audio, self.output_image]
            .into_iter()
            .fold(self.output, u64::saturating_add)
    }

    /// The usage of both together.
    pub fn plus(&self, other: &Usage) -> Usage {
        let sum = u64::saturating_add;
        Usage {
            input: sum(self.input, other.input),
            cache_read: sum(self.cache_read, other.cache_read),
            cache_write_5m: sum(self.cache_write_5m, other.cache_write_5m),
            cache_write_1h: sum(self.cache_write_1h, other.cache_write_1h),
            input_audio: sum(self.input_audio, other.input_audio),
            input_image: sum(self.input_image, other.input_image),
            output: sum(self.output, other.output),
            reasoning: sum(self.reasoning, other.reasoning),
            output_audio: sum(self.output_audio, other.output_audio),
            output_image: sum(self.output_image, other.output_image),
            web_searches: sum(self.web_searches, other.web_searches),
            images: sum(self.images, other.images),
            milliseconds: sum(self.milliseconds, other.milliseconds),
            characters: sum(self.characters, other.characters),
            pages: sum(self.pages, other.pages),
            search_units: sum(self.search_units, other.search_units),
        }
    }

    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens()
            .saturating_add(self.completion_tokens())
    }
}

/// Where a usage comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider counted.
    Provider,
    /// We counted, with a tokenizer or by bytes.
    Estimated,
    /// Nobody counted: the call was refused, or failed before a token was made.
    #[default]
    None,
}

impl UsageSource {
    pub fn name(self) -> &'static str {
        match self {
            UsageSource::Provider => "provider",
            UsageSource::Estimated => "estimated",
            UsageSource::None => "none",
        }
    }
}

/// How the numbers of an OpenAI-style usage object add up at a provider. The identities were
/// counted over recordings of each provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UsageRule {
    /// total = prompt + completion; the prompt holds cached tokens, the completion reasoning.
    #[default]
    OpenAi,
    /// xAI, and Gemini models at the Vercel gateway: the completion leaves reasoning out.
    ReasoningApart,
    /// Grok at Azure AI Foundry: the prompt leaves cached tokens out as well.
    CacheApart,
    /// Mistral: the prompt leaves audio tokens out.
    AudioApart,
    /// Gemini's OpenAI-compatible endpoint: thinking is in the total only.
    HiddenThinking,
    /// Perplexity: every call is a search at least; what deep research reads and thinks, citations
    /// and reasoning, stands beside prompt and completion, and is charged as well.
    Perplexity,
}
