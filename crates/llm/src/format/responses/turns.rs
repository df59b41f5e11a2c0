//! What the gateway needs to keep conversations itself (`previous_response_id`), where the provider
//! cannot: the items of a turn, and a request with the items of earlier turns before its own.

use base::Result;
use serde_json::{Map, Value, json};

use super::read_request::{invalid, missing, wrong_type};

/// The request with `earlier_items` before its input and without `previous_response_id`.
///
/// # Errors
/// `InvalidRequest` (400) for what is no JSON object, or whose `input` is neither text nor a list.
pub fn prepend(body: &[u8], earlier_items: &[Value]) -> Result<Vec<u8>> {
    let mut request: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|fault| invalid("request_body", format!("Invalid JSON payload: {fault}")))?;
    request.remove("previous_response_id");
    let own = match request.remove("input") {
        None | Some(Value::Null) => return Err(missing("input")),
        Some(input) => {
            items_of(input).ok_or_else(|| wrong_type("input", "a string or an array"))?
        }
    };
    let mut input = earlier_items.to_vec();
    input.extend(own);
    request.insert("input".to_owned(), Value::Array(input));
    Ok(Value::Object(request).to_string().into_bytes())
}

/// The items of a request's input, a text as the message it means; none where it cannot be read.
pub fn input_items(body: &[u8]) -> Vec<Value> {
    let request: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    let input = request.and_then(|mut request| request.remove("input"));
    input.and_then(items_of).unwrap_or_default()
}

/// The output items of a whole answer, or of the last event of a stream (`response.completed`), as
/// they go back in the next turn's input; none where it cannot be read.
pub fn output_items(body: &[u8]) -> Vec<Value> {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(body) else {
        return Vec::new();
    };
    if let Some(Value::Object(response)) = answer.remove("response") {
        answer = response;
    }
    match answer.remove("output") {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn items_of(input: Value) -> Option<Vec<Value>> {
    match input {
        Value::String(text) => Some(vec![json!({
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        })]),
        Value::Array(items) => Some(items),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_items_come_first() {
        let body = br#"{"model":"m","previous_response_id":"resp_1","input":"and now?"}"#;
        let answer = br#"{"id":"resp_1","output":[{"type":"message","id":"msg_1"}]}"#;
        let mut earlier = input_items(br#"{"input":[{"role":"user","content":"hi"}]}"#);
        earlier.extend(output_items(answer));
        let joined: Value = serde_json::from_slice(&prepend(body, &earlier).unwrap()).unwrap();
        assert_eq!(joined.get("previous_response_id"), None);
        assert_eq!(joined["model"], "m");
        assert_eq!(joined["input"][0]["content"], "hi");
        assert_eq!(joined["input"][1]["id"], "msg_1");
        assert_eq!(joined["input"][2]["content"][0]["text"], "and now?");
    }

    #[test]
    fn the_last_event_of_a_stream_holds_the_output() {
        let event =
            br#"{"type":"response.completed","response":{"output":[{"type":"reasoning"}]}}"#;
        assert_eq!(output_items(event), [json!({"type": "reasoning"})]);
    }

    #[test]
    fn what_cannot_be_read_holds_no_items_and_is_refused() {
        assert!(output_items(b"<html>").is_empty());
        assert!(input_items(b"[]").is_empty());
        assert_eq!(prepend(b"{", &[]).unwrap_err().status(), 400);
        assert_eq!(prepend(b"{}", &[]).unwrap_err().parameter(), Some("input"));
        let error = prepend(br#"{"input":3}"#, &[]).unwrap_err();
        assert_eq!(error.parameter(), Some("input"));
    }
}
