//! Mail for administrators: whether it works, what is sent, and what became of it (contract §19, §20).

use axum::extract::State;
use base::{Code, Error, Millis};
use domain::mail::{self, Event};
use domain::{Domain, storage};
use serde::{Deserialize, Serialize};
use store::outbox::OutboxRow;
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::{Field, Wrong};
use crate::fields::{Required, nested};

/// Which events are mailed.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventSettings {
    settings: Vec<EventSetting>,
}

/// One event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventSetting {
    event: String,
    enabled: bool,
}

impl Field for EventSetting {
    fn read(value: serde_json::Value) -> std::result::Result<EventSetting, Wrong> {
        nested(value)
    }
}

async fn settings(domain: &Domain) -> Result<Json<EventSettings>> {
    let events = mail::events(domain).await?.into_iter();
    let setting = |(event, enabled): (Event, bool)| EventSetting {
        event: event.name().to_owned(),
        enabled,
    };
    Ok(Json(EventSettings {
        settings: events.map(setting).collect(),
    }))
}

/// Says which events are mailed.
#[utoipa::path(get, path = "/email/event_settings", operation_id = "email_events", tag = "mail",
    responses((status = 200, body = EventSettings)))]
pub async fn events(State(domain): State<Domain>, _: Anyone) -> Result<Json<EventSettings>> {
    settings(&domain).await
}

/// Events to switch on or off.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangedEvents {
    #[schema(value_type = Vec<EventSetting>)]
    settings: Required<Vec<EventSetting>>,
}

/// Switches events on and off; those that are not named stay as they are.
#[utoipa::path(patch, path = "/email/event_settings", operation_id = "email_events_change", tag = "mail",
    request_body = ChangedEvents, responses((status = 200, body = EventSettings), (status = 400)))]
pub async fn change_events(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<ChangedEvents>,
) -> Result<Json<EventSettings>> {
    let mut changed = Vec::new();
    for setting in sent.settings.0 {
        let Some(event) = Event::parse(&setting.event) else {
            let message = format!("there is no event '{}' to switch", setting.event);
            return Err(Error::new(Code::BadRequest, message).param("event").into());
        };
        changed.push((event, setting.enabled));
    }
    mail::set_events(&domain, &actor, &changed).await?;
    settings(&domain).await
}

/// Switches all events on.
#[utoipa::path(post, path = "/email/event_settings/reset", operation_id = "email_events_reset", tag = "mail",
    responses((status = 200, body = EventSettings)))]
pub async fn reset_events(
    State(domain): State<Domain>,
    actor: Anyone,
) -> Result<Json<EventSettings>> {
    let all = Event::SWITCHABLE.map(|event| (event, true));
    mail::set_events(&domain, &actor, &all).await?;
    settings(&domain).await
}

/// Mail of the last thirty days, without its content.
#[derive(Debug, Serialize, ToSchema)]
pub struct Outbox {
    mails: Vec<MailObject>,
}

/// One mail.
#[derive(Debug, Serialize, ToSchema)]
pub struct MailObject {
    id: String,
    event: String,
    recipient: String,
    subject: String,
    /// `waiting`, `sent` or `failed`.
    #[schema(value_type = String)]
    status: &'static str,
    attempts: i64,
    created_at: String,
    next_attempt_at: Option<String>,
    sent_at: Option<String>,
    failed_at: Option<String>,
    /// What the mail server said last.
    last_error: Option<String>,
}

impl From<OutboxRow> for MailObject {
    fn from(row: OutboxRow) -> MailObject {
        MailObject {
            status: match (row.sent_at, row.failed_at) {
                (Some(_), _) => "sent",
                (None, Some(_)) => "failed",
                (None, None) => "waiting",
            },
            id: row.id,
            event: row.event,
            recipient: row.recipient,
            subject: row.subject,
            attempts: row.attempts,
            created_at: row.created_at.to_rfc3339(),
            next_attempt_at: row.next_attempt_at.map(Millis::to_rfc3339),
            sent_at: row.sent_at.map(Millis::to_rfc3339),
            failed_at: row.failed_at.map(Millis::to_rfc3339),
            last_error: row.last_error,
        }
    }
}

/// Lists what was mailed, the newest first, at most a thousand.
#[utoipa::path(get, path = "/email/outbox", operation_id = "email_outbox", tag = "mail",
    responses((status = 200, body = Outbox)))]
pub async fn outbox(State(domain): State<Domain>, _: Anyone) -> Result<Json<Outbox>> {
    let rows = store::outbox::list(&domain.db).await.map_err(storage)?;
    Ok(Json(Outbox {
        mails: rows.into_iter().map(MailObject::from).collect(),
    }))
}

/// Which service.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WhichService {
    /// `email`
    #[param(value_type = String)]
    service: Required<String>,
}

/// What a test has shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tested {
    #[schema(value_type = String)]
    status: &'static str,
    message: String,
}

/// Sends a test mail to the caller, or to the sender's own address for a caller without one.
#[utoipa::path(get, path = "/health/services", operation_id = "health_services", tag = "mail", params(WhichService),
    responses((status = 200, body = Tested), (status = 400), (status = 502)))]
pub async fn test(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<WhichService>,
) -> Result<Json<Tested>> {
    let service = query.service.0;
    if !matches!(service.as_str(), "email" | "smtp_email") {
        let message = format!("there is no service '{service}' to test: write email");
        return Err(Refused::detail(Error::new(Code::BadRequest, message)));
    }
    let user = actor.user.as_ref();
    let to = user.and_then(|user| user.email.as_deref());
    let to = mail::test(&domain, to).await?;
    Ok(Json(Tested {
        status: "success",
        message: format!("a test mail was sent to {to}"),
    }))
}
