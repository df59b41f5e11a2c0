//! What the whole gateway has spent (contract §18). Only those reach these routes who see all, or
//! whose key has been given them; the `activity` routes are for everybody, with their own calls.

use std::collections::BTreeMap;

use axum::extract::State;
use base::{Millis, Money};
use domain::entity_budgets;
use domain::scopes::ScopeKind;
use domain::spend::{self, Filter, Wanted};
use domain::{Domain, auth};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::spend::Cell;
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, OptionalJson, Query};
use crate::fields::{Object, Sent};
use crate::spend::{RangeQuery, date, model_of, text};

/// How many days reports look back that name no range.
const USUAL_DAYS: i64 = 30;

/// What was spent, and the limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct GlobalSpend {
    /// Dollars, in the current window of the gateway's budget.
    #[schema(value_type = f64)]
    spend: Money,
    /// Dollars; 0: no limit.
    #[schema(value_type = f64)]
    max_budget: Money,
}

/// Says what the whole gateway has spent.
#[utoipa::path(get, path = "/global/spend", operation_id = "global_spend", tag = "spend",
    responses((status = 200, body = GlobalSpend)))]
pub async fn total(State(domain): State<Domain>, _: Anyone) -> Result<Json<GlobalSpend>> {
    domain.ledger.flush().await?;
    let account = entity_budgets::account(&domain, ScopeKind::Gateway, auth::GATEWAY).await?;
    Ok(Json(GlobalSpend {
        spend: account.spend,
        max_budget: account.max_budget.unwrap_or_default(),
    }))
}

/// Which calls.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct RecentQuery {
    /// A key, in plain text or as its hash.
    #[param(value_type = Option<String>)]
    api_key: Sent<String>,
    /// How many rows, the dearest first.
    #[param(value_type = Option<i64>)]
    limit: Sent<i64>,
}

impl RecentQuery {
    fn limit(&self) -> usize {
        let limit = self.limit.0.clone().value();
        limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0))
    }
}

/// The days that a report without a range is about.
fn recent(domain: &Domain) -> Filter {
    let today = domain.clock.now().0.div_euclid(spend::DAY);
    Filter {
        from: Some(Millis((today - USUAL_DAYS + 1) * spend::DAY)),
        ..Filter::default()
    }
}

/// Adds up cells under names, and gives the dearest first.
fn ranked(cells: &[Cell], name: impl Fn(&Cell) -> String) -> Vec<(String, Money, i64)> {
    let mut sums: BTreeMap<String, (Money, i64)> = BTreeMap::new();
    for cell in cells {
        let sum = sums.entry(name(cell)).or_default();
        sum.0 += cell.spend;
        sum.1 += cell.completed + cell.failed;
    }
    let mut sums: Vec<_> = sums
        .into_iter()
        .map(|(name, (spend, calls))| (name, spend, calls))
        .collect();
    sums.sort_by_key(|(_, spend, _)| std::cmp::Reverse(*spend));
    sums
}

/// The days of cells, in order.
fn days(cells: &[Cell]) -> Vec<i64> {
    let mut days: Vec<i64> = cells.iter().map(|cell| cell.day).collect();
    days.sort_unstable();
    days.dedup();
    days
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DaySpend {
    date: String,
    /// Dollars.
    #[schema(value_type = f64)]
    spend: Money,
}

/// Sums the last thirty days day by day.
#[utoipa::path(get, path = "/global/spend/logs", operation_id = "global_spend_logs", tag = "spend",
    params(RecentQuery), responses((status = 200, body = Vec<DaySpend>)))]
pub async fn by_day(
    State(domain): State<Domain>,
    _: Anyone,
    Query(query): Query<RecentQuery>,
) -> Result<Json<Vec<DaySpend>>> {
    let wanted = Wanted {
        filter: recent(&domain),
        api_key: text(&query.api_key),
    };
    let cells = spend::all_cells(&domain, wanted).await?;
    let day = |day: i64| DaySpend {
        date: date(day),
        spend: of_day(&cells, day).map(|cell| cell.spend).sum(),
    };
    Ok(Json(days(&cells).into_iter().map(day).collect()))
}

