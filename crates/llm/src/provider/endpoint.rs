//! Where the calls of a deployment go: everything that does not hang on the model is put together
//! once, not per call.
//!
//! Nothing a client sends becomes part of a host, and of a path only a model's name, as one segment.

use base::{Code, Error, Result};
use http::Uri;

use super::azure::Resource;
use super::base_url::{BaseUrl, refused};
use super::bedrock::Runtime;
use super::vertex::Project;
use super::{Api, BodyRule, Provider, anthropic, azure, cohere, gemini, openai, pick, vertex};
use crate::format::Format;

/// What a deployment says of the place it is at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Site<'a> {
    /// Another server than the provider's own.
    pub api_base: Option<&'a str>,
    /// Azure: `2025-03-01-preview`, or `v1`.
    pub api_version: Option<&'a str>,
    /// Google's project.
    pub project: Option<&'a str>,
    /// AWS's region or Google's location.
    pub region: Option<&'a str>,
    /// The model, or a pattern of models: Bedrock's may begin with a region.
    pub model: &'a str,
    /// The format in which chats are to go, whatever the client speaks.
    pub chats_go_as: Option<Format>,
}

/// A provider at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    provider: &'static Provider,
    pub(super) place: Place,
    /// Another host than the provider's own.
    is_elsewhere: bool,
    chats_go_as: Option<Format>,
    /// The URLs that do not hang on the model.
    fixed: Vec<(Format, Uri)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// All URLs are fixed.
    Fixed(BaseUrl),
    Gemini(BaseUrl),
    Azure(Resource),
    Vertex(Project),
    Bedrock(Runtime),
}

impl Endpoint {
    /// The endpoint of `provider` at `site`.
    ///
    /// `api_base` may end in a slash or not, and may be the whole URL of a call, as people copy it
    /// from a provider's page. Without a path (`http://localhost:8000`) it gets the path of the
    /// provider's own base URL, `/v1` where there is none.
    ///
    /// # Errors
    /// `BadRequest` that names the parameter at fault: for what is no http or https URL, for one that
    /// holds credentials, and for a provider that is nowhere in particular.
    pub fn new(provider: &'static Provider, site: &Site<'_>) -> Result<Endpoint> {
        let own = site.api_base.map(BaseUrl::parse).transpose()?;
        let default = provider.base_url.map(BaseUrl::parse).transpose()?;
        let is_elsewhere = match (&own, &default) {
            (Some(own), Some(default)) => own.origin != default.origin,
            (own, _) => own.is_some(),
        };
        let place = match provider.api {
            Api::Vertex => {
                let own = own.map(|own| own.without(&["/v1", "/v1beta1"]));
                Place::Vertex(Project::new(own, site.project, site.region)?)
            }
            Api::Bedrock => Place::Bedrock(Runtime::new(own, site.region, site.model)?),
            _ => {
                let base = own
                    .or_else(|| default.clone())
                    .ok_or_else(|| refused(format!("{} needs an api_base", provider.name)))?;
                based(provider, base, default, site)?
            }
        };
        let fixed = match &place {
            Place::Fixed(base) => fixed(provider, base, site)?,
            _ => Vec::new(),
        };
        Ok(Endpoint {
            provider,
            place,
            is_elsewhere,
            chats_go_as: site.chats_go_as.filter(|format| format.is_chat()),
            fixed,
        })
    }

