//! The models that a key may call, as clients of OpenAI's API list them (contract §7, §17).

use axum::extract::State;
use base::{Code, Error};
use domain::snapshot::Snapshot;
use domain::{Actor, Domain, access, budgets, model_facts};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Path, Query};
use crate::fields::Sent;

/// A constant of the reference: clients want the field, and nobody knows the truth.
const CREATED: i64 = 1_677_610_602;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Also list wildcards such as `openai/*` as they stand.
    #[param(value_type = Option<bool>)]
    return_wildcard_routes: Sent<bool>,
    /// Also list access groups.
    #[param(value_type = Option<bool>)]
    include_model_access_groups: Sent<bool>,
}

/// Models that the key may call.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    data: Vec<Model>,
    #[schema(value_type = String)]
    object: &'static str,
}

/// A model by the name that calls use.
#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    id: String,
    #[schema(value_type = String)]
    object: &'static str,
    created: i64,
    #[schema(value_type = String)]
    owned_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
}

/// Lists the models that the key may call.
#[utoipa::path(get, path = "/v1/models", operation_id = "models_list", tag = "models", params(ListQuery),
    responses((status = 200, body = ModelList)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ListQuery>,
) -> Result<Json<ModelList>> {
    listed(&domain, &actor, &query)
}

/// The same without `/v1`.
#[utoipa::path(get, path = "/models", operation_id = "models_list_unversioned", tag = "models", params(ListQuery),
    responses((status = 200, body = ModelList)))]
pub async fn list_unversioned(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ListQuery>,
) -> Result<Json<ModelList>> {
    listed(&domain, &actor, &query)
}

/// Shows one model that the key may call.
#[utoipa::path(get, path = "/v1/models/{*model_id}", operation_id = "models_retrieve", tag = "models",
    params(("model_id" = String, Path)), responses((status = 200, body = Model)))]
pub async fn retrieve(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<Model>> {
    find(&domain, &actor, &id)
}

/// The same without `/v1`.
#[utoipa::path(get, path = "/models/{*model_id}", operation_id = "models_retrieve_unversioned", tag = "models",
    params(("model_id" = String, Path)), responses((status = 200, body = Model)))]
pub async fn retrieve_unversioned(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<Model>> {
    find(&domain, &actor, &id)
}

fn listed(domain: &Domain, actor: &Actor, query: &ListQuery) -> Result<Json<ModelList>> {
    budgets::check(domain, actor)?;
    let snapshot = domain.models.now();
    let wanted = |flag: &Sent<bool>| flag.0.as_ref().value() == Some(&true);
    let mut data = Vec::new();
    if wanted(&query.return_wildcard_routes) {
        let wildcards = access::visible_wildcards(actor, &snapshot);
        data.extend(wildcards.into_iter().map(named));
    }
    let names = model_facts::visible(actor, &snapshot);
    data.extend(names.iter().map(|name| described(actor, &snapshot, name)));
    if wanted(&query.include_model_access_groups) {
        let groups = snapshot.access_groups.keys();
        let open = groups.filter(|group| is_open(actor, &snapshot, group));
        data.extend(open.map(String::as_str).map(named));
    }
    Ok(Json(ModelList {
        data,
        object: "list",
    }))
}

/// Whether all models of an access group are open to a caller.
fn is_open(actor: &Actor, snapshot: &Snapshot, group: &str) -> bool {
    let names = &snapshot.access_groups[group];
    let mut names = names.iter();
    names.all(|name| access::check_model(actor, snapshot, name).is_ok())
}

fn find(domain: &Domain, actor: &Actor, id: &str) -> Result<Json<Model>> {
    let snapshot = domain.models.now();
    let name = access::resolve_alias(actor, &snapshot, id);
    let exists = !snapshot.find_for(actor.team_id(), name).is_empty();
    if !exists || access::check_model(actor, &snapshot, id).is_err() {
        return Err(Refused::detail_text(Error::new(
            Code::NotFound,
            format!("The model `{id}` does not exist or is not accessible"),
        )));
    }
    let mut model = described(actor, &snapshot, name);
    model.id = id.to_owned();
    Ok(Json(model))
}

fn named(id: &str) -> Model {
    Model {
        id: id.to_owned(),
        object: "model",
        created: CREATED,
        owned_by: "openai",
        mode: None,
        max_input_tokens: None,
        max_output_tokens: None,
    }
}

fn described(actor: &Actor, snapshot: &Snapshot, name: &str) -> Model {
    let chosen = snapshot.find_for(actor.team_id(), name);
    let facts = chosen.first().map(model_facts::of).unwrap_or_default();
    Model {
        mode: facts.mode,
        max_input_tokens: facts.max_input_tokens,
        max_output_tokens: facts.max_output_tokens,
        ..named(name)
    }
}
