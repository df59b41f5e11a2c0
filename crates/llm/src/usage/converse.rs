//! The usage object of Bedrock's Converse: `inputTokens` leaves the cache out (25 of 25 recordings).

use serde_json::Value;

use super::Usage;
use super::counts::count;

/// The buckets; `None` for what holds no count. Reading never fails for odd values.
pub(crate) fn read(usage: &Value) -> Option<Usage> {
    let input = count(usage, ["inputTokens"]);
    let output = count(usage, ["outputTokens"]);
    if input.is_none() && output.is_none() {
        return None;
    }
    let written = count(
        usage,
        ["cacheWriteInputTokens", "cacheWriteInputTokenCount"],
    );
    let written = written.unwrap_or(0);
    let for_an_hour = written_for_an_hour(usage).min(written);
    Some(Usage {
        input: input.unwrap_or(0),
        cache_read: count(usage, ["cacheReadInputTokens", "cacheReadInputTokenCount"]).unwrap_or(0),
        cache_write_5m: written - for_an_hour,
        cache_write_1h: for_an_hour,
        output: output.unwrap_or(0),
        ..Usage::default()
    })
}

fn written_for_an_hour(usage: &Value) -> u64 {
    let details = usage.get("cacheDetails").and_then(Value::as_array);
    details
        .into_iter()
        .flatten()
        .filter(|detail| detail.get("ttl").and_then(Value::as_str) == Some("1h"))
        .filter_map(|detail| count(detail, ["inputTokens"]))
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cache_writes_are_told_apart() {
        let usage = json!({
            "inputTokens": 10, "outputTokens": 4, "totalTokens": 74,
            "cacheReadInputTokens": 20, "cacheWriteInputTokens": 40,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 10}],
        });
        let usage = read(&usage).unwrap();
        assert_eq!((usage.cache_write_1h, usage.cache_write_5m), (30, 10));
        assert_eq!(usage.total_tokens(), 74);
    }

    #[test]
    fn odd_values_count_nothing() {
        assert_eq!(read(&json!({"inputTokens": null})), None);
        assert_eq!(read(&json!([])), None);
        let odd = json!({"inputTokens": 3.0, "outputTokens": -1,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 9}, 7]});
        assert_eq!(read(&odd).unwrap().total_tokens(), 3);
    }
}
