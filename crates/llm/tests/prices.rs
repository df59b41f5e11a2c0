//! What calls cost: the catalogue, overrides, bills.

use base::{Money, Price};
use llm::cost::Served;
use llm::overrides::Override;
use llm::price::{PriceRecord, PriceSource, Rates, Tariff, Tier};
use llm::usage::{Bucket, SearchContext};
use llm::{Catalogue, Receipt, Usage, cost};
use proptest::prelude::*;
use serde_json::{Value, json};

fn dollars(text: &str) -> Money {
    Money::from_dollars(text).expect("an amount")
}

fn per_million(text: &str) -> Price {
    Price::per_million(text).expect("a price")
}

fn prices_of(provider: &str, model: &str) -> PriceRecord {
    let record = Catalogue::shipped().find(provider, model).expect("a model");
    record.price.expect("a price")
}

fn bill(usage: Usage, record: &PriceRecord) -> Receipt {
    cost(&usage, record, Served::default()).expect("priced")
}

fn read_override(members: Value) -> Option<Override> {
    let members = members.as_object().expect("an object").clone();
    Override::read(members.iter().map(|(name, value)| (name.as_str(), value))).expect("good")
}

#[test]
fn a_bill_lists_each_bucket_at_its_price() {
    let usage = Usage {
        input: 1000,
        cache_read: 100,
        output: 10,
        reasoning: 5,
        ..Usage::default()
    };
    let receipt = bill(usage, &prices_of("openai", "gpt-4o"));
    let lines: Vec<_> = receipt
        .items
        .iter()
        .map(|item| (item.bucket, item.priced_as, item.quantity, item.price))
        .collect();
    assert_eq!(
        lines,
        [
            (Bucket::Input, Bucket::Input, 1000, per_million("2.5")),
            (
                Bucket::CacheRead,
                Bucket::CacheRead,
                100,
                per_million("1.25")
            ),
            (Bucket::Output, Bucket::Output, 10, per_million("10")),
            (Bucket::Reasoning, Bucket::Output, 5, per_million("10")),
        ]
    );
    assert_eq!(receipt.total, dollars("0.002775"));
}

#[test]
fn the_service_tier_of_the_answer_sets_the_price() {
    let usage = Usage {
        input: 1_000_000,
        output: 1_000_000,
        ..Usage::default()
    };
    let record = prices_of("openai", "gpt-4o");
    let served = |tier| {
        let served = Served {
            service_tier: Some(tier),
            ..Served::default()
        };
        let receipt = cost(&usage, &record, served).expect("priced");
        (receipt.total, receipt.service_tier)
    };
    assert_eq!(served("default"), (dollars("12.5"), None));
    assert_eq!(
        served("priority"),
        (dollars("21.25"), Some("priority".to_owned()))
    );
    assert_eq!(served("batch"), (dollars("6.25"), Some("batch".to_owned())));
}

#[test]
fn a_long_prompt_makes_the_whole_request_dearer() {
    let record = prices_of("openai", "gpt-5.4");
    let with_input = |input| {
        bill(
            Usage {
                input,
                cache_read: 72_000,
                output: 10,
                ..Usage::default()
            },
            &record,
        )
    };
    let at = with_input(200_000);
    assert_eq!(
        (at.tier_above, at.items[0].price),
        (None, per_million("2.5"))
    );
    let above = with_input(200_001);
    assert_eq!(above.tier_above, Some(272_000));
    let prices: Vec<Price> = above.items.iter().map(|item| item.price).collect();
    assert_eq!(
        prices,
        [per_million("5"), per_million("0.5"), per_million("22.5")]
    );
}

#[test]
fn searches_are_priced_by_their_context() {
    let record = prices_of("perplexity", "sonar");
    let usage = Usage {
        input: 9,
        output: 12,
        web_searches: 1,
        ..Usage::default()
    };
    let total = |search_context| {
        let served = Served {
            search_context,
            ..Served::default()
        };
        cost(&usage, &record, served).expect("priced").total
    };
    assert_eq!(total(Some(SearchContext::Low)), dollars("0.005021"));
    assert_eq!(total(Some(SearchContext::High)), dollars("0.012021"));
    assert_eq!(total(None), dollars("0.008021"));
}

