//! What can be called without any model list: the providers that the environment names a key or an
//! address for, and, where there is none, a demonstration that needs no network.

use llm::provider::{PROVIDERS, Provider};
use llm::{Catalogue, Format};
use serde_json::Value;

use crate::definition::{Definition, Object, Origin, Variables, variable};
use crate::deployment::{Deployment, Target};
use crate::prices::free;

/// All environment variables that a provider reads.
pub fn variables() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().flat_map(|provider| {
        let settings = provider.settings.iter();
        let of_settings = settings.flat_map(|setting| setting.variables);
        let names = provider
            .key_variables
            .iter()
            .chain(provider.base_url_variables)
            .chain(of_settings);
        names.copied()
    })
}

/// Parameters whose value may be the path of a file that holds it.
pub const FILES: [&str; 2] = ["vertex_credentials", "vertex_ai_credentials"];

/// The environment variables of those parameters.
pub fn file_variables() -> impl Iterator<Item = &'static str> {
    let settings = PROVIDERS.iter().flat_map(|provider| provider.settings);
    let of_files = settings.filter(|setting| setting.names.iter().any(|name| FILES.contains(name)));
    of_files.flat_map(|setting| setting.variables).copied()
}

/// The providers that the environment names a key or an address for. Credentials that many programs
/// share, such as those of AWS, open a provider only if nothing else is missing.
pub fn opened(variables: &Variables) -> impl Iterator<Item = &'static Provider> {
    PROVIDERS.iter().filter(|provider| {
        if variable(variables, provider.key_variables).is_some()
            || variable(variables, provider.base_url_variables).is_some()
        {
            return true;
        }
        let mut credentials = provider
            .settings
            .iter()
            .filter(|setting| setting.is_credential);
        credentials.any(|setting| variable(variables, setting.variables).is_some())
            && is_reachable(provider, variables)
    })
}

fn is_reachable(provider: &Provider, variables: &Variables) -> bool {
    match whole(provider)
        .deployment(variables)
        .map(|made| made.target)
    {
        Ok(Target::Upstream(upstream)) => !upstream.credential.is_none(),
        _ => false,
    }
}

/// All models of a provider, as `provider/*`.
pub fn whole(provider: &Provider) -> Definition {
    let name = format!("{}/*", provider.name);
    let params = Object::from_iter([("model".to_owned(), Value::from(name.as_str()))]);
    let id = format!("environment-{}", provider.name);
    let info = Object::from_iter([("id".to_owned(), Value::from(id))]);
    Definition::new(name, params, info, Origin::Environment)
}

/// What a model of a mode is called by; none for modes that cannot be called.
fn formats_of(mode: &str) -> &'static [Format] {
    match mode {
        "chat" | "responses" => &Format::CHATS,
        "completion" => &[Format::OpenAiCompletion],
        "embedding" => &[Format::OpenAiEmbedding, Format::GeminiEmbedding],
        "moderation" => &[Format::Moderation],
        "image_generation" => &[Format::ImageGeneration],
        "image_edit" => &[Format::ImageEdit],
        "audio_speech" => &[Format::Speech],
        "audio_transcription" => &[Format::Transcription],
        "rerank" => &[Format::Rerank],
        _ => &[],
    }
}

/// The provider's models that the catalogue knows and that can be called, by the provider's names.
pub fn catalogued(provider: &'static Provider) -> impl Iterator<Item = &'static str> {
    let models = provider
        .catalogue
        .into_iter()
        .flat_map(|name| Catalogue::shipped().list(name));
    models
        .filter(|model| {
            let mut called = formats_of(model.facts.mode).iter();
            called.any(|format| provider.format_for(*format, model.id).is_some())
        })
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
