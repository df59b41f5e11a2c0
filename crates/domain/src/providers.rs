//! What can be called without any model list: the providers that the environment names a key or an
//! address for, and, where there is none, a demonstration that needs no network.

use llm::Catalogue;
use llm::provider::{PROVIDERS, Provider};
use serde_json::Value;

use crate::definition::{Definition, Object, Origin, Variables, variable};
use crate::deployment::{Deployment, Target};
use crate::prices::free;

/// All environment variables that a provider reads.
pub fn variables() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().flat_map(|provider| {
        let names = provider
            .key_variables
            .iter()
            .chain(provider.base_url_variables);
        names.copied()
    })
}

/// The providers that the environment names a key or an address for.
pub fn opened(variables: &Variables) -> impl Iterator<Item = &'static Provider> {
    PROVIDERS.iter().filter(|provider| {
        variable(variables, provider.key_variables).is_some()
            || variable(variables, provider.base_url_variables).is_some()
    })
}

/// All models of a provider, as `provider/*`.
pub fn whole(provider: &Provider) -> Definition {
    let name = format!("{}/*", provider.name);
    let params = Object::from_iter([("model".to_owned(), Value::from(name.as_str()))]);
    let id = format!("environment-{}", provider.name);
    let info = Object::from_iter([("id".to_owned(), Value::from(id))]);
    Definition::new(name, params, info, Origin::Environment)
}

/// The modes of models that can be called.
const CALLABLE: [&str; 3] = ["chat", "completion", "embedding"];

/// The provider's models that the catalogue knows and that can be called, by the provider's names.
pub fn catalogued(provider: &Provider) -> impl Iterator<Item = &'static str> {
    let models = provider
        .catalogue
        .into_iter()
        .flat_map(|name| Catalogue::shipped().list(name));
    models
        .filter(|model| CALLABLE.contains(&model.facts.mode))
        .map(|model| model.id)
}

/// Those among them whose bare name means this provider and no other.
pub fn bare_names(provider: &'static Provider) -> impl Iterator<Item = &'static str> {
    catalogued(provider).filter(move |id| {
        let record = Catalogue::shipped().find_by_name(id);
        record.is_some_and(|record| Some(record.provider) == provider.catalogue)
    })
}

/// The names that the demonstration answers to: its own, and the one of LiteLLM's onboarding guide.
pub const DEMO_NAMES: [&str; 2] = ["demo", "gpt-3.5-turbo"];

/// The demonstration: answered by the gateway itself, for nothing.
pub fn demo(name: &str) -> Deployment {
    Deployment {
        id: format!("demo-{name}"),
        model_name: name.to_owned(),
        target: Target::Demo,
        price: Some(free()),
        mode: Some("chat".to_owned()),
        weight: 100,
        order: 0,
        team_id: None,
        access_groups: Vec::new(),
        is_configured: true,
        is_blocked: false,
        params: Object::from_iter([("model".to_owned(), Value::from("demo"))]),
        info: Object::from_iter([("mode".to_owned(), Value::from("chat"))]),
    }
}
