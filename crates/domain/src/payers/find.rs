//! The models of providers that are open to a caller because a key of theirs pays there, whether or not
//! the operator has one.

use std::collections::BTreeSet;

use llm::provider::Provider;

use super::choose::{Asker, Own};
use super::{SentKeys, place};
use crate::caller::Caller;
use crate::deployment::{Chosen, Target};
use crate::provider_keys::{Owner, Policy, ProviderKey};
use crate::snapshot::Snapshot;
use crate::{Domain, access, model_facts, providers};

/// The deployments that answer a caller to a name: the operator's, or else the provider itself where a
/// key is there to pay.
pub fn find(
    domain: &Domain,
    caller: &Caller,
    models: &Snapshot,
    model: &str,
    sent: &SentKeys,
) -> Vec<Chosen> {
    let found = models.find_for(caller.team_id(), model);
    // the demonstration makes room for what is real
    let is_demo = |chosen: &Chosen| matches!(chosen.deployment.target, Target::Demo);
    if found.first().is_some_and(|first| !is_demo(first)) {
        return found;
    }
    match models.at_provider(model) {
        Some(chosen) if is_open(domain, caller, models, &chosen, sent) => vec![chosen],
        _ => found,
    }
}

/// Whether somebody could pay a call to the provider itself.
pub fn is_open(
    domain: &Domain,
    caller: &Caller,
    models: &Snapshot,
    chosen: &Chosen,
    sent: &SentKeys,
) -> bool {
    let Target::Upstream(upstream) = &chosen.deployment.target else {
        return false;
    };
    let provider = upstream.provider;
    let policy = domain.provider_keys.policy(provider);
    if sent.for_provider(provider).is_some() && policy != Policy::Forbidden {
        return true;
    }
    let asker = Asker {
        policy,
        ..Asker::of(caller)
    };
    asker.owners().any(|owner| {
        let is_barred = owner == Owner::System && !models.opens_providers;
        let keys = domain.provider_keys.of(owner, provider);
        !is_barred && keys.iter().any(|key| key.pays_for(&chosen.model))
    })
}

/// The names that a caller may call, each once: the gateway's, and what their keys open.
pub fn visible(domain: &Domain, caller: &Caller, models: &Snapshot) -> Vec<String> {
    let mut names = model_facts::visible(caller, models);
    let asker = Asker {
        own: Own::None,
        ..Asker::of(caller)
    };
    let keys = &domain.provider_keys;
    let mut known: Option<BTreeSet<String>> = None;
    for owner in asker.owners() {
        if owner == Owner::System && !models.opens_providers {
            continue;
        }
        for key in keys.all_of(owner).iter().flat_map(|keys| keys.iter()) {
            let policy = keys.policy(key.provider);
            let mut allowed = Asker { policy, ..asker }.owners();
            if !key.enabled || !allowed.any(|allowed| allowed == owner) {
                continue;
            }
            let known = known.get_or_insert_with(|| names.iter().cloned().collect());
            for name in opened(domain, models, key) {
                if access::check_model(caller, models, &name).is_ok() && known.insert(name.clone())
                {
                    names.push(name);
                }
            }
        }
    }
    names
}

/// The names of models that a key opens.
fn opened(domain: &Domain, models: &Snapshot, key: &ProviderKey) -> Vec<String> {
    let provider: &'static Provider = key.provider;
    let Some(deployment) = models.providers.get(provider.name) else {
        return Vec::new();
    };
    let Target::Upstream(upstream) = &deployment.target else {
        return Vec::new();
    };
    let is_system = key.owner() == Owner::System;
    let custom_hosts = domain.config.payers.custom_hosts;
    let place = place::of(upstream, key.base_url.as_deref(), is_system, custom_hosts);
    if !matches!(place, place::Place::Deployment | place::Place::Own) {
        return Vec::new();
    }
    let bare = providers::bare_names(provider).map(str::to_owned);
    let full = providers::catalogued(provider).map(|id| format!("{}/{id}", provider.name));
    bare.chain(full).filter(|name| key.pays_for(name)).collect()
}
