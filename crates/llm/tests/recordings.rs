//! Every recorded exchange of the OpenAI-compatible providers, replayed: bytes, usage, errors, cost.
//!
//! The recordings are no part of the repository. Where they are absent these tests say so and pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::{Money, Price};
use bytes::Bytes;
use llm::cost::Served;
use llm::price::{Rates, Tariff};
use llm::provider::{self, UpstreamError};
use llm::request::{peek, rewrite};
use llm::response::{Observed, StreamObserver, observe};
use llm::usage::Bucket;
use llm::{Catalogue, Format, Usage, UsageRule, cost};
use serde_json::Value;

const PUBLIC: &str = "our \"own\" name";

struct Exchange {
    name: String,
    format: Format,
    rule: UsageRule,
    model: String,
    status: u64,
    stream_end: String,
    request: Option<Bytes>,
    response: Option<Bytes>,
    stream: Option<Bytes>,
}

#[expect(clippy::disallowed_methods, reason = "only tests read this variable")]
fn root() -> Option<PathBuf> {
    let root = match std::env::var("TOLLGATE_RECORDINGS") {
        Ok(path) => PathBuf::from(path),
        Err(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
    };
    if root.is_dir() {
        return Some(root);
    }
    eprintln!(
        "no recordings at {} (set TOLLGATE_RECORDINGS): not tested",
        root.display()
    );
    None
}

fn json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).expect("JSON")
}

/// All exchanges in OpenAI's formats.
fn exchanges() -> Vec<Exchange> {
    let Some(root) = root() else {
        return Vec::new();
    };
    let index = json(&root.join("index.json"));
    let entries = index.as_array().expect("a list");
    let found: Vec<Exchange> = entries
        .iter()
        .filter_map(|entry| exchange(&root, entry))
        .collect();
    assert!(
        found.len() > 200,
        "only {} exchanges are there",
        found.len()
    );
    found
}

fn exchange(root: &Path, entry: &Value) -> Option<Exchange> {
    let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
    let (provider, case) = (text("provider"), text("case"));
    let format = match entry["api"].as_str()? {
        "chat" => Format::OpenAiChat,
        "completions" => Format::OpenAiCompletion,
        "embeddings" => Format::OpenAiEmbedding,
        _ => return None,
    };
    let meta = json(&root.join(format!("providers/{provider}/{case}.meta.json")));
    let path = meta["path"].as_str().unwrap_or("/chat/completions");
    if !path.split('?').next()?.ends_with(format.path()) || path.starts_with("/api/emb") {
        return None;
    }
    let file = |ending: &str| {
        std::fs::read(root.join(format!("providers/{provider}/{case}.{ending}")))
            .ok()
            .map(Bytes::from)
    };
    let model = text("model");
    Some(Exchange {
        format,
        rule: rule(&provider, &model),
        name: format!("{provider}/{case}"),
        model,
        status: entry["status"].as_u64()?,
        stream_end: text("stream_end"),
        request: file("request.json"),
        response: file("response.json"),
        stream: file("stream.sse"),
    })
}

fn rule(provider: &str, model: &str) -> UsageRule {
    let name = match provider {
        "azure" if model.contains("grok") => return UsageRule::CacheApart,
        "azure" => "openai",
        "vercel-gateway" => "vercel_ai_gateway",
        name => name,
    };
    provider::find(name)
        .unwrap_or_else(|| panic!("no row for {name}"))
        .usage_rule(model)
}

/// `original` with the value of one member called `model` replaced, if that gives `changed`.
fn differs_by_the_model_only(original: &[u8], changed: &[u8]) -> bool {
    let value: Value = match serde_json::from_slice(original) {
        Ok(value) => value,
        Err(_) => return original == changed,
    };
    let Some(model) = value["model"].as_str() else {
        return original == changed;
    };
    let public = serde_json::to_string(PUBLIC).expect("JSON");
    let mut expected = value.clone();
    expected["model"] = Value::from(PUBLIC);
    let quoted = serde_json::to_string(model).expect("JSON");
    let text = std::str::from_utf8(original).expect("text");
    serde_json::from_slice::<Value>(changed).expect("still JSON") == expected
        && text.match_indices(&quoted).any(|(at, _)| {
            [&text[..at], &public, &text[at + quoted.len()..]]
                .concat()
                .as_bytes()
                == changed
        })
}

