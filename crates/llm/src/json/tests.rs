//! The walk against the grammar, and against serde_json.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn is_json(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text, 0);
    let valid = cursor.value().is_ok();
    cursor.whitespace();
    valid && cursor.at == text.len()
}

#[test]
fn the_grammar_is_that_of_json() {
    for good in [
        "0",
        "-0.1e+5",
        " [ ] ",
        "{}",
        "[1,[2,{\"a\":[]}]]",
        "\"\\u00e9\\n\"",
        "null",
        "{\"\":{}}",
    ] {
        assert!(is_json(good.as_bytes()), "{good}");
    }
    for bad in [
        "",
        "01",
        "-",
        "1.",
        "1e",
        ".5",
        "+1",
        "[1,]",
        "[,1]",
        "{,}",
        "{\"a\"}",
        "{\"a\":1,}",
        "{a:1}",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\t\"",
        "nul",
        "[1 2]",
        "[}",
        "{]",
        "\"",
        "[",
        "tru e",
    ] {
        assert!(!is_json(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(is_json(format!("{{\"a\":{}}}", nested(127)).as_bytes()));
    assert!(!is_json(nested(130).as_bytes()));
}

fn json_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[\\[\\]{},: \n\"\\\\]",
        "\"[a-zé]{0,12}\"",
        "\"\\\\[nu\"x]0?0?4?1?\"",
        "-?[0-9.eE+]{1,5}",
        "true|false|null|tru",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        ".*".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map(".*", inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn it_takes_what_serde_json_takes(text in json_like()) {
        let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(is_json(text.as_bytes()), theirs, "{}", text);
    }

    #[test]
    fn members_are_those_of_serde_json(value in any_json()) {
        for text in [value.to_string(), format!("{value:#}")] {
            prop_assert!(is_json(text.as_bytes()));
            let Some(object) = value.as_object() else { continue };
            let mut cursor = Cursor::new(text.as_bytes(), 0);
            let mut members = cursor.members().expect("an object");
            let mut found = serde_json::Map::new();
            while let Some(key) = members.key().expect("valid") {
                let key = key.decode(text.as_bytes()).expect("a name").into_owned();
                let value = members.value().expect("valid");
                found.insert(key, serde_json::from_str(&text[value]).expect("a value"));
            }
            prop_assert_eq!(cursor.at, text.len());
            prop_assert_eq!(&found, object);
        }
    }

    #[test]
    fn values_are_read_as_serde_json_reads_them(text in json_like()) {
        let theirs = serde_json::from_str::<serde_json::Value>(&text).ok();
        prop_assert_eq!(read(text.as_bytes()).ok(), theirs, "{}", text);
    }

    #[test]
    fn values_are_written_as_serde_json_writes_them(value in any_json()) {
        let written = write(&value);
        prop_assert_eq!(std::str::from_utf8(&written), Ok(&*value.to_string()));
        prop_assert_eq!(read(&written), Ok(value.clone()));
        prop_assert_eq!(read(format!("{value:#}").as_bytes()), Ok(value));
    }

    #[test]
    fn escapes_are_undone_as_serde_json_undoes_them(pieces in prop::collection::vec(escaped(), 0..9)) {
        let text = format!("\"{}\"", pieces.concat());
        let theirs = serde_json::from_str::<String>(&text).ok();
        let ours = string_at(text.as_bytes(), 0..text.len()).map(Cow::into_owned);
        prop_assert_eq!(ours, theirs, "{}", text);
    }
}

/// Pieces of a string as it stands in JSON, halves of surrogates among them.
fn escaped() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zé漢😀 ]{0,30}",
        "\\\\[nrtbf/\"\\\\]",
        "\\\\u[dD][89abAB][0-9a-f]{2}",
        "\\\\u[dD][c-fC-F][0-9A-F]{2}",
        "\\\\u0[0-7][0-9a-f]{2}",
    ]
}
