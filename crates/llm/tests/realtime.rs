//! Frames of WebSockets and what a provider says in them, cut wherever the network may cut.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

use llm::provider::{Endpoint, Site, find};
use llm::realtime::{Event, Watch};
use llm::websocket::{Frames, Head, Kind, Step, close, frame};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Everything that a watch finds in bytes that come in pieces of these lengths.
fn events(bytes: &[u8], cuts: &[usize]) -> Vec<Event> {
    let mut watch = Watch::default();
    let mut found = Vec::new();
    let mut cuts = cuts.iter().copied().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let size = cuts.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (mut piece, later) = rest.split_at(size);
        rest = later;
        while !piece.is_empty() {
            let (taken, event) = watch.feed(piece);
            assert!(taken > 0, "a step takes something");
            found.extend(event);
            piece = &piece[taken..];
        }
    }
    found
}

fn text(message: &Value) -> Vec<u8> {
    frame(Kind::Text, message.to_string().as_bytes(), None)
}

fn done(input: u64, output: u64) -> Value {
    json!({"type": "response.done", "event_id": "event_1", "response": {
        "object": "realtime.response", "id": "resp_1", "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_audio",
            "transcript": "He said: \"usage\": {\"input_tokens\": 9}, \\ and left"}]}],
        "usage": {"total_tokens": input + output, "input_tokens": input, "output_tokens": output,
            "input_token_details": {"text_tokens": input}, "output_token_details": {"text_tokens": output}},
        "metadata": null,
    }})
}

fn used(event: &Event) -> Option<(u64, u64)> {
    match event {
        Event::Done(usage) => usage.map(|usage| (usage.input, usage.output)),
        _ => None,
    }
}

#[test]
fn a_session_is_followed_from_its_opening_to_its_close() {
    let opened = json!({"type": "session.created", "event_id": "event_0",
        "session": {"object": "realtime.session", "id": "sess_1", "model": "gpt-realtime"}});
    let delta = json!({"type": "response.output_audio.delta", "delta": "UklGRg==".repeat(5000)});
    let bytes = [
        text(&opened),
        text(&json!({"type": "response.created", "response": {"id": "resp_1"}})),
        text(&delta),
        frame(Kind::Ping, b"are you there", None),
        text(&done(12, 34)),
        text(&json!({"type": "rate_limits.updated", "usage": {"input_tokens": 5}})),
        close(1000, "", None),
    ]
    .concat();
    let expected = [
        Event::Opened {
            id: Some("sess_1".to_owned()),
            model: Some("gpt-realtime".to_owned()),
        },
        Event::Began,
        Event::Done(Some(llm::Usage {
            input: 12,
            output: 34,
            ..llm::Usage::default()
        })),
        Event::Closed(Some(1000)),
    ];
    assert_eq!(events(&bytes, &[usize::MAX]), expected);
    assert_eq!(events(&bytes, &[1]), expected);
}

#[test]
fn the_order_of_members_does_not_matter_nor_their_absence() {
    let late = r#" { "response" : {"usage":{"input_tokens":1,"output_tokens":2},"type":"x"} ,"type":"response.done"}"#;
    let late = frame(Kind::Text, late.as_bytes(), None);
    assert_eq!(used(&events(&late, &[3])[0]), Some((1, 2)));
    let failed = text(&json!({"type": "response.done", "response": {"usage": null}}));
    assert_eq!(events(&failed, &[7]), [Event::Done(None)]);
    for nothing in [
        "",
        "[]",
        "\"response.done\"",
        "{}",
        "{\"type\":",
        "{\"type\":[\"response.done\"]}",
    ] {
        let bytes = frame(Kind::Text, nothing.as_bytes(), None);
        let found = events(&bytes, &[1]);
        assert!(found.iter().all(|event| used(event).is_none()), "{nothing}");
    }
}

#[test]
fn a_message_in_several_frames_is_one() {
    let message = done(7, 8).to_string();
    let (first, last) = message.as_bytes().split_at(20);
    let mut bytes = frame(Kind::Text, first, None);
    bytes[0] &= 0x7f;
    bytes.extend(frame(Kind::Pong, b"\"type\":\"x\"", None));
    bytes.extend(frame(Kind::Continuation, last, None));
    let found = events(&bytes, &[5]);
    assert_eq!(found.len(), 1);
    assert_eq!(used(&found[0]), Some((7, 8)));
}

