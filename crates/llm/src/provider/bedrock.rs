//! Amazon Bedrock: a host for each region, the model in the path of `converse`.

use base::{Code, Error, Result};
use http::Uri;

use super::base_url::{BaseUrl, plain, segment};
use super::rows::ROW as DEFAULT;
use super::{Api, Provider, Setting, StreamUsage, credential};
use crate::format::Format;

pub(super) const ROW: Provider = Provider {
    name: "bedrock",
    aliases: &["bedrock_converse"],
    title: "Amazon Bedrock",
    api: Api::Bedrock,
    formats: &[Format::Converse],
    key_variables: &["AWS_BEARER_TOKEN_BEDROCK"],
    base_url_variables: &["AWS_BEDROCK_RUNTIME_ENDPOINT"],
    settings: &[
        Setting {
            names: &["aws_region_name"],
            variables: &["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"],
            is_credential: false,
        },
        credential(&["aws_access_key_id"], &["AWS_ACCESS_KEY_ID"]),
        credential(&["aws_secret_access_key"], &["AWS_SECRET_ACCESS_KEY"]),
        credential(&["aws_session_token"], &["AWS_SESSION_TOKEN"]),
    ],
    stream_usage: StreamUsage::Always,
    catalogue: Some("bedrock"),
    ..DEFAULT
};

/// The ways that LiteLLM's names of models state; there is one here.
const WAYS: [&str; 2] = ["converse/", "converse_like/"];

/// The model without the way to reach it, `converse/anthropic.claude…`.
pub(super) fn without_way(model: &str) -> &str {
    WAYS.iter()
        .find_map(|way| model.strip_prefix(way))
        .unwrap_or(model)
}

/// A region that a model's name begins with (`us-west-2/anthropic.claude…`), and the rest.
pub(super) fn split_region(model: &str) -> (Option<&str>, &str) {
    match model.split_once('/') {
        Some((region, rest)) if is_region(region) => (Some(region), rest),
        _ => (None, model),
    }
}

/// The region that a model's name begins with.
pub fn region(model: &str) -> Option<&str> {
    split_region(model).0
}

/// `us-east-1`, `us-gov-west-1`
fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let number = parts.next_back().unwrap_or_default();
    (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && parts.clone().count() >= 2
        && parts.all(letters)
}

/// Bedrock in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runtime {
    pub region: String,
    /// Another address than the region's own.
    own: Option<BaseUrl>,
}

impl Runtime {
    /// # Errors
    /// `BadRequest` with `param: aws_region_name` where no region is stated, or what is none.
    pub fn new(own: Option<BaseUrl>, region: Option<&str>, model: &str) -> Result<Runtime> {
        let region = split_region(model).0.or(region).ok_or_else(|| {
            Error::new(Code::BadRequest, "bedrock needs an aws_region_name")
                .param("aws_region_name")
        })?;
        Ok(Runtime {
            region: plain(region, "aws_region_name")?.to_owned(),
            own,
        })
    }

    /// Where a service of Bedrock is, `bedrock-runtime` or `bedrock-agent-runtime`.
    pub fn base(&self, service: &str) -> BaseUrl {
        if let Some(own) = &self.own {
            return own.clone();
        }
        let domain = match self.region.starts_with("cn-") {
            true => "amazonaws.com.cn",
            false => "amazonaws.com",
        };
        BaseUrl {
            origin: format!("https://{service}.{}.{domain}", self.region),
            path: String::new(),
            query: String::new(),
        }
    }

    /// The model is encoded once here; the signature encodes the path once more.
    ///
    /// # Errors
    /// `InvalidRequest` for a model that no path can hold, or that names another region than the one
    /// that calls are signed for.
    pub fn uri(&self, format: Format, model: &str, stream: bool) -> Result<Option<Uri>> {
        let action = match (format, stream) {
            (Format::Converse, true) => "converse-stream",
            (Format::Converse, false) => "converse",
            _ => return Ok(None),
        };
        let (region, model) = split_region(without_way(model));
        if let Some(region) = region.filter(|region| *region != self.region) {
            let message = format!("this deployment is in {}, not in {region}", self.region);
            return Err(Error::new(Code::InvalidRequest, message).param("model"));
        }
        let base = self.base("bedrock-runtime");
        base.at(&format!("/model/{}/{action}", encoded(model)?), "")
            .map(Some)
    }
}

/// AWS's own clients leave nothing but unreserved characters.
fn encoded(model: &str) -> Result<String> {
    segment(model).map(|model| model.replace('@', "%40"))
}
