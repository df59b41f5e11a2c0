//! The usage object of Cohere's v2 chat: `billed_units` is what is charged, `tokens` what the model
//! saw, with Cohere's own preamble in it. The two always differ; the buckets hold what is charged.

use serde_json::Value;

use super::Usage;
use super::counts::count;

/// The buckets; `None` for what holds no count. Reading never fails for odd values.
///
/// Cached tokens are not told apart: they are part of what the model saw (more of them than billed
/// ones, as the preamble is cached), and the bill knows no price for them.
pub(crate) fn read(usage: &Value) -> Option<Usage> {
    let billed = usage.get("billed_units").unwrap_or(&Value::Null);
    let seen = usage.get("tokens").unwrap_or(&Value::Null);
    let input = count(billed, ["input_tokens"]);
    let output = count(billed, ["output_tokens"]);
    if let (None, None) = (input, output) {
        return unbilled(usage, seen);
    }
    let mut buckets = Usage::default();
    let input = input.unwrap_or(0);
    buckets.input_image = count(seen, ["image_tokens"]).unwrap_or(0).min(input);
    buckets.input = input - buckets.input_image;
    let output = output.unwrap_or(0);
    buckets.reasoning = count(seen, ["reasoning_tokens"]).unwrap_or(0).min(output);
    buckets.output = output - buckets.reasoning;
    Some(buckets)
}

/// Without billed units what the model saw has to do, of which the cached part is told.
fn unbilled(usage: &Value, seen: &Value) -> Option<Usage> {
    let input = count(seen, ["input_tokens"]);
    let output = count(seen, ["output_tokens"]);
    if input.is_none() && output.is_none() {
        return None;
    }
    let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
    let cached = count(usage, ["cached_tokens"]).unwrap_or(0).min(input);
    let reasoning = count(seen, ["reasoning_tokens"]).unwrap_or(0).min(output);
    Some(Usage {
        input: input - cached,
        cache_read: cached,
        input_image: count(seen, ["image_tokens"]).unwrap_or(0),
        output: output - reasoning,
        reasoning,
        ..Usage::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_billed_counts() {
        let usage = json!({
            "billed_units": {"input_tokens": 26, "output_tokens": 147},
            "tokens": {"input_tokens": 1431.0, "output_tokens": 152, "reasoning_tokens": 145},
            "cached_tokens": 1392,
        });
        let usage = read(&usage).unwrap();
        assert_eq!((usage.input, usage.cache_read), (26, 0));
        assert_eq!((usage.output, usage.reasoning), (2, 145));
    }

    #[test]
    fn pictures_are_part_of_the_billed_input() {
        let usage = json!({
            "billed_units": {"input_tokens": 267, "output_tokens": 52},
            "tokens": {"input_tokens": 34, "output_tokens": 56, "image_tokens": 259},
        });
        let usage = read(&usage).unwrap();
        assert_eq!((usage.input, usage.input_image), (8, 259));
    }

    #[test]
    fn without_billed_units_the_tokens_count() {
        let usage = json!({"tokens": {"input_tokens": 10, "output_tokens": 3}, "cached_tokens": 4});
        let usage = read(&usage).unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output), (6, 4, 3));
        assert_eq!(read(&json!({"billed_units": {"search_units": 1}})), None);
    }
}
