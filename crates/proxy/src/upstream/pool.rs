//! Open connections to providers that wait for their next request.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use domain::destinations::Reach;
use foldhash::HashMap;
use http::Uri;
use http::uri::{Authority, Scheme};
use tokio::time::Instant;

use super::connection::Connection;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(90);

/// Where a connection leads.
#[derive(Clone, Debug)]
pub struct Origin {
    is_tls: bool,
    /// A connection that could reach anywhere is none for a call that may not.
    reach: Reach,
    authority: Authority,
}

/// By letters: hosts come from a configuration, and one that is written in two ways has two pools.
impl PartialEq for Origin {
    fn eq(&self, other: &Origin) -> bool {
        (self.is_tls, self.reach) == (other.is_tls, other.reach)
            && self.authority.as_str() == other.authority.as_str()
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.is_tls.hash(state);
        self.reach.hash(state);
        self.authority.as_str().hash(state);
    }
}

impl Origin {
    /// `None` for an address without a host.
    pub fn of(uri: &Uri, reach: Reach) -> Option<Origin> {
        Some(Origin {
            is_tls: uri.scheme() == Some(&Scheme::HTTPS),
            reach,
            authority: uri.authority()?.clone(),
        })
    }
}

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Those that were used last stand last.
    idle: HashMap<Origin, VecDeque<Idle>>,
    is_swept: bool,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    fn locked(&self) -> MutexGuard<'_, State> {
        // the state is whole after each step: usable even after a panic
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is open still.
    pub fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut state = self.locked();
        let idle = state.idle.get_mut(origin)?;
        while let Some(mut last) = idle.pop_back() {
            if last.connection.is_usable() {
                return Some(last.connection);
            }
        }
        None
    }

    pub fn put(&self, origin: Origin, mut connection: Connection) {
        connection.rest();
        let since = Instant::now();
        let mut state = self.locked();
        let idle = state.idle.entry(origin).or_default();
        idle.push_back(Idle { connection, since });
        if !std::mem::replace(&mut state.is_swept, true) {
            #[expect(
                clippy::disallowed_methods,
                reason = "it holds nothing that must be finished, and ends with the pool"
            )]
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

/// Closes connections that nobody has used for long, until none is left.
async fn sweep(pool: Weak<Mutex<State>>) {
    loop {
        tokio::time::sleep(IDLE / 2).await;
        let Some(pool) = pool.upgrade().map(Pool) else {
            return;
        };
        let mut state = pool.locked();
        state.idle.retain(|_, idle| {
            while idle
                .front()
                .is_some_and(|idle| idle.since.elapsed() >= IDLE)
            {
                idle.pop_front();
            }
            !idle.is_empty()
        });
        if state.idle.is_empty() {
            state.is_swept = false;
            return;
        }
    }
}
