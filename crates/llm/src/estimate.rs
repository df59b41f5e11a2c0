//! What a call took, about, where the provider does not say: from what the request asks for.
//!
//! An estimate is counted in what the model is priced by, so that a call which hides its usage (a
//! transcript as plain text) is not free of charge.

use crate::format::Format;
use crate::price::{PriceContext, PriceRecord};
use crate::tokens;
use crate::usage::{Bucket, Usage};

/// Speech is read at about fifteen characters a second.
const MILLISECONDS_PER_CHARACTER: u64 = 67;
/// A token of OpenAI's models that listen is a tenth of a second.
const MILLISECONDS_PER_TOKEN_HEARD: u64 = 100;
/// A minute that they speak is about 1250 tokens.
const MILLISECONDS_PER_TOKEN_SPOKEN: u64 = 48;

/// How much a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Bytes of text: the body, or the parts of a form that are no files.
    pub text: u64,
    /// Speech: the characters to be read.
    pub characters: u64,
    /// Transcriptions: how long the sound is, about.
    pub milliseconds: u64,
    /// How many pictures are to be made.
    pub images: u64,
}

impl Measure {
    /// Of a body of which nothing is known but its size.
    pub fn of_text(bytes: usize) -> Measure {
        Measure {
            text: bytes as u64,
            ..Measure::default()
        }
    }

    /// The usage of a call of which so many bytes of generated text were seen.
    pub fn usage(&self, format: Format, output_bytes: u64, price: Option<&PriceRecord>) -> Usage {
        let is_priced_by = |bucket: Bucket| {
            let found = price.and_then(|price| price.price(bucket, &PriceContext::default()));
            found.is_some()
        };
        let input = tokens::rough(self.text);
        let output = tokens::rough(output_bytes);
        let none = Usage::default();
        match format {
            Format::ImageGeneration | Format::ImageEdit => Usage {
                images: self.images,
                ..none
            },
            Format::Rerank if is_priced_by(Bucket::SearchUnits) => Usage {
                search_units: 1,
                ..none
            },
            Format::Moderation | Format::Rerank => Usage { input, ..none },
            Format::Speech => self.speech(is_priced_by),
            Format::Transcription | Format::Translation if self.milliseconds > 0 => {
                match is_priced_by(Bucket::Milliseconds) || !is_priced_by(Bucket::Input) {
                    true => Usage {
                        milliseconds: self.milliseconds,
                        ..none
                    },
                    false => Usage {
                        input,
                        input_audio: self.milliseconds / MILLISECONDS_PER_TOKEN_HEARD,
                        output,
                        ..none
                    },
                }
            }
            _ => Usage {
                input,
                output,
                ..none
            },
        }
    }

    fn speech(&self, is_priced_by: impl Fn(Bucket) -> bool) -> Usage {
        let milliseconds = self.characters.saturating_mul(MILLISECONDS_PER_CHARACTER);
        let none = Usage::default();
        if is_priced_by(Bucket::Characters) || !is_priced_by(Bucket::Input) {
            return Usage {
                characters: self.characters,
                ..none
            };
        }
        if is_priced_by(Bucket::Milliseconds) {
            return Usage {
                milliseconds,
                ..none
            };
        }
        Usage {
            input: tokens::rough(self.characters),
            output_audio: milliseconds / MILLISECONDS_PER_TOKEN_SPOKEN,
            ..none
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalogue;

    const MEASURE: Measure = Measure {
        text: 400,
        characters: 300,
        milliseconds: 60_000,
        images: 2,
    };

    fn usage(format: Format, model: &str) -> Usage {
        let found = Catalogue::shipped().find_by_name(model);
        let price = found.and_then(|model| model.price);
        MEASURE.usage(format, 40, price.as_ref())
    }

    #[test]
    fn an_estimate_is_counted_in_what_is_priced() {
        let none = Usage::default();
        for (format, model, expected) in [
            (
                Format::Speech,
                "openai/tts-1",
                Usage {
                    characters: 300,
                    ..none
                },
            ),
            (
                Format::Speech,
                "openai/gpt-4o-mini-tts",
                Usage {
                    milliseconds: 20_100,
                    ..none
                },
            ),
            (
                Format::Transcription,
                "openai/whisper-1",
                Usage {
                    milliseconds: 60_000,
                    ..none
                },
            ),
            (
                Format::Transcription,
                "gemini/gemini-3.5-transcribe",
                Usage {
                    input: 100,
                    input_audio: 600,
                    output: 10,
                    ..none
                },
            ),
            (
                Format::Translation,
                "nobody/knows",
                Usage {
                    milliseconds: 60_000,
                    ..none
                },
            ),
            (
                Format::Rerank,
                "cohere/rerank-v3.5",
                Usage {
                    search_units: 1,
                    ..none
                },
            ),
            (
                Format::Rerank,
                "voyage/rerank-2",
                Usage { input: 100, ..none },
            ),
            (
                Format::ImageEdit,
                "openai/gpt-image-1",
                Usage { images: 2, ..none },
            ),
            (
                Format::OpenAiChat,
                "openai/gpt-4o",
                Usage {
                    input: 100,
                    output: 10,
                    ..none
                },
            ),
        ] {
            assert_eq!(usage(format, model), expected, "{model}");
        }
    }
}
