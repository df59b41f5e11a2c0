//! Models, deployments and prices as they are now: one immutable value, replaced as a whole when
//! something changes, read by requests without a lock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use base::Result;
use llm::price::PriceSource;
use llm::provider::{PROVIDERS, Provider};
use serde_json::Value;
use store::deployments::DeploymentRow;

use crate::definition::{Configured, Definition, Origin, take_secrets};
use crate::deployment::{Chosen, Deployment, Priced, Target, Upstream};
use crate::prices::price;
use crate::vault::{Place, Vault};
use crate::{Domain, providers, storage, wildcards};

/// The current [`Snapshot`]. Requests call [`Models::now`] once and keep what they got.
#[derive(Default)]
pub struct Models {
    current: ArcSwap<Snapshot>,
    /// Held while models are read again, so that an older reading does not replace a newer one.
    rebuilding: tokio::sync::Mutex<()>,
}

/// What can be called.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Public model names in the order they were configured.
    pub names: Vec<String>,
    /// The deployments of each public name that are not blocked.
    pub groups: BTreeMap<String, Vec<Arc<Deployment>>>,
    /// All deployments by id; an id may be called like a model name.
    pub deployments: BTreeMap<String, Arc<Deployment>>,
    /// Public names with a `*` in them, most specific first.
    pub wildcards: Vec<String>,
    /// `router_settings.model_group_alias`
    pub aliases: BTreeMap<String, String>,
    /// The public names in each access group (`model_info.access_groups`).
    pub access_groups: BTreeMap<String, BTreeSet<String>>,
    /// Deployments that belong to one team, by its id and their public name. They are in none of the
    /// lists above but `deployments`.
    pub teams: BTreeMap<String, BTreeMap<String, Vec<Arc<Deployment>>>>,
    /// By the provider's name, the deployments whose keys pass on that provider's own paths: those of
    /// the environment, and models with `use_in_pass_through`.
    pub passing: BTreeMap<&'static str, Arc<Deployment>>,
    /// By the provider's name, the provider itself for those who bring a key. In none of the lists above.
    pub providers: BTreeMap<&'static str, Arc<Deployment>>,
    /// Whoever has a key of the gateway may call every model of a provider that it has a key of: no list
    /// of models says other.
    pub opens_providers: bool,
    pub(crate) prices: FilledPrices,
}

