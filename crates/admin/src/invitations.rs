//! Invitations and onboarding (contract §14.1–14.3).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base::{Code, Error, Secret};
use domain::invitations::{self, Claim, Invitation, Wish};
use domain::{Domain, users};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::cookies;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::{Required, Sent};
use crate::sign_in::{Guest, with_cookies};
use crate::users::UserObject;

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitationObject {
    /// Opens the invitation: whoever has it can choose the user's password.
    id: String,
    user_id: String,
    is_accepted: bool,
    accepted_at: Option<String>,
    expires_at: String,
    created_at: String,
    created_by: Option<String>,
    updated_at: String,
    updated_by: Option<String>,
}

impl From<Invitation> for InvitationObject {
    fn from(invitation: Invitation) -> InvitationObject {
        let row = invitation.row;
        InvitationObject {
            id: invitation.id,
            user_id: row.user_id,
            is_accepted: row.accepted_at.is_some(),
            accepted_at: row.accepted_at.map(base::Millis::to_rfc3339),
            expires_at: row.expires_at.to_rfc3339(),
            created_at: row.created_at.to_rfc3339(),
            created_by: row.created_by,
            updated_at: row.updated_at.to_rfc3339(),
            updated_by: row.updated_by,
        }
    }
}

/// Who is invited.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewInvitation {
    #[schema(value_type = String)]
    user_id: Required<String>,
    /// Takes back the user's other invitations that nobody has accepted.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    replace: Sent<bool>,
    /// Mails the link to the user.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    send_invite_email: Sent<bool>,
}

/// Invites a user: the link `<base>/ui/onboarding?id=<id>` lets them choose a password, once, within
/// seven days.
#[utoipa::path(post, path = "/invitation/new", operation_id = "invitation_new", tag = "invitations",
    request_body = NewInvitation, responses((status = 200, body = InvitationObject), (status = 400), (status = 403)))]
pub async fn new(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<NewInvitation>,
) -> Result<Json<InvitationObject>> {
    let wish = Wish {
        replace: sent.replace.0.value().unwrap_or(false),
        send_email: sent.send_invite_email.0.value().unwrap_or(false),
    };
    let invitation = invitations::create(&domain, &actor, &sent.user_id.0, wish).await?;
    Ok(Json(invitation.into()))
}

/// Which invitation.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WhichInvitation {
    #[param(value_type = String)]
    invitation_id: Required<String>,
}

/// Shows an invitation.
#[utoipa::path(get, path = "/invitation/info", operation_id = "invitation_info", tag = "invitations",
    params(WhichInvitation), responses((status = 200, body = InvitationObject), (status = 400)))]
pub async fn info(
    State(domain): State<Domain>,
    _: Anyone,
    Query(query): Query<WhichInvitation>,
) -> Result<Json<InvitationObject>> {
    let found = invitations::find(&domain, &query.invitation_id.0).await;
    Ok(Json(found.map_err(Refused::detail)?.into()))
}

/// What became of an invitation.
#[derive(Debug, Deserialize, ToSchema)]
pub struct InvitationUpdate {
    #[schema(value_type = String)]
    invitation_id: Required<String>,
    #[schema(value_type = bool)]
    is_accepted: Required<bool>,
}

/// Marks an invitation as accepted, which closes it.
#[utoipa::path(post, path = "/invitation/update", operation_id = "invitation_update", tag = "invitations",
    request_body = InvitationUpdate, responses((status = 200, body = InvitationObject), (status = 400), (status = 403)))]
pub async fn update(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<InvitationUpdate>,
) -> Result<Json<InvitationObject>> {
    let (id, is_accepted) = (&sent.invitation_id.0, sent.is_accepted.0);
    let closed = invitations::close(&domain, &actor, id, is_accepted).await;
    Ok(Json(closed.map_err(Refused::detail)?.into()))
}

/// Which invitation to take back.
#[derive(Debug, Deserialize, ToSchema)]
pub struct InvitationId {
    #[schema(value_type = String)]
    invitation_id: Required<String>,
}

/// Takes an invitation back.
#[utoipa::path(post, path = "/invitation/delete", operation_id = "invitation_delete", tag = "invitations",
    request_body = InvitationId, responses((status = 200, body = InvitationObject), (status = 400), (status = 403)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<InvitationId>,
) -> Result<Json<InvitationObject>> {
    let revoked = invitations::revoke(&domain, &actor, &sent.invitation_id.0).await;
    Ok(Json(revoked.map_err(Refused::detail)?.into()))
}

/// Which link was opened.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WhichLink {
    /// The invitation's id.
    #[param(value_type = String)]
    invite_link: Required<String>,
}

/// An opened invitation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Onboarding {
    login_url: String,
    /// Names the user, and in `key` what `/onboarding/claim_token` asks for.
    token: String,
    user_email: Option<String>,
}

/// Opens an invitation, without using it up.
#[utoipa::path(get, path = "/onboarding/get_token", operation_id = "onboarding_open", tag = "invitations",
    params(WhichLink), responses((status = 200, body = Onboarding), (status = 401)))]
pub async fn open(
    State(domain): State<Domain>,
    Query(query): Query<WhichLink>,
) -> Result<Json<Onboarding>> {
    let opening = invitations::open(&domain, &query.invite_link.0).await;
    let opening = opening.map_err(Refused::detail)?;
    let token = invitations::statement(&domain, &opening);
    let email = opening.user.email.as_deref().unwrap_or_default();
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", &token)
        .append_pair("user_email", email)
        .finish();
    let path = format!("/ui/onboarding?{query}");
    Ok(Json(Onboarding {
        login_url: domain.config.sign_in.link(&path),
        token,
        user_email: opening.user.email,
    }))
}

/// The password of somebody who was invited.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ClaimBody {
    #[schema(value_type = String)]
    invitation_link: Required<String>,
    #[schema(value_type = String)]
    user_id: Required<String>,
    #[schema(value_type = String)]
    password: Required<String>,
}

/// A user who has accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Claimed {
    login_url: String,
    token: String,
    user_email: Option<String>,
    user: UserObject,
}

/// Accepts an invitation: sets the password and signs in. The bearer is `key` of the token that
/// `/onboarding/get_token` gave.
#[utoipa::path(post, path = "/onboarding/claim_token", operation_id = "onboarding_claim", tag = "invitations",
    request_body = ClaimBody, responses((status = 200, body = Claimed), (status = 400), (status = 401)))]
pub async fn claim(
    State(domain): State<Domain>,
    guest: Guest,
    headers: HeaderMap,
    Json(sent): Json<ClaimBody>,
) -> Result<Response> {
    cookies::check_form(&headers, &domain.config.sign_in)?;
    let bearer = headers.get(header::AUTHORIZATION);
    let bearer = bearer.and_then(|bearer| bearer.to_str().ok());
    let claim = Claim {
        id: &sent.invitation_link.0,
        user_id: &sent.user_id.0,
        password: Secret::new(sent.password.0),
        proof: bearer.and_then(|bearer| bearer.strip_prefix("Bearer ")),
    };
    let claimed = invitations::claim(&domain, &guest.0, claim).await;
    let signed_in = claimed.map_err(|error: Error| match error.code() {
        Code::CredentialsWrong => Refused::detail(error),
        _ => error.into(),
    })?;
    let user = users::view(&domain, &signed_in.user_id).await?;
    let answer = Json(Claimed {
        login_url: domain.config.sign_in.link("/ui?login=success"),
        token: signed_in.statement(&domain),
        user_email: user.row.email.clone(),
        user: UserObject::from(&user),
    });
    Ok(with_cookies(&domain, &signed_in, answer.into_response()))
}
