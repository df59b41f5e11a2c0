//! The facts and prices of models that come with the gateway.
//!
//! `prices/catalogue.tsv` is sorted text inside the binary: finding a model is a binary search over
//! it, and only what is found is parsed. So nothing is loaded at start and nothing is kept in memory.
//! The file is made by `cargo run -p llm --example import_prices`; its sources and licences are in
//! `prices/SOURCES.md`, its columns in [`parse_line`].

use std::cmp::Ordering;

use base::Price;

use crate::price::{PriceRecord, Rates};
use crate::usage::Bucket;

static SHIPPED: &str = include_str!("../prices/catalogue.tsv");

/// Providers whose models are known by their bare names, in the order they are asked.
const BY_BARE_NAME: &[&str] = &[
    "openai",
    "anthropic",
    "gemini",
    "mistral",
    "deepseek",
    "xai",
    "cohere",
    "perplexity",
    "moonshot",
    "zai",
    "groq",
];

/// A model at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRecord {
    /// The provider's name in the catalogue, which is not always its prefix; see [`crate::provider`].
    pub provider: &'static str,
    /// The id as the provider's API takes it, `region/id` where a price holds in one region only.
    pub id: &'static str,
    pub facts: ModelFacts,
    /// None where no source states a price: the model is unpriced, not free.
    pub price: Option<PriceRecord>,
}

/// What is known of a model besides its prices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// `chat`, `completion`, `embedding` … as LiteLLM names modes.
    pub mode: &'static str,
    pub max_input_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub capabilities: Vec<&'static str>,
    /// The day the model is retired (`2027-01-31`).
    pub deprecation_date: Option<&'static str>,
}

impl ModelFacts {
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.contains(&capability)
    }
}

/// The facts and prices of models.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue {
    text: &'static str,
}

impl Catalogue {
    /// The catalogue that comes with this build.
    pub const fn shipped() -> Catalogue {
        Catalogue { text: SHIPPED }
    }

    /// The day the catalogue was made (`2026-11-21`): the version of its prices.
    pub fn version(&self) -> &'static str {
        self.text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# version "))
            .unwrap_or("unknown")
    }

    /// A model by the provider's name in the catalogue and the id that its API takes.
    ///
    /// Spellings that mean the same are tried (`openai/gpt-4o`, `models/gemini-2.5-pro`, other case);
    /// never another model, nor another date of the same one: what is not known stays unpriced.
    pub fn find(&self, provider: &str, model: &str) -> Option<ModelRecord> {
        self.exact(provider, model)
            .or_else(|| self.exact(provider, model.strip_prefix(provider)?.strip_prefix('/')?))
            .or_else(|| self.exact(provider, model.strip_prefix("models/")?))
            .or_else(|| match provider {
                "fireworks" => self.exact(provider, &format!("accounts/fireworks/models/{model}")),
                // a region's models without a price of their own cost what they cost elsewhere
                "bedrock" => crate::provider::bedrock_region(model)
                    .and_then(|region| self.exact(provider, &model[region.len() + 1..])),
                _ => None,
            })
            .or_else(|| {
                self.lines(provider)
                    .find(|line| {
                        let id = line.split('\t').nth(1);
                        id.is_some_and(|id| id.eq_ignore_ascii_case(model))
                    })
                    .and_then(parse_line)
            })
    }

    /// A model by a name as LiteLLM's users write it, such as a `base_model`: `provider/model`, or a
    /// bare name of the provider that made the model.
    pub fn find_by_name(&self, name: &str) -> Option<ModelRecord> {
        let by_prefix = name.split_once('/').and_then(|(prefix, model)| {
            let provider = match crate::provider::find(prefix) {
                Some(provider) => provider.catalogue?,
                None => prefix,
            };
            self.find(provider, model)
        });
        by_prefix.or_else(|| {
            BY_BARE_NAME
                .iter()
                .find_map(|provider| self.exact(provider, name))
        })
    }

    /// All models of a provider, by id.
    pub fn list<'a>(&self, provider: &'a str) -> impl Iterator<Item = ModelRecord> + use<'a> {
        self.lines(provider).filter_map(parse_line)
    }

    fn lines<'a>(&self, provider: &'a str) -> impl Iterator<Item = &'static str> + use<'a> {
        self.text[self.lower_bound(provider, "")..]
            .lines()
            .take_while(move |line| line.split('\t').next() == Some(provider))
    }

    /// All models.
    pub fn iter(&self) -> impl Iterator<Item = ModelRecord> + use<> {
        self.text.lines().filter_map(parse_line)
    }

    fn exact(&self, provider: &str, model: &str) -> Option<ModelRecord> {
        let line = self.text[self.lower_bound(provider, model)..]
            .lines()
            .next()?;
        parse_line(line).filter(|record| (record.provider, record.id) == (provider, model))
    }

    /// The start of the first line whose provider and id are not less than these.
    fn lower_bound(&self, provider: &str, model: &str) -> usize {
        let text = self.text.as_bytes();
        let (mut low, mut high) = (0, text.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start = memchr::memrchr(b'\n', &text[low..middle]).map_or(low, |at| low + at + 1);
            let end = memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |at| start + at);
            match compare(&self.text[start..end], provider, model) {
                Ordering::Less => low = (end + 1).min(text.len()),
                _ => high = start,
            }
        }
        low
    }
}

