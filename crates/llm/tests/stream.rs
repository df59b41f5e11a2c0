//! What clients get of a stream, however the network cuts it.

use bytes::Bytes;
use llm::response::{Observed, StreamObserver, observe};
use llm::{Format, Usage, UsageRule};
use proptest::prelude::*;

/// The shape of OpenAI's streams: the asked-for usage in a chunk of its own.
const STREAM: &str = concat!(
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    ": a comment\n\n",
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"héé \\\"model\\\":\\\"x\\\" \"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"model\":\"inner\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"choices\":[],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":12,\"total_tokens\":42,\"prompt_tokens_details\":{\"cached_tokens\":10},\"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\n",
    "data: [DONE]\n\n",
);

fn observer(hide_usage: bool) -> StreamObserver {
    StreamObserver::new(
        Format::OpenAiChat,
        UsageRule::OpenAi,
        "public/name",
        hide_usage,
    )
}

/// Feeds a stream in these pieces.
fn run<'a>(
    mut observer: StreamObserver,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Observed) {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&observer.feed(Bytes::copy_from_slice(piece)));
    }
    let (rest, observed) = observer.finish();
    out.extend_from_slice(&rest);
    (out, observed)
}

fn renamed(stream: &str) -> String {
    stream.replace(
        "\"model\":\"gpt-4o-2024-08-06\"",
        "\"model\":\"public/name\"",
    )
}

fn without_usage_chunk(stream: &str) -> String {
    let start = stream.find("data: {\"id\":\"c1\"").expect("a chunk");
    let usage = stream.find("\"choices\":[],").expect("a usage chunk");
    let event = stream[start..usage].rfind("data: ").expect("its start") + start;
    let end = stream.find("data: [DONE]").expect("an end");
    format!("{}{}", &stream[..event], &stream[end..])
}

#[test]
fn a_client_that_asked_for_usage_gets_every_byte_but_the_model_s_name() {
    let (out, observed) = run(observer(false), [STREAM.as_bytes()]);
    assert_eq!(String::from_utf8(out).expect("text"), renamed(STREAM));
    assert_eq!(
        observed,
        Observed {
            usage: Some(Usage {
                input: 20,
                cache_read: 10,
                output: 10,
                reasoning: 2,
                ..Usage::default()
            }),
            model: Some("gpt-4o-2024-08-06".to_owned()),
            id: Some("c1".to_owned()),
            service_tier: Some("default".to_owned()),
            finished: true,
            output_bytes: "héé \\\"model\\\":\\\"x\\\" ".len() as u64,
            ..Observed::default()
        }
    );
}

#[test]
fn a_client_that_did_not_ask_does_not_see_the_usage_chunk() {
    let (out, observed) = run(observer(true), [STREAM.as_bytes()]);
    assert_eq!(
        String::from_utf8(out).expect("text"),
        without_usage_chunk(&renamed(STREAM))
    );
    assert_eq!(observed.usage.expect("usage").total_tokens(), 42);
}

#[test]
fn every_single_cut_gives_the_same() {
    for ending in ["\n", "\r\n", "\r"] {
        let stream = STREAM.replace('\n', ending);
        let whole = run(observer(true), [stream.as_bytes()]);
        for cut in 0..=stream.len() {
            let (head, tail) = stream.as_bytes().split_at(cut);
            let parts = run(observer(true), [head, tail]);
            assert_eq!(
                text(&parts.0, ending),
                text(&whole.0, ending),
                "{ending:?} cut at {cut}"
            );
            assert_eq!(parts.1, whole.1, "{ending:?} cut at {cut}");
        }
        let bytes = run(observer(true), stream.as_bytes().chunks(1));
        assert_eq!(text(&bytes.0, ending), text(&whole.0, ending));
        assert_eq!(bytes.1, whole.1);
    }
}

/// A dropped event whose last CRLF was cut leaves its LF, a blank line that says nothing.
fn text(out: &[u8], ending: &str) -> String {
    let out = String::from_utf8(out.to_vec()).expect("text");
    match ending {
        "\r\n" => out.replace("\r\n\r\n\ndata", "\r\n\r\ndata"),
        _ => out,
    }
}

#[test]
fn a_whole_event_is_never_held_back() {
    for ending in ["\n", "\r\n", "\r"] {
        let mut observer = observer(false);
        for event in STREAM.split_inclusive("\n\n") {
            let event = event.replace('\n', ending);
            let out = observer.feed(Bytes::from(event.clone()));
            assert_eq!(out, renamed(&event));
        }
    }
}

#[test]
fn untouched_chunks_are_not_copied() {
    let mut observer = StreamObserver::new(
        Format::OpenAiChat,
        UsageRule::OpenAi,
        "gpt-4o-2024-08-06",
        false,
    );
    let chunk = Bytes::from_static(STREAM.as_bytes());
    assert_eq!(observer.feed(chunk.clone()).as_ptr(), chunk.as_ptr());
}

#[test]
fn a_stream_that_breaks_off_gives_all_that_came() {
    let whole = STREAM.find("data: [DONE]").expect("an end");
    let last = STREAM[..whole - 2].rfind("\n\n").expect("an event") + 2;
    let broken = &STREAM[..last + 100];
    let (out, observed) = run(observer(true), broken.as_bytes().chunks(100));
    let expected = format!("{}{}", renamed(&broken[..last]), &broken[last..]);
    assert_eq!(String::from_utf8(out).expect("text"), expected);
    assert!(observed.usage.is_none() && observed.output_bytes > 0);
}

#[test]
fn the_last_event_counts_even_without_its_blank_line() {
    let stream = STREAM.replace("data: [DONE]\n\n", "");
    let (out, observed) = run(observer(false), [stream.trim_end().as_bytes()]);
    assert_eq!(
        String::from_utf8(out).expect("text"),
        renamed(stream.trim_end())
    );
    assert_eq!(observed.usage.expect("usage").total_tokens(), 42);
}

