//! Who answers for a definition: the provider, where it is, and what proves to it who asks.
//!
//! The gateway's own credentials come from the environment. They are never mixed with a credential
//! that a definition states, nor sent to an address that somebody gave through the API.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Result, Secret};
use http::{HeaderMap, HeaderName, HeaderValue};
use llm::provider::{
    self, Api, Application, AwsKeys, Credential, Endpoint, Provider, ServiceAccount, Setting, Site,
};
use llm::{Format, sigv4};

use crate::definition::{Definition, Origin, Variables, integer, refused, seconds, text, variable};
use crate::deployment::{Host, Target, Upstream};
use crate::destinations::Reach;
use crate::payers::PaidBy;

impl Definition {
    /// # Errors
    /// [`Code::BadRequest`](base::Code) whose `param` names the parameter at fault.
    pub(crate) fn target(&self, variables: &Variables) -> Result<Target> {
        for name in ["rpm", "tpm", "max_parallel_requests"] {
            integer(&self.params, name)?;
        }
        if let Some(answer) = text(&self.params, "mock_response")? {
            return Ok(Target::Mock(answer));
        }
        let stated = self.stated_base(variables)?;
        let stated = stated.as_ref().map(Secret::expose);
        let model = text(&self.params, "model")?
            .filter(|model| !model.trim().is_empty())
            .ok_or_else(|| refused("model", "model is missing; it is written as provider/model"))?;
        let custom = text(&self.params, "custom_llm_provider")?;
        let named = provider::resolve(model.trim(), custom.as_deref(), stated)?;
        let provider = named.provider;
        let sources = Sources {
            definition: self,
            provider,
            variables,
            is_elsewhere: self.origin == Origin::Database && stated.is_some(),
        };
        let configured = variable(variables, provider.base_url_variables).map(Secret::expose);
        let mode = text(&self.info, "mode")?;
        let region = sources.first(&["aws_region_name", "vertex_location"])?;
        let (credential, project) = sources.credential(region.as_ref(), named.model)?;
        let project = match sources.value("vertex_project")? {
            Some(stated) => Some(stated),
            None => project.map(Secret::new),
        };
        let api_version = sources.value("api_version")?;
        let asks_for_responses = mode.as_deref() == Some("responses");
        let site = Site {
            api_base: stated.or(configured),
            api_version: api_version.as_ref().map(Secret::expose),
            project: project.as_ref().map(Secret::expose),
            region: region.as_ref().map(Secret::expose),
            model: named.model,
            chats_go_as: match named.chats_go_as {
                None if asks_for_responses && speaks_responses(provider) => {
                    Some(Format::OpenAiResponses)
                }
                named => named,
            },
        };
        let endpoint = Endpoint::new(provider, &site)?;
        let upstream = Upstream {
            provider,
            model: named.model.to_owned(),
            api_base: endpoint.api_base(),
            host: host(provider, stated, configured, &endpoint),
            own: match sources.states_credential()? {
                true => PaidBy::System,
                false => PaidBy::Environment,
            },
            endpoint: Arc::new(endpoint),
            credential,
            headers: HeaderMap::new(),
            other_headers: Vec::new(),
            extra_headers: self.extra_headers()?,
            reach: Reach::Anywhere,
            drops_params: self.params.get("drop_params") == Some(&true.into()),
            first_byte: seconds(&self.params, "timeout")?,
            stream_first_byte: seconds(&self.params, "stream_timeout")?,
        };
        Ok(Target::Upstream(Box::new(upstream.with_headers()?)))
    }

    /// `api_base`, under any of its names.
    fn stated_base(&self, variables: &Variables) -> Result<Option<Secret>> {
        for name in ["api_base", "base_url", "aws_bedrock_runtime_endpoint"] {
            if let Some(stated) = text(&self.params, name)? {
                return resolved(name, &stated, variables).map(Some);
            }
        }
        Ok(None)
    }

    fn extra_headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if let Some(organization) = text(&self.params, "organization")? {
            let value = HeaderValue::try_from(organization)
                .map_err(|_| refused("organization", "organization cannot be sent as a header"))?;
            headers.insert(HeaderName::from_static("openai-organization"), value);
        }
        for name in ["default_headers", "headers", "extra_headers"] {
            let Some(secret) = self.secrets.get(name) else {
                continue;
            };
            let stated: BTreeMap<String, String> = serde_json::from_str(secret.expose())
                .map_err(|_| refused(name, &format!("{name} must be an object of texts")))?;
            let pairs = stated
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            headers.extend(provider::extra_headers(pairs)?);
        }
        Ok(headers)
    }
}

