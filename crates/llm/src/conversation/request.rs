//! The request: what was said, what the model may do, how it should answer.

use serde_json::{Map, Value};

use super::{Citation, Seal};
use crate::format::Format;

/// A number as the client wrote it, so that `0.7` stays `0.7`.
pub type Number = serde_json::Number;

/// A chat-like request. The model's name is not part of it: it goes beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// System prompt, developer message, `instructions`, `systemInstruction`.
    pub system: Vec<Part>,
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// False: at most one tool call in an answer.
    pub parallel_tool_calls: Option<bool>,
    pub max_output_tokens: Option<u64>,
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<Number>,
    pub stop: Vec<String>,
    pub seed: Option<Number>,
    pub presence_penalty: Option<Number>,
    pub frequency_penalty: Option<Number>,
    /// How many answers are generated.
    pub choices: Option<u64>,
    /// Log probabilities of the generated tokens are asked for, with so many alternatives each.
    pub logprobs: Option<u64>,
    pub logit_bias: Option<Map<String, Value>>,
    pub reasoning: Option<Reasoning>,
    pub output: Output,
    /// What the answer holds beside text: sound or images. A format without them refuses.
    pub modalities: Option<Modalities>,
    /// How long-winded the answer may be: `low`, `medium`, `high`.
    pub verbosity: Option<String>,
    /// `user`, `metadata.user_id`, `safety_identifier`.
    pub end_user: Option<String>,
    /// The client's own key-value pairs (`metadata`), which no model sees.
    pub metadata: Map<String, Value>,
    pub service_tier: Option<String>,
    /// `prompt_cache_key`: a hint only.
    pub cache_key: Option<String>,
    /// A cache mark on the request itself rather than on a part (Anthropic).
    pub cache: Option<CacheMark>,
    pub stream: bool,
    /// Members that have no meaning outside the client's own format.
    pub other: Vec<Other>,
}

/// A member of a request that only its own format knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// As the client writes it, for example `generationConfig.mediaResolution`.
    pub field: String,
    pub value: Value,
    /// Without it the answer is the same but for speed, storage or bookkeeping: leaving it out is
    /// told to the client, not refused.
    pub is_hint: bool,
}

/// What one side said before the other spoke.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    pub role: Role,
    pub parts: Vec<Part>,
    /// Its place among the client's messages, for error messages.
    pub place: usize,
}

/// Who speaks. Results of tools are parts of a user's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    User,
    Assistant,
    /// A system or developer message amid the conversation.
    System,
}

/// A piece of a turn, of the system prompt, of a tool's result or of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub content: Content,
    /// The prefix up to here is to be cached.
    pub cache: Option<CacheMark>,
    /// What goes back to the provider with this part, unread: a signature of thinking, encrypted
    /// reasoning, Gemini's thought signature of a text or call.
    pub seal: Option<Seal>,
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Text {
        text: String,
        citations: Vec<Citation>,
    },
    /// The model declined, in its own words.
    Refusal(String),
    Media(Media),
    /// What the model thought, or a summary of it; may be empty. With `redacted` the part's seal is
    /// all there is.
    Reasoning {
        text: String,
        redacted: bool,
    },
    ToolCall {
        id: String,
        name: String,
        /// JSON text of an object for a function (`{}` for none), free text for a custom tool.
        arguments: String,
        kind: ToolKind,
    },
    ToolResult {
        call_id: String,
        /// The tool's name, where the client says it or an earlier call of the same id shows it.
        name: Option<String>,
        parts: Vec<Part>,
        is_error: bool,
        kind: ToolKind,
    },
    /// A block that only `format` knows, as it stands there: a server tool's call or result, a
    /// compaction … Written back unchanged to the same format, left out of answers in another.
    Native {
        format: Format,
        value: Value,
    },
}

/// Who defined a tool's arguments: JSON schema, or free text (OpenAI's custom tools).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ToolKind {
    #[default]
    Function,
    Custom,
}

