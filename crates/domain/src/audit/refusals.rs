//! Entries of what was tried and not allowed: sign-ins that failed, operations that were refused.
//!
//! Anybody can fail as often as they like, so these are bounded: one entry a minute for the same person
//! or address and the same thing, and so many a minute for all together. What was left out is counted in
//! the next entry.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{Millis, Result};
use serde_json::json;
use store::audit::NewEntry;

use super::{Action, Actor, Origin, REFUSED, from_origin, own_key};
use crate::Domain;

/// How long the same refusal makes no further entry.
const PERIOD: Duration = Duration::from_secs(60);
/// Entries of refusals in one period, all together.
const MOST: u32 = 120;
/// The longest reason that is kept, in characters.
const LONGEST: usize = 300;

/// What was refused lately.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Lately>);

#[derive(Debug, Default)]
struct Lately {
    since: Millis,
    entries: u32,
    /// How often each was left out.
    left_out: HashMap<String, u64>,
    /// How often others were left out.
    others: u64,
}

impl Refusals {
    /// Whether to write an entry: if so, how many were left out before it.
    fn admit(&self, what: String, now: Millis) -> Option<u64> {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = now < lately.since || now.since(lately.since) >= PERIOD;
        if is_over {
            let left_out = lately.left_out.values().sum::<u64>() + lately.others;
            *lately = Lately {
                since: now,
                entries: 1,
                left_out: HashMap::from([(what, 0)]),
                others: 0,
            };
            return Some(left_out);
        }
        if let Some(count) = lately.left_out.get_mut(&what) {
            *count += 1;
            return None;
        }
        if lately.entries >= MOST {
            lately.others += 1;
            return None;
        }
        lately.entries += 1;
        lately.left_out.insert(what, 0);
        Some(0)
    }
}

/// What was refused to whom.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// `None`: nobody knows who it was.
    pub actor: Option<&'a Actor>,
    pub origin: &'a Origin,
    pub action: Action,
    /// `session`, `operation` …
    pub kind: &'a str,
    /// Whom or what it was about: an e-mail address, `POST /user/new` …
    pub id: &'a str,
    pub reason: &'a str,
}

/// Writes that something was refused, beside the answer; not more often than the bounds allow.
pub fn refused(domain: &Domain, refusal: Refusal<'_>) {
    let now = domain.clock.now();
    let origin = refusal.origin;
    let who = refusal.actor.and_then(|actor| actor.user_id.as_deref());
    let key = refusal.actor.and_then(own_key);
    let address = origin.address.map(|address| address.to_string());
    let what = format!(
        "{:?} {:?} {:?} {} {} {}",
        who,
        key,
        address,
        refusal.action.as_str(),
        refusal.kind,
        refusal.id
    );
    let Some(left_out) = domain.refusals.admit(what, now) else {
        return;
    };
    let after = (left_out > 0).then(|| json!({"left_out_before": left_out}).to_string());
    let entry = NewEntry {
        actor_user_id: who.map(str::to_owned),
        actor_key_id: key,
        changed_by: refusal.actor.and_then(|actor| actor.changed_by.clone()),
        action: refusal.action.as_str().to_owned(),
        object_kind: refusal.kind.to_owned(),
        object_id: refusal.id.chars().take(LONGEST).collect(),
        outcome: REFUSED.to_owned(),
        reason: Some(refusal.reason.chars().take(LONGEST).collect()),
        after,
        ..from_origin(origin, now)
    };
    let writing = domain.clone();
    domain.tasks.spawn(async move {
        if let Err(error) = write(&writing, entry).await {
            tracing::warn!(%error, "a refusal is not in the audit log");
        }
    });
}

async fn write(domain: &Domain, entry: NewEntry) -> Result<()> {
    let mut tx = domain.begin().await?;
    tx.note(entry);
    domain.commit(tx, &[]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_refusal_is_one_entry_a_minute_and_the_next_says_how_many_there_were() {
        let refusals = Refusals::default();
        let ask = |what: &str, at| refusals.admit(what.to_owned(), Millis(at));
        assert_eq!(ask("ada", 100_000), Some(0));
        assert_eq!(ask("ada", 100_001), None);
        assert_eq!(ask("bob", 100_002), Some(0));
        assert_eq!(ask("ada", 159_999), None);
        assert_eq!(ask("ada", 160_000), Some(2));
        assert_eq!(ask("ada", 160_001), None);
    }

    #[test]
    fn all_refusals_together_are_bounded() {
        let refusals = Refusals::default();
        let admitted = (0..10_000)
            .filter(|count| refusals.admit(count.to_string(), Millis(100_000)).is_some())
            .count();
        assert_eq!(admitted, usize::try_from(MOST).unwrap());
        let next = refusals.admit("next".to_owned(), Millis(160_000));
        assert_eq!(next, Some(10_000 - u64::from(MOST)));
    }
}
