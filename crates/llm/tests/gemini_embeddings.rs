//! Embeddings and token counts between Google's formats and others.

use llm::translate::gemini_embeddings::{Batch, gemini_answer, openai_request};
use llm::translate::vertex_embeddings::Encoding;
use llm::translate::{gemini_tokens, vertex_embeddings};
use llm::{Format, To, provider};
use serde_json::{Value, json};

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn a_google_client_gets_embeddings_of_another_provider() {
    let one = json!({"content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY", "output_dimensionality": 3});
    let request = openai_request(Batch::One, "text-3", one.to_string().as_bytes()).expect("read");
    assert_eq!(
        parsed(&request.body),
        json!({"model": "text-3", "input": ["a"], "encoding_format": "float", "dimensions": 3})
    );
    assert_eq!(request.dropped, ["taskType"]);
    let many = json!({"requests": [
        {"model": "models/x", "content": {"parts": [{"text": "a"}]}},
        {"model": "models/x", "content": {"parts": [{"text": "b"}]}},
    ]});
    let request = openai_request(Batch::Many, "text-3", many.to_string().as_bytes()).expect("read");
    assert_eq!(parsed(&request.body)["input"], json!(["a", "b"]));

    let answer = json!({"data": [
        {"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": "AACAPwAAAEA="},
    ], "usage": {"prompt_tokens": 2}});
    let answer = answer.to_string();
    assert_eq!(
        parsed(&gemini_answer(Batch::Many, answer.as_bytes()).expect("read")),
        json!({"embeddings": [{"values": [1.0, 2.0]}, {"values": [3, 4.5]}], "usageMetadata": {"promptTokenCount": 2}})
    );
    assert_eq!(
        parsed(&gemini_answer(Batch::One, answer.as_bytes()).expect("read"))["embedding"],
        json!({"values": [1.0, 2.0]})
    );
}

/// Vertex AI, as it would be asked.
fn vertex() -> To<'static> {
    To {
        provider: provider::find("vertex_ai").expect("a row"),
        model: "text-embedding-005",
        max_output_tokens: None,
    }
}

#[test]
fn an_openai_client_gets_embeddings_of_vertex() {
    let request = json!({
        "model": "m", "input": ["a", "b"], "dimensions": 2, "encoding_format": "base64", "user": "u",
        "task_type": "RETRIEVAL_QUERY", "auto_truncate": false,
    });
    let body = request.to_string();
    let written = vertex_embeddings::request(
        None,
        Format::VertexEmbedding,
        &vertex(),
        body.as_bytes(),
        false,
    )
    .expect("read");
    assert_eq!(
        parsed(&written.body),
        json!({
            "instances": [
                {"content": "a", "task_type": "RETRIEVAL_QUERY"},
                {"content": "b", "task_type": "RETRIEVAL_QUERY"},
            ],
            "parameters": {"outputDimensionality": 2, "autoTruncate": false},
        })
    );
    assert_eq!(written.dropped, ["user"]);
    let counted =
        |tokens: f64| json!({"values": [1.0, 2.0], "statistics": {"token_count": tokens}});
    let answer =
        json!({"predictions": [{"embeddings": counted(5.0)}, {"embeddings": counted(6.0)}]});
    let answer = answer.to_string();
    let shown = |encoding| {
        parsed(&vertex_embeddings::answer("m", encoding, answer.as_bytes()).expect("read"))
    };
    assert_eq!(
        shown(Encoding::Float),
        json!({
            "object": "list", "model": "m", "usage": {"prompt_tokens": 11, "total_tokens": 11},
            "data": [
                {"object": "embedding", "index": 0, "embedding": [1.0, 2.0]},
                {"object": "embedding", "index": 1, "embedding": [1.0, 2.0]},
            ],
        })
    );
    assert_eq!(
        shown(Encoding::Base64)["data"][1]["embedding"],
        "AACAPwAAAEA="
    );
}

#[test]
fn what_a_gemini_client_says_of_its_texts_reaches_vertex() {
    let request = json!({"requests": [
        {"content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_DOCUMENT", "title": "t",
            "outputDimensionality": 2},
        {"content": {"parts": [{"text": "b"}]}, "embedContentConfig": {"taskType": "RETRIEVAL_QUERY"},
            "other": 1},
    ]});
    let body = request.to_string();
    let written = |to_format| {
        let batch = Some(Batch::Many);
        vertex_embeddings::request(batch, to_format, &vertex(), body.as_bytes(), false)
    };
    let predicted = written(Format::VertexEmbedding).expect("read");
    assert_eq!(
        parsed(&predicted.body),
        json!({
            "instances": [
                {"content": "a", "task_type": "RETRIEVAL_DOCUMENT", "title": "t"},
                {"content": "b", "task_type": "RETRIEVAL_QUERY"},
            ],
            "parameters": {"outputDimensionality": 2},
        })
    );
    assert_eq!(predicted.dropped, ["other"]);
    let refused = written(Format::GeminiEmbedding).expect_err("two texts");
    assert_eq!(refused.parameter(), Some("requests"));
}

