//! What is passed on to them as it is, by their own paths.

use llm::provider::{Site, passthrough};

use crate::{at, endpoint};

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
