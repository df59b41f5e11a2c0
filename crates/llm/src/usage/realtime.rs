//! The usage of one answer of OpenAI's realtime API. Input holds cached tokens, which are told apart by
//! what they are; a cached token is in the cache's bucket alone, whatever it is.

use serde::Deserialize;

use super::Usage;
use super::wire::{Count, Lenient, Rest};

/// Reads the JSON text of `response.usage`; `None` for what is no object or holds no count.
pub(crate) fn read(json: &[u8]) -> Option<Usage> {
    let wire: Wire = serde_json::from_slice(json).ok()?;
    if wire.input_tokens.0.is_none() && wire.output_tokens.0.is_none() {
        return None;
    }
    let details = &wire.input_token_details.0;
    let cached = details.cached_tokens_details.0;
    let mut rest = Rest(wire.input_tokens.or_zero());
    let cache_read = rest.take(details.cached_tokens.or_zero());
    // where the cached ones are not told apart they are taken for text, as long as there is any
    let text = details.text_tokens.or_zero();
    let (cached_audio, cached_image) = match cached.is_stated() {
        true => (cached.audio_tokens.or_zero(), cached.image_tokens.or_zero()),
        false => (cache_read.saturating_sub(text), 0),
    };
    let uncached = |tokens: Count, cached: u64| tokens.or_zero().saturating_sub(cached);
    let input_audio = rest.take(uncached(details.audio_tokens, cached_audio));
    let input_image = rest.take(uncached(details.image_tokens, cached_image));
    let mut made = Rest(wire.output_tokens.or_zero());
    let output_audio = made.take(wire.output_token_details.0.audio_tokens.or_zero());
    let output_image = made.take(wire.output_token_details.0.image_tokens.or_zero());
    let reasoning = made.take(wire.output_token_details.0.reasoning_tokens.or_zero());
    Some(Usage {
        input: rest.0,
        cache_read,
        input_audio,
        input_image,
        output: made.0,
        reasoning,
        output_audio,
        output_image,
        ..Usage::default()
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    input_tokens: Count,
    output_tokens: Count,
    #[serde(alias = "input_tokens_details")]
    input_token_details: Lenient<InputDetails>,
    #[serde(alias = "output_tokens_details")]
    output_token_details: Lenient<OutputDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InputDetails {
    text_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
    cached_tokens: Count,
    cached_tokens_details: Lenient<CachedDetails>,
}

#[derive(Clone, Copy, Deserialize, Default)]
#[serde(default)]
struct CachedDetails {
    text_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

impl CachedDetails {
    fn is_stated(self) -> bool {
        [self.text_tokens, self.audio_tokens, self.image_tokens]
            .iter()
            .any(|count| count.0.is_some())
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OutputDetails {
    audio_tokens: Count,
    image_tokens: Count,
    reasoning_tokens: Count,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_audio_and_what_was_cached_stand_apart() {
        let usage = read(
            br#"{"total_tokens":253,"input_tokens":132,"output_tokens":121,
            "input_token_details":{"text_tokens":119,"audio_tokens":13,"image_tokens":0,"cached_tokens":64,
            "cached_tokens_details":{"text_tokens":60,"audio_tokens":4,"image_tokens":0}},
            "output_token_details":{"text_tokens":30,"audio_tokens":91}}"#,
        )
        .unwrap();
        let expected = Usage {
            input: 59,
            cache_read: 64,
            input_audio: 9,
            output: 30,
            output_audio: 91,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        assert_eq!(usage.total_tokens(), 253);
    }

    #[test]
    fn cached_tokens_that_are_not_told_apart_are_text_first() {
        let usage = read(
            br#"{"input_tokens":100,"output_tokens":0,"input_token_details":
            {"text_tokens":30,"audio_tokens":70,"cached_tokens":40}}"#,
        )
        .unwrap();
        assert_eq!(
            (usage.input, usage.input_audio, usage.cache_read),
            (0, 60, 40)
        );
    }

    #[test]
    fn odd_numbers_never_exceed_their_whole() {
        let usage = read(
            br#"{"input_tokens":5,"output_tokens":3.0,"input_token_details":{"audio_tokens":99,
            "cached_tokens":2,"cached_tokens_details":null},"output_token_details":{"audio_tokens":9}}"#,
        )
        .unwrap();
        assert_eq!(usage.total_tokens(), 8);
        assert!(read(b"null").is_none());
        assert!(read(b"{}").is_none());
        assert!(read(br#"{"input_tokens":"many"}"#).is_none());
    }
}
