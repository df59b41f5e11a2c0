//! Usage of the endpoints that are no chats, as their answers say it, and what it costs.

use base::Money;
use bytes::Bytes;
use llm::cost::Served;
use llm::response::{StreamObserver, observe};
use llm::{Catalogue, Format, Usage, UsageRule, cost};
use proptest::prelude::*;
use serde_json::{Value, json};

fn used(format: Format, answer: &Value) -> Option<Usage> {
    let body = Bytes::from(answer.to_string());
    let (same, observed) = observe(format, UsageRule::OpenAi, body.clone(), "public");
    assert_eq!(same, body);
    assert!(observed.finished);
    observed.usage
}

fn charged(model: &str, usage: Usage) -> Option<Money> {
    let record = Catalogue::shipped().find_by_name(model).expect(model);
    let receipt = cost(&usage, &record.price.expect("a price"), Served::default());
    receipt.map(|receipt| receipt.total)
}

fn dollars(text: &str) -> Option<Money> {
    Some(Money::from_dollars(text).expect("an amount"))
}

#[test]
fn transcripts_count_tokens_or_seconds() {
    let none = Usage::default();
    for (answer, expected) in [
        (
            json!({"text": "a", "usage": {"type": "tokens", "input_tokens": 14, "total_tokens": 19,
                "input_token_details": {"text_tokens": 4, "audio_tokens": 10}, "output_tokens": 5}}),
            Usage {
                input: 4,
                input_audio: 10,
                output: 5,
                ..none
            },
        ),
        (
            json!({"text": "a", "duration": 8.47, "usage": {"type": "duration", "seconds": 9}}),
            Usage {
                milliseconds: 9_000,
                ..none
            },
        ),
        (
            json!({"task": "transcribe", "duration": 8.47, "segments": [], "text": "a"}),
            Usage {
                milliseconds: 8_470,
                ..none
            },
        ),
        (
            json!({"duration": "8.47", "text": "a"}),
            Usage {
                milliseconds: 8_470,
                ..none
            },
        ),
        // Mistral counts the same sound twice
        (
            json!({"text": "a", "usage": {"prompt_audio_seconds": 3, "prompt_tokens": 3,
                "total_tokens": 389, "completion_tokens": 11,
                "prompt_tokens_details": {"audio_tokens": 375}}}),
            Usage {
                milliseconds: 3_000,
                ..none
            },
        ),
    ] {
        assert_eq!(
            used(Format::Transcription, &answer),
            Some(expected),
            "{answer}"
        );
        assert_eq!(
            used(Format::Translation, &answer),
            Some(expected),
            "{answer}"
        );
    }
    for silent in [
        json!({"text": "a"}),
        json!({"text": "a", "duration": 0, "usage": {}}),
        json!({"text": "a", "duration": -1, "usage": null}),
        json!({"text": "a", "duration": {}, "usage": {"type": "duration", "seconds": "x"}}),
    ] {
        assert_eq!(used(Format::Transcription, &silent), None, "{silent}");
    }
    let minute = Usage {
        milliseconds: 60_000,
        ..none
    };
    assert_eq!(charged("openai/whisper-1", minute), dollars("0.006"));
}

#[test]
fn pictures_count_tokens_or_themselves() {
    let none = Usage::default();
    let counted = json!({"created": 1, "data": [{"b64_json": "AAAA"}], "usage": {
        "input_tokens": 50, "output_tokens": 272, "total_tokens": 322,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}});
    let usage = Usage {
        input: 10,
        input_image: 40,
        output_image: 272,
        ..none
    };
    assert_eq!(used(Format::ImageEdit, &counted), Some(usage));
    assert_eq!(charged("openai/gpt-image-1", usage), dollars("0.01133"));
    let both = json!({"data": [{}], "usage": {"input_tokens": 5, "output_tokens": 300,
        "output_tokens_details": {"text_tokens": 28, "image_tokens": 272}}});
    let usage = Usage {
        input: 5,
        output: 28,
        output_image: 272,
        ..none
    };
    assert_eq!(used(Format::ImageGeneration, &both), Some(usage));
    let plain = json!({"created": 1, "data": [{"url": "https://a"}, {"url": "https://b"}]});
    let usage = Usage { images: 2, ..none };
    assert_eq!(used(Format::ImageGeneration, &plain), Some(usage));
    assert_eq!(charged("xai/grok-imagine-image", usage), dollars("0.04"));
    // a price by tokens says nothing of a picture: unpriced, which is not the same as free
    assert_eq!(charged("openai/gpt-image-1", usage), None);
}

