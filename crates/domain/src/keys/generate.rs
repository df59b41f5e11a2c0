//! Making keys (contract §8.1, §8.2).

use base::{Code, Error, Millis, Result, Secret, ids};
use serde_json::Value;
use store::keys::KeyRow;
use store::teams::TeamRow;
use store::{Json, On, Tx};
use subtle::ConstantTimeEq as _;

use super::caps;
use super::fields::KeyPatch;
use super::permissions::{self, Standing};
use super::plain::{self, Form, random};
use super::{NewKey, note, taken, view};
use crate::audit::{Action, Actor};
use crate::entity_budgets;
use crate::grants::{self, Ceiling, Given};
use crate::scopes::ScopeKind;
use crate::{Change, Domain, Patch, Role, auth, mail, organizations, storage};

/// The shortest and the longest custom key, in characters.
const CUSTOM_LENGTH: std::ops::RangeInclusive<usize> = 16..=512;

/// What a request for a new key says beside the key's fields.
#[derive(Debug, Default)]
pub struct Custom {
    /// A plain text that the caller has chosen.
    pub plain: Option<Secret>,
    /// The key belongs to a team and to no person (contract §8.2).
    pub is_service_account: bool,
    /// Mails the owner that they have a key. The key itself is not mailed.
    pub tells_owner: bool,
}

/// Makes a key.
///
/// # Errors
/// 400 for values that make no sense or are over a configured cap, 401 and 403 for what the actor may
/// not give, 409 for a custom key that exists.
pub async fn generate(
    domain: &Domain,
    actor: &Actor,
    mut patch: KeyPatch,
    custom: Custom,
) -> Result<NewKey> {
    let now = domain.clock.now();
    let team = find_team(domain, &patch).await?;
    if custom.is_service_account && patch.team_id.as_ref().value().is_none() {
        return Err(Error::new(
            Code::BadRequest,
            "team_id is required for service account keys. Please specify `team_id` in the request \
             body.",
        ));
    }
    if !actor.is_admin() {
        check_self_service(domain, actor, &patch, team.as_ref()).await?;
        patch.user_id.fill(actor.user_id.clone());
        let user_id = patch.user_id.as_ref().value();
        let ceilings = ceilings(&domain.db, user_id, team.as_ref()).await?;
        grants::check(domain, actor, &Given::from(&patch), &ceilings)?;
    }
    if custom.is_service_account {
        patch.user_id = Patch::Null;
    }
    super::check_alias(domain, &patch.alias)?;
    caps::check(domain, &domain.db, &mut patch, now, true).await?;
    let plain = match custom.plain {
        Some(plain) => check_custom(domain, plain, now).await?,
        None => random()?,
    };
    let mut row = blank(&plain, actor, now);
    patch.apply(&mut row, now)?;
    grants::inherit(domain, actor, &mut row, &mut patch)?;
    row.user_id = patch.user_id.clone().value();
    row.team_id = patch.team_id.clone().value();
    let of_team = team.and_then(|team| team.organization_id);
    row.organization_id = patch.organization_id.clone().value().or(of_team);
    if custom.is_service_account
        && let Some(alias) = row.alias.clone()
    {
        row.metadata
            .insert("service_account_id".to_owned(), alias.into());
    }
    let mut tx = domain.begin().await?;
    insert(domain, &mut tx, actor, &row, &patch).await?;
    if custom.tells_owner {
        let max_budget = patch.budgets.max_budget.clone().value();
        mail::tell_of_key(domain, &mut tx, &row, max_budget).await?;
    }
    domain.commit(tx, &[Change::Key(&row.hash)]).await?;
    Ok(NewKey {
        view: view(domain, row).await?,
        plain,
    })
}

/// Makes a key in the transaction that makes its user, for an administrator.
///
/// # Errors
/// 400 for values that make no sense or are over a configured cap.
pub(crate) async fn generate_along(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    user_id: &str,
    mut patch: KeyPatch,
) -> Result<(KeyRow, Secret)> {
    let now = domain.clock.now();
    super::check_alias(domain, &patch.alias)?;
    caps::check(domain, &mut *tx, &mut patch, now, true).await?;
    let plain = random()?;
    let mut row = blank(&plain, actor, now);
    patch.apply(&mut row, now)?;
    row.user_id = Some(user_id.to_owned());
    row.team_id = patch.team_id.clone().value();
    if let Some(team_id) = &row.team_id {
        let team = store::teams::find(&mut *tx, team_id)
            .await
            .map_err(storage)?;
        row.organization_id = team.and_then(|team| team.organization_id);
    }
    insert(domain, tx, actor, &row, &patch).await?;
    Ok((row, plain))
}

