//! Which format each is asked in, by what its client speaks.

use llm::Format::*;
use llm::provider::{PROVIDERS, Site, find, resolve};

use crate::{at, endpoint};

#[test]
fn a_client_s_own_format_comes_first() {
    let formats = |provider: &str, model: &str| {
        let place = find(provider).expect(provider);
        [OpenAiChat, OpenAiResponses, Anthropic, Gemini]
            .map(|client| place.format_for(client, model).expect("a chat"))
    };
    let all = [OpenAiChat, OpenAiResponses, OpenAiChat, OpenAiChat];
    assert_eq!(formats("openai", "gpt-4o"), all);
    assert_eq!(formats("azure", "gpt-35-turbo"), all);
    assert_eq!(formats("xai", "grok-4"), all);
    // reasoning survives a tool loop by responses
    let reasoning = [
        OpenAiChat,
        OpenAiResponses,
        OpenAiResponses,
        OpenAiResponses,
    ];
    for model in ["gpt-5", "gpt-5.1-2025-11-13", "o3", "o4-mini", "gpt-6-sol"] {
        assert_eq!(formats("openai", model), reasoning, "{model}");
    }
    for model in [
        "gpt-5-codex",
        "o1-pro",
        "gpt-5.2-pro-2025-12-11",
        "o3-deep-research",
    ] {
        assert_eq!(formats("openai", model), [OpenAiResponses; 4], "{model}");
    }
    for model in [
        "gpt-5-chat-latest",
        "omni-moderation-latest",
        "gpt-oss-120b",
    ] {
        assert_eq!(formats("openai", model), all, "{model}");
    }
    assert_eq!(formats("groq", "m"), [OpenAiChat; 4]);
    assert_eq!(formats("anthropic", "m"), [Anthropic; 4]);
    assert_eq!(formats("gemini", "m"), [Gemini; 4]);
    assert_eq!(formats("vertex_ai", "claude-opus-4"), [Anthropic; 4]);
    assert_eq!(formats("vertex_ai", "gemini-2.5-pro"), [Gemini; 4]);
    assert_eq!(formats("vertex_ai", "meta/llama"), [OpenAiChat; 4]);
    assert_eq!(formats("bedrock", "m"), [Converse; 4]);
    assert_eq!(formats("cohere", "m"), [Cohere; 4]);
    assert_eq!(formats("openai_like", "m"), [OpenAiChat; 4]);
    let openai = find("openai").expect("openai");
    assert_eq!(openai.format_for(AnthropicTokenCount, "m"), None);
    let anthropic = find("anthropic").expect("anthropic");
    assert_eq!(anthropic.format_for(OpenAiEmbedding, "m"), None);
    assert_eq!(anthropic.format_for(OpenAiCompletion, "m"), None);
    let vertex = find("vertex_ai").expect("vertex");
    for (client, model, format) in [
        (OpenAiEmbedding, "text-embedding-005", VertexEmbedding),
        (GeminiBatchEmbedding, "text-embedding-005", VertexEmbedding),
        (OpenAiEmbedding, "gemini-embedding-001", VertexEmbedding),
        (OpenAiEmbedding, "gemini-embedding-2", GeminiEmbedding),
        (GeminiEmbedding, "gemini-embedding-2", GeminiEmbedding),
    ] {
        assert_eq!(vertex.format_for(client, model), Some(format), "{model}");
    }
}

#[test]
fn a_server_of_one_s_own_gets_chat_unless_it_is_said_otherwise() {
    let own = at("openai", "http://localhost:8000/v1");
    assert_eq!(own.format_for(Anthropic, "gpt-5"), Some(OpenAiChat));
    assert_eq!(
        own.format_for(OpenAiResponses, "gpt-5"),
        Some(OpenAiResponses)
    );
    let named = resolve("openai/responses/gpt-4o", None, None).expect("a name");
    assert_eq!(named.model, "gpt-4o");
    let asked = endpoint(
        "openai",
        Site {
            api_base: Some("http://localhost:8000/v1"),
            chats_go_as: named.chats_go_as,
            ..Site::default()
        },
    );
    for client in [OpenAiChat, Anthropic, Gemini] {
        assert_eq!(asked.format_for(client, "gpt-4o"), Some(OpenAiResponses));
    }
    assert_eq!(
        asked.format_for(OpenAiEmbedding, "e"),
        Some(OpenAiEmbedding)
    );
}

#[test]
fn what_is_spoken_has_a_url() {
    let models = ["m", "claude-x", "gemini-x", "gpt-5", "org/m", "mistral-x"];
    for provider in PROVIDERS {
        let place = endpoint(
            provider.name,
            Site {
                api_base: provider.base_url.is_none().then_some("https://a.test"),
                project: Some("p"),
                region: Some("us-east-1"),
                ..Site::default()
            },
        );
        for model in models {
            for format in provider.formats(model) {
                assert!(
                    place.uri(*format, model, true).is_ok(),
                    "{} {format:?} {model}",
                    provider.name
                );
            }
        }
    }
}
