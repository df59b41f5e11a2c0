//! The table of providers: rows that cannot be confused, URLs that cannot be bent, errors that say
//! what happened.

use std::collections::HashSet;

use llm::Format;
use llm::provider::{
    Api, Endpoint, PROVIDERS, Site, StreamUsage, UpstreamError, extra_headers, find, resolve,
};

fn site(api_base: Option<&str>) -> Site<'_> {
    Site {
        api_base,
        ..Site::default()
    }
}

fn uri(provider: &str, api_base: Option<&str>, format: Format) -> String {
    let provider = find(provider).expect("a provider");
    Endpoint::new(provider, &site(api_base))
        .expect("an endpoint")
        .uri(format, "m", false)
        .expect("a URL")
        .to_string()
}

#[test]
fn every_row_is_whole_and_no_name_means_two_providers() {
    let mut names = HashSet::new();
    for provider in PROVIDERS {
        assert!(!provider.title.is_empty() && !provider.key_variables.is_empty());
        assert!(!provider.formats.is_empty(), "{}", provider.name);
        for name in [provider.name].iter().chain(provider.aliases) {
            assert!(names.insert(*name), "{name} is there twice");
            assert_eq!(find(name).expect("found").name, provider.name);
        }
        if let Some(base) = provider.base_url {
            let local = base.starts_with("http://localhost:");
            assert!(base.starts_with("https://") || local, "{base}");
            assert_eq!(local, !provider.needs_key, "{base}");
            assert!(!base.ends_with('/'), "{base}");
            if provider.api == Api::OpenAi {
                let format = provider.formats[0];
                let expected = format!("{base}{}", format.path());
                assert_eq!(uri(provider.name, None, format), expected);
            }
        }
    }
    assert_eq!(find("no such provider"), None);
    assert_eq!(
        find("groq").expect("groq").stream_usage,
        StreamUsage::Always
    );
}

#[test]
fn a_base_is_joined_with_and_without_slash_version_and_path() {
    for base in [
        "http://localhost:8000",
        "http://localhost:8000/",
        "http://localhost:8000/v1",
        "http://localhost:8000/v1/",
        " http://localhost:8000/v1/chat/completions ",
        "http://localhost:8000/v1#fragment",
    ] {
        let joined = |format| uri("hosted_vllm", Some(base), format);
        assert_eq!(
            joined(Format::OpenAiChat),
            "http://localhost:8000/v1/chat/completions",
            "{base}"
        );
        assert_eq!(
            joined(Format::OpenAiCompletion),
            "http://localhost:8000/v1/completions"
        );
        assert_eq!(
            joined(Format::OpenAiEmbedding),
            "http://localhost:8000/v1/embeddings"
        );
    }
    assert_eq!(
        uri("groq", Some("https://proxy.example"), Format::OpenAiChat),
        "https://proxy.example/openai/v1/chat/completions"
    );
    assert_eq!(
        uri(
            "openai",
            Some("https://proxy.example/a b/%2e%2e/x?api-version=1"),
            Format::OpenAiChat
        ),
        "https://proxy.example/x/chat/completions?api-version=1"
    );
    assert_eq!(
        uri(
            "perplexity",
            Some("https://proxy.example"),
            Format::OpenAiChat
        ),
        "https://proxy.example/chat/completions"
    );
}

#[test]
fn a_base_that_is_no_place_is_refused() {
    let openai = find("openai").expect("openai");
    for base in [
        "",
        "localhost:8000",
        "//host/v1",
        "ftp://host/v1",
        "file:///etc/passwd",
        "https://",
        "https://user:secret@host/v1",
        "https://user@host/v1",
        "http://[::1",
        "http://host:99999",
    ] {
        let error = Endpoint::new(openai, &site(Some(base))).expect_err(base);
        assert_eq!(
            (error.status(), error.parameter()),
            (400, Some("api_base")),
            "{base}"
        );
        assert!(!error.message().contains("secret"));
    }
    let nowhere = find("hosted_vllm").expect("vllm");
    assert!(Endpoint::new(nowhere, &site(None)).is_err());
}

#[test]
fn extra_headers_cannot_frame_the_message() {
    let headers = extra_headers([("X-Title", "Tollgate"), ("x-title", "two")]).expect("headers");
    assert_eq!(headers.get_all("x-title").iter().count(), 2);
    for (name, value) in [
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("host", "evil"),
        ("a b", "c"),
        ("x", "a\r\nb: c"),
        ("", ""),
    ] {
        let error = extra_headers([(name, value)]).expect_err(name);
        assert_eq!(
            (error.status(), error.parameter()),
            (400, Some("extra_headers"))
        );
    }
}

