//! All providers, a row each: those that speak OpenAI's protocol stand here, the others in their
//! files. Names, variables and base URLs are LiteLLM's, so that its configurations work as they are.

use super::{Api, Provider, StreamUsage};
use super::{anthropic, azure, bedrock, cohere, gemini, openai, vertex};
use crate::format::Format::{self, *};
use crate::usage::UsageRule;

/// What most places of OpenAI's protocol take.
const CHAT: &[Format] = &[OpenAiChat, OpenAiCompletion, OpenAiEmbedding];

/// A server of one's own: whatever it takes of the rest of OpenAI's API is passed on to it.
const SERVER: &[Format] = &[
    OpenAiChat,
    OpenAiCompletion,
    OpenAiEmbedding,
    Moderation,
    ImageGeneration,
    ImageEdit,
    Speech,
    Transcription,
    Translation,
    Rerank,
];

/// The same where recordings show that responses are taken as well.
const SERVER_AND_RESPONSES: &[Format] = &[
    OpenAiChat,
    OpenAiResponses,
    OpenAiCompletion,
    OpenAiEmbedding,
    Moderation,
    Speech,
    Transcription,
    Translation,
    Rerank,
];

/// What most rows have in common; a row states what it has of its own.
pub(super) const ROW: Provider = Provider {
    name: "",
    aliases: &[],
    title: "",
    api: Api::OpenAi,
    formats: CHAT,
    base_url: None,
    key_variables: &[],
    base_url_variables: &[],
    settings: &[],
    needs_key: true,
    stream_usage: StreamUsage::Asked,
    usage_rule: UsageRule::OpenAi,
    catalogue: None,
};

