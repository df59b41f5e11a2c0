//! What looks like a key and is none: the texts that guides and `.env` files put where a key belongs.
//! One function for whatever is saved, listed or sent, and for the keys of the environment.

/// Whether a text stands where a key is to be put, in whatever case.
pub fn is_placeholder(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    const PARTS: [&str; 22] = [
        "your-key",
        "your_key",
        "yourkey",
        "your-real-key",
        "your-api-key",
        "your_api_key",
        "your-actual",
        "your-anthropic",
        "your-openai",
        "your-google",
        "your-gemini",
        "your_openai",
        "your_anthropic",
        "your_google",
        "key-here",
        "key_here",
        "api-key-goes",
        "replace-me",
        "replace_me",
        "replaceme",
        "insert-key",
        "insert_key",
    ];
    const WHOLE: [&str; 12] = [
        "changethis",
        "changeme",
        "change-me",
        "change_me",
        "placeholder",
        "dummy",
        "none",
        "null",
        "todo",
        "api-key",
        "api_key",
        "secret",
    ];
    text.is_empty()
        || PARTS.iter().any(|part| text.contains(part))
        || WHOLE.contains(&text.as_str())
        || text.starts_with("os.environ/")
        || is_shape(&text)
}

/// `<key>`, `sk-...`, `AIza…`, `sk-xxxxxxxx`, `****`.
fn is_shape(text: &str) -> bool {
    let is_bracketed = text.starts_with('<') && text.ends_with('>')
        || text.starts_with("${") && text.ends_with('}');
    let end: String = text.chars().rev().take(4).collect();
    let is_cut = end.starts_with("...") || end.starts_with('…');
    // random keys hold many different letters; what is left after the prefix here is one
    let rest = text.rsplit('-').next().unwrap_or(text);
    let is_blanked = rest.chars().count() >= 4
        && rest.chars().next().is_some_and(|first| {
            matches!(first, 'x' | '*' | '.' | '•') && rest.chars().all(|letter| letter == first)
        });
    is_bracketed || is_cut || is_blanked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guides_print_is_no_key() {
        for text in [
            "",
            "  ",
            "your-key-here",
            "your-actual-key-here",
            "sk-ant-your-key",
            "sk-ant-YOUR-REAL-KEY",
            "sk-ant-YOUR-KEY-HERE",
            "sk-proj-your-key-here-xxxx",
            "your-google-key",
            "your_openai_api_key",
            "AIza…",
            "AIza...",
            "sk-ant-...",
            "sk-ant-xxxxxxxx",
            "<your key>",
            "${OPENAI_API_KEY}",
            "os.environ/OPENAI_API_KEY",
            "changethis",
            "************",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn keys_are_keys_whatever_their_prefix() {
        for text in [
            "sk-ant-api03-Zk3xx4A9yourselfQw_7LpR",
            "AQ.Ab8RN6K1m2Qz0pYt",
            "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
            "gsk_4fjK2Lm9Q",
            "sk-1",
            "0123456789abcdef0123456789abcdef",
            r#"{"type":"service_account","project_id":"p"}"#,
            "sk-or-v1-x",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
