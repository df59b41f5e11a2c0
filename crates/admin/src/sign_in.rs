//! Signing in and out, sessions and passwords (contract §9.7, §14.4, §14.5).

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use base::{Code, Error, Secret};
use domain::sessions::{self, Visitor};
use domain::sign_in::{self, SignedIn};
use domain::{Domain, password_resets, passwords};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use store::sessions::SessionRow;
use utoipa::{IntoParams, ToSchema};

use crate::callers::{Anyone, Client};
use crate::cookies;
use crate::error::{Refused, Result};
use crate::extract::{Json, OptionalJson, Query};
use crate::fields::{Required, Sent};
use crate::pages;

/// The longest form that is read.
const LONGEST_FORM: usize = 16 * 1024;

/// Somebody of whom is only known from where they come.
#[derive(Clone, Debug)]
pub struct Guest(pub Visitor);

impl<S: Send + Sync> FromRequestParts<S> for Guest {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> std::result::Result<Guest, Infallible> {
        let client = parts.extensions.get::<Client>();
        let agent = parts.headers.get(header::USER_AGENT);
        let device = cookies::read(&parts.headers, cookies::DEVICE);
        Ok(Guest(Visitor {
            address: client.map_or(sign_in::NOWHERE, |client| client.0),
            // ours have 43 letters
            device: device.filter(|device| device.len() <= 64).map(Secret::new),
            user_agent: agent
                .and_then(|agent| agent.to_str().ok())
                .map(str::to_owned),
        }))
    }
}

/// A name and a password. What is missing is as wrong as what is wrong.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct Credentials {
    /// An e-mail address, or the administrator's name of the configuration.
    #[schema(value_type = Option<String>)]
    username: Sent<String>,
    #[schema(value_type = Option<String>)]
    password: Sent<String>,
}

/// Who has signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    redirect_url: String,
    /// Names the user, and in `key` what clients send as their key.
    token: String,
}

/// Signs in with a form, as the sign-in page sends it, and leads to where the person wanted to go.
#[utoipa::path(post, path = "/login", operation_id = "sign_in_form", tag = "sign-in",
    request_body(content = Credentials, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303), (status = 401), (status = 429)))]
pub async fn login(
    State(domain): State<Domain>,
    guest: Guest,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    cookies::check_form(&headers, &domain.config.sign_in)?;
    let form = Form::read(&body);
    let password = Secret::new(form.get("password"));
    let next = form.get("next");
    match sign_in::with_password(&domain, &guest.0, form.get("username"), &password).await {
        Ok(signed_in) => Ok(entered(&domain, &signed_in, next)),
        Err(error) if pages::are_wanted(&headers) => Ok(pages::login_again(&domain, &error, next)),
        Err(error) => Err(error.into()),
    }
}

/// Signs in and gives what clients of the management API send as their key.
#[utoipa::path(post, path = "/v2/login", operation_id = "sign_in", tag = "sign-in", request_body = Credentials,
    responses((status = 200, body = Login), (status = 401), (status = 429)))]
pub async fn login_v2(
    State(domain): State<Domain>,
    guest: Guest,
    headers: HeaderMap,
    OptionalJson(sent): OptionalJson<Credentials>,
) -> Result<Response> {
    cookies::check_form(&headers, &domain.config.sign_in)?;
    let name = sent.username.0.value().unwrap_or_default();
    let password = Secret::new(sent.password.0.value().unwrap_or_default());
    let signed_in = sign_in::with_password(&domain, &guest.0, &name, &password).await?;
    let answer = Json(Login {
        redirect_url: domain.config.sign_in.link(HOME),
        token: signed_in.statement(&domain),
    });
    Ok(with_cookies(&domain, &signed_in, answer.into_response()))
}

/// Where people are led after signing in (contract §14.4).
const HOME: &str = "/ui?login=success";

/// Leads somebody who has signed in to `next`, if that is a page of ours.
pub fn entered(domain: &Domain, signed_in: &SignedIn, next: &str) -> Response {
    let path = match is_own_path(next) {
        true => next,
        false => HOME,
    };
    let response = pages::see_other(&domain.config.sign_in.link(path));
    with_cookies(domain, signed_in, response)
}

