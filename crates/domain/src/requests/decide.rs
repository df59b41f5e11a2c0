//! Who may decide a request, and deciding it: once, by somebody else than who asked.

use std::time::Duration;

use base::{Code, Error, Money, Result};
use serde_json::json;
use store::requests::{self, RequestRow};
use store::{On, Tx};

use super::give::{self, Given};
use super::{Kind, LONGEST_GRANT, asking, cut, letters, millis, not_found, note, rules, status};
use crate::audit::{Action, Actor};
use crate::scopes::{MAIN, ScopeKind};
use crate::teams::TeamRole;
use crate::{Domain, storage};

/// What stands in `decided_how` for what nobody was asked about.
pub(super) const BY_RULE: &str = "rule";
const ORGANIZATION_ADMIN: &str = "org_admin";

/// What somebody decides as: how far what they give reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nobody: a rule.
    Rule,
    TeamAdmin,
    OrganizationAdmin,
    Admin,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Rule => BY_RULE,
            Level::TeamAdmin => "team",
            Level::OrganizationAdmin => "organization",
            Level::Admin => "admin",
        }
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approve,
    Decline,
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decision {
    pub verdict: Verdict,
    /// Another amount than was asked for.
    pub amount: Option<Money>,
    /// Another time than was asked for.
    pub duration: Option<Duration>,
    pub note: Option<String>,
    /// The limit that whoever decides has seen; `None`: the one there was when it was asked.
    pub seen_limit: Option<Money>,
}

/// As what the actor may decide a request; `None`: they may not.
pub(super) async fn level<'a>(
    on: impl Into<On<'a>>,
    actor: &Actor,
    row: &RequestRow,
) -> Result<Option<Level>> {
    if actor.user_id.as_deref() == Some(row.user_id.as_str()) {
        return Ok(None);
    }
    if actor.is_admin() {
        return Ok(Some(Level::Admin));
    }
    let mut on = on.into();
    let Some(user_id) = &actor.user_id else {
        return Ok(None);
    };
    if let Some(organization_id) = &row.organization_id {
        let places = store::organizations::memberships_of_user(on.again(), user_id)
            .await
            .map_err(storage)?;
        let is_admin = places.iter().any(|place| {
            place.organization_id == *organization_id && place.role == ORGANIZATION_ADMIN
        });
        if is_admin {
            return Ok(Some(Level::OrganizationAdmin));
        }
    }
    // a team's own budget is not for its administrators to raise
    let is_of_team = row.scope_kind.as_deref() != Some(ScopeKind::Team.as_str());
    if let Some(team_id) = row.team_id.as_deref().filter(|_| is_of_team) {
        let member = store::teams::find_member(on, team_id, user_id)
            .await
            .map_err(storage)?;
        if member.is_some_and(|member| member.role == TeamRole::Admin.as_str()) {
            return Ok(Some(Level::TeamAdmin));
        }
    }
    Ok(None)
}

/// A request, locked after its user: always in this order.
pub(super) async fn lock(tx: &mut Tx, id: &str) -> Result<RequestRow> {
    let found = requests::find(&mut *tx, id).await.map_err(storage)?;
    let found = found.ok_or_else(|| not_found(id))?;
    store::users::lock(&mut *tx, &found.user_id)
        .await
        .map_err(storage)?;
    let row = requests::lock(tx, id).await.map_err(storage)?;
    row.ok_or_else(|| not_found(id))
}

/// Decides a request.
///
/// # Errors
/// 403 for one's own request and for what is not the actor's to give, 404 for one that the actor may
/// not see, 409 for one that was decided, or that is about something which has changed meanwhile.
pub async fn decide(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    decision: Decision,
) -> Result<RequestRow> {
    let mut tx = domain.begin().await?;
    let (row, given) = decide_in(domain, &mut tx, actor, id, decision).await?;
    give::commit(domain, tx, &given).await?;
    Ok(row)
}

