//! Places that are really different: their URLs, their keys, the formats they speak, and what is
//! passed on to them as it is.

use std::sync::Arc;

use base::Secret;
use llm::Format::{self, *};
use llm::provider::{
    AwsKeys, Credential, Endpoint, PROVIDERS, Site, find, key_headers, passthrough, resolve,
};
use llm::sigv4;
use proptest::prelude::*;

fn endpoint(provider: &str, site: Site<'_>) -> Endpoint {
    Endpoint::new(find(provider).expect(provider), &site).expect("an endpoint")
}

fn at(provider: &str, api_base: &str) -> Endpoint {
    endpoint(
        provider,
        Site {
            api_base: Some(api_base),
            ..Site::default()
        },
    )
}

fn url(endpoint: &Endpoint, format: Format, model: &str, stream: bool) -> String {
    endpoint
        .uri(format, model, stream)
        .expect("a URL")
        .to_string()
}

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

fn at_region(api_base: &str) -> Endpoint {
    endpoint(
        "bedrock",
        Site {
            api_base: Some(api_base),
            region: Some("eu-west-1"),
            ..Site::default()
        },
    )
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

fn header(provider: &Endpoint, credential: &Credential, format: Format) -> Vec<(String, String)> {
    let headers = key_headers(provider, credential, format).expect("headers");
    let shown = headers.iter().map(|(name, value)| {
        let is_secret = name != "anthropic-version";
        assert_eq!(value.is_sensitive(), is_secret, "{name}");
        (name.to_string(), value.to_str().expect("text").to_owned())
    });
    shown.collect()
}

#[test]
fn a_key_goes_where_its_provider_takes_keys_and_nowhere_else() {
    let key = Credential::Key(Secret::new(" sk-secret\n"));
    let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let named = |provider: &str| endpoint(provider, Site::default());
    let bearer = one("authorization", "Bearer sk-secret");
    assert_eq!(header(&named("openai"), &key, OpenAiChat), bearer);
    assert_eq!(header(&named("cohere"), &key, Cohere), bearer);
    assert_eq!(
        header(&named("gemini"), &key, Gemini),
        one("x-goog-api-key", "sk-secret")
    );
    assert_eq!(header(&named("gemini"), &key, OpenAiEmbedding), bearer);
    let version = ("anthropic-version".to_owned(), "2023-06-01".to_owned());
    let anthropic = header(&named("anthropic"), &key, Anthropic);
    assert_eq!(
        anthropic,
        [
            version.clone(),
            ("x-api-key".to_owned(), "sk-secret".to_owned())
        ]
    );
    let subscription = Credential::Key(Secret::new("sk-ant-oat01-x"));
    let anthropic = header(&named("anthropic"), &subscription, Anthropic);
    assert!(anthropic.contains(&(
        "authorization".to_owned(),
        "Bearer sk-ant-oat01-x".to_owned()
    )));
    assert_eq!(
        header(&named("anthropic"), &Credential::None, Anthropic),
        [version]
    );
    let azure = at("azure", "https://r.openai.azure.com");
    assert_eq!(
        header(&azure, &key, OpenAiChat),
        one("api-key", "sk-secret")
    );
    let token = Credential::Token(Secret::new("sk-secret"));
    assert_eq!(header(&azure, &token, OpenAiChat), bearer);
    let foundry = at("azure_ai", "https://r.services.ai.azure.com");
    assert_eq!(
        header(&foundry, &key, OpenAiChat),
        one("api-key", "sk-secret")
    );
    let own = at("azure_ai", "https://d.eastus.models.ai.azure.com");
    assert_eq!(header(&own, &key, OpenAiChat), bearer);
    assert_eq!(header(&at_region("http://x"), &key, Converse), bearer);
    let aws = Credential::Aws(Arc::new(AwsKeys {
        credentials: sigv4::Credentials {
            access_key_id: "AKIA".to_owned(),
            secret_access_key: Secret::new("hidden"),
            session_token: None,
        },
        region: "eu-west-1".to_owned(),
    }));
    assert_eq!(header(&at_region("http://x"), &aws, Converse), []);
    assert!(aws.is_made_per_call() && !format!("{aws:?}").contains("hidden"));
}

#[test]
fn a_key_that_no_header_can_hold_is_refused_and_not_repeated() {
    for provider in ["openai", "anthropic", "gemini", "cohere"] {
        let key = Credential::Key(Secret::new("sk-a\r\nx-evil: 1"));
        let place = endpoint(provider, Site::default());
        let format = place.provider().formats[0];
        let error = key_headers(&place, &key, format).expect_err("a line end");
        assert_eq!(error.parameter(), Some("api_key"));
        assert!(!error.to_string().contains("sk-a"));
    }
    let vertex = find("vertex_ai").expect("vertex");
    assert!(Credential::of_key(vertex, Secret::new(r#"{"type":"none"}"#)).is_err());
}

fn passed(path: &str) -> String {
    passed_with(path, None)
}

fn passed_with(path: &str, query: Option<&str>) -> String {
    let found = passthrough(path).expect("a prefix");
    let place = endpoint(
        found.provider.name,
        Site {
            api_base: match found.provider.name {
                "azure" => Some("https://r.openai.azure.com/openai/v1"),
                "hosted_vllm" => Some("http://vllm.test:8000/v1"),
                _ => None,
            },
            project: Some("own-project"),
            region: Some("us-east-1"),
            ..Site::default()
        },
    );
    place
        .passthrough(found.path, query)
        .expect("a URL")
        .to_string()
}

#[test]
fn any_path_of_a_provider_is_passed_on_below_its_prefix() {
    for (path, expected) in [
        ("/openai/v1/files", "https://api.openai.com/v1/files"),
        (
            "/openai/files/f-1/content",
            "https://api.openai.com/v1/files/f-1/content",
        ),
        (
            "/openai_passthrough/v1/realtime",
            "https://api.openai.com/v1/realtime",
        ),
        (
            "/anthropic/v1/messages/batches",
            "https://api.anthropic.com/v1/messages/batches",
        ),
        (
            "/gemini/v1/models/g:countTokens",
            "https://generativelanguage.googleapis.com/v1/models/g:countTokens",
        ),
        (
            "/gemini/upload/v1beta/files",
            "https://generativelanguage.googleapis.com/upload/v1beta/files",
        ),
        ("/cohere/v1/tokenize", "https://api.cohere.com/v1/tokenize"),
        ("/mistral/v1/ocr", "https://api.mistral.ai/v1/ocr"),
        (
            "/groq/openai/v1/models",
            "https://api.groq.com/openai/v1/models",
        ),
        ("/groq/v1/models", "https://api.groq.com/openai/v1/models"),
        (
            "/openrouter/v1/generation",
            "https://openrouter.ai/api/v1/generation",
        ),
        ("/vllm/v1/score", "http://vllm.test:8000/v1/score"),
        (
            "/azure/openai/deployments/d/images/generations",
            "https://r.openai.azure.com/openai/deployments/d/images/generations",
        ),
        (
            "/bedrock/model/a%3Ab/invoke",
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/a%3Ab/invoke",
        ),
        (
            "/bedrock/knowledgebases/kb/retrieve",
            "https://bedrock-agent-runtime.us-east-1.amazonaws.com/knowledgebases/kb/retrieve",
        ),
        (
            "/vertex_ai/v1beta1/projects/theirs/locations/us-east5/publishers/google/models/g:predict",
            "https://us-east5-aiplatform.googleapis.com/v1beta1/projects/own-project/locations/us-east5/publishers/google/models/g:predict",
        ),
        (
            "/vertex-ai/publishers/google/models/g:predict",
            "https://us-east-1-aiplatform.googleapis.com/v1/projects/own-project/locations/us-east-1/publishers/google/models/g:predict",
        ),
    ] {
        assert_eq!(passed(path), expected, "{path}");
    }
    for path in [
        "/v1/files",
        "/openai",
        "/nobody/v1/x",
        "/",
        "openai/v1",
        "/custom_openai/x",
    ] {
        assert_eq!(passthrough(path), None, "{path}");
    }
}

#[test]
fn the_gateway_s_key_does_not_go_on_in_a_query() {
    let query = |query| passed_with("/gemini/v1beta/files", Some(query));
    let base = "https://generativelanguage.googleapis.com/v1beta/files";
    assert_eq!(
        query("key=sk-1&pageSize=2&%6bey=sk-2"),
        format!("{base}?pageSize=2")
    );
    assert_eq!(query("key=sk-1"), base);
    let kept = passed_with("/openai/v1/files", Some("purpose=batch&after=a%26b"));
    assert_eq!(
        kept,
        "https://api.openai.com/v1/files?purpose=batch&after=a%26b"
    );
}

#[test]
fn a_path_cannot_lead_out_of_its_place() {
    let place = at("openai", "https://a.test/tenant/v1");
    for path in [
        "",
        "v1/files",
        "/..",
        "/../x",
        "/v1/../../x",
        "/v1/%2e%2e/x",
        "/v1/%2E./x",
        "/v1/.%2e",
        "/v1/..%2fx",
        "/v1/..%5cx",
        "/v1/..\\x",
        "//evil.test/x",
        "/v1//x",
        "/v1/x y",
        "/v1/x\r\ny",
        "/v1/%0d%0ax",
        "/v1/%00",
        "/v1/é",
        "/v1/x#y",
        "/v1/x?y",
        "/./x",
    ] {
        let error = place.passthrough(path, None).expect_err(path);
        assert_eq!(error.status(), 400, "{path}");
    }
    let vertex = endpoint(
        "vertex_ai",
        Site {
            project: Some("p"),
            ..Site::default()
        },
    );
    for path in [
        "/v1/projects/p/locations/evil.test%2f/x",
        "/v1/projects/p/locations/evil.test/x",
        "/v1/projects/p",
    ] {
        assert!(vertex.passthrough(path, None).is_err(), "{path}");
    }
}

/// What no URL that is built from a client's words may ever do.
fn stays(uri: &http::Uri, host: &str, segments: usize) -> Result<(), TestCaseError> {
    prop_assert_eq!(uri.host(), Some(host));
    prop_assert_eq!(uri.path().matches('/').count(), segments);
    prop_assert!(
        !uri.path()
            .split('/')
            .any(|segment| segment == "." || segment == "..")
    );
    Ok(())
}

proptest! {
    #[test]
    fn hostile_models_stay_in_their_segment(model in any::<String>(), stream in any::<bool>()) {
        let bedrock = at_region("https://b.test");
        // a region before the slash is the one thing that is no part of the name
        if let Ok(uri) = bedrock.uri(Converse, &model, stream) {
            stays(&uri, "b.test", 3)?;
        }
        let gemini = at("gemini", "https://g.test");
        if let Ok(uri) = gemini.uri(Gemini, &model, stream) {
            stays(&uri, "g.test", 3)?;
            prop_assert!(uri.path().ends_with("enerateContent") && uri.path().matches(':').count() == 1);
        }
        let azure = at("azure", "https://a.test");
        if let Ok(uri) = azure.uri(OpenAiChat, &model, stream) {
            stays(&uri, "a.test", 5)?;
        }
        let vertex = endpoint("vertex_ai", Site {
            api_base: Some("https://v.test"), project: Some("p"), ..Site::default()
        });
        if let Ok(uri) = vertex.uri(Gemini, &model, stream) {
            stays(&uri, "v.test", 9)?;
        }
    }

    #[test]
    fn hostile_paths_stay_at_their_host(path in "/[ -~]{0,40}", query in any::<String>()) {
        for provider in ["openai", "gemini", "cohere", "groq"] {
            let place = endpoint(provider, Site::default());
            let host = place.api_base();
            let host: http::Uri = host.parse().expect("a URL");
            if let Ok(uri) = place.passthrough(&path, Some(&query)) {
                prop_assert_eq!(uri.host(), host.host());
                prop_assert!(!uri.path().contains("//") && !uri.path().contains("/../"));
            }
        }
    }
}
