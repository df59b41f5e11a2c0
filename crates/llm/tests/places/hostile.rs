//! Words that try to lead a call elsewhere.

use llm::Format::*;
use llm::provider::Site;
use proptest::prelude::*;

use crate::{at, at_region, endpoint};

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
