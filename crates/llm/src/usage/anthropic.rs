//! The usage object of Anthropic's Messages API.
//!
//! Input, cache reads and cache writes stand beside each other; thinking is part of the output. A
//! stream tells the input at its beginning and all of it again at its end, in newer versions; what the
//! end does not repeat stays.

use serde::Serialize;

use super::Usage;
use super::wire::{Count, Lenient, Reading, Word};

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Wire {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_creation: Lenient<CacheCreation>,
    output_tokens_details: Lenient<OutputDetails>,
    server_tool_use: Lenient<ServerToolUse>,
    iterations: Iterations,
    service_tier: Word,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct ServerToolUse {
    web_search_requests: Count,
}

/// What the model did before it answered; anything but a list is none.
#[derive(Default)]
struct Iterations(Vec<Iteration>);

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Iteration {
    r#type: Word,
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
}

impl<'de> serde::Deserialize<'de> for Iterations {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Iterations, D::Error> {
        let text = <&serde_json::value::RawValue>::deserialize(deserializer)?.get();
        Ok(Iterations(serde_json::from_str(text).unwrap_or_default()))
    }
}

/// Reads the JSON text of a `usage` object over what was known before it; `None` for what is no object
/// or holds no count.
pub(crate) fn read(before: Option<Usage>, json: &[u8]) -> Option<Reading> {
    let wire: Wire = serde_json::from_slice(json).ok()?;
    if wire.input_tokens.0.is_none() && wire.output_tokens.0.is_none() {
        return None;
    }
    let mut usage = match wire.compactions().next() {
        None => before.unwrap_or_default(),
        // the beginning told of the compaction, which the list tells again
        Some(_) => Usage::default(),
    };
    wire.put_into(&mut usage);
    Some(Reading {
        usage,
        service_tier: wire.service_tier.0,
        ..Reading::default()
    })
}

impl Wire {
    fn put_into(&self, usage: &mut Usage) {
        let set = |count: Count, bucket: &mut u64| {
            // a zero at the end of a stream does not take back what its beginning said
            *bucket = count.0.filter(|count| *count > 0).unwrap_or(*bucket);
        };
        set(self.input_tokens, &mut usage.input);
        set(self.cache_read_input_tokens, &mut usage.cache_read);
        let searches = self.server_tool_use.0.web_search_requests;
        set(searches, &mut usage.web_searches);
        self.put_cache_writes(usage);
        if let Some(output) = self.output_tokens.0 {
            let thinking = self.output_tokens_details.0.thinking_tokens.or_zero();
            usage.reasoning = thinking.min(output);
            usage.output = output - usage.reasoning;
        }
        // the totals leave out what was spent on summing up the conversation, which is charged too
        for compaction in self.compactions() {
            let add = |bucket: &mut u64, count: Count| {
                *bucket = bucket.saturating_add(count.or_zero());
            };
            add(&mut usage.input, compaction.input_tokens);
            add(&mut usage.output, compaction.output_tokens);
            add(&mut usage.cache_read, compaction.cache_read_input_tokens);
            add(
                &mut usage.cache_write_5m,
                compaction.cache_creation_input_tokens,
            );
        }
    }

    fn compactions(&self) -> impl Iterator<Item = &Iteration> {
        let is_compaction =
            |iteration: &&Iteration| iteration.r#type.0.as_deref() == Some("compaction");
        self.iterations.0.iter().filter(is_compaction)
    }

    /// The total, and where it is broken down, by how long it is kept.
    fn put_cache_writes(&self, usage: &mut Usage) {
        let parts = &self.cache_creation.0;
        let hour = parts.ephemeral_1h_input_tokens.or_zero();
        let minutes = parts.ephemeral_5m_input_tokens.or_zero();
        let total = self.cache_creation_input_tokens.or_zero();
        if hour > 0 || minutes > 0 {
            usage.cache_write_1h = hour;
            usage.cache_write_5m = minutes.max(total.saturating_sub(hour));
        } else if total > 0 {
            usage.cache_write_1h = usage.cache_write_1h.min(total);
            usage.cache_write_5m = total - usage.cache_write_1h;
        }
    }
}

/// The usage object as a client of this format reads it.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation: Option<WrittenCacheCreation>,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<WrittenOutputDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_tool_use: Option<WrittenServerToolUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct WrittenCacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Debug, Serialize)]
struct WrittenOutputDetails {
    thinking_tokens: u64,
}

#[derive(Debug, Serialize)]
struct WrittenServerToolUse {
    web_search_requests: u64,
    /// Fetches are not charged, and not counted here.
    web_fetch_requests: u64,
}

impl Written {
    pub fn of(usage: &Usage, service_tier: Option<&str>) -> Written {
        Written {
            cache_creation: Some(WrittenCacheCreation {
                ephemeral_5m_input_tokens: usage.cache_write_5m,
                ephemeral_1h_input_tokens: usage.cache_write_1h,
            }),
            service_tier: Some(match service_tier {
                Some("priority") => "priority",
                Some("batch") => "batch",
                _ => "standard",
            }),
            ..Written::of_delta(usage)
        }
    }

    /// As it stands at the end of a stream, where some members have no place.
    pub fn of_delta(usage: &Usage) -> Written {
        let apart = [usage.cache_read, usage.cache_write_5m, usage.cache_write_1h];
        let beside = apart.into_iter().fold(0, u64::saturating_add);
        Written {
            input_tokens: usage.prompt_tokens().saturating_sub(beside),
            cache_creation_input_tokens: usage.cache_write_5m.saturating_add(usage.cache_write_1h),
            cache_read_input_tokens: usage.cache_read,
            cache_creation: None,
            output_tokens: usage.completion_tokens(),
            output_tokens_details: (usage.reasoning > 0).then_some(WrittenOutputDetails {
                thinking_tokens: usage.reasoning,
            }),
            server_tool_use: (usage.web_searches > 0).then_some(WrittenServerToolUse {
                web_search_requests: usage.web_searches,
                web_fetch_requests: 0,
            }),
            service_tier: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(texts: &[&str]) -> Usage {
        texts
            .iter()
            .fold(None, |before, text| {
                read(before, text.as_bytes())
                    .map(|reading| reading.usage)
                    .or(before)
            })
            .expect("a usage")
    }

    #[test]
    fn the_end_of_a_stream_goes_over_its_beginning() {
        let start = r#"{"input_tokens":10,"cache_creation_input_tokens":30,"cache_read_input_tokens":5,
            "cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":30},
            "output_tokens":1,"service_tier":"standard"}"#;
        let old = merged(&[start, r#"{"output_tokens":40}"#]);
        assert_eq!(
            (old.input, old.cache_read, old.cache_write_1h, old.output),
            (10, 5, 30, 40)
        );
        let end = r#"{"input_tokens":99,"cache_creation_input_tokens":34,"cache_read_input_tokens":0,
            "output_tokens":50,"output_tokens_details":{"thinking_tokens":20},
            "server_tool_use":{"web_search_requests":2}}"#;
        let new = merged(&[start, end]);
        let expected = Usage {
            input: 99,
            cache_read: 5,
            cache_write_1h: 30,
            cache_write_5m: 4,
            output: 30,
            reasoning: 20,
            web_searches: 2,
            ..Usage::default()
        };
        assert_eq!(new, expected);
        let written = serde_json::to_vec(&Written::of(&new, None)).unwrap();
        assert_eq!(read(None, &written).unwrap().usage, expected);
    }

    #[test]
    fn compaction_is_charged() {
        let usage = merged(&[r#"{"input_tokens":600,"output_tokens":20,"iterations":[
            {"type":"compaction","input_tokens":60000,"output_tokens":500},
            {"type":"message","input_tokens":600,"output_tokens":20}]}"#]);
        assert_eq!((usage.input, usage.output), (60_600, 520));
    }

    #[test]
    fn odd_values_count_as_nothing() {
        for text in ["{}", "[]", "null", r#"{"input_tokens":null}"#] {
            assert_eq!(read(None, text.as_bytes()), None, "{text}");
        }
        let odd = r#"{"input_tokens":"x","output_tokens":3,"cache_creation":7,"iterations":{}}"#;
        assert_eq!(merged(&[odd]).output, 3);
    }
}
