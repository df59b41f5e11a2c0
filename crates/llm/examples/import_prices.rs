//! Turns the collected model facts into the catalogue that the gateway ships.
//!
//! `cargo run -p llm --example import_prices -- models.json crates/llm/prices/catalogue.tsv`
//!
//! The input is described in `prices/SOURCES.md`. The output is sorted, so that it can be searched
//! where it lies, and stable, so that a new import reads as a list of price changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

const TOKEN_PRICES: &[(&str, &str)] = &[
    ("input", "in"),
    ("cache_read", "cr"),
    ("cache_write", "cw"),
    ("cache_write_1h", "cw1h"),
    ("input_audio", "in_audio"),
    ("input_image", "in_image"),
    ("output", "out"),
    ("reasoning", "reason"),
    ("output_audio", "out_audio"),
    ("output_image", "out_image"),
];

const UNIT_PRICES: &[(&str, &str)] = &[
    ("output_cost_per_image", "image"),
    ("input_cost_per_second", "second"),
    ("output_cost_per_second", "second"),
    ("input_cost_per_character", "character"),
    ("ocr_cost_per_page", "page"),
    ("input_cost_per_query", "query"),
    ("input_cost_per_request", "request"),
];

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: import_prices MODELS_JSON CATALOGUE_TSV".into());
    };
    let document: Value = serde_json::from_slice(&std::fs::read(input)?)?;
    let generated = document["generated"]
        .as_str()
        .ok_or("no day of generation")?;
    let mut lines = BTreeMap::new();
    for model in document["models"].as_array().ok_or("no models")? {
        let provider = text(model, "provider");
        let id = match text(model, "region") {
            "" => text(model, "id").to_owned(),
            region => format!("{region}/{}", text(model, "id")),
        };
        let rest = columns(model).join("\t");
        if lines
            .insert((provider.to_owned(), id.clone()), rest)
            .is_some()
        {
            return Err(format!("{provider} {id} stands there twice").into());
        }
    }
    let mut tsv = format!(
        "# version {generated}\n# provider\tid\tmode\tmax input\tmax output\tcapabilities\tretired\tprices\n"
    );
    for ((provider, id), rest) in &lines {
        writeln!(tsv, "{provider}\t{id}\t{rest}")?;
    }
    std::fs::write(output, tsv)?;
    Ok(())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

fn columns(model: &Value) -> [String; 6] {
    let number = |key: &str| {
        model[key]
            .as_u64()
            .map(|n| n.to_string())
            .unwrap_or_default()
    };
    let capabilities = model["capabilities"].as_object().into_iter().flatten();
    let mut able: Vec<&str> = capabilities
        .filter(|(_, yes)| yes.as_bool() == Some(true))
        .map(|(name, _)| name.as_str())
        .collect();
    able.sort_unstable();
    let max_input = match number("max_input_tokens") {
        unknown if unknown.is_empty() => number("context_window"),
        known => known,
    };
    [
        text(model, "mode").to_owned(),
        max_input,
        number("max_output_tokens"),
        able.join(" "),
        text(model, "deprecation_date").to_owned(),
        prices(model),
    ]
}

/// All price groups of a model, as `llm::catalogue` reads them.
fn prices(model: &Value) -> String {
    let mut groups = vec![[token_prices(&model["prices"]), unit_prices(model)].concat()];
    groups.extend(tiers("", model));
    let service_tiers = model["service_tiers"].as_object().into_iter().flatten();
    for (name, tier) in service_tiers {
        groups.push([vec![name.clone()], token_prices(tier)].concat());
        groups.extend(tiers(name, tier));
    }
    for (name, mode) in model["modes"].as_object().into_iter().flatten() {
        // A mode that is a service tier under another name is in the list already, or belongs there.
        let name = mode["request"]["body"]["service_tier"]
            .as_str()
            .unwrap_or(name);
        if model["service_tiers"].get(name).is_none() {
            groups.push([vec![name.to_owned()], token_prices(&mode["prices"])].concat());
        }
    }
    if groups
        .iter()
        .all(|group| !group.iter().any(|word| word.contains('=')))
    {
        return String::new();
    }
    groups
        .iter()
        .map(|group| group.join(" "))
        .collect::<Vec<_>>()
        .join("|")
}

fn tiers(service_tier: &str, tariff: &Value) -> Vec<Vec<String>> {
    let mut tiers: Vec<(u64, Vec<String>)> = tariff["tiers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tier| Some((tier["above_input_tokens"].as_u64()?, token_prices(tier))))
        .collect();
    tiers.sort();
    tiers
        .into_iter()
        .map(|(above, rates)| [vec![format!("{service_tier}>{above}")], rates].concat())
        .collect()
}

fn token_prices(prices: &Value) -> Vec<String> {
    named(TOKEN_PRICES, prices)
}

fn unit_prices(model: &Value) -> Vec<String> {
    let units = &model["per_unit_prices"];
    let mut words = named(UNIT_PRICES, units);
    // at endpoints for pictures this is the price of one made; elsewhere, of one that is sent
    let makes_pictures = matches!(text(model, "mode"), "image_generation" | "image_edit");
    if let Some(dollars) = units["input_cost_per_image"].as_str()
        && makes_pictures
        && units["output_cost_per_image"].is_null()
    {
        words.push(format!("image={dollars}"));
    }
    for size in ["low", "medium", "high"] {
        if let Some(dollars) = units["web_search_per_query"][size].as_str() {
            words.push(format!("search_{size}={dollars}"));
        }
    }
    words
}

fn named(names: &[(&str, &str)], prices: &Value) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (source, name) in names {
        let known = words
            .iter()
            .any(|word| word.starts_with(&format!("{name}=")));
        if let (false, Some(dollars)) = (known, prices[*source].as_str()) {
            words.push(format!("{name}={dollars}"));
        }
    }
    words
}
