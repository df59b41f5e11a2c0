//! Keeps calls to hosts that people chose away from everything but the open internet. It sits where
//! names become addresses: what is checked is what is connected to, so a name that means something
//! else the next moment gains nothing.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use domain::addresses::Networks;
use domain::destinations::{self, Reach};
use http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

/// The addresses of hosts, without those that may not be reached.
#[derive(Clone)]
pub struct Names {
    source: Source,
    reach: Reach,
    allowed: Networks,
}

#[derive(Clone)]
enum Source {
    System(GaiResolver),
    /// What a test says, answer by answer.
    #[cfg(test)]
    Told(std::sync::Arc<std::sync::Mutex<std::collections::VecDeque<Vec<IpAddr>>>>),
}

type Addresses = std::vec::IntoIter<SocketAddr>;

impl Names {
    pub fn new(reach: Reach, allowed: Networks) -> Names {
        Names {
            source: Source::System(GaiResolver::new()),
            reach,
            allowed,
        }
    }

    #[cfg(test)]
    pub fn told(reach: Reach, answers: Vec<Vec<IpAddr>>) -> Names {
        Names {
            source: Source::Told(std::sync::Arc::new(std::sync::Mutex::new(answers.into()))),
            ..Names::new(reach, Networks::default())
        }
    }
}

impl Service<Name> for Names {
    type Response = Addresses;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Addresses>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Names {
            mut source,
            reach,
            allowed,
        } = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = match &mut source {
                Source::System(system) => system.call(name).await?.collect(),
                #[cfg(test)]
                Source::Told(answers) => {
                    let answer = answers.lock().expect("no test panics here").pop_front();
                    let answer = answer.unwrap_or_default().into_iter();
                    answer.map(|address| (address, 0).into()).collect()
                }
            };
            let permitted = match reach {
                Reach::Anywhere => found,
                // one bad address among good ones is a trap: which is taken would be chance
                Reach::Public => {
                    let permits = |at: &SocketAddr| destinations::permits(&allowed, at.ip());
                    match found.iter().all(permits) {
                        true => found,
                        false => return Err(io::Error::other(Guarded)),
                    }
                }
            };
            Ok(permitted.into_iter())
        })
    }
}

/// The address may not be reached.
#[derive(Debug)]
pub struct Guarded;

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host does not stand on the open internet")
    }
}

impl StdError for Guarded {}

/// An address that stands in the URL itself is never looked up.
///
/// # Errors
/// When it may not be reached.
pub fn check_literal(allowed: &Networks, uri: &Uri) -> Result<(), Guarded> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) if !destinations::permits(allowed, address) => Err(Guarded),
        _ => Ok(()),
    }
}

/// Whether a connection failed because the address may not be reached.
pub fn is_refusal(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if error.is::<Guarded>() || inner.is_some_and(|inner| inner.is::<Guarded>()) {
            return true;
        }
        cause = error.source();
    }
    false
}