async fn insert(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    row: &KeyRow,
    patch: &KeyPatch,
) -> Result<()> {
    store::keys::insert(&mut *tx, row)
        .await
        .map_err(|failure| taken(row, failure))?;
    let by = actor.name();
    let kind = ScopeKind::Key;
    entity_budgets::write(domain, tx, kind, &row.id, &patch.budgets, by.as_deref()).await?;
    if let Patch::Value(spend) = patch.spend {
        entity_budgets::start_with(domain, tx, kind, &row.id, spend).await?;
    }
    note(domain, tx, actor, Action::Created, row, None).await
}

async fn find_team(domain: &Domain, patch: &KeyPatch) -> Result<Option<TeamRow>> {
    match &patch.team_id {
        Patch::Value(id) => store::teams::find(&domain.db, id).await.map_err(storage),
        Patch::Absent | Patch::Null => Ok(None),
    }
}

/// What people who are no administrators may give to their keys.
async fn check_self_service(
    domain: &Domain,
    actor: &Actor,
    patch: &KeyPatch,
    team: Option<&TeamRow>,
) -> Result<()> {
    let own = actor.user_id.as_deref().ok_or_else(nobody)?;
    if let Patch::Value(user_id) = &patch.user_id
        && user_id != own
        && organizations::must_administer_user(&domain.db, actor, user_id)
            .await
            .is_err()
    {
        return Err(Error::new(
            Code::Forbidden,
            format!(
                "User can only create keys for themselves. Got user_id={user_id}, Your ID={own}"
            ),
        )
        .param("user_id"));
    }
    permissions::only_for_admins(patch)?;
    if matches!(patch.spend, Patch::Value(spend) if spend.0 != 0) {
        return Err(Error::new(
            Code::Forbidden,
            "Only proxy admins can set `spend`.",
        ));
    }
    let team_of_key = match &patch.team_id {
        Patch::Value(team_id) => {
            let route = "/key/generate";
            let standing =
                permissions::may_use_team(&domain.db, actor, team, team_id, route).await?;
            check_team_settings(domain, standing, patch)?;
            team
        }
        Patch::Absent | Patch::Null => {
            check_personal_settings(domain, actor, patch)?;
            None
        }
    };
    if let Patch::Value(id) = &patch.organization_id
        && team_of_key.and_then(|team| team.organization_id.as_ref()) != Some(id)
        && !actor.administers(id)
    {
        return Err(Error::new(
            Code::Forbidden,
            "Only proxy admins can put a key into another organization than its team's.",
        )
        .param("organization_id"));
    }
    team_of_key.map_or(Ok(()), |team| check_team_models(team, &patch.models))
}

/// What binds keys of a user, in a team or outside.
pub(super) async fn ceilings<'a>(
    on: impl Into<On<'a>>,
    user_id: Option<&String>,
    team: Option<&TeamRow>,
) -> Result<Vec<Ceiling>> {
    let mut on = on.into();
    let mut ceilings = Vec::new();
    let Some(team) = team else {
        if let Some(user_id) = user_id {
            let user = store::users::find(on.again(), user_id)
                .await
                .map_err(storage)?;
            if let Some(user) = user {
                ceilings.push(Ceiling::of_user(on, &user).await?);
            }
        }
        return Ok(ceilings);
    };
    ceilings.push(Ceiling::of_team(on.again(), team).await?);
    if let Some(user_id) = user_id {
        let member = store::teams::find_member(on.again(), &team.id, user_id)
            .await
            .map_err(storage)?;
        if let Some(member) = member {
            ceilings.push(Ceiling::of_member(on.again(), &member).await?);
        }
    }
    if let Some(id) = &team.organization_id {
        let organization = store::organizations::find(on.again(), id)
            .await
            .map_err(storage)?;
        if let Some(organization) = organization {
            ceilings.push(Ceiling::of_organization(on, &organization).await?);
        }
    }
    Ok(ceilings)
}

fn nobody() -> Error {
    Error::new(
        Code::Forbidden,
        "a key without a user cannot make keys; ask an administrator",
    )
}

/// Models of a key in a team are among the team's.
pub(super) fn check_team_models(team: &TeamRow, models: &Patch<Vec<String>>) -> Result<()> {
    const ANY: [&str; 2] = ["*", "all-proxy-models"];
    let any = |list: &[String]| list.iter().any(|entry| ANY.contains(&entry.as_str()));
    let Patch::Value(models) = models else {
        return Ok(());
    };
    if team.models.is_empty() || any(&team.models) {
        return Ok(());
    }
    let known = |model: &String| model == "all-team-models" || team.models.contains(model);
    match models.iter().find(|model| !known(model)) {
        None => Ok(()),
        Some(model) => Err(Error::new(
            Code::TeamModelForbidden,
            format!("team {} may not use the model '{model}'", team.id),
        )
        .param("models")),
    }
}

