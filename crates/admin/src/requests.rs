//! Requests: asking for what one may not take, and deciding what others ask for.

mod pages;

use std::time::Duration;

use axum::extract::State;
use base::{Code, Error, Millis, Money};
use domain::Domain;
use domain::periods::Period;
use domain::requests::{self, Ask, Decision, Kind, New, Verdict};
use domain::scopes::ScopeKind;
use serde::{Deserialize, Serialize};
use store::requests::{Filter, RequestRow};
use utoipa::{IntoParams, ToSchema};

pub use pages::{
    __path_ask_form, __path_ask_page, __path_decide_form, __path_decide_page, ask_form, ask_page,
    decide_form, decide_page,
};

use crate::budgets;
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, OptionalJson, Path, Query};
use crate::fields::{Amount, Field, Required, Sent, Wrong, choice};
use crate::page::{Page, Sizes};
use crate::spend::text;

impl Field for Kind {
    fn read(value: serde_json::Value) -> std::result::Result<Kind, Wrong> {
        choice(&value, &Kind::ALL.map(|kind| (kind.as_str(), kind)))
    }
}

impl Field for ScopeKind {
    fn read(value: serde_json::Value) -> std::result::Result<ScopeKind, Wrong> {
        const ALL: [ScopeKind; 4] = [
            ScopeKind::Key,
            ScopeKind::User,
            ScopeKind::TeamMember,
            ScopeKind::Team,
        ];
        choice(&value, &ALL.map(|kind| (kind.as_str(), kind)))
    }
}

/// A request.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestObject {
    request_id: String,
    /// `budget`, `model`, `key` or `seat`
    kind: String,
    /// Who asked.
    user_id: String,
    team_id: Option<String>,
    organization_id: Option<String>,
    /// Whose budget: `key`, `user`, `team_member` or `team`.
    scope: Option<String>,
    scope_id: Option<String>,
    budget_id: Option<String>,
    /// Dollars.
    #[schema(value_type = Option<f64>)]
    amount: Option<Money>,
    model: Option<String>,
    key_alias: Option<String>,
    reason: Option<String>,
    /// The limit that there was when it was asked.
    #[schema(value_type = Option<f64>)]
    limit: Option<Money>,
    /// `pending`, `approved`, `collected`, `declined`, `withdrawn`, `lapsed` or `ended`
    status: String,
    decided_at: Option<String>,
    decided_by: Option<String>,
    /// `admin`, `organization`, `team`, or `rule`: nobody had to be asked.
    decided_how: Option<String>,
    note: Option<String>,
    #[schema(value_type = Option<f64>)]
    granted_amount: Option<Money>,
    /// When what was given ends.
    granted_until: Option<String>,
    /// When nobody can decide any more.
    lapses_at: String,
    created_at: String,
}

impl From<RequestRow> for RequestObject {
    fn from(row: RequestRow) -> RequestObject {
        RequestObject {
            request_id: row.id,
            kind: row.kind,
            user_id: row.user_id,
            team_id: row.team_id,
            organization_id: row.organization_id,
            scope: row.scope_kind,
            scope_id: row.scope_id,
            budget_id: row.budget_id,
            amount: row.amount,
            model: row.model,
            key_alias: row.key_alias,
            reason: row.reason,
            limit: row.asked_limit,
            status: row.status,
            decided_at: row.decided_at.map(Millis::to_rfc3339),
            decided_by: row.decided_by,
            decided_how: row.decided_how,
            note: row.note,
            granted_amount: row.granted_amount,
            granted_until: row.granted_until.map(Millis::to_rfc3339),
            lapses_at: row.lapses_at.to_rfc3339(),
            created_at: row.created_at.to_rfc3339(),
        }
    }
}

/// What is asked for.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewRequest {
    /// `budget`, `model`, `key` or `seat`
    #[schema(value_type = String)]
    kind: Required<Kind>,
    /// Dollars: more budget, or the budget of the key.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    amount: Sent<Amount>,
    /// Whose budget: `key` (if not given, and a key is used), `user`, `team_member` or `team`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    scope: Sent<ScopeKind>,
    /// The key or team whose budget it is; the key that is used, oneself or `team_id` if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    scope_id: Sent<String>,
    /// Which of the budgets; the main one if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    budget_id: Sent<String>,
    /// The team that it is about.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    team_id: Sent<String>,
    /// A model's public name: to be used, or the only one of the key.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    model: Sent<String>,
    /// The key whose own list leaves the model out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    key_id: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    key_alias: Sent<String>,
    /// For how long: `12h`, `7d`, `1mo`; as configured if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    duration: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    reason: Sent<String>,
}

