//! Invitations: a link that lets somebody choose the first password, once, within seven days
//! (contract §14.1–14.3).
//!
//! The id in the link is the secret, and is kept as a hash. Looking at an invitation does not use it
//! up: mail scanners open links. It is used up in the transaction that sets the password.

use std::time::Duration;

use base::{Code, Error, Millis, Result, Secret};
use serde_json::{Value, json};
use store::Tx;
use store::invitations::InvitationRow;
use store::organizations::OrganizationMemberRow;
use store::users::UserRow;

use crate::audit::{Action, Actor, Entry, How, record};
use crate::caller::Role;
use crate::sessions::{Method, Visitor};
use crate::sign_in::{self, SignedIn};
use crate::teams::TeamRole;
use crate::{Change, Domain, auth, mail, passwords, storage, tokens};

/// How long a link is valid (contract §14.1).
pub const VALID: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long somebody may take to choose a password after opening the link (contract §14.2).
const CHOOSING: Duration = Duration::from_secs(15 * 60);
/// The role of those who administer an organization (contract §4.1).
const ORGANIZATION_ADMIN: &str = "org_admin";
/// What statements are signed for that a link was opened.
const PURPOSE: &str = "onboarding";

/// An invitation, and the id in its link.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub id: String,
    pub row: InvitationRow,
}

/// What is asked for with a new invitation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Takes back the user's other invitations.
    pub replace: bool,
    /// Mails the link.
    pub send_email: bool,
}

/// Invites a user.
///
/// # Errors
/// [`Code::BadRequest`] for a user that is not there, [`Code::Forbidden`] for one whom the actor may
/// not invite.
pub async fn create(
    domain: &Domain,
    actor: &Actor,
    user_id: &str,
    wish: Wish,
) -> Result<Invitation> {
    let mut tx = domain.begin().await?;
    let user = store::users::lock(&mut tx, user_id)
        .await
        .map_err(storage)?;
    let user = user.ok_or_else(|| {
        let message =
            format!("User id does not exist: there is no user {user_id}; make one with /user/new");
        Error::new(Code::BadRequest, message).param("user_id")
    })?;
    may_invite(domain, &mut tx, actor, &user).await?;
    let invitation = create_in(domain, &mut tx, actor, &user, wish).await?;
    domain.commit(tx, &[]).await?;
    Ok(invitation)
}

/// Invites a user in the transaction that made them.
pub async fn create_in(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    user: &UserRow,
    wish: Wish,
) -> Result<Invitation> {
    let now = domain.clock.now();
    if wish.replace {
        store::invitations::delete_open(tx, &user.id)
            .await
            .map_err(storage)?;
    }
    let id = tokens::random_id()?.expose().to_owned();
    let row = InvitationRow {
        hash: auth::hash(&id),
        user_id: user.id.clone(),
        accepted_at: None,
        expires_at: now + VALID,
        created_at: now,
        created_by: actor.name(),
        updated_at: now,
        updated_by: actor.name(),
    };
    store::invitations::insert(&mut *tx, &row)
        .await
        .map_err(storage)?;
    audited(tx, actor, now, Action::Created, &row).await?;
    if let Some(email) = user.email.as_deref().filter(|_| wish.send_email)
        && let Some(config) = &domain.config.mail
    {
        let link = link(domain, &id);
        let letter = mail::invitation_letter(&config.brand, &link, row.expires_at);
        mail::queue(domain, tx, email, &letter, None).await?;
    }
    Ok(Invitation { id, row })
}

/// The link to an invitation (contract §14.1).
pub fn link(domain: &Domain, id: &str) -> String {
    let path = format!("/ui/onboarding?id={id}");
    domain.config.sign_in.link(&path)
}

/// Who may let somebody choose a password: that makes whoever gets the link this user. An
/// administrator may for everybody. An administrator of a team or organization may for those in it
/// who have never signed in, administer nothing and have no role beyond a user's.
async fn may_invite(domain: &Domain, tx: &mut Tx, actor: &Actor, user: &UserRow) -> Result<()> {
    if actor.is_admin() {
        return Ok(());
    }
    let refused = || {
        let message = "You can only create invitations for users in your organization or team.";
        Err(Error::new(Code::Forbidden, message))
    };
    let Some(own_id) = actor.user_id.as_deref() else {
        return refused();
    };
    let teams = store::teams::memberships_of_users(&mut *tx, &[own_id.to_owned(), user.id.clone()])
        .await
        .map_err(storage)?;
    let (own_teams, teams): (Vec<_>, Vec<_>) =
        teams.iter().partition(|member| member.user_id == own_id);
    let is_in_team = own_teams.iter().any(|own| {
        let mut theirs = teams.iter();
        own.role == TeamRole::Admin.as_str() && theirs.any(|member| member.team_id == own.team_id)
    });
    let own_organizations = organizations_of(tx, own_id).await?;
    let organizations = organizations_of(tx, &user.id).await?;
    let is_in_organization = own_organizations.iter().any(|own| {
        let mut theirs = organizations.iter();
        own.role == ORGANIZATION_ADMIN
            && theirs.any(|member| member.organization_id == own.organization_id)
    });
    if !is_in_team && !is_in_organization {
        return refused();
    }
    let role = user.role.as_deref().map(Role::parse);
    let is_plain = matches!(
        role,
        None | Some(Some(Role::InternalUser | Role::InternalUserViewer))
    );
    let has_signed_in = user.password_hash.is_some() || user.sso_subject.is_some();
    let administers = teams
        .iter()
        .any(|member| member.role == TeamRole::Admin.as_str())
        || organizations
            .iter()
            .any(|member| member.role == ORGANIZATION_ADMIN);
    if !is_plain || has_signed_in || administers || user.id == domain.config.admin_user_id {
        let message = "only a proxy admin may invite somebody who can sign in already, administers \
                       something or has a higher role: the link lets its reader be that user";
        return Err(Error::new(Code::Forbidden, message));
    }
    Ok(())
}

