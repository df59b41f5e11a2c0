//! The audit log: reading and exporting it. The shapes of `/audit` and `/audit/{id}` are the
//! reference's, with what this log knows besides.

mod export;

use axum::extract::State;
use base::{Code, Error, Millis};
use domain::Domain;
use domain::audit::{self, Question};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::audit::{AuditRow, Filter};
use utoipa::{IntoParams, ToSchema};

pub use export::{__path_export, export};

use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Path, Query};
use crate::fields::Sent;
use crate::page::{Page, Sizes};
use crate::spend::text;
use crate::teams::is_descending;

/// What the reference calls the tables of our objects.
const TABLES: &[(&str, &str)] = &[
    ("key", "LiteLLM_VerificationToken"),
    ("user", "LiteLLM_UserTable"),
    ("team", "LiteLLM_TeamTable"),
    ("team_member", "LiteLLM_TeamMembership"),
    ("organization", "LiteLLM_OrganizationTable"),
    ("model", "LiteLLM_ProxyModelTable"),
    ("budget", "LiteLLM_BudgetTable"),
    ("credential", "LiteLLM_CredentialsTable"),
    ("invitation", "LiteLLM_InvitationLink"),
];

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    id: String,
    updated_at: String,
    /// Who the caller said is behind it, else the user who did it; empty where it was nobody.
    changed_by: String,
    /// The id of the key it was done with; empty where it was none.
    changed_by_api_key: String,
    /// `created`, `updated`, `deleted`, `blocked`, `unblocked`, `rotated` …
    action: String,
    table_name: String,
    object_id: String,
    /// The object before, without secrets.
    #[schema(value_type = Option<Object>)]
    before_value: Option<Value>,
    /// The object afterwards, without secrets.
    #[schema(value_type = Option<Object>)]
    updated_values: Option<Value>,
    /// Its number in the chain; 0 and less: older than the chain.
    sequence: i64,
    object_kind: String,
    user_id: Option<String>,
    /// `master_key`, `key`, `session`, `sso`, `scim`, `link` or `system`.
    how: String,
    session_id: Option<String>,
    client_address: Option<String>,
    user_agent: Option<String>,
    /// `done` or `refused`.
    outcome: String,
    /// Why it was refused.
    reason: Option<String>,
    /// SHA-256 over the hash before it and the entry.
    hash: String,
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> AuditEntry {
        let known = TABLES.iter().find(|(kind, _)| *kind == row.object_kind);
        let value = |text: Option<String>| {
            let text = text?;
            Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
        };
        let changed_by = row.changed_by.or_else(|| row.actor_user_id.clone());
        AuditEntry {
            id: row.id,
            updated_at: row.at.to_rfc3339(),
            changed_by: changed_by.unwrap_or_default(),
            changed_by_api_key: row.actor_key_id.unwrap_or_default(),
            action: row.action,
            table_name: known
                .map_or(row.object_kind.as_str(), |(_, table)| table)
                .to_owned(),
            object_id: row.object_id,
            before_value: value(row.before),
            updated_values: value(row.after),
            sequence: row.sequence,
            object_kind: row.object_kind,
            user_id: row.actor_user_id,
            how: row.how,
            session_id: row.session_id,
            client_address: row.client_address,
            user_agent: row.user_agent,
            outcome: row.outcome,
            reason: row.reason,
            hash: row.hash,
        }
    }
}

/// Which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// The first moment: a date, or a date and time.
    #[param(value_type = Option<String>)]
    start_date: Sent<String>,
    /// The last moment; of a date, the whole day.
    #[param(value_type = Option<String>)]
    end_date: Sent<String>,
    /// Who is said to be behind it, or did it.
    #[param(value_type = Option<String>)]
    changed_by: Sent<String>,
    /// The id of a key.
    #[param(value_type = Option<String>)]
    changed_by_api_key: Sent<String>,
    /// The user who did it.
    #[param(value_type = Option<String>)]
    user_id: Sent<String>,
    #[param(value_type = Option<String>)]
    how: Sent<String>,
    #[param(value_type = Option<String>)]
    action: Sent<String>,
    /// `key`, `user`, `team`, `model` …, or the reference's name of the table.
    #[param(value_type = Option<String>)]
    table_name: Sent<String>,
    /// The same as `table_name`.
    #[param(value_type = Option<String>)]
    object_kind: Sent<String>,
    #[param(value_type = Option<String>)]
    object_id: Sent<String>,
    /// `done` or `refused`.
    #[param(value_type = Option<String>)]
    outcome: Sent<String>,
    /// Text that stands somewhere in the entry.
    #[param(value_type = Option<String>)]
    q: Sent<String>,
}