impl Models {
    pub fn now(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub fn replace(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}

/// Reads all models again and replaces the snapshot.
///
/// # Errors
/// When the database does not answer; the old snapshot stays.
pub async fn rebuild(domain: &Domain) -> Result<()> {
    let _alone = domain.models.rebuilding.lock().await;
    let rows = store::deployments::list(&domain.db)
        .await
        .map_err(storage)?;
    let stored = rows.into_iter().filter_map(|row| {
        let id = row.id.clone();
        let blocked = row.blocked;
        match stored(row, &domain.vault) {
            Ok(definition) => Some((definition, blocked)),
            Err(error) => {
                tracing::error!(model.id = id, %error, "a stored model cannot be used");
                None
            }
        }
    });
    let snapshot = Snapshot::new(&domain.config.models, stored);
    domain.models.replace(snapshot);
    Ok(())
}

/// Where a parameter's secret is sealed for.
pub fn place<'a>(id: &'a str, column: &'a str) -> Place<'a> {
    Place {
        table: "deployments",
        column,
        row: id,
        owner: "system",
    }
}

/// The definition that a row holds, with its secrets opened.
///
/// # Errors
/// When a secret was sealed with another encryption key, or elsewhere.
pub fn stored(row: DeploymentRow, vault: &Vault) -> Result<Definition> {
    let mut params = row.params.0;
    let mut secrets = BTreeMap::new();
    for (name, sealed) in take_secrets(&mut params) {
        let column = format!("params.{name}");
        let secret = vault.open(place(&row.id, &column), sealed.expose())?;
        secrets.insert(name, secret);
    }
    Ok(Definition {
        id: row.id,
        model_name: row.model_name,
        params,
        secrets,
        info: row.info.0,
        origin: Origin::Database,
    })
}

impl Snapshot {
    /// Puts together what is configured and what is stored, each with whether it is blocked. Without
    /// a model list in the file, the providers of the environment are open; without those and without
    /// stored models, a demonstration answers.
    pub fn new(
        configured: &Configured,
        stored: impl IntoIterator<Item = (Definition, bool)>,
    ) -> Snapshot {
        let mut snapshot = Snapshot {
            aliases: configured.aliases.clone(),
            ..Snapshot::default()
        };
        for definition in &configured.definitions {
            snapshot.define(definition, false, configured);
        }
        for provider in PROVIDERS {
            if let Ok(deployment) = providers::without_keys(provider, &configured.variables) {
                let deployment = Arc::new(deployment);
                snapshot.providers.insert(provider.name, deployment);
            }
        }
        if configured.definitions.is_empty() {
            snapshot.open_providers(configured);
        }
        for (definition, is_blocked) in stored {
            snapshot.define(&definition, is_blocked, configured);
        }
        for provider in providers::opened(&configured.variables) {
            if let Ok(deployment) = providers::whole(provider).deployment(&configured.variables) {
                snapshot.passing.insert(provider.name, Arc::new(deployment));
            }
        }
        if snapshot.deployments.is_empty() {
            for name in providers::DEMO_NAMES {
                snapshot.add(Arc::new(providers::demo(name)));
            }
        }
        snapshot
            .wildcards
            .sort_by_key(|name| Reverse(wildcards::specificity(name)));
        snapshot
    }

    fn define(&mut self, definition: &Definition, is_blocked: bool, configured: &Configured) {
        if definition.is_any_model() {
            return self.open_providers(configured);
        }
        match definition.deployment(&configured.variables) {
            Ok(deployment) => self.add(Arc::new(Deployment {
                is_blocked,
                ..deployment
            })),
            // those of a file were checked at start, those of the API when they were made
            Err(error) => {
                tracing::error!(model.id = definition.id, %error, "a model cannot be used");
            }
        }
    }

    /// Opens every provider of the environment: `provider/model`, and the model's bare name where
    /// that means this provider.
    fn open_providers(&mut self, configured: &Configured) {
        self.opens_providers = true;
        for provider in providers::opened(&configured.variables) {
            let deployment = match providers::whole(provider).deployment(&configured.variables) {
                Ok(deployment) => Arc::new(deployment),
                Err(error) => {
                    let provider = provider.name;
                    tracing::error!(provider, %error, "a provider of the environment cannot be used");
                    continue;
                }
            };
            self.add(Arc::clone(&deployment));
            for name in providers::bare_names(provider) {
                self.join_group(name, &deployment);
            }
        }
    }

    fn add(&mut self, deployment: Arc<Deployment>) {
        self.deployments
            .insert(deployment.id.clone(), Arc::clone(&deployment));
        if deployment.is_blocked {
            return;
        }
        if let Target::Upstream(upstream) = &deployment.target
            && deployment.params.get("use_in_pass_through") == Some(&Value::Bool(true))
        {
            let provider = upstream.provider.name;
            self.passing.insert(provider, Arc::clone(&deployment));
        }
        let name = deployment.model_name.clone();
        if let Some(team_id) = &deployment.team_id {
            let team = self.teams.entry(team_id.clone()).or_default();
            team.entry(name).or_default().push(deployment);
            return;
        }
        for group in &deployment.access_groups {
            let names = self.access_groups.entry(group.clone()).or_default();
            names.insert(name.clone());
        }
        self.join_group(&name, &deployment);
    }

    fn join_group(&mut self, name: &str, deployment: &Arc<Deployment>) {
        if !self.groups.contains_key(name) {
            match name.contains('*') {
                true => self.wildcards.push(name.to_owned()),
                false => self.names.push(name.to_owned()),
            }
        }
        let group = self.groups.entry(name.to_owned()).or_default();
        group.push(Arc::clone(deployment));
    }

    /// The deployments that answer to a name: a public name, an alias, a deployment's id, or a name
    /// that a wildcard takes in. None for a name that nobody answers to.
    pub fn find(&self, model: &str) -> Vec<Chosen> {
        let model = self.aliases.get(model).map_or(model, String::as_str);
        if model.contains('*') {
            return Vec::new();
        }
        if let Some(group) = self.groups.get(model) {
            return self.choose(group, &[model]);
        }
        if let Some(deployment) = self.by_id(model) {
            return self.choose(std::slice::from_ref(deployment), &[]);
        }
        if let Some(chosen) = self.by_wildcard(model) {
            return chosen;
        }
        // a bare name is also known with its provider's (contract §7)
        match llm::provider::resolve(model, None, None) {
            Ok(named) if named.model == model => {
                let full = format!("{}/{model}", named.provider.name);
                self.by_wildcard(&full).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// The same for a caller of a team, whose own deployments come first.
    pub fn find_for(&self, team_id: Option<&str>, model: &str) -> Vec<Chosen> {
        let team = team_id.and_then(|id| self.teams.get(id));
        match team.and_then(|team| team.get(model)) {
            Some(group) => self.choose(group, &[]),
            None => self.find(model),
        }
    }

    /// Whose key passes on a provider's own paths, and the price of the model that is called there.
    pub fn passthrough(&self, provider: &Provider, model: &str) -> Option<Chosen> {
        let deployment = self.passing.get(provider.name)?;
        let Target::Upstream(upstream) = &deployment.target else {
            return None;
        };
        Some(Chosen {
            deployment: Arc::clone(deployment),
            model: model.to_owned(),
            price: self.prices.get(deployment, upstream, model),
            payer: None,
        })
    }

    /// A model as its provider names it, with or without the provider before it, at the provider itself.
    pub fn at_provider(&self, model: &str) -> Option<Chosen> {
        let model = self.aliases.get(model).map_or(model, String::as_str);
        if model.contains('*') {
            return None;
        }
        let named = llm::provider::resolve(model, None, None).ok()?;
        self.itself(named.provider, named.model)
    }

    /// A provider's model, at the provider itself.
    pub fn itself(&self, provider: &Provider, model: &str) -> Option<Chosen> {
        let deployment = self.providers.get(provider.name)?;
        let Target::Upstream(upstream) = &deployment.target else {
            return None;
        };
        Some(Chosen {
            deployment: Arc::clone(deployment),
            model: model.to_owned(),
            price: self.prices.get(deployment, upstream, model),
            payer: None,
        })
    }

    /// What a model costs at its provider, whatever an operator says that it costs here.
    pub fn list_price(&self, chosen: &Chosen) -> Option<Priced> {
        let is_stated = |price: &Priced| price.record.source == PriceSource::Override;
        let (Target::Upstream(upstream), true) = (
            &chosen.deployment.target,
            chosen.price.as_ref().is_some_and(is_stated),
        ) else {
            return chosen.price.clone();
        };
        let listed = self.providers.get(upstream.provider.name);
        let listed = listed.and_then(|at| self.prices.get(at, upstream, &chosen.model));
        listed.or_else(|| chosen.price.clone())
    }

    /// A deployment by its id, also one that is a provider itself.
    pub fn deployment(&self, id: &str) -> Option<&Arc<Deployment>> {
        let provider = id.strip_prefix("provider-");
        let provider = provider.and_then(|name| self.providers.get(name));
        self.deployments.get(id).or(provider)
    }

    fn by_id(&self, id: &str) -> Option<&Arc<Deployment>> {
        self.deployments.get(id).filter(|deployment| {
            !deployment.is_blocked
                && deployment.team_id.is_none()
                && !deployment.model_name.contains('*')
        })
    }

    fn by_wildcard(&self, model: &str) -> Option<Vec<Chosen>> {
        self.wildcards.iter().find_map(|pattern| {
            let captured = wildcards::captures(pattern, model)?;
            Some(self.choose(&self.groups[pattern], &captured))
        })
    }

    fn choose(&self, group: &[Arc<Deployment>], captured: &[&str]) -> Vec<Chosen> {
        let chosen = group.iter().map(|deployment| match &deployment.target {
            Target::Upstream(upstream) if upstream.model.contains('*') => {
                let model = wildcards::fill(&upstream.model, captured);
                let price = self.prices.get(deployment, upstream, &model);
                Chosen {
                    deployment: Arc::clone(deployment),
                    model,
                    price,
                    payer: None,
                }
            }
            target => Chosen {
                deployment: Arc::clone(deployment),
                model: match target {
                    Target::Upstream(upstream) => upstream.model.clone(),
                    Target::Mock(_) | Target::Demo => deployment.model_name.clone(),
                },
                price: deployment.price.clone(),
                payer: None,
            },
        });
        chosen.collect()
    }
}

/// How many prices of models behind wildcards are kept.
const MOST_PRICES: usize = 10_000;

/// The prices of models behind wildcards, each looked up once.
#[derive(Debug, Default)]
pub(crate) struct FilledPrices(RwLock<HashMap<String, HashMap<String, Option<Priced>>>>);

impl FilledPrices {
    fn get(&self, deployment: &Deployment, upstream: &Upstream, model: &str) -> Option<Priced> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(price) = known
            .get(&deployment.id)
            .and_then(|prices| prices.get(model))
        {
            return price.clone();
        }
        drop(known);
        let Deployment {
            id, params, info, ..
        } = deployment;
        // the stated prices were read once already, so they can be read
        let region = upstream.endpoint.region();
        let price = price(id, params, info, upstream.provider, region, model).unwrap_or_default();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.values().map(HashMap::len).sum::<usize>() >= MOST_PRICES {
            known.clear();
        }
        let prices = known.entry(id.clone()).or_default();
        prices.insert(model.to_owned(), price.clone());
        price
    }
}

#[cfg(test)]
mod tests {
    use base::Secret;
    use serde_json::{Value, json};

    use super::*;
    use crate::definition::{Object, Variables};

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            _ => panic!("an object is expected"),
        }
    }

    fn definition(name: &str, params: Value, info: Value) -> Definition {
        Definition::new(name.to_owned(), object(params), object(info), Origin::File)
    }

    fn snapshot(definitions: Vec<Definition>) -> Snapshot {
        let configured = Configured {
            definitions,
            aliases: [("nick".to_owned(), "gpt-4o".to_owned())].into(),
            variables: Variables::new(),
        };
        Snapshot::new(&configured, [])
    }

    fn found(snapshot: &Snapshot, model: &str) -> Vec<(String, String)> {
        let chosen = snapshot.find(model).into_iter();
        chosen
            .map(|chosen| (chosen.deployment.id.clone(), chosen.model))
            .collect()
    }

    fn pair(id: &str, model: &str) -> (String, String) {
        (id.to_owned(), model.to_owned())
    }

    #[test]
    fn a_name_an_alias_and_an_id_find_their_deployments() {
        let snapshot = snapshot(vec![
            definition(
                "gpt-4o",
                json!({"model": "openai/gpt-4o"}),
                json!({"id": "a"}),
            ),
            definition("gpt-4o", json!({"model": "groq/llama"}), json!({"id": "b"})),
        ]);
        let both = [pair("a", "gpt-4o"), pair("b", "llama")];
        assert_eq!(found(&snapshot, "gpt-4o"), both);
        assert_eq!(found(&snapshot, "nick"), both);
        assert_eq!(found(&snapshot, "b"), both[1..]);
        assert_eq!(found(&snapshot, "gpt-4"), []);
        assert_eq!(snapshot.names, ["gpt-4o"]);
    }

    #[test]
    fn the_most_specific_wildcard_answers_and_prices_the_model_behind_it() {
        let snapshot = snapshot(vec![
            definition("*", json!({"model": "openrouter/*"}), json!({"id": "any"})),
            definition(
                "openai/*",
                json!({"model": "openai/*"}),
                json!({"id": "openai"}),
            ),
            definition(
                "mine-*",
                json!({"model": "groq/x-*-y"}),
                json!({"id": "mine"}),
            ),
        ]);
        assert_eq!(
            found(&snapshot, "openai/gpt-4o-mini"),
            [pair("openai", "gpt-4o-mini")]
        );
        assert_eq!(found(&snapshot, "mine-big"), [pair("mine", "x-big-y")]);
        assert_eq!(found(&snapshot, "a/b"), [pair("any", "a/b")]);
        assert_eq!(found(&snapshot, "openai/*"), []);
        for _ in 0..2 {
            let price = snapshot.find("openai/gpt-4o-mini")[0]
                .price
                .clone()
                .unwrap();
            assert!(
                price.version.ends_with("/openai/gpt-4o-mini"),
                "{}",
                price.version
            );
        }
        assert!(snapshot.find("openai/never-seen")[0].price.is_none());
    }

    #[test]
    fn a_bare_name_is_known_by_its_provider_s_wildcard() {
        let definition = definition("openai/*", json!({"model": "openai/*"}), json!({"id": "o"}));
        let snapshot = snapshot(vec![definition]);
        assert_eq!(found(&snapshot, "gpt-4o"), [pair("o", "gpt-4o")]);
        assert_eq!(found(&snapshot, "unheard-of"), []);
    }

    #[test]
    fn a_key_in_the_environment_opens_its_provider() {
        let configured = Configured {
            variables: [("OPENAI_API_KEY".to_owned(), Secret::new("sk-1"))].into(),
            ..Configured::default()
        };
        let snapshot = Snapshot::new(&configured, []);
        assert!(snapshot.names.iter().any(|name| name == "gpt-4o"));
        assert_eq!(snapshot.wildcards, ["openai/*"]);
        let id = "environment-openai";
        assert_eq!(found(&snapshot, "gpt-4o"), [pair(id, "gpt-4o")]);
        assert_eq!(found(&snapshot, "openai/gpt-4o"), [pair(id, "gpt-4o")]);
        assert_eq!(found(&snapshot, "demo"), []);
    }

    #[test]
    fn without_any_provider_a_demonstration_answers_for_nothing() {
        let snapshot = Snapshot::new(&Configured::default(), []);
        assert_eq!(snapshot.names, providers::DEMO_NAMES);
        let chosen = &snapshot.find("gpt-3.5-turbo")[0];
        assert!(matches!(chosen.deployment.target, Target::Demo));
        assert!(chosen.price.as_ref().unwrap().record.is_free());
        assert!(snapshot.find("gpt-4o").is_empty());
    }

    #[test]
    fn a_team_s_deployment_is_seen_by_that_team_alone() {
        let info = json!({"id": "t", "team_id": "team", "team_public_model_name": "ours"});
        let snapshot = snapshot(vec![
            definition("ours_team_1", json!({"model": "openai/gpt-4o"}), info),
            definition(
                "gpt-4o",
                json!({"model": "openai/gpt-4o"}),
                json!({"id": "a"}),
            ),
        ]);
        assert_eq!(snapshot.names, ["gpt-4o"]);
        assert!(snapshot.find("ours").is_empty() && snapshot.find("t").is_empty());
        assert!(snapshot.find_for(Some("other"), "ours").is_empty());
        assert_eq!(snapshot.find_for(Some("team"), "ours").len(), 1);
        assert_eq!(snapshot.find_for(Some("team"), "gpt-4o").len(), 1);
    }

    #[test]
    fn a_blocked_deployment_answers_nobody() {
        let stored = definition(
            "gpt-4o",
            json!({"model": "openai/gpt-4o"}),
            json!({"id": "a"}),
        );
        let snapshot = Snapshot::new(&Configured::default(), [(stored, true)]);
        assert!(snapshot.find("gpt-4o").is_empty() && snapshot.find("a").is_empty());
        assert!(snapshot.deployments.contains_key("a") && snapshot.names.is_empty());
    }
}
