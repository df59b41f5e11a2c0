//! Counts in parsed JSON, as providers write them: whole numbers, floats, null, or nothing.

use serde_json::Value;

/// The count under the first of `names` that has one.
pub(super) fn count<const N: usize>(object: &Value, names: [&str; N]) -> Option<u64> {
    names.iter().find_map(|name| {
        let value = object.get(name)?;
        // The cast saturates, and turns what is no number into zero.
        value
            .as_u64()
            .or_else(|| value.as_f64().map(|number| number.round() as u64))
    })
}
