//! The models of the `/v2` API: what a caller can use now, and what they could use with a key at its
//! provider. A model has one id everywhere, made of its provider and its name.

use std::collections::BTreeSet;

use base::Money;
use llm::Catalogue;
use llm::price::PriceRecord;
use llm::provider::Provider;
use llm::usage::Bucket;
use sha1::{Digest as _, Sha1};
use uuid::Uuid;

use crate::caller::Caller;
use crate::deployment::{Chosen, Target};
use crate::payers::{self, SentKeys};
use crate::{Domain, access, model_facts, providers};

/// The providers whose models are listed although nobody has a key there: a key of one's own opens
/// them.
pub const OPEN_TO_KEYS: [&str; 3] = ["anthropic", "openai", "gemini"];

/// What the ids of models and providers are made in.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_2f3e_9d0b_5a47_8b7e_c0de_70a1_1a7e);

/// How much a model may say where nobody knows.
const USUAL_MOST_TOKENS: u64 = 8192;

/// Whose key would pay a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The caller's own.
    Personal,
    /// Anybody else's: their team's, their organization's, the gateway's.
    System,
}

impl KeySource {
    /// Whose key pays a call, or would.
    pub fn of(chosen: &Chosen) -> KeySource {
        match chosen.is_on_callers_money() {
            true => KeySource::Personal,
            false => KeySource::System,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            KeySource::Personal => "personal",
            KeySource::System => "system",
        }
    }
}

/// A model.
#[derive(Clone, Debug)]
pub struct LlmModel {
    pub id: Uuid,
    /// The short name.
    pub name: String,
    /// The provider's name of it.
    pub model_id: String,
    pub display_name: String,
    pub provider: &'static Provider,
    pub price: Option<std::sync::Arc<PriceRecord>>,
    pub context_window: Option<u64>,
    pub max_output_tokens: Option<u64>,
    /// What calls are made to; `None` where the caller has no key for it.
    pub callable: Option<Callable>,
}

/// How a model is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callable {
    /// The public name.
    pub name: String,
    pub key_source: KeySource,
}

impl LlmModel {
    pub fn is_active(&self) -> bool {
        self.callable.is_some()
    }

    /// Dollars for a million tokens of input and of output.
    pub fn prices(&self) -> [f64; 2] {
        let price = |bucket| {
            let record = self.price.as_ref();
            let price = record.and_then(|record| record.base.rates.get(bucket));
            // nano-dollars for a million, as an amount of money is nano-dollars
            price.map_or(0.0, |price| Money(price.0).as_dollars())
        };
        [price(Bucket::Input), price(Bucket::Output)]
    }

    pub fn max_tokens(&self) -> u64 {
        self.max_output_tokens.unwrap_or(USUAL_MOST_TOKENS)
    }

    /// Whether a request that names a model so means this one, and how precisely: the lower the more.
    fn is_meant_by(&self, text: &str) -> Option<u8> {
        let is_id = Uuid::try_parse(text).is_ok_and(|id| id == self.id);
        let callable = self.callable.as_ref();
        let called = callable.map(|callable| callable.name.as_str());
        // a name with its provider before it
        let rest = text.split_once('/').filter(|(prefix, _)| {
            let named = find_provider(prefix);
            named.is_some_and(|named| named.name == self.provider.name)
        });
        let bare = rest.map(|(_, bare)| bare);
        match text {
            _ if is_id => Some(0),
            _ if self.model_id == text => Some(if self.is_active() { 1 } else { 2 }),
            _ if self.name == text || called == Some(text) || bare == Some(&self.name) => {
                Some(if self.is_active() { 3 } else { 4 })
            }
            _ => None,
        }
    }
}

/// The name of a provider in this API, which is not always ours.
pub fn shown_provider(provider: &Provider) -> &'static str {
    match provider.name {
        "gemini" => "google",
        name => name,
    }
}

/// The provider that this API calls so.
pub fn find_provider(name: &str) -> Option<&'static Provider> {
    match name {
        "google" => llm::provider::find("gemini"),
        name => llm::provider::find(name),
    }
}

