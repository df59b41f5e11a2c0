//! Arguments of a call that Vertex streams piece by piece: values under paths such as
//! `$.recipe.steps[9]`, strings growing from piece to piece.

use serde_json::{Map, Value};

use super::wire::PartialArg;

/// The deepest path and the longest gap in a list that are followed; what goes beyond is left out.
const MAX_DEPTH: usize = 100;
const MAX_GAP: usize = 1000;

/// The arguments so far.
#[derive(Debug, Default)]
pub(super) struct PartialArgs(Map<String, Value>);

enum Step<'a> {
    Member(&'a str),
    Element(usize),
}

impl PartialArgs {
    pub fn add(&mut self, piece: &PartialArg) {
        let Some(steps) = steps(&piece.json_path) else {
            return;
        };
        let [Step::Member(first), rest @ ..] = &*steps else {
            return;
        };
        let mut slot = self.0.entry((*first).to_owned()).or_insert(Value::Null);
        for step in rest {
            let Some(next) = enter(slot, step) else {
                return;
            };
            slot = next;
        }
        put(slot, piece);
    }

    /// JSON text of the whole object.
    pub fn into_json(self) -> String {
        Value::Object(self.0).to_string()
    }
}

fn put(slot: &mut Value, piece: &PartialArg) {
    if let Some(text) = &piece.string_value {
        match slot {
            Value::String(known) => known.push_str(text),
            slot => *slot = Value::String(text.clone()),
        }
    } else if let Some(number) = &piece.number_value {
        *slot = Value::Number(number.clone());
    } else if let Some(truth) = piece.bool_value {
        *slot = Value::Bool(truth);
    } else if piece.null_value.is_some() {
        *slot = Value::Null;
    }
}

fn enter<'v>(slot: &'v mut Value, step: &Step<'_>) -> Option<&'v mut Value> {
    match step {
        Step::Member(name) => {
            if slot.is_null() {
                *slot = Value::Object(Map::new());
            }
            let members = slot.as_object_mut()?;
            Some(members.entry((*name).to_owned()).or_insert(Value::Null))
        }
        Step::Element(index) => {
            if slot.is_null() {
                *slot = Value::Array(Vec::new());
            }
            let elements = slot.as_array_mut()?;
            if *index >= elements.len() {
                if *index - elements.len() > MAX_GAP {
                    return None;
                }
                elements.resize(index + 1, Value::Null);
            }
            elements.get_mut(*index)
        }
    }
}

/// `$.a.b[0]['c d']`
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() && steps.len() < MAX_DEPTH {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            steps.push(Step::Member(&name[..end]));
            rest = &name[end..];
        } else {
            let inside = rest.strip_prefix('[')?;
            let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
            let (step, after) = match quote {
                Some(quote) => {
                    let (name, after) = inside[1..].split_once(quote)?;
                    (Step::Member(name), after.strip_prefix(']')?)
                }
                None => {
                    let (index, after) = inside.split_once(']')?;
                    (Step::Element(index.parse().ok()?), after)
                }
            };
            steps.push(step);
            rest = after;
        }
    }
    rest.is_empty().then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(pieces: &[Value]) -> String {
        let mut args = PartialArgs::default();
        for piece in pieces {
            args.add(&serde_json::from_value(piece.clone()).unwrap());
        }
        args.into_json()
    }

    #[test]
    fn pieces_grow_into_an_object() {
        use serde_json::json;
        let text = built(&[
            json!({"jsonPath": "$.list[0].name", "stringValue": "ap", "willContinue": true}),
            json!({"jsonPath": "$.list[0].name", "stringValue": "ple"}),
            json!({"jsonPath": "$.list[1]['a key']", "numberValue": 0.5}),
            json!({"jsonPath": "$.list[1].yes", "boolValue": true}),
            json!({"jsonPath": "$.none", "nullValue": "NULL_VALUE"}),
        ]);
        assert_eq!(
            text,
            r#"{"list":[{"name":"apple"},{"a key":0.5,"yes":true}],"none":null}"#
        );
    }

    #[test]
    fn odd_paths_are_left_out() {
        use serde_json::json;
        let odd = [
            "",
            "$",
            "x",
            "$[0]",
            "$.a[9999999999]",
            "$.a[-1]",
            "$.a[",
            "$.a['b",
            "$.a[99999]",
        ];
        for path in odd {
            built(&[json!({"jsonPath": path, "stringValue": "x"})]);
        }
    }
}
