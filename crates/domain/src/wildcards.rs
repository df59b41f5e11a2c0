//! Names with a `*` in them, each of which stands for any text.

/// What each `*` of the pattern stands for in the name; `None` when the name does not fit.
pub fn captures<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty().then(Vec::new);
    };
    let mut captured = Vec::with_capacity(parts.len() + 1);
    for part in parts {
        // the earliest place leaves the most for the parts after it
        let at = rest.find(part)?;
        captured.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    captured.push(rest.strip_suffix(last)?);
    Some(captured)
}

/// Puts what was captured in place of the stars, in order; a star too many stays.
pub fn fill(template: &str, captured: &[&str]) -> String {
    let mut captured = captured.iter();
    let mut filled = String::with_capacity(template.len() + 16);
    for (index, part) in template.split('*').enumerate() {
        if index > 0 {
            filled.push_str(captured.next().unwrap_or(&"*"));
        }
        filled.push_str(part);
    }
    filled
}

/// How specific a pattern is: the more letters beside its stars, the more.
pub fn specificity(pattern: &str) -> usize {
    pattern.bytes().filter(|byte| *byte != b'*').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert_eq!(captures("openai/*", "openai/gpt-4o"), Some(vec!["gpt-4o"]));
        assert_eq!(captures("*", "a/b"), Some(vec!["a/b"]));
        assert_eq!(captures("a*b*c", "a-b-b-c"), Some(vec!["-", "-b-"]));
        assert_eq!(captures("exact", "exact"), Some(vec![]));
        assert_eq!(captures("exact", "exactly"), None);
        assert_eq!(captures("openai/*", "groq/x"), None);
        assert_eq!(captures("ab*ba", "aba"), None);
    }

    #[test]
    fn what_was_captured_fills_the_upstream_s_name() {
        assert_eq!(fill("*", &["gpt-4o"]), "gpt-4o");
        assert_eq!(fill("x-*-latest", &["mini"]), "x-mini-latest");
        assert_eq!(fill("fixed", &["mini"]), "fixed");
        assert_eq!(fill("*/*", &["a"]), "a/*");
    }
}
