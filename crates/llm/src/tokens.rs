//! Counting tokens where no provider has counted.
//!
//! [`count`] runs a tokenizer and is for what may take its time (its tables are loaded at the first
//! use and stay in memory); [`bound`] and [`rough`] are arithmetic and cost nothing.

use tiktoken_rs::CoreBPE;
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};

/// Text is tokenised in pieces of this size: the tokenizer's time grows with the square of a word.
const PIECE_BYTES: usize = 2048;

/// An upper bound of the tokens in a text: every token stands for at least one byte of it.
pub fn bound(bytes: u64) -> u64 {
    bytes
}

/// About how many tokens a text of so many bytes has: four bytes each, as English does.
pub fn rough(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// The tokens of a text, by the tokenizer of the model where it is public, by OpenAI's newest one
/// otherwise.
pub fn count(model: &str, text: &str) -> u64 {
    let tokenizer = tokenizer(model);
    let mut rest = text;
    let mut tokens = 0;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_end(rest));
        tokens += tokenizer.encode_ordinary(piece).len() as u64;
        rest = after;
    }
    tokens
}

fn tokenizer(model: &str) -> &'static CoreBPE {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    match get_tokenizer(name) {
        Some(Tokenizer::Cl100kBase) => tiktoken_rs::cl100k_base_singleton(),
        _ => tiktoken_rs::o200k_base_singleton(),
    }
}

/// The end of the first piece: behind white space if there is some, else anywhere.
fn piece_end(text: &str) -> usize {
    if text.len() <= PIECE_BYTES {
        return text.len();
    }
    let limit = text.floor_char_boundary(PIECE_BYTES);
    // A token begins with the white space before its word.
    text[..limit]
        .rfind(char::is_whitespace)
        .filter(|at| *at > 0)
        .unwrap_or(limit)
}