/// A path and no address: `//host` and `/\host` lead elsewhere.
pub fn is_own_path(next: &str) -> bool {
    let mut letters = next.chars();
    letters.next() == Some('/')
        && !matches!(letters.next(), Some('/' | '\\'))
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

pub fn with_cookies(domain: &Domain, signed_in: &SignedIn, mut response: Response) -> Response {
    let config = &domain.config.sign_in;
    let headers = response.headers_mut();
    let session = cookies::session(config, &signed_in.cookie(domain));
    headers.append(header::SET_COOKIE, session);
    if let Some(device) = &signed_in.device {
        let device = cookies::device(config, device.expose());
        headers.append(header::SET_COOKIE, device);
    }
    response
}

/// A form as browsers send it. What is not there is empty.
pub struct Form(Vec<(String, String)>);

impl Form {
    pub fn read(body: &[u8]) -> Form {
        let body = body.get(..LONGEST_FORM).unwrap_or(body);
        Form(url::form_urlencoded::parse(body).into_owned().collect())
    }

    pub fn get(&self, name: &str) -> &str {
        let mut fields = self.0.iter();
        let found = fields.find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    #[schema(value_type = String)]
    message: &'static str,
}

/// Ends the session that the request is made with.
#[utoipa::path(post, path = "/session/logout", operation_id = "session_logout", tag = "sign-in",
    responses((status = 200, body = Done), (status = 403)))]
pub async fn logout(State(domain): State<Domain>, actor: Anyone) -> Result<Response> {
    let session = sessions::required(&actor.caller).map_err(Refused::detail)?;
    sessions::end(&domain, &actor, &session.id).await?;
    let mut response = Json(Done {
        message: "Session revoked.",
    })
    .into_response();
    let gone = cookies::no_session(&domain.config.sign_in);
    response.headers_mut().append(header::SET_COOKIE, gone);
    Ok(response)
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionObject {
    session_id: String,
    user_id: String,
    /// `password`, `invitation`, `reset`, `sso` or `administrator`.
    method: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    /// The address and the browser that it began with.
    address: Option<String>,
    user_agent: Option<String>,
    /// The session that the request is made with.
    is_current: bool,
}

/// Sessions that have not ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sessions {
    sessions: Vec<SessionObject>,
}

/// Whose sessions.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct OfUser {
    /// One's own if not given; another's for administrators.
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    user_id: Sent<String>,
}

impl OfUser {
    fn of(self, actor: &Anyone, may_see: bool) -> Result<String> {
        let own = actor.user_id.clone();
        let asked = self.user_id.0.value();
        match asked.or_else(|| own.clone()) {
            Some(id) if may_see || Some(&id) == own.as_ref() => Ok(id),
            Some(_) => {
                let message = "sessions of others are for administrators";
                Err(Error::new(Code::Forbidden, message).param("user_id").into())
            }
            None => {
                let message = "a key without a user has no sessions";
                Err(Error::new(Code::BadRequest, message)
                    .param("user_id")
                    .into())
            }
        }
    }
}

/// Lists sessions: one's own, or anybody's for administrators.
#[utoipa::path(get, path = "/session/list", operation_id = "session_list", tag = "sign-in", params(OfUser),
    responses((status = 200, body = Sessions)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<OfUser>,
) -> Result<Json<Sessions>> {
    let user_id = query.of(&actor, actor.sees_all())?;
    let rows = sessions::list(&domain, &user_id).await?;
    let current = actor.session.as_ref().map(|session| session.id.as_str());
    let object = |row: SessionRow| SessionObject {
        is_current: current == Some(&row.id),
        session_id: row.id,
        user_id: row.user_id,
        method: row.method,
        created_at: row.created_at.to_rfc3339(),
        last_used_at: row.last_used_at.to_rfc3339(),
        expires_at: row.expires_at.to_rfc3339(),
        address: row.address,
        user_agent: row.user_agent,
    };
    Ok(Json(Sessions {
        sessions: rows.into_iter().map(object).collect(),
    }))
}