async fn organizations_of(tx: &mut Tx, user_id: &str) -> Result<Vec<OrganizationMemberRow>> {
    store::organizations::memberships_of_user(tx, user_id)
        .await
        .map_err(storage)
}

/// An invitation, for administrators.
///
/// # Errors
/// [`Code::BadRequest`] when there is none of this id.
pub async fn find(domain: &Domain, id: &str) -> Result<Invitation> {
    let row = store::invitations::find(&domain.db, &auth::hash(id))
        .await
        .map_err(storage)?;
    let row = row.ok_or_else(unknown)?;
    Ok(Invitation {
        id: id.to_owned(),
        row,
    })
}

fn unknown() -> Error {
    let message = "Invitation id does not exist in the database.";
    Error::new(Code::BadRequest, message).param("invitation_id")
}

/// Marks an invitation as accepted, which closes it.
///
/// # Errors
/// As [`find`]; [`Code::Forbidden`] for somebody else's; [`Code::BadRequest`] for opening one again.
pub async fn close(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    is_accepted: bool,
) -> Result<Invitation> {
    let mut tx = domain.begin().await?;
    let mut row = locked(&mut tx, id).await?;
    if !actor.is_admin() && actor.user_id.as_ref() != Some(&row.user_id) {
        let message = "only an administrator or the invited user may do this";
        return Err(Error::new(Code::Forbidden, message));
    }
    if !is_accepted {
        if row.accepted_at.is_some() {
            let message = "an invitation that was used cannot be opened again; make a new one";
            return Err(Error::new(Code::BadRequest, message).param("is_accepted"));
        }
        return Ok(Invitation {
            id: id.to_owned(),
            row,
        });
    }
    let now = domain.clock.now();
    accept(&mut tx, &mut row, now, actor.name()).await?;
    audited(&mut tx, actor, now, Action::Updated, &row).await?;
    domain.commit(tx, &[]).await?;
    Ok(Invitation {
        id: id.to_owned(),
        row,
    })
}

/// Takes an invitation back.
///
/// # Errors
/// As [`find`]; [`Code::Forbidden`] for one that somebody else has made.
pub async fn revoke(domain: &Domain, actor: &Actor, id: &str) -> Result<Invitation> {
    let mut tx = domain.begin().await?;
    let row = locked(&mut tx, id).await?;
    let is_own = row.created_by.is_some() && row.created_by == actor.user_id;
    if !actor.is_admin() && !is_own {
        let message = "only an administrator or who made the invitation may take it back";
        return Err(Error::new(Code::Forbidden, message));
    }
    store::invitations::delete(&mut tx, &row.hash)
        .await
        .map_err(storage)?;
    audited(&mut tx, actor, domain.clock.now(), Action::Deleted, &row).await?;
    domain.commit(tx, &[]).await?;
    Ok(Invitation {
        id: id.to_owned(),
        row,
    })
}

async fn locked(tx: &mut Tx, id: &str) -> Result<InvitationRow> {
    let row = store::invitations::lock(tx, &auth::hash(id))
        .await
        .map_err(storage)?;
    row.ok_or_else(unknown)
}

async fn accept(
    tx: &mut Tx,
    row: &mut InvitationRow,
    now: Millis,
    by: Option<String>,
) -> Result<()> {
    store::invitations::accept(tx, &row.hash, now, by.as_deref())
        .await
        .map_err(storage)?;
    row.accepted_at = Some(now);
    row.updated_at = now;
    row.updated_by = by;
    Ok(())
}

async fn audited(
    tx: &mut Tx,
    actor: &Actor,
    now: Millis,
    action: Action,
    row: &InvitationRow,
) -> Result<()> {
    let said = Some(json!({
        "user_id": row.user_id,
        "expires_at": row.expires_at.to_rfc3339(),
        "is_accepted": row.accepted_at.is_some(),
    }));
    let (before, after): (Option<Value>, Option<Value>) = match action {
        Action::Deleted => (said, None),
        _ => (None, said),
    };
    let entry = Entry {
        action,
        kind: "invitation",
        // the hash: the id opens the door
        id: &row.hash,
        before,
        after,
    };
    record(tx, actor, now, entry).await
}