/// Where what a provider wants to know is looked up: the definition, then the environment.
struct Sources<'a> {
    definition: &'a Definition,
    provider: &'static Provider,
    variables: &'a Variables,
    /// At an address that was given through the API, which no credential of the environment reaches.
    is_elsewhere: bool,
}

impl Sources<'_> {
    /// What the definition itself says.
    fn own(&self, setting: &Setting) -> Result<Option<Secret>> {
        for name in setting.names {
            let stated = match self.definition.secrets.get(*name) {
                Some(secret) => Some(secret.clone()),
                None => text(&self.definition.params, name)?.map(Secret::new),
            };
            if let Some(stated) = stated.filter(|stated| !stated.expose().trim().is_empty()) {
                return resolved(name, stated.expose(), self.variables).map(Some);
            }
        }
        Ok(None)
    }

    fn setting(&self, name: &str) -> Option<&'static Setting> {
        let mut settings = self.provider.settings.iter();
        settings.find(|setting| setting.names.first() == Some(&name))
    }

    /// What says where the provider is.
    fn value(&self, name: &str) -> Result<Option<Secret>> {
        let Some(setting) = self.setting(name) else {
            return Ok(None);
        };
        Ok(match self.own(setting)? {
            None => variable(self.variables, setting.variables).cloned(),
            own => own,
        })
    }

    fn first(&self, names: &[&str]) -> Result<Option<Secret>> {
        for name in names {
            if let Some(value) = self.value(name)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// What proves who asks, and the project that a service account belongs to.
    fn credential(
        &self,
        region: Option<&Secret>,
        model: &str,
    ) -> Result<(Credential, Option<String>)> {
        if let Some(own) = self.definition.secrets.get("api_key") {
            let key = resolved("api_key", own.expose(), self.variables)?;
            return self.of_key(key);
        }
        let states_one = self.states_credential()?;
        if !states_one {
            if self.is_elsewhere {
                return Ok((Credential::None, None));
            }
            if let Some(key) = variable(self.variables, self.provider.key_variables) {
                return self.of_key(key.clone());
            }
        }
        let part = |name: &str| match self.setting(name) {
            Some(setting) if states_one => self.own(setting),
            Some(setting) => Ok(variable(self.variables, setting.variables).cloned()),
            None => Ok(None),
        };
        match self.provider.api {
            Api::Azure | Api::AzureAi => Ok((azure(part)?, None)),
            Api::Bedrock => Ok((aws(part, region, model)?, None)),
            Api::Vertex => match part("vertex_credentials")? {
                Some(key_file) => google(&key_file),
                None => Ok((Credential::None, None)),
            },
            _ => Ok((Credential::None, None)),
        }
    }

    /// Whether the definition itself says what proves who asks.
    fn states_credential(&self) -> Result<bool> {
        if self.definition.secrets.contains_key("api_key") {
            return Ok(true);
        }
        let settings = self.provider.settings.iter();
        for setting in settings.filter(|setting| setting.is_credential) {
            if self.own(setting)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn of_key(&self, key: Secret) -> Result<(Credential, Option<String>)> {
        let credential = Credential::of_key(self.provider, key)?;
        let project = match &credential {
            Credential::Google(account) => account.project_id.clone(),
            _ => None,
        };
        Ok((credential, project))
    }
}

/// Whose host an address is: one that is given is the provider's own where it says the same.
fn host(
    provider: &Provider,
    stated: Option<&str>,
    configured: Option<&str>,
    endpoint: &Endpoint,
) -> Host {
    let own = provider.base_url.unwrap_or_default();
    match (stated, configured) {
        (None, None) => Host::Provider,
        _ if crate::payers::is_same_host(own, &endpoint.api_base()) => Host::Provider,
        (Some(_), _) => Host::Stated,
        (None, Some(_)) => Host::Replaced,
    }
}

fn aws(
    part: impl Fn(&str) -> Result<Option<Secret>>,
    region: Option<&Secret>,
    model: &str,
) -> Result<Credential> {
    let (id, key) = (part("aws_access_key_id")?, part("aws_secret_access_key")?);
    let missing = |name: &str| Err(refused(name, &format!("{name} is missing")));
    let (id, key) = match (id, key) {
        (Some(id), Some(key)) => (id, key),
        (None, None) => return Ok(Credential::None),
        (Some(_), None) => return missing("aws_secret_access_key"),
        (None, Some(_)) => return missing("aws_access_key_id"),
    };
    let of_model = provider::bedrock_region(model).map(str::to_owned);
    let Some(region) = of_model.or_else(|| region.map(|region| region.expose().to_owned())) else {
        return Err(refused(
            "aws_region_name",
            "bedrock needs an aws_region_name",
        ));
    };
    Ok(Credential::Aws(Arc::new(AwsKeys {
        credentials: sigv4::Credentials {
            access_key_id: id.expose().to_owned(),
            secret_access_key: key,
            session_token: part("aws_session_token")?,
        },
        region,
    })))
}

/// A token that was made elsewhere, or an application that gets its own.
fn azure(part: impl Fn(&str) -> Result<Option<Secret>>) -> Result<Credential> {
    if let Some(token) = part("azure_ad_token")? {
        return Ok(Credential::Token(token));
    }
    const NAMES: [&str; 3] = ["tenant_id", "client_id", "client_secret"];
    let [tenant, client, secret] = NAMES.map(&part);
    let (tenant, client, secret) = (tenant?, client?, secret?);
    match (tenant, client, secret) {
        (Some(tenant), Some(client), Some(secret)) => {
            let application = Application::new(tenant.expose(), client.expose(), secret)?;
            Ok(Credential::Entra(Arc::new(application)))
        }
        // without a secret the others prove nothing: a managed identity has them as well
        (_, _, None) => Ok(Credential::None),
        (None, ..) => Err(refused(NAMES[0], "tenant_id is missing")),
        (_, None, _) => Err(refused(NAMES[1], "client_id is missing")),
    }
}

fn google(key_file: &Secret) -> Result<(Credential, Option<String>)> {
    if !key_file.expose().trim_start().starts_with('{') {
        return Err(refused(
            "vertex_credentials",
            "vertex_credentials must be the JSON of a service account's key file, or, in a \
             configuration file or the environment, the path of one that can be read",
        ));
    }
    let account = ServiceAccount::read(key_file)?;
    let project = account.project_id.clone();
    Ok((Credential::Google(Arc::new(account)), project))
}

fn speaks_responses(provider: &Provider) -> bool {
    matches!(provider.api, Api::OpenAi | Api::Azure)
}

/// A value that may be `os.environ/NAME`. A file's are resolved when it is read; those that come
/// through the API reach only what providers name their variables.
fn resolved(param: &str, text: &str, variables: &Variables) -> Result<Secret> {
    let Some(name) = text.strip_prefix("os.environ/") else {
        return Ok(Secret::new(text));
    };
    variables.get(name).cloned().ok_or_else(|| {
        refused(
            param,
            &format!(
                "os.environ/{name} is not available: it is not set, or no variable of a provider"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::definition::Object;

    fn definition(params: Value, origin: Origin) -> Definition {
        let Value::Object(params) = params else {
            panic!("an object is expected");
        };
        Definition::new("m".to_owned(), params, Object::new(), origin)
    }

    fn made(definition: &Definition, variables: &Variables) -> Result<Upstream> {
        match definition.target(variables)? {
            Target::Upstream(upstream) => Ok(*upstream),
            other => panic!("an upstream is expected, not {other:?}"),
        }
    }

    fn file(params: Value, variables: &[(&str, &str)]) -> Result<Upstream> {
        made(&definition(params, Origin::File), &environment(variables))
    }

    fn environment(variables: &[(&str, &str)]) -> Variables {
        let pairs = variables.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
            .collect()
    }

    fn uri(upstream: &Upstream, format: Format) -> String {
        let uri = upstream.endpoint.uri(format, &upstream.model, false);
        uri.unwrap().to_string()
    }

    fn header<'a>(upstream: &'a Upstream, format: Format, name: &str) -> Option<&'a str> {
        let Ok(std::borrow::Cow::Borrowed(headers)) = upstream.headers_for(format) else {
            panic!("headers that are ready are expected");
        };
        headers.get(name)?.to_str().ok()
    }

    const AWS: [(&str, &str); 3] = [
        ("AWS_ACCESS_KEY_ID", "AKIA-environment"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "eu-west-1"),
    ];

    #[test]
    fn anthropic_and_gemini_get_their_keys_in_their_own_headers() {
        let variables = [("ANTHROPIC_API_KEY", "sk-ant"), ("GEMINI_API_KEY", "g")];
        let claude = file(json!({"model": "anthropic/claude-x"}), &variables).unwrap();
        assert_eq!(
            header(&claude, Format::Anthropic, "x-api-key"),
            Some("sk-ant")
        );
        assert_eq!(
            header(&claude, Format::Anthropic, "anthropic-version"),
            Some("2023-06-01")
        );
        assert_eq!(header(&claude, Format::Anthropic, "authorization"), None);
        let params = json!({"model": "gemini/*", "extra_headers": {"x-goog-api-key": "own"}});
        let gemini = file(params, &variables).unwrap();
        assert_eq!(
            header(&gemini, Format::Gemini, "x-goog-api-key"),
            Some("own")
        );
        assert_eq!(
            header(&gemini, Format::OpenAiEmbedding, "authorization"),
            Some("Bearer g")
        );
        let of_a_team = Credential::Key(Secret::new("theirs"));
        let headers = claude.headers_with(&of_a_team, Format::Anthropic).unwrap();
        assert_eq!(headers["x-api-key"], "theirs");
    }

    #[test]
    fn azure_takes_its_version_from_the_parameters_or_the_environment() {
        let variables = [
            ("AZURE_API_KEY", "k"),
            ("AZURE_API_BASE", "https://r.openai.azure.com/"),
            ("AZURE_API_VERSION", "2024-02-01"),
        ];
        let azure = file(json!({"model": "azure/d"}), &variables).unwrap();
        assert_eq!(header(&azure, Format::OpenAiChat, "api-key"), Some("k"));
        assert!(
            uri(&azure, Format::OpenAiChat).ends_with("/d/chat/completions?api-version=2024-02-01")
        );
        let params = json!({"model": "azure/d", "api_version": "2025-04-01-preview",
            "azure_ad_token": "t"});
        let azure = file(params, &variables).unwrap();
        assert!(uri(&azure, Format::OpenAiChat).ends_with("?api-version=2025-04-01-preview"));
        assert_eq!(
            header(&azure, Format::OpenAiChat, "authorization"),
            Some("Bearer t")
        );
        assert_eq!(header(&azure, Format::OpenAiChat, "api-key"), None);
        let error = file(json!({"model": "azure/d"}), &[("AZURE_API_KEY", "k")]).unwrap_err();
        assert_eq!(error.parameter(), Some("api_base"));
    }

    #[test]
    fn an_application_of_azure_is_one_set() {
        let base = "https://r.openai.azure.com";
        let params = |more: Value| {
            let mut params = json!({"model": "azure/d", "api_base": base});
            let (Some(params_object), Value::Object(more)) = (params.as_object_mut(), more) else {
                panic!("objects are expected");
            };
            params_object.extend(more);
            params
        };
        let whole = json!({"tenant_id": "t-1", "client_id": "c", "client_secret": "s"});
        let azure = file(params(whole), &[]).unwrap();
        let Credential::Entra(application) = &azure.credential else {
            panic!("an application is expected, not {:?}", azure.credential);
        };
        assert!(application.exchange().url.contains("/t-1/"));
        let variables = [
            ("AZURE_TENANT_ID", "t-2"),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_CLIENT_SECRET", "s"),
        ];
        let azure = file(params(json!({})), &variables).unwrap();
        assert!(matches!(azure.credential, Credential::Entra(_)));
        // half a set is not filled from the environment
        let half = params(json!({"client_id": "c", "client_secret": "s"}));
        let error = file(half, &variables).unwrap_err();
        assert_eq!(error.parameter(), Some("tenant_id"));
        let bent = json!({"tenant_id": "t/../x", "client_id": "c", "client_secret": "hidden"});
        let error = file(params(bent), &[]).unwrap_err();
        assert_eq!(error.parameter(), Some("tenant_id"));
        assert!(!format!("{error:?}").contains("hidden"));
    }

    #[test]
    fn keys_of_aws_are_one_set_and_sign_for_the_model_s_region() {
        let keys = |upstream: &Upstream| match &upstream.credential {
            Credential::Aws(keys) => (keys.credentials.access_key_id.clone(), keys.region.clone()),
            other => panic!("keys are expected, not {other:?}"),
        };
        let bedrock = file(json!({"model": "bedrock/converse/x:0"}), &AWS).unwrap();
        assert_eq!(
            uri(&bedrock, Format::Converse),
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/x%3A0/converse"
        );
        let environment = ("AKIA-environment".to_owned(), "eu-west-1".to_owned());
        assert_eq!(keys(&bedrock), environment);
        let bedrock = file(json!({"model": "bedrock/us-west-2/x"}), &AWS).unwrap();
        assert_eq!(keys(&bedrock).1, "us-west-2");
        assert_eq!(bedrock.endpoint.region(), Some("us-west-2"));
        // half a set is not filled from the environment
        let params = json!({"model": "bedrock/x", "aws_access_key_id": "AKIA-own"});
        let error = file(params, &AWS).unwrap_err();
        assert_eq!(error.parameter(), Some("aws_secret_access_key"));
        let params = json!({"model": "bedrock/x", "aws_access_key_id": "AKIA-own",
            "aws_secret_access_key": "s", "aws_region_name": "sa-east-1"});
        let own = ("AKIA-own".to_owned(), "sa-east-1".to_owned());
        assert_eq!(keys(&file(params, &AWS).unwrap()), own);
        let bearer = [
            ("AWS_BEARER_TOKEN_BEDROCK", "b"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let bedrock = file(json!({"model": "bedrock/x"}), &bearer).unwrap();
        assert_eq!(
            header(&bedrock, Format::Converse, "authorization"),
            Some("Bearer b")
        );
    }

    #[test]
    fn no_credential_of_the_environment_reaches_an_address_from_the_api() {
        for param in ["api_base", "base_url", "aws_bedrock_runtime_endpoint"] {
            let params = json!({"model": "bedrock/x", param: "https://elsewhere.test"});
            let own = made(
                &definition(params.clone(), Origin::Database),
                &environment(&AWS),
            );
            assert!(own.unwrap().credential.is_none(), "{param}");
            let configured = file(params, &AWS).unwrap();
            assert!(!configured.credential.is_none(), "{param}");
        }
        let params = json!({"model": "bedrock/x"});
        let at_aws = made(&definition(params, Origin::Database), &environment(&AWS)).unwrap();
        assert!(!at_aws.credential.is_none());
    }

    #[test]
    fn vertex_wants_a_project_and_no_path_from_the_api() {
        let variables = [("VERTEXAI_PROJECT", "p"), ("VERTEXAI_LOCATION", "us-east5")];
        let vertex = file(json!({"model": "vertex_ai/gemini-2.5-pro"}), &variables).unwrap();
        assert!(vertex.credential.is_none());
        assert!(uri(&vertex, Format::Gemini).starts_with(
            "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/"
        ));
        let params = json!({"model": "vertex_ai/g", "vertex_ai_project": "own",
            "vertex_ai_location": "global", "api_key": "k"});
        let vertex = file(params, &variables).unwrap();
        assert!(uri(&vertex, Format::Gemini).contains("/projects/own/locations/global/"));
        assert_eq!(header(&vertex, Format::Gemini, "x-goog-api-key"), Some("k"));
        for (params, param) in [
            (json!({"model": "vertex_ai/g"}), "vertex_project"),
            (
                json!({"model": "vertex_ai/g", "vertex_credentials": "/etc/passwd"}),
                "vertex_credentials",
            ),
            (
                json!({"model": "vertex_ai/g", "vertex_credentials": {"type": "hidden"}}),
                "vertex_credentials",
            ),
        ] {
            let error = file(params, &[]).unwrap_err();
            assert_eq!(error.parameter(), Some(param));
            assert!(!format!("{error:?}").contains("hidden"));
        }
    }

    #[test]
    fn a_mode_of_responses_sends_chats_as_responses() {
        let mut definition = definition(
            json!({"model": "openai/x", "api_base": "http://a.test/v1"}),
            Origin::File,
        );
        let format = |definition: &Definition| {
            let upstream = made(definition, &Variables::new()).unwrap();
            upstream.endpoint.format_for(Format::Anthropic, "x")
        };
        assert_eq!(format(&definition), Some(Format::OpenAiChat));
        definition
            .info
            .insert("mode".to_owned(), "responses".into());
        assert_eq!(format(&definition), Some(Format::OpenAiResponses));
    }
}