fn of_day(cells: &[Cell], day: i64) -> impl Iterator<Item = &Cell> {
    cells.iter().filter(move |cell| cell.day == day)
}

/// What a key has spent.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeySpend {
    /// The key's hash.
    api_key: String,
    key_alias: Option<String>,
    key_name: Option<String>,
    /// Dollars.
    #[schema(value_type = f64)]
    total_spend: Money,
}

/// Sums the last thirty days by key, the dearest first.
#[utoipa::path(get, path = "/global/spend/keys", operation_id = "global_spend_keys", tag = "spend",
    params(RecentQuery), responses((status = 200, body = Vec<KeySpend>)))]
pub async fn by_key(
    State(domain): State<Domain>,
    _: Anyone,
    Query(query): Query<RecentQuery>,
) -> Result<Json<Vec<KeySpend>>> {
    let cells = spend::all_cells(&domain, recent(&domain).into()).await?;
    let names = spend::names(&domain, &cells).await?;
    let hash = |cell: &Cell| cell.key_hash.clone().unwrap_or_default();
    let keys = ranked(&cells, hash).into_iter().take(query.limit());
    let key = |(api_key, total_spend, _): (String, Money, i64)| {
        let id = cells.iter().find(|cell| hash(cell) == api_key);
        let id = id.and_then(|cell| cell.key_id.as_ref());
        let name = id.and_then(|id| names.keys.get(id));
        KeySpend {
            key_alias: name.and_then(|name| name.alias.clone()),
            key_name: name.map(|name| name.name.clone()),
            api_key,
            total_spend,
        }
    };
    Ok(Json(keys.map(key).collect()))
}

/// What a model has spent.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelSpend {
    model: String,
    /// Dollars.
    #[schema(value_type = f64)]
    total_spend: Money,
}

/// Sums the last thirty days by model, the dearest first.
#[utoipa::path(get, path = "/global/spend/models", operation_id = "global_spend_models",
    tag = "spend", params(RecentQuery), responses((status = 200, body = Vec<ModelSpend>)))]
pub async fn by_model(
    State(domain): State<Domain>,
    _: Anyone,
    Query(query): Query<RecentQuery>,
) -> Result<Json<Vec<ModelSpend>>> {
    let cells = spend::all_cells(&domain, recent(&domain).into()).await?;
    let models = ranked(&cells, model_of).into_iter().take(query.limit());
    let model = |(model, total_spend, _): (String, Money, i64)| ModelSpend { model, total_spend };
    Ok(Json(models.map(model).collect()))
}

/// What teams have spent.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamsSpend {
    /// A date, and the dollars of each team under its name.
    #[schema(value_type = Vec<Object>)]
    daily_spend: Vec<Object>,
    teams: Vec<String>,
    total_spend_per_team: Vec<TeamSpend>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TeamSpend {
    team_id: String,
    /// Dollars.
    #[schema(value_type = f64)]
    total_spend: Money,
}

/// Sums the last thirty days by team.
#[utoipa::path(get, path = "/global/spend/teams", operation_id = "global_spend_teams",
    tag = "spend", responses((status = 200, body = TeamsSpend)))]
pub async fn by_team(State(domain): State<Domain>, _: Anyone) -> Result<Json<TeamsSpend>> {
    let cells = spend::all_cells(&domain, recent(&domain).into()).await?;
    let names = spend::names(&domain, &cells).await?;
    let name = |cell: &Cell| match &cell.team_id {
        None => "Unassigned".to_owned(),
        Some(id) => names.teams.get(id).unwrap_or(id).clone(),
    };
    let teams = ranked(&cells, name);
    let day = |day: i64| {
        let mut sums: BTreeMap<String, Money> = BTreeMap::new();
        for cell in of_day(&cells, day) {
            *sums.entry(name(cell)).or_default() += cell.spend;
        }
        let mut object: Object = sums
            .into_iter()
            .map(|(team, spend)| (team, json!(spend)))
            .collect();
        object.insert("date".to_owned(), Value::String(date(day)));
        object
    };
    Ok(Json(TeamsSpend {
        daily_spend: days(&cells).into_iter().map(day).collect(),
        teams: teams.iter().map(|(team, _, _)| team.clone()).collect(),
        total_spend_per_team: teams
            .into_iter()
            .map(|(team_id, total_spend, _)| TeamSpend {
                team_id,
                total_spend,
            })
            .collect(),
    }))
}

