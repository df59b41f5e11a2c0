//! Who may read which entries of the audit log, and reading them.
//!
//! Administrators and auditors read all; administrators of an organization or a team what concerns it,
//! and everybody what they did themselves.

use base::{Code, Error, Result};
use store::audit::{AuditRow, Filter};

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