#[test]
fn what_has_no_price_is_not_free() {
    let only_input = PriceRecord {
        base: Tariff {
            rates: Rates::from_iter([(Bucket::Input, per_million("1"))]),
            tiers: Vec::new(),
        },
        ..PriceRecord::default()
    };
    let usage = Usage {
        input: 10,
        output: 1,
        ..Usage::default()
    };
    assert_eq!(cost(&usage, &only_input, Served::default()), None);
    let embedding = Usage {
        input: 10,
        ..Usage::default()
    };
    assert_eq!(bill(embedding, &only_input).total, dollars("0.00001"));
    let searched = Usage {
        input: 10,
        web_searches: 2,
        ..Usage::default()
    };
    assert_eq!(
        bill(searched, &only_input).unpriced,
        [(Bucket::WebSearches, 2)]
    );
    assert!(!only_input.is_free());
}

#[test]
fn a_price_of_zero_is_free() {
    let free = read_override(json!({"input_cost_per_token": 0, "output_cost_per_token": 0.0}));
    let record = free.expect("an override").apply(None);
    assert!(record.is_free());
    let usage = Usage {
        input: 10,
        cache_read: 5,
        output: 7,
        reasoning: 9,
        ..Usage::default()
    };
    assert_eq!(bill(usage, &record).total, Money::ZERO);
}

#[test]
fn models_are_found_by_what_people_write() {
    let catalogue = Catalogue::shipped();
    for (provider, model) in [
        ("openai", "gpt-4o"),
        ("openai", "openai/gpt-4o"),
        ("openai", "GPT-4o"),
        ("openai", "gpt-4o-2024-08-06"),
        ("gemini", "models/gemini-2.5-pro"),
        ("openrouter", "anthropic/claude-sonnet-4.6"),
        ("azure", "eu/gpt-4o-2024-08-06"),
    ] {
        let record = catalogue
            .find(provider, model)
            .unwrap_or_else(|| panic!("{provider} {model}"));
        assert_eq!(record.provider, provider);
    }
    for name in [
        "gpt-4o",
        "openai/gpt-4o",
        "azure/gpt-4o",
        "together_ai/deepseek-ai/DeepSeek-V3",
        "claude-sonnet-4-6",
    ] {
        assert!(catalogue.find_by_name(name).is_some(), "{name}");
    }
}

#[test]
fn no_model_is_mistaken_for_another() {
    let catalogue = Catalogue::shipped();
    for (provider, model) in [
        ("openai", ""),
        ("openai", "gpt-4"[..4].trim_end_matches('4')),
        ("openai", "gpt-4o-2099-01-01"),
        ("openai", "gpt-4o-mini-cheaper"),
        ("openai", "gpt-4o\tchat"),
        ("nobody", "gpt-4o"),
        ("", ""),
        ("#", " version 2026-11-21"),
    ] {
        assert_eq!(catalogue.find(provider, model), None, "{provider} {model}");
    }
}

#[test]
fn every_line_of_the_catalogue_is_read_and_found() {
    let catalogue = Catalogue::shipped();
    let records: Vec<_> = catalogue.iter().collect();
    assert!(records.len() > 3600 && catalogue.version().starts_with("20"));
    let mut priced = 0;
    for record in &records {
        let found = catalogue.find(record.provider, record.id);
        assert_eq!(found.as_ref(), Some(record));
        assert!(!record.facts.mode.is_empty());
        priced += usize::from(record.price.is_some());
    }
    assert!(priced > 3200, "{priced} have a price");
    assert!(records.is_sorted_by_key(|record| (record.provider, record.id)));
    assert_eq!(
        catalogue.list("openai").count(),
        records.iter().filter(|r| r.provider == "openai").count()
    );
    let gpt = catalogue.find("openai", "gpt-4o").expect("gpt-4o").facts;
    assert_eq!(
        (gpt.max_input_tokens, gpt.max_output_tokens),
        (Some(128_000), Some(16_384))
    );
    assert!(gpt.can("vision") && !gpt.can("audio_input"));
}

#[test]
fn an_override_of_the_main_prices_stands_alone() {
    let own = read_override(json!({
        "input_cost_per_token": 1e-6, "output_cost_per_token": "0.000002",
        "output_cost_per_token_above_200k_tokens": 4e-6, "input_cost_per_token_flex": 5e-7,
        "model": "openai/gpt-4o", "rpm": 5, "cache_read_input_token_cost": null,
    }));
    let record = own
        .expect("prices")
        .apply(Some(prices_of("openai", "gpt-4o")));
    assert_eq!(record.source, PriceSource::Override);
    assert_eq!(record.base.rates.get(Bucket::CacheRead), None);
    assert_eq!(
        record.base.rates.get(Bucket::Output),
        Some(per_million("2"))
    );
    assert_eq!(record.base.tiers[0].above_input_tokens, 200_000);
    let flex = record.service_tier("flex").expect("flex");
    assert_eq!(flex.rates.get(Bucket::Input), Some(per_million("0.5")));
    let cached = bill(
        Usage {
            cache_read: 1_000_000,
            ..Usage::default()
        },
        &record,
    );
    assert_eq!(
        (cached.total, cached.items[0].priced_as),
        (dollars("1"), Bucket::Input)
    );
}

