//! What is read of requests, and what providers get to see of them.

use bytes::Bytes;
use llm::Format;
use llm::request::{peek, rewrite};
use proptest::prelude::*;
use serde_json::{Value, json};

fn sent(body: &str, model: &str, add_stream_usage: bool) -> String {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let peek = peek(Format::OpenAiChat, &body).expect("a good body");
    let segments = rewrite(&body, &peek, model, add_stream_usage);
    String::from_utf8(segments.concat()).expect("text")
}

fn refusal(format: Format, body: &str) -> (u16, String, Option<String>) {
    let error = peek(format, body.as_bytes()).expect_err("a bad body");
    let param = error.parameter().map(str::to_owned);
    (error.status(), error.message().to_owned(), param)
}

#[test]
fn what_the_gateway_decides_by_is_read() {
    let body = br#"{"messages":[{"role":"user","content":"{\"model\":\"no\"}"}], "model" : "gpt-4o",
        "stream":true,"stream_options":{"include_usage":true},"max_tokens":10,"max_completion_tokens":20,
        "n":3,"user":"ann","tags":["a","b"],"metadata":{"tags":["b","c"]},"service_tier":"flex"}"#;
    let peek = peek(Format::OpenAiChat, body).expect("a good body");
    assert_eq!(peek.model, "gpt-4o");
    assert!(peek.stream && peek.wants_stream_usage);
    assert_eq!((peek.max_output_tokens, peek.choices), (Some(20), 3));
    assert_eq!(peek.end_user.as_deref(), Some("ann"));
    assert_eq!(peek.tags, ["a", "b", "c"]);
    assert_eq!(peek.service_tier.as_deref(), Some("flex"));
}

#[test]
fn nulls_are_as_good_as_absent() {
    let body = br#"{"model":"m","messages":[],"stream":null,"n":null,"max_tokens":null,"user":null,
        "tags":null,"metadata":null,"stream_options":null,"service_tier":null}"#;
    let peek = peek(Format::OpenAiChat, body).expect("a good body");
    assert_eq!(
        (peek.stream, peek.choices, peek.max_output_tokens),
        (false, 1, None)
    );
}

#[test]
fn a_list_of_prompts_multiplies_the_answers() {
    let body = br#"{"model":"m","prompt":["a","b","c"],"n":2}"#;
    assert_eq!(
        peek(Format::OpenAiCompletion, body).expect("good").choices,
        6
    );
    let tokens = br#"{"model":"m","prompt":[1,2,3],"best_of":4}"#;
    assert_eq!(
        peek(Format::OpenAiCompletion, tokens)
            .expect("good")
            .choices,
        4
    );
}

#[test]
fn only_the_name_of_the_model_is_replaced() {
    let body =
        r#"{ "x": {"model":"in"}, "model" : "pub\u006cic" , "messages":["\"model\":\"s\""] }"#;
    assert_eq!(
        sent(body, "up/stream\"quoted", false),
        r#"{ "x": {"model":"in"}, "model" : "up/stream\"quoted" , "messages":["\"model\":\"s\""] }"#
    );
}

#[test]
fn nothing_is_copied_when_nothing_changes() {
    let body = Bytes::from_static(br#"{"model":"m","messages":[]}"#);
    let peek = peek(Format::OpenAiChat, &body).expect("good");
    let segments = rewrite(&body, &peek, "m", false);
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].as_ptr(), body.as_ptr());
}