#[test]
fn an_error_in_a_stream_is_noticed_and_passed_on() {
    for stream in [
        "data: {\"error\":{\"message\":\"overloaded\"}}\n\n",
        "event: error\ndata: {\"message\":\"overloaded\"}\n\n",
        "{\"error\":{\"code\":503}}\n",
    ] {
        let (out, observed) = run(observer(true), [stream.as_bytes()]);
        assert_eq!(out, stream.as_bytes());
        assert!(observed.stream_error && !observed.finished, "{stream}");
    }
}

#[test]
fn several_lines_of_one_event_are_read_together_or_each() {
    let usage = "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}";
    for stream in [
        format!("data: {{\"choices\":[],\ndata: {usage}}}\n\n"),
        format!("data: {{{usage}}}\ndata: [DONE]\n\n"),
        format!("\u{feff}id: 7\ndata:{{{usage}}}\nretry: 5\n\n"),
    ] {
        let (out, observed) = run(observer(false), [stream.as_bytes()]);
        assert_eq!(out, stream.as_bytes());
        assert_eq!(observed.usage.expect("usage").total_tokens(), 3, "{stream}");
    }
}

#[test]
fn of_growing_totals_the_last_counts() {
    let event = |n: u64| {
        format!(
            "data: {{\"choices\":[{{}}],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{n}}}}}\n\n"
        )
    };
    let stream: String = (1..10).map(event).collect();
    let (_, observed) = run(observer(true), [stream.as_bytes()]);
    assert_eq!(observed.usage.expect("usage").completion_tokens(), 9);
}

#[test]
fn groq_s_three_usages_are_one() {
    let usage = "{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}";
    let finish = format!(
        "data: {{\"choices\":[{{\"finish_reason\":\"stop\"}}],\"x_groq\":{{\"id\":\"r\",\"usage\":{usage}}},\"usage\":{usage}}}\n\n"
    );
    let extra = format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n");
    let (out, observed) = run(observer(true), [finish.as_bytes(), extra.as_bytes()]);
    assert_eq!(out, finish.as_bytes());
    assert_eq!(observed.usage.expect("usage").total_tokens(), 13);
    let only = format!("data: {{\"choices\":[{{}}],\"x_groq\":{{\"usage\":{usage}}}}}\n\n");
    let (_, observed) = run(observer(true), [only.as_bytes()]);
    assert_eq!(observed.usage.expect("usage").total_tokens(), 13);
}

#[test]
fn azure_s_first_chunk_without_choices_stays() {
    let first = "data: {\"choices\":[],\"model\":\"\",\"prompt_filter_results\":[]}\n\n";
    let (out, _) = run(observer(true), [first.as_bytes()]);
    assert_eq!(out, first.replace("\"\"", "\"public/name\"").as_bytes());
}

#[test]
fn an_event_without_end_passes_without_being_kept() {
    let mut observer = observer(false);
    let mut fed = 0;
    let mut passed = observer
        .feed(Bytes::from_static(b"data: {\"image\":\""))
        .len();
    for _ in 0..40 {
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        fed += piece.len();
        passed += observer.feed(piece).len();
        assert!(fed.saturating_sub(passed) <= 9 << 20);
    }
    observer.feed(Bytes::from_static(b"\"}\n\n"));
    let after = observer.feed(Bytes::from_static(STREAM.as_bytes()));
    assert_eq!(after, renamed(STREAM));
    assert_eq!(observer.finish().1.usage.expect("usage").total_tokens(), 42);
}

#[test]
fn a_whole_answer_is_read_as_its_stream_is() {
    let body = r#"{"id":"c1","model":"gpt-4o-2024-08-06","service_tier":"default","choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":2}}}"#;
    let (out, observed) = observe(
        Format::OpenAiChat,
        UsageRule::OpenAi,
        Bytes::from_static(body.as_bytes()),
        "public/name",
    );
    assert_eq!(out, renamed(body));
    let streamed = run(observer(false), [STREAM.as_bytes()]).1;
    assert_eq!(observed.usage, streamed.usage);
    assert_eq!(
        observed,
        Observed {
            output_bytes: 2,
            ..streamed
        }
    );
}

#[test]
fn an_answer_that_is_no_json_passes_unseen() {
    let page = Bytes::from_static(b"<html>");
    let (out, observed) = observe(Format::OpenAiChat, UsageRule::OpenAi, page.clone(), "m");
    assert_eq!((out, observed), (page, Observed::default()));
}

proptest! {
    #[test]
    fn any_split_gives_the_same_output_and_usage(
        cuts in prop::collection::vec(0..STREAM.len(), 0..20),
        hide_usage: bool,
    ) {
        let mut cuts = cuts;
        cuts.push(0);
        cuts.push(STREAM.len());
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &STREAM.as_bytes()[ends[0]..ends[1]]);
        prop_assert_eq!(run(observer(hide_usage), pieces), run(observer(hide_usage), [STREAM.as_bytes()]));
    }

    #[test]
    fn no_bytes_are_lost_or_panic(pieces in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            "data: |\\{\"model\":\"x\"|\\}|\n\n|\r\n|\r|\"usage\":\\{|\\[DONE\\]|,\"choices\":\\[|\\]|\"|\\\\".prop_map(String::into_bytes),
        ], 0..40,
    )) {
        let observer = StreamObserver::new(Format::OpenAiChat, UsageRule::OpenAi, "x", false);
        let (out, _) = run(observer, pieces.iter().map(Vec::as_slice));
        prop_assert_eq!(out, pieces.concat());
    }
}