/// An invitation that somebody has opened: they may choose a password for the next minutes.
#[derive(Debug)]
pub struct Opening {
    pub user: UserRow,
    /// Shows to [`claim`] that the link was opened.
    pub proof: String,
}

/// Opens an invitation's link. It can be opened again.
///
/// # Errors
/// 401 for a link that does not exist, has expired or was used (contract §14.2).
pub async fn open(domain: &Domain, id: &str) -> Result<Opening> {
    let row = store::invitations::find(&domain.db, &auth::hash(id))
        .await
        .map_err(storage)?;
    let row = usable(row, domain.clock.now())?;
    let user = store::users::find(&domain.db, &row.user_id)
        .await
        .map_err(storage)?;
    let user = user.ok_or_else(|| refused("Invitation link does not exist in db."))?;
    let until = domain.clock.now() + CHOOSING;
    let claims = json!({
        "token_type": "litellm_onboarding",
        "invitation_link": id,
        "user_id": user.id,
        "exp": until.0 / 1000,
    });
    Ok(Opening {
        proof: tokens::sign(&domain.seals, PURPOSE, &claims),
        user,
    })
}

/// What the page of an opened invitation decodes (contract §14.2); `key` is the proof for [`claim`].
pub fn statement(domain: &Domain, opening: &Opening) -> String {
    let user = &opening.user;
    let claims = json!({
        "user_id": user.id,
        "key": opening.proof,
        "user_email": user.email,
        "user_role": user.role,
        "login_method": "username_password",
        "premium_user": true,
        "auth_header_name": "Authorization",
        "disabled_non_admin_personal_key_creation": domain.config.personal_keys_disabled,
        "server_root_path": domain.config.sign_in.root_path,
        "password_reset_required": false,
    });
    tokens::sign(&domain.seals, "onboarding page", &claims)
}

fn usable(row: Option<InvitationRow>, now: Millis) -> Result<InvitationRow> {
    let row = row.ok_or_else(|| refused("Invitation link does not exist in db."))?;
    if row.accepted_at.is_some() {
        return Err(refused("Invitation link has already been used."));
    }
    if row.expires_at <= now {
        return Err(refused("Invitation link has expired."));
    }
    Ok(row)
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Code::CredentialsWrong, message)
}

/// What somebody sends who has chosen a password.
#[derive(Debug)]
pub struct Claim<'a> {
    pub id: &'a str,
    pub user_id: &'a str,
    pub password: Secret,
    /// What [`open`] gave.
    pub proof: Option<&'a str>,
}

/// Uses an invitation up: sets the password, ends the user's other sessions and begins one. Of
/// several at the same time one wins.
///
/// # Errors
/// 401 as [`open`], and without its proof; [`Code::PasswordWeak`], which leaves the invitation open.
pub async fn claim(domain: &Domain, visitor: &Visitor, claim: Claim<'_>) -> Result<SignedIn> {
    check_proof(domain, &claim)?;
    let hash = auth::hash(claim.id);
    let row = store::invitations::find(&domain.db, &hash)
        .await
        .map_err(storage)?;
    let row = usable(row, domain.clock.now())?;
    if row.user_id != claim.user_id {
        return Err(refused(format!(
            "Invalid invitation link. The user id submitted does not match the user id this link is \
             attached to. Got={}, Expected={}",
            claim.user_id, row.user_id
        )));
    }
    let user = store::users::find(&domain.db, &row.user_id)
        .await
        .map_err(storage)?;
    let user = user.ok_or_else(|| refused("Invitation link does not exist in db."))?;
    sign_in::may_enter(domain, &user)?;
    let shortest = domain.config.sign_in.shortest_password;
    passwords::check(&claim.password, user.email.as_deref(), shortest)?;
    let password_hash = domain.passwords.hash(claim.password).await?;

    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    // once more, now that nobody else can use it
    let row = store::invitations::lock(&mut tx, &hash)
        .await
        .map_err(storage)?;
    let mut row = usable(row, now)?;
    let actor = sign_in::actor(&user, How::Link, visitor);
    let user_id = user.id.clone();
    accept(&mut tx, &mut row, now, Some(user_id.clone())).await?;
    audited(&mut tx, &actor, now, Action::Updated, &row).await?;
    let user = passwords::put(domain, &mut tx, &actor, &user_id, password_hash).await?;
    let signed_in = sign_in::enter_in(
        domain,
        &mut tx,
        visitor,
        &user_id,
        Some(user),
        Method::Invitation,
    )
    .await?;
    domain.commit(tx, &[Change::User(&user_id)]).await?;
    Ok(signed_in)
}

fn check_proof(domain: &Domain, claim: &Claim<'_>) -> Result<()> {
    let proof = claim
        .proof
        .and_then(|proof| tokens::verify(&domain.seals, PURPOSE, proof, domain.clock.now()));
    let is_of_this = proof.is_some_and(|claims| {
        claims.get("invitation_link").and_then(Value::as_str) == Some(claim.id)
    });
    match is_of_this {
        true => Ok(()),
        false => Err(refused("Missing onboarding session for invitation link.")),
    }
}
