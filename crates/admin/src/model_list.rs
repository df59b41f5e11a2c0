//! The models that a key may call, in the dialect of whoever asks: OpenAI's (contract §7, §17),
//! Anthropic's where the request says its version, Gemini's on paths of its own.

pub mod anthropic;
pub mod gemini;

use axum::extract::{FromRequestParts, State};
use base::{Code, Error};
use domain::deployment::Chosen;
use domain::model_facts::{self, Facts};
use domain::payers::{self, SentKeys};
use domain::snapshot::Snapshot;
use domain::{Actor, Domain, access, budgets};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::dialect::Dialect;
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
    /// Anthropic's dialect: how many models a page has, up to 1000; 20 where nothing is said.
    #[param(value_type = Option<i64>)]
    limit: Sent<i64>,
    /// Anthropic's dialect: the page behind this model.
    #[param(value_type = Option<String>)]
    after_id: Sent<String>,
    /// Anthropic's dialect: the page before this model.
    #[param(value_type = Option<String>)]
    before_id: Sent<String>,
}

/// A list of models in the dialect of the request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Listed {
    OpenAi(ModelList),
    Anthropic(anthropic::ModelList),
}

/// A model in the dialect of the request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Described {
    OpenAi(Model),
    Anthropic(anthropic::Model),
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

/// Lists the models that the key may call, as Anthropic does where `anthropic-version` is sent.
#[utoipa::path(get, path = "/v1/models", operation_id = "models_list", tag = "models", params(ListQuery),
    responses((status = 200, body = Listed)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    asked: Asked,
    Query(query): Query<ListQuery>,
) -> Result<Json<Listed>> {
    listed(&domain, &actor, asked.0, &query)
}

/// The same without `/v1`.
#[utoipa::path(get, path = "/models", operation_id = "models_list_unversioned", tag = "models", params(ListQuery),
    responses((status = 200, body = Listed)))]
pub async fn list_unversioned(
    State(domain): State<Domain>,
    actor: Anyone,
    asked: Asked,
    Query(query): Query<ListQuery>,
) -> Result<Json<Listed>> {
    listed(&domain, &actor, asked.0, &query)
}

/// Shows one model that the key may call, as Anthropic does where `anthropic-version` is sent.
#[utoipa::path(get, path = "/v1/models/{*model_id}", operation_id = "models_retrieve", tag = "models",
    params(("model_id" = String, Path)), responses((status = 200, body = Described)))]
pub async fn retrieve(
    State(domain): State<Domain>,
    actor: Anyone,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Json<Described>> {
    described(&domain, &actor, asked.0, &id)
}

/// The same without `/v1`.
#[utoipa::path(get, path = "/models/{*model_id}", operation_id = "models_retrieve_unversioned", tag = "models",
    params(("model_id" = String, Path)), responses((status = 200, body = Described)))]
pub async fn retrieve_unversioned(
    State(domain): State<Domain>,
    actor: Anyone,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Json<Described>> {
    described(&domain, &actor, asked.0, &id)
}

/// The dialect of a request.
pub struct Asked(Dialect);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> std::result::Result<Asked, Self::Rejection> {
        Ok(Asked(Dialect::of(&parts.uri, &parts.headers)))
    }
}

fn listed(
    domain: &Domain,
    actor: &Actor,
    dialect: Dialect,
    query: &ListQuery,
) -> Result<Json<Listed>> {
    budgets::check(domain, actor)?;
    let snapshot = domain.models.now();
    let list = match dialect {
        Dialect::Anthropic => Listed::Anthropic(anthropic::page(domain, actor, &snapshot, query)?),
        _ => Listed::OpenAi(openai(domain, actor, &snapshot, query)),
    };
    Ok(Json(list))
}

fn openai(domain: &Domain, actor: &Actor, snapshot: &Snapshot, query: &ListQuery) -> ModelList {
    let wanted = |flag: &Sent<bool>| flag.0.as_ref().value() == Some(&true);
    let mut data = Vec::new();
    if wanted(&query.return_wildcard_routes) {
        let wildcards = access::visible_wildcards(actor, snapshot);
        data.extend(wildcards.into_iter().map(named));
    }
    let names = payers::visible(domain, actor, snapshot);
    data.extend(
        names
            .iter()
            .map(|name| model(name, facts(domain, actor, snapshot, name))),
    );
    if wanted(&query.include_model_access_groups) {
        let groups = snapshot.access_groups.keys();
        let open = groups.filter(|group| is_open(actor, snapshot, group));
        data.extend(open.map(String::as_str).map(named));
    }
    ModelList {
        data,
        object: "list",
    }
}

/// Whether all models of an access group are open to a caller.
fn is_open(actor: &Actor, snapshot: &Snapshot, group: &str) -> bool {
    let names = &snapshot.access_groups[group];
    let mut names = names.iter();
    names.all(|name| access::check_model(actor, snapshot, name).is_ok())
}

fn described(
    domain: &Domain,
    actor: &Actor,
    dialect: Dialect,
    id: &str,
) -> Result<Json<Described>> {
    let facts = find(domain, actor, id)?;
    Ok(Json(match dialect {
        Dialect::Anthropic => Described::Anthropic(anthropic::model(id, &facts)),
        _ => Described::OpenAi(model(id, facts)),
    }))
}

/// What is known of a model that the caller may call.
fn find(domain: &Domain, actor: &Actor, id: &str) -> Result<Facts> {
    let snapshot = domain.models.now();
    let name = access::resolve_alias(actor, &snapshot, id);
    let exists = !found(domain, actor, &snapshot, name).is_empty();
    if !exists || access::check_model(actor, &snapshot, id).is_err() {
        return Err(Refused::detail_text(Error::new(
            Code::NotFound,
            format!("The model `{id}` does not exist or is not accessible"),
        )));
    }
    Ok(facts(domain, actor, &snapshot, name))
}

fn found(domain: &Domain, actor: &Actor, snapshot: &Snapshot, name: &str) -> Vec<Chosen> {
    payers::find(domain, actor, snapshot, name, &SentKeys::default())
}

fn facts(domain: &Domain, actor: &Actor, snapshot: &Snapshot, name: &str) -> Facts {
    let chosen = found(domain, actor, snapshot, name);
    chosen.first().map(model_facts::of).unwrap_or_default()
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

fn model(name: &str, facts: Facts) -> Model {
    Model {
        mode: facts.mode,
        max_input_tokens: facts.max_input_tokens,
        max_output_tokens: facts.max_output_tokens,
        ..named(name)
    }
}
