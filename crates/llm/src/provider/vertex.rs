//! Google Vertex AI: a host for each location, the project in the path; Gemini, Claude, and models of
//! others in OpenAI's format.

use base::{Code, Error, Result};
use http::Uri;

use super::base_url::{BaseUrl, plain, segment};
use super::rows::ROW as DEFAULT;
use super::{Api, Provider, Setting, StreamUsage, anthropic, credential, gemini};
use crate::format::Format::{self, *};

pub(super) const ROW: Provider = Provider {
    name: "vertex_ai",
    aliases: &["vertex_ai_beta", "vertex"],
    title: "Google Vertex AI",
    api: Api::Vertex,
    formats: GEMINI,
    key_variables: &["VERTEX_API_KEY"],
    base_url_variables: &["VERTEXAI_API_BASE"],
    settings: &[
        Setting {
            names: &["vertex_project", "vertex_ai_project"],
            variables: &["VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"],
            is_credential: false,
        },
        Setting {
            names: &["vertex_location", "vertex_ai_location"],
            variables: &[
                "VERTEXAI_LOCATION",
                "VERTEX_LOCATION",
                "GOOGLE_CLOUD_LOCATION",
            ],
            is_credential: false,
        },
        credential(
            &["vertex_credentials", "vertex_ai_credentials"],
            &["VERTEXAI_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"],
        ),
    ],
    stream_usage: StreamUsage::Always,
    catalogue: Some("vertex"),
    ..DEFAULT
};

const GEMINI: &[Format] = &[Gemini, GeminiTokenCount, GeminiEmbedding];
const PREDICTS: &[Format] = &[VertexEmbedding];
const OPEN: &[Format] = &[OpenAiChat];

/// How the names of embedding models begin that answer to `:predict`; later ones answer to
/// `:embedContent`, as at Gemini.
const PREDICTING: &[&str] = &[
    "text-embedding",
    "text-multilingual-embedding",
    "textembedding-gecko",
    "gemini-embedding-001",
];

/// The location of a deployment that states none: it has all models of today.
const DEFAULT_LOCATION: &str = "global";
/// What `anthropic_version` in the body must say.
pub(super) const ANTHROPIC_VERSION: &str = "vertex-2023-10-16";

/// Whose model it is: the publisher in its path.
fn publisher(model: &str) -> Option<&'static str> {
    let of = |names: &[&str]| names.iter().any(|name| model.starts_with(name));
    if of(&["claude"]) {
        Some("anthropic")
    } else if of(&["mistral", "codestral", "ministral"]) {
        Some("mistralai")
    } else if of(&["jamba"]) {
        Some("ai21")
    } else if model.contains('/') {
        None
    } else {
        Some("google")
    }
}

pub(super) fn formats(model: &str) -> &'static [Format] {
    match publisher(model) {
        Some("anthropic") => anthropic::FORMATS,
        Some("google") if PREDICTING.iter().any(|name| model.starts_with(name)) => PREDICTS,
        Some("google") => GEMINI,
        _ => OPEN,
    }
}

/// A project in a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Project {
    pub name: String,
    location: String,
    /// Another address than the location's own.
    own: Option<BaseUrl>,
}

impl Project {
    /// # Errors
    /// `BadRequest` with `param: vertex_project` or `vertex_location` for what is none.
    pub fn new(
        own: Option<BaseUrl>,
        project: Option<&str>,
        location: Option<&str>,
    ) -> Result<Project> {
        let name = project.ok_or_else(|| {
            Error::new(Code::BadRequest, "vertex_ai needs a vertex_project").param("vertex_project")
        })?;
        // an old kind of project belongs to a domain, `example.com:name`
        let mut parts = name.split([':', '.']);
        parts.try_for_each(|part| plain(part, "vertex_project").map(drop))?;
        let location = plain(location.unwrap_or(DEFAULT_LOCATION), "vertex_location")?;
        Ok(Project {
            name: name.to_owned(),
            location: location.to_owned(),
            own,
        })
    }

    /// Where a location is.
    ///
    /// # Errors
    /// `BadRequest` for what is no location.
    pub fn base(&self, location: Option<&str>) -> Result<BaseUrl> {
        if let Some(own) = &self.own {
            return Ok(own.clone());
        }
        let host = match plain(location.unwrap_or(&self.location), "vertex_location")? {
            "global" => "aiplatform.googleapis.com".to_owned(),
            // locations of several regions, `us` and `eu`
            location if !location.contains('-') => {
                format!("aiplatform.{location}.rep.googleapis.com")
            }
            location => format!("{location}-aiplatform.googleapis.com"),
        };
        Ok(BaseUrl {
            origin: format!("https://{host}"),
            path: String::new(),
            query: String::new(),
        })
    }

    /// `/v1/projects/{project}/locations/{location}`
    pub fn path(&self) -> String {
        format!("/v1/projects/{}/locations/{}", self.name, self.location)
    }

    /// # Errors
    /// `InvalidRequest` for a model that no path can hold.
    pub fn uri(&self, format: Format, model: &str, stream: bool) -> Result<Option<Uri>> {
        let model = model
            .strip_prefix("publishers/google/models/")
            .unwrap_or(model);
        if !formats(model).contains(&format) {
            return Ok(None);
        }
        let raw = match stream {
            true => "streamRawPredict",
            false => "rawPredict",
        };
        let (tail, query) = match (publisher(model), format) {
            (None, _) => ("/endpoints/openapi/chat/completions".to_owned(), ""),
            (Some(publisher), AnthropicTokenCount) => (
                format!("/publishers/{publisher}/models/count-tokens:rawPredict"),
                "",
            ),
            (Some(publisher), format) => {
                let (method, query) = gemini::method(format, stream).unwrap_or((raw, ""));
                let model = segment(model)?;
                (
                    format!("/publishers/{publisher}/models/{model}:{method}"),
                    query,
                )
            }
        };
        let path = self.path() + &tail;
        self.base(None)?.at(&path, query).map(Some)
    }
}
