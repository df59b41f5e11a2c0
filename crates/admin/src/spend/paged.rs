//! Calls page by page, as the reference's UI asks for them (contract §18).

use axum::extract::{Path, State};
use base::{Code, Error};
use domain::spend::{self, Filter, Order, Part, Sort, Wanted};
use domain::{Domain, storage};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{SpendLog, text};
use crate::budgets;
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::fields::{Amount, Object, Sent};
use crate::page::{Page, Sizes};
use crate::teams::is_descending;

/// How far calls are counted.
const MOST_COUNTED: i64 = 10_000;

/// Which calls, and which page of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `YYYY-MM-DD HH:MM:SS` or `YYYY-MM-DD`, in UTC.
    #[param(value_type = String)]
    start_date: Sent<String>,
    /// Included.
    #[param(value_type = String)]
    end_date: Sent<String>,
    /// A key, in plain text or as its hash.
    #[param(value_type = Option<String>)]
    api_key: Sent<String>,
    #[param(value_type = Option<String>)]
    key_alias: Sent<String>,
    #[param(value_type = Option<String>)]
    user_id: Sent<String>,
    #[param(value_type = Option<String>)]
    team_id: Sent<String>,
    /// The id of the call, or the id in its answer.
    #[param(value_type = Option<String>)]
    request_id: Sent<String>,
    #[param(value_type = Option<String>)]
    session_id: Sent<String>,
    #[param(value_type = Option<String>)]
    end_user: Sent<String>,
    /// The requested, answered or upstream model.
    #[param(value_type = Option<String>)]
    model: Sent<String>,
    /// A deployment.
    #[param(value_type = Option<String>)]
    model_id: Sent<String>,
    #[param(value_type = Option<String>)]
    error_code: Sent<String>,
    /// `success` or `failure`.
    #[param(value_type = Option<String>)]
    status_filter: Sent<String>,
    /// Dollars.
    #[param(value_type = Option<f64>)]
    min_spend: Sent<Amount>,
    /// Dollars.
    #[param(value_type = Option<f64>)]
    max_spend: Sent<Amount>,
    /// `startTime`, `endTime`, `spend`, `total_tokens`, `request_duration_ms`, `ttft_ms` or `model`.
    #[param(value_type = Option<String>)]
    sort_by: Sent<String>,
    /// `asc` or `desc`.
    #[param(value_type = Option<String>)]
    sort_order: Sent<String>,
    #[param(value_type = Option<i64>)]
    page: Sent<i64>,
    #[param(value_type = Option<i64>)]
    page_size: Sent<i64>,
}

/// A page of calls.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogsPage {
    data: Vec<SpendLog>,
    total: i64,
    page: i64,
    page_size: i64,
    total_pages: i64,
    /// There are more calls than were counted.
    total_is_capped: bool,
}

/// Lists calls page by page.
#[utoipa::path(get, path = "/spend/logs/v2", operation_id = "spend_logs_v2", tag = "spend",
    params(PageQuery), responses((status = 200, body = LogsPage)))]
pub async fn logs_v2(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<PageQuery>,
) -> Result<Json<LogsPage>> {
    let sizes = Sizes {
        name: "page_size",
        usual: 50,
        most: 1_000,
    };
    let page = Page::read(&query.page, &query.page_size, sizes)?;
    let wanted = query.wanted(&domain).await?;
    let part = Part {
        order: query.order()?,
        limit: page.size,
        offset: page.offset(),
    };
    let total = spend::count(&domain, &actor, wanted.clone(), MOST_COUNTED).await?;
    let calls = spend::calls(&domain, &actor, wanted, part).await?;
    Ok(Json(LogsPage {
        data: calls.into_iter().map(SpendLog::from).collect(),
        total,
        page: page.number,
        page_size: page.size,
        total_pages: page.count(total),
        total_is_capped: total == MOST_COUNTED,
    }))
}

