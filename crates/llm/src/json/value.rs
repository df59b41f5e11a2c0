//! Values read whole and written, for what is translated. They are serde_json's; long texts with many
//! escapes, which prompts are, take a fraction of the time that its own reader and writer need.

use serde_json::{Map, Value};

use super::{Cursor, Fault, MAX_DEPTH, Text, escapes};

/// # Errors
/// Where the text stops being the JSON of one value.
pub(crate) fn read(text: &[u8]) -> Result<Value, Fault> {
    let mut cursor = Cursor::new(text, 0);
    cursor.whitespace();
    let value = value(&mut cursor, MAX_DEPTH)?;
    cursor.whitespace();
    match cursor.at == text.len() {
        true => Ok(value),
        false => Err(cursor.fault("trailing characters")),
    }
}

/// Reads the value that stands here; `depth` levels may lie within.
fn value(cursor: &mut Cursor<'_>, depth: u32) -> Result<Value, Fault> {
    match cursor.peek() {
        Some(b'"') => {
            let string = cursor.string()?;
            text(cursor, &string).map(Value::String)
        }
        Some(b'{' | b'[') if depth == 0 => Err(cursor.fault("nested deeper than 128 levels")),
        Some(b'{') => object(cursor, depth - 1),
        Some(b'[') => array(cursor, depth - 1),
        _ => {
            let place = cursor.value()?;
            let scalar = serde_json::from_slice(&cursor.text[place]);
            scalar.map_err(|_| cursor.fault("number out of range"))
        }
    }
}

fn text(cursor: &Cursor<'_>, string: &Text) -> Result<String, Fault> {
    match string.decode(cursor.text) {
        Some(text) => Ok(text.into_owned()),
        None => Err(cursor.fault("an escape names no character")),
    }
}

fn object(cursor: &mut Cursor<'_>, depth: u32) -> Result<Value, Fault> {
    let mut found = Map::new();
    let Some(mut members) = cursor.members() else {
        return Ok(Value::Object(found));
    };
    while let Some(key) = members.key()? {
        let key = text(members.cursor, &key)?;
        let member = value(members.cursor, depth)?;
        found.insert(key, member);
    }
    Ok(Value::Object(found))
}

fn array(cursor: &mut Cursor<'_>, depth: u32) -> Result<Value, Fault> {
    let mut found = Vec::new();
    let Some(mut elements) = cursor.elements() else {
        return Ok(Value::Array(found));
    };
    while elements.more()? {
        found.push(value(elements.cursor, depth)?);
    }
    Ok(Value::Array(found))
}

/// The value's JSON, without spaces.
pub(crate) fn write(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 10);
    add(value, &mut out);
    out
}

fn add(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => escapes::quote(text, out),
        Value::Array(elements) => {
            out.push(b'[');
            for (place, element) in elements.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                add(element, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (place, (name, member)) in members.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                escapes::quote(name, out);
                out.push(b':');
                add(member, out);
            }
            out.push(b'}');
        }
    }
}