impl AuditFilter {
    fn read(&self) -> base::Result<Filter> {
        let kind = text(&self.object_kind).or_else(|| text(&self.table_name));
        let kind = kind.map(|name| {
            let table = TABLES.iter().find(|(_, table)| *table == name);
            table.map_or(name, |(kind, _)| (*kind).to_owned())
        });
        Ok(Filter {
            from: moment("start_date", &self.start_date)?.map(|(moment, _)| moment),
            until: moment("end_date", &self.end_date)?.map(|(_, after)| after),
            actor_user_id: text(&self.user_id),
            actor_key_id: text(&self.changed_by_api_key),
            changed_by: text(&self.changed_by),
            how: text(&self.how),
            action: text(&self.action),
            object_kind: kind,
            object_id: text(&self.object_id),
            outcome: text(&self.outcome),
            text: text(&self.q),
            ..Filter::default()
        })
    }
}

/// A moment, and the first one that it does not take in any more.
fn moment(name: &'static str, sent: &Sent<String>) -> base::Result<Option<(Millis, Millis)>> {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let Some(text) = text(sent) else {
        return Ok(None);
    };
    let is_date = text.trim().len() == "2026-11-21".len();
    let moment = Millis::parse(&text).ok_or_else(|| {
        let message = format!("{name} '{text}' is neither a date nor a date and time");
        Error::new(Code::BadRequest, message).param(name)
    })?;
    let length = if is_date { DAY } else { 1 };
    Ok(Some((moment, Millis(moment.0.saturating_add(length)))))
}

/// Which page of which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct AuditPaging {
    #[param(value_type = Option<i64>)]
    page: Sent<i64>,
    #[param(value_type = Option<i64>)]
    page_size: Sent<i64>,
    /// Only by time: whatever it says, entries stand in the order in which they were written.
    #[param(value_type = Option<String>)]
    sort_by: Sent<String>,
    /// `asc` or `desc`
    #[param(value_type = Option<String>)]
    sort_order: Sent<String>,
}

/// A page of entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    audit_logs: Vec<AuditEntry>,
    total: i64,
    page: i64,
    page_size: i64,
    total_pages: i64,
}

/// Lists what was changed, the newest first: everything for those who see everything, what concerns
/// their team or organization for its administrators, for everybody what they did.
#[utoipa::path(get, path = "/audit", operation_id = "audit_list", tag = "audit",
    params(AuditFilter, AuditPaging), responses((status = 200, body = AuditPage)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(filter): Query<AuditFilter>,
    Query(paging): Query<AuditPaging>,
) -> Result<Json<AuditPage>> {
    let sizes = Sizes {
        name: "page_size",
        usual: 10,
        most: 100,
    };
    let page = Page::read(&paging.page, &paging.page_size, sizes)?;
    let question = Question {
        filter: filter.read()?,
        ascending: !is_descending(&paging.sort_order, true)?,
        page: page.number,
        page_size: page.size,
    };
    let found = audit::page(&domain, &actor, question).await?;
    Ok(Json(AuditPage {
        audit_logs: found.entries.into_iter().map(AuditEntry::from).collect(),
        total: found.total,
        page: page.number,
        page_size: page.size,
        total_pages: page.count(found.total),
    }))
}

/// One entry.
#[utoipa::path(get, path = "/audit/{id}", operation_id = "audit_info", tag = "audit",
    params(("id" = String, Path)), responses((status = 200, body = AuditEntry)))]
pub async fn info(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<AuditEntry>> {
    let question = Question {
        filter: Filter {
            id: Some(id.clone()),
            ..Filter::default()
        },
        page: 1,
        page_size: 1,
        ..Question::default()
    };
    let found = audit::page(&domain, &actor, question).await?;
    let entry = found.entries.into_iter().next().ok_or_else(|| {
        let message = format!("Audit log with id={id} not found");
        Refused::detail(Error::new(Code::NotFound, message))
    })?;
    Ok(Json(entry.into()))
}

/// The end of the log: keep it elsewhere, and `tollgate audit verify --head` finds out whether the log
/// was cut off before it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditHead {
    sequence: i64,
    hash: String,
    /// When the oldest entry was written.
    since: Option<String>,
}

/// Says where the log ends.
#[utoipa::path(get, path = "/audit/head", operation_id = "audit_head", tag = "audit",
    responses((status = 200, body = AuditHead)))]
pub async fn head(State(domain): State<Domain>) -> Result<Json<AuditHead>> {
    let (head, since) = audit::end(&domain).await?;
    Ok(Json(AuditHead {
        sequence: head.sequence,
        hash: head.hash,
        since: since.map(Millis::to_rfc3339),
    }))
}
