//! From what an identity provider says of somebody to a user of ours.
//!
//! Whoever was here before is known by the provider's id of them. Whoever was not is linked to the
//! account with their e-mail address, if the provider vouches for the address, or becomes a user.

use std::sync::Arc;

use base::{Code, Error, Result, Secret};
use store::users::UserRow;

use super::claims::{self, Claims};
use super::config::{Kind, Provider};
use super::provider::misconfigured;
use crate::audit::{Actor, How, Origin};
use crate::caller::{Caller, Role};
use crate::patch::Patch;
use crate::sessions::{Method, Visitor};
use crate::sign_in::{self, SignedIn};
use crate::teams::{self, MemberTerms, NewMember, NewTeam, Person, TeamRole};
use crate::users::{self, NewUser, Selector, UserFields};
use crate::{Change, Domain, storage};

/// The role of who is new and is given none (contract §15).
const NEWCOMER: Role = Role::InternalUserViewer;
const LONGEST: usize = 320;

/// Somebody as an identity provider describes them.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The provider's id of them.
    pub subject: String,
    /// In lower case.
    pub email: Option<String>,
    /// The provider vouches for the address.
    pub is_verified: bool,
    pub name: Option<String>,
    /// What the provider says their role is.
    pub role: Option<Role>,
    /// Ids of teams.
    pub teams: Vec<String>,
}

/// What a provider's claims say of somebody.
///
/// # Errors
/// [`Code::Forbidden`] when they may not sign in here.
pub fn identity(domain: &Domain, provider: &Provider, claims: &Claims) -> Result<Identity> {
    let config = &domain.config.federation;
    let attributes = &provider.attributes;
    let subject = claims::text(claims, &attributes.id).filter(|text| text.len() <= LONGEST);
    let Some(subject) = subject else {
        let why = format!("it does not say who you are (claim '{}')", attributes.id);
        return Err(misconfigured(&why));
    };
    let email = claims::text(claims, &attributes.email);
    let email = email.as_deref().map(users::clean_email).transpose()?;
    let is_verified = email.is_some()
        && (provider.trusts_email
            || claims::is_true(claims, "email_verified")
            || (provider.kind == Kind::Microsoft && claims::is_true(claims, "xms_edov")));
    if let Some((claim, group)) = &config.required_group
        && !claims::texts(claims, claim).contains(group)
    {
        let message = "only members of a certain group may sign in here; an administrator of the \
                       identity provider can add you to it";
        return Err(Error::new(Code::Forbidden, message));
    }
    check_domain(&config.allowed_domains, email.as_deref(), is_verified)?;
    let is_admin = config.admin_subject.as_ref() == Some(&subject);
    let teams = config.team_claim.as_deref();
    Ok(Identity {
        role: match is_admin {
            true => Some(Role::ProxyAdmin),
            false => role(provider, claims),
        },
        name: name(provider, claims),
        teams: teams.map_or_else(Vec::new, |claim| claims::texts(claims, claim)),
        subject,
        email,
        is_verified,
    })
}

/// Whether an address is of a domain that may sign in.
pub fn check_domain(allowed: &[String], email: Option<&str>, is_verified: bool) -> Result<()> {
    if allowed.is_empty() {
        return Ok(());
    }
    let of = email.and_then(|email| Some(email.rsplit_once('@')?.1));
    if is_verified && of.is_some_and(|of| allowed.iter().any(|domain| domain == of)) {
        return Ok(());
    }
    let message = match is_verified {
        true => "e-mail addresses of this domain may not sign in here (ALLOWED_EMAIL_DOMAINS)",
        false => {
            "only verified e-mail addresses of certain domains may sign in here, and the identity \
             provider does not say that yours is verified"
        }
    };
    Err(Error::new(Code::Forbidden, message))
}

fn role(provider: &Provider, claims: &Claims) -> Option<Role> {
    if let Some(mappings) = &provider.roles {
        return mappings.role(&claims::texts(claims, &mappings.claim));
    }
    let named = claims::texts(claims, &provider.attributes.role);
    let mut roles = Role::ALL.into_iter();
    roles.find(|role| named.iter().any(|name| name == role.as_str()))
}

fn name(provider: &Provider, claims: &Claims) -> Option<String> {
    let attributes = &provider.attributes;
    let chosen = attributes.display_name.as_deref();
    let whole = claims::text(claims, chosen.unwrap_or("name"));
    whole.or_else(|| {
        let parts = [&attributes.first_name, &attributes.last_name];
        let parts = parts
            .into_iter()
            .filter_map(|part| claims::text(claims, part));
        let name = parts.collect::<Vec<_>>().join(" ");
        Some(name).filter(|name| !name.is_empty())
    })
}

