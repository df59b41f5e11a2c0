//! Places that are really different: their URLs, their keys, the formats they speak, and what is
//! passed on to them as it is.

mod formats;
mod hostile;
mod keys;
mod passed_on;
mod urls;

use llm::Format;
use llm::provider::{Endpoint, Site, find};

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
