//! What was done and spent day by day, and by which keys, models and providers (contract §9.6).

use std::collections::BTreeMap;

use axum::extract::State;
use base::{Code, Error, Money};
use domain::Domain;
use domain::spend::{self, Filter, Names, Wanted};
use serde::{Deserialize, Serialize};
use store::spend::Cell;
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::{Object, Sent};
use crate::page::{Page, Sizes};
use crate::spend::{date, model_of, text};

/// Which days, and whose.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ActivityQuery {
    /// `YYYY-MM-DD`, a UTC day.
    #[param(value_type = String)]
    start_date: Sent<String>,
    /// `YYYY-MM-DD`, a UTC day; included.
    #[param(value_type = String)]
    end_date: Sent<String>,
    #[param(value_type = Option<String>)]
    model: Sent<String>,
    /// A key, in plain text or as its hash.
    #[param(value_type = Option<String>)]
    api_key: Sent<String>,
    /// Others than administrators see their own calls alone.
    #[param(value_type = Option<String>)]
    user_id: Sent<String>,
    /// Teams, with commas between them (`/team/daily/activity`).
    #[param(value_type = Option<String>)]
    team_ids: Sent<String>,
    /// Organizations, with commas between them (`/organization/daily/activity`).
    #[param(value_type = Option<String>)]
    organization_ids: Sent<String>,
    /// Which page of days.
    #[param(value_type = Option<i64>)]
    page: Sent<i64>,
    /// How many days a page has.
    #[param(value_type = Option<i64>)]
    page_size: Sent<i64>,
}

/// Days, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activity {
    results: Vec<ActivityDay>,
    metadata: Totals,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivityDay {
    date: String,
    metrics: Metrics,
    breakdown: Breakdown,
}

/// A day's calls, taken apart in several ways.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Breakdown {
    mcp_servers: Object,
    models: BTreeMap<String, Part>,
    model_groups: BTreeMap<String, Part>,
    providers: BTreeMap<String, Part>,
    endpoints: BTreeMap<String, Part>,
    api_keys: BTreeMap<String, KeyPart>,
    /// Teams, where teams were asked for.
    entities: BTreeMap<String, Part>,
}

/// A part of a day's calls, and which keys made them.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Part {
    metrics: Metrics,
    metadata: Object,
    api_key_breakdown: BTreeMap<String, KeyPart>,
}

/// The calls of one key.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct KeyPart {
    metrics: Metrics,
    metadata: KeyFacts,
}

/// What a key is called today.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct KeyFacts {
    key_alias: Option<String>,
    team_id: Option<String>,
    user_id: Option<String>,
    user_email: Option<String>,
    key_exists: bool,
}

/// Sums of calls.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Metrics {
    /// Dollars.
    #[schema(value_type = f64)]
    spend: Money,
    #[schema(value_type = f64)]
    flat_cost: Money,
    prompt_tokens: i64,
    completion_tokens: i64,
    cache_read_input_tokens: i64,
    cache_creation_input_tokens: i64,
    compression_saved_tokens: i64,
    #[schema(value_type = f64)]
    compression_savings_spend: Money,
    #[schema(value_type = f64)]
    prompt_caching_savings_spend: Money,
    #[schema(value_type = f64)]
    gateway_injected_caching_savings_spend: Money,
    #[schema(value_type = f64)]
    autorouter_savings_spend: Money,
    total_tokens: i64,
    successful_requests: i64,
    failed_requests: i64,
    api_requests: i64,
    total_response_time_ms: i64,
    timed_requests: i64,
}

/// The sums of all days on the page, and where the page stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Totals {
    #[schema(value_type = f64)]
    total_spend: Money,
    #[schema(value_type = f64)]
    total_flat_cost: Money,
    total_prompt_tokens: i64,
    total_completion_tokens: i64,
    total_tokens: i64,
    total_api_requests: i64,
    total_successful_requests: i64,
    total_failed_requests: i64,
    total_cache_read_input_tokens: i64,
    total_cache_creation_input_tokens: i64,
    total_compression_saved_tokens: i64,
    #[schema(value_type = f64)]
    total_compression_savings_spend: Money,
    #[schema(value_type = f64)]
    total_prompt_caching_savings_spend: Money,
    #[schema(value_type = f64)]
    total_gateway_injected_caching_savings_spend: Money,
    #[schema(value_type = f64)]
    total_autorouter_savings_spend: Money,
    total_response_time_ms: i64,
    total_timed_requests: i64,
    page: i64,
    total_pages: i64,
    has_more: bool,
    api_key_limit: Option<i64>,
    total_api_keys: Option<i64>,
    entity_total_api_keys: Option<i64>,
}

/// Reports what one user, or everybody, has done day by day.
#[utoipa::path(get, path = "/user/daily/activity", operation_id = "user_daily_activity",
    tag = "spend", params(ActivityQuery), responses((status = 200, body = Activity)))]