#[test]
fn what_is_not_counted_is_not_said_to_be_nothing() {
    let answer = json!({"predictions": [
        {"embeddings": {"values": [1.0], "statistics": {"token_count": 3}}},
        {"embeddings": {"values": [2.0], "statistics": {"truncated": true}}},
    ]});
    let shown = vertex_embeddings::answer("m", Encoding::Float, answer.to_string().as_bytes());
    let shown = parsed(&shown.expect("read"));
    assert_eq!(shown["data"][1]["embedding"], json!([2.0]));
    assert_eq!(shown["usage"], Value::Null);
}

#[test]
fn newer_models_of_vertex_take_one_text() {
    let to_format = Format::GeminiEmbedding;
    let body = json!({"input": "a", "dimensions": 2, "title": "t"}).to_string();
    let written = vertex_embeddings::request(None, to_format, &vertex(), body.as_bytes(), false)
        .expect("read");
    assert_eq!(
        parsed(&written.body),
        json!({"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 2, "title": "t"})
    );
    for (body, param) in [
        (r#"{"input":["a","b"]}"#, "input"),
        (r#"{"input":"a","auto_truncate":true}"#, "auto_truncate"),
    ] {
        let error = vertex_embeddings::request(None, to_format, &vertex(), body.as_bytes(), false)
            .expect_err("refused");
        assert_eq!(error.parameter(), Some(param), "{body}");
    }
    let answer = json!({"embedding": {"values": [1.5]}}).to_string();
    let shown = vertex_embeddings::answer("m", Encoding::Float, answer.as_bytes());
    assert_eq!(
        parsed(&shown.expect("read")),
        json!({
            "object": "list", "model": "m",
            "data": [{"object": "embedding", "index": 0, "embedding": [1.5]}],
        }),
        "what is not counted is not said to be nothing"
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (batch, body, param) in [
        (Batch::One, "{}", "content"),
        (Batch::Many, "{}", "requests"),
        (Batch::One, "x", "request_body"),
        (
            Batch::One,
            r#"{"content":{"parts":[{"inlineData":{}}]}}"#,
            "content.parts[0]",
        ),
        (
            Batch::Many,
            r#"{"requests":[{"content":{"parts":[{"text":"a"}]},"outputDimensionality":1},{"outputDimensionality":2}]}"#,
            "requests[1].outputDimensionality",
        ),
    ] {
        let error = openai_request(batch, "m", body.as_bytes()).expect_err("refused");
        assert_eq!(error.parameter(), Some(param), "{body}");
    }
    for (body, param) in [
        ("{}", "input"),
        (r#"{"input":[]}"#, "input"),
        (r#"{"input":[1,2]}"#, "input"),
        (r#"{"input":"a","other":1}"#, "other"),
        (r#"{"input":"a","dimensions":"many"}"#, "dimensions"),
        (r#"{"input":"a","encoding_format":"x"}"#, "encoding_format"),
    ] {
        let to_format = Format::VertexEmbedding;
        let error = vertex_embeddings::request(None, to_format, &vertex(), body.as_bytes(), false)
            .expect_err("refused");
        assert_eq!(error.parameter(), Some(param), "{body}");
    }
    assert!(gemini_answer(Batch::One, b"{\"data\":[]}").is_err());
    assert!(vertex_embeddings::answer("m", Encoding::Float, b"{}").is_err());
}

#[test]
fn tokens_are_counted_of_what_would_be_sent() {
    let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let alone = json!({"contents": contents});
    let whole = json!({"generateContentRequest": {"model": "models/x", "contents": contents}});
    let to = To {
        provider: provider::find("gemini").expect("a row"),
        model: "gemini-2.5-flash",
        max_output_tokens: None,
    };
    for body in [alone, whole] {
        let conversation =
            gemini_tokens::read_request(body.to_string().as_bytes()).expect("a request");
        let written =
            gemini_tokens::write_request(Format::Gemini, &conversation, &to).expect("written");
        assert_eq!(
            parsed(&written),
            json!({"generateContentRequest": {"model": "models/gemini-2.5-flash", "contents": contents}})
        );
    }
    let answer = gemini_tokens::write_answer(8);
    assert_eq!(gemini_tokens::read_answer(&answer).expect("a count"), 8);
}