    pub fn provider(&self) -> &'static Provider {
        self.provider
    }

    /// The format in which a client's call to a model goes on; see [`Provider::format_for`]. What
    /// stands at another address than OpenAI's own is taken for a server that knows chat best.
    pub fn format_for(&self, client: Format, model: &str) -> Option<Format> {
        if client.is_chat()
            && let Some(format) = self.chats_go_as
        {
            return Some(format);
        }
        match self.provider.api {
            Api::OpenAi if self.is_elsewhere => pick(self.provider.formats, client),
            _ => pick(self.provider.formats(model), client),
        }
    }

    /// Where a call in `format` goes.
    ///
    /// # Errors
    /// `InvalidRequest` for a format that has no URL here, and with `param: model` for a model that
    /// no URL can hold.
    pub fn uri(&self, format: Format, model: &str, stream: bool) -> Result<Uri> {
        if let Some((_, uri)) = self.fixed.iter().find(|(known, _)| *known == format) {
            return Ok(uri.clone());
        }
        let uri = match &self.place {
            Place::Fixed(_) => None,
            Place::Gemini(base) => gemini::uri(base, format, model, stream)?,
            Place::Azure(resource) => resource.uri(format, model)?,
            Place::Vertex(project) => project.uri(format, model, stream)?,
            Place::Bedrock(runtime) => runtime.uri(format, model, stream)?,
        };
        uri.ok_or_else(|| {
            let message = format!(
                "{} has no endpoint of the kind {}",
                self.provider.title,
                format.name()
            );
            Error::new(Code::InvalidRequest, message)
        })
    }

    /// What a body in `format` must say here.
    pub fn body_rule(&self, format: Format) -> BodyRule {
        let is_vertex = self.provider.api == Api::Vertex;
        BodyRule {
            has_model: match format {
                Format::Anthropic => !is_vertex,
                format => !format.names_model_in_path(),
            },
            anthropic_version: (is_vertex && format == Format::Anthropic)
                .then_some(vertex::ANTHROPIC_VERSION),
        }
    }

    /// The region that calls are signed for, at Bedrock.
    pub fn region(&self) -> Option<&str> {
        match &self.place {
            Place::Bedrock(runtime) => Some(&runtime.region),
            _ => None,
        }
    }

    /// Scheme, host and the path that all calls share, without what may be secret: for ledger rows,
    /// and for asking whether it answers, at `/models` below it.
    pub fn api_base(&self) -> String {
        let shown = |base: &BaseUrl| format!("{}{}", base.origin, base.path);
        match &self.place {
            Place::Fixed(base) | Place::Gemini(base) => shown(base),
            Place::Azure(resource) => format!("{}/openai", shown(&resource.base)),
            Place::Vertex(project) => project
                .base(None)
                .map_or_else(|_| String::new(), |base| shown(&base) + &project.path()),
            Place::Bedrock(runtime) => shown(&runtime.base("bedrock-runtime")),
        }
    }

    pub(super) fn is_azure_resource(&self) -> bool {
        matches!(&self.place, Place::Fixed(base) if azure::is_resource(base))
    }
}

/// The place of a provider that has a base URL.
fn based(
    provider: &Provider,
    base: BaseUrl,
    default: Option<BaseUrl>,
    site: &Site<'_>,
) -> Result<Place> {
    Ok(match provider.api {
        Api::Anthropic => Place::Fixed(anthropic::base(base)),
        Api::Cohere => Place::Fixed(cohere::base(base)),
        Api::Gemini => Place::Gemini(gemini::base(base)),
        Api::Azure => Place::Azure(Resource::new(base, site.api_version)?),
        Api::AzureAi => Place::Fixed(base),
        _ => {
            let tails = openai::ALL.iter().map(|format| format.path());
            let mut base = base.without(&tails.collect::<Vec<_>>());
            if base.path.is_empty() {
                base.path = default.map_or_else(|| "/v1".to_owned(), |default| default.path);
            }
            Place::Fixed(base)
        }
    })
}

/// The URLs of a place where none hangs on the model.
fn fixed(provider: &Provider, base: &BaseUrl, site: &Site<'_>) -> Result<Vec<(Format, Uri)>> {
    let formats: &[&[Format]] = match provider.api {
        Api::AzureAi => &[provider.formats, anthropic::FORMATS],
        _ => &[provider.formats],
    };
    let mut uris = Vec::new();
    for format in formats.iter().copied().flatten().copied() {
        let uri = match provider.api {
            Api::Cohere => cohere::path(format)
                .map(|path| base.at(path, ""))
                .transpose()?,
            Api::AzureAi => azure::foundry_uri(base, site.api_version, format)?,
            _ => Some(base.at(format.path(), "")?),
        };
        uris.extend(uri.map(|uri| (format, uri)));
    }
    if let Some(format) = site.chats_go_as
        && provider.api == Api::OpenAi
        && !uris.iter().any(|(known, _)| *known == format)
        && !format.path().is_empty()
    {
        uris.push((format, base.at(format.path(), "")?));
    }
    Ok(uris)
}
