//! Signs of abuse: told to those who run the gateway, not to whoever caused them.
//!
//! An alarm is counted at once, and then logged, audited and mailed beside the request, once in a
//! while for each key: whoever has found a key may try it a thousand times a second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Code, Error, Millis, Result};
use serde_json::json;

use crate::audit::{Action, Actor, Entry, How, Origin};
use crate::caller::Caller;
use crate::keys::told;
use crate::{Domain, audit};

/// How long nothing more is said of a key.
const SILENCE: Duration = Duration::from_secs(10 * 60);
/// Keys that were spoken of lately; when there are more, all are forgotten.
const MOST: usize = 10_000;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// A key was used that nobody should ever use.
    Canary,
    /// A key was used from where it may not be used.
    Address,
}

impl Alarm {
    pub fn as_str(self) -> &'static str {
        match self {
            Alarm::Canary => "canary",
            Alarm::Address => "address",
        }
    }
}

/// What was said lately: the key's id, and when.
#[derive(Debug, Default)]
pub struct Alarms {
    said: Mutex<HashMap<(Alarm, String), Millis>>,
}

impl Alarms {
    /// Whether it is time to speak of this.
    fn is_news(&self, alarm: Alarm, key_id: &str, now: Millis) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MOST {
            said.clear();
        }
        let at = said.entry((alarm, key_id.to_owned()));
        let is_news = match &at {
            std::collections::hash_map::Entry::Occupied(at) => now.since(*at.get()) >= SILENCE,
            std::collections::hash_map::Entry::Vacant(_) => true,
        };
        if is_news {
            at.insert_entry(now);
        }
        is_news
    }
}

/// What is to be thought of a use of a key that is watched.
pub enum Verdict {
    Good,
    /// Nobody should ever use it: it is refused as if it did not exist.
    Bait,
    /// It may not be used from there.
    Elsewhere(Error),
}

/// Looks at a use of a key that is watched, and tells of what is a sign of abuse.
pub fn watch(domain: &Domain, caller: &Arc<Caller>, client: Option<IpAddr>) -> Verdict {
    let Some(key) = &caller.key else {
        return Verdict::Good;
    };
    if key.canary {
        raise(domain, Alarm::Canary, caller, client);
        return Verdict::Bait;
    }
    let allowed = &caller.networks;
    if allowed.is_empty() || client.is_some_and(|client| allowed.contains(client)) {
        return Verdict::Good;
    }
    raise(domain, Alarm::Address, caller, client);
    let from = client.map_or_else(|| "unknown".to_owned(), |client| client.to_string());
    Verdict::Elsewhere(Error::new(
        Code::Forbidden,
        format!("Authentication Error, the key may not be used from the address {from}"),
    ))
}

/// Raises an alarm about a caller's key. Does not wait for anything.
fn raise(domain: &Domain, alarm: Alarm, caller: &Arc<Caller>, client: Option<IpAddr>) {
    domain.metrics.alarm(alarm);
    let now = domain.clock.now();
    let Some(key_id) = caller.key_id() else {
        return;
    };
    if !domain.alarms.is_news(alarm, key_id, now) {
        return;
    }
    let (telling, caller) = (domain.clone(), Arc::clone(caller));
    domain.tasks.spawn(async move {
        if let Err(error) = tell(&telling, alarm, caller, client, now).await {
            tracing::error!(%error, "an alarm could not be written down");
        }
    });
}

async fn tell(
    domain: &Domain,
    alarm: Alarm,
    caller: Arc<Caller>,
    client: Option<IpAddr>,
    now: Millis,
) -> Result<()> {
    let Some(key) = caller.key.clone() else {
        return Ok(());
    };
    let from = client.map(|client| client.to_string());
    tracing::warn!(
        alarm = alarm.as_str(),
        key.id = key.id,
        key.name = key.name,
        key.alias = key.alias,
        client.address = from,
        "a key was used in a way that is a sign of abuse"
    );
    let actor = Actor {
        caller,
        changed_by: None,
        is_delegate: false,
        origin: Origin {
            how: How::Key,
            session_id: None,
            address: client,
            user_agent: None,
        },
    };
    let entry = Entry {
        action: Action::Alarmed,
        kind: "key",
        id: &key.id,
        before: None,
        after: Some(json!({
            "alarm": alarm.as_str(),
            "key_name": key.name,
            "key_alias": key.alias,
            "address": from,
        })),
    };
    let mut tx = domain.begin().await?;
    audit::record(&mut tx, &actor, now, entry).await?;
    told::alarmed(domain, &mut tx, alarm, &key, from.as_deref()).await?;
    domain.commit(tx, &[]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_spoken_of_once_in_a_while() {
        let alarms = Alarms::default();
        let start = Millis(1_000_000);
        assert!(alarms.is_news(Alarm::Canary, "a", start));
        assert!(!alarms.is_news(Alarm::Canary, "a", start + Duration::from_secs(599)));
        assert!(alarms.is_news(Alarm::Address, "a", start));
        assert!(alarms.is_news(Alarm::Canary, "b", start));
        assert!(alarms.is_news(Alarm::Canary, "a", start + SILENCE));
        assert!(!alarms.is_news(Alarm::Canary, "a", start + SILENCE));
    }
}
