//! The body of a chat: what it must be, in the words of its validation errors, and the same as a
//! request of OpenAI's protocol.

use base::{Code, Error, Result};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// How much a model may say where the client names no limit.
const USUAL_MOST_TOKENS: u64 = 4096;

/// Who may say something.
const ROLES: [&str; 3] = ["system", "user", "assistant"];

/// The most messages of one request.
const MOST_MESSAGES: usize = 10_000;

/// A chat as it was asked for.
#[derive(Debug)]
pub struct Asked {
    pub model_id: String,
    pub conversation_id: Option<String>,
    /// Role and text; never empty.
    messages: Vec<(String, String)>,
    max_tokens: u64,
    temperature: Option<f64>,
}

/// # Errors
/// [`Code::Validation`] with all places that are wrong.
pub fn read(body: &[u8]) -> Result<Asked> {
    let body = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(_) if !body.is_empty() => {
            let mut wrong = Wrongs::default();
            wrong.add(json!([]), "model_attributes_type", NO_OBJECT);
            return Err(wrong.into());
        }
        Ok(_) => Map::new(),
        Err(_) if body.is_empty() => Map::new(),
        Err(error) => {
            let mut wrong = Wrongs::default();
            wrong.add(json!([error.column()]), "json_invalid", "JSON decode error");
            return Err(wrong.into());
        }
    };
    let mut wrong = Wrongs::default();
    let asked = Asked {
        model_id: text(&body, "model_id", &mut wrong).unwrap_or_default(),
        conversation_id: conversation(&body, &mut wrong),
        messages: messages(&body, &mut wrong),
        max_tokens: max_tokens(&body, &mut wrong),
        temperature: temperature(&body, &mut wrong),
    };
    match wrong.0.is_empty() {
        true => Ok(asked),
        false => Err(wrong.into()),
    }
}

const NO_OBJECT: &str = "Input should be a valid dictionary or object to extract fields from";

/// The places of a body that are wrong.
#[derive(Default)]
struct Wrongs(Vec<Value>);

impl Wrongs {
    fn add(&mut self, place: Value, kind: &str, message: &str) {
        self.add_with(place, kind, message, Value::Null);
    }

    fn add_with(&mut self, place: Value, kind: &str, message: &str, context: Value) {
        let mut loc = vec![json!("body")];
        match place {
            Value::Array(rest) => loc.extend(rest),
            one => loc.push(one),
        }
        let mut wrong = json!({"type": kind, "loc": loc, "msg": message});
        if !context.is_null() {
            wrong["ctx"] = context;
        }
        self.0.push(wrong);
    }
}

impl From<Wrongs> for Error {
    fn from(wrong: Wrongs) -> Error {
        Error::new(Code::Validation, "the body is not as it should be")
            .with_details(Value::Array(wrong.0))
    }
}

fn text(body: &Map<String, Value>, name: &str, wrong: &mut Wrongs) -> Option<String> {
    match body.get(name) {
        None => wrong.add(json!(name), "missing", "Field required"),
        Some(Value::String(text)) => return Some(text.clone()),
        Some(_) => wrong.add(json!(name), "string_type", "Input should be a valid string"),
    }
    None
}

fn conversation(body: &Map<String, Value>, wrong: &mut Wrongs) -> Option<String> {
    match body.get("conversation_id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if domain::v2::is_uuid(id) => Some(id.to_lowercase()),
        Some(Value::String(_)) => {
            let message = "Input should be a valid UUID";
            wrong.add(json!("conversation_id"), "uuid_parsing", message);
            None
        }
        Some(_) => {
            let message = "UUID input should be a string, bytes or UUID object";
            wrong.add(json!("conversation_id"), "uuid_type", message);
            None
        }
    }
}

fn messages(body: &Map<String, Value>, wrong: &mut Wrongs) -> Vec<(String, String)> {
    let list = match body.get("messages") {
        None => {
            wrong.add(json!("messages"), "missing", "Field required");
            return Vec::new();
        }
        Some(Value::Array(list)) => list,
        Some(_) => {
            wrong.add(
                json!("messages"),
                "list_type",
                "Input should be a valid list",
            );
            return Vec::new();
        }
    };
    if list.is_empty() {
        let message = "List should have at least 1 item after validation, not 0";
        let context = json!({"field_type": "List", "min_length": 1, "actual_length": 0});
        wrong.add_with(json!("messages"), "too_short", message, context);
    }
    if list.len() > MOST_MESSAGES {
        let message = format!("List should have at most {MOST_MESSAGES} items after validation");
        let context = json!({"field_type": "List", "max_length": MOST_MESSAGES});
        wrong.add_with(json!("messages"), "too_long", &message, context);
        return Vec::new();
    }
    let read = |(at, item): (usize, &Value)| message(at, item, wrong);
    list.iter().enumerate().filter_map(read).collect()
}

