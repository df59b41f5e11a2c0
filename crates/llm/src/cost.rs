//! What a usage costs, with the line items that explain it.

use base::money::Femto;
use base::{Money, Price};

use crate::price::{PriceContext, PriceRecord};
use crate::usage::{Bucket, SearchContext, Usage};

/// One line of a bill: so many of a bucket at a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineItem {
    pub bucket: Bucket,
    /// The bucket whose price was applied: `bucket` itself, or the parent it falls back to.
    pub priced_as: Bucket,
    pub quantity: u64,
    /// Per million of the quantity.
    pub price: Price,
    /// Their product, exactly.
    pub amount: Femto,
}

/// A bill. The items are summed exactly and rounded once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    pub items: Vec<LineItem>,
    pub total: Money,
    /// The threshold of the tier that the prompt's length led to.
    pub tier_above: Option<u64>,
    /// The service tier whose prices were applied, where it has its own.
    pub service_tier: Option<String>,
    /// Counted units (never tokens) that were used and have no price: they are not in the total.
    pub unpriced: Vec<(Bucket, u64)>,
}

/// Which of a model's prices apply to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served<'a> {
    /// `service_tier` of the **answer**.
    pub service_tier: Option<&'a str>,
    pub search_context: Option<SearchContext>,
}

/// The bill for `usage`. `None` if tokens were used that have no price, or nothing but units that have
/// none: the model is unpriced for this call, which is not the same as free.
pub fn cost(usage: &Usage, record: &PriceRecord, served: Served<'_>) -> Option<Receipt> {
    let context = PriceContext {
        service_tier: served.service_tier,
        search_context: served.search_context,
        input_tokens: usage.prompt_tokens(),
    };
    let tariff = served
        .service_tier
        .and_then(|name| record.service_tier(name));
    let mut receipt = Receipt {
        tier_above: tariff
            .filter(|tariff| !tariff.tiers.is_empty())
            .unwrap_or(&record.base)
            .tier(context.input_tokens)
            .map(|tier| tier.above_input_tokens),
        service_tier: tariff.and(served.service_tier).map(str::to_owned),
        ..Receipt::default()
    };
    for bucket in Bucket::ALL {
        let quantity = quantity(usage, bucket, record, &context);
        if quantity == 0 {
            continue;
        }
        match record.price(bucket, &context) {
            Some((priced_as, price)) => receipt.items.push(LineItem {
                bucket,
                priced_as,
                quantity,
                price,
                amount: price.times(quantity),
            }),
            None if bucket.is_tokens() => return None,
            None => receipt.unpriced.push((bucket, quantity)),
        }
    }
    if receipt.items.is_empty() && !receipt.unpriced.is_empty() {
        return None;
    }
    // Saturates, as the counts are the provider's: no number of theirs may stop the gateway.
    let sum = receipt
        .items
        .iter()
        .fold(0_i128, |sum, item| sum.saturating_add(item.amount.0));
    receipt.total = Femto(sum).round();
    Some(receipt)
}

/// How many of a bucket are charged. The call itself counts where the provider charges for it.
fn quantity(
    usage: &Usage,
    bucket: Bucket,
    record: &PriceRecord,
    context: &PriceContext<'_>,
) -> u64 {
    match bucket {
        Bucket::Requests => u64::from(record.price(bucket, context).is_some()),
        _ => usage.get(bucket),
    }
}
