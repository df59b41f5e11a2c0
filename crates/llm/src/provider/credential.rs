//! What proves to a provider who asks.
//!
//! Keys and tokens become headers at once ([`super::key_headers`]). AWS keys sign each request, and
//! Google's service accounts and Microsoft's applications are exchanged for tokens of an hour: whoever
//! sends the call asks [`crate::sigv4`] or [`crate::access_token`] for the header that is missing.

use std::sync::Arc;

use base::{Millis, Result, Secret};

use super::{Api, Provider};
use crate::access_token::Exchange;
pub use crate::entra_token::Application;
pub use crate::google_token::ServiceAccount;
use crate::sigv4;

/// What proves who asks.
#[derive(Clone, Debug, Default)]
pub enum Credential {
    /// Nothing: there is none, or none is needed.
    #[default]
    None,
    /// A provider's key, sent the way that the provider takes keys.
    Key(Secret),
    /// A token that is sent as a bearer, however the provider takes keys.
    Token(Secret),
    /// Signs each request: see [`crate::sigv4::sign`].
    Aws(Arc<AwsKeys>),
    /// Are exchanged for tokens: see [`Credential::token_key`].
    Google(Arc<ServiceAccount>),
    Entra(Arc<Application>),
}

/// Keys of AWS and where they sign for.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    pub credentials: sigv4::Credentials,
    /// `us-east-1`
    pub region: String,
}

impl AwsKeys {
    /// Where a signature is good.
    pub fn scope(&self) -> sigv4::Scope<'_> {
        sigv4::Scope {
            region: &self.region,
            service: "bedrock",
        }
    }
}

impl Credential {
    /// A key as people paste it: a service account's key file is one at Vertex.
    ///
    /// # Errors
    /// `BadRequest` for a key file that cannot sign.
    pub fn of_key(provider: &Provider, key: Secret) -> Result<Credential> {
        match provider.api {
            Api::Vertex if key.expose().trim_start().starts_with('{') => {
                ServiceAccount::read(&key).map(|account| Credential::Google(Arc::new(account)))
            }
            _ => Ok(Credential::Key(key)),
        }
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Credential::None)
    }

    /// Whether each call needs a header that is made for it alone.
    pub fn is_made_per_call(&self) -> bool {
        matches!(self, Credential::Aws(_)) || self.token_key().is_some()
    }

    /// Under which its token may be kept, where it is exchanged for one.
    pub fn token_key(&self) -> Option<[u8; 32]> {
        match self {
            Credential::Google(account) => Some(account.token_key()),
            Credential::Entra(application) => Some(application.token_key()),
            Credential::None | Credential::Key(_) | Credential::Token(_) | Credential::Aws(_) => {
                None
            }
        }
    }

    /// What to ask for a token; `None` where it is exchanged for none.
    ///
    /// # Errors
    /// `BadRequest` if a service account's key cannot sign.
    pub fn exchange(&self, now: Millis) -> Result<Option<Exchange>> {
        Ok(match self {
            Credential::Google(account) => Some(account.exchange(now)?),
            Credential::Entra(application) => Some(application.exchange()),
            Credential::None | Credential::Key(_) | Credential::Token(_) | Credential::Aws(_) => {
                None
            }
        })
    }
}
