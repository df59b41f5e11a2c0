//! How providers of Chat Completions differ in what they take, a row each. What no row says is what
//! most servers take.

use crate::conversation::Effort;
use crate::provider::Provider;

/// What a provider takes, and how it wants it said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// The provider's name ([`Provider::name`]).
    name: &'static str,
    /// The member that limits the answer.
    pub limit: &'static str,
    /// Models go by OpenAI's names, and what OpenAI's reasoning models refuse is known.
    pub is_openai: bool,
    pub ids: Ids,
    pub effort: EffortStyle,
    /// Where thoughts of earlier turns go.
    pub thoughts: Thoughts,
    pub files: Files,
    /// Sound goes in as `{data, format}`; otherwise as a bare string.
    pub audio_object: bool,
    /// The content of a message may be a list of parts.
    pub content_lists: bool,
    /// `cache_control` on parts and tools is understood.
    pub cache_marks: bool,
    pub top_k: bool,
    pub seed: &'static str,
    /// `response_format` knows `json_schema`; otherwise only `json_object`.
    pub json_schema: bool,
    pub logprobs: bool,
    pub logit_bias: bool,
    pub custom_tools: bool,
    pub user: bool,
    pub service_tier: bool,
    pub cache_key: bool,
    pub verbosity: bool,
    pub search: Search,
}

/// What an id of a tool call may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    Any,
    AtMost40,
    NineAlphanumeric,
}

/// How a provider is told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EffortStyle {
    /// `reasoning_effort`, with the words that [`effort_words`] knows for a model.
    Words,
    /// OpenRouter's object `reasoning`.
    Object,
    /// `thinking: {type}`, on or off.
    Switch,
    /// Alibaba's `enable_thinking` and `thinking_budget`.
    Enable,
}

/// Where thoughts of earlier turns go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thoughts {
    /// Nowhere: it keeps them itself, or wants none.
    Nowhere,
    /// A text member of the message: `reasoning_content` or `reasoning`.
    Member(&'static str),
    /// OpenRouter's `reasoning_details`.
    Details,
    /// Mistral's thinking chunks in the content.
    Chunks,
    /// Gemini's thought signatures of calls (`extra_content`).
    Signatures,
}

/// How documents go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    None,
    /// `file` parts, with data or an id of OpenAI's files.
    Data,
    /// `file` parts, with data or a URL.
    DataOrUrl,
    /// Mistral's `document_url`.
    DocumentUrl,
}

/// How the web is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    Never,
    /// `web_search_options`, with models made for it.
    Options,
    /// OpenRouter's plugin.
    Plugin,
    /// Every answer is a search.
    Always,
}

const ROW: Dialect = Dialect {
    name: "",
    limit: "max_tokens",
    is_openai: false,
    ids: Ids::Any,
    effort: EffortStyle::Words,
    thoughts: Thoughts::Nowhere,
    files: Files::Data,
    audio_object: true,
    content_lists: true,
    cache_marks: false,
    top_k: false,
    seed: "seed",
    json_schema: true,
    logprobs: true,
    logit_bias: true,
    custom_tools: false,
    user: true,
    service_tier: false,
    cache_key: false,
    verbosity: false,
    search: Search::Never,
};

const OPENAI: Dialect = Dialect {
    name: "openai",
    limit: "max_completion_tokens",
    is_openai: true,
    ids: Ids::AtMost40,
    custom_tools: true,
    service_tier: true,
    cache_key: true,
    verbosity: true,
    search: Search::Options,
    ..ROW
};