/// All providers, in the order in which a list shows them.
pub static PROVIDERS: &[Provider] = &[
    openai::ROW,
    anthropic::ROW,
    gemini::ROW,
    azure::ROW,
    azure::FOUNDRY,
    vertex::ROW,
    bedrock::ROW,
    cohere::ROW,
    Provider {
        name: "mistral",
        title: "Mistral",
        formats: &[
            OpenAiChat,
            OpenAiCompletion,
            OpenAiEmbedding,
            Moderation,
            Transcription,
        ],
        base_url: Some("https://api.mistral.ai/v1"),
        key_variables: &["MISTRAL_API_KEY"],
        base_url_variables: &["MISTRAL_API_BASE"],
        stream_usage: StreamUsage::Always,
        usage_rule: UsageRule::AudioApart,
        catalogue: Some("mistral"),
        ..ROW
    },
    Provider {
        name: "groq",
        title: "Groq",
        formats: &[OpenAiChat, Speech, Transcription, Translation],
        base_url: Some("https://api.groq.com/openai/v1"),
        key_variables: &["GROQ_API_KEY"],
        base_url_variables: &["GROQ_API_BASE"],
        stream_usage: StreamUsage::Always,
        catalogue: Some("groq"),
        ..ROW
    },
    Provider {
        name: "deepseek",
        title: "DeepSeek",
        formats: &[OpenAiChat, OpenAiResponses, OpenAiCompletion],
        base_url: Some("https://api.deepseek.com"),
        key_variables: &["DEEPSEEK_API_KEY"],
        base_url_variables: &["DEEPSEEK_API_BASE"],
        catalogue: Some("deepseek"),
        ..ROW
    },
    Provider {
        name: "xai",
        title: "xAI",
        formats: &[
            OpenAiChat,
            OpenAiResponses,
            OpenAiCompletion,
            ImageGeneration,
            ImageEdit,
        ],
        base_url: Some("https://api.x.ai/v1"),
        key_variables: &["XAI_API_KEY"],
        base_url_variables: &["XAI_API_BASE"],
        usage_rule: UsageRule::ReasoningApart,
        catalogue: Some("xai"),
        ..ROW
    },
    Provider {
        name: "openrouter",
        title: "OpenRouter",
        formats: &[
            OpenAiChat,
            OpenAiResponses,
            OpenAiCompletion,
            OpenAiEmbedding,
            Rerank,
        ],
        base_url: Some("https://openrouter.ai/api/v1"),
        key_variables: &["OPENROUTER_API_KEY", "OR_API_KEY"],
        base_url_variables: &["OPENROUTER_API_BASE"],
        catalogue: Some("openrouter"),
        ..ROW
    },
    Provider {
        name: "together_ai",
        aliases: &["together"],
        title: "Together AI",
        formats: &[
            OpenAiChat,
            OpenAiCompletion,
            OpenAiEmbedding,
            ImageGeneration,
            Speech,
            Transcription,
            Translation,
            Rerank,
        ],
        base_url: Some("https://api.together.xyz/v1"),
        key_variables: &[
            "TOGETHERAI_API_KEY",
            "TOGETHER_AI_TOKEN",
            "TOGETHER_API_KEY",
        ],
        base_url_variables: &["TOGETHER_AI_API_BASE"],
        stream_usage: StreamUsage::Always,
        catalogue: Some("together"),
        ..ROW
    },
    Provider {
        name: "fireworks_ai",
        aliases: &["fireworks"],
        title: "Fireworks AI",
        base_url: Some("https://api.fireworks.ai/inference/v1"),
        key_variables: &[
            "FIREWORKS_API_KEY",
            "FIREWORKS_AI_API_KEY",
            "FIREWORKSAI_API_KEY",
        ],
        base_url_variables: &["FIREWORKS_API_BASE"],
        catalogue: Some("fireworks"),
        ..ROW
    },
    Provider {
        name: "perplexity",
        title: "Perplexity",
        formats: &[OpenAiChat],
        base_url: Some("https://api.perplexity.ai"),
        key_variables: &["PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"],
        base_url_variables: &["PERPLEXITY_API_BASE"],
        stream_usage: StreamUsage::Always,
        usage_rule: UsageRule::Perplexity,
        catalogue: Some("perplexity"),
        ..ROW
    },
    Provider {
        name: "cerebras",
        title: "Cerebras",
        formats: &[OpenAiChat, OpenAiCompletion],
        base_url: Some("https://api.cerebras.ai/v1"),
        key_variables: &["CEREBRAS_API_KEY"],
        base_url_variables: &["CEREBRAS_API_BASE"],
        catalogue: Some("cerebras"),
        ..ROW
    },
    Provider {
        name: "deepinfra",
        title: "DeepInfra",
        base_url: Some("https://api.deepinfra.com/v1/openai"),
        key_variables: &["DEEPINFRA_API_KEY"],
        base_url_variables: &["DEEPINFRA_API_BASE"],
        catalogue: Some("deepinfra"),
        ..ROW
    },
    Provider {
        name: "nvidia_nim",
        title: "NVIDIA NIM",
        base_url: Some("https://integrate.api.nvidia.com/v1"),
        key_variables: &["NVIDIA_NIM_API_KEY"],
        base_url_variables: &["NVIDIA_NIM_API_BASE"],
        ..ROW
    },
    Provider {
        name: "moonshot",
        title: "Moonshot AI",
        base_url: Some("https://api.moonshot.ai/v1"),
        key_variables: &["MOONSHOT_API_KEY"],
        base_url_variables: &["MOONSHOT_API_BASE"],
        catalogue: Some("moonshot"),
        ..ROW
    },
    Provider {
        name: "zai",
        title: "Z.ai",
        base_url: Some("https://api.z.ai/api/paas/v4"),
        key_variables: &["ZAI_API_KEY"],
        base_url_variables: &["ZAI_API_BASE"],
        stream_usage: StreamUsage::Always,
        catalogue: Some("zai"),
        ..ROW
    },
    Provider {
        name: "dashscope",
        title: "Alibaba Model Studio",
        base_url: Some("https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
        key_variables: &["DASHSCOPE_API_KEY"],
        base_url_variables: &["DASHSCOPE_API_BASE"],
        catalogue: Some("alibaba"),
        ..ROW
    },
    Provider {
        name: "voyage",
        title: "Voyage AI",
        formats: &[OpenAiEmbedding, Rerank],
        base_url: Some("https://api.voyageai.com/v1"),
        key_variables: &["VOYAGE_API_KEY"],
        base_url_variables: &["VOYAGE_API_BASE"],
        catalogue: Some("voyage"),
        ..ROW
    },
    Provider {
        name: "jina_ai",
        title: "Jina AI",
        formats: &[OpenAiEmbedding, Rerank],
        base_url: Some("https://api.jina.ai/v1"),
        key_variables: &["JINA_AI_API_KEY"],
        base_url_variables: &["JINA_AI_API_BASE"],
        ..ROW
    },
    Provider {
        name: "huggingface",
        title: "Hugging Face",
        base_url: Some("https://router.huggingface.co/v1"),
        key_variables: &["HF_TOKEN", "HUGGINGFACE_API_KEY"],
        base_url_variables: &["HF_API_BASE", "HUGGINGFACE_API_BASE"],
        ..ROW
    },
    Provider {
        name: "vercel_ai_gateway",
        title: "Vercel AI Gateway",
        base_url: Some("https://ai-gateway.vercel.sh/v1"),
        key_variables: &["VERCEL_AI_GATEWAY_API_KEY", "AI_GATEWAY_API_KEY"],
        base_url_variables: &["VERCEL_AI_GATEWAY_API_BASE"],
        ..ROW
    },
    Provider {
        name: "ollama",
        aliases: &["ollama_chat"],
        title: "Ollama",
        base_url: Some("http://localhost:11434/v1"),
        key_variables: &["OLLAMA_API_KEY"],
        base_url_variables: &["OLLAMA_API_BASE"],
        needs_key: false,
        ..ROW
    },
    Provider {
        name: "hosted_vllm",
        aliases: &["vllm"],
        title: "vLLM",
        formats: SERVER_AND_RESPONSES,
        key_variables: &["HOSTED_VLLM_API_KEY"],
        base_url_variables: &["HOSTED_VLLM_API_BASE"],
        needs_key: false,
        ..ROW
    },
    Provider {
        name: "llamacpp",
        aliases: &["llama_cpp", "llamafile"],
        title: "llama.cpp",
        formats: SERVER_AND_RESPONSES,
        base_url: Some("http://localhost:8080/v1"),
        key_variables: &["LLAMACPP_API_KEY", "LLAMAFILE_API_KEY"],
        base_url_variables: &["LLAMACPP_API_BASE", "LLAMAFILE_API_BASE"],
        needs_key: false,
        ..ROW
    },
    Provider {
        name: "lm_studio",
        title: "LM Studio",
        base_url: Some("http://localhost:1234/v1"),
        key_variables: &["LM_STUDIO_API_KEY"],
        base_url_variables: &["LM_STUDIO_API_BASE"],
        needs_key: false,
        ..ROW
    },
    Provider {
        name: "openai_like",
        aliases: &["custom_openai", "litellm_proxy"],
        title: "Any OpenAI-compatible server",
        formats: SERVER,
        key_variables: &["OPENAI_LIKE_API_KEY"],
        base_url_variables: &["OPENAI_LIKE_API_BASE"],
        needs_key: false,
        ..ROW
    },
];