/// Which calls of end users.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct EndUsersBody {
    /// A key, in plain text or as its hash.
    #[schema(value_type = Option<String>)]
    api_key: Sent<String>,
    /// A day or a moment, in UTC.
    #[serde(rename = "startTime")]
    #[schema(value_type = Option<String>)]
    start_time: Sent<String>,
    /// Included.
    #[serde(rename = "endTime")]
    #[schema(value_type = Option<String>)]
    end_time: Sent<String>,
}

/// What an end user has spent.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndUserSpend {
    /// Empty: calls that named none.
    end_user: String,
    total_count: i64,
    /// Dollars.
    #[schema(value_type = f64)]
    total_spend: Money,
}

/// Sums calls by end user, the dearest first.
#[utoipa::path(post, path = "/global/spend/end_users", operation_id = "global_spend_end_users",
    tag = "spend", request_body = EndUsersBody, responses((status = 200, body = Vec<EndUserSpend>)))]
pub async fn by_end_user(
    State(domain): State<Domain>,
    _: Anyone,
    OptionalJson(body): OptionalJson<EndUsersBody>,
) -> Result<Json<Vec<EndUserSpend>>> {
    let from = text(&body.start_time).map(|time| spend::range_start("startTime", &time));
    let until = text(&body.end_time).map(|time| spend::range_end("endTime", &time));
    let wanted = Wanted {
        filter: Filter {
            from: from.transpose()?,
            until: until.transpose()?,
            ..Filter::default()
        },
        api_key: text(&body.api_key),
    };
    let cells = spend::all_cells(&domain, wanted).await?;
    let users = ranked(&cells, |cell| cell.end_user.clone().unwrap_or_default());
    let user = |(end_user, total_spend, total_count): (String, Money, i64)| EndUserSpend {
        end_user,
        total_count,
        total_spend,
    };
    Ok(Json(users.into_iter().map(user).collect()))
}

/// What a provider has been paid.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderSpend {
    provider: String,
    /// Dollars.
    #[schema(value_type = f64)]
    spend: Money,
}

/// Sums calls by provider, the dearest first.
#[utoipa::path(get, path = "/global/spend/provider", operation_id = "global_spend_provider",
    tag = "spend", params(RangeQuery), responses((status = 200, body = Vec<ProviderSpend>)))]
pub async fn by_provider(
    State(domain): State<Domain>,
    _: Anyone,
    Query(query): Query<RangeQuery>,
) -> Result<Json<Vec<ProviderSpend>>> {
    let mut cells = spend::all_cells(&domain, query.filter()?.into()).await?;
    cells.retain(|cell| cell.provider.is_some());
    let providers = ranked(&cells, |cell| cell.provider.clone().unwrap_or_default());
    let provider = |(provider, spend, _): (String, Money, i64)| ProviderSpend { provider, spend };
    Ok(Json(providers.into_iter().map(provider).collect()))
}

/// Sums by tag.
#[derive(Debug, Serialize, ToSchema)]
pub struct TagsSpend {
    spend_per_tag: Vec<NamedTag>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct NamedTag {
    name: String,
    /// Dollars.
    #[schema(value_type = f64)]
    spend: Money,
    log_count: i64,
}

/// Sums calls by tag, the dearest first.
#[utoipa::path(get, path = "/global/spend/tags", operation_id = "global_spend_tags",
    tag = "spend", params(RangeQuery), responses((status = 200, body = TagsSpend)))]