fn run(exchange: &Exchange, stream: &Bytes, size: usize, hide_usage: bool) -> (Vec<u8>, Observed) {
    let mut observer = StreamObserver::new(exchange.format, exchange.rule, PUBLIC, hide_usage);
    let mut out = Vec::new();
    for chunk in stream.chunks(size) {
        out.extend_from_slice(&observer.feed(Bytes::copy_from_slice(chunk)));
    }
    let (rest, observed) = observer.finish();
    out.extend_from_slice(&rest);
    (out, observed)
}

/// The payloads of a stream's data lines that are JSON.
fn payloads(stream: &[u8]) -> Vec<Value> {
    stream
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line.strip_prefix(b"data:")?).ok())
        .collect()
}

/// The usage object that counts: the last one.
fn last_usage(payloads: &[Value]) -> Option<&Value> {
    let own = |payload: &'_ Value| payload["usage"].is_object();
    payloads.iter().rev().find_map(|payload| {
        let usage = if own(payload) {
            &payload["usage"]
        } else {
            &payload["x_groq"]["usage"]
        };
        usage.is_object().then_some(usage)
    })
}

fn number(usage: &Value, pointer: &str) -> u64 {
    usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The identities that were counted over all recordings of each provider.
fn assert_adds_up(name: &str, rule: UsageRule, usage: &Usage, wire: &Value) {
    let prompt = number(wire, "/prompt_tokens");
    let completion = number(wire, "/completion_tokens");
    let total = number(wire, "/total_tokens");
    let reasoning = number(wire, "/completion_tokens_details/reasoning_tokens");
    let cached = number(wire, "/prompt_tokens_details/cached_tokens")
        .max(number(wire, "/prompt_cache_hit_tokens"))
        .max(number(wire, "/num_cached_tokens"))
        .max(number(wire, "/cached_tokens"));
    let audio = number(wire, "/prompt_tokens_details/audio_tokens");
    let apart = rule == UsageRule::CacheApart;
    let cached = if apart { cached } else { cached.min(prompt) };
    assert_eq!(usage.cache_read, cached, "{name}: cached");
    assert_eq!(usage.input_audio, audio, "{name}: audio");
    match rule {
        UsageRule::OpenAi | UsageRule::Perplexity => {
            assert_eq!(usage.prompt_tokens(), prompt, "{name}");
            assert_eq!(usage.completion_tokens(), completion, "{name}");
            assert_eq!(usage.reasoning, reasoning.min(completion), "{name}");
            assert_eq!(usage.total_tokens(), total, "{name}");
        }
        UsageRule::ReasoningApart => {
            assert_eq!(usage.prompt_tokens(), prompt, "{name}");
            assert_eq!(
                (usage.output, usage.reasoning),
                (completion, reasoning),
                "{name}"
            );
            if !name.starts_with("vercel") {
                assert_eq!(usage.total_tokens(), total, "{name}");
            }
        }
        UsageRule::CacheApart => {
            assert_eq!(usage.prompt_tokens() - cached, prompt, "{name}");
            assert_eq!(usage.total_tokens() - cached, total, "{name}");
            assert_eq!(usage.reasoning, reasoning, "{name}");
        }
        UsageRule::AudioApart | UsageRule::HiddenThinking => {
            assert_eq!(usage.total_tokens(), total, "{name}");
        }
    }
}

#[test]
fn whole_answers_keep_their_bytes_and_add_up() {
    let mut with_usage = 0;
    for exchange in exchanges().iter().filter(|exchange| exchange.status == 200) {
        let Some(body) = &exchange.response else {
            continue;
        };
        let name = &exchange.name;
        let (out, observed) = observe(exchange.format, exchange.rule, body.clone(), PUBLIC);
        assert!(differs_by_the_model_only(body, &out), "{name}");
        let value: Value = serde_json::from_slice(body).expect("JSON");
        assert_eq!(observed.model.as_deref(), value["model"].as_str(), "{name}");
        match last_usage(std::slice::from_ref(&value)) {
            None => assert_eq!(observed.usage, None, "{name}"),
            Some(wire) => {
                with_usage += 1;
                let usage = observed.usage.unwrap_or_else(|| panic!("{name}: no usage"));
                assert_adds_up(name, exchange.rule, &usage, wire);
            }
        }
    }
    eprintln!("{with_usage} whole answers with usage");
}

#[test]
fn streams_keep_their_bytes_however_they_are_cut() {
    for exchange in &exchanges() {
        let Some(stream) = &exchange.stream else {
            continue;
        };
        let name = &exchange.name;
        let (whole, observed) = run(exchange, stream, stream.len(), false);
        for size in [1, 7, 100, 1460] {
            let (out, seen) = run(exchange, stream, size, false);
            assert_eq!(
                (out, &seen),
                (whole.clone(), &observed),
                "{name} in pieces of {size}"
            );
        }
        let lines = |bytes: &[u8]| -> Vec<Vec<u8>> {
            bytes
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .collect()
        };
        let (before, after) = (lines(stream), lines(&whole));
        assert_eq!(before.len(), after.len(), "{name}");
        for (before, after) in before.iter().zip(&after) {
            let payload = |line: &'_ [u8]| line.strip_prefix(b"data:").map(<[u8]>::to_vec);
            match (payload(before), payload(after)) {
                (Some(before), Some(after)) => {
                    assert!(differs_by_the_model_only(&before, &after), "{name}");
                }
                _ => assert_eq!(before, after, "{name}"),
            }
        }
        match exchange.stream_end.as_str() {
            "error-event" => assert!(observed.stream_error, "{name}"),
            end => assert_eq!(observed.finished, end == "complete", "{name}"),
        }
    }
}

#[test]
fn a_stream_s_usage_is_that_of_the_whole_answer() {
    let mut with_usage = 0;
    for exchange in &exchanges() {
        let Some(stream) = &exchange.stream else {
            continue;
        };
        let name = &exchange.name;
        let (_, observed) = run(exchange, stream, 500, true);
        let payloads = payloads(stream);
        let Some(wire) = last_usage(&payloads) else {
            assert_eq!(observed.usage, None, "{name}");
            continue;
        };
        with_usage += 1;
        let usage = observed.usage.unwrap_or_else(|| panic!("{name}: no usage"));
        assert_adds_up(name, exchange.rule, &usage, wire);
        let whole = serde_json::json!({"model": exchange.model, "choices": [], "usage": wire});
        let (_, as_whole) = observe(
            exchange.format,
            exchange.rule,
            Bytes::from(whole.to_string()),
            PUBLIC,
        );
        assert_eq!(Some(usage), as_whole.usage, "{name}");
        assert_eq!(observed.provider_cost, as_whole.provider_cost, "{name}");
    }
    eprintln!("{with_usage} streams with usage");
}

#[test]
fn only_the_usage_chunk_is_kept_from_a_client_that_did_not_ask() {
    let mut hidden = 0;
    for exchange in &exchanges() {
        let Some(stream) = &exchange.stream else {
            continue;
        };
        let name = &exchange.name;
        let (shown, _) = run(exchange, stream, 333, false);
        let (kept, _) = run(exchange, stream, 333, true);
        let is_extra = |payload: &Value| {
            payload["choices"].as_array().is_some_and(Vec::is_empty) && payload["usage"].is_object()
        };
        let mut expected = payloads(&shown);
        expected.retain(|payload| !is_extra(payload));
        assert_eq!(payloads(&kept), expected, "{name}");
        hidden += usize::from(kept.len() < shown.len());
    }
    eprintln!("{hidden} usage chunks hidden");
}

#[test]
fn requests_reach_the_provider_as_they_were_but_for_the_model() {
    for exchange in exchanges().iter().filter(|exchange| exchange.status == 200) {
        let Some(body) = &exchange.request else {
            continue;
        };
        let name = &exchange.name;
        let mut value: Value = serde_json::from_slice(body).expect("JSON");
        if value.get("model").is_none() {
            continue;
        }
        let seen = peek(exchange.format, body).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            seen.model,
            value["model"].as_str().expect("a name"),
            "{name}"
        );
        assert_eq!(seen.stream, value["stream"] == Value::Bool(true), "{name}");
        let sent = rewrite(body, &seen, PUBLIC, false).concat();
        assert!(differs_by_the_model_only(body, &sent), "{name}");

        value["model"] = Value::from(PUBLIC);
        value["stream_options"]["include_usage"] = Value::Bool(true);
        let asked = rewrite(body, &seen, PUBLIC, true).concat();
        assert_eq!(
            serde_json::from_slice::<Value>(&asked).expect("JSON"),
            value,
            "{name}"
        );
    }
}

