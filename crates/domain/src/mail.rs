//! Mail over SMTP. A letter is written into the outbox in the transaction of what it tells, so that
//! it is sent if that happened and only then; a task sends, tries again for a day, and gives up
//! visibly (the outbox says so). No request waits for a mail server.
//!
//! A letter may hold a single-use link and no other secret; it is sealed until it is sent and
//! forgotten then.

mod letters;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, Money, Result, Secret, ids};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, Tokio1Executor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::Tx;
use store::keys::KeyRow;
use store::outbox::OutboxRow;
use tokio::sync::Notify;

use crate::audit::{Action, Actor, Entry, record};
use crate::vault::Place;
use crate::{Domain, storage};

pub use letters::{
    Letter, budget_letter, escape, invitation_letter, key_created_letter, key_expiring_letter,
    key_rotated_letter, password_changed_letter, password_reset_letter,
    provider_key_rejected_letter, request_decided_letter, request_made_letter,
};
pub use sender::{deliver, deliver_due, test};

/// How long one command may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The setting that keeps which events are mailed.
const EVENTS: &str = "email_events";

/// How mail is sent (contract §20).
#[derive(Clone, Debug)]
pub struct MailConfig {
    pub host: String,
    pub port: u16,
    pub credentials: Option<(String, Secret)>,
    /// `name@host` or `Name <name@host>`
    pub sender: String,
    pub encryption: Encryption,
    /// Certificates, as PEM, that the server's may come from besides those everybody trusts.
    pub authority: Option<String>,
    pub brand: Brand,
    /// The part of a budget at which its owner is warned.
    pub warning_ratio: f64,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all: only for servers nearby.
    None,
    /// TLS after a greeting; a server without it gets no mail.
    StartTls,
    /// TLS from the start.
    Tls,
}

/// What letters look like.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    pub logo_url: Option<String>,
    pub support_contact: Option<String>,
    pub signature: Option<String>,
    pub subject_invitation: Option<String>,
    pub subject_key_created: Option<String>,
    pub subject_key_rotated: Option<String>,
}

/// What letters are about. An administrator may switch most of them off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    KeyCreated,
    Invitation,
    KeyRotated,
    KeyExpiring,
    SoftBudget,
    MaxBudget,
    RequestMade,
    RequestDecided,
    /// Always sent: calls fail until somebody does something.
    ProviderKeyRejected,
    /// Always sent: a sign of abuse.
    Alarm,
    /// Always sent: who lost a password needs it, and who did not should know.
    Password,
}

impl Event {
    /// Those that can be switched off.
    pub const SWITCHABLE: [Event; 8] = [
        Event::KeyCreated,
        Event::Invitation,
        Event::KeyRotated,
        Event::KeyExpiring,
        Event::SoftBudget,
        Event::MaxBudget,
        Event::RequestMade,
        Event::RequestDecided,
    ];

    /// The name in the API, as clients of LiteLLM know it.
    pub fn name(self) -> &'static str {
        match self {
            Event::KeyCreated => "Virtual Key Created",
            Event::Invitation => "New User Invitation",
            Event::KeyRotated => "Virtual Key Rotated",
            Event::KeyExpiring => "Virtual Key Expiring",
            Event::SoftBudget => "Soft Budget Crossed",
            Event::MaxBudget => "Max Budget Alert",
            Event::RequestMade => "Request Made",
            Event::RequestDecided => "Request Decided",
            Event::ProviderKeyRejected => "Provider Key Rejected",
            Event::Alarm => "Alarm",
            Event::Password => "Password",
        }
    }

    pub fn parse(name: &str) -> Option<Event> {
        Event::SWITCHABLE
            .into_iter()
            .find(|event| event.name() == name)
    }
}

/// The way out.
pub struct Mail {
    /// `None`: no mail server is configured.
    transport: Option<AsyncSmtpTransport<Tokio1Executor>>,
    wake: Arc<Notify>,
}

impl Mail {
    /// # Errors
    /// A configuration that cannot work: a sender that is no address, a certificate that is none.
    pub fn new(config: Option<&MailConfig>) -> Result<Mail> {
        Ok(Mail {
            transport: config.map(transport).transpose()?,
            wake: Arc::new(Notify::new()),
        })
    }
}

fn transport(config: &MailConfig) -> Result<AsyncSmtpTransport<Tokio1Executor>> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| {
        Error::new(Code::BadRequest, format!("{what}: {error}"))
    };
    config
        .sender
        .parse::<lettre::message::Mailbox>()
        .map_err(|error| wrong("SMTP_SENDER_EMAIL must be an e-mail address", &error))?;
    let tls = || {
        let mut parameters = TlsParameters::builder(config.host.clone());
        if let Some(authority) = &config.authority {
            let certificate = Certificate::from_pem(authority.as_bytes())
                .map_err(|error| wrong("SMTP_CA_FILE must hold certificates (PEM)", &error))?;
            parameters = parameters.add_root_certificate(certificate);
        }
        parameters
            .build()
            .map_err(|error| wrong("SMTP_HOST must be a name that TLS can check", &error))
    };
    let tls = match config.encryption {
        Encryption::None => Tls::None,
        Encryption::StartTls => Tls::Required(tls()?),
        Encryption::Tls => Tls::Wrapper(tls()?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
        .port(config.port)
        .timeout(Some(TIMEOUT))
        .tls(tls);
    if let Some((name, password)) = &config.credentials {
        let password = password.expose().to_owned();
        builder = builder.credentials(Credentials::new(name.clone(), password));
    }
    Ok(builder.build())
}

/// What is kept sealed of a letter until it is sent.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    text: String,
    html: String,
}

