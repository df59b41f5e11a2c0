//! Azure OpenAI, where a deployment stands in the path and a version in the query, or nothing of both
//! (`/openai/v1`); and Azure AI Foundry, which has models of other makers.

use base::Result;
use http::Uri;

use super::base_url::{BaseUrl, refused, segment};
use super::rows::ROW as DEFAULT;
use super::{Api, Provider, Setting, anthropic, credential, openai};
use crate::format::Format::{self, *};

const API_VERSION: Setting = Setting {
    names: &["api_version"],
    variables: &["AZURE_API_VERSION"],
    is_credential: false,
};

const TENANT_ID: Setting = credential(&["tenant_id"], &["AZURE_TENANT_ID"]);
const CLIENT_ID: Setting = credential(&["client_id"], &["AZURE_CLIENT_ID"]);
const CLIENT_SECRET: Setting = credential(&["client_secret"], &["AZURE_CLIENT_SECRET"]);

pub(super) const ROW: Provider = Provider {
    name: "azure",
    aliases: &["azure_text"],
    title: "Azure OpenAI",
    api: Api::Azure,
    formats: openai::ALL,
    key_variables: &["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"],
    base_url_variables: &["AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"],
    settings: &[
        API_VERSION,
        credential(&["azure_ad_token"], &["AZURE_AD_TOKEN"]),
        TENANT_ID,
        CLIENT_ID,
        CLIENT_SECRET,
    ],
    catalogue: Some("azure"),
    ..DEFAULT
};

pub(super) const FOUNDRY: Provider = Provider {
    name: "azure_ai",
    aliases: &[],
    title: "Azure AI Foundry",
    api: Api::AzureAi,
    formats: FOUNDRY_FORMATS,
    key_variables: &["AZURE_AI_API_KEY"],
    base_url_variables: &["AZURE_AI_API_BASE"],
    settings: &[API_VERSION, TENANT_ID, CLIENT_ID, CLIENT_SECRET],
    ..ROW
};

const FOUNDRY_FORMATS: &[Format] = &[OpenAiChat, OpenAiEmbedding, Rerank];

pub(super) fn foundry_formats(model: &str) -> &'static [Format] {
    match model.starts_with("claude") {
        true => anthropic::FORMATS,
        false => FOUNDRY_FORMATS,
    }
}

/// LiteLLM's default, which every resource takes.
const DEFAULT_VERSION: &str = "2025-02-01-preview";
/// Versions since this one have responses; others are asked for them at `/openai/v1`.
const FIRST_WITH_RESPONSES: &str = "2025-03-01";
const FOUNDRY_VERSION: &str = "2024-05-01-preview";

/// A resource of Azure OpenAI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// Up to `/openai`.
    pub base: BaseUrl,
    /// The deployment that `api_base` names; then the model's name is none.
    deployment: Option<String>,
    /// `api-version=…`, or empty for `/openai/v1`, where the body names the deployment.
    query: String,
    is_v1: bool,
}

impl Resource {
    /// # Errors
    /// `BadRequest` for a version that no query can hold.
    pub fn new(mut base: BaseUrl, api_version: Option<&str>) -> Result<Resource> {
        let version = api_version
            .or_else(|| base.parameter("api-version"))
            .unwrap_or(DEFAULT_VERSION)
            .to_owned();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if version.is_empty() || !version.bytes().all(allowed) {
            let error = refused("api_version is no version, such as 2025-03-01-preview".to_owned());
            return Err(error.param("api_version"));
        }
        let others = base.query.split('&');
        base.query = others
            .filter(|pair| !pair.is_empty() && !pair.starts_with("api-version="))
            .collect::<Vec<_>>()
            .join("&");
        let path = base.path.clone();
        let (root, rest) = match path.find("/openai") {
            Some(at) => (&path[..at], &path[at + "/openai".len()..]),
            None => (path.as_str(), ""),
        };
        base.path.truncate(root.len());
        let deployment = rest
            .strip_prefix("/deployments/")
            .and_then(|rest| rest.split('/').next())
            .filter(|name| !name.is_empty());
        let is_v1 = rest == "/v1"
            || rest.starts_with("/v1/")
            || (deployment.is_none() && matches!(version.as_str(), "v1" | "latest" | "preview"));
        Ok(Resource {
            base,
            deployment: deployment.map(str::to_owned),
            query: match (is_v1, version.as_str()) {
                (true, "preview") => "api-version=preview".to_owned(),
                (true, _) => String::new(),
                (false, version) => format!("api-version={version}"),
            },
            is_v1,
        })
    }