/// Comments come before all models, as they stand first in the file.
fn compare(line: &str, provider: &str, model: &str) -> Ordering {
    if line.starts_with('#') {
        return Ordering::Less;
    }
    let mut columns = line.split('\t');
    let own = (columns.next().unwrap_or(""), columns.next().unwrap_or(""));
    own.cmp(&(provider, model))
}

/// Reads a line: provider, id, mode, largest input, largest output, capabilities, retirement day,
/// prices; separated by tabs, empty where unknown. Comments are no model.
///
/// Prices are groups separated by `|`: the base, then `>200000` (a tier), `batch` (a service tier)
/// or `batch>200000`, each followed by ` name=dollars` per million tokens, or per unit for units.
fn parse_line(line: &'static str) -> Option<ModelRecord> {
    if line.starts_with('#') {
        return None;
    }
    let mut columns = line.split('\t');
    let mut next = || columns.next();
    let (provider, id, mode) = (next()?, next()?, next()?);
    let facts = ModelFacts {
        mode,
        max_input_tokens: next()?.parse().ok(),
        max_output_tokens: next()?.parse().ok(),
        capabilities: next()?.split(' ').filter(|name| !name.is_empty()).collect(),
        deprecation_date: next().filter(|day| !day.is_empty()),
    };
    let price = next()
        .filter(|text| !text.is_empty())
        .and_then(parse_prices);
    Some(ModelRecord {
        provider,
        id,
        facts,
        price,
    })
}

fn parse_prices(text: &str) -> Option<PriceRecord> {
    let mut record = PriceRecord::default();
    for (index, group) in text.split('|').enumerate() {
        let mut words = group.split(' ').filter(|word| !word.is_empty());
        let place = if index == 0 { "" } else { words.next()? };
        let mut rates = Rates::default();
        for word in words {
            let (name, dollars) = word.split_once('=')?;
            match price_of(name, dollars)? {
                Named::Rate(bucket, price) => rates.set(bucket, price),
                Named::Search(size, price) => {
                    record.searches.get_or_insert([Price(0); 3])[size] = price;
                }
            }
        }
        place_rates(&mut record, place, rates)?;
    }
    Some(record)
}

/// Puts the rates of a group where they belong.
fn place_rates(record: &mut PriceRecord, place: &str, rates: Rates) -> Option<()> {
    let (service_tier, threshold) = match place.split_once('>') {
        Some((name, threshold)) => (name, Some(threshold.parse().ok()?)),
        None => (place, None),
    };
    let tariff = record.tariff_mut(service_tier);
    match threshold {
        None => tariff.rates = rates,
        Some(above_input_tokens) => tariff.tier_mut(above_input_tokens).rates = rates,
    }
    Some(())
}

enum Named {
    Rate(Bucket, Price),
    /// By context size: 0 low, 1 medium, 2 high.
    Search(usize, Price),
}

/// The names of prices in the file.
fn price_of(name: &str, dollars: &str) -> Option<Named> {
    let per_million = |bucket| Some(Named::Rate(bucket, Price::per_million(dollars)?));
    let per_unit = |bucket| Some(Named::Rate(bucket, Price::per_unit(dollars)?));
    let search = |size| Some(Named::Search(size, Price::per_unit(dollars)?));
    match name {
        "in" => per_million(Bucket::Input),
        "cr" => per_million(Bucket::CacheRead),
        "cw" => per_million(Bucket::CacheWrite5m),
        "cw1h" => per_million(Bucket::CacheWrite1h),
        "in_audio" => per_million(Bucket::InputAudio),
        "in_image" => per_million(Bucket::InputImage),
        "out" => per_million(Bucket::Output),
        "reason" => per_million(Bucket::Reasoning),
        "out_audio" => per_million(Bucket::OutputAudio),
        "out_image" => per_million(Bucket::OutputImage),
        "image" => per_unit(Bucket::Images),
        // Stated per second, kept per millisecond: a million of these are a thousand seconds.
        "second" => {
            let per_second = Price::per_unit(dollars)?;
            Some(Named::Rate(
                Bucket::Milliseconds,
                Price(per_second.0 / 1000),
            ))
        }
        "character" => per_unit(Bucket::Characters),
        "page" => per_unit(Bucket::Pages),
        "query" => per_unit(Bucket::SearchUnits),
        "request" => per_unit(Bucket::Requests),
        "search_low" => search(0),
        "search_medium" => search(1),
        "search_high" => search(2),
        _ => None,
    }
}
