//! What a provider wants back unread: signatures of thinking, encrypted reasoning, thought signatures.
//!
//! A seal returns to its provider byte for byte, through clients of every format. Where the client's
//! format has a place for its own provider's seals, a foreign one travels there as base64 that says
//! whose it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::format::Format;

/// An opaque piece of `format`, which alone can make sense of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    pub format: Format,
    /// A signature, or whatever the format's own files put together.
    pub data: String,
}

/// Nine bytes, so that every wrapped seal begins with the same twelve characters of base64.
const MARK: &str = "tollgate:";
pub(crate) const WRAPPED_MARK: &str = "dG9sbGdhdGU6";

impl Seal {
    pub fn new(format: Format, data: impl Into<String>) -> Seal {
        Seal {
            format,
            data: data.into(),
        }
    }

    /// The text that stands where `place` keeps its own seals.
    pub fn write(&self, place: Format) -> String {
        match self.format == place {
            true => self.data.clone(),
            false => STANDARD.encode(format!("{MARK}{}:{}", self.format.name(), self.data)),
        }
    }

    /// The seal that a client sends back where `place` keeps its own.
    pub fn read(place: Format, text: &str) -> Seal {
        Seal::unwrap(text).unwrap_or_else(|| Seal::new(place, text))
    }

    /// What goes to a provider of `format`: nothing where another sealed it.
    pub fn for_format(&self, format: Format) -> Option<&str> {
        (self.format == format).then_some(&*self.data)
    }

    fn unwrap(text: &str) -> Option<Seal> {
        if !text.starts_with(WRAPPED_MARK) {
            return None;
        }
        // Google's clients read bytes there and write them again in the other alphabet
        let standard = text.replace('-', "+").replace('_', "/");
        let decoded = String::from_utf8(STANDARD.decode(standard).ok()?).ok()?;
        let (name, data) = decoded.strip_prefix(MARK)?.split_once(':')?;
        Some(Seal::new(Format::by_name(name)?, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_seal_comes_back_as_it_was() {
        let seal = Seal::new(Format::Gemini, "EqQB+/=");
        let text = seal.write(Format::Anthropic);
        assert!(text.starts_with(WRAPPED_MARK));
        assert_eq!(Seal::read(Format::Anthropic, &text), seal);
        assert_eq!(seal.for_format(Format::Anthropic), None);
    }

    #[test]
    fn a_foreign_seal_may_come_back_in_the_other_alphabet() {
        let seal = Seal::new(Format::Anthropic, "ErUB~~~???>>>");
        let text = seal.write(Format::Gemini);
        let other = text.replace('+', "-").replace('/', "_");
        assert_ne!(text, other);
        assert_eq!(Seal::read(Format::Gemini, &other), seal);
    }

    #[test]
    fn an_own_seal_is_not_touched() {
        let seal = Seal::read(Format::Anthropic, "ErUB==");
        assert_eq!(seal.write(Format::Anthropic), "ErUB==");
        assert_eq!(seal.for_format(Format::Anthropic), Some("ErUB=="));
    }
}
