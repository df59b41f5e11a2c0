//! AWS's published vectors, and signatures of botocore for paths as Bedrock has them.

use super::*;

struct Vector {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    token: Option<&'static str>,
    signature: &'static str,
}

/// From the `aws-signing-test-suite` of AWS's SDKs (Apache-2.0): 2015-08-30T12:36:00Z, empty bodies.
const VECTORS: &[Vector] = &[
    Vector {
        name: "get-vanilla",
        method: "GET",
        path: "/",
        headers: &[],
        token: None,
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "get-vanilla-with-session-token",
        method: "GET",
        path: "/",
        headers: &[],
        token: Some("6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"),
        signature: "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    },
    Vector {
        name: "get-unreserved",
        method: "GET",
        path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        headers: &[],
        token: None,
        signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    },
    Vector {
        name: "get-header-key-duplicate",
        method: "GET",
        path: "/",
        headers: &[
            ("my-header1", "value2"),
            ("my-header1", "value2"),
            ("my-header1", "value1"),
        ],
        token: None,
        signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    },
    Vector {
        name: "get-header-value-order",
        method: "GET",
        path: "/",
        headers: &[
            ("my-header1", "value4"),
            ("my-header1", "value1"),
            ("my-header1", "value3"),
            ("my-header1", "value2"),
        ],
        token: None,
        signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    },
    Vector {
        name: "get-header-value-trim",
        method: "GET",
        path: "/",
        headers: &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        token: None,
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    },
    Vector {
        name: "get-relative-normalized",
        method: "GET",
        path: "/example/..",
        headers: &[],
        token: None,
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "get-relative-relative-normalized",
        method: "GET",
        path: "/example1/example2/../..",
        headers: &[],
        token: None,
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "get-slash-dot-slash-normalized",
        method: "GET",
        path: "/./",
        headers: &[],
        token: None,
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "get-slash-normalized",
        method: "GET",
        path: "//",
        headers: &[],
        token: None,
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    Vector {
        name: "get-slash-pointless-dot-normalized",
        method: "GET",
        path: "/./example",
        headers: &[],
        token: None,
        signature: "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    },
    Vector {
        name: "get-slashes-normalized",
        method: "GET",
        path: "//example//",
        headers: &[],
        token: None,
        signature: "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    },
    Vector {
        name: "get-vanilla-query-order-encoded",
        method: "GET",
        path: "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        headers: &[],
        token: None,
        signature: "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    },
    Vector {
        name: "get-vanilla-query-order-key-case",
        method: "GET",
        path: "/?Param2=value2&Param1=value1",
        headers: &[],
        token: None,
        signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    },
    Vector {
        name: "get-vanilla-query-unreserved",
        method: "GET",
        path: "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        headers: &[],
        token: None,
        signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    },
    Vector {
        name: "post-vanilla",
        method: "POST",
        path: "/",
        headers: &[],
        token: None,
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    Vector {
        name: "post-header-key-sort",
        method: "POST",
        path: "/",
        headers: &[("my-header1", "value1")],
        token: None,
        signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    },
    Vector {
        name: "post-header-value-case",
        method: "POST",
        path: "/",
        headers: &[("my-header1", "VALUE1")],
        token: None,
        signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    },
    Vector {
        name: "post-sts-header-before",
        method: "POST",
        path: "/",
        headers: &[],
        token: Some(
            "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
        ),
        signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    },
    Vector {
        name: "post-vanilla-query",
        method: "POST",
        path: "/?Param1=value1",
        headers: &[],
        token: None,
        signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    },
];

const SCOPE: Scope<'_> = Scope {
    region: "us-east-1",
    service: "service",
};

fn credentials(token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        session_token: token.map(Secret::new),
    }
}

fn at(text: &str) -> Millis {
    Millis::parse(text).unwrap()
}

fn signature(headers: &HeaderMap) -> &str {
    let text = headers[header::AUTHORIZATION].to_str().unwrap();
    text.rsplit_once("Signature=").unwrap().1
}

#[test]
fn the_published_vectors_hold() {
    for vector in VECTORS {
        let uri = format!("https://example.amazonaws.com{}", vector.path);
        let mut headers = HeaderMap::new();
        for (name, value) in vector.headers {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let signed = sign(
            &credentials(vector.token),
            SCOPE,
            at("2015-08-30T12:36:00Z"),
            Unsigned {
                method: &vector.method.parse().unwrap(),
                uri: &uri.parse().unwrap(),
                headers: &headers,
                body_hash: &body_hash(b""),
            },
        )
        .unwrap();
        assert_eq!(signature(&signed), vector.signature, "{}", vector.name);
    }
}

fn sign_for_bedrock(path: &str, token: Option<&str>) -> HeaderMap {
    let uri = format!("https://bedrock-runtime.us-east-1.amazonaws.com{path}");
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    // what a proxy may change is not signed
    headers.insert("user-agent", HeaderValue::from_static("tollgate"));
    sign(
        &credentials(token),
        Scope {
            region: "us-east-1",
            service: "bedrock",
        },
        at("2026-11-21T10:47:13.999Z"),
        Unsigned {
            method: &Method::POST,
            uri: &uri.parse().unwrap(),
            headers: &headers,
            body_hash: &body_hash(br#"{"messages":[]}"#),
        },
    )
    .unwrap()
}

#[test]
fn paths_of_models_are_signed_as_botocore_signs_them() {
    let headers = sign_for_bedrock(
        "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse-stream",
        Some("sess/Token+=="),
    );
    assert_eq!(
        headers[header::AUTHORIZATION],
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/bedrock/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
         Signature=16a181974d2be5676dfaa41aacec00e47d622cfaa5010389afe109ef4b93038d"
    );
    assert_eq!(headers["x-amz-date"], "20261121T104713Z");
    assert_eq!(headers["x-amz-security-token"], "sess/Token+==");
    let headers = sign_for_bedrock(
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A012345678901%3Ainference-profile\
         %2Fus.amazon.nova-2-lite-v1%3A0/converse",
        None,
    );
    assert_eq!(
        signature(&headers),
        "0e4ab82c59ff3a8883a10dd24c734a325dcaa9c594ab41a6003fb009c392464f"
    );
}

#[test]
fn nothing_printed_holds_a_secret() {
    let credentials = credentials(Some("a session token"));
    let headers = sign_for_bedrock("/model/x/converse", Some("a session token"));
    let printed = format!("{credentials:?} {headers:?}");
    for secret in ["wJalr", "a session token", "Signature"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn credentials_with_line_ends_are_refused_without_being_repeated() {
    let error = sign(
        &Credentials {
            access_key_id: "AKID\nEXAMPLE".to_owned(),
            ..credentials(None)
        },
        SCOPE,
        Millis(0),
        Unsigned {
            method: &Method::GET,
            uri: &Uri::from_static("https://example.amazonaws.com/"),
            headers: &HeaderMap::new(),
            body_hash: "",
        },
    )
    .unwrap_err();
    assert_eq!(error.status(), 400);
    assert!(!error.message().contains("AKID"));
}
