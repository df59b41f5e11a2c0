//! Who and what has spent the most (contract §18).

use std::collections::HashMap;

use axum::extract::State;
use base::Money;
use domain::keys::{self, Listing};
use domain::spend::{self, Filter, Wanted};
use domain::{Domain, storage, users};
use serde::{Deserialize, Serialize};
use store::keys::{KeyOrder, Slice};
use utoipa::{IntoParams, ToSchema};

use super::text;
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::fields::Sent;
use crate::keys::KeyObject;
use crate::users::UserObject;

/// How many rows a ranking has at the most.
const MOST_ROWS: i64 = 1_000;

/// Lists keys, those that have spent the most first: all for administrators, their own for others.
#[utoipa::path(get, path = "/spend/keys", operation_id = "spend_keys", tag = "spend",
    responses((status = 200, body = Vec<KeyObject>)))]
pub async fn of_keys(State(domain): State<Domain>, actor: Anyone) -> Result<Json<Vec<KeyObject>>> {
    let listing = Listing {
        order: KeyOrder::Spend,
        ..Listing::default()
    };
    let slice = Slice {
        offset: 0,
        limit: MOST_ROWS,
        descending: true,
    };
    let (rows, _) = keys::list(&domain, &actor, listing, slice).await?;
    let views = keys::views(&domain, rows).await?;
    Ok(Json(views.into_iter().map(KeyObject::new).collect()))
}

/// A user with the aliases of their keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserSpend {
    #[serde(flatten)]
    user: UserObject,
    key_aliases: Vec<Option<String>>,
}

/// Lists users, those who have spent the most first: all for administrators, themselves for others.
#[utoipa::path(get, path = "/spend/users", operation_id = "spend_users", tag = "spend",
    responses((status = 200, body = Vec<UserSpend>)))]
pub async fn of_users(State(domain): State<Domain>, actor: Anyone) -> Result<Json<Vec<UserSpend>>> {
    let users = match actor.sees_all() {
        true => {
            let order = (store::users::Sort::Spend, true);
            let filter = store::users::Filter::default();
            let listed = users::list(&domain, &actor, filter, order, (MOST_ROWS, 0)).await?;
            listed.users
        }
        false => vec![users::seen(&domain, &actor, None).await?],
    };
    let ids: Vec<String> = users.iter().map(|user| user.row.id.clone()).collect();
    let keys = store::keys::live_of_users(&domain.db, &ids)
        .await
        .map_err(storage)?;
    let mut aliases: HashMap<String, Vec<Option<String>>> = HashMap::new();
    for key in keys {
        if let Some(user_id) = key.user_id {
            aliases.entry(user_id).or_default().push(key.alias);
        }
    }
    let ranked = users.iter().map(|user| UserSpend {
        key_aliases: aliases.remove(&user.row.id).unwrap_or_default(),
        user: UserObject::from(user),
    });
    Ok(Json(ranked.collect()))
}

/// From which day to which.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct RangeQuery {
    /// `YYYY-MM-DD`, a UTC day.
    #[param(value_type = Option<String>)]
    pub start_date: Sent<String>,
    /// `YYYY-MM-DD`, a UTC day; included.
    #[param(value_type = Option<String>)]
    pub end_date: Sent<String>,
}

impl RangeQuery {
    pub fn filter(&self) -> base::Result<Filter> {
        Ok(Filter {
            from: text(&self.start_date)
                .map(|date| spend::range_start("start_date", &date))
                .transpose()?,
            until: text(&self.end_date)
                .map(|date| spend::range_end("end_date", &date))
                .transpose()?,
            ..Filter::default()
        })
    }
}

/// The calls that carry a tag.
#[derive(Debug, Serialize, ToSchema)]
pub struct TagSpend {
    individual_request_tag: String,
    log_count: i64,
    /// Dollars.
    #[schema(value_type = f64)]
    total_spend: Money,
}

/// Sums calls by tag, the dearest first.
#[utoipa::path(get, path = "/spend/tags", operation_id = "spend_tags", tag = "spend",
    params(RangeQuery), responses((status = 200, body = Vec<TagSpend>)))]
pub async fn of_tags(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<RangeQuery>,
) -> Result<Json<Vec<TagSpend>>> {
    let wanted = Wanted {
        filter: query.filter()?,
        api_key: None,
    };
    let sums = spend::by_tag(&domain, &actor, wanted).await?;
    let shown = sums.into_iter().map(|sum| TagSpend {
        individual_request_tag: sum.tag,
        log_count: sum.calls,
        total_spend: sum.spend,
    });
    Ok(Json(shown.collect()))
}