/// An image, a document, sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    pub kind: MediaKind,
    /// `image/png`; absent where a URL tells nothing.
    pub media_type: Option<String>,
    pub source: MediaSource,
    /// File name or title.
    pub name: Option<String>,
    /// OpenAI's `detail` of an image.
    pub detail: Option<String>,
    /// Anthropic's `citations.enabled` of a document.
    pub is_citable: bool,
    /// What is said in generated sound.
    pub transcript: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    Image,
    Document,
    Audio,
    Video,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MediaSource {
    /// Standard base64.
    Base64(String),
    Url(String),
    /// A document that is plain text.
    Text(String),
    /// A file kept by the provider of `format`; no other provider has it.
    File {
        format: Format,
        id: String,
    },
}

/// A wish to cache the prompt up to here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheMark {
    #[default]
    FiveMinutes,
    OneHour,
}

/// What the model may call.
#[derive(Clone, Debug, PartialEq)]
pub enum Tool {
    Function {
        name: String,
        description: Option<String>,
        /// JSON schema of the arguments; `None`: it takes none.
        parameters: Option<Value>,
        strict: Option<bool>,
        cache: Option<CacheMark>,
    },
    /// Free text, maybe by a grammar (OpenAI).
    Custom {
        name: String,
        description: Option<String>,
        /// OpenAI's `format` object.
        format: Option<Value>,
    },
    /// Run by the provider; several providers have it.
    Server(ServerTool),
    /// With a shape that only `format` knows.
    Native { format: Format, value: Value },
}

/// Server tools that more than one format has.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerTool {
    WebSearch {
        max_uses: Option<u64>,
        allowed_domains: Vec<String>,
        blocked_domains: Vec<String>,
        /// `low`, `medium`, `high` (OpenAI's `search_context_size`).
        context_size: Option<String>,
        /// The approximate location, flat: `city`, `region`, `country`, `timezone`.
        location: Option<Map<String, Value>>,
    },
    CodeExecution,
    /// Anthropic's web fetch, Gemini's URL context.
    WebFetch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    /// Some tool must be called.
    Any,
    None,
    Named(String),
}

/// How much the model should think before it answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    pub effort: Option<Effort>,
    /// Most tokens to think with. Zero: not at all.
    pub budget: Option<u64>,
    /// The amount is the model's choice (Anthropic's `adaptive`, Gemini's `-1`).
    pub is_adaptive: bool,
    /// The client wants to see the thoughts or a summary; `None` where it did not say.
    pub show: Option<bool>,
}

/// In rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    /// `xhigh` (OpenAI), `max` (Anthropic).
    Max,
}

impl Effort {
    /// Reads any provider's word.
    pub fn read(word: &str) -> Option<Effort> {
        Some(match word {
            "none" => Effort::None,
            "minimal" => Effort::Minimal,
            "low" => Effort::Low,
            "medium" => Effort::Medium,
            "high" => Effort::High,
            "xhigh" | "max" => Effort::Max,
            _ => return None,
        })
    }

    /// The thinking budget, in tokens, that stands for an effort: LiteLLM's numbers, and more for
    /// the most.
    pub fn budget(self) -> u64 {
        match self {
            Effort::None => 0,
            Effort::Minimal | Effort::Low => 1024,
            Effort::Medium => 2048,
            Effort::High => 4096,
            Effort::Max => 16_384,
        }
    }

    /// The effort that a thinking budget, in tokens, comes nearest to.
    pub fn of_budget(tokens: u64) -> Effort {
        match tokens {
            0 => Effort::None,
            1..=1024 => Effort::Low,
            1025..=2048 => Effort::Medium,
            2049..=8192 => Effort::High,
            _ => Effort::Max,
        }
    }
}

/// The shape of the answer's text.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Output {
    #[default]
    Text,
    /// Any JSON object.
    Json,
    Schema {
        name: Option<String>,
        description: Option<String>,
        schema: Value,
        strict: Option<bool>,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modalities {
    pub audio: bool,
    pub image: bool,
    /// The client's own settings for them, as they stand in its format: OpenAI's `audio`, Gemini's
    /// `speechConfig` and `imageConfig`.
    pub settings: Option<(Format, Value)>,
}

impl Part {
    pub fn new(content: Content) -> Part {
        Part {
            content,
            cache: None,
            seal: None,
        }
    }

    pub fn text(text: impl Into<String>) -> Part {
        Part::new(Content::Text {
            text: text.into(),
            citations: Vec::new(),
        })
    }
}