#[test]
fn models_are_named_as_litellm_names_them() {
    let cases = [
        (
            "groq/llama-3.3-70b-versatile",
            None,
            None,
            "groq",
            "llama-3.3-70b-versatile",
        ),
        ("openai/gpt-4o", None, None, "openai", "gpt-4o"),
        (
            "openrouter/anthropic/claude-sonnet-4.6",
            None,
            None,
            "openrouter",
            "anthropic/claude-sonnet-4.6",
        ),
        (
            "together_ai/meta-llama/Llama-3",
            None,
            None,
            "together_ai",
            "meta-llama/Llama-3",
        ),
        ("gpt-4o", None, None, "openai", "gpt-4o"),
        ("ft:gpt-4o:me::1", None, None, "openai", "ft:gpt-4o:me::1"),
        (
            "mistral-large-latest",
            None,
            None,
            "mistral",
            "mistral-large-latest",
        ),
        (
            "claude-sonnet-4-6",
            None,
            None,
            "anthropic",
            "claude-sonnet-4-6",
        ),
        ("gemini-2.5-pro", None, None, "gemini", "gemini-2.5-pro"),
        ("azure/my-deployment", None, None, "azure", "my-deployment"),
        ("cohere_chat/command-a", None, None, "cohere", "command-a"),
        (
            "vertex_ai/claude-opus-4@1",
            None,
            None,
            "vertex_ai",
            "claude-opus-4@1",
        ),
        ("bedrock/converse/us.x:0", None, None, "bedrock", "us.x:0"),
        (
            "bedrock/us-east-1/x:0",
            None,
            None,
            "bedrock",
            "us-east-1/x:0",
        ),
        ("openai/responses/gpt-5", None, None, "openai", "gpt-5"),
        ("groq/responses/m", None, None, "groq", "responses/m"),
        (
            "my-model",
            None,
            Some("http://x"),
            "openai_like",
            "my-model",
        ),
        (
            "meta-llama/Llama-3",
            None,
            Some("http://x"),
            "openai_like",
            "meta-llama/Llama-3",
        ),
        (
            "openai/my-model",
            None,
            Some("http://x"),
            "openai",
            "my-model",
        ),
        (
            "my/model",
            Some("custom_openai"),
            Some("http://x"),
            "openai_like",
            "my/model",
        ),
        (
            "custom_openai/m",
            Some("custom_openai"),
            Some("http://x"),
            "openai_like",
            "m",
        ),
    ];
    for (model, custom, base, provider, upstream) in cases {
        let named = resolve(model, custom, base).expect(model);
        assert_eq!(
            (named.provider.name, named.model),
            (provider, upstream),
            "{model}"
        );
    }
    for (model, custom) in [
        ("nobody/model", None),
        ("my-model", None),
        ("openai/", None),
        ("m", Some("nobody")),
    ] {
        let error = resolve(model, custom, None).expect_err(model);
        assert_eq!((error.status(), error.parameter()), (400, Some("model")));
    }
}

#[test]
fn errors_are_read_in_every_shape() {
    let read = |body: &str| UpstreamError::read(400, body.as_bytes());
    let whole = read(
        r#"{"error":{"message":"no","type":"invalid_request_error","param":"n","code":"bad"}}"#,
    );
    assert_eq!(
        (
            whole.message.as_str(),
            whole.kind.as_deref(),
            whole.param.as_deref(),
            whole.code.as_deref()
        ),
        ("no", Some("invalid_request_error"), Some("n"), Some("bad"))
    );
    for body in [
        r#"{"error":"no"}"#,
        r#"{"message":"no","code":"1500","type":"invalid_model"}"#,
        r#"{"detail":"no"}"#,
        r#"{"detail":[{"loc":["body","n"],"msg":"no","type":"int_parsing"}]}"#,
        r#"{"error":{"error":{"message":"no"}}}"#,
        r#"{"errors":[{"message":"no"}]}"#,
        r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#,
        r#""no""#,
        "no",
        " \n no \n",
        "<!DOCTYPE html><html><head><TITLE>no</TITLE></head><body>at length</body></html>",
    ] {
        assert_eq!(read(body).message, "no", "{body}");
    }
    for body in [
        "",
        "{}",
        "null",
        "[]",
        "<html><body>x</body></html>",
        r#"{"error":{}}"#,
    ] {
        assert_eq!(
            read(body).message,
            "the provider answered with status 400",
            "{body}"
        );
    }
    assert_eq!(read(&"é".repeat(10_000)).message.chars().count(), 4000);
}

#[test]
fn an_error_reaches_the_caller_with_its_status_but_without_keys() {
    let body = r#"{"error":{"message":"Incorrect API key provided: sk-abcd1234efgh5678. See the task-based guide.","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    let error = UpstreamError::read(401, body.as_bytes()).into_error("openai");
    assert_eq!(
        (error.status(), error.kind()),
        (401, "invalid_request_error")
    );
    assert_eq!(
        error.message(),
        "Incorrect API key provided: [redacted] See the task-based guide."
    );
    assert!(!error.to_string().contains("sk-abcd"));
    let error = UpstreamError::read(503, b"").into_error("openai");
    assert_eq!((error.status(), error.kind()), (503, "upstream_error"));
}

#[test]
fn a_used_up_quota_is_not_tried_again() {
    let status = |status: u16, code: &str| {
        UpstreamError::read(
            status,
            format!(r#"{{"error":{{"code":"{code}"}}}}"#).as_bytes(),
        )
    };
    assert!(status(429, "rate_limit_exceeded").is_retryable());
    assert!(!status(429, "insufficient_quota").is_retryable());
    assert!(status(500, "").is_retryable() && status(408, "").is_retryable());
    assert!(!status(400, "").is_retryable() && !status(401, "").is_retryable());
}