fn message(at: usize, item: &Value, wrong: &mut Wrongs) -> Option<(String, String)> {
    let Value::Object(item) = item else {
        wrong.add(json!(["messages", at]), "model_attributes_type", NO_OBJECT);
        return None;
    };
    let mut field = |name: &str| match item.get(name) {
        None => {
            wrong.add(json!(["messages", at, name]), "missing", "Field required");
            None
        }
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            let message = "Input should be a valid string";
            wrong.add(json!(["messages", at, name]), "string_type", message);
            None
        }
    };
    let (role, content) = (field("role"), field("content"));
    let role = role?;
    if !ROLES.contains(&role.as_str()) {
        let expected = "'system', 'user' or 'assistant'";
        wrong.add_with(
            json!(["messages", at, "role"]),
            "literal_error",
            &format!("Input should be {expected}"),
            json!({"expected": expected}),
        );
        return None;
    }
    Some((role, content?))
}

fn max_tokens(body: &Map<String, Value>, wrong: &mut Wrongs) -> u64 {
    let place = || json!("max_tokens");
    let number = match body.get("max_tokens") {
        None => return USUAL_MOST_TOKENS,
        Some(Value::Number(number)) => number.clone(),
        Some(Value::String(text)) => match text.trim().parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => {
                let message =
                    "Input should be a valid integer, unable to parse string as an integer";
                wrong.add(place(), "int_parsing", message);
                return USUAL_MOST_TOKENS;
            }
        },
        Some(_) => {
            wrong.add(place(), "int_type", "Input should be a valid integer");
            return USUAL_MOST_TOKENS;
        }
    };
    let whole = number.as_f64().filter(|number| number.fract() == 0.0);
    match (number.as_u64(), whole) {
        (Some(number @ 1..), _) => number,
        // too large for the type, and for every model
        (None, Some(float)) if float >= 1.0 => u64::MAX,
        (_, Some(_)) => {
            let message = "Input should be greater than or equal to 1";
            wrong.add_with(place(), "greater_than_equal", message, json!({"ge": 1}));
            USUAL_MOST_TOKENS
        }
        (_, None) => {
            let message = "Input should be a valid integer, got a number with a fractional part";
            wrong.add(place(), "int_from_float", message);
            USUAL_MOST_TOKENS
        }
    }
}

fn temperature(body: &Map<String, Value>, wrong: &mut Wrongs) -> Option<f64> {
    let place = || json!("temperature");
    let number = match body.get("temperature")? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => Some(number),
            Err(_) => {
                let message = "Input should be a valid number, unable to parse string as a number";
                wrong.add(place(), "float_parsing", message);
                return None;
            }
        },
        _ => None,
    };
    match number {
        None => wrong.add(place(), "float_type", "Input should be a valid number"),
        Some(number) if number < 0.0 => {
            let message = "Input should be greater than or equal to 0";
            wrong.add_with(place(), "greater_than_equal", message, json!({"ge": 0.0}));
        }
        Some(number) if number <= 2.0 => return Some(number),
        Some(_) => {
            let message = "Input should be less than or equal to 2";
            wrong.add_with(place(), "less_than_equal", message, json!({"le": 2.0}));
        }
    }
    None
}

impl Asked {
    /// Who said the last thing, and what.
    pub fn question(&self) -> (String, String) {
        self.messages.last().cloned().unwrap_or_default()
    }

