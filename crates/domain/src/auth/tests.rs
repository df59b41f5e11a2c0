//! Where keys are read from, and how they are hashed.

use http::HeaderValue;

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

#[test]
fn a_key_is_read_from_every_documented_header() {
    for pair in [
        ("x-litellm-api-key", "sk-a"),
        ("x-litellm-api-key", "Bearer sk-a"),
        ("authorization", "Bearer sk-a"),
        ("authorization", "bearer  sk-a"),
        ("authorization", "Basic sk-a"),
        ("api-key", "sk-a"),
        ("x-api-key", "sk-a"),
        ("x-goog-api-key", "sk-a"),
        ("ocp-apim-subscription-key", "sk-a"),
    ] {
        let headers = headers(&[pair]);
        assert_eq!(
            key_from_headers(&headers, None).unwrap(),
            "sk-a",
            "{pair:?}"
        );
    }
}

#[test]
fn the_first_header_wins_and_a_configured_one_before_all() {
    let headers = headers(&[
        ("x-goog-api-key", "sk-goog"),
        ("authorization", "Bearer sk-bearer"),
        ("x-mine", "Bearer sk-mine"),
    ]);
    assert_eq!(key_from_headers(&headers, None).unwrap(), "sk-bearer");
    let mine = key_from_headers(&headers, Some("X-Mine"));
    assert_eq!(mine.unwrap(), "sk-mine");
    let absent = key_from_headers(&headers, Some("x-other"));
    assert_eq!(absent.unwrap(), "sk-bearer");
}

#[test]
fn what_is_no_key_is_refused_in_the_words_clients_match() {
    for (pairs, said) in [
        (headers(&[]), "No api key passed in"),
        (
            headers(&[("authorization", "Bearer ")]),
            "No api key passed in",
        ),
        (
            headers(&[("authorization", "sk-a")]),
            "Malformed API Key passed in",
        ),
        (
            headers(&[("authorization", "Basic dTpw")]),
            "Malformed API Key passed in",
        ),
    ] {
        let error = key_from_headers(&pairs, None).unwrap_err();
        assert_eq!(error.status(), 401);
        assert!(error.message().contains(said), "{}", error.message());
    }
}

#[test]
fn the_hash_is_the_one_that_litellm_stores() {
    assert_eq!(
        hash("sk-1234"),
        "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"
    );
}