/// Decides in an open transaction.
pub(super) async fn decide_in(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    id: &str,
    decision: Decision,
) -> Result<(RequestRow, Given)> {
    let now = domain.clock.now();
    let mut row = lock(tx, id).await?;
    if actor.user_id.as_deref() == Some(row.user_id.as_str()) {
        let message = "nobody decides their own request";
        return Err(Error::new(Code::Forbidden, message));
    }
    let level = level(&mut *tx, actor, &row).await?;
    let level = level.ok_or_else(|| not_found(id))?;
    if row.status != status::PENDING {
        let by = row.decided_by.as_deref();
        let by = by.map_or_else(String::new, |by| format!(" by {by}"));
        let message = format!("Request {id} is {}{by}", row.status);
        return Err(Error::new(Code::Conflict, message));
    }
    if row.lapses_at <= now {
        let message = format!("Request {id} has lapsed: nobody decided it in time");
        return Err(Error::new(Code::Conflict, message));
    }
    let before = row.clone();
    row.decided_at = Some(now);
    row.decided_by = actor.name();
    row.decided_how = Some(level.as_str().to_owned());
    row.note = cut(decision.note.clone());
    row.updated_at = now;
    let (given, action) = match decision.verdict {
        Verdict::Decline => {
            row.status = status::DECLINED.to_owned();
            (Given::default(), Action::Declined)
        }
        Verdict::Approve => {
            let user = store::users::find(&mut *tx, &row.user_id)
                .await
                .map_err(storage)?;
            if user.is_none_or(|user| user.blocked) {
                let message = format!("user {} is blocked or was deleted", row.user_id);
                return Err(Error::new(Code::Conflict, message));
            }
            check_seen(tx, &row, decision.seen_limit).await?;
            settle_terms(domain, &mut row, &decision)?;
            check_amount(domain, tx, level, &row).await?;
            let given = give::give(domain, tx, actor, level, &mut row).await?;
            row.status = status::APPROVED.to_owned();
            (given, Action::Approved)
        }
    };
    requests::update(&mut *tx, &row).await.map_err(storage)?;
    note(tx, actor, now, action, Some(&before), &row).await?;
    letters::tell_requester(domain, tx, &row).await?;
    Ok((row, given))
}

/// Refuses to decide about a budget that is another by now.
async fn check_seen(tx: &mut Tx, row: &RequestRow, seen: Option<Money>) -> Result<()> {
    if Kind::of(row)? != Kind::Budget {
        return Ok(());
    }
    let gone = || {
        let message = "the budget that it is about is not there any more";
        Error::new(Code::Conflict, message)
    };
    let budgets = match &row.budget_id {
        Some(id) => store::budgets::lock(tx, id).await.map_err(storage)?,
        None => None,
    };
    let limit = budgets.ok_or_else(gone)?.amount.ok_or_else(gone)?;
    let seen = seen.or(row.asked_limit).unwrap_or_default();
    if seen == limit {
        return Ok(());
    }
    let message = format!(
        "the budget has changed since: it was ${seen} and is ${limit}; to decide all the same, send \
         seen_limit {limit}"
    );
    Err(Error::new(Code::Conflict, message)
        .param("seen_limit")
        .with_details(json!({"limit": limit, "seen_limit": seen})))
}

/// How much, and until when.
fn settle_terms(domain: &Domain, row: &mut RequestRow, decision: &Decision) -> Result<()> {
    if let Some(amount) = decision.amount
        && (row.amount.is_none() || amount <= Money::ZERO)
    {
        let message = "an amount is more than 0, and for requests that have one";
        return Err(Error::new(Code::BadRequest, message).param("amount"));
    }
    let longest = LONGEST_GRANT;
    let asked = row.duration.and_then(|asked| u64::try_from(asked).ok());
    let duration = decision
        .duration
        .or(asked.map(Duration::from_millis))
        .unwrap_or(domain.config.requests.grant_time);
    if duration.is_zero() || duration > longest {
        let message = "duration must be more than nothing and at most 366 days";
        return Err(Error::new(Code::BadRequest, message).param("duration"));
    }
    row.granted_amount = decision.amount.or(row.amount);
    row.granted_until = Some(base::Millis(
        domain.clock.now().0.saturating_add(millis(duration)),
    ));
    Ok(())
}