pub async fn by_tag(
    State(domain): State<Domain>,
    _: Anyone,
    Query(query): Query<RangeQuery>,
) -> Result<Json<TagsSpend>> {
    let sums = spend::all_tags(&domain, &query.filter()?).await?;
    let tag = |sum: store::spend::TagSum| NamedTag {
        name: sum.tag,
        spend: sum.spend,
        log_count: sum.calls,
    };
    Ok(Json(TagsSpend {
        spend_per_tag: sums.into_iter().map(tag).collect(),
    }))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TagNames {
    tag_names: Vec<String>,
}

/// Lists every tag that a call has carried.
#[utoipa::path(get, path = "/global/spend/all_tag_names",
    operation_id = "global_spend_all_tag_names",
    tag = "spend", responses((status = 200, body = TagNames)))]
pub async fn tag_names(State(domain): State<Domain>, _: Anyone) -> Result<Json<TagNames>> {
    let sums = spend::all_tags(&domain, &Filter::default()).await?;
    Ok(Json(TagNames {
        tag_names: sums.into_iter().map(|sum| sum.tag).collect(),
    }))
}

/// How much was called, day by day.
#[derive(Debug, Serialize, ToSchema)]
pub struct Calls {
    daily_data: Vec<DayCalls>,
    sum_api_requests: i64,
    sum_total_tokens: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DayCalls {
    /// The public model, in reports by model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_group: Option<String>,
    /// `Nov 21`
    date: String,
    api_requests: i64,
    total_tokens: i64,
}

/// Counts the calls that the caller may see, day by day.
#[utoipa::path(get, path = "/global/activity", operation_id = "global_activity", tag = "spend",
    params(RangeQuery), responses((status = 200, body = Calls)))]
pub async fn activity(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<RangeQuery>,
) -> Result<Json<Calls>> {
    let cells = spend::cells(&domain, &actor, query.filter()?.into()).await?;
    Ok(Json(calls(&cells, None)))
}

/// How much a model was called, day by day.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelCalls {
    model: String,
    #[serde(flatten)]
    calls: Calls,
}

/// Counts the calls that the caller may see, by public model and day by day.
#[utoipa::path(get, path = "/global/activity/model", operation_id = "global_activity_model",
    tag = "spend", params(RangeQuery), responses((status = 200, body = Vec<ModelCalls>)))]
pub async fn activity_by_model(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<RangeQuery>,
) -> Result<Json<Vec<ModelCalls>>> {
    let cells = spend::cells(&domain, &actor, query.filter()?.into()).await?;
    let mut models: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    for cell in cells {
        let model = cell.model_group.as_ref().unwrap_or(&cell.requested_model);
        models.entry(model.clone()).or_default().push(cell);
    }
    let model = |(model, cells): (String, Vec<Cell>)| ModelCalls {
        calls: calls(&cells, Some(&model)),
        model,
    };
    Ok(Json(models.into_iter().map(model).collect()))
}

fn calls(cells: &[Cell], model: Option<&str>) -> Calls {
    let day = |day: i64| {
        let (mut api_requests, mut total_tokens) = (0, 0);
        for cell in of_day(cells, day) {
            api_requests += cell.completed + cell.failed;
            total_tokens += cell.prompt_tokens + cell.completion_tokens;
        }
        DayCalls {
            model_group: model.map(str::to_owned),
            date: short_date(day),
            api_requests,
            total_tokens,
        }
    };
    let daily_data: Vec<DayCalls> = days(cells).into_iter().map(day).collect();
    Calls {
        sum_api_requests: daily_data.iter().map(|day| day.api_requests).sum(),
        sum_total_tokens: daily_data.iter().map(|day| day.total_tokens).sum(),
        daily_data,
    }
}

/// A day since 1970 as `Nov 21`.
fn short_date(day: i64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let long = date(day);
    let mut parts = long.rsplit('-');
    let (number, month) = (parts.next(), parts.next());
    let month = month.and_then(|month| month.parse::<usize>().ok());
    let name = month.and_then(|month| MONTHS.get(month.checked_sub(1)?));
    format!("{} {}", name.unwrap_or(&""), number.unwrap_or_default())
}
