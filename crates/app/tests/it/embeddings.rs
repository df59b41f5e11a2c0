//! Embeddings of Vertex AI for clients of OpenAI and of Gemini: what Vertex is asked, what the client
//! reads, and what the ledger says.

use serde_json::{Value, json};
use testkit::Reply;

use crate::app::Setup;

const MODELS: &str = r#"
model_list:
  - model_name: embed
    litellm_params: {model: vertex_ai/text-embedding-005, api_key: sk-of-google-61fd, api_base: PROVIDER,
      vertex_project: p, vertex_location: us-central1, input_cost_per_token: 0.000001}
  - model_name: embed-one
    litellm_params: {model: vertex_ai/gemini-embedding-2, api_key: sk-of-google-61fd, api_base: PROVIDER,
      vertex_project: p, vertex_location: us-central1, input_cost_per_token: 0.000001}
"#;
const PLACE: &str = "/v1/projects/p/locations/us-central1/publishers/google/models";

fn predicted() -> Reply {
    let one = |tokens: u64, values: [f64; 2]| {
        let statistics = json!({"token_count": tokens, "truncated": false});
        json!({"embeddings": {"statistics": statistics, "values": values}})
    };
    Reply::json(&json!({
        "predictions": [one(5, [1.0, 2.0]), one(6, [0.5, -1.0])],
        "metadata": {"billableCharacterCount": 35},
    }))
}

#[tokio::test]
async fn an_openai_client_gets_embeddings_of_vertex() {
    let app = Setup::default().config(MODELS).start().await;
    app.provider.reply(predicted());
    let body = json!({
        "model": "embed", "input": ["first", "second"], "dimensions": 2, "user": "somebody",
        "encoding_format": "base64",
    });
    let answer = app.post("/v1/embeddings", body).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(
        answer.json,
        json!({
            "object": "list",
            "model": "embed",
            "data": [
                {"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA="},
                {"object": "embedding", "index": 1, "embedding": "AAAAPwAAgL8="},
            ],
            "usage": {"prompt_tokens": 11, "total_tokens": 11},
        })
    );
    assert_eq!(answer.header("x-tollgate-dropped-params"), "user");
    let asked = app.provider.last_request();
    assert_eq!(asked.path, format!("{PLACE}/text-embedding-005:predict"));
    assert_eq!(
        asked.json(),
        json!({
            "instances": [{"content": "first"}, {"content": "second"}],
            "parameters": {"outputDimensionality": 2},
        })
    );
    let row = app.row(&answer).await;
    assert_eq!(row.cost.unwrap().0, 11_000);
    assert_eq!(
        (row.usage_source.as_str(), row.endpoint.as_str()),
        ("provider", "aembedding")
    );

    let strange = json!({"model": "embed", "input": "a", "task": "x"});
    let refused = app.post("/v1/embeddings", strange).await;
    assert_eq!(
        (refused.status, refused.text("/error/param").as_str()),
        (400, "task")
    );
}

#[tokio::test]
async fn a_gemini_client_gets_them_too() {
    let app = Setup::default().config(MODELS).start().await;
    app.provider.reply(predicted());
    let text = |text: &str| {
        let content = json!({"parts": [{"text": text}]});
        json!({"model": "models/embed", "content": content, "taskType": "RETRIEVAL_QUERY"})
    };
    let body = json!({"requests": [text("first"), text("second")]});
    let path = "/v1beta/models/embed:batchEmbedContents";
    let answer = app.post(path, body).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(
        answer.json,
        json!({
            "embeddings": [{"values": [1.0, 2.0]}, {"values": [0.5, -1.0]}],
            "usageMetadata": {"promptTokenCount": 11},
        })
    );
    assert_eq!(app.row(&answer).await.cost.unwrap().0, 11_000);
    let asked = app.provider.last_request().json();
    let instance = |text: &str| json!({"content": text, "task_type": "RETRIEVAL_QUERY"});
    assert_eq!(
        asked,
        json!({"instances": [instance("first"), instance("second")]})
    );
}

#[tokio::test]
async fn what_vertex_does_not_count_is_estimated() {
    let app = Setup::default().config(MODELS).start().await;
    app.provider
        .reply(Reply::json(&json!({"embedding": {"values": [1.5]}})));
    let body = json!({"model": "embed-one", "input": "three small words"});
    let answer = app.post("/v1/embeddings", body).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.json["data"][0]["embedding"], json!([1.5]));
    assert_eq!(answer.json["usage"], Value::Null);
    let asked = app.provider.last_request();
    assert_eq!(
        asked.path,
        format!("{PLACE}/gemini-embedding-2:embedContent")
    );
    let row = app.row(&answer).await;
    assert_eq!(row.usage_source, "estimated");
    assert!(row.cost.unwrap().0 > 0);
}

/// An answer that Vertex has really given.
#[tokio::test]
async fn what_vertex_was_recorded_to_say_is_read() {
    let Some(recordings) = testkit::recordings(|entry| {
        entry.provider == "vertex" && entry.case == "embeddings-predict-embedding"
    }) else {
        return;
    };
    let recorded = recordings.first().unwrap();
    let app = Setup::default().config(MODELS).start().await;
    app.provider.reply(Reply::recorded(recorded));
    let body = json!({"model": "embed", "input": ["one", "two"]});
    let answer = app.post("/v1/embeddings", body).await;
    assert_eq!(answer.status, 200, "{answer}");
    let said: Value = serde_json::from_slice(&recorded.response).unwrap();
    let said = said["predictions"].as_array().unwrap();
    assert_eq!(answer.json["data"].as_array().unwrap().len(), said.len());
    for (index, one) in said.iter().enumerate() {
        let got = &answer.json["data"][index]["embedding"];
        assert_eq!(*got, one["embeddings"]["values"]);
    }
    assert_eq!(answer.json["usage"]["prompt_tokens"], 11);
}
