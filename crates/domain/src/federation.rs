//! People whom an identity provider knows: signing in there ([`sso`]), and calling with its tokens
//! ([`jwt`]).
//!
//! Nothing that a provider or a browser sends is believed before it is proven: a token by a signature
//! of the provider's published keys, an answer of the browser by a state that only it was given. An
//! account is linked by an e-mail address only when the provider vouches for the address.

pub mod claims;
pub mod config;
mod fetch;
pub mod jwt;
mod keys;
mod people;
mod provider;
pub mod sso;

use base::Result;

pub use config::{FederationConfig, Kind, Provider};

/// The way to identity providers, and what is kept of what they publish.
pub struct Federation {
    fetcher: fetch::Fetcher,
    keys: keys::KeySets,
    discovered: provider::Discovered,
}

impl Federation {
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Federation> {
        Ok(Federation {
            fetcher: fetch::Fetcher::new()?,
            keys: keys::KeySets::default(),
            discovered: provider::Discovered::default(),
        })
    }
}
