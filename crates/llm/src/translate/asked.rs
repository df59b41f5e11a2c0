//! What an answer needs of the request that it answers.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::format::Format;
use crate::json::Cursor;

/// The members of a client's request that its answer is written with ([`crate::Shown::request`]): a
/// response repeats its settings, a chat answers as its tools were asked for, and embeddings come in the
/// encoding that was asked for. The prompt, which may
/// be large, is none of them: where its place is known (`input`), it is not gone through. `None` where an
/// answer needs nothing.
pub fn of_request(from: Format, body: &[u8], input: Option<&Range<usize>>) -> Option<Value> {
    let is_wanted = match from {
        Format::OpenAiResponses => |name: &str| name != "input",
        Format::OpenAiEmbedding => |name: &str| name == "encoding_format",
        Format::OpenAiChat if asks_in_other_forms(body) => {
            |name: &str| matches!(name, "functions" | "tools")
        }
        _ => return None,
    };
    let mut cursor = Cursor::new(body, 0);
    let mut members = cursor.members()?;
    let mut wanted = Map::new();
    while let Some(name) = members.key().ok()? {
        let place = match input.filter(|input| input.start == members.cursor.at) {
            Some(input) => {
                members.cursor.at = input.end;
                input.clone()
            }
            None => members.value().ok()?,
        };
        let name = name.decode(body)?;
        if is_wanted(&name) {
            let value = serde_json::from_slice(&body[place]).ok()?;
            wanted.insert(name.into_owned(), value);
        }
    }
    Some(Value::Object(wanted))
}

/// Whether a chat may define tools in the old form or with free text, which most do not.
fn asks_in_other_forms(body: &[u8]) -> bool {
    [&b"\"functions\""[..], b"\"custom\""]
        .iter()
        .any(|word| memchr::memmem::find(body, word).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_needs_what_it_repeats_and_not_the_prompt() {
        let responses =
            br#"{"model":"m","input":[{"role":"user"}],"store":false,"t\u006fols":[1]}"#;
        assert_eq!(
            of_request(Format::OpenAiResponses, responses, None),
            Some(json!({"model": "m", "store": false, "tools": [1]}))
        );
        let input = crate::request::peek(Format::OpenAiResponses, responses)
            .expect("a request")
            .input;
        assert_eq!(
            of_request(Format::OpenAiResponses, responses, input.as_ref()),
            of_request(Format::OpenAiResponses, responses, None)
        );
        assert!(input.is_some());
        let functions = br#"{"messages":[{"content":"hi"}],"functions":[{"name":"f"}]}"#;
        assert_eq!(
            of_request(Format::OpenAiChat, functions, None),
            Some(json!({"functions": [{"name": "f"}]}))
        );
        let plain = br#"{"messages":[{"content":"hi"}],"tools":[]}"#;
        assert_eq!(of_request(Format::OpenAiChat, plain, None), None);
        assert_eq!(of_request(Format::Anthropic, responses, None), None);
        for broken in [&b"[]"[..], b"{", br#"{"a":"#, b""] {
            assert_eq!(of_request(Format::OpenAiResponses, broken, None), None);
        }
    }
}