/// Somebody of an identity provider, as the one who does what follows.
pub fn actor(user_id: Option<&str>, visitor: &Visitor) -> Actor {
    Actor {
        caller: Arc::new(Caller {
            user_id: user_id.map(str::to_owned),
            ..Caller::system()
        }),
        changed_by: None,
        is_delegate: false,
        origin: Origin {
            how: How::Sso,
            session_id: None,
            address: Some(visitor.address),
            user_agent: visitor.user_agent.clone(),
        },
    }
}

/// The user whom an identity means: one who was here, one who is linked now, or a new one.
///
/// # Errors
/// [`Code::Forbidden`] when the account cannot be linked, with what to do about it.
pub async fn user(domain: &Domain, actor: &Actor, identity: &Identity) -> Result<UserRow> {
    match known(domain, identity).await? {
        Some(user) => refreshed(domain, actor, identity, user).await,
        None => match made(domain, actor, identity).await {
            // somebody signed in twice at once
            Err(error) if error.code() == Code::Conflict => match known(domain, identity).await? {
                Some(user) => Ok(user),
                None => Err(error),
            },
            made => made,
        },
    }
}

async fn known(domain: &Domain, identity: &Identity) -> Result<Option<UserRow>> {
    let db = &domain.db;
    let user = store::users::find_by_sso_subject(db, &identity.subject)
        .await
        .map_err(storage)?;
    if user.is_some() {
        return Ok(user);
    }
    let config = &domain.config;
    if config.federation.admin_subject.as_ref() == Some(&identity.subject) {
        let admin = store::users::find(db, &config.admin_user_id).await;
        let admin = admin.map_err(storage)?;
        if admin
            .as_ref()
            .is_some_and(|admin| admin.sso_subject.is_none())
        {
            return Ok(admin);
        }
    }
    let Some(email) = &identity.email else {
        return Ok(None);
    };
    if !identity.is_verified {
        let message = "the identity provider does not say that your e-mail address is verified, so it \
                       cannot be linked to an account here: verify it there, or let an administrator \
                       configure that its addresses are trusted (SSO_TRUST_EMAIL)";
        return Err(Error::new(Code::Forbidden, message));
    }
    let user = store::users::find_by_email(db, email)
        .await
        .map_err(storage)?;
    if user.as_ref().is_some_and(|user| user.sso_subject.is_some()) {
        let message = "the account with your e-mail address is linked to somebody else at the identity \
                       provider; an administrator can clear its sso_user_id";
        return Err(Error::new(Code::Forbidden, message));
    }
    Ok(user)
}

/// Brings what the provider says into a user's row.
async fn refreshed(
    domain: &Domain,
    actor: &Actor,
    identity: &Identity,
    user: UserRow,
) -> Result<UserRow> {
    let mut fields = UserFields::default();
    if user.sso_subject.is_none() {
        fields.sso_subject = Patch::Value(identity.subject.clone());
    }
    if user.alias.is_none() {
        fields.alias = identity.name.clone().map_or(Patch::Absent, Patch::Value);
    }
    let role = identity
        .role
        .filter(|role| user.role.as_deref() != Some(role.as_str()));
    fields.role = role.map_or(Patch::Absent, Patch::Value);
    let is_same = fields.sso_subject.is_absent() && fields.alias.is_absent() && role.is_none();
    if is_same {
        return Ok(user);
    }
    let selector = Selector::Id(user.id.clone());
    users::update(domain, actor, &selector, fields).await?;
    found(domain, &user.id).await
}

async fn made(domain: &Domain, actor: &Actor, identity: &Identity) -> Result<UserRow> {
    let same = store::users::find(&domain.db, &identity.subject)
        .await
        .map_err(storage)?;
    let defaults = users::defaults(domain)?;
    let role = defaults.user_role.as_deref().and_then(Role::parse);
    let role = identity.role.or(role).unwrap_or(NEWCOMER);
    let value = |text: &Option<String>| text.clone().map_or(Patch::Absent, Patch::Value);
    let new = NewUser {
        // an id that somebody else has is no proof of being them
        id: same.is_none().then(|| identity.subject.clone()),
        fields: UserFields {
            email: value(&identity.email),
            alias: value(&identity.name),
            role: Patch::Value(role),
            sso_subject: Patch::Value(identity.subject.clone()),
            ..UserFields::default()
        },
        ..NewUser::default()
    };
    let created = users::create(domain, actor, new).await?;
    found(domain, &created.user.row.id).await
}

async fn found(domain: &Domain, id: &str) -> Result<UserRow> {
    let user = store::users::find(&domain.db, id).await.map_err(storage)?;
    user.ok_or_else(|| Error::new(Code::Forbidden, "this account was deleted a moment ago"))
}

