//! What can be called without any model list: the providers that the environment names a key or an
//! address for, and, where there is none, a demonstration that needs no network.

use base::Result;
use llm::provider::{Api, PROVIDERS, Provider};
use llm::{Catalogue, Format};
use serde_json::Value;

use crate::definition::{Definition, Object, Origin, Variables, variable};
use crate::deployment::{Deployment, Host, Target};
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

/// The provider at its own host, or the one in its place, for whoever brings a key: without those of the
/// environment.
///
/// # Errors
/// For a provider that is nowhere in particular.
pub fn without_keys(provider: &Provider, variables: &Variables) -> Result<Deployment> {
    let settings = provider.settings.iter();
    let places = settings.filter(|setting| !setting.is_credential);
    let names = places.flat_map(|setting| setting.variables);
    let names: Vec<&str> = names.chain(provider.base_url_variables).copied().collect();
    let variables = variables
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut definition = Definition {
        id: format!("provider-{}", provider.name),
        ..whole(provider)
    };
    let is_nowhere = provider.base_url.is_none()
        && matches!(provider.api, Api::OpenAi | Api::Azure | Api::AzureAi);
    if !is_nowhere || variable(&variables, provider.base_url_variables).is_some() {
        return definition.deployment(&variables);
    }
    definition
        .params
        .insert("api_base".to_owned(), NOWHERE.into());
    let mut deployment = definition.deployment(&variables)?;
    if let Target::Upstream(upstream) = &mut deployment.target {
        // only keys that bring a host of their own are of use there
        upstream.host = Host::Replaced;
    }
    Ok(deployment)
}

/// Stands where a key's own host comes in.
const NOWHERE: &str = "https://provider.invalid/v1";

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
            // `region/model` is a price, not a name
            let is_region_s = matches!(provider.api, Api::Azure | Api::AzureAi | Api::Bedrock)
                && model.id.contains('/');
            let mut called = formats_of(model.facts.mode).iter();
            !is_region_s
                && !is_of_a_size(model.id)
                && called.any(|format| provider.format_for(*format, model.id).is_some())
        })
        .map(|model| model.id)
}

/// Whether an id is the price of a picture of one size, such as `high/1024-x-1536/gpt-image-1`, and no name
/// that a provider answers to.
fn is_of_a_size(id: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    id.split('/').any(|part| {
        let sides = part.split_once("-x-");
        sides.is_some_and(|(width, height)| is_number(width) && is_number(height))
    })
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

#[cfg(test)]
mod tests {
    use base::Secret;

    use super::*;

    fn names(variables: &[(&str, &str)]) -> Vec<&'static str> {
        let variables: Variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
            .collect();
        opened(&variables).map(|provider| provider.name).collect()
    }

    #[test]
    fn a_key_opens_its_provider_and_keys_of_aws_only_with_a_region() {
        assert_eq!(names(&[("ANTHROPIC_API_KEY", "k")]), ["anthropic"]);
        assert_eq!(names(&[("GOOGLE_API_KEY", "k")]), ["gemini"]);
        assert_eq!(names(&[("CO_API_KEY", "k")]), ["cohere"]);
        let mut aws = vec![("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_REGION", "us-east-1")];
        assert!(names(&aws).is_empty());
        aws.push(("AWS_SECRET_ACCESS_KEY", "s"));
        assert_eq!(names(&aws), ["bedrock"]);
        aws.remove(1);
        assert!(names(&aws).is_empty());
        assert!(names(&[("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")]).is_empty());
        assert!(names(&[("GOOGLE_CLOUD_PROJECT", "p"), ("AWS_REGION", "us-east-1")]).is_empty());
    }

    #[test]
    fn every_variable_is_known_and_key_files_are_told_apart() {
        let all: Vec<&str> = variables().collect();
        for name in [
            "ANTHROPIC_BASE_URL",
            "AZURE_API_VERSION",
            "AWS_SESSION_TOKEN",
            "AWS_BEARER_TOKEN_BEDROCK",
            "VERTEXAI_PROJECT",
            "VERTEXAI_LOCATION",
            "COHERE_API_KEY",
        ] {
            assert!(all.contains(&name), "{name}");
        }
        let files: Vec<&str> = file_variables().collect();
        assert_eq!(
            files,
            ["VERTEXAI_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"]
        );
    }

    #[test]
    fn what_is_listed_can_be_called() {
        let listed = |name: &str| -> Vec<&str> {
            let provider = PROVIDERS.iter().find(|provider| provider.name == name);
            catalogued(provider.unwrap()).collect()
        };
        assert!(listed("openai").contains(&"gpt-5-codex"));
        assert!(listed("openai").contains(&"gpt-image-1.5"));
        assert!(listed("openai").iter().all(|name| !name.contains("-x-")));
        assert!(listed("anthropic").contains(&"claude-sonnet-4-6"));
        assert!(listed("bedrock").iter().all(|name| !name.contains('/')));
        assert!(
            listed("cohere")
                .iter()
                .any(|name| name.starts_with("embed-"))
        );
    }
}