/// A team's administrators give so much in a month, and nobody gives more than their own team or
/// organization has.
async fn check_amount(domain: &Domain, tx: &mut Tx, level: Level, row: &RequestRow) -> Result<()> {
    let Some(amount) = row.granted_amount else {
        return Ok(());
    };
    let refuse = |message: String| Err(Error::new(Code::Forbidden, message).param("amount"));
    if level == Level::TeamAdmin {
        let rule = rules::rule(domain, &mut *tx, row.team_id.as_deref()).await?;
        let since = rules::month_start(domain.clock.now(), &domain.config.zone);
        let granted = requests::granted_since(&mut *tx, &row.user_id, level.as_str(), since)
            .await
            .map_err(storage)?;
        let rest = rule.team_admin_limit - granted;
        if amount > rest {
            return refuse(format!(
                "administrators of this team may grant one person ${} a month, of which ${} is left; an \
                 administrator can grant more",
                rule.team_admin_limit,
                rest.max(Money::ZERO)
            ));
        }
    }
    let holder = match level {
        Level::TeamAdmin => row.team_id.as_ref().map(|id| (ScopeKind::Team, id)),
        Level::OrganizationAdmin => {
            let organization = row.organization_id.as_ref();
            organization.map(|id| (ScopeKind::Organization, id))
        }
        Level::Admin | Level::Rule => None,
    };
    let Some((kind, id)) = holder else {
        return Ok(());
    };
    let budgets = store::budgets::list_for_scope(tx, kind.as_str(), id)
        .await
        .map_err(storage)?;
    let main = budgets
        .iter()
        .find(|row| row.counter == MAIN && row.enforcement == "hard");
    let most = main.and_then(|row| row.amount);
    let limit = row.asked_limit.unwrap_or_default();
    if most.is_some_and(|most| limit.saturating_add(amount) > most) {
        let kind = kind.as_str();
        return refuse(format!(
            "with ${amount} more the budget would be larger than that of the {kind}"
        ));
    }
    Ok(())
}

/// Whether a rule grants a request that was just made.
pub(super) async fn is_automatic(domain: &Domain, tx: &mut Tx, row: &RequestRow) -> Result<bool> {
    let own = [ScopeKind::Key, ScopeKind::User, ScopeKind::TeamMember];
    let is_own = own
        .map(ScopeKind::as_str)
        .contains(&row.scope_kind.as_deref().unwrap_or_default());
    let (Kind::Budget, true, Some(amount)) = (Kind::of(row)?, is_own, row.amount) else {
        return Ok(false);
    };
    Ok(amount <= asking::automatic_rest(domain, tx, row).await?)
}

/// Grants what a rule grants.
pub(super) async fn approve_by_rule(
    domain: &Domain,
    tx: &mut Tx,
    asker: &Actor,
    row: &mut RequestRow,
) -> Result<Given> {
    let now = domain.clock.now();
    let before = row.clone();
    let system = Actor {
        origin: crate::audit::Origin {
            how: crate::audit::How::System,
            ..asker.origin.clone()
        },
        ..Actor::system()
    };
    let decision = Decision {
        verdict: Verdict::Approve,
        amount: None,
        duration: None,
        note: None,
        seen_limit: None,
    };
    settle_terms(domain, row, &decision)?;
    row.decided_at = Some(now);
    row.decided_how = Some(BY_RULE.to_owned());
    let given = give::give(domain, tx, &system, Level::Rule, row).await?;
    row.status = status::APPROVED.to_owned();
    requests::update(&mut *tx, row).await.map_err(storage)?;
    note(tx, &system, now, Action::Approved, Some(&before), row).await?;
    Ok(given)
}
