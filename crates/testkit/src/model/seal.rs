//! Opaque parts: what the model seals, and how it knows its own again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The seal of the model's `round`th turn (how many results of tools came before it). Long enough to
/// be cut by streams, with `+`, `/` and `=` in it.
pub fn of(kind: &str, round: usize) -> String {
    let noise =
        (0_usize..91).map(|at| u8::try_from((at * 89 + round * 31 + 251) % 256).unwrap_or(0));
    let bytes: Vec<u8> = kind.bytes().chain([0xfb, 0xff]).chain(noise).collect();
    STANDARD.encode(bytes)
}

/// Whether this is that seal, in either alphabet of base64: Google's own Python SDK sends back what it
/// decoded in the other one, and Gemini takes both.
pub fn is(text: &str, kind: &str, round: usize) -> bool {
    text.replace('-', "+").replace('_', "/") == of(kind, round)
}

/// What the model thinks in that turn.
pub fn thought(round: usize) -> String {
    format!("Thought {round}: “weather” – 天気 😀")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_differ_and_hold_every_kind_of_character() {
        let (first, second) = (of("thinking", 0), of("thinking", 1));
        assert_ne!(first, second);
        assert!(
            first.contains('+') && first.contains('/') && first.ends_with('='),
            "{first}"
        );
    }
}