/// Which session.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SessionId {
    #[schema(value_type = String)]
    session_id: Required<String>,
}

/// Ends one session: one's own, or anybody's for administrators.
#[utoipa::path(post, path = "/session/revoke", operation_id = "session_revoke", tag = "sign-in", request_body = SessionId,
    responses((status = 200, body = Done), (status = 404)))]
pub async fn revoke(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<SessionId>,
) -> Result<Json<Done>> {
    sessions::end(&domain, &actor, &sent.session_id.0).await?;
    Ok(Json(Done {
        message: "Session revoked.",
    }))
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revoked {
    revoked: u64,
}

/// Ends all sessions of a user: one's own, or anybody's for administrators.
#[utoipa::path(post, path = "/session/revoke_all", operation_id = "session_revoke_all", tag = "sign-in",
    request_body = OfUser, responses((status = 200, body = Revoked)))]
pub async fn revoke_all(
    State(domain): State<Domain>,
    actor: Anyone,
    OptionalJson(sent): OptionalJson<OfUser>,
) -> Result<Json<Revoked>> {
    let user_id = sent.of(&actor, actor.is_admin())?;
    let revoked = sessions::end_all(&domain, &actor, &user_id).await?;
    Ok(Json(Revoked { revoked }))
}

/// The password as it is and as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PasswordChange {
    #[schema(value_type = String)]
    current_password: Required<String>,
    #[schema(value_type = String)]
    new_password: Required<String>,
}

/// A user whose password was changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasswordChanged {
    user_id: String,
    #[schema(value_type = String)]
    message: &'static str,
}

/// Changes one's own password. All sessions end, this one too.
#[utoipa::path(post, path = "/user/password/change", operation_id = "password_change", tag = "sign-in",
    request_body = PasswordChange, responses((status = 200, body = PasswordChanged), (status = 400)))]
pub async fn change_password(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<PasswordChange>,
) -> Result<Json<PasswordChanged>> {
    let current = Secret::new(sent.current_password.0);
    let new = Secret::new(sent.new_password.0);
    let changed = passwords::change(&domain, &actor, current, new).await;
    let user_id = changed.map_err(|error| match error.code() {
        Code::BadRequest => Refused::detail(error),
        _ => error.into(),
    })?;
    Ok(Json(PasswordChanged {
        user_id,
        message: "Password updated successfully.",
    }))
}

/// Who lost a password.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Lost {
    #[schema(value_type = String)]
    email: Required<String>,
}

/// Mails a link that sets a new password, if the address is a user's. The answer is always the same.
#[utoipa::path(post, path = "/user/password/forgot", operation_id = "password_forgot", tag = "sign-in",
    request_body = Lost, responses((status = 200, body = Done), (status = 429)))]
pub async fn forgot_password(
    State(domain): State<Domain>,
    guest: Guest,
    Json(sent): Json<Lost>,
) -> Result<Json<Done>> {
    password_resets::request(&domain, &guest.0, &sent.email.0).await?;
    Ok(Json(Done { message: MAILED }))
}

/// What is said whether or not there is such a user.
pub const MAILED: &str = "If there is an account with this address, a mail with a link is on its way. The link works once, for one hour.";

/// A new password, and the token of the mailed link.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Reset {
    #[schema(value_type = String)]
    token: Required<String>,
    #[schema(value_type = String)]
    password: Required<String>,
}

/// Sets a new password with a mailed link, and signs in.
#[utoipa::path(post, path = "/user/password/reset", operation_id = "password_reset", tag = "sign-in",
    request_body = Reset, responses((status = 200, body = Login), (status = 400), (status = 401)))]
pub async fn reset_password(
    State(domain): State<Domain>,
    guest: Guest,
    headers: HeaderMap,
    Json(sent): Json<Reset>,
) -> Result<Response> {
    cookies::check_form(&headers, &domain.config.sign_in)?;
    let password = Secret::new(sent.password.0);
    let signed_in = password_resets::reset(&domain, &guest.0, &sent.token.0, password).await?;
    let answer = Json(Login {
        redirect_url: domain.config.sign_in.link(HOME),
        token: signed_in.statement(&domain),
    });
    Ok(with_cookies(&domain, &signed_in, answer.into_response()))
}