const DIALECTS: &[Dialect] = &[
    OPENAI,
    Dialect {
        name: "azure",
        ..OPENAI
    },
    // OpenAI's models among many others
    Dialect {
        name: "azure_ai",
        limit: "max_tokens",
        custom_tools: false,
        service_tier: false,
        cache_key: false,
        search: Search::Never,
        ..OPENAI
    },
    Dialect {
        name: "gemini",
        thoughts: Thoughts::Signatures,
        files: Files::None,
        logit_bias: false,
        user: false,
        ..ROW
    },
    // refuses members that it does not know
    Dialect {
        name: "mistral",
        ids: Ids::NineAlphanumeric,
        thoughts: Thoughts::Chunks,
        files: Files::DocumentUrl,
        audio_object: false,
        seed: "random_seed",
        logprobs: false,
        logit_bias: false,
        user: false,
        cache_key: true,
        ..ROW
    },
    Dialect {
        name: "groq",
        thoughts: Thoughts::Member("reasoning"),
        files: Files::None,
        logprobs: false,
        logit_bias: false,
        service_tier: true,
        ..ROW
    },
    Dialect {
        name: "deepseek",
        effort: EffortStyle::Switch,
        thoughts: Thoughts::Member("reasoning_content"),
        files: Files::None,
        content_lists: false,
        json_schema: false,
        ..ROW
    },
    Dialect {
        name: "xai",
        files: Files::None,
        ..ROW
    },
    Dialect {
        name: "openrouter",
        effort: EffortStyle::Object,
        thoughts: Thoughts::Details,
        files: Files::DataOrUrl,
        cache_marks: true,
        top_k: true,
        cache_key: true,
        verbosity: true,
        search: Search::Plugin,
        ..ROW
    },
    Dialect {
        name: "vercel_ai_gateway",
        effort: EffortStyle::Object,
        thoughts: Thoughts::Details,
        cache_marks: true,
        ..ROW
    },
    Dialect {
        name: "together_ai",
        top_k: true,
        files: Files::None,
        ..ROW
    },
    Dialect {
        name: "fireworks_ai",
        thoughts: Thoughts::Member("reasoning_content"),
        top_k: true,
        files: Files::None,
        ..ROW
    },
    Dialect {
        name: "perplexity",
        files: Files::DataOrUrl,
        content_lists: true,
        top_k: true,
        logprobs: false,
        logit_bias: false,
        search: Search::Always,
        ..ROW
    },
    Dialect {
        name: "cerebras",
        files: Files::None,
        ..ROW
    },
    Dialect {
        name: "moonshot",
        effort: EffortStyle::Switch,
        thoughts: Thoughts::Member("reasoning_content"),
        files: Files::None,
        ..ROW
    },
    Dialect {
        name: "zai",
        effort: EffortStyle::Switch,
        thoughts: Thoughts::Member("reasoning_content"),
        files: Files::None,
        json_schema: false,
        ..ROW
    },
    Dialect {
        name: "dashscope",
        effort: EffortStyle::Enable,
        thoughts: Thoughts::Member("reasoning_content"),
        files: Files::None,
        cache_marks: true,
        top_k: true,
        ..ROW
    },
    Dialect {
        name: "hosted_vllm",
        thoughts: Thoughts::Member("reasoning_content"),
        top_k: true,
        ..ROW
    },
    Dialect {
        name: "llamacpp",
        thoughts: Thoughts::Member("reasoning_content"),
        files: Files::None,
        top_k: true,
        ..ROW
    },
    Dialect {
        name: "ollama",
        thoughts: Thoughts::Member("reasoning"),
        files: Files::None,
        ..ROW
    },
];

/// The dialect of a provider.
pub(super) fn of(provider: &Provider) -> &'static Dialect {
    const OTHERS: &Dialect = &ROW;
    DIALECTS
        .iter()
        .find(|dialect| dialect.name == provider.name)
        .unwrap_or(OTHERS)
}

/// What is known of one of OpenAI's models by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    /// Does not think, or is none of OpenAI's names.
    Plain,
    /// o1, o3, o4-mini …
    O,
    /// gpt-5, with its minor version.
    Gpt5(u32),
}

impl Generation {
    /// Reads a model's name, with or without `openai/` before it.
    pub fn of(model: &str) -> Generation {
        let name = model.rsplit('/').next().unwrap_or(model);
        if let Some(rest) = name.strip_prefix('o')
            && rest.starts_with(|c: char| c.is_ascii_digit())
        {
            return Generation::O;
        }
        let Some(rest) = name.strip_prefix("gpt-") else {
            return Generation::Plain;
        };
        let (number, rest) = digits(rest);
        let minor = rest
            .strip_prefix('.')
            .map_or(0, |rest| digits(rest).0.unwrap_or(0));
        match number {
            Some(5) if rest.contains("-chat") || rest.contains("-search") => Generation::Plain,
            Some(5) => Generation::Gpt5(minor),
            // gpt-6 and later go on where 5 ends; gpt-35 and gpt-41 are spellings of 3.5 and 4.1
            Some(6..=9) => Generation::Gpt5(u32::MAX),
            _ => Generation::Plain,
        }
    }

