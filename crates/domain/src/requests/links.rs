//! Links that speak for somebody without a session: out of a refusal, to ask for what was refused; out of
//! a mail, to decide a request. Both are signed and end; each says one thing alone, and following it
//! changes nothing: what it leads to asks first.

use std::time::Duration;

use base::{Code, Error, Millis, Money, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::requests::{LinkRow, RequestRow};

use super::decide::decide_in;
use super::{Ask, Decision, New, give, known_as, status};
use crate::audit::{Actor, Origin};
use crate::caller::Caller;
use crate::scopes::{Scope, ScopeKind};
use crate::seals::Check;
use crate::{Domain, auth, sessions, storage};

const OFFER: &str = "request-offer";
const LETTER: &str = "request-letter";
/// How long the link of a refusal asks.
const OFFER_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a refusal lets its caller ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    #[serde(rename = "u")]
    pub user_id: String,
    /// Whose budget; `None`: it is about a model.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(rename = "i", skip_serializing_if = "Option::is_none")]
    pub scope_id: Option<String>,
    #[serde(rename = "b", skip_serializing_if = "Option::is_none")]
    pub budget_id: Option<String>,
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    #[serde(rename = "k", skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(rename = "e")]
    pub expires_at: Millis,
}

/// Where a caller whose budget is used up can ask for more; `None`: nowhere.
pub(crate) fn for_budget(
    domain: &Domain,
    caller: &Caller,
    scope: &Scope,
    budget_id: &str,
) -> Option<String> {
    let is_askable = !matches!(scope.kind, ScopeKind::Organization | ScopeKind::Gateway);
    let offer = Offer {
        scope: Some(scope.kind.as_str().to_owned()),
        scope_id: Some(scope.id.to_string()),
        budget_id: Some(budget_id.to_owned()),
        ..blank(domain, caller)?
    };
    is_askable.then(|| url(domain, &offer))?
}

/// Adds to the refusal of a model where its caller can ask for it.
pub fn invite(domain: &Domain, caller: &Caller, model: &str, refused: Error) -> Error {
    let is_about_lists = matches!(
        refused.code(),
        Code::KeyModelForbidden
            | Code::TeamModelForbidden
            | Code::UserModelForbidden
            | Code::OrganizationModelForbidden
    );
    let offer = || {
        let key_id = caller.key_id().filter(|_| caller.session.is_none());
        let offer = Offer {
            model: Some(model.chars().take(256).collect()),
            key_id: key_id.map(str::to_owned),
            ..blank(domain, caller)?
        };
        url(domain, &offer)
    };
    match is_about_lists.then(offer).flatten() {
        Some(url) => refused.with_details(json!({ "request_url": url })),
        None => refused,
    }
}

fn blank(domain: &Domain, caller: &Caller) -> Option<Offer> {
    // without a public address a link would lead nowhere; without a user nobody asks
    domain.config.sign_in.public_url.as_ref()?;
    let user = caller.user.as_ref()?;
    Some(Offer {
        user_id: user.id.clone(),
        scope: None,
        scope_id: None,
        budget_id: None,
        team_id: caller.team_id().map(str::to_owned),
        key_id: None,
        model: None,
        expires_at: domain.clock.now() + OFFER_LIFE,
    })
}

fn url(domain: &Domain, offer: &Offer) -> Option<String> {
    let said = serde_json::to_string(offer).ok()?;
    let token = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(&said),
        domain.seals.seal(OFFER, &said)
    );
    let path = format!("/requests/ask?token={token}");
    Some(domain.config.sign_in.link(&path))
}

/// What a link out of a refusal offers.
///
/// # Errors
/// 400 for a link that is none, or too old.
pub fn of_offer(domain: &Domain, token: &str) -> Result<Offer> {
    let (said, seal) = token.split_once('.').ok_or_else(invalid)?;
    let said = URL_SAFE_NO_PAD.decode(said).map_err(|_| invalid())?;
    let said = String::from_utf8(said).map_err(|_| invalid())?;
    if domain.seals.check(OFFER, &said, seal) != Check::Right {
        return Err(invalid());
    }
    let offer: Offer = serde_json::from_str(&said).map_err(|_| invalid())?;
    match offer.expires_at <= domain.clock.now() {
        true => Err(invalid()),
        false => Ok(offer),
    }
}

fn invalid() -> Error {
    Error::new(
        Code::BadRequest,
        "this link is not valid, or not any more: links end, and those that decide work once",
    )
}