/// Lists calls page by page, for UIs.
#[utoipa::path(get, path = "/spend/logs/ui", operation_id = "spend_logs_ui", tag = "spend",
    params(PageQuery), responses((status = 200, body = LogsPage)))]
pub async fn logs_ui(
    domain: State<Domain>,
    actor: Anyone,
    query: Query<PageQuery>,
) -> Result<Json<LogsPage>> {
    logs_v2(domain, actor, query).await
}

/// What a call sent and got.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogDetail {
    /// Prompts are not kept: always empty.
    messages: Object,
    /// Answers are not kept: always empty.
    response: Object,
    proxy_server_request: Object,
}

/// Shows what a call sent and got, of which nothing is kept.
#[utoipa::path(get, path = "/spend/logs/ui/{request_id}", operation_id = "spend_logs_ui_detail",
    tag = "spend", params(("request_id" = String, Path)),
    responses((status = 200, body = LogDetail)))]
pub async fn detail(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(request_id): Path<String>,
) -> Result<Json<LogDetail>> {
    spend::call(&domain, &actor, &request_id).await?;
    Ok(Json(LogDetail {
        messages: Object::new(),
        response: Object::new(),
        proxy_server_request: Object::new(),
    }))
}

impl PageQuery {
    async fn wanted(&self, domain: &Domain) -> Result<Wanted> {
        let (Some(start), Some(end)) = (text(&self.start_date), text(&self.end_date)) else {
            let message = "Start date and end date are required";
            return Err(Error::new(Code::BadRequest, message)
                .with_kind("bad_request")
                .into());
        };
        let completed = match text(&self.status_filter).as_deref() {
            None => None,
            Some("success") => Some(true),
            Some("failure") => Some(false),
            Some(other) => {
                let message = format!("status_filter is '{other}'; it is success or failure");
                return Err(Error::new(Code::BadRequest, message)
                    .param("status_filter")
                    .into());
            }
        };
        let key_id = match text(&self.key_alias) {
            None => None,
            Some(alias) => {
                let found = store::keys::find_by_alias(&domain.db, &alias).await;
                // an alias that nobody has matches no call
                let id = found.map_err(storage)?.map(|key| key.id);
                Some(id.unwrap_or_default())
            }
        };
        Ok(Wanted {
            filter: Filter {
                from: Some(spend::range_start("start_date", &start)?),
                until: Some(spend::range_end("end_date", &end)?),
                request_id: text(&self.request_id),
                key_id,
                key_hash: None,
                user_id: text(&self.user_id),
                team_id: text(&self.team_id),
                organization_id: None,
                model: text(&self.model),
                deployment_id: text(&self.model_id),
                end_user: text(&self.end_user),
                session_id: text(&self.session_id),
                completed,
                error_code: text(&self.error_code),
                least_cost: budgets::amount("min_spend", &self.min_spend)?.value(),
                most_cost: budgets::amount("max_spend", &self.max_spend)?.value(),
            },
            api_key: text(&self.api_key),
        })
    }

    fn order(&self) -> Result<Order> {
        let sort = match text(&self.sort_by).as_deref() {
            None | Some("startTime") => Sort::StartedAt,
            Some("endTime") => Sort::EndedAt,
            Some("spend") => Sort::Cost,
            Some("total_tokens") => Sort::Tokens,
            Some("request_duration_ms") => Sort::Duration,
            Some("ttft_ms") => Sort::FirstToken,
            Some("model") => Sort::Model,
            Some(other) => {
                let message = format!(
                    "sort_by is '{other}'; calls are sorted by startTime, endTime, spend, \
                     total_tokens, request_duration_ms, ttft_ms or model"
                );
                return Err(Error::new(Code::BadRequest, message)
                    .param("sort_by")
                    .into());
            }
        };
        Ok(Order {
            sort,
            ascending: !is_descending(&self.sort_order, true)?,
        })
    }
}