    /// The same chat in OpenAI's protocol. `most` is what the model can say at all.
    pub fn as_openai(&self, model: &str, most: Option<u64>, stream: bool) -> Bytes {
        let messages: Vec<Value> = self
            .messages
            .iter()
            .map(|(role, content)| json!({"role": role, "content": content}))
            .collect();
        // nobody's model says more, and providers refuse what is no number of theirs
        const MOST: u64 = 1 << 30;
        let limit = self.max_tokens.min(most.unwrap_or(MOST));
        let mut body = json!({"model": model, "messages": messages, "max_tokens": limit});
        if let Some(temperature) = self.temperature {
            body["temperature"] = json!(temperature);
        }
        if stream {
            body["stream"] = json!(true);
        }
        body.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(body: Value) -> Vec<(String, Value)> {
        let error = read(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.status(), 422);
        let details = error.details().unwrap().as_array().unwrap();
        let place = |wrong: &Value| {
            (
                wrong["type"].as_str().unwrap().to_owned(),
                wrong["loc"].clone(),
            )
        };
        details.iter().map(place).collect()
    }

    fn chat(more: Value) -> Value {
        let mut body = json!({"model_id": "m", "messages": [{"role": "user", "content": "hi"}]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    #[test]
    fn a_chat_is_said_in_openais_words() {
        let body =
            chat(json!({"max_tokens": 9000, "temperature": 0.7, "stream": true, "model": "x"}));
        let asked = read(body.to_string().as_bytes()).unwrap();
        let said: Value =
            serde_json::from_slice(&asked.as_openai("gpt-4o", Some(100), true)).unwrap();
        assert_eq!(
            said,
            json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}],
                "max_tokens": 100, "temperature": 0.7, "stream": true})
        );
        assert_eq!(asked.question().1, "hi");
        let plain = read(chat(json!({})).to_string().as_bytes()).unwrap();
        let said: Value = serde_json::from_slice(&plain.as_openai("m", None, false)).unwrap();
        assert_eq!(said["max_tokens"], 4096);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let one = |kind: &str, place: Value| vec![(kind.to_owned(), place)];
        for (body, kind, place) in [
            (json!([]), "model_attributes_type", json!(["body"])),
            (
                chat(json!({"model_id": 1})),
                "string_type",
                json!(["body", "model_id"]),
            ),
            (
                chat(json!({"messages": []})),
                "too_short",
                json!(["body", "messages"]),
            ),
            (
                chat(json!({"messages": "a"})),
                "list_type",
                json!(["body", "messages"]),
            ),
            (
                chat(json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]})),
                "string_type",
                json!(["body", "messages", 0, "content"]),
            ),
            (
                chat(json!({"messages": [{"role": "tool", "content": "a"}]})),
                "literal_error",
                json!(["body", "messages", 0, "role"]),
            ),
            (
                chat(json!({"messages": [7]})),
                "model_attributes_type",
                json!(["body", "messages", 0]),
            ),
            (
                chat(json!({"max_tokens": -5})),
                "greater_than_equal",
                json!(["body", "max_tokens"]),
            ),
            (
                chat(json!({"max_tokens": 0})),
                "greater_than_equal",
                json!(["body", "max_tokens"]),
            ),
            (
                chat(json!({"max_tokens": 1.5})),
                "int_from_float",
                json!(["body", "max_tokens"]),
            ),
            (
                chat(json!({"max_tokens": "x"})),
                "int_parsing",
                json!(["body", "max_tokens"]),
            ),
            (
                chat(json!({"max_tokens": null})),
                "int_type",
                json!(["body", "max_tokens"]),
            ),
            (
                chat(json!({"temperature": 9})),
                "less_than_equal",
                json!(["body", "temperature"]),
            ),
            (
                chat(json!({"temperature": -0.1})),
                "greater_than_equal",
                json!(["body", "temperature"]),
            ),
            (
                chat(json!({"temperature": "NaN"})),
                "less_than_equal",
                json!(["body", "temperature"]),
            ),
            (
                chat(json!({"conversation_id": "x"})),
                "uuid_parsing",
                json!(["body", "conversation_id"]),
            ),
            (
                chat(json!({"conversation_id": 3})),
                "uuid_type",
                json!(["body", "conversation_id"]),
            ),
        ] {
            assert_eq!(places(body.clone()), one(kind, place), "{body}");
        }
        assert_eq!(places(json!({})).len(), 2);
        assert_eq!(read(b"{").unwrap_err().status(), 422);
        assert_eq!(read(b"").unwrap_err().status(), 422);
        let huge = read(chat(json!({"max_tokens": 1e300})).to_string().as_bytes()).unwrap();
        assert_eq!(huge.max_tokens, u64::MAX);
    }
}
