//! Prices that a deployment's configuration states, in LiteLLM's names: dollars per single token or
//! unit, as numbers or decimal text, in `litellm_params` or `model_info`.

use base::{Code, Error, Price, Result};
use serde_json::Value;

use crate::price::{PriceRecord, PriceSource, Rates, Tariff};
use crate::usage::Bucket;

/// LiteLLM's names for the price of a bucket. Of two names for one bucket the later one here counts.
const NAMES: &[(&str, Bucket)] = &[
    ("input_cost_per_token", Bucket::Input),
    ("output_cost_per_token", Bucket::Output),
    ("cache_read_input_token_cost", Bucket::CacheRead),
    ("cache_creation_input_token_cost", Bucket::CacheWrite5m),
    (
        "cache_creation_input_token_cost_above_1hr",
        Bucket::CacheWrite1h,
    ),
    ("input_cost_per_audio_token", Bucket::InputAudio),
    ("output_cost_per_audio_token", Bucket::OutputAudio),
    ("input_cost_per_image_token", Bucket::InputImage),
    ("output_cost_per_image_token", Bucket::OutputImage),
    ("output_cost_per_reasoning_token", Bucket::Reasoning),
    ("input_cost_per_image", Bucket::Images),
    ("output_cost_per_image", Bucket::Images),
    ("input_cost_per_second", Bucket::Milliseconds),
    ("output_cost_per_second", Bucket::Milliseconds),
    ("input_cost_per_character", Bucket::Characters),
    ("ocr_cost_per_page", Bucket::Pages),
    ("input_cost_per_query", Bucket::SearchUnits),
    ("input_cost_per_request", Bucket::Requests),
];

/// The suffixes by which LiteLLM names the price of a service tier.
const SERVICE_TIERS: &[(&str, &str)] = &[
    ("_priority", "priority"),
    ("_flex", "flex"),
    ("_batches", "batch"),
];

/// Prices that a configuration states for one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override(PriceRecord);

impl Override {
    /// Reads the prices among the members of `litellm_params` and `model_info`; later members win.
    /// `None` if no price is stated. Nulls and members that are no price are passed over.
    ///
    /// # Errors
    /// `BadRequest` with the member's name for a price that is no decimal number, or below zero.
    pub fn read<'a>(
        members: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Result<Option<Override>> {
        let mut record = PriceRecord {
            source: PriceSource::Override,
            ..PriceRecord::default()
        };
        let mut stated = false;
        for (name, value) in members {
            let Some(place) = Place::of(name).filter(|_| !value.is_null()) else {
                continue;
            };
            let price = read_price(name, value)?;
            place.set(&mut record, price);
            stated = true;
        }
        Ok(stated.then_some(Override(record)))
    }

    /// The prices of the deployment. An override that states the price of input or output is a
    /// contract of its own: nothing of the catalogue's record, such as its tiers, remains. Any other
    /// override changes single prices of the catalogue's record.
    pub fn apply(self, catalogue: Option<PriceRecord>) -> PriceRecord {
        let own = self.0;
        let stands_alone = own.base.rates.get(Bucket::Input).is_some()
            || own.base.rates.get(Bucket::Output).is_some();
        let Some(mut record) = catalogue.filter(|_| !stands_alone) else {
            return own;
        };
        record.source = PriceSource::Override;
        merge(&mut record.base, own.base);
        for (name, tariff) in own.service_tiers {
            merge(record.tariff_mut(&name), tariff);
        }
        record
    }
}

/// A record's prices by LiteLLM's names, in dollars per single token or unit; for showing only.
pub fn names(record: &PriceRecord) -> Vec<(String, f64)> {
    let tiers = record.service_tiers.iter().map(|(tier, tariff)| {
        let suffix = SERVICE_TIERS.iter().find(|(_, name)| name == tier);
        (suffix.map(|(suffix, _)| *suffix), tariff)
    });
    let mut named = Vec::new();
    for (suffix, tariff) in [(Some(""), &record.base)].into_iter().chain(tiers) {
        let Some(suffix) = suffix else {
            continue;
        };
        let mut add = |rates: &Rates, above: &str| {
            for (bucket, price) in rates.iter() {
                let name = NAMES.iter().find(|(_, named)| *named == bucket);
                let Some((name, _)) = name else {
                    continue;
                };
                let price = match bucket {
                    Bucket::Milliseconds => Price(price.0.saturating_mul(1000)),
                    _ => price,
                };
                named.push((
                    format!("{name}{above}{suffix}"),
                    price.as_dollars_per_unit(),
                ));
            }
        };
        add(&tariff.rates, "");
        for tier in &tariff.tiers {
            let above = format!("_above_{}k_tokens", tier.above_input_tokens / 1000);
            add(&tier.rates, &above);
        }
    }
    named
}

/// Where among the prices a member's name points.
struct Place {
    bucket: Bucket,
    service_tier: &'static str,
    above_input_tokens: Option<u64>,
}

impl Place {
    /// `input_cost_per_token`, `…_above_200k_tokens`, `…_priority`, `…_above_200k_tokens_priority`.
    fn of(name: &str) -> Option<Place> {
        let (name, service_tier) = SERVICE_TIERS
            .iter()
            .find_map(|(suffix, tier)| Some((name.strip_suffix(suffix)?, *tier)))
            .unwrap_or((name, ""));
        let (name, above_input_tokens) = match name.strip_suffix("k_tokens") {
            Some(head) => {
                let (head, thousands) = head.rsplit_once("_above_")?;
                (
                    head,
                    Some(thousands.parse::<u64>().ok()?.checked_mul(1000)?),
                )
            }
            None => (name, None),
        };
        let (_, bucket) = NAMES.iter().find(|(known, _)| *known == name)?;
        Some(Place {
            bucket: *bucket,
            service_tier,
            above_input_tokens,
        })
    }

    fn set(&self, record: &mut PriceRecord, price: Price) {
        let price = match self.bucket {
            Bucket::Milliseconds => Price(price.0 / 1000),
            _ => price,
        };
        let tariff = record.tariff_mut(self.service_tier);
        let rates = match self.above_input_tokens {
            None => &mut tariff.rates,
            Some(threshold) => &mut tariff.tier_mut(threshold).rates,
        };
        rates.set(self.bucket, price);
    }
}

fn read_price(name: &str, value: &Value) -> Result<Price> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => String::new(),
    };
    Price::per_unit(&text)
        .filter(|price| price.0 >= 0)
        .ok_or_else(|| {
            let message = format!("{name} must be a number of dollars that is not negative");
            Error::new(Code::BadRequest, message).param(name.to_owned())
        })
}

fn merge(tariff: &mut Tariff, own: Tariff) {
    for (bucket, price) in own.rates.iter() {
        tariff.rates.set(bucket, price);
    }
    for tier in own.tiers {
        let rates = &mut tariff.tier_mut(tier.above_input_tokens).rates;
        for (bucket, price) in tier.rates.iter() {
            rates.set(bucket, price);
        }
    }
}
