//! Their URLs, for each format that they speak.

use llm::Format::*;
use llm::provider::{Endpoint, Site, find};

use crate::{at, at_region, endpoint, url};

#[test]
fn anthropic_is_asked_for_messages_whatever_its_base_ends_in() {
    let own = endpoint("anthropic", Site::default());
    assert_eq!(
        url(&own, Anthropic, "m", true),
        "https://api.anthropic.com/v1/messages"
    );
    for base in [
        "https://a.test/x",
        "https://a.test/x/v1",
        "https://a.test/x/v1/",
        "https://a.test/x/v1/messages",
    ] {
        let place = at("anthropic", base);
        assert_eq!(
            url(&place, AnthropicTokenCount, "m", false),
            "https://a.test/x/v1/messages/count_tokens",
            "{base}"
        );
        assert_eq!(place.api_base(), "https://a.test/x/v1");
    }
    assert!(own.uri(OpenAiChat, "m", false).is_err());
}

#[test]
fn gemini_has_its_model_in_the_path() {
    for base in [
        "https://generativelanguage.googleapis.com",
        "https://generativelanguage.googleapis.com/v1beta/",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro",
    ] {
        let place = at("gemini", base);
        let url = |format, model, stream| url(&place, format, model, stream);
        let root = "https://generativelanguage.googleapis.com/v1beta";
        assert_eq!(
            url(Gemini, "gemini-2.5-pro", false),
            format!("{root}/models/gemini-2.5-pro:generateContent"),
            "{base}"
        );
        assert_eq!(
            url(Gemini, "models/g", true),
            format!("{root}/models/g:streamGenerateContent?alt=sse")
        );
        assert_eq!(
            url(GeminiTokenCount, "tunedModels/a/b", false),
            format!("{root}/tunedModels/a%2Fb:countTokens")
        );
        assert_eq!(
            url(GeminiBatchEmbedding, "e", false),
            format!("{root}/models/e:batchEmbedContents")
        );
        assert_eq!(
            url(OpenAiEmbedding, "e", false),
            format!("{root}/openai/embeddings")
        );
    }
    let v1 = at("gemini", "https://g.test/v1");
    assert_eq!(
        url(&v1, Gemini, "g", false),
        "https://g.test/v1/models/g:generateContent"
    );
}

#[test]
fn azure_has_its_deployment_in_the_path_or_none() {
    let chat = |base: &str, version: Option<&str>| {
        let place = endpoint(
            "azure",
            Site {
                api_base: Some(base),
                api_version: version,
                ..Site::default()
            },
        );
        (
            url(&place, OpenAiChat, "my dep", false),
            url(&place, OpenAiResponses, "my dep", false),
        )
    };
    let host = "https://r.openai.azure.com";
    let old = chat(host, Some("2024-02-01"));
    assert_eq!(
        old.0,
        format!("{host}/openai/deployments/my%20dep/chat/completions?api-version=2024-02-01")
    );
    assert_eq!(old.1, format!("{host}/openai/v1/responses"));
    let (_, responses) = chat(host, Some("2025-04-01-preview"));
    assert_eq!(
        responses,
        format!("{host}/openai/responses?api-version=2025-04-01-preview")
    );
    let whole = format!("{host}/openai/deployments/d/chat/completions?api-version=2024-10-21");
    assert_eq!(chat(&whole, None).0, whole);
    for (base, version) in [
        (format!("{host}/openai/v1"), None),
        (format!("{host}/openai/v1/"), Some("2024-10-21")),
        (host.to_owned(), Some("v1")),
    ] {
        let (chat, responses) = chat(&base, version);
        assert_eq!(chat, format!("{host}/openai/v1/chat/completions"), "{base}");
        assert_eq!(responses, format!("{host}/openai/v1/responses"));
    }
    assert_eq!(
        chat(host, Some("preview")).0,
        format!("{host}/openai/v1/chat/completions?api-version=preview")
    );
    let gateway = chat("https://apim.test/team/openai", Some("2024-10-21")).0;
    assert!(gateway.starts_with("https://apim.test/team/openai/deployments/my%20dep/"));
    let azure = find("azure").expect("azure");
    let site = Site {
        api_base: Some(host),
        api_version: Some("1&x=2"),
        ..Site::default()
    };
    let error = Endpoint::new(azure, &site).expect_err("no version");
    assert_eq!(error.parameter(), Some("api_version"));
}

#[test]
fn foundry_has_models_of_many_makers() {
    let place = at("azure_ai", "https://r.services.ai.azure.com");
    assert_eq!(
        url(&place, OpenAiChat, "grok-3", false),
        "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview"
    );
    assert_eq!(
        url(&place, Anthropic, "claude-opus-4-5", true),
        "https://r.services.ai.azure.com/anthropic/v1/messages"
    );
    assert_eq!(
        place.format_for(OpenAiChat, "claude-opus-4-5"),
        Some(Anthropic)
    );
    let own = at("azure_ai", "https://d.eastus.models.ai.azure.com");
    assert_eq!(
        url(&own, OpenAiChat, "m", false),
        "https://d.eastus.models.ai.azure.com/v1/chat/completions"
    );
}

