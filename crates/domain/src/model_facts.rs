//! What is known of models, for lists and clients: the deployment's own word first, then the
//! catalogue's.

use std::collections::BTreeSet;

use llm::catalogue::ModelRecord;
use llm::{Catalogue, price};
use serde_json::Value;

use crate::caller::Caller;
use crate::deployment::{Chosen, Deployment, Target};
use crate::snapshot::Snapshot;
use crate::{access, providers, wildcards};

/// What is known of a model at a deployment.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The id in the catalogue.
    pub key: Option<&'static str>,
    pub mode: Option<String>,
    pub max_input_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub capabilities: Vec<&'static str>,
    /// `None`: nobody states a price.
    pub price: Option<std::sync::Arc<price::PriceRecord>>,
    /// The provider's name, as the prefix of its models has it.
    pub provider: Option<&'static str>,
}

/// What is known of a model that was found for a name.
pub fn of(chosen: &Chosen) -> Facts {
    let deployment = &chosen.deployment;
    let record = record(deployment, &chosen.model);
    let stated = |name: &str| deployment.info.get(name).and_then(Value::as_u64);
    let known = record.as_ref().map(|record| &record.facts);
    Facts {
        key: record.as_ref().map(|record| record.id),
        mode: deployment
            .mode
            .clone()
            .or_else(|| known.map(|facts| facts.mode.to_owned())),
        max_input_tokens: stated("max_input_tokens")
            .or_else(|| known.and_then(|facts| facts.max_input_tokens)),
        max_output_tokens: stated("max_output_tokens")
            .or_else(|| stated("max_tokens"))
            .or_else(|| known.and_then(|facts| facts.max_output_tokens)),
        capabilities: known.map_or(Vec::new(), |facts| facts.capabilities.clone()),
        price: chosen.price.as_ref().map(|price| price.record.clone()),
        provider: provider(deployment),
    }
}

/// The prefix of the provider behind a deployment.
pub fn provider(deployment: &Deployment) -> Option<&'static str> {
    match &deployment.target {
        Target::Upstream(upstream) => Some(upstream.provider.name),
        Target::Mock(_) => {
            let model = deployment.params.get("model")?.as_str()?;
            let named = llm::provider::resolve(model, None, None).ok()?;
            Some(named.provider.name)
        }
        Target::Demo => None,
    }
}

fn record(deployment: &Deployment, model: &str) -> Option<ModelRecord> {
    let catalogue = Catalogue::shipped();
    if let Some(base_model) = deployment.info.get("base_model").and_then(Value::as_str) {
        return catalogue.find_by_name(base_model);
    }
    match &deployment.target {
        Target::Upstream(upstream) => catalogue.find(upstream.provider.catalogue?, model),
        Target::Mock(_) => catalogue.find_by_name(deployment.params.get("model")?.as_str()?),
        Target::Demo => None,
    }
}

/// The names that a caller may call, each once: the gateway's, the aliases, what the catalogue knows
/// behind wildcards, and the models of the caller's team.
pub fn visible(caller: &Caller, snapshot: &Snapshot) -> Vec<String> {
    let mut names = access::visible_models(caller, snapshot, behind_wildcards(snapshot));
    let team = caller.team_id().and_then(|id| snapshot.teams.get(id));
    for name in team.into_iter().flat_map(|team| team.keys()) {
        if !names.contains(name) && access::check_model(caller, snapshot, name).is_ok() {
            names.push(name.clone());
        }
    }
    names
}

/// The public names that the catalogue knows behind the wildcards of the gateway.
fn behind_wildcards(snapshot: &Snapshot) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for pattern in &snapshot.wildcards {
        for deployment in &snapshot.groups[pattern] {
            let Target::Upstream(upstream) = &deployment.target else {
                continue;
            };
            let known = providers::catalogued(upstream.provider);
            names.extend(known.filter_map(|id| {
                let captured = wildcards::captures(&upstream.model, id)?;
                Some(wildcards::fill(pattern, &captured))
            }));
        }
    }
    names
}
