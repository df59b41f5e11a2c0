//! A provider's refusal without the key that it was asked with: some quote what they do not take, and the key
//! is the gateway's or another's, not the client's.
//!
//! Answers that are no refusals pass untouched: they are the model's words. Nor is a proof looked for that
//! is so short that it may stand in any text (`none`, `ollama`).

use base::Secret;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;

/// What stands in a key's place.
const INSTEAD: &[u8] = b"[redacted]";
const SHORTEST: usize = 8;

/// The proofs of one request, and the end of its answer that may be the beginning of one.
pub struct Redaction {
    keys: Vec<Secret>,
    held: Vec<u8>,
}

impl Redaction {
    /// `None` where a request with these headers proves nothing.
    pub fn of(asked: &HeaderMap) -> Option<Redaction> {
        let proofs = asked.values().filter(|value| value.is_sensitive());
        let keys: Vec<Secret> = proofs
            .filter_map(|value| value.to_str().ok()?.rsplit(' ').next())
            .filter(|key| key.len() >= SHORTEST)
            .map(Secret::new)
            .collect();
        (!keys.is_empty()).then(|| Redaction {
            keys,
            held: Vec::new(),
        })
    }

    /// Redacts the answer's headers.
    pub fn redact(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(clean) = self.cleaned(value.as_bytes()) {
                *value = HeaderValue::from_bytes(&clean)
                    .expect("a header's value with visible text in place of a part");
            }
        }
    }

    /// What may go on of the body, now that this piece of it is here.
    pub fn pass(&mut self, piece: Bytes) -> Bytes {
        let text = match self.held.is_empty() {
            true => piece,
            false => [std::mem::take(&mut self.held), piece.into()]
                .concat()
                .into(),
        };
        let mut text = self.cleaned(&text).map_or(text, Bytes::from);
        let begun = self.keys.iter().map(|key| begun(&text, key.expose()));
        let begun = begun.max().unwrap_or_default();
        self.held = text.split_off(text.len() - begun).into();
        text
    }

    /// What is left at the body's end.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }

    /// `None` where there is no key in a text.
    fn cleaned(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut clean: Option<Vec<u8>> = None;
        for key in self.keys.iter().map(|key| key.expose().as_bytes()) {
            let text = clean.as_deref().unwrap_or(text);
            let mut places = memmem::find_iter(text, key).peekable();
            if places.peek().is_none() {
                continue;
            }
            let (mut without, mut from) = (Vec::with_capacity(text.len()), 0);
            for at in places {
                without.extend_from_slice(&text[from..at]);
                without.extend_from_slice(INSTEAD);
                from = at + key.len();
            }
            without.extend_from_slice(&text[from..]);
            clean = Some(without);
        }
        clean
    }
}

/// How many bytes of a text's end are a key's beginning.
fn begun(text: &[u8], key: &str) -> usize {
    let most = text.len().min(key.len() - 1);
    let mut lengths = (1..=most).rev();
    lengths
        .find(|length| text.ends_with(&key.as_bytes()[..*length]))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redaction(proofs: &[(&'static str, &'static str)]) -> Option<Redaction> {
        let mut headers = HeaderMap::new();
        for (name, proof) in proofs {
            let mut value = HeaderValue::from_static(proof);
            value.set_sensitive(true);
            headers.insert(*name, value);
        }
        headers.insert("accept", HeaderValue::from_static("application/json"));
        Redaction::of(&headers)
    }

    #[test]
    fn a_key_is_found_however_the_text_is_cut() {
        let text = b"no such key: abababac-1, abababac-1! abababab ababab";
        let wanted = b"no such key: [redacted], [redacted]! abababab ababab";
        for size in 1..=text.len() {
            let mut redaction = redaction(&[("authorization", "Bearer abababac-1")]).expect("one");
            let pieces = text.chunks(size).map(Bytes::copy_from_slice);
            let mut passed: Vec<Bytes> = pieces.map(|piece| redaction.pass(piece)).collect();
            passed.push(redaction.finish());
            assert_eq!(passed.concat(), wanted, "pieces of {size}");
        }
    }

    #[test]
    fn every_proof_is_looked_for_in_headers_too() {
        let proofs = [("x-api-key", "key-one-1"), ("api-key", "key-two-2")];
        let redaction = redaction(&proofs).expect("two");
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-said",
            HeaderValue::from_static("key-two-2, key-one-1 twice"),
        );
        headers.insert("x-other", HeaderValue::from_static("application/json"));
        redaction.redact(&mut headers);
        assert_eq!(headers["x-said"], "[redacted], [redacted] twice");
        assert_eq!(headers["x-other"], "application/json");
    }

    #[test]
    fn a_proof_that_is_any_word_is_not_looked_for() {
        assert!(redaction(&[("authorization", "Bearer ollama")]).is_none());
        assert!(redaction(&[]).is_none());
    }
}