#[test]
fn usage_is_asked_for_whatever_the_client_wrote() {
    let with = |options: &str| {
        sent(
            &format!(r#"{{"model":"m","messages":[]{options}}}"#),
            "m",
            true,
        )
    };
    let expected =
        |options: &str| format!(r#"{{"model":"m","messages":[],"stream_options":{options}}}"#);
    assert_eq!(with(""), expected(r#"{"include_usage":true}"#));
    assert_eq!(
        with(r#","stream_options":null"#),
        expected(r#"{"include_usage":true}"#)
    );
    assert_eq!(
        with(r#","stream_options":{}"#),
        expected(r#"{"include_usage":true}"#)
    );
    assert_eq!(
        with(r#","stream_options":{ "x":1}"#),
        expected(r#"{"include_usage":true, "x":1}"#)
    );
    for off in ["false", "null"] {
        assert_eq!(
            with(&format!(
                r#","stream_options":{{"x":1,"include_usage":{off}}}"#
            )),
            expected(r#"{"x":1,"include_usage":true}"#)
        );
    }
    assert_eq!(
        with(r#","stream_options":{"include_usage":true}"#),
        expected(r#"{"include_usage":true}"#)
    );
}

#[test]
fn members_for_the_gateway_do_not_reach_the_provider() {
    let cases = [
        (
            r#"{"tags":["a"],"model":"m","messages":[]}"#,
            r#"{"model":"m","messages":[]}"#,
        ),
        (
            r#"{"model":"m","messages":[],"tags":["a"]}"#,
            r#"{"model":"m","messages":[]}"#,
        ),
        (
            r#"{"tags":[], "cache":{} , "model":"m","num_retries":1,"fallbacks":[],"messages":[],"guardrails":[] }"#,
            r#"{"model":"m","messages":[] }"#,
        ),
        (
            r#"{"model":"m","metadata":{"tags":["a"]},"messages":[]}"#,
            r#"{"model":"m","messages":[]}"#,
        ),
        (
            r#"{"model":"m","metadata":{"a":"b"},"messages":[]}"#,
            r#"{"model":"m","metadata":{"a":"b"},"messages":[]}"#,
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(sent(body, "m", false), expected);
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    assert_eq!(
        refusal(Format::OpenAiChat, "{bad"),
        (
            400,
            "Invalid JSON payload: unexpected character, expected a string key: \
             line 1 column 2 (char 1)"
                .to_owned(),
            Some("request_body".to_owned())
        )
    );
    for body in [
        "",
        "[]",
        "7",
        "{",
        r#"{"model":"m"} x"#,
        r#"{"model":"m",}"#,
        "{\"a\":\"\n\"}",
    ] {
        let (status, _, param) = refusal(Format::OpenAiChat, body);
        assert_eq!(
            (status, param.as_deref()),
            (400, Some("request_body")),
            "{body}"
        );
    }
    let error = peek(Format::OpenAiChat, b"{\"model\":\"\xff\"}").expect_err("no UTF-8");
    assert_eq!(error.parameter(), Some("request_body"));
}

#[test]
fn missing_and_misshapen_members_are_named() {
    let cases = [
        (r#"{"messages":[]}"#, "model"),
        (r#"{"model":null,"messages":[]}"#, "model"),
        (r#"{"model":"","messages":[]}"#, "model"),
        (r#"{"model":7,"messages":[]}"#, "model"),
        (r#"{"model":"\ud800","messages":[]}"#, "model"),
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"model":"m","messages":"hi"}"#, "messages"),
        (r#"{"model":"m","messages":[],"stream":"yes"}"#, "stream"),
        (
            r#"{"model":"m","messages":[],"stream_options":[]}"#,
            "stream_options",
        ),
        (
            r#"{"model":"m","messages":[],"stream_options":{"include_usage":1}}"#,
            "stream_options.include_usage",
        ),
        (
            r#"{"model":"m","messages":[],"max_tokens":-1}"#,
            "max_tokens",
        ),
        (
            r#"{"model":"m","messages":[],"max_tokens":1.5}"#,
            "max_tokens",
        ),
        (r#"{"model":"m","messages":[],"n":"2"}"#, "n"),
        (r#"{"model":"m","messages":[],"user":7}"#, "user"),
        (
            r#"{"model":"m","messages":[],"api_base":"http://x"}"#,
            "api_base",
        ),
    ];
    for (body, param) in cases {
        let (status, message, found) = refusal(Format::OpenAiChat, body);
        assert_eq!(
            (status, found.as_deref()),
            (400, Some(param)),
            "{body}: {message}"
        );
    }
    assert_eq!(
        refusal(Format::OpenAiEmbedding, r#"{"model":"m"}"#)
            .2
            .as_deref(),
        Some("input")
    );
}

#[test]
fn nothing_that_is_read_may_stand_there_twice() {
    for (body, param) in [
        (r#"{"model":"cheap","messages":[],"model":"dear"}"#, "model"),
        (
            r#"{"model":"cheap","messages":[],"mod\u0065l":"dear"}"#,
            "model",
        ),
        (r#"{"model":"m","messages":[],"n":1,"n":100}"#, "n"),
        (
            r#"{"model":"m","messages":[],"stream":true,"stream":false}"#,
            "stream",
        ),
        (
            r#"{"model":"m","messages":[],"stream_options":{"include_usage":true,"include_usage":false}}"#,
            "stream_options.include_usage",
        ),
    ] {
        let (status, message, found) = refusal(Format::OpenAiChat, body);
        assert_eq!((status, found.as_deref()), (400, Some(param)), "{message}");
    }
}

/// Members in any order, and which of them the provider gets.
fn any_members() -> impl Strategy<Value = Vec<(&'static str, Value, bool)>> {
    let members = vec![
        (
            "messages",
            json!([{"role": "user", "content": "\"model\": \"x\" é\n"}]),
            true,
        ),
        ("temperature", json!(0.5), true),
        (
            "nested",
            json!({"model": "inner", "tags": [1], "stream_options": null}),
            true,
        ),
        ("tags", json!(["a"]), false),
        ("cache", json!({"no-cache": true}), false),
        ("num_retries", json!(3), false),
        ("metadata", json!({"tags": ["b"], "x": "y"}), false),
        ("litellm_metadata", json!({}), false),
    ];
    let count = members.len();
    prop::sample::subsequence(members, 0..=count)
        .prop_shuffle()
        .prop_map(|mut members| {
            if !members.iter().any(|(name, ..)| *name == "messages") {
                members.push(("messages", json!([]), true));
            }
            members
        })
}

fn any_stream_options() -> impl Strategy<Value = Option<Value>> {
    prop::sample::select(vec![
        None,
        Some(json!(null)),
        Some(json!({})),
        Some(json!({"x": 1})),
        Some(json!({"include_usage": false, "x": 1})),
        Some(json!({"include_usage": true})),
    ])
}

proptest! {
    #[test]
    fn the_provider_gets_the_same_request_but_for_what_is_the_gateway_s(
        members in any_members(),
        options in any_stream_options(),
        at in any::<prop::sample::Index>(),
        pretty: bool,
    ) {
        let mut members = members;
        members.insert(at.index(members.len() + 1), ("model", json!("public"), true));
        if let Some(options) = options {
            members.insert(at.index(members.len() + 1), ("stream_options", options, true));
        }
        let written = members.iter().map(|(name, value, _)| match pretty {
            true => format!("\n  \"{name}\" : {value:#} "),
            false => format!("\"{name}\":{value}"),
        });
        let body = format!("{{{}}}", written.collect::<Vec<_>>().join(","));
        let mut expected: Value = members
            .iter()
            .filter(|(_, _, sent)| *sent)
            .map(|(name, value, _)| ((*name).to_owned(), value.clone()))
            .collect();
        expected["model"] = json!("upstream");
        let plain = sent(&body, "upstream", false);
        prop_assert_eq!(serde_json::from_str::<Value>(&plain).expect("JSON"), expected.clone());
        expected["stream_options"]["include_usage"] = json!(true);
        let asked = sent(&body, "upstream", true);
        prop_assert_eq!(serde_json::from_str::<Value>(&asked).expect("JSON"), expected);
    }

    #[test]
    fn no_body_is_too_odd_to_refuse(body in prop::collection::vec(any::<u8>(), 0..60)) {
        let _refused = peek(Format::OpenAiChat, &body).is_err();
    }

    #[test]
    fn no_text_is_too_odd_to_refuse(body in "[{\"model\":,\\[\\]}tn1e. \\\\u]{0,60}") {
        let _refused = peek(Format::OpenAiChat, body.as_bytes()).is_err();
    }
}