    pub fn thinks(self) -> bool {
        self != Generation::Plain
    }

    /// Whether temperature and its like are refused whatever the effort.
    pub fn has_fixed_sampling(self) -> bool {
        matches!(self, Generation::O | Generation::Gpt5(0))
    }
}

fn digits(text: &str) -> (Option<u32>, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (text[..end].parse().ok(), &text[end..])
}

/// The word for an effort that the model takes; `None` where it takes no word at all.
pub(super) fn effort_word(dialect: &Dialect, model: &str, effort: Effort) -> Option<&'static str> {
    use Effort::{High, Low, Max, Medium, Minimal};
    let is = |part: &str| model.contains(part);
    if dialect.is_openai {
        return openai_word(Generation::of(model), model, effort);
    }
    Some(match (dialect.name, effort) {
        ("mistral", _) if !is("mistral-small") && !is("mistral-medium") => return None,
        ("mistral", Effort::None | Minimal) => "none",
        ("mistral", _) => "high",
        ("groq", Effort::None) if is("qwen") => "none",
        ("groq", _) if is("qwen") => "default",
        ("groq", _) if !is("gpt-oss") => return None,
        ("xai", Minimal | Low | Effort::None) if is("grok-3-mini") => "low",
        ("xai", _) if is("grok-3-mini") => "high",
        ("xai", _) => return None,
        ("perplexity", _) if !is("deep-research") => return None,
        ("cerebras", _) if !is("gpt-oss") => return None,
        ("gemini", Effort::None) if is("pro") || is("gemini-3") => "low",
        ("gemini" | "ollama" | "fireworks_ai", Effort::None) => "none",
        ("gemini", Minimal) => "minimal",
        (_, Effort::None | Minimal | Low) => "low",
        (_, Medium) => "medium",
        (_, High | Max) => "high",
    })
}

fn openai_word(generation: Generation, model: &str, effort: Effort) -> Option<&'static str> {
    let minor = match generation {
        Generation::Plain => return None,
        Generation::O => None,
        Generation::Gpt5(minor) => Some(minor),
    };
    let is_codex = model.contains("codex");
    Some(match (effort, minor) {
        (Effort::None, Some(1..)) if !is_codex => "none",
        (Effort::None | Effort::Minimal, Some(0)) if !is_codex => "minimal",
        (Effort::None | Effort::Minimal | Effort::Low, _) => "low",
        (Effort::Medium, _) => "medium",
        (Effort::Max, Some(2..)) => "xhigh",
        (Effort::Max, _) if model.contains("codex-max") => "xhigh",
        (Effort::High | Effort::Max, _) => "high",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider;

    #[test]
    fn every_row_is_of_a_provider_that_exists() {
        for dialect in DIALECTS {
            let provider = provider::find(dialect.name).expect("a provider of this name");
            assert_eq!(of(provider).name, dialect.name);
        }
    }

    #[test]
    fn openai_models_are_known_by_name() {
        let generations = [
            ("gpt-4o", Generation::Plain),
            ("gpt-4.1-mini", Generation::Plain),
            ("gpt-35-turbo", Generation::Plain),
            ("gpt-5-chat-latest", Generation::Plain),
            ("openai/gpt-5-mini", Generation::Gpt5(0)),
            ("gpt-5.2-codex", Generation::Gpt5(2)),
            ("o4-mini", Generation::O),
            ("omni-moderation", Generation::Plain),
        ];
        for (model, generation) in generations {
            assert_eq!(Generation::of(model), generation, "{model}");
        }
    }

    #[test]
    fn an_effort_becomes_a_word_that_the_model_takes() {
        let word =
            |name, model, effort| effort_word(of(provider::find(name).unwrap()), model, effort);
        assert_eq!(word("openai", "gpt-4o", Effort::High), None);
        assert_eq!(word("openai", "gpt-5", Effort::None), Some("minimal"));
        assert_eq!(word("openai", "gpt-5.1", Effort::None), Some("none"));
        assert_eq!(word("openai", "gpt-5.2", Effort::Max), Some("xhigh"));
        assert_eq!(word("openai", "o3", Effort::Max), Some("high"));
        assert_eq!(
            word("mistral", "mistral-small-latest", Effort::Low),
            Some("high")
        );
        assert_eq!(
            word("hosted_vllm", "openai/gpt-oss-20b", Effort::Medium),
            Some("medium")
        );
    }
}
