//! Requests of every client, translated for every provider. No bytes may panic, and what is written is
//! JSON.
#![no_main]

use fuzz::{CLIENTS, EMBEDDINGS, chosen, destination, pick};
use libfuzzer_sys::fuzz_target;
use llm::{Format, translate};

fuzz_target!(|data: &[u8]| {
    let Some(([from, to, provider, model], body)) = chosen(data) else {
        return;
    };
    let (from, drops) = (pick(&CLIENTS, from), from & 0x80 != 0);
    let to_format = pick(&Format::CHATS, to);
    let to = destination(provider, model);
    if let Ok(translated) = translate::request(from, to_format, &to, body, drops) {
        let written: Result<serde_json::Value, _> = serde_json::from_slice(&translated.body);
        assert!(written.is_ok(), "{from:?} to {to_format:?} is no JSON");
    }
    for count in [Format::AnthropicTokenCount, Format::GeminiTokenCount] {
        let _ = translate::other_request(count, count, &to, body, drops);
    }
    for (client, upstream) in EMBEDDINGS {
        let _ = translate::other_request(client, upstream, &to, body, drops);
    }
    let _ = llm::turns::prepend(body, &llm::turns::input_items(body));
});
