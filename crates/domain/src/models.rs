//! Models made through the API: who may make them, what is checked, how their secrets are kept
//! (contract §16.1–16.3).
//!
//! What stands in a file or in the environment cannot be changed here.

use base::{Code, Error, Result, Secret, ids};
use serde_json::{Value, json};
use store::deployments::DeploymentRow;
use store::{Json, Tx, db, deployments};

use crate::audit::{self, Action, Entry};
use crate::definition::{Definition, Object, Origin, take_secrets};
use crate::snapshot::{place, stored};
use crate::{Actor, Change, Domain, storage, teams};

/// A model as it is asked for.
#[derive(Clone, Debug, Default)]
pub struct New {
    pub model_name: String,
    /// `litellm_params`
    pub params: Object,
    /// `model_info`
    pub info: Object,
}

/// What is to change of a model; a null in a map clears that member.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub model_name: Option<String>,
    pub params: Object,
    pub info: Object,
    pub blocked: Option<bool>,
}

/// Makes a model.
///
/// # Errors
/// 400 for parameters that no deployment can be made of, 403 for callers who may not, 409 for an id
/// that is taken.
pub async fn create(domain: &Domain, actor: &Actor, new: New) -> Result<DeploymentRow> {
    let team_id = text(&new.info, "team_id");
    authorize(domain, actor, team_id.as_deref(), &new.params).await?;
    let now = domain.clock.now();
    let id = text(&new.info, "id").unwrap_or_else(|| ids::new_id(now));
    if domain.models.now().deployments.contains_key(&id) {
        return Err(taken(&id));
    }
    let definition = definition(&id, new.model_name, new.params, new.info)?;
    check(domain, actor, &definition)?;
    let row = DeploymentRow {
        id,
        model_name: definition.model_name.clone(),
        params: Json(sealed(domain, &definition)?),
        info: Json(definition.info),
        team_id,
        blocked: false,
        created_at: now,
        created_by: actor.name(),
        updated_at: now,
        updated_by: actor.name(),
    };
    let mut tx = domain.begin().await?;
    deployments::insert(&mut tx, &row).await.map_err(|error| {
        match db::is_unique_violation(&error) {
            true => taken(&row.id),
            false => storage(error),
        }
    })?;
    record(domain, &mut tx, actor, Action::Created, None, Some(&row)).await?;
    domain.commit(tx, &[Change::Model(&row.id)]).await?;
    Ok(row)
}

/// Changes a model: what is named is replaced, what is null is cleared, the rest stays.
///
/// # Errors
/// 400 for an unknown model, one of the configuration file, or parameters that make no sense; 403 for
/// callers who may not.
pub async fn update(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    changes: Changes,
) -> Result<DeploymentRow> {
    let mut tx = domain.begin().await?;
    let before = lock(domain, &mut tx, actor, id, &changes.params).await?;
    let old = stored(before.clone(), &domain.vault)?;
    let mut params = old.params;
    for (name, secret) in &old.secrets {
        params.insert(name.clone(), secret.expose().into());
    }
    merge(&mut params, changes.params);
    let mut info = old.info;
    merge(&mut info, changes.info);
    let model_name = changes.model_name.unwrap_or(old.model_name);
    let definition = definition(id, model_name, params, info)?;
    check(domain, actor, &definition)?;
    let team_id = text(&definition.info, "team_id");
    if team_id != before.team_id {
        authorize(domain, actor, team_id.as_deref(), &definition.params).await?;
    }
    let after = DeploymentRow {
        model_name: definition.model_name.clone(),
        params: Json(sealed(domain, &definition)?),
        info: Json(definition.info),
        team_id,
        blocked: changes.blocked.unwrap_or(before.blocked),
        updated_at: domain.clock.now(),
        updated_by: actor.name(),
        ..before.clone()
    };
    deployments::update(&mut tx, &after)
        .await
        .map_err(storage)?;
    let action = match (before.blocked, after.blocked) {
        (false, true) => Action::Blocked,
        (true, false) => Action::Unblocked,
        _ => Action::Updated,
    };
    record(domain, &mut tx, actor, action, Some(&before), Some(&after)).await?;
    domain.commit(tx, &[Change::Model(id)]).await?;
    Ok(after)
}

/// Deletes a model.
///
/// # Errors
/// As [`update`].
pub async fn delete(domain: &Domain, actor: &Actor, id: &str) -> Result<()> {
    let mut tx = domain.begin().await?;
    let row = lock(domain, &mut tx, actor, id, &Object::new()).await?;
    deployments::delete(&mut tx, id).await.map_err(storage)?;
    record(domain, &mut tx, actor, Action::Deleted, Some(&row), None).await?;
    domain.commit(tx, &[Change::Model(id)]).await
}

/// The parameters of a row as they may be shown: secrets are masked.
pub fn masked(row: &DeploymentRow) -> Object {
    let mut params = row.params.0.clone();
    for name in take_secrets(&mut params).into_keys() {
        params.insert(name, "****".into());
    }
    params
}