/// A sign-in page that is there even when people are led to an identity provider.
#[utoipa::path(get, path = "/fallback/login", operation_id = "sign_in_page", tag = "sign-in", responses((status = 200)))]
pub async fn fallback(State(domain): State<Domain>) -> Response {
    pages::login_page(&domain, StatusCode::OK, None, "")
}

/// What the web interface is told about where it lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct UiSettings {
    #[serde(rename = "PROXY_BASE_URL")]
    proxy_base_url: Option<String>,
    #[serde(rename = "PROXY_LOGOUT_URL")]
    proxy_logout_url: Option<String>,
    #[serde(rename = "LITELLM_UI_API_DOC_BASE_URL")]
    api_doc_base_url: Option<String>,
    #[serde(rename = "DEFAULT_TEAM_DISABLED")]
    default_team_disabled: bool,
    #[serde(rename = "SSO_ENABLED")]
    sso_enabled: bool,
    #[serde(rename = "NUM_SPEND_LOGS_ROWS")]
    num_spend_logs_rows: i64,
    #[serde(rename = "DISABLE_EXPENSIVE_DB_QUERIES")]
    disable_expensive_db_queries: bool,
}

/// Says where the web interface lives and where signing out leads.
#[utoipa::path(get, path = "/sso/get/ui_settings", operation_id = "ui_settings", tag = "sign-in",
    responses((status = 200, body = UiSettings)))]
pub async fn ui_settings(State(domain): State<Domain>, _: Anyone) -> Json<UiSettings> {
    let config = &domain.config;
    Json(UiSettings {
        proxy_base_url: config.sign_in.public_url.clone(),
        proxy_logout_url: config.sign_in.logout_url.clone(),
        api_doc_base_url: None,
        default_team_disabled: config.personal_keys_disabled,
        sso_enabled: config.federation.provider.is_some(),
        num_spend_logs_rows: -1,
        disable_expensive_db_queries: false,
    })
}

/// What the web interface needs before anybody has signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct UiConfig {
    server_root_path: String,
    proxy_base_url: Option<String>,
    auto_redirect_to_sso: bool,
    admin_ui_disabled: bool,
    sso_configured: bool,
    hide_default_credentials_hint: bool,
    is_control_plane: bool,
    mcp_stdio_enabled: bool,
    #[schema(value_type = Vec<Object>)]
    workers: Vec<serde_json::Value>,
}

/// Says where the web interface lives.
#[utoipa::path(get, path = "/.well-known/litellm-ui-config", operation_id = "ui_config", tag = "sign-in",
    responses((status = 200, body = UiConfig)))]
pub async fn ui_config(State(domain): State<Domain>) -> Json<UiConfig> {
    let federation = &domain.config.federation;
    let config = &domain.config.sign_in;
    Json(UiConfig {
        server_root_path: config.root_path.clone(),
        proxy_base_url: config.public_url.clone(),
        auto_redirect_to_sso: federation.auto_redirect && federation.usable().is_some(),
        admin_ui_disabled: false,
        sso_configured: federation.provider.is_some(),
        hide_default_credentials_hint: true,
        is_control_plane: false,
        mcp_stdio_enabled: false,
        workers: Vec::new(),
    })
}

/// Takes the session's cookie away.
pub fn without_session(domain: &Domain, mut response: Response) -> Response {
    let gone: HeaderValue = cookies::no_session(&domain.config.sign_in);
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_site() {
        for own in ["/ui", "/ui/keys?page=2#top", "/"] {
            assert!(is_own_path(own), "{own}");
        }
        for foreign in [
            "",
            "ui",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/ui\r\nset-cookie: a=b",
            "/ a",
            "/\t/evil.example",
        ] {
            assert!(!is_own_path(foreign), "{foreign}");
        }
    }
}
