//! Streams of every provider, cut anywhere, translated for every client. No bytes may panic; where the
//! cuts are makes no difference; every event that is written holds JSON.
#![no_main]

use fuzz::{CLIENTS, RULES, chosen, pick, shown};
use libfuzzer_sys::fuzz_target;
use llm::Format;
use llm::translate::StreamTranslator;

fuzz_target!(|data: &[u8]| {
    let Some(([from, to, rule, how, cut], body)) = chosen(data) else {
        return;
    };
    let (from, to) = (pick(&Format::CHATS, from), pick(&CLIENTS, to));
    let whole = translated(from, to, rule, how, [body].into_iter());
    let pieces = translated(from, to, rule, how, body.chunks(cut + 1));
    assert_eq!(whole, pieces, "{from:?} to {to:?}, cut at {}", cut + 1);
    check(to, how & 2 != 0, &whole);
});

fn translated<'a>(
    from: Format,
    to: Format,
    rule: usize,
    how: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let rule = pick(&RULES, rule);
    let mut translator = StreamTranslator::new(from, rule, to, shown(how)).expect("both are chats");
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&translator.feed(piece));
    }
    out.extend_from_slice(&translator.finish().0);
    out
}

fn check(to: Format, as_array: bool, out: &[u8]) {
    let is_json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).is_ok();
    if to == Format::Gemini && as_array {
        assert!(out.is_empty() || is_json(out), "no JSON array");
        return;
    }
    for line in out.split(|byte| *byte == b'\n') {
        if let Some(data) = line.strip_prefix(b"data: ") {
            let data = data.trim_ascii();
            assert!(data == b"[DONE]" || is_json(data), "{to:?} writes no JSON");
        }
    }
}
