//! Who may read which entries of the audit log, and reading them.
//!
//! Administrators and auditors read all; administrators of an organization or a team what concerns it,
//! and everybody what they did themselves.

use base::{Code, Error, Millis, Result};
use store::audit::{AuditRow, Filter, HeadRow};

use super::Actor;
use crate::{Domain, storage};

/// Most entries of one page.
const LONGEST_PAGE: i64 = 1000;

/// Which entries are asked for.
#[derive(Clone, Debug, Default)]
pub struct Question {
    pub filter: Filter,
    /// The oldest first.
    pub ascending: bool,
    /// From 1.
    pub page: i64,
    pub page_size: i64,
}

/// A page of entries.
#[derive(Clone, Debug)]
pub struct Page {
    pub entries: Vec<AuditRow>,
    pub total: i64,
}

/// Narrows a filter to what the actor may read.
///
/// # Errors
/// 403 for whoever is nobody's user and sees nothing.
pub fn may_read(actor: &Actor, filter: &mut Filter) -> Result<()> {
    if actor.sees_all() {
        return Ok(());
    }
    let Some(user_id) = &actor.user_id else {
        return Err(Error::new(
            Code::Forbidden,
            "a key without a user has no audit log to read",
        ));
    };
    filter.reader = Some(user_id.clone());
    Ok(())
}

/// Reads a page.
///
/// # Errors
/// As [`may_read`].
pub async fn page(domain: &Domain, actor: &Actor, mut question: Question) -> Result<Page> {
    may_read(actor, &mut question.filter)?;
    let size = question.page_size.clamp(1, LONGEST_PAGE);
    let offset = question.page.max(1).saturating_sub(1).saturating_mul(size);
    let (filter, ascending) = (&question.filter, question.ascending);
    let entries = store::audit::page(&domain.db, filter, ascending, size, offset)
        .await
        .map_err(storage)?;
    let total = store::audit::count(&domain.db, filter)
        .await
        .map_err(storage)?;
    Ok(Page { entries, total })
}

/// Reads a part of the log, the newest first. `filter` is one that [`may_read`] has narrowed; the next
/// part is what is before the last entry.
///
/// # Errors
/// When the database does not answer.
pub async fn batch(domain: &Domain, filter: &Filter, entries: i64) -> Result<Vec<AuditRow>> {
    store::audit::page(&domain.db, filter, false, entries, 0)
        .await
        .map_err(storage)
}

/// Where the log ends, and when its oldest entry was written.
///
/// # Errors
/// When the database does not answer.
pub async fn end(domain: &Domain) -> Result<(HeadRow, Option<Millis>)> {
    let head = store::audit::head(&domain.db).await.map_err(storage)?;
    let oldest = store::audit::page(&domain.db, &Filter::default(), true, 1, 0)
        .await
        .map_err(storage)?;
    Ok((head, oldest.first().map(|entry| entry.at)))
}