/// Administrators may do everything. A team's administrators may keep models of their team, with
/// their own provider key and at the provider's own address: another address could be one inside the
/// gateway's network, and without a key of theirs the gateway's would pay.
async fn authorize(
    domain: &Domain,
    actor: &Actor,
    team_id: Option<&str>,
    params: &Object,
) -> Result<()> {
    if actor.is_admin() {
        return Ok(());
    }
    let role = actor.role.map_or("none", |role| role.as_str());
    let forbidden = |reason: &str| Err(Error::new(Code::Forbidden, reason.to_owned()));
    let refused = format!(
        "User does not have permission to make this model call. Your role={role}. You can only make \
         model calls if you are a PROXY_ADMIN or if you are a team admin, by specifying a team_id in \
         the model_info."
    );
    let manages = match team_id {
        Some(team_id) => teams::reach(&domain.db, actor, team_id).await?.manages(),
        None => false,
    };
    if !manages {
        return forbidden(&refused);
    }
    for name in [
        "api_base",
        "base_url",
        "extra_headers",
        "headers",
        "mock_response",
    ] {
        if params.get(name).is_some_and(|value| !value.is_null()) {
            return forbidden(&format!(
                "only administrators of the gateway may set {name}"
            ));
        }
    }
    let key = params.get("api_key").and_then(Value::as_str);
    match key {
        Some(key) if key.starts_with("os.environ/") => {
            forbidden("only administrators of the gateway may use its environment's keys")
        }
        _ => Ok(()),
    }
}

/// The model's row, locked, for somebody who may change it. Others are not told whether it is there.
async fn lock(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    id: &str,
    params: &Object,
) -> Result<DeploymentRow> {
    let row = deployments::lock(tx, id).await.map_err(storage)?;
    let team_id = row.as_ref().and_then(|row| row.team_id.as_deref());
    authorize(domain, actor, team_id, params).await?;
    row.ok_or_else(|| {
        let snapshot = domain.models.now();
        let is_configured = snapshot
            .deployments
            .get(id)
            .is_some_and(|known| known.is_configured);
        let message = match is_configured {
            true => {
                "Can't edit model. Model in config. Store model in db via `/model/new` to edit."
                    .to_owned()
            }
            false => format!("Model with id={id} not found in db"),
        };
        Error::new(Code::BadRequest, message).param("model_info.id")
    })
}

fn taken(id: &str) -> Error {
    Error::new(
        Code::Conflict,
        format!("a model with id={id} already exists"),
    )
    .param("model_info.id")
}

/// The definition of a row; its `model_info` always names its own id.
fn definition(
    id: &str,
    model_name: String,
    params: Object,
    mut info: Object,
) -> Result<Definition> {
    if model_name.trim().is_empty() {
        let error = Error::new(Code::BadRequest, "model_name must not be empty");
        return Err(error.param("model_name"));
    }
    info.insert("id".to_owned(), id.into());
    Ok(Definition::new(model_name, params, info, Origin::Database))
}

/// Refuses what no deployment can be made of, and models of a team that the gateway's key would pay.
fn check(domain: &Domain, actor: &Actor, definition: &Definition) -> Result<()> {
    if !actor.is_admin() && !definition.secrets.contains_key("api_key") {
        let message = "a model of a team needs the team's own api_key";
        return Err(Error::new(Code::Forbidden, message).param("api_key"));
    }
    let from_environment = |text: &str| text.starts_with("os.environ/");
    let params = definition.params.values().filter_map(Value::as_str);
    let mut texts = params.chain(definition.secrets.values().map(Secret::expose));
    if !actor.is_admin() && texts.any(from_environment) {
        let message = "a model of a team cannot use the gateway's environment";
        return Err(Error::new(Code::Forbidden, message));
    }
    match definition.is_any_model() {
        true => Ok(()),
        false => definition
            .deployment(&domain.config.models.variables)
            .map(drop),
    }
}

async fn record(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    action: Action,
    before: Option<&DeploymentRow>,
    after: Option<&DeploymentRow>,
) -> Result<()> {
    let shown = |row: &DeploymentRow| {
        json!({
            "model_name": row.model_name,
            "litellm_params": masked(row),
            "model_info": row.info.0,
            "blocked": row.blocked,
        })
    };
    let Some(row) = after.or(before) else {
        return Ok(());
    };
    let entry = Entry {
        action,
        kind: "model",
        id: &row.id,
        before: before.map(shown),
        after: after.map(shown),
    };
    audit::record(tx, actor, domain.clock.now(), entry).await
}

/// The parameters with every secret sealed for its place.
fn sealed(domain: &Domain, definition: &Definition) -> Result<Object> {
    let mut params = definition.params.clone();
    for (name, secret) in &definition.secrets {
        let column = format!("params.{name}");
        let sealed = domain.vault.seal(place(&definition.id, &column), secret)?;
        params.insert(name.clone(), sealed.into());
    }
    Ok(params)
}

fn merge(into: &mut Object, changes: Object) {
    for (name, value) in changes {
        match value {
            Value::Null => drop(into.remove(&name)),
            value => drop(into.insert(name, value)),
        }
    }
}

fn text(object: &Object, name: &str) -> Option<String> {
    let text = object.get(name).and_then(Value::as_str)?;
    (!text.is_empty()).then(|| text.to_owned())
}