impl NewRequest {
    fn read(&self, domain: &Domain) -> base::Result<New> {
        let missing = |name: &'static str| {
            let message = format!("{name} is needed for this kind of request");
            Error::new(Code::BadRequest, message).param(name)
        };
        let amount = money("amount", &self.amount)?;
        let team_id = text(&self.team_id);
        let ask = match self.kind.0 {
            Kind::Budget => Ask::Budget {
                scope: self.scope.0.clone().value().unwrap_or(ScopeKind::Key),
                scope_id: text(&self.scope_id),
                team_id,
                budget_id: text(&self.budget_id),
                amount: amount.ok_or_else(|| missing("amount"))?,
            },
            Kind::Model => Ask::Model {
                model: text(&self.model).ok_or_else(|| missing("model"))?,
                team_id,
                key_id: text(&self.key_id),
            },
            Kind::Key => Ask::Key {
                team_id,
                alias: text(&self.key_alias),
                model: text(&self.model),
                amount,
            },
            Kind::Seat => Ask::Seat {
                team_id: team_id.ok_or_else(|| missing("team_id"))?,
            },
        };
        Ok(New {
            ask,
            duration: duration(domain, &self.duration)?,
            reason: text(&self.reason),
        })
    }
}

fn money(name: &'static str, sent: &Sent<Amount>) -> base::Result<Option<Money>> {
    Ok(budgets::amount(name, sent)?.value())
}

fn duration(domain: &Domain, sent: &Sent<String>) -> base::Result<Option<Duration>> {
    let Some(text) = text(sent) else {
        return Ok(None);
    };
    let now = domain.clock.now();
    let period = Period::parse(&text).map_err(|_| {
        let message = format!("duration '{text}' is none; write 12h, 7d or 1mo");
        Error::new(Code::BadRequest, message).param("duration")
    })?;
    Ok(Some(period.after(now).since(now)))
}

/// Asks for something in one's own name. What a rule grants is granted at once.
#[utoipa::path(post, path = "/requests/new", operation_id = "request_new", tag = "requests",
    request_body = NewRequest, responses((status = 200, body = RequestObject)))]
pub async fn new(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(body): Json<NewRequest>,
) -> Result<Json<RequestObject>> {
    let request = requests::create(&domain, &actor, body.read(&domain)?).await?;
    Ok(Json(request.into()))
}

/// Which requests.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct RequestQuery {
    #[param(value_type = Option<String>)]
    user_id: Sent<String>,
    #[param(value_type = Option<String>)]
    team_id: Sent<String>,
    #[param(value_type = Option<String>)]
    kind: Sent<String>,
    #[param(value_type = Option<String>)]
    status: Sent<String>,
    #[param(value_type = Option<i64>)]
    page: Sent<i64>,
    #[param(value_type = Option<i64>)]
    page_size: Sent<i64>,
}

/// A page of requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestPage {
    requests: Vec<RequestObject>,
    total: i64,
    page: i64,
    page_size: i64,
    total_pages: i64,
}

/// Lists requests, the newest first: one's own, and those that one may decide.
#[utoipa::path(get, path = "/requests/list", operation_id = "request_list", tag = "requests",
    params(RequestQuery), responses((status = 200, body = RequestPage)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<RequestQuery>,
) -> Result<Json<RequestPage>> {
    let sizes = Sizes {
        name: "page_size",
        usual: 25,
        most: 100,
    };
    let page = Page::read(&query.page, &query.page_size, sizes)?;
    let filter = Filter {
        user_id: text(&query.user_id),
        team_id: text(&query.team_id),
        kind: text(&query.kind),
        status: text(&query.status),
        reader: None,
    };
    let found = requests::list(&domain, &actor, filter, page.size, page.offset()).await?;
    Ok(Json(RequestPage {
        requests: found
            .requests
            .into_iter()
            .map(RequestObject::from)
            .collect(),
        total: found.total,
        page: page.number,
        page_size: page.size,
        total_pages: page.count(found.total),
    }))
}

/// One request.
#[utoipa::path(get, path = "/requests/{request_id}", operation_id = "request_info", tag = "requests",
    params(("request_id" = String, Path)), responses((status = 200, body = RequestObject)))]
pub async fn info(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<RequestObject>> {
    Ok(Json(requests::info(&domain, &actor, &id).await?.into()))
}

/// Takes a request back, or gives back what it gave.
#[utoipa::path(post, path = "/requests/{request_id}/withdraw", operation_id = "request_withdraw",
    tag = "requests", params(("request_id" = String, Path)),
    responses((status = 200, body = RequestObject)))]
pub async fn withdraw(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<RequestObject>> {
    Ok(Json(requests::withdraw(&domain, &actor, &id).await?.into()))
}

/// What is decided.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct DecisionBody {
    /// Dollars, in place of what was asked for.
    #[schema(value_type = Option<f64>)]
    amount: Sent<Amount>,
    /// In place of what was asked for.
    #[schema(value_type = Option<String>)]
    duration: Sent<String>,
    #[schema(value_type = Option<String>)]
    note: Sent<String>,
    /// The limit that was seen, where it is not the one there was when it was asked.
    #[schema(value_type = Option<f64>)]
    seen_limit: Sent<Amount>,
}