/// Makes a team that an identity provider names, with what the configuration gives to new teams.
///
/// # Errors
/// As [`teams::create`], but for a team that somebody else has just made.
pub async fn make_team(domain: &Domain, actor: &Actor, id: &str) -> Result<()> {
    let new = NewTeam {
        id: Some(id.to_owned()),
        fields: teams::default_fields(domain)?,
        ..NewTeam::default()
    };
    let made = Box::pin(teams::create(domain, actor, new)).await;
    let Err(error) = made else {
        return Ok(());
    };
    let found = store::teams::find(&domain.db, id).await.map_err(storage)?;
    found.map(drop).ok_or(error)
}

/// Makes the teams among these ids that do not exist, where the configuration says so.
async fn make_teams(domain: &Domain, actor: &Actor, ids: &[String]) -> Result<()> {
    let jwt = domain.config.federation.jwt.as_ref();
    let upserts =
        domain.config.federation.upserts_teams || jwt.is_some_and(|jwt| jwt.upserts_teams);
    if !upserts {
        return Ok(());
    }
    let known = store::teams::find_many(&domain.db, ids).await;
    let known = known.map_err(storage)?;
    for id in ids {
        if !known.iter().any(|team| team.id == *id) {
            make_team(domain, actor, id).await?;
        }
    }
    Ok(())
}

/// Adds a user to the teams among these ids that exist.
pub async fn join_teams(
    domain: &Domain,
    actor: &Actor,
    user_id: &str,
    team_ids: &[String],
) -> Result<()> {
    let teams = store::teams::find_many(&domain.db, team_ids).await;
    for team in teams.map_err(storage)? {
        let member = store::teams::find_member(&domain.db, &team.id, user_id).await;
        if member.map_err(storage)?.is_some() {
            continue;
        }
        let joining = vec![NewMember {
            person: Person::by_id(user_id),
            role: TeamRole::User,
        }];
        let terms = MemberTerms::default();
        match teams::add_members(domain, actor, &team.id, joining, terms).await {
            Err(error) if error.code() != Code::AlreadyMember => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Begins a session of somebody whom the provider has proven.
///
/// # Errors
/// As [`user`]; [`Code::Forbidden`] for who is blocked.
pub async fn enter(domain: &Domain, visitor: &Visitor, identity: &Identity) -> Result<SignedIn> {
    let newcomer = actor(None, visitor);
    let user = user(domain, &newcomer, identity).await?;
    sign_in::may_enter(domain, &user)?;
    let actor = actor(Some(&user.id), visitor);
    make_teams(domain, &newcomer, &identity.teams).await?;
    join_teams(domain, &actor, &user.id, &identity.teams).await?;
    let mut tx = domain.begin().await?;
    let user_id = user.id.clone();
    let signed_in =
        sign_in::enter_in(domain, &mut tx, visitor, &user_id, Some(user), Method::Sso).await?;
    domain.commit(tx, &[Change::User(&user_id)]).await?;
    Ok(signed_in)
}

/// Compares secrets in the same time wherever they differ.
pub fn are_same(one: &Secret, other: &Secret) -> bool {
    use subtle::ConstantTimeEq as _;
    one.expose()
        .as_bytes()
        .ct_eq(other.expose().as_bytes())
        .into()
}

#[cfg(test)]
mod tests {
    use super::super::config::RoleMappings;
    use super::*;

    #[test]
    fn the_greatest_role_of_all_groups_counts() {
        let mappings = RoleMappings {
            claim: "groups".to_owned(),
            groups: vec![
                (Role::InternalUser, vec!["dev".to_owned()]),
                (Role::ProxyAdmin, vec!["ops".to_owned()]),
            ],
            default: Some(Role::InternalUserViewer),
        };
        let role = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            mappings.role(&groups)
        };
        assert_eq!(role(&["dev", "ops"]), Some(Role::ProxyAdmin));
        assert_eq!(role(&["dev"]), Some(Role::InternalUser));
        assert_eq!(role(&["x"]), Some(Role::InternalUserViewer));
    }

    #[test]
    fn only_verified_addresses_of_allowed_domains_pass() {
        let allowed = ["a.example".to_owned()];
        for (email, is_verified, passes) in [
            (Some("x@a.example"), true, true),
            (Some("x@a.example"), false, false),
            (Some("x@b.a.example"), true, false),
            (Some("x@evil-a.example"), true, false),
            (None, true, false),
        ] {
            let answer = check_domain(&allowed, email, is_verified);
            assert_eq!(answer.is_ok(), passes, "{email:?}");
        }
        assert!(check_domain(&[], None, false).is_ok());
    }
}
