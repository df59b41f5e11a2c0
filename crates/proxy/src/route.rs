//! Which deployments may answer a call and who pays there, in the order in which they are tried.

use base::{Code, Error, Result};
use domain::deployment::Chosen;
use domain::payers::{self, SentKeys};
use domain::snapshot::Snapshot;
use domain::{Caller, Domain};
use llm::provider::Provider;

use crate::passthrough;

/// How many deployments a call is tried on at the most.
const MOST_ATTEMPTS: usize = 3;

/// The deployments of `model` for a caller: by `order`, and within one order shuffled by weight; each with
/// those who may pay there.
///
/// # Errors
/// [`Code::ModelUnknown`] when nothing answers to that name; those of [`payers::plan`].
pub fn plan(
    domain: &Domain,
    caller: &Caller,
    models: &Snapshot,
    model: &str,
    random: u64,
    sent: &SentKeys,
) -> Result<Vec<Chosen>> {
    let mut chosen = payers::find(domain, caller, models, model, sent);
    if chosen.is_empty() {
        return Err(Error::new(
            Code::ModelUnknown,
            format!(
                "There are no healthy deployments for this model: Invalid model name passed in \
                 model={model}. GET /v1/models lists the models that this key may call"
            ),
        )
        .param("model"));
    }
    if chosen.len() > 1 {
        shuffle(&mut chosen, random);
        chosen.truncate(MOST_ATTEMPTS);
    }
    payers::plan(domain, caller, chosen, sent)
}

/// Whose key passes a call on to a provider's own path: the caller's, or the gateway's.
///
/// # Errors
/// [`Code::ProviderKeyMissing`] when nobody has one; those of [`payers::plan`].
pub fn passing(
    domain: &Domain,
    caller: &Caller,
    provider: &'static Provider,
    model: &str,
    sent: &SentKeys,
) -> Result<Chosen> {
    let models = domain.models.now();
    let found = models.passthrough(provider, model).or_else(|| {
        let at = models.itself(provider, model)?;
        payers::is_open(domain, caller, &models, &at, sent).then_some(at)
    });
    let found = found.ok_or_else(|| passthrough::not_configured(provider))?;
    let mut plan = payers::plan(domain, caller, vec![found], sent)?;
    Ok(plan.swap_remove(0))
}

/// Sorts by `order`; within one order a deployment comes first as often as its weight says.
fn shuffle(chosen: &mut [Chosen], random: u64) {
    chosen.sort_by_key(|one| one.deployment.order);
    let mut random = random;
    let mut start = 0;
    while start < chosen.len() {
        let order = chosen[start].deployment.order;
        let rest = &mut chosen[start..];
        let same = rest
            .iter()
            .take_while(|one| one.deployment.order == order)
            .count();
        let total: u64 = rest[..same].iter().map(weight).sum();
        random = scrambled(random);
        let mut at = random % total;
        let first = rest[..same]
            .iter()
            .position(|one| {
                let hit = at < weight(one);
                at = at.saturating_sub(weight(one));
                hit
            })
            .unwrap_or(0);
        rest.swap(0, first);
        start += 1;
    }
}

fn weight(one: &Chosen) -> u64 {
    u64::from(one.deployment.weight.max(1))
}

/// The next of a sequence of numbers that spread evenly (splitmix64).
fn scrambled(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
