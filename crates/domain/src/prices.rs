//! What models cost at a deployment.

use std::sync::Arc;

use base::{Price, Result};
use llm::Catalogue;
use llm::overrides::Override;
use llm::price::{PriceRecord, PriceSource};
use llm::provider::Provider;
use llm::usage::Bucket;
use sha2::{Digest, Sha256};

use crate::definition::{Object, hex, text};
use crate::deployment::Priced;

/// What a model costs at a deployment: the prices it states, those of its `base_model`, or those of
/// the model as its provider names it, never of the public name (contract §5.5). Some models have
/// other prices in a `region`.
///
/// # Errors
/// [`Code::BadRequest`] for a stated price that is no price.
pub fn price(
    id: &str,
    params: &Object,
    info: &Object,
    provider: &Provider,
    region: Option<&str>,
    model: &str,
) -> Result<Option<Priced>> {
    let stated = info
        .iter()
        .chain(params)
        .map(|(name, value)| (name.as_str(), value));
    let stated = Override::read(stated)?;
    let catalogue = Catalogue::shipped();
    let record = match text(info, "base_model")? {
        Some(base_model) => catalogue.find_by_name(&base_model),
        None => provider.catalogue.and_then(|name| {
            let there = region.map(|region| format!("{region}/{model}"));
            there
                .and_then(|model| catalogue.find(name, &model))
                .or_else(|| catalogue.find(name, model))
        }),
    };
    let known = record.as_ref().and_then(|record| record.price.clone());
    if let Some(stated) = stated {
        let record = stated.apply(known);
        let hash = hex(&Sha256::digest(format!("{record:?}").as_bytes())[..6]);
        return Ok(Some(Priced {
            version: format!("deployment/{id}/{hash}").into(),
            record: Arc::new(record),
        }));
    }
    Ok(record.zip(known).map(|(record, price)| Priced {
        version: format!(
            "catalogue/{}/{}/{}",
            catalogue.version(),
            record.provider,
            record.id
        )
        .into(),
        record: Arc::new(price),
    }))
}

/// The price of what costs nothing.
pub fn free() -> Priced {
    let mut record = PriceRecord {
        source: PriceSource::Override,
        ..PriceRecord::default()
    };
    for bucket in [Bucket::Input, Bucket::Output] {
        record.base.rates.set(bucket, Price(0));
    }
    Priced {
        version: "free".into(),
        record: Arc::new(record),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::definition::{Definition, Origin, Variables};

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            _ => panic!("an object is expected"),
        }
    }

    #[test]
    fn prices_are_the_stated_ones_then_the_base_model_s_then_the_model_s() {
        let price = |params: Value, info: Value| {
            let deployment =
                Definition::new("m".to_owned(), object(params), object(info), Origin::File)
                    .deployment(&Variables::new())
                    .unwrap();
            deployment.price.map(|price| {
                let rate = price.record.base.rates.get(Bucket::Input);
                (price.version.to_string(), rate.unwrap_or_default())
            })
        };
        let per_million = |dollars| Price::per_million(dollars).unwrap();
        let (version, rate) = price(json!({"model": "openai/gpt-4o-mini"}), json!({})).unwrap();
        assert!(version.starts_with("catalogue/") && version.ends_with("/openai/gpt-4o-mini"));
        assert_eq!(rate, per_million("0.15"));
        let (_, rate) = price(
            json!({"model": "openai/my-own", "api_base": "http://a.test"}),
            json!({"base_model": "openai/gpt-4o-mini"}),
        )
        .unwrap();
        assert_eq!(rate, per_million("0.15"));
        let (version, rate) = price(
            json!({"model": "openai/gpt-4o-mini", "input_cost_per_token": 2e-6}),
            json!({"id": "mine", "input_cost_per_token": 1}),
        )
        .unwrap();
        assert!(version.starts_with("deployment/mine/"), "{version}");
        assert_eq!(rate, per_million("2"));
        assert_eq!(
            price(json!({"model": "openai/never-seen"}), json!({})),
            None
        );
    }

    #[test]
    fn a_region_has_prices_of_its_own_or_those_of_the_model() {
        let version = |params: Value| {
            let deployment =
                Definition::new("m".to_owned(), object(params), Object::new(), Origin::File)
                    .deployment(&Variables::new())
                    .unwrap();
            let version = deployment.price.unwrap().version.to_string();
            version.split_once("/bedrock/").unwrap().1.to_owned()
        };
        let of = |model: &str, region: &str| {
            version(json!({"model": format!("bedrock/{model}"), "aws_region_name": region}))
        };
        let claude = "anthropic.claude-v2:1";
        assert_eq!(of(claude, "us-east-1"), "us-east-1/anthropic.claude-v2:1");
        assert_eq!(of(claude, "us-west-1"), claude);
        assert_eq!(
            of("us-east-1/anthropic.claude-v2:1", "us-west-1"),
            "us-east-1/anthropic.claude-v2:1"
        );
        assert_eq!(of("us-west-1/anthropic.claude-v2:1", "us-east-1"), claude);
    }
}