#[test]
fn errors_say_what_the_provider_said() {
    for exchange in exchanges().iter().filter(|exchange| exchange.status >= 400) {
        let Some(body) = &exchange.response else {
            continue;
        };
        let name = &exchange.name;
        let error = UpstreamError::read(exchange.status as u16, body);
        let text = String::from_utf8_lossy(body);
        let message = serde_json::to_string(&error.message).expect("JSON");
        assert!(
            text.contains(message.trim_matches('"')) || message.contains("[redacted]"),
            "{name}: {message} is not in {text}"
        );
        assert!(
            !error.message.is_empty() && !error.message.starts_with('{'),
            "{name}"
        );
    }
}

/// Cases whose reported cost is not that of the catalogue's prices, and why.
const INEXACT: &[(&str, &str)] = &[
    ("azure/chat-cache-read-stream", "Azure reports no cost"),
    ("azure/chat-text-stream", "Azure reports no cost"),
    ("azure/chat-tool-call-stream-1", "Azure reports no cost"),
    ("perplexity/chat-text", "Perplexity rounds to five decimals"),
    ("xai/chat-reasoning-replayed-stream", REPRICED),
    ("xai/chat-reasoning-stream", REPRICED),
    ("xai/chat-tool-call-1", REPRICED),
    ("xai/chat-tool-call-stream", REPRICED),
    ("xai/responses-citations", "searches are charged on top"),
    ("xai/responses-multi-turn-system-stream", REPOINTED),
    ("xai/responses-tool-call-parallel-stream", REPOINTED),
    ("xai/responses-tool-choice-stream", REPOINTED),
];
const REPRICED: &str = "the model's price has changed since the recording";
const REPOINTED: &str = "the provider answered with another model than was asked for";

