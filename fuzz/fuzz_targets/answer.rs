//! Whole answers of every provider, translated for every client, whole and in pieces. No bytes may
//! panic, and what is written is JSON.
#![no_main]

use fuzz::{CLIENTS, EMBEDDINGS, RULES, chosen, pick, shown};
use libfuzzer_sys::fuzz_target;
use llm::{Format, translate};

fuzz_target!(|data: &[u8]| {
    let Some(([from, to, rule, how], body)) = chosen(data) else {
        return;
    };
    let (from, to) = (pick(&Format::CHATS, from), pick(&CLIENTS, to));
    let rule = pick(&RULES, rule);
    let Ok(answer) = translate::read_answer(from, rule, body) else {
        return;
    };
    let written = translate::write_answer(to, &answer, &shown(how)).expect("both are chats");
    let written: Result<serde_json::Value, _> = serde_json::from_slice(&written);
    assert!(written.is_ok(), "{from:?} to {to:?} is no JSON");
    translate::write_as_stream(to, &answer, shown(how)).expect("both are chats");
    let _ = llm::turns::output_items(body);
    for count in [Format::AnthropicTokenCount, Format::GeminiTokenCount] {
        let _ = translate::other_answer(count, count, body, &shown(how));
    }
    for (client, upstream) in EMBEDDINGS {
        let _ = translate::other_answer(upstream, client, body, &shown(how));
    }
});