#[test]
fn sessions_are_opened_beside_the_calls() {
    let at = |provider: &str, site: &Site<'_>, model: &str| {
        let endpoint = Endpoint::new(find(provider).unwrap(), site).unwrap();
        endpoint.realtime(model).map(|uri| uri.to_string())
    };
    let own = Site::default();
    assert_eq!(
        at("openai", &own, "gpt-realtime").unwrap(),
        "https://api.openai.com/v1/realtime?model=gpt-realtime"
    );
    assert_eq!(
        at("openai", &own, "a&b/c").unwrap(),
        "https://api.openai.com/v1/realtime?model=a%26b%2Fc"
    );
    let azure = Site {
        api_base: Some("https://x.openai.azure.com"),
        api_version: Some("2025-04-01-preview"),
        ..Site::default()
    };
    assert_eq!(
        at("azure", &azure, "rt").unwrap(),
        "https://x.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=rt"
    );
    let newer = Site {
        api_version: Some("v1"),
        ..azure
    };
    assert_eq!(
        at("azure", &newer, "rt").unwrap(),
        "https://x.openai.azure.com/openai/v1/realtime?model=rt"
    );
    assert!(at("anthropic", &own, "claude").is_err());
}

fn kinds() -> impl Strategy<Value = Kind> {
    proptest::sample::select(vec![Kind::Text, Kind::Binary, Kind::Ping, Kind::Pong])
}

/// The frames that a reader finds, with their payloads put together.
fn read(bytes: &[u8], cut: usize) -> (Vec<(Head, Vec<u8>)>, bool) {
    let mut frames = Frames::default();
    let mut found: Vec<(Head, Vec<u8>)> = Vec::new();
    for mut piece in bytes.chunks(cut) {
        while !piece.is_empty() {
            let (taken, step) = frames.step(piece);
            assert!(taken > 0);
            match step {
                Step::Incomplete => assert_eq!(taken, piece.len()),
                Step::Head(head) => found.push((head, Vec::new())),
                Step::Payload => found.last_mut().unwrap().1.extend(&piece[..taken]),
            }
            piece = &piece[taken..];
        }
    }
    (found, frames.is_between_messages())
}

proptest! {
    #[test]
    fn frames_are_read_back_wherever_they_are_cut(
        sent in prop::collection::vec(
            (kinds(), prop::collection::vec(any::<u8>(), 0..400), any::<Option<[u8; 4]>>()), 1..8),
        long in 65_530_usize..65_545,
        cut in 1_usize..70_000,
    ) {
        let mut sent = sent;
        sent.push((Kind::Binary, vec![7; long], None));
        let bytes: Vec<u8> = sent
            .iter()
            .flat_map(|(kind, payload, mask)| frame(*kind, payload, *mask))
            .collect();
        let (found, at_end) = read(&bytes, cut);
        prop_assert!(at_end);
        prop_assert_eq!(found.len(), sent.len());
        for ((head, payload), (kind, original, mask)) in found.iter().zip(&sent) {
            prop_assert_eq!(head.kind, *kind);
            prop_assert_eq!(head.mask, *mask);
            prop_assert_eq!(head.length, original.len() as u64);
            let key = mask.unwrap_or_default();
            let plain: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b).collect();
            prop_assert_eq!(&plain, original);
        }
    }

    #[test]
    fn no_bytes_stop_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..600), cut in 1_usize..50) {
        read(&bytes, cut);
        events(&bytes, &[cut]);
        events(&frame(Kind::Text, &bytes, None), &[cut]);
    }

    #[test]
    fn usage_is_found_in_any_answer(
        other in ".{0,40}",
        input in 0_u64..1_000_000,
        output in 0_u64..1_000_000,
        cuts in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let mut message = done(input, output);
        message["response"][other.as_str()] = json!({"usage": [other, {"usage": {}}], "type": other});
        message["response"]["usage"]["note"] = json!(other);
        message[format!("x{other}")] = json!({"usage": {"input_tokens": 1}});
        let found = events(&text(&message), &cuts);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(used(&found[0]), Some((input, output)));
    }

    #[test]
    fn spoiled_messages_are_read_as_something(
        at in 0_usize..300, byte in any::<u8>(), cut in 1_usize..40,
    ) {
        let mut message = done(5, 6).to_string().into_bytes();
        let place = at % message.len();
        message[place] = byte;
        events(&frame(Kind::Text, &message, None), &[cut]);
    }
}