/// The id of a provider.
pub fn provider_id(provider: &Provider) -> Uuid {
    named(&format!("provider/{}", provider.name))
}

fn model_id(provider: &Provider, name: &str) -> Uuid {
    named(&format!("model/{}/{name}", provider.name))
}

/// A UUID of version 5 (RFC 9562 §5.5).
fn named(name: &str) -> Uuid {
    let hash = Sha1::new()
        .chain_update(NAMESPACE.as_bytes())
        .chain_update(name.as_bytes())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

/// All models that a caller may know of, by provider and name.
pub fn list(domain: &Domain, caller: &Caller) -> Vec<LlmModel> {
    let snapshot = domain.models.now();
    let mut known = BTreeSet::new();
    let mut models: Vec<LlmModel> = Vec::new();
    for name in payers::visible(domain, caller, &snapshot) {
        let resolved = access::resolve_alias(caller, &snapshot, &name);
        let found = payers::find(domain, caller, &snapshot, resolved, &SentKeys::default());
        let model = of(domain, caller, &name, found);
        if let Some(model) = model
            && known.insert(model.id)
        {
            models.push(model);
        }
    }
    for provider in OPEN_TO_KEYS
        .iter()
        .filter_map(|name| llm::provider::find(name))
    {
        for id in providers::bare_names(provider) {
            if !known.contains(&model_id(provider, id))
                && let Some(model) = catalogued(provider, id)
            {
                models.push(model);
            }
        }
    }
    models.sort_by(|one, other| {
        let key = |model: &LlmModel| {
            (
                shown_provider(model.provider),
                model.display_name.to_lowercase(),
            )
        };
        key(one)
            .cmp(&key(other))
            .then_with(|| one.name.cmp(&other.name))
    });
    models
}

/// The model that a request names by its id, the provider's name of it, or its short name.
pub fn find(domain: &Domain, caller: &Caller, text: &str) -> Option<LlmModel> {
    let models = list(domain, caller).into_iter();
    let meant = models.filter_map(|model| Some((model.is_meant_by(text)?, model)));
    let nearest = meant.min_by_key(|(distance, _)| *distance)?;
    Some(nearest.1)
}

/// A model behind a public name; `None` for what is no chat of a provider.
fn of(domain: &Domain, caller: &Caller, public: &str, found: Vec<Chosen>) -> Option<LlmModel> {
    let chosen = found.first()?.clone();
    let facts = model_facts::of(&chosen);
    if !matches!(facts.mode.as_deref(), None | Some("chat" | "responses")) {
        return None;
    }
    let provider = match &chosen.deployment.target {
        Target::Demo => return None,
        Target::Upstream(upstream) => upstream.provider,
        Target::Mock(_) => llm::provider::find(facts.provider?)?,
    };
    // whoever would be asked first
    let plan = payers::plan(domain, caller, found, &SentKeys::default());
    let payer = plan.ok().and_then(|plan| plan.into_iter().next());
    let key_source = payer.map(|payer| KeySource::of(&payer));
    let name = short(provider, public);
    let model_id = match &chosen.deployment.target {
        Target::Mock(_) => facts.key.unwrap_or(name),
        _ => &chosen.model,
    };
    let stated = chosen.deployment.info.get("display_name");
    let display_name = match stated.and_then(serde_json::Value::as_str) {
        Some(stated) => stated.to_owned(),
        None if name == model_id => title(model_id),
        None => name.to_owned(),
    };
    Some(LlmModel {
        id: self::model_id(provider, name),
        name: name.to_owned(),
        model_id: model_id.to_owned(),
        display_name,
        provider,
        price: facts.price,
        context_window: facts.max_input_tokens,
        max_output_tokens: facts.max_output_tokens,
        callable: key_source.map(|key_source| Callable {
            name: public.to_owned(),
            key_source,
        }),
    })
}

/// A model that the catalogue knows and nobody has a key for.
fn catalogued(provider: &'static Provider, id: &str) -> Option<LlmModel> {
    let record = Catalogue::shipped().find(provider.catalogue?, id)?;
    matches!(record.facts.mode, "chat" | "responses").then(|| LlmModel {
        id: model_id(provider, id),
        name: id.to_owned(),
        model_id: id.to_owned(),
        display_name: title(id),
        provider,
        price: record.price.map(std::sync::Arc::new),
        context_window: record.facts.max_input_tokens,
        max_output_tokens: record.facts.max_output_tokens,
        callable: None,
    })
}

/// A public name without its provider, where the bare name means the same.
fn short<'a>(provider: &Provider, public: &'a str) -> &'a str {
    let bare = public
        .strip_prefix(provider.name)
        .and_then(|rest| rest.strip_prefix('/'));
    let record = bare.and_then(|bare| Catalogue::shipped().find_by_name(bare));
    match (bare, record) {
        (Some(bare), Some(record)) if Some(record.provider) == provider.catalogue => bare,
        _ => public,
    }
}