#[test]
fn vertex_has_a_host_for_each_location() {
    let project = |region| {
        endpoint(
            "vertex_ai",
            Site {
                project: Some("my-project"),
                region,
                ..Site::default()
            },
        )
    };
    let east = project(Some("us-east5"));
    let root = "https://us-east5-aiplatform.googleapis.com/v1/projects/my-project/locations/us-east5/publishers";
    assert_eq!(
        url(&east, Anthropic, "claude-3-7-sonnet@20250219", true),
        format!("{root}/anthropic/models/claude-3-7-sonnet@20250219:streamRawPredict")
    );
    assert_eq!(
        url(&east, Anthropic, "claude-3-7-sonnet@20250219", false),
        format!("{root}/anthropic/models/claude-3-7-sonnet@20250219:rawPredict")
    );
    assert_eq!(
        url(&east, AnthropicTokenCount, "claude-opus-4", false),
        format!("{root}/anthropic/models/count-tokens:rawPredict")
    );
    assert_eq!(
        url(&east, Gemini, "gemini-2.5-pro", true),
        format!("{root}/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse")
    );
    assert_eq!(
        url(&east, VertexEmbedding, "text-embedding-005", false),
        format!("{root}/google/models/text-embedding-005:predict")
    );
    assert_eq!(
        url(&east, OpenAiChat, "codestral-2@001", false),
        format!("{root}/mistralai/models/codestral-2@001:rawPredict")
    );
    let global = project(None);
    assert_eq!(
        url(&global, OpenAiChat, "meta/llama-4", false),
        "https://aiplatform.googleapis.com/v1/projects/my-project/locations/global/endpoints/openapi/chat/completions"
    );
    assert!(url(&project(Some("eu")), Gemini, "g", false).starts_with(
        "https://aiplatform.eu.rep.googleapis.com/v1/projects/my-project/locations/eu/"
    ));
    assert!(east.uri(Gemini, "claude-3", false).is_err());
    let rule = east.body_rule(Anthropic);
    assert_eq!(rule.anthropic_version, Some("vertex-2023-10-16"));
    assert!(!rule.has_model && east.body_rule(AnthropicTokenCount).has_model);
}

#[test]
fn a_region_or_project_cannot_bend_a_host() {
    for (provider, project, region, param) in [
        ("vertex_ai", None, None, "vertex_project"),
        ("vertex_ai", Some("p/../q"), None, "vertex_project"),
        (
            "vertex_ai",
            Some("p"),
            Some("evil.test/"),
            "vertex_location",
        ),
        ("vertex_ai", Some("p"), Some(""), "vertex_location"),
        ("bedrock", None, None, "aws_region_name"),
        ("bedrock", None, Some("evil.test#"), "aws_region_name"),
    ] {
        let site = Site {
            project,
            region,
            ..Site::default()
        };
        let error = Endpoint::new(find(provider).expect(provider), &site).expect_err(param);
        assert_eq!((error.status(), error.parameter()), (400, Some(param)));
    }
}

#[test]
fn bedrock_has_a_host_for_each_region_and_encodes_its_models() {
    let place = endpoint(
        "bedrock",
        Site {
            region: Some("eu-west-1"),
            ..Site::default()
        },
    );
    let root = "https://bedrock-runtime.eu-west-1.amazonaws.com/model";
    assert_eq!(
        url(&place, Converse, "us.anthropic.claude-v1:0", false),
        format!("{root}/us.anthropic.claude-v1%3A0/converse")
    );
    assert_eq!(
        url(
            &place,
            Converse,
            "converse/arn:aws:bedrock:x:1:inference-profile/us.a",
            true
        ),
        format!("{root}/arn%3Aaws%3Abedrock%3Ax%3A1%3Ainference-profile%2Fus.a/converse-stream")
    );
    assert_eq!(
        url(&place, Converse, "eu-west-1/m", false),
        format!("{root}/m/converse")
    );
    let error = place
        .uri(Converse, "us-west-2/m", false)
        .expect_err("elsewhere");
    assert_eq!(error.parameter(), Some("model"));
    let of_model = endpoint(
        "bedrock",
        Site {
            region: Some("eu-west-1"),
            model: "us-gov-west-1/m",
            ..Site::default()
        },
    );
    assert_eq!(of_model.region(), Some("us-gov-west-1"));
    let china = endpoint(
        "bedrock",
        Site {
            region: Some("cn-north-1"),
            ..Site::default()
        },
    );
    assert!(
        url(&china, Converse, "m", false)
            .starts_with("https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/m/")
    );
    let own = at_region("http://localhost:9999/aws");
    assert_eq!(
        url(&own, Converse, "m", false),
        "http://localhost:9999/aws/model/m/converse"
    );
}

#[test]
fn cohere_has_an_api_of_its_own() {
    for base in [
        "https://api.cohere.com",
        "https://api.cohere.com/v2",
        "https://api.cohere.com/v1/",
        "https://api.cohere.com/v2/chat",
    ] {
        let place = at("cohere", base);
        let url = |format| url(&place, format, "m", false);
        assert_eq!(url(Cohere), "https://api.cohere.com/v2/chat", "{base}");
        assert_eq!(url(Rerank), "https://api.cohere.com/v2/rerank");
        assert_eq!(
            url(OpenAiEmbedding),
            "https://api.cohere.com/compatibility/v1/embeddings"
        );
    }
}

#[test]
fn the_rest_of_openai_s_api_stands_below_the_same_base() {
    let place = endpoint("openai", Site::default());
    for (format, path) in [
        (Moderation, "/moderations"),
        (ImageGeneration, "/images/generations"),
        (ImageEdit, "/images/edits"),
        (Speech, "/audio/speech"),
        (Transcription, "/audio/transcriptions"),
        (Translation, "/audio/translations"),
        (OpenAiResponses, "/responses"),
    ] {
        assert_eq!(
            url(&place, format, "m", false),
            format!("https://api.openai.com/v1{path}")
        );
    }
    let rerank = at("hosted_vllm", "http://localhost:8000");
    assert_eq!(
        url(&rerank, Rerank, "m", false),
        "http://localhost:8000/v1/rerank"
    );
    let error = endpoint("perplexity", Site::default())
        .uri(Speech, "m", false)
        .expect_err("no speech");
    assert_eq!(error.status(), 400);
}
