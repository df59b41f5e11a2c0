//! Where sessions of OpenAI's realtime API are opened: beside the calls of the same place.

use base::{Code, Error, Result};
use http::Uri;

use super::base_url::segment;
use super::endpoint::{Endpoint, Place};
use super::{Api, Provider};

impl Provider {
    /// Whether places of this kind may have OpenAI's realtime API.
    pub fn has_realtime(&self) -> bool {
        matches!(self.api, Api::OpenAi | Api::Azure)
    }
}

impl Endpoint {
    /// Where a session with a model is opened.
    ///
    /// # Errors
    /// `InvalidRequest` for a provider that has no such thing, and with `param: model` for a model that
    /// no URL can hold.
    pub fn realtime(&self, model: &str) -> Result<Uri> {
        match &self.place {
            Place::Fixed(base) if self.provider().has_realtime() => {
                base.at("/realtime", &format!("model={}", segment(model)?))
            }
            Place::Azure(resource) => resource.realtime(model),
            _ => Err(Error::new(
                Code::InvalidRequest,
                format!(
                    "{} has no realtime API in OpenAI's protocol; see its own paths below /{}",
                    self.provider().title,
                    self.provider().name
                ),
            )
            .param("model")),
        }
    }
}