/// What a check's own usage object holds, for the formats that are not replayed here.
fn checked_usage(usage: &Value) -> Usage {
    let cached = number(usage, "/input_tokens_details/cached_tokens");
    Usage {
        input: number(usage, "/input_tokens") - cached,
        cache_read: cached,
        output: number(usage, "/output_tokens"),
        ..Usage::default()
    }
}

fn observed(exchange: &Exchange) -> Observed {
    match (&exchange.stream, &exchange.response) {
        (Some(stream), _) => run(exchange, stream, 999, false).1,
        (None, Some(body)) => observe(exchange.format, exchange.rule, body.clone(), PUBLIC).1,
        (None, None) => panic!("{}: no answer", exchange.name),
    }
}

#[test]
fn costs_are_what_the_providers_charged() {
    let Some(root) = root() else { return };
    let checks = json(&root.join("prices/cost_checks.json"));
    let by_name: BTreeMap<String, Exchange> = exchanges()
        .into_iter()
        .map(|exchange| (exchange.name.clone(), exchange))
        .collect();
    let mut exact = 0;
    for check in checks["cases"].as_array().expect("a list") {
        let text = |key: &str| check[key].as_str().unwrap_or("");
        let name = format!("{}/{}", text("provider"), text("case"));
        let mut reported = Money::from_dollars(text("reported_usd")).expect("an amount");
        if check["usage"]["is_byok"] == Value::Bool(true) {
            // What the provider behind OpenRouter charges comes on top of OpenRouter's own fee.
            let upstream = &check["usage"]["cost_details"]["upstream_inference_cost"];
            let upstream = Money::from_dollars(upstream.as_str().expect("text"));
            reported += upstream.expect("an amount");
        }
        let observed = match (by_name.get(&name), text("api")) {
            (Some(exchange), _) => {
                let seen = observed(exchange);
                let by_provider = Some(reported).filter(|_| text("provider") != "azure");
                assert_eq!(seen.provider_cost, by_provider, "{name}: reported");
                seen
            }
            (None, "responses") => Observed {
                usage: Some(checked_usage(&check["usage"])),
                ..Observed::default()
            },
            (None, _) => continue,
        };
        let record = Catalogue::shipped().find_by_name(text("price_record"));
        let prices = record.and_then(|record| record.price).expect("a price");
        let served = Served {
            service_tier: observed.service_tier.as_deref(),
            search_context: observed.search_context,
        };
        let receipt = cost(&observed.usage.expect("usage"), &prices, served).expect("priced");
        match INEXACT.iter().any(|(case, _)| *case == name) {
            true => {
                assert_ne!(check["exact"], Value::Bool(true), "{name}");
                assert_ne!(
                    receipt.total, reported,
                    "{name} is exact: strike it off the list"
                );
            }
            false => {
                assert_eq!(receipt.total, reported, "{name}: {receipt:?}");
                exact += 1;
            }
        }
    }
    assert!(exact >= 41, "only {exact} costs are exact");
}

