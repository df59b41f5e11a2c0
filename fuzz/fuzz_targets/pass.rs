//! What passes as it is: requests that are read and rewritten, answers and streams that are watched. No
//! bytes may panic; what is not ours to change stays.
#![no_main]

use bytes::Bytes;
use fuzz::{CLIENTS, OTHERS, RULES, chosen, pick};
use libfuzzer_sys::fuzz_target;
use llm::response::{self, StreamObserver};
use llm::{Format, request};

fuzz_target!(|data: &[u8]| {
    let Some(([format, rule, cut], body)) = chosen(data) else {
        return;
    };
    let format: Format = match format & 0x80 {
        0 => pick(&CLIENTS, format),
        _ => pick(&OTHERS, format),
    };
    let rule = pick(&RULES, rule);
    let whole = Bytes::copy_from_slice(body);
    if let Ok(peek) = request::peek(format, &whole) {
        let written = request::rewrite(&whole, &peek, "upstream-name", true).concat();
        // half a surrogate pair is JSON by its grammar, and the provider's to judge
        let is_json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).is_ok();
        assert!(
            is_json(&written) || !is_json(&whole),
            "{format:?} rewritten is no JSON"
        );
    }
    let form = "multipart/form-data; boundary=x";
    for kind in [Format::Transcription, Format::ImageEdit] {
        let _ = request::read(kind, Some(form), &whole, None);
    }
    let _ = request::without_seals(format, &whole);
    let (same, _) = response::observe(format, rule, whole.clone(), "");
    assert_eq!(same, whole, "an answer that nobody renames stays");
    let mut observer = StreamObserver::new(format, rule, "", false);
    let mut passed = Vec::new();
    for piece in body.chunks(cut + 1) {
        passed.extend_from_slice(&observer.feed(Bytes::copy_from_slice(piece)));
    }
    passed.extend_from_slice(&observer.finish().0);
    assert_eq!(passed, body, "a stream that nobody renames stays");
});