pub async fn of_users(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ActivityQuery>,
) -> Result<Json<Activity>> {
    let page = query.paged()?;
    let cells = spend::cells(&domain, &actor, query.wanted()?).await?;
    report(&domain, &cells, Some(page), false).await
}

/// Reports what one user, or everybody, has done day by day, all days at once.
#[utoipa::path(get, path = "/user/daily/activity/aggregated",
    operation_id = "user_daily_activity_aggregated",
    tag = "spend", params(ActivityQuery), responses((status = 200, body = Activity)))]
pub async fn of_users_at_once(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ActivityQuery>,
) -> Result<Json<Activity>> {
    let cells = spend::cells(&domain, &actor, query.wanted()?).await?;
    report(&domain, &cells, None, false).await
}

/// Reports what teams have done day by day.
#[utoipa::path(get, path = "/team/daily/activity", operation_id = "team_daily_activity",
    tag = "spend", params(ActivityQuery), responses((status = 200, body = Activity)))]
pub async fn of_teams(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ActivityQuery>,
) -> Result<Json<Activity>> {
    let page = query.paged()?;
    let cells = query.of_teams(&domain, &actor).await?;
    report(&domain, &cells, Some(page), true).await
}

/// Reports what teams have done day by day, all days at once.
#[utoipa::path(get, path = "/team/daily/activity/aggregated",
    operation_id = "team_daily_activity_aggregated",
    tag = "spend", params(ActivityQuery), responses((status = 200, body = Activity)))]
pub async fn of_teams_at_once(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ActivityQuery>,
) -> Result<Json<Activity>> {
    let cells = query.of_teams(&domain, &actor).await?;
    report(&domain, &cells, None, true).await
}

/// Reports what organizations have done day by day.
#[utoipa::path(get, path = "/organization/daily/activity", operation_id = "organization_daily_activity",
    tag = "spend", params(ActivityQuery), responses((status = 200, body = Activity)))]
pub async fn of_organizations(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ActivityQuery>,
) -> Result<Json<Activity>> {
    let page = query.paged()?;
    let cells = query.of_organizations(&domain, &actor).await?;
    report(&domain, &cells, Some(page), true).await
}

/// Reports what organizations have done day by day, all days at once.
#[utoipa::path(get, path = "/organization/daily/activity/aggregated",
    operation_id = "organization_daily_activity_aggregated",
    tag = "spend", params(ActivityQuery), responses((status = 200, body = Activity)))]
pub async fn of_organizations_at_once(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ActivityQuery>,
) -> Result<Json<Activity>> {
    let cells = query.of_organizations(&domain, &actor).await?;
    report(&domain, &cells, None, true).await
}

impl ActivityQuery {
    fn paged(&self) -> Result<Page> {
        let sizes = Sizes {
            name: "page_size",
            usual: 50,
            most: 1_000,
        };
        Ok(Page::read(&self.page, &self.page_size, sizes)?)
    }

    fn wanted(&self) -> Result<Wanted> {
        let (Some(start), Some(end)) = (text(&self.start_date), text(&self.end_date)) else {
            let message = "Please provide start_date and end_date";
            return Err(Refused::detail(Error::new(Code::BadRequest, message)));
        };
        Ok(Wanted {
            filter: Filter {
                from: Some(spend::range_start("start_date", &start)?),
                until: Some(spend::range_end("end_date", &end)?),
                model: text(&self.model),
                user_id: text(&self.user_id),
                ..Filter::default()
            },
            api_key: text(&self.api_key),
        })
    }

    /// The sums of the organizations that were asked for; without any, of all that the actor
    /// administers.
    async fn of_organizations(&self, domain: &Domain, actor: &Anyone) -> Result<Vec<Cell>> {
        let wanted = self.wanted()?;
        let asked = text(&self.organization_ids);
        let mut ids: Vec<String> = match &asked {
            Some(ids) => ids.split(',').map(|id| id.trim().to_owned()).collect(),
            None if actor.sees_all() => domain::organizations::ids(domain).await?,
            None => actor.administers.clone(),
        };
        ids.sort_unstable();
        ids.dedup();
        let mut cells = Vec::new();
        for id in ids {
            let mut of_one = wanted.clone();
            of_one.filter.organization_id = Some(id);
            cells.extend(spend::cells(domain, actor, of_one).await?);
        }
        Ok(cells)
    }

    /// The sums of the teams that were asked for; without any, of all calls that the actor may see.
    async fn of_teams(&self, domain: &Domain, actor: &Anyone) -> Result<Vec<Cell>> {
        let wanted = self.wanted()?;
        let Some(ids) = text(&self.team_ids) else {
            let mut cells = spend::cells(domain, actor, wanted).await?;
            cells.retain(|cell| cell.team_id.is_some());
            return Ok(cells);
        };
        let mut cells = Vec::new();
        let mut ids: Vec<&str> = ids.split(',').map(str::trim).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let mut of_team = wanted.clone();
            of_team.filter.team_id = Some(id.to_owned());
            cells.extend(spend::cells(domain, actor, of_team).await?);
        }
        Ok(cells)
    }
}