/// `key_generation_settings.personal_key_generation` (contract §22).
fn check_personal_settings(domain: &Domain, actor: &Actor, patch: &KeyPatch) -> Result<()> {
    if domain.config.personal_keys_disabled {
        return Err(Error::new(
            Code::BadRequest,
            "Personal key creation has been disabled by the administrator: give a team_id.",
        )
        .param("team_id"));
    }
    let settings = domain.config.key_generation.get("personal_key_generation");
    let role = actor.role.map_or("unknown", Role::as_str);
    if let Some(allowed) = texts(settings, "allowed_user_roles")
        && !allowed.contains(&role)
    {
        return Err(Error::new(
            Code::BadRequest,
            format!(
                "Personal key creation has been restricted by admin. Allowed roles=['{}']. Your \
                 role={role}",
                allowed.join("', '")
            ),
        ));
    }
    check_required(settings, patch)
}

/// `key_generation_settings.team_key_generation` (contract §22).
fn check_team_settings(domain: &Domain, standing: Standing, patch: &KeyPatch) -> Result<()> {
    let settings = domain.config.key_generation.get("team_key_generation");
    let role = match standing {
        Standing::Admin => "admin",
        Standing::Member { .. } | Standing::Stranger => "user",
    };
    if let Some(allowed) = texts(settings, "allowed_team_member_roles")
        && !allowed.contains(&role)
    {
        return Err(Error::new(
            Code::BadRequest,
            format!(
                "Team member role {role} not in allowed_team_member_roles=['{}']",
                allowed.join("', '")
            ),
        ));
    }
    check_required(settings, patch)
}

fn check_required(settings: Option<&Value>, patch: &KeyPatch) -> Result<()> {
    let required = texts(settings, "required_params").unwrap_or_default();
    match required.iter().find(|name| !patch.named.contains(**name)) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            Code::BadRequest,
            format!("a key needs the field '{name}' here: the administrator requires it"),
        )
        .param(name.to_string())),
    }
}

fn texts<'a>(settings: Option<&'a Value>, name: &str) -> Option<Vec<&'a str>> {
    let list = settings?.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).collect())
}

/// A custom key that can be sent in a header, is long enough, and is nobody's yet.
pub(super) async fn check_custom(domain: &Domain, plain: Secret, now: Millis) -> Result<Secret> {
    let refused = |message: &'static str| Err(Error::new(Code::BadRequest, message).param("key"));
    if !domain.config.custom_keys {
        return refused("custom keys are switched off: leave `key` out");
    }
    let text = plain.expose();
    if !text.starts_with("sk-") {
        return refused("Invalid key format. LiteLLM Virtual Key must start with 'sk-'.");
    }
    if !CUSTOM_LENGTH.contains(&text.len()) {
        return refused("a custom key has between 16 and 512 characters");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refused("a custom key consists of visible ASCII characters");
    }
    if plain::form(text) == Form::Wrong {
        return refused(
            "a key of the form sk-tg-… has a checksum at its end, and this one is wrong",
        );
    }
    let master = domain.config.master_key.expose().as_bytes();
    let is_master = bool::from(text.as_bytes().ct_eq(master));
    let found = store::keys::find_by_hash(&domain.db, &auth::hash(text), now)
        .await
        .map_err(storage)?;
    if is_master || found.is_some() {
        return Err(Error::new(Code::Conflict, "this key already exists").param("key"));
    }
    Ok(plain)
}

/// What people see of a key: its last four characters.
pub(super) fn masked(plain: &Secret) -> String {
    let text = plain.expose();
    format!("sk-...{}", &text[text.len().saturating_sub(4)..])
}

fn blank(plain: &Secret, actor: &Actor, now: Millis) -> KeyRow {
    KeyRow {
        id: ids::new_id(now),
        hash: auth::hash(plain.expose()),
        name: masked(plain),
        alias: None,
        user_id: None,
        team_id: None,
        organization_id: None,
        models: Json::default(),
        aliases: Json::default(),
        allowed_routes: Json::default(),
        key_type: None,
        permissions: Json::default(),
        metadata: Json::default(),
        settings: Json::default(),
        blocked: None,
        expires_at: None,
        rpm_limit: None,
        tpm_limit: None,
        tpd_limit: None,
        max_parallel_requests: None,
        auto_rotate: false,
        rotation_interval: None,
        rotation_count: 0,
        last_rotation_at: None,
        next_rotation_at: None,
        last_used_at: None,
        created_at: now,
        // whoever made a key may change it, so this is never what a header says
        created_by: actor.user_id.clone(),
        updated_at: now,
        updated_by: actor.name(),
        deleted_at: None,
        deleted_by: None,
        allowed_ips: Json::default(),
        canary: false,
        rotation_grace_period: None,
        rotate_by: None,
        expiry_reminder: None,
    }
}
