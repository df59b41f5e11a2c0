//! Who hears of a request: those who may decide it, with a link that does, and whoever asked.

use std::time::Duration;

use base::{Millis, Result, ids};
use store::Tx;
use store::requests::{self, LinkRow, RequestRow};

use super::{in_words, known_as, links, status};
use crate::mail::{self, request_decided_letter, request_made_letter};
use crate::scopes::ScopeKind;
use crate::{Domain, storage};

/// How long a link out of a mail decides.
const LINK_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Writes to all who may decide: each gets a link of their own.
pub(super) async fn ask_approvers(domain: &Domain, tx: &mut Tx, row: &RequestRow) -> Result<()> {
    if domain.config.mail.is_none() {
        return Ok(());
    }
    // a team's own budget is not for its administrators to raise
    let is_of_team = row.scope_kind.as_deref() == Some(ScopeKind::Team.as_str());
    let team = row.team_id.as_deref().filter(|_| !is_of_team);
    let organization = row.organization_id.as_deref();
    let approvers = requests::approvers(&mut *tx, team, organization)
        .await
        .map_err(storage)?;
    let asks = in_words(row);
    let who = known_as(&mut *tx, &row.user_id).await?;
    for approver in approvers.into_iter().filter(|one| one.id != row.user_id) {
        let Some(email) = approver.email else {
            continue;
        };
        let link = new_link(domain, tx, row, &approver.id).await?;
        let letter = request_made_letter(&who, &asks, row.reason.as_deref(), &link);
        let once = format!("request:{}:{}", row.id, approver.id);
        mail::queue(domain, tx, &email, &letter, Some(once)).await?;
    }
    Ok(())
}

/// A link with which this person decides this request, once.
async fn new_link(
    domain: &Domain,
    tx: &mut Tx,
    row: &RequestRow,
    approver_id: &str,
) -> Result<String> {
    let now = domain.clock.now();
    let link = LinkRow {
        id: ids::new_id(now),
        request_id: row.id.clone(),
        approver_id: approver_id.to_owned(),
        expires_at: row.lapses_at.min(now + LINK_LIFE),
        used_at: None,
    };
    requests::insert_link(tx, &link).await.map_err(storage)?;
    Ok(links::letter_url(domain, &link))
}

/// Tells whoever asked what was decided.
pub(super) async fn tell_requester(domain: &Domain, tx: &mut Tx, row: &RequestRow) -> Result<()> {
    let user = store::users::find(&mut *tx, &row.user_id)
        .await
        .map_err(storage)?;
    let Some(email) = user.and_then(|user| user.email) else {
        return Ok(());
    };
    let approved = row.status == status::APPROVED;
    let until = row.granted_until.filter(|_| approved);
    let remark = match (row.note.as_deref(), until) {
        (Some(note), Some(until)) => Some(format!("{note} (until {})", until.to_rfc3339())),
        (Some(note), None) => Some(note.to_owned()),
        (None, Some(until)) => Some(format!("until {}", Millis::to_rfc3339(until))),
        (None, None) => None,
    };
    let letter = request_decided_letter(&in_words(row), approved, remark.as_deref());
    mail::queue(domain, tx, &email, &letter, None)
        .await
        .map(drop)
}
