//! Signing in with a name and a password.
//!
//! Whoever signs in leaves a place behind: their address, and a device token that their browser
//! keeps. From there they are known the next time, and what strangers do at their account does not
//! slow them down ([`guesses`]). A wrong name, a wrong password and a name without a password are
//! answered alike, after the same time.

mod guesses;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, Result, Secret};
use store::Tx;
use store::users::UserRow;
use subtle::ConstantTimeEq as _;

use crate::audit::{self, Action, Actor, How, Origin, Refusal};
use crate::caller::{Caller, Role};
use crate::passwords::Line;
use crate::sessions::{self, Claimant, Method, Opened, Visitor};
use crate::{Domain, auth, storage, tokens};

pub use guesses::{From, Guesses, Taken, place};

/// How long a place stays known that is not used.
pub const PLACES_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const DEVICE: &str = "device";
const ADDRESS: &str = "address";

/// Somebody who has signed in.
#[derive(Debug)]
pub struct SignedIn {
    pub user_id: String,
    /// `None` for the administrator of the configuration.
    pub user: Option<UserRow>,
    pub role: Option<Role>,
    pub method: Method,
    pub session: Opened,
    /// For the browser to keep, when it has none yet.
    pub device: Option<Secret>,
}

impl SignedIn {
    fn claimant(&self) -> Claimant<'_> {
        let user = self.user.as_ref();
        Claimant {
            user_id: &self.user_id,
            email: user.and_then(|user| user.email.as_deref()),
            role: self.role,
            method: self.method,
        }
    }

    /// What the cookie holds.
    pub fn cookie(&self, domain: &Domain) -> String {
        let session = &self.session;
        sessions::statement(
            domain,
            &self.claimant(),
            &session.cookie,
            session.expires_at,
        )
    }

    /// What clients get that send the session's token as a key.
    pub fn statement(&self, domain: &Domain) -> String {
        let session = &self.session;
        sessions::statement(
            domain,
            &self.claimant(),
            &session.bearer,
            session.expires_at,
        )
    }
}

/// Whose password is to be right.
enum Account {
    /// The administrator of the configuration.
    Administrator,
    User(Box<UserRow>),
    /// Nobody has this name.
    Nobody,
}

/// Signs in with a name (an e-mail address, or the administrator's of the configuration) and a
/// password.
///
/// # Errors
/// [`Code::CredentialsWrong`]; [`Code::SignInThrottled`] after too many tries from places that the
/// account's owner has not signed in from; [`Code::Forbidden`] for a user who is blocked.
pub async fn with_password(
    domain: &Domain,
    visitor: &Visitor,
    name: &str,
    password: &Secret,
) -> Result<SignedIn> {
    let name = name.trim().to_lowercase();
    let signed_in = try_password(domain, visitor, &name, password).await;
    if let Err(error) = &signed_in
        && error.status() < 500
    {
        // by its id: people type their password where their name belongs
        let account = account(domain, &name).await.unwrap_or(Account::Nobody);
        let refusal = Refusal {
            actor: None,
            origin: &origin(visitor, Method::Password),
            action: Action::SignedIn,
            kind: "session",
            id: account.user_id(domain).unwrap_or_default(),
            reason: error.message(),
        };
        audit::refused(domain, refusal);
    }
    signed_in
}

async fn try_password(
    domain: &Domain,
    visitor: &Visitor,
    name: &str,
    password: &Secret,
) -> Result<SignedIn> {
    let account = account(domain, name).await?;
    let known = match account.user_id(domain) {
        Some(user_id) => known_place(domain, user_id, visitor).await?,
        None => None,
    };
    let line = match &known {
        Some(_) => Line::Known,
        None => Line::Unknown,
    };
    let from = known.unwrap_or_else(|| From::Unknown {
        account: auth::hash(name),
        address: visitor.address,
    });
    let now = domain.clock.now();
    let taken = domain.guesses.take(&from, now)?;
    if !is_right(domain, &account, line, password).await? {
        return Err(wrong());
    }
    domain.guesses.give_back(taken, now);
    match account {
        Account::Administrator => {
            let user_id = &domain.config.admin_user_id;
            enter(domain, visitor, user_id, None, Method::Administrator).await
        }
        Account::User(user) => {
            may_enter(domain, &user)?;
            let user_id = user.id.clone();
            enter(domain, visitor, &user_id, Some(*user), Method::Password).await
        }
        Account::Nobody => Err(wrong()),
    }
}

impl Account {
    fn user_id<'a>(&'a self, domain: &'a Domain) -> Option<&'a str> {
        match self {
            Account::Administrator => Some(&domain.config.admin_user_id),
            Account::User(user) => Some(&user.id),
            Account::Nobody => None,
        }
    }
}

async fn account(domain: &Domain, name: &str) -> Result<Account> {
    if name == domain.config.sign_in.admin_name.to_lowercase() {
        return Ok(Account::Administrator);
    }
    let user = store::users::find_by_email(&domain.db, name)
        .await
        .map_err(storage)?;
    Ok(user.map_or(Account::Nobody, |user| Account::User(Box::new(user))))
}