async fn decide(
    domain: &Domain,
    actor: &Anyone,
    id: &str,
    verdict: Verdict,
    body: &DecisionBody,
) -> Result<Json<RequestObject>> {
    let decision = Decision {
        verdict,
        amount: money("amount", &body.amount)?,
        duration: duration(domain, &body.duration)?,
        note: text(&body.note),
        seen_limit: money("seen_limit", &body.seen_limit)?,
    };
    let request = requests::decide(domain, actor, id, decision).await?;
    Ok(Json(request.into()))
}

/// Grants what is asked for, for a time.
#[utoipa::path(post, path = "/requests/{request_id}/approve", operation_id = "request_approve",
    tag = "requests", params(("request_id" = String, Path)), request_body = DecisionBody,
    responses((status = 200, body = RequestObject)))]
pub async fn approve(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    OptionalJson(body): OptionalJson<DecisionBody>,
) -> Result<Json<RequestObject>> {
    decide(&domain, &actor, &id, Verdict::Approve, &body).await
}

/// Says no.
#[utoipa::path(post, path = "/requests/{request_id}/decline", operation_id = "request_decline",
    tag = "requests", params(("request_id" = String, Path)), request_body = DecisionBody,
    responses((status = 200, body = RequestObject)))]
pub async fn decline(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    OptionalJson(body): OptionalJson<DecisionBody>,
) -> Result<Json<RequestObject>> {
    decide(&domain, &actor, &id, Verdict::Decline, &body).await
}

/// A key that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct CollectedKey {
    request: RequestObject,
    /// The key itself, shown here and never again.
    key: String,
    key_name: String,
    /// The key's hash.
    token: String,
    expires: Option<String>,
}

/// Makes the key of a request that was approved, and shows it: once, to whoever asked.
#[utoipa::path(post, path = "/requests/{request_id}/collect", operation_id = "request_collect",
    tag = "requests", params(("request_id" = String, Path)),
    responses((status = 200, body = CollectedKey)))]
pub async fn collect(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<CollectedKey>> {
    let collected = requests::collect(&domain, &actor, &id).await?;
    let row = collected.key.view.row;
    Ok(Json(CollectedKey {
        request: collected.request.into(),
        key: collected.key.plain.expose().to_owned(),
        key_name: row.name,
        token: row.hash,
        expires: row.expires_at.map(Millis::to_rfc3339),
    }))
}

/// What may be granted in a team, or everywhere.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct RuleBody {
    /// Everywhere if not given.
    #[schema(value_type = Option<String>)]
    team_id: Sent<String>,
    /// Dollars that a team's administrators may grant one person in a calendar month.
    #[schema(value_type = Option<f64>)]
    team_admin_limit: Sent<Amount>,
    /// Dollars of more budget that one person is granted in a calendar month without anybody being asked.
    #[schema(value_type = Option<f64>)]
    automatic_limit: Sent<Amount>,
}

/// What applies.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleObject {
    team_id: Option<String>,
    #[schema(value_type = f64)]
    team_admin_limit: Money,
    #[schema(value_type = f64)]
    automatic_limit: Money,
}

/// Sets what may be granted; what is not given falls back to what applies everywhere.
#[utoipa::path(post, path = "/requests/rules", operation_id = "request_rules_update", tag = "requests",
    request_body = RuleBody, responses((status = 200, body = RuleObject)))]
pub async fn set_rule(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(body): Json<RuleBody>,
) -> Result<Json<RuleObject>> {
    let team_id = text(&body.team_id);
    let team_admin = money("team_admin_limit", &body.team_admin_limit)?;
    let automatic = money("automatic_limit", &body.automatic_limit)?;
    let team = team_id.as_deref();
    let rule = requests::set_rule(&domain, &actor, team, team_admin, automatic).await?;
    Ok(Json(rule_object(team_id, rule)))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct RuleQuery {
    #[param(value_type = Option<String>)]
    team_id: Sent<String>,
}

/// Says what may be granted.
#[utoipa::path(get, path = "/requests/rules", operation_id = "request_rules", tag = "requests",
    params(RuleQuery), responses((status = 200, body = RuleObject)))]
pub async fn rule(
    State(domain): State<Domain>,
    Query(query): Query<RuleQuery>,
) -> Result<Json<RuleObject>> {
    let team_id = text(&query.team_id);
    let rule = requests::rule(&domain, &domain.db, team_id.as_deref()).await?;
    Ok(Json(rule_object(team_id, rule)))
}

fn rule_object(team_id: Option<String>, rule: requests::Rule) -> RuleObject {
    RuleObject {
        team_id,
        team_admin_limit: rule.team_admin_limit,
        automatic_limit: rule.automatic_limit,
    }
}
