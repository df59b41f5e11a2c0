//! How each provider's usage object becomes buckets that do not overlap.

use base::Money;
use bytes::Bytes;
use llm::response::{Observed, observe};
use llm::usage::SearchContext;
use llm::{Format, Usage, UsageRule};
use proptest::prelude::*;
use serde_json::{Value, json};

fn observed(rule: UsageRule, usage: &Value) -> Observed {
    let body = json!({"model": "m", "choices": [], "usage": usage}).to_string();
    observe(Format::OpenAiChat, rule, Bytes::from(body), "m").1
}

fn buckets(rule: UsageRule, usage: Value) -> Usage {
    observed(rule, &usage).usage.expect("usage")
}

#[test]
fn openai_s_details_are_parts_of_the_totals() {
    let usage = buckets(
        UsageRule::OpenAi,
        json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 10, "image_tokens": 5},
            "completion_tokens_details": {
                "reasoning_tokens": 20, "audio_tokens": 10, "image_tokens": 1,
                "accepted_prediction_tokens": 3, "rejected_prediction_tokens": 2},
        }),
    );
    assert_eq!(
        usage,
        Usage {
            input: 45,
            cache_read: 40,
            input_audio: 10,
            input_image: 5,
            output: 19,
            reasoning: 20,
            output_audio: 10,
            output_image: 1,
            ..Usage::default()
        }
    );
}

#[test]
fn cached_tokens_are_found_under_every_name() {
    for (name, value) in [
        ("prompt_cache_hit_tokens", json!(4)),
        ("cached_tokens", json!(4)),
        ("num_cached_tokens", json!(4)),
        ("cache_read_input_tokens", json!(4)),
        ("prompt_tokens_details", json!({"cached_tokens": 4})),
    ] {
        let mut usage = json!({"prompt_tokens": 10, "completion_tokens": 1});
        usage[name] = value;
        let usage = buckets(UsageRule::OpenAi, usage);
        assert_eq!((usage.input, usage.cache_read), (6, 4), "{name}");
    }
    let both = json!({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 4}});
    assert_eq!(buckets(UsageRule::OpenAi, both).cache_read, 4);
}

#[test]
fn cache_writes_are_taken_from_the_prompt() {
    let usage = json!({"prompt_tokens": 2649, "completion_tokens": 100,
        "prompt_tokens_details": {"cache_write_tokens": 79, "cached_tokens": 2569}});
    let usage = buckets(UsageRule::OpenAi, usage);
    assert_eq!(
        (usage.input, usage.cache_read, usage.cache_write_5m),
        (1, 2569, 79)
    );
}

#[test]
fn xai_s_completion_leaves_reasoning_out() {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35,
        "completion_tokens_details": {"reasoning_tokens": 20}, "cost_in_usd_ticks": 1_489_500});
    let observed = observed(UsageRule::ReasoningApart, &usage);
    let usage = observed.usage.expect("usage");
    assert_eq!(
        (usage.output, usage.reasoning, usage.total_tokens()),
        (5, 20, 35)
    );
    assert_eq!(observed.provider_cost, Some(Money(148_950)));
}

#[test]
fn grok_at_azure_leaves_cached_tokens_out_of_the_prompt() {
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 8, "cost_in_usd_ticks": 0,
        "prompt_tokens_details": {"cached_tokens": 161}});
    let observed = observed(UsageRule::CacheApart, &usage);
    let usage = observed.usage.expect("usage");
    assert_eq!((usage.input, usage.cache_read), (7, 161));
    assert_eq!(observed.provider_cost, None, "zero ticks are no cost");
}

#[test]
fn mistral_s_prompt_leaves_audio_out() {
    let usage = json!({"prompt_audio_seconds": 4, "prompt_tokens": 9, "total_tokens": 585,
        "completion_tokens": 201, "service_tier": "standard",
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375}});
    let observed = observed(UsageRule::AudioApart, &usage);
    let usage = observed.usage.expect("usage");
    assert_eq!(
        (usage.input, usage.input_audio, usage.total_tokens()),
        (9, 375, 585)
    );
    assert_eq!(observed.service_tier.as_deref(), Some("standard"));
}

#[test]
fn gemini_s_hidden_thinking_is_in_the_total() {
    let usage = json!({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109});
    let usage = buckets(UsageRule::HiddenThinking, usage);
    assert_eq!(
        (usage.output, usage.reasoning, usage.total_tokens()),
        (12, 62, 109)
    );
}