/// Asks for what a link offers, as the person it was made for.
///
/// # Errors
/// As [`super::create`], and 400 for a link that is none.
pub async fn ask_by_offer(
    domain: &Domain,
    origin: Origin,
    token: &str,
    amount: Option<Money>,
    (duration, reason): (Option<Duration>, Option<String>),
) -> Result<RequestRow> {
    let offer = of_offer(domain, token)?;
    let actor = person(domain, &offer.user_id, origin).await?;
    let ask = match (&offer.scope, &offer.model) {
        (Some(scope), _) => Ask::Budget {
            scope: ScopeKind::parse(scope).ok_or_else(invalid)?,
            scope_id: offer.scope_id,
            team_id: offer.team_id,
            budget_id: offer.budget_id,
            amount: amount.ok_or_else(|| {
                Error::new(Code::BadRequest, "an amount is needed").param("amount")
            })?,
        },
        (None, Some(model)) => Ask::Model {
            model: model.clone(),
            team_id: offer.team_id,
            key_id: offer.key_id,
        },
        (None, None) => return Err(invalid()),
    };
    let new = New {
        ask,
        duration,
        reason,
    };
    super::create(domain, &actor, new).await
}

/// Somebody for whom a link speaks, with the rights that they have now.
async fn person(domain: &Domain, user_id: &str, origin: Origin) -> Result<Actor> {
    let caller = auth::load(domain, sessions::stand_in_for(user_id)).await?;
    if caller.user.as_ref().is_none_or(|user| user.blocked) {
        return Err(invalid());
    }
    Ok(Actor {
        caller: std::sync::Arc::new(caller),
        changed_by: None,
        is_delegate: false,
        origin,
    })
}

/// The link that goes into a mail.
pub(super) fn letter_url(domain: &Domain, link: &LinkRow) -> String {
    let seal = domain.seals.seal(LETTER, &said_of(link));
    let path = format!("/requests/decide?link={}.{seal}", link.id);
    domain.config.sign_in.link(&path)
}

fn said_of(link: &LinkRow) -> String {
    json!([link.id, link.request_id, link.approver_id, link.expires_at]).to_string()
}

/// What a link out of a mail is about.
#[derive(Clone, Debug)]
pub struct Letter {
    pub request: RequestRow,
    /// Who asks, by name and address where there are any.
    pub who: String,
    /// The limit that is to be raised, as it is now.
    pub limit: Option<Money>,
}

/// Reads a link out of a mail. Changes nothing.
///
/// # Errors
/// 400 for a link that is none, was used or is too old; 409 for a request that is decided.
pub async fn of_letter(domain: &Domain, token: &str) -> Result<Letter> {
    let link = read_link(domain, token).await?;
    let request = store::requests::find(&domain.db, &link.request_id)
        .await
        .map_err(storage)?;
    let request = request.ok_or_else(invalid)?;
    if request.status != status::PENDING {
        let message = format!("this request is {} already", request.status);
        return Err(Error::new(Code::Conflict, message));
    }
    let budget = match &request.budget_id {
        Some(id) => store::budgets::find(&domain.db, id)
            .await
            .map_err(storage)?,
        None => None,
    };
    Ok(Letter {
        who: known_as(&domain.db, &request.user_id).await?,
        limit: budget.and_then(|budget| budget.amount),
        request,
    })
}

async fn read_link(domain: &Domain, token: &str) -> Result<LinkRow> {
    let (id, seal) = token.split_once('.').ok_or_else(invalid)?;
    let link = store::requests::find_link(&domain.db, id)
        .await
        .map_err(storage)?;
    let link = link.ok_or_else(invalid)?;
    let is_right = domain.seals.check(LETTER, &said_of(&link), seal) == Check::Right;
    let is_open = link.used_at.is_none() && domain.clock.now() < link.expires_at;
    match is_right && is_open {
        true => Ok(link),
        false => Err(invalid()),
    }
}

/// Decides by a link out of a mail, as the person it was sent to. It works once.
///
/// # Errors
/// As [`super::decide`], and 400 for a link that is none; the link stays good where nothing was decided.
pub async fn decide_by_letter(
    domain: &Domain,
    origin: Origin,
    token: &str,
    decision: Decision,
) -> Result<RequestRow> {
    let link = read_link(domain, token).await?;
    let actor = person(domain, &link.approver_id, origin).await?;
    let mut tx = domain.begin().await?;
    let (row, given) = decide_in(domain, &mut tx, &actor, &link.request_id, decision).await?;
    let is_first = store::requests::use_link(&mut tx, &link.id, domain.clock.now())
        .await
        .map_err(storage)?;
    if !is_first {
        return Err(invalid());
    }
    give::commit(domain, tx, &given).await?;
    Ok(row)
}

/// Details of a refusal with where to ask for more.
pub(crate) fn with_url(mut details: Value, url: Option<String>) -> Value {
    if let (Some(object), Some(url)) = (details.as_object_mut(), url) {
        object.insert("request_url".to_owned(), url.into());
    }
    details
}