    /// # Errors
    /// `InvalidRequest` for a model that no path can hold.
    pub fn uri(&self, format: Format, model: &str) -> Result<Option<Uri>> {
        if !openai::ALL.contains(&format) {
            return Ok(None);
        }
        let tail = format.path();
        let has_responses = self.query.trim_start_matches("api-version=") >= FIRST_WITH_RESPONSES;
        let (path, query) = match (self.is_v1, format, &self.deployment) {
            (true, ..) => (format!("/openai/v1{tail}"), self.query.as_str()),
            (false, OpenAiResponses, _) if has_responses => {
                (format!("/openai{tail}"), self.query.as_str())
            }
            (false, OpenAiResponses, _) => (format!("/openai/v1{tail}"), ""),
            // it is encoded, as it was part of a URL
            (false, _, Some(deployment)) => (
                format!("/openai/deployments/{deployment}{tail}"),
                self.query.as_str(),
            ),
            (false, _, None) => (
                format!("/openai/deployments/{}{tail}", segment(model)?),
                self.query.as_str(),
            ),
        };
        self.base.at(&path, query).map(Some)
    }

    /// Where a session of the realtime API is opened.
    ///
    /// # Errors
    /// `InvalidRequest` for a model that no URL can hold.
    pub fn realtime(&self, model: &str) -> Result<Uri> {
        // it is encoded, as it was part of a URL
        let name = match &self.deployment {
            Some(deployment) => deployment.clone(),
            None => segment(model)?,
        };
        let own = &self.query;
        let (path, query) = match (self.is_v1, own.as_str()) {
            (true, "") => ("/openai/v1/realtime", format!("model={name}")),
            (true, own) => ("/openai/v1/realtime", format!("{own}&model={name}")),
            (false, own) => ("/openai/realtime", format!("{own}&deployment={name}")),
        };
        self.base.at(path, &query)
    }
}

/// The URL of Azure AI Foundry: a resource has its models behind `/models`, a deployment of its own
/// host behind `/v1`, and both may be asked at `/openai/v1`. Claude is behind `/anthropic`.
///
/// # Errors
/// As [`BaseUrl::at`].
pub(super) fn foundry_uri(
    base: &BaseUrl,
    api_version: Option<&str>,
    format: Format,
) -> Result<Option<Uri>> {
    let tail = format.path();
    if anthropic::FORMATS.contains(&format) {
        let root = base.clone().without(&["/v1/messages", "/v1"]);
        let root = root.without(&["/anthropic", "/models", "/openai"]);
        return root.at(&format!("/anthropic/v1{tail}"), "").map(Some);
    }
    if !FOUNDRY_FORMATS.contains(&format) {
        return Ok(None);
    }
    let base = base.clone().without(&["/chat/completions", "/embeddings"]);
    let version = match base.parameter("api-version") {
        Some(_) => String::new(),
        None => format!("api-version={}", api_version.unwrap_or(FOUNDRY_VERSION)),
    };
    let is_resource = is_resource(&base);
    match base.path.as_str() {
        "" if is_resource => base.at(&format!("/models{tail}"), &version),
        "" => base.at(&format!("/v1{tail}"), ""),
        path if path.ends_with("/models") => base.at(tail, &version),
        _ => base.at(tail, ""),
    }
    .map(Some)
}

/// Whether a host takes its key as `api-key`; deployments with hosts of their own take a bearer.
pub(super) fn is_resource(base: &BaseUrl) -> bool {
    [
        ".services.ai.azure.com",
        ".openai.azure.com",
        ".cognitiveservices.azure.com",
    ]
    .iter()
    .any(|end| base.origin.ends_with(end))
}
