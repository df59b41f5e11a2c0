//! How long the hot path takes: `cargo run --release -p llm --example speed`.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use llm::response::{StreamObserver, observe};
use llm::{Catalogue, Format, UsageRule, request};

fn main() {
    for (name, body) in bodies() {
        time(&format!("peek and rewrite, {name}"), || {
            let peek = request::peek(Format::OpenAiChat, &body).expect("a good body");
            black_box(request::rewrite(&body, &peek, "upstream-model", true));
        });
        time(&format!("serde_json, borrowed, {name}"), || {
            black_box(serde_json::from_slice::<Borrowed>(&body).expect("a good body"));
        });
    }
    let stream = stream();
    let chunks: Vec<Bytes> = stream
        .split_inclusive("\n\n")
        .map(|e| Bytes::from(e.to_owned()))
        .collect();
    time("stream of 52 events, one by one", || {
        let mut observer =
            StreamObserver::new(Format::OpenAiChat, UsageRule::OpenAi, "public", true);
        for chunk in &chunks {
            black_box(observer.feed(chunk.clone()));
        }
        black_box(observer.finish());
    });
    let whole = Bytes::from(stream);
    time("stream of 52 events, at once", || {
        let mut observer =
            StreamObserver::new(Format::OpenAiChat, UsageRule::OpenAi, "public", true);
        black_box(observer.feed(whole.clone()));
        black_box(observer.finish());
    });
    let answer = Bytes::from(
        r#"{"id":"chatcmpl-1","object":"chat.completion","created":1795258033,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"TEXT","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":2}}}"#
            .replace("TEXT", &"word ".repeat(100)),
    );
    time("whole answer", || {
        black_box(observe(
            Format::OpenAiChat,
            UsageRule::OpenAi,
            answer.clone(),
            "public",
        ));
    });
    let numbers = vec!["-0.012345678"; 1536].join(",");
    let embedding = Bytes::from(format!(
        r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[{numbers}]}}],"model":"text-embedding-3-small","usage":{{"prompt_tokens":5,"total_tokens":5}}}}"#
    ));
    time("embedding of 1536 numbers", || {
        black_box(observe(
            Format::OpenAiEmbedding,
            UsageRule::OpenAi,
            embedding.clone(),
            "public",
        ));
    });
    time("catalogue look-up", || {
        black_box(Catalogue::shipped().find("openai", "gpt-4o"));
    });
    time("whole catalogue", || {
        black_box(Catalogue::shipped().iter().count());
    });
}

#[derive(serde::Deserialize)]
struct Borrowed<'a> {
    #[serde(borrow)]
    #[expect(dead_code, reason = "only parsing it is measured")]
    model: std::borrow::Cow<'a, str>,
}

fn bodies() -> Vec<(&'static str, Bytes)> {
    let body = |text: &str| {
        Bytes::from(format!(
            r#"{{"model":"gpt-4o","stream":true,"messages":[{{"role":"user","content":"{text}"}}],"temperature":0.7}}"#
        ))
    };
    vec![
        ("1 KB", body(&"plain text ".repeat(85))),
        ("100 KB", body(&"plain text ".repeat(9_300))),
        (
            "100 KB, an escape each 20 bytes",
            body(&"plain text, a line\\n".repeat(5_100)),
        ),
        ("100 KB, Chinese", body(&"网关很快".repeat(8_500))),
    ]
}

fn stream() -> String {
    let head = r#"data: {"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012","object":"chat.completion.chunk","created":1795258033,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_0123456789","#;
    let mut stream = String::new();
    for index in 0..50 {
        stream += &format!(
            "{head}\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{index}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null,\"obfuscation\":\"AbCdEf\"}}\n\n"
        );
    }
    stream += &format!(
        "{head}\"choices\":[],\"usage\":{{\"prompt_tokens\":30,\"completion_tokens\":50,\"total_tokens\":80,\"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},\"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}}}\n\n"
    );
    stream + "data: [DONE]\n\n"
}

/// The best of several runs, as other work on the machine only ever adds time.
fn time(name: &str, mut work: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        let mut rounds = 0;
        while start.elapsed().as_millis() < 10 {
            work();
            rounds += 1;
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(rounds));
    }
    eprintln!("{name:50} {:10.2} µs", best * 1e6);
}
