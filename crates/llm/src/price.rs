//! The shape of a model's prices.
//!
//! A price belongs to a [`Bucket`] and is nano-dollars per million tokens (or units), an integer.
//! Prices may depend on how long the prompt is ([`Tier`]: the whole request costs more, not the part
//! above) and on the service tier that answered ([`PriceRecord::service_tiers`]).

use base::Price;

use crate::usage::{Bucket, SearchContext};

/// A price for each of some buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(Vec<(Bucket, Price)>);

impl Rates {
    pub fn get(&self, bucket: Bucket) -> Option<Price> {
        let at = self.0.binary_search_by_key(&bucket, |(own, _)| *own).ok()?;
        Some(self.0[at].1)
    }

    pub fn set(&mut self, bucket: Bucket, price: Price) {
        match self.0.binary_search_by_key(&bucket, |(own, _)| *own) {
            Ok(at) => self.0[at].1 = price,
            Err(at) => self.0.insert(at, (bucket, price)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Bucket, Price)> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<(Bucket, Price)> for Rates {
    fn from_iter<I: IntoIterator<Item = (Bucket, Price)>>(prices: I) -> Rates {
        let mut rates = Rates::default();
        for (bucket, price) in prices {
            rates.set(bucket, price);
        }
        rates
    }
}

/// Rates that hold for the whole request once its input tokens exceed a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    pub above_input_tokens: u64,
    pub rates: Rates,
}

/// Rates, and the tiers that replace some of them for long prompts, lowest threshold first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tariff {
    pub rates: Rates,
    pub tiers: Vec<Tier>,
}

impl Tariff {
    /// The tier that a prompt of so many tokens falls into.
    pub fn tier(&self, input_tokens: u64) -> Option<&Tier> {
        self.tiers
            .iter()
            .rev()
            .find(|tier| input_tokens > tier.above_input_tokens)
    }

    /// A price missing from a tier stays at its base value.
    fn get(&self, bucket: Bucket, input_tokens: u64) -> Option<Price> {
        self.tier(input_tokens)
            .and_then(|tier| tier.rates.get(bucket))
            .or_else(|| self.rates.get(bucket))
    }

    /// The tier above this threshold, made if it is not there.
    pub(crate) fn tier_mut(&mut self, above_input_tokens: u64) -> &mut Tier {
        let threshold = |tier: &Tier| tier.above_input_tokens;
        let at = match self
            .tiers
            .binary_search_by_key(&above_input_tokens, threshold)
        {
            Ok(at) => at,
            Err(at) => {
                let rates = Rates::default();
                self.tiers.insert(
                    at,
                    Tier {
                        above_input_tokens,
                        rates,
                    },
                );
                at
            }
        };
        &mut self.tiers[at]
    }
}

/// All prices of one model at one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceRecord {
    pub base: Tariff,
    /// By the name that the answer's `service_tier` has: `batch`, `flex`, `priority` …
    pub service_tiers: Vec<(String, Tariff)>,
    /// A web search by its context size: low, medium, high.
    pub searches: Option<[Price; 3]>,
    pub source: PriceSource,
}

/// Who stated a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PriceSource {
    /// The catalogue that comes with the gateway.
    #[default]
    Catalogue,
    /// The deployment's own configuration.
    Override,
}

/// What selects among a model's prices.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriceContext<'a> {
    /// The service tier that the answer names; none, or one without prices of its own, is the base.
    pub service_tier: Option<&'a str>,
    pub search_context: Option<SearchContext>,
    /// All input tokens of the request, cached ones too.
    pub input_tokens: u64,
}

impl PriceRecord {
    /// The prices of the service tier with this name.
    pub fn service_tier(&self, name: &str) -> Option<&Tariff> {
        self.service_tiers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, tariff)| tariff)
    }

    /// The tariff of a service tier, made if it is not there; the base for the empty name.
    pub(crate) fn tariff_mut(&mut self, service_tier: &str) -> &mut Tariff {
        if service_tier.is_empty() {
            return &mut self.base;
        }
        let known = self
            .service_tiers
            .iter()
            .position(|(name, _)| name == service_tier);
        let at = known.unwrap_or_else(|| {
            self.service_tiers
                .push((service_tier.to_owned(), Tariff::default()));
            self.service_tiers.len() - 1
        });
        &mut self.service_tiers[at].1
    }

    /// The price of a bucket, and the bucket whose price it is: its own, or an ancestor's.
    pub fn price(&self, bucket: Bucket, context: &PriceContext<'_>) -> Option<(Bucket, Price)> {
        let special = context
            .service_tier
            .and_then(|name| self.service_tier(name));
        let mut at = Some(bucket);
        while let Some(priced_as) = at {
            let price = special
                .and_then(|tariff| tariff.get(priced_as, context.input_tokens))
                .or_else(|| self.base.get(priced_as, context.input_tokens))
                .or_else(|| self.search_price(priced_as, context));
            if let Some(price) = price {
                return Some((priced_as, price));
            }
            at = priced_as.parent();
        }
        None
    }

    /// Without a context size the provider's default, medium, is the price.
    fn search_price(&self, bucket: Bucket, context: &PriceContext<'_>) -> Option<Price> {
        if bucket != Bucket::WebSearches {
            return None;
        }
        let [low, medium, high] = self.searches?;
        Some(match context.search_context {
            Some(SearchContext::Low) => low,
            Some(SearchContext::Medium) | None => medium,
            Some(SearchContext::High) => high,
        })
    }

    /// Whether a call can cost anything at all.
    pub fn is_free(&self) -> bool {
        let tariffs = || {
            self.service_tiers
                .iter()
                .map(|(_, tariff)| tariff)
                .chain([&self.base])
        };
        let rates = tariffs().flat_map(|tariff| {
            tariff
                .tiers
                .iter()
                .map(|tier| &tier.rates)
                .chain([&tariff.rates])
        });
        rates
            .flat_map(Rates::iter)
            .all(|(_, price)| price == Price(0))
            && self.searches.is_none_or(|prices| prices == [Price(0); 3])
    }
}