#[test]
fn an_override_of_a_side_price_changes_that_price_only() {
    let own = read_override(json!({"cache_read_input_token_cost": 1e-7})).expect("a price");
    let record = own.apply(Some(prices_of("openai", "gpt-4o")));
    assert_eq!(
        record.base.rates.get(Bucket::CacheRead),
        Some(per_million("0.1"))
    );
    assert_eq!(
        record.base.rates.get(Bucket::Input),
        Some(per_million("2.5"))
    );
    assert!(record.service_tier("batch").is_some());
}

#[test]
fn an_override_by_the_second_counts_milliseconds() {
    let record = read_override(json!({"input_cost_per_second": 0.0001}))
        .expect("a price")
        .apply(None);
    let usage = Usage {
        milliseconds: 90_500,
        ..Usage::default()
    };
    assert_eq!(bill(usage, &record).total, dollars("0.00905"));
}

#[test]
fn a_price_that_is_none_is_refused_by_name() {
    for value in [json!("free"), json!(-1), json!(true), json!({}), json!("")] {
        let error = Override::read([("input_cost_per_token", &value)]).expect_err("no price");
        assert_eq!(
            (error.status(), error.parameter()),
            (400, Some("input_cost_per_token"))
        );
    }
    assert_eq!(read_override(json!({"model": "m", "mode": "chat"})), None);
}

#[test]
fn no_usage_is_too_large_for_a_bill() {
    let most = json!({"input_cost_per_token": 9000, "output_cost_per_token": 9000});
    let record = read_override(most).expect("prices").apply(None);
    let usage = Usage {
        input: u64::MAX,
        cache_read: u64::MAX,
        output: u64::MAX,
        reasoning: u64::MAX,
        ..Usage::default()
    };
    assert_eq!(bill(usage, &record).total, Money::MAX);
}

fn any_usage() -> impl Strategy<Value = Usage> {
    prop::array::uniform8(0..2_000_000_u64).prop_map(|n| Usage {
        input: n[0],
        cache_read: n[1],
        cache_write_5m: n[2],
        cache_write_1h: n[3],
        output: n[4],
        reasoning: n[5],
        output_audio: n[6],
        input_image: n[7],
        ..Usage::default()
    })
}

fn any_record() -> impl Strategy<Value = PriceRecord> {
    prop::array::uniform4(0..100_000_000_000_i64).prop_map(|price| {
        let rates = |price: &[i64]| {
            [Bucket::Input, Bucket::Output, Bucket::CacheRead]
                .into_iter()
                .zip(price.iter().copied().map(Price))
                .collect()
        };
        PriceRecord {
            base: Tariff {
                rates: rates(&price[..3]),
                tiers: Vec::new(),
            },
            ..PriceRecord::default()
        }
    })
}

proptest! {
    #[test]
    fn the_cost_of_the_parts_is_the_cost_of_the_whole(
        first in any_usage(),
        second in any_usage(),
        record in any_record(),
    ) {
        let whole = Usage {
            input: first.input + second.input,
            cache_read: first.cache_read + second.cache_read,
            cache_write_5m: first.cache_write_5m + second.cache_write_5m,
            cache_write_1h: first.cache_write_1h + second.cache_write_1h,
            input_image: first.input_image + second.input_image,
            output: first.output + second.output,
            reasoning: first.reasoning + second.reasoning,
            output_audio: first.output_audio + second.output_audio,
            ..Usage::default()
        };
        let parts = bill(first, &record).total + bill(second, &record).total;
        prop_assert!((bill(whole, &record).total - parts).0.abs() <= 1);
    }

    #[test]
    fn a_tier_never_mixes_with_the_base(input in 0..1_000_000_u64, threshold in 0..1_000_000_u64) {
        let tier = Tier {
            above_input_tokens: threshold,
            rates: Rates::from_iter([(Bucket::Input, per_million("2"))]),
        };
        let record = PriceRecord {
            base: Tariff {
                rates: Rates::from_iter([(Bucket::Input, per_million("1"))]),
                tiers: vec![tier],
            },
            ..PriceRecord::default()
        };
        let price = if input > threshold { 2000 } else { 1000 };
        let expected = Money(i64::try_from(input).expect("small") * price);
        prop_assert_eq!(bill(Usage { input, ..Usage::default() }, &record).total, expected);
    }
}