/// The name of a model for people, where it is one of a provider's own; else what it is called.
pub fn title_of(name: &str) -> String {
    match Catalogue::shipped().find_by_name(name) {
        Some(record) if record.id == name => title(name),
        _ => name.to_owned(),
    }
}

/// A model's name for people: `claude-sonnet-4-5-20250929` is Claude Sonnet 4.5.
fn title(id: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let parts: Vec<&str> = without_date(id).split('-').collect();
    for (at, part) in parts.iter().enumerate() {
        let is_number = |text: &str| {
            (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let follows_number = at > 0 && is_number(parts[at - 1]) && is_number(part);
        let word = match *part {
            "gpt" => "GPT".to_owned(),
            "ai" | "tts" => part.to_uppercase(),
            part => {
                let mut letters = part.chars();
                let first = letters.next().map(|first| first.to_ascii_uppercase());
                first.into_iter().chain(letters).collect()
            }
        };
        match words.last_mut() {
            Some(last) if follows_number => {
                last.push('.');
                last.push_str(part);
            }
            Some(last) if last == "GPT" => {
                last.push('-');
                last.push_str(part);
            }
            _ => words.push(word),
        }
    }
    words.join(" ")
}

/// A name without the day it was published on.
fn without_date(id: &str) -> &str {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((rest, day)) = id.rsplit_once('-')
        && day.len() == 8
        && is_digits(day)
    {
        return rest;
    }
    let cut = id.len().saturating_sub("-2024-04-09".len());
    match (id.get(..cut), id.get(cut..)) {
        (Some(rest), Some(day)) if !rest.is_empty() => {
            let parts: Vec<&str> = day.split('-').collect();
            let is_date = matches!(parts[..], ["", year, month, day]
                if year.len() == 4 && month.len() == 2 && day.len() == 2
                    && [year, month, day].into_iter().all(is_digits));
            if is_date { rest } else { id }
        }
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_called_as_people_call_them() {
        for (id, expected) in [
            ("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5"),
            ("claude-opus-4-6", "Claude Opus 4.6"),
            ("gpt-4o", "GPT-4o"),
            ("gpt-4o-mini", "GPT-4o Mini"),
            ("gpt-4-turbo-2024-04-09", "GPT-4 Turbo"),
            ("o1-preview", "O1 Preview"),
            ("gemini-2.0-flash", "Gemini 2.0 Flash"),
            ("2024-04-09", "2024 04.09"),
            ("é-2024-04-09", "é"),
            ("", ""),
        ] {
            assert_eq!(title(id), expected, "{id}");
        }
    }

    #[test]
    fn ids_are_the_same_everywhere() {
        let openai = llm::provider::find("openai").unwrap();
        let id = model_id(openai, "gpt-4o");
        assert_eq!(id.get_version_num(), 5);
        assert_eq!(id, model_id(openai, "gpt-4o"));
        assert_ne!(id, model_id(openai, "gpt-4o-mini"));
        assert_eq!(short(openai, "openai/gpt-4o"), "gpt-4o");
        assert_eq!(short(openai, "openai/mine"), "openai/mine");
    }
}
