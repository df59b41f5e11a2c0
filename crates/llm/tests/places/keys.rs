//! Where their keys go.

use std::sync::Arc;

use base::Secret;
use llm::Format::{self, *};
use llm::provider::{AwsKeys, Credential, Endpoint, Proofs, Site, find, key_headers};
use llm::sigv4;

use crate::{at, at_region, endpoint};

fn header(provider: &Endpoint, credential: &Credential, format: Format) -> Vec<(String, String)> {
    let headers =
        key_headers(provider, credential, format, &mut Proofs::default()).expect("headers");
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
        let error =
            key_headers(&place, &key, format, &mut Proofs::default()).expect_err("a line end");
        assert_eq!(error.parameter(), Some("api_key"));
        assert!(!error.to_string().contains("sk-a"));
    }
    let vertex = find("vertex_ai").expect("vertex");
    assert!(Credential::of_key(vertex, Secret::new(r#"{"type":"none"}"#)).is_err());
}
