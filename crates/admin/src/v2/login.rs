//! Signing in with a form, and lost passwords (the `/v2` API).

use axum::body::Bytes;
use axum::extract::State;
use base::{Code, Error, Secret};
use domain::audit::How;
use domain::sessions;
use domain::sign_in::{self, SignedIn};
use domain::{Domain, password_resets};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::users::{UserPublic, public};
use super::{Detail, Message, check_length, wrong};
use crate::callers::Anyone;
use crate::cookies;
use crate::error::Result;
use crate::extract::{Json, Path};
use crate::fields::Required;
use crate::sign_in::Guest;

/// The shortest password that is looked at; how long ours must be says the configuration.
pub const SHORTEST: usize = 8;
/// The longest that is looked at.
pub const LONGEST: usize = 1_024;
/// The longest form that is read.
const LONGEST_FORM: usize = 16 * 1024;

/// The password form of OAuth 2.
#[derive(Debug, ToSchema)]
#[schema(as = V2LoginForm, example = json!({"username": "your@email.com", "password": "yourpassword"}))]
pub struct LoginForm {
    /// The e-mail address, in any case.
    #[expect(dead_code, reason = "says in the document what the form holds")]
    username: String,
    #[expect(dead_code, reason = "the same")]
    password: String,
    /// `password`, if given.
    #[expect(dead_code, reason = "the same")]
    grant_type: Option<String>,
}

/// What clients send from now on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Token, example = json!({"access_token": "sk-tgs-…", "token_type": "bearer"}))]
pub struct Token {
    /// `Authorization: Bearer <access_token>`. It ends with its session: when that is revoked, when the
    /// password changes, and in time.
    access_token: String,
    #[schema(value_type = String)]
    token_type: &'static str,
}

/// Signs in with an e-mail address and a password.
#[utoipa::path(post, path = "/v2/login/access-token", operation_id = "v2_login", tag = "v2",
    request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Token), (status = 400, body = Detail), (status = 422, body = Detail),
        (status = 429, body = Detail)))]
pub async fn access_token(
    State(domain): State<Domain>,
    guest: Guest,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Token>> {
    cookies::check_form(&headers, &domain.config.sign_in)?;
    let form = read(&headers, &body)?;
    let password = Secret::new(form.password);
    let signed_in = sign_in::with_password(&domain, &guest.0, &form.username, &password).await;
    let signed_in = signed_in.map_err(|error| match error.code() {
        Code::CredentialsWrong => Error::new(Code::BadRequest, "Incorrect email or password"),
        // told to whom has shown the password
        Code::Forbidden => {
            let message = "Your account is inactive. Please contact your administrator.";
            Error::new(Code::BadRequest, message).caused_by(error)
        }
        _ => error,
    })?;
    Ok(Json(Token {
        access_token: signed_in.session.bearer.expose().to_owned(),
        token_type: "bearer",
    }))
}

struct Read {
    username: String,
    password: String,
}

/// Reads the form, which is no JSON.
fn read(headers: &HeaderMap, body: &[u8]) -> base::Result<Read> {
    let kind = headers.get(http::header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind.starts_with("application/x-www-form-urlencoded");
    let body = body.get(..LONGEST_FORM).unwrap_or(body);
    let fields: Vec<(String, String)> = match is_form {
        true => url::form_urlencoded::parse(body).into_owned().collect(),
        false => Vec::new(),
    };
    let field = |name: &str| {
        let mut fields = fields.iter();
        fields.find_map(|(known, value)| (known == name).then(|| value.clone()))
    };
    let mut places = Vec::new();
    let mut required = |name: &str| {
        field(name)
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| {
                places.push(
                    json!({"type": "missing", "loc": ["body", name], "msg": "Field required"}),
                );
                String::new()
            })
    };
    let (username, password) = (required("username"), required("password"));
    if !places.is_empty() {
        let message = "username and password are asked for, as a form";
        return Err(Error::new(Code::Validation, message).with_details(Value::Array(places)));
    }
    if field("grant_type").is_some_and(|grant| grant != "password") {
        return Err(wrong(
            json!(["body", "grant_type"]),
            "string_pattern_mismatch",
            "String should match pattern '^password$'",
            json!({"pattern": "^password$"}),
        ));
    }
    Ok(Read { username, password })
}

/// Says who a token belongs to.
#[utoipa::path(post, path = "/v2/login/test-token", operation_id = "v2_test_token", tag = "v2",
    responses((status = 200, body = UserPublic), (status = 401, body = Detail), (status = 403, body = Detail)))]
pub async fn test_token(State(domain): State<Domain>, actor: Anyone) -> Result<Json<UserPublic>> {
    Ok(Json(public(&domain, &actor).await?))
}

/// Mails a link that sets a new password, if the address is a user's. The answer is always the same.
#[utoipa::path(post, path = "/v2/password-recovery/{email}", operation_id = "v2_recover_password", tag = "v2",
    params(("email" = String, Path, example = "your@email.com")),
    responses((status = 200, body = Message), (status = 429, body = Detail)))]
pub async fn recover(
    State(domain): State<Domain>,
    guest: Guest,
    Path(email): Path<String>,
) -> Result<Json<Message>> {
    password_resets::request(&domain, &guest.0, &email).await?;
    Ok(Json(Message {
        message: "Password recovery email sent",
    }))
}

/// A new password, with the token of the mailed link.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = V2NewPassword)]
pub struct NewPassword {
    #[schema(value_type = String)]
    token: Required<String>,
    /// At least 8 characters, and as strong as the gateway asks for.
    #[schema(value_type = String)]
    new_password: Required<String>,
}

/// Sets a new password with a mailed link, which works once. All sessions end.
#[utoipa::path(post, path = "/v2/reset-password", operation_id = "v2_reset_password", tag = "v2",
    request_body = NewPassword,
    responses((status = 200, body = Message), (status = 400, body = Detail), (status = 422, body = Detail)))]
pub async fn reset(
    State(domain): State<Domain>,
    guest: Guest,
    Json(sent): Json<NewPassword>,
) -> Result<Json<Message>> {
    check_length("new_password", &sent.new_password.0, SHORTEST, LONGEST)?;
    let password = Secret::new(sent.new_password.0);
    let reset = password_resets::reset(&domain, &guest.0, &sent.token.0, password).await;
    let signed_in = reset.map_err(|error| match error.code() {
        Code::CredentialsWrong => Error::new(Code::BadRequest, "Invalid token"),
        _ => error,
    })?;
    end(&domain, &guest, &signed_in).await?;
    Ok(Json(Message {
        message: "Password updated successfully",
    }))
}

/// Nobody is given the session that a reset begins.
async fn end(domain: &Domain, guest: &Guest, signed_in: &SignedIn) -> base::Result<()> {
    let Some(user) = &signed_in.user else {
        return Ok(());
    };
    let actor = sign_in::actor(user, How::Link, &guest.0);
    sessions::end(domain, &actor, &signed_in.session.id).await
}