/// Where a letter is sealed for.
pub(crate) fn place(id: &str) -> Place<'_> {
    Place {
        table: "outbox",
        column: "content",
        row: id,
        owner: "system",
    }
}

/// Puts a letter into the outbox, in the transaction of what it tells. `once` names what is told
/// only once. Without a mail server, for an event that is switched off and for what is no address
/// nothing is written: that somebody cannot be told never keeps a change from happening.
///
/// # Errors
/// When the database does not answer.
pub async fn queue(
    domain: &Domain,
    tx: &mut Tx,
    to: &str,
    letter: &Letter,
    once: Option<String>,
) -> Result<bool> {
    let Some(config) = &domain.config.mail else {
        return Ok(false);
    };
    if to.parse::<Address>().is_err() {
        tracing::warn!(
            event = letter.event.name(),
            "a letter has no address to go to"
        );
        return Ok(false);
    }
    if !is_enabled(tx, letter.event).await? {
        return Ok(false);
    }
    let now = domain.clock.now();
    let id = ids::new_id(now);
    let content = json!(Content {
        text: letter.text(&config.brand),
        html: letter.html(&config.brand),
    });
    let row = OutboxRow {
        content: domain
            .vault
            .seal(place(&id), &Secret::new(content.to_string()))?,
        id,
        event: letter.event.name().to_owned(),
        recipient: to.to_owned(),
        subject: letter.subject(),
        once,
        created_at: now,
        attempts: 0,
        next_attempt_at: Some(now),
        sent_at: None,
        failed_at: None,
        last_error: None,
    };
    let is_new = store::outbox::insert(tx, &row).await.map_err(storage)?;
    if is_new {
        // it looks after the commit, or a moment later by itself
        domain.mail.wake.notify_one();
    }
    Ok(is_new)
}

/// Tells the owner of a new key that they have it.
pub async fn tell_of_key(
    domain: &Domain,
    tx: &mut Tx,
    key: &KeyRow,
    max_budget: Option<Money>,
) -> Result<()> {
    let (Some(config), Some(user_id)) = (&domain.config.mail, &key.user_id) else {
        return Ok(());
    };
    let user = store::users::find(&mut *tx, user_id)
        .await
        .map_err(storage)?;
    let Some(email) = user.and_then(|user| user.email) else {
        return Ok(());
    };
    let sign_in = domain.config.sign_in.link("/ui/login");
    let alias = key.alias.as_deref();
    let letter = key_created_letter(&config.brand, &key.name, alias, max_budget, &sign_in);
    queue(domain, tx, &email, &letter, None).await.map(drop)
}

async fn is_enabled(tx: &mut Tx, event: Event) -> Result<bool> {
    let row = store::settings::find(tx, EVENTS).await.map_err(storage)?;
    let row = row.map(|row| row.value);
    Ok(enabled_in(&read_events(row.as_deref()), event))
}

fn read_events(text: Option<&str>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn enabled_in(events: &Map<String, Value>, event: Event) -> bool {
    events.get(event.name()) != Some(&Value::Bool(false))
}

/// Which events are mailed.
pub async fn events(domain: &Domain) -> Result<Vec<(Event, bool)>> {
    let row = store::settings::find(&domain.db, EVENTS)
        .await
        .map_err(storage)?;
    let events = read_events(row.map(|row| row.value).as_deref());
    let all = Event::SWITCHABLE.into_iter();
    Ok(all
        .map(|event| (event, enabled_in(&events, event)))
        .collect())
}

/// Switches events on and off.
pub async fn set_events(domain: &Domain, actor: &Actor, changed: &[(Event, bool)]) -> Result<()> {
    let mut kept = Map::new();
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let before = store::settings::find(&mut tx, EVENTS)
        .await
        .map_err(storage)?;
    let before = read_events(before.map(|row| row.value).as_deref());
    for event in Event::SWITCHABLE {
        let enabled = enabled_in(&before, event);
        let change = changed.iter().find(|(other, _)| *other == event);
        let enabled = change.map_or(enabled, |(_, enabled)| *enabled);
        kept.insert(event.name().to_owned(), Value::Bool(enabled));
    }
    let kept = Value::Object(kept);
    store::settings::put(&mut tx, EVENTS, &kept.to_string(), now)
        .await
        .map_err(storage)?;
    let entry = Entry {
        action: Action::Updated,
        kind: "setting",
        id: EVENTS,
        before: Some(Value::Object(before)),
        after: Some(kept),
    };
    record(&mut tx, actor, now, entry).await?;
    domain.commit(tx, &[]).await
}