async fn is_right(
    domain: &Domain,
    account: &Account,
    line: Line,
    password: &Secret,
) -> Result<bool> {
    let hash = match account {
        Account::Administrator => {
            let config = &domain.config;
            let right = config.sign_in.admin_password.as_ref();
            let right = right.unwrap_or(&config.master_key).expose().as_bytes();
            return Ok(bool::from(right.ct_eq(password.expose().as_bytes())));
        }
        Account::User(user) => user.password_hash.clone(),
        Account::Nobody => None,
    };
    domain
        .passwords
        .is_right(line, password.clone(), hash)
        .await
}

/// Whether a user may sign in at all.
///
/// # Errors
/// [`Code::Forbidden`] with the reason. Only to be told to whom has shown who they are.
pub fn may_enter(domain: &Domain, user: &UserRow) -> Result<()> {
    if user.blocked {
        let message = "this account is blocked; an administrator can unblock it";
        return Err(Error::new(Code::Forbidden, message));
    }
    let role = user.role.as_deref().and_then(Role::parse);
    let is_administrator = matches!(role, Some(Role::ProxyAdmin | Role::ProxyAdminViewer));
    if domain.config.sign_in.administrators_only && !is_administrator {
        let message = "only administrators may sign in here; keys go on working";
        return Err(Error::new(Code::Forbidden, message));
    }
    Ok(())
}

/// What is told whatever was wrong (contract §14.4).
fn wrong() -> Error {
    Error::new(
        Code::CredentialsWrong,
        "Invalid credentials used to access UI. Check 'UI_USERNAME' and 'UI_PASSWORD', or the \
         password set for your user",
    )
    .param("invalid_credentials")
}

/// A place of the visitor's that the user has signed in from.
async fn known_place(domain: &Domain, user_id: &str, visitor: &Visitor) -> Result<Option<From>> {
    let since = domain.clock.now() - PLACES_KEPT;
    for (kind, hash) in places(visitor) {
        let is_known = store::known_places::is_known(&domain.db, user_id, kind, &hash, since)
            .await
            .map_err(storage)?;
        if is_known {
            return Ok(Some(From::Known {
                user_id: user_id.to_owned(),
                place: hash,
            }));
        }
    }
    Ok(None)
}

/// The device first: nobody else has it, while many may share an address.
fn places(visitor: &Visitor) -> Vec<(&'static str, String)> {
    let device = visitor.device.as_ref();
    let device = device.map(|device| (DEVICE, auth::hash(device.expose())));
    let address = auth::hash(&place(visitor.address).to_string());
    device.into_iter().chain([(ADDRESS, address)]).collect()
}

/// Where a sign-in comes from.
fn origin(visitor: &Visitor, method: Method) -> Origin {
    Origin {
        how: match method {
            Method::Sso => How::Sso,
            Method::Password | Method::Administrator => How::Session,
            Method::Invitation | Method::Reset => How::Link,
        },
        session_id: None,
        address: Some(visitor.address),
        user_agent: visitor.user_agent.clone(),
    }
}

/// Begins a session of its own transaction.
async fn enter(
    domain: &Domain,
    visitor: &Visitor,
    user_id: &str,
    user: Option<UserRow>,
    method: Method,
) -> Result<SignedIn> {
    let mut tx = domain.begin().await?;
    let signed_in = enter_in(domain, &mut tx, visitor, user_id, user, method).await?;
    domain.commit(tx, &[]).await?;
    Ok(signed_in)
}

/// Begins a session for somebody who has shown who they are, and remembers from where.
pub async fn enter_in(
    domain: &Domain,
    tx: &mut Tx,
    visitor: &Visitor,
    user_id: &str,
    user: Option<UserRow>,
    method: Method,
) -> Result<SignedIn> {
    let device = match visitor.device {
        Some(_) => None,
        None => Some(tokens::random("")?),
    };
    let seen = Visitor {
        device: visitor.device.clone().or_else(|| device.clone()),
        ..visitor.clone()
    };
    let now = domain.clock.now();
    for (kind, hash) in places(&seen) {
        store::known_places::put(&mut *tx, user_id, kind, &hash, now)
            .await
            .map_err(storage)?;
    }
    let role = user
        .as_ref()
        .and_then(|user| Role::parse(user.role.as_deref()?));
    let session = sessions::open(domain, tx, user_id, method, visitor).await?;
    audit::signed_in(tx, origin(visitor, method), user_id, &session.id, now);
    Ok(SignedIn {
        session,
        user_id: user_id.to_owned(),
        role: match method {
            Method::Administrator => Some(Role::ProxyAdmin),
            _ => role,
        },
        user,
        method,
        device,
    })
}

/// A user who has shown who they are by a link or a password, as the one who does what follows.
pub fn actor(user: &UserRow, how: How, visitor: &Visitor) -> Actor {
    let caller = Caller {
        role: user.role.as_deref().and_then(Role::parse),
        user_id: Some(user.id.clone()),
        key: Some(sessions::stand_in_for(&user.id)),
        ..Caller::system()
    };
    Actor {
        caller: Arc::new(caller),
        changed_by: None,
        is_delegate: false,
        origin: Origin {
            how,
            session_id: None,
            address: Some(visitor.address),
            user_agent: visitor.user_agent.clone(),
        },
    }
}

/// An address that stands for none, where a request has no other end.
pub const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