#[test]
fn rankings_count_searches_or_tokens() {
    let none = Usage::default();
    let cohere = json!({"id": "1", "results": [], "meta": {"api_version": {"version": "2"},
        "billed_units": {"search_units": 3}}});
    let usage = Usage {
        search_units: 3,
        ..none
    };
    assert_eq!(used(Format::Rerank, &cohere), Some(usage));
    assert_eq!(charged("cohere/rerank-v3.5", usage), dollars("0.006"));
    let jina = json!({"results": [], "usage": {"total_tokens": 17}});
    let usage = Usage { input: 17, ..none };
    assert_eq!(used(Format::Rerank, &jina), Some(usage));
    let vllm = json!({"results": [], "usage": {"prompt_tokens": 17, "total_tokens": 17}});
    assert_eq!(used(Format::Rerank, &vllm), Some(usage));
    assert_eq!(
        used(Format::Rerank, &json!({"results": [], "meta": {}})),
        None
    );
}

#[test]
fn streams_say_it_in_their_last_event() {
    let events = [
        json!({"type": "transcript.text.delta", "delta": "Ruby"}),
        json!({"type": "transcript.text.delta", "delta": " is"}),
        json!({"type": "transcript.text.done", "text": "Ruby is", "usage": {"type": "tokens",
            "input_tokens": 20, "output_tokens": 4, "input_token_details": {"audio_tokens": 20}}}),
    ];
    let stream: String = events
        .iter()
        .map(|event| format!("data: {event}\r\n\r\n"))
        .collect();
    for size in [1, 7, 1000] {
        let mut observer =
            StreamObserver::new(Format::Transcription, UsageRule::OpenAi, "public", true);
        let mut got = Vec::new();
        for piece in stream.as_bytes().chunks(size) {
            got.extend(observer.feed(Bytes::copy_from_slice(piece)));
        }
        let (rest, observed) = observer.finish();
        got.extend(rest);
        assert_eq!(got, stream.as_bytes());
        let usage = Usage {
            input_audio: 20,
            output: 4,
            ..Usage::default()
        };
        assert_eq!(observed.usage, Some(usage));
        assert!(observed.finished && !observed.stream_error);
        assert_eq!(observed.output_bytes, 14);
    }
    let spoken = json!({"type": "speech.audio.done", "usage": {"input_tokens": 14,
        "output_tokens": 101, "total_tokens": 115}});
    let usage = Usage {
        input: 14,
        output_audio: 101,
        ..Usage::default()
    };
    assert_eq!(used(Format::Speech, &spoken), Some(usage));
    let drawn = json!({"type": "image_generation.completed", "b64_json": "AA", "usage": {
        "input_tokens": 5, "output_tokens": 9}});
    let usage = Usage {
        input: 5,
        output_image: 9,
        ..Usage::default()
    };
    assert_eq!(used(Format::ImageGeneration, &drawn), Some(usage));
}

proptest! {
    #[test]
    fn no_bytes_break_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        number in prop_oneof!["-?[0-9]{1,30}", "[0-9]e[0-9]{1,4}", "\"[a-z0-9.]{0,9}\"", "null|\\{\\}|\\[\\]"],
    ) {
        for format in [Format::Transcription, Format::ImageEdit, Format::Rerank, Format::Speech] {
            observe(format, UsageRule::OpenAi, Bytes::from(bytes.clone()), "m");
            for text in [
                format!(r#"{{"duration":{number},"data":[{number}],"meta":{{"billed_units":{number}}}}}"#),
                format!(r#"{{"meta":{{"billed_units":{{"search_units":{number}}}}}}}"#),
                format!(r#"{{"usage":{{"seconds":{number},"input_tokens":{number},"input_tokens_details":{{"image_tokens":{number}}}}}}}"#),
            ] {
                observe(format, UsageRule::OpenAi, text.into(), "m");
            }
        }
    }
}
