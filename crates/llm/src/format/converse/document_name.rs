//! Names of documents as Bedrock takes them: letters, digits, hyphens, parentheses, square brackets and
//! single blanks, at most 200, and no name twice in a request.

use std::collections::HashSet;

const MAX_LENGTH: usize = 200;

/// The names of one request.
#[derive(Debug, Default)]
pub(super) struct DocumentNames {
    given: HashSet<String>,
}

impl DocumentNames {
    /// The name of the next document: like `wish` as far as it may be, and the same each time the
    /// conversation is sent, so that the provider's cache holds.
    pub fn give(&mut self, wish: Option<&str>) -> String {
        let mut name = wish.map(sanitized).unwrap_or_default();
        if name.is_empty() {
            name = "Document".to_owned();
        }
        let mut unique = name.clone();
        let mut number = 2_usize;
        while !self.given.insert(unique.clone()) {
            unique = format!("{name} ({number})");
            number += 1;
        }
        unique
    }
}

/// Without a file's ending, which the block tells as its format.
fn sanitized(wish: &str) -> String {
    let stem = match wish.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && (1..=4).contains(&ending.len()) => stem,
        _ => wish,
    };
    let allowed = stem.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() => c,
        '-' | '(' | ')' | '[' | ']' => c,
        _ => ' ',
    });
    let text: String = allowed.collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut name = words.join(" ");
    // room for the number of a name that is there already
    name.truncate(MAX_LENGTH - 10);
    name.truncate(name.trim_end().len());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_bedrock_takes_and_never_the_same() {
        let mut names = DocumentNames::default();
        assert_eq!(names.give(Some("Q3  report_final.pdf")), "Q3 report final");
        assert_eq!(names.give(Some("Q3 report/final")), "Q3 report final (2)");
        assert_eq!(names.give(None), "Document");
        assert_eq!(names.give(Some("…")), "Document (2)");
        assert_eq!(names.give(Some(&"long ".repeat(90))).len(), 189);
    }
}