/// Sums cells into days; `page` is a page of days, the latest first.
async fn report(
    domain: &Domain,
    cells: &[Cell],
    page: Option<Page>,
    by_team: bool,
) -> Result<Json<Activity>> {
    let names = spend::names(domain, cells).await?;
    let mut days: Vec<i64> = cells.iter().map(|cell| cell.day).collect();
    days.sort_unstable_by(|one, other| other.cmp(one));
    days.dedup();
    let count = i64::try_from(days.len()).unwrap_or(i64::MAX);
    let (number, pages) = match page {
        Some(page) => {
            let skip = usize::try_from(page.offset()).unwrap_or(usize::MAX);
            let take = usize::try_from(page.size).unwrap_or(usize::MAX);
            days = days.into_iter().skip(skip).take(take).collect();
            (page.number, page.count(count))
        }
        None => (1, i64::from(count > 0)),
    };
    let mut total = Metrics::default();
    let mut results = Vec::with_capacity(days.len());
    for day in days {
        let mut of_day = ActivityDay {
            date: date(day),
            metrics: Metrics::default(),
            breakdown: Breakdown::default(),
        };
        for cell in cells.iter().filter(|cell| cell.day == day) {
            total.add(cell);
            of_day.metrics.add(cell);
            of_day.breakdown.add(cell, &names, by_team);
        }
        results.push(of_day);
    }
    Ok(Json(Activity {
        results,
        metadata: total.totals(number, pages),
    }))
}

impl Breakdown {
    fn add(&mut self, cell: &Cell, names: &Names, by_team: bool) {
        let hash = cell.key_hash.clone().unwrap_or_default();
        let facts = facts(cell, names);
        let parts = [
            (&mut self.models, Some(model_of(cell))),
            (
                &mut self.model_groups,
                Some(
                    cell.model_group
                        .clone()
                        .unwrap_or_else(|| cell.requested_model.clone()),
                ),
            ),
            (
                &mut self.providers,
                Some(
                    cell.provider
                        .clone()
                        .unwrap_or_else(|| "unknown".to_owned()),
                ),
            ),
            (&mut self.endpoints, Some(cell.endpoint.clone())),
            (&mut self.entities, cell.team_id.clone().filter(|_| by_team)),
        ];
        for (part, name) in parts {
            let Some(name) = name else { continue };
            let part = part.entry(name).or_default();
            part.metrics.add(cell);
            let key = part.api_key_breakdown.entry(hash.clone()).or_default();
            key.metrics.add(cell);
            key.metadata = facts.clone();
        }
        let key = self.api_keys.entry(hash).or_default();
        key.metrics.add(cell);
        key.metadata = facts;
    }
}

fn facts(cell: &Cell, names: &Names) -> KeyFacts {
    let key = cell.key_id.as_ref().and_then(|id| names.keys.get(id));
    let email = cell.user_id.as_ref().and_then(|id| names.emails.get(id));
    KeyFacts {
        key_alias: key.and_then(|key| key.alias.clone()),
        team_id: cell.team_id.clone(),
        user_id: cell.user_id.clone(),
        user_email: email.cloned(),
        key_exists: key.is_some_and(|key| !key.is_deleted),
    }
}

impl Metrics {
    fn add(&mut self, cell: &Cell) {
        self.spend += cell.spend;
        self.prompt_tokens += cell.prompt_tokens;
        self.completion_tokens += cell.completion_tokens;
        self.cache_read_input_tokens += cell.cache_read_tokens;
        self.cache_creation_input_tokens += cell.cache_write_tokens;
        self.total_tokens += cell.prompt_tokens + cell.completion_tokens;
        self.successful_requests += cell.completed;
        self.failed_requests += cell.failed;
        self.api_requests += cell.completed + cell.failed;
        self.total_response_time_ms += cell.duration;
        self.timed_requests += cell.completed;
    }

    fn totals(self, page: i64, pages: i64) -> Totals {
        Totals {
            total_spend: self.spend,
            total_flat_cost: self.flat_cost,
            total_prompt_tokens: self.prompt_tokens,
            total_completion_tokens: self.completion_tokens,
            total_tokens: self.total_tokens,
            total_api_requests: self.api_requests,
            total_successful_requests: self.successful_requests,
            total_failed_requests: self.failed_requests,
            total_cache_read_input_tokens: self.cache_read_input_tokens,
            total_cache_creation_input_tokens: self.cache_creation_input_tokens,
            total_compression_saved_tokens: self.compression_saved_tokens,
            total_compression_savings_spend: self.compression_savings_spend,
            total_prompt_caching_savings_spend: self.prompt_caching_savings_spend,
            total_gateway_injected_caching_savings_spend: self
                .gateway_injected_caching_savings_spend,
            total_autorouter_savings_spend: self.autorouter_savings_spend,
            total_response_time_ms: self.total_response_time_ms,
            total_timed_requests: self.timed_requests,
            page,
            total_pages: pages,
            has_more: page < pages,
            api_key_limit: None,
            total_api_keys: None,
            entity_total_api_keys: None,
        }
    }
}
