//! Sending what is in the outbox.

use std::time::{Duration, UNIX_EPOCH};

use base::{Code, Error, Millis, Result};
use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncTransport as _, Message};
use store::outbox::OutboxRow;

use super::{Content, MailConfig, place};
use crate::{Domain, storage};

/// How often the outbox is looked at when nobody says that it has something.
const PERIOD: Duration = Duration::from_secs(5);
/// How long an attempt belongs to the process that makes it.
const LEASE: Duration = Duration::from_secs(5 * 60);
/// The pauses after attempts that failed; after the last one, mail is given up.
const PAUSES: [Duration; 8] = [
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(4 * 60 * 60),
    Duration::from_secs(6 * 60 * 60),
    Duration::from_secs(12 * 60 * 60),
];
/// How long it is kept that mail was sent or given up.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest text of a mail server's refusal that is kept.
const LONGEST_ERROR: usize = 500;

/// Sends mail until the process ends.
pub async fn deliver(domain: Domain) {
    if domain.mail.transport.is_none() {
        return;
    }
    loop {
        if let Err(error) = deliver_due(&domain).await {
            tracing::warn!(%error, "the outbox could not be read; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = domain.mail.wake.notified() => {}
            () = domain.tasks.stopping() => return,
        }
    }
}

/// Tries all mail that is due.
///
/// # Errors
/// When the database does not answer. A mail server that does not is no error here: the outbox keeps
/// what it said.
pub async fn deliver_due(domain: &Domain) -> Result<()> {
    loop {
        let now = domain.clock.now();
        let due = store::outbox::due(&domain.db, now).await.map_err(storage)?;
        if due.is_empty() || domain.tasks.is_stopping() {
            break;
        }
        for mail in due {
            let is_ours = store::outbox::take(&domain.db, &mail, now + LEASE)
                .await
                .map_err(storage)?;
            if is_ours {
                attempt(domain, &mail).await.map_err(storage)?;
            }
        }
    }
    let mut tx = domain.begin().await?;
    let before = domain.clock.now() - KEPT;
    store::outbox::delete_done(&mut tx, before)
        .await
        .map_err(storage)?;
    tx.commit().await.map_err(storage)
}

async fn attempt(domain: &Domain, mail: &OutboxRow) -> store::Result<()> {
    let db = &domain.db;
    let Err(failure) = send(domain, mail).await else {
        return store::outbox::sent(db, &mail.id, domain.clock.now()).await;
    };
    let attempts = usize::try_from(mail.attempts).unwrap_or(usize::MAX);
    let said: String = failure.said.chars().take(LONGEST_ERROR).collect();
    let now = domain.clock.now();
    match PAUSES.get(attempts).filter(|_| !failure.is_final) {
        Some(&pause) => {
            tracing::warn!(
                event = mail.event,
                attempt = attempts + 1,
                error = said,
                "mail could not be sent; trying again"
            );
            store::outbox::failed(db, &mail.id, &said, now + pause).await
        }
        None => {
            tracing::error!(
                event = mail.event,
                id = mail.id,
                error = said,
                "mail was given up"
            );
            store::outbox::give_up(db, &mail.id, &said, now).await
        }
    }
}

/// Why mail was not sent.
struct Failure {
    said: String,
    /// Trying again would not help.
    is_final: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure {
            said: error.to_string(),
            is_final: true,
        }
    }
}

async fn send(domain: &Domain, mail: &OutboxRow) -> Result<(), Failure> {
    let (Some(config), Some(transport)) = (&domain.config.mail, &domain.mail.transport) else {
        return Err(Failure {
            said: "no mail server is configured".to_owned(),
            is_final: false,
        });
    };
    let content = domain.vault.open(place(&mail.id), &mail.content)?;
    let content: Content = serde_json::from_str(content.expose()).map_err(Error::internal)?;
    let message = message(config, mail, content)?;
    let sent = transport.send(message).await;
    sent.map(drop).map_err(|error| Failure {
        // a refused recipient or message; that we may not sign in there can be put right
        is_final: error
            .status()
            .is_some_and(|code| (550..=559).contains(&u16::from(code))),
        said: describe(&error),
    })
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn message(config: &MailConfig, mail: &OutboxRow, content: Content) -> Result<Message> {
    let sender: Mailbox = config.sender.parse().map_err(Error::internal)?;
    let to: Mailbox = mail.recipient.parse().map_err(Error::internal)?;
    let host = sender.email.domain().to_owned();
    Message::builder()
        .from(sender)
        .to(to)
        .subject(&mail.subject)
        .date(system_time(mail.created_at))
        .message_id(Some(format!("<{}@{host}>", mail.id)))
        .multipart(MultiPart::alternative_plain_html(
            content.text,
            content.html,
        ))
        .map_err(Error::internal)
}

fn system_time(at: Millis) -> std::time::SystemTime {
    UNIX_EPOCH + at.since(Millis(0))
}

/// Sends a mail at once, to see whether the configuration works.
///
/// # Errors
/// [`Code::BadRequest`] when no mail server is configured, [`Code::UpstreamUnavailable`] with what
/// the server said.
pub async fn test(domain: &Domain, to: Option<&str>) -> Result<String> {
    let Some(config) = &domain.config.mail else {
        return Err(Error::new(
            Code::BadRequest,
            "no mail server is configured: set SMTP_HOST and SMTP_SENDER_EMAIL",
        ));
    };
    let sender: Mailbox = config.sender.parse().map_err(Error::internal)?;
    let to = to.map_or_else(|| sender.email.to_string(), str::to_owned);
    let now = domain.clock.now();
    let mail = OutboxRow {
        id: base::ids::new_id(now),
        event: "test".to_owned(),
        recipient: to.clone(),
        subject: "Test of the mail server".to_owned(),
        content: String::new(),
        once: None,
        created_at: now,
        attempts: 0,
        next_attempt_at: None,
        sent_at: None,
        failed_at: None,
        last_error: None,
    };
    let says = "This mail shows that the gateway can send mail.";
    let content = Content {
        text: format!("{says}\n"),
        html: format!("<!doctype html><p>{says}</p>"),
    };
    let message = message(config, &mail, content)?;
    let Some(transport) = &domain.mail.transport else {
        return Err(Error::internal("mail is configured and has no transport"));
    };
    match transport.send(message).await {
        Ok(_) => Ok(to),
        Err(error) => {
            let said = format!("the mail server did not take it: {}", describe(&error));
            Err(Error::new(Code::UpstreamUnavailable, said))
        }
    }
}