#[test]
fn perplexity_charges_searches_citations_and_thinking() {
    let usage = json!({"prompt_tokens": 33, "completion_tokens": 7163, "total_tokens": 7196,
        "citation_tokens": 20_016, "num_search_queries": 21, "reasoning_tokens": 73_997,
        "search_context_size": "low", "cost": {"total_cost": 0.41}});
    let observed = observed(UsageRule::Perplexity, &usage);
    let usage = observed.usage.expect("usage");
    assert_eq!(
        (usage.input, usage.output, usage.reasoning),
        (20_049, 7163, 73_997)
    );
    assert_eq!(usage.web_searches, 21);
    assert_eq!(observed.search_context, Some(SearchContext::Low));
    assert_eq!(observed.provider_cost, Money::from_dollars("0.41"));
    let plain = json!({"prompt_tokens": 9, "completion_tokens": 12});
    assert_eq!(buckets(UsageRule::Perplexity, plain).web_searches, 1);
}

#[test]
fn a_reported_cost_is_read_as_written() {
    let cost = |members: Value| {
        let mut usage = json!({"prompt_tokens": 1, "completion_tokens": 1});
        usage
            .as_object_mut()
            .expect("an object")
            .extend(members.as_object().expect("one").clone());
        observed(UsageRule::OpenAi, &usage).provider_cost
    };
    assert_eq!(cost(json!({"cost": 0.00256995})), Some(Money(2_569_950)));
    assert_eq!(cost(json!({"cost": "0.001172"})), Some(Money(1_172_000)));
    assert_eq!(cost(json!({"cost": 0})), Some(Money(0)));
    let byok = json!({"cost": 0.000001, "is_byok": true, "cost_details": {"upstream_inference_cost": 6.3e-6}});
    assert_eq!(cost(byok), Some(Money(7_300)));
    let own = json!({"cost": 0.000001, "is_byok": false, "cost_details": {"upstream_inference_cost": 6.3e-6}});
    assert_eq!(cost(own), Some(Money(1_000)));
    for nothing in [
        json!({"cost": null}),
        json!({"cost": {}}),
        json!({"cost": "free"}),
        json!({"cost": [1]}),
    ] {
        assert_eq!(cost(nothing.clone()), None, "{nothing}");
    }
}

#[test]
fn misshapen_members_count_as_nothing() {
    let usage = json!({"prompt_tokens": "12", "completion_tokens": 3.0, "total_tokens": -1,
        "prompt_tokens_details": [], "completion_tokens_details": "none", "cached_tokens": {},
        "service_tier": 7, "is_byok": 1, "server_tool_use": null});
    let usage = buckets(UsageRule::OpenAi, usage);
    assert_eq!(
        usage,
        Usage {
            output: 3,
            ..Usage::default()
        }
    );
}

#[test]
fn an_object_without_counts_is_no_usage() {
    for usage in [
        json!({}),
        json!({"prompt_tokens": null}),
        json!(null),
        json!([]),
        json!(3),
    ] {
        assert_eq!(observed(UsageRule::OpenAi, &usage).usage, None, "{usage}");
    }
}

fn any_rule() -> impl Strategy<Value = UsageRule> {
    prop::sample::select(vec![
        UsageRule::OpenAi,
        UsageRule::ReasoningApart,
        UsageRule::CacheApart,
        UsageRule::AudioApart,
        UsageRule::HiddenThinking,
        UsageRule::Perplexity,
    ])
}

fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![0..200_u64, Just(u64::MAX), Just(u64::MAX / 2)]
}

proptest! {
    #[test]
    fn no_numbers_make_a_bucket_underflow(rule in any_rule(), n in prop::array::uniform8(any_count())) {
        let usage = buckets(rule, json!({
            "prompt_tokens": n[0], "completion_tokens": n[1], "total_tokens": n[2],
            "prompt_tokens_details": {"cached_tokens": n[3], "audio_tokens": n[4], "cache_write_tokens": n[5]},
            "completion_tokens_details": {"reasoning_tokens": n[6], "audio_tokens": n[7]},
        }));
        let most = [n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]].into_iter().max().unwrap_or(0);
        for part in [usage.input, usage.cache_read, usage.input_audio, usage.output, usage.reasoning] {
            prop_assert!(part <= most);
        }
        if rule == UsageRule::OpenAi {
            prop_assert_eq!((usage.prompt_tokens(), usage.completion_tokens()), (n[0], n[1]));
        }
        prop_assert!(usage.total_tokens() >= usage.prompt_tokens());
    }
}