/// The names of the collection for the buckets that the catalogue keeps.
const PRICE_NAMES: &[(&str, Bucket)] = &[
    ("input", Bucket::Input),
    ("output", Bucket::Output),
    ("cache_read", Bucket::CacheRead),
    ("cache_write", Bucket::CacheWrite5m),
    ("cache_write_1h", Bucket::CacheWrite1h),
    ("input_audio", Bucket::InputAudio),
    ("output_audio", Bucket::OutputAudio),
    ("input_image", Bucket::InputImage),
    ("output_image", Bucket::OutputImage),
    ("reasoning", Bucket::Reasoning),
];

fn assert_tariff(name: &str, tariff: &Tariff, prices: &Value, tiers: &Value) {
    let assert_rates = |rates: &Rates, prices: &Value| {
        for (source, bucket) in PRICE_NAMES {
            let expected = prices[*source].as_str().and_then(Price::per_million);
            assert_eq!(rates.get(*bucket), expected, "{name}: {source}");
        }
    };
    assert_rates(&tariff.rates, prices);
    for tier in tiers.as_array().into_iter().flatten() {
        let threshold = tier["above_input_tokens"].as_u64().expect("a threshold");
        let own = tariff.tier(threshold + 1).expect("a tier");
        assert_eq!(own.above_input_tokens, threshold, "{name}");
        assert_rates(&own.rates, tier);
    }
}

#[test]
fn the_catalogue_says_what_its_sources_say() {
    let Some(root) = root() else { return };
    let document = json(&root.join("prices/models.json"));
    if document["generated"].as_str() != Some(Catalogue::shipped().version()) {
        eprintln!("the model facts are of another day than the catalogue: not compared");
        return;
    }
    for model in document["models"].as_array().expect("a list") {
        let text = |key: &str| model[key].as_str().unwrap_or("");
        let id = match text("region") {
            "" => text("id").to_owned(),
            region => format!("{region}/{}", text("id")),
        };
        let name = format!("{} {id}", text("provider"));
        let record = Catalogue::shipped()
            .find(text("provider"), &id)
            .expect(&name);
        assert_eq!(
            (record.id, record.facts.mode),
            (id.as_str(), text("mode")),
            "{name}"
        );
        let Some(price) = record.price else {
            assert!(
                model["prices"]
                    .as_object()
                    .is_none_or(|prices| prices.get("input").is_none()),
                "{name}"
            );
            continue;
        };
        assert_tariff(&name, &price.base, &model["prices"], &model["tiers"]);
        for (tier, prices) in model["service_tiers"].as_object().into_iter().flatten() {
            let tariff = price
                .service_tier(tier)
                .unwrap_or_else(|| panic!("{name}: {tier}"));
            assert_tariff(&name, tariff, prices, &prices["tiers"]);
        }
    }
}
