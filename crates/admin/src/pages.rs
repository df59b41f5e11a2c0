//! Plain pages for signing in, accepting an invitation and setting a new password: HTML and forms
//! that work without a script, for people who follow a mailed link.
//!
//! They are no operations of the API. Whatever people have named is escaped; nothing is loaded from
//! elsewhere; no page may be framed, kept or told to others as a referrer.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use base::{Code, Error, Secret};
use domain::federation::Kind;
use domain::invitations::{self, Claim};
use domain::mail::escape;
use domain::{Actor, Domain, auth, password_resets, sessions};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use crate::callers::{self, Client};
use crate::cookies;
use crate::sign_in::{Form, Guest, MAILED, entered, without_session};

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// All pages.
pub fn router() -> Router<Domain> {
    Router::new()
        .route("/ui", get(home))
        .route("/ui/", get(home))
        .route("/ui/login", get(login))
        .route("/ui/logout", post(logout))
        .route("/ui/onboarding", get(onboarding).post(accept))
        .route("/ui/password/forgot", get(forgot).post(send_reset))
        .route("/ui/password/reset", get(reset).post(set_password))
}

/// Whether the client shows pages to a person.
pub fn are_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept.is_some_and(|accept| accept.to_str().unwrap_or_default().contains("text/html"))
}

/// Leads to another page.
pub fn see_other(location: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    // a configured address is ASCII; what is not cannot be led to
    let location = HeaderValue::from_str(location);
    let location = location.unwrap_or(HeaderValue::from_static("/ui"));
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// A whole page; `content` is HTML.
pub fn page(domain: &Domain, status: StatusCode, title: &str, content: &str) -> Response {
    let root = &domain.config.sign_in.root_path;
    let title = escape(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · Tollgate</title>\n\
         <link rel=\"stylesheet\" href=\"{root}/ui/sign-in.css\">\n</head>\n<body>\n<main>\n\
         <p class=\"brand\">Tollgate</p>\n<h1>{title}</h1>\n{content}</main>\n</body>\n</html>\n"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What went wrong, for people and their screen readers.
pub fn alert(error: Option<&str>) -> String {
    let alert = |error| format!("<p role=\"alert\">{}</p>\n", escape(&sentence(error)));
    error.map_or_else(String::new, alert)
}

/// A message as a sentence: the API's begin small and end without a stop.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if message.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}

fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What a person reads of an error.
fn told(error: &Error) -> &str {
    match error.code() {
        Code::CredentialsWrong if error.parameter().is_some() => {
            "The name or the password is wrong."
        }
        _ => error.message(),
    }
}

/// The sign-in page.
pub fn login_page(
    domain: &Domain,
    status: StatusCode,
    error: Option<&str>,
    next: &str,
) -> Response {
    let root = &domain.config.sign_in.root_path;
    let forgot = match domain.config.mail {
        Some(_) => {
            format!("<p><a href=\"{root}/ui/password/forgot\">Forgot the password?</a></p>\n")
        }
        None => String::new(),
    };
    let provider = match domain.config.federation.usable() {
        Some(provider) => {
            let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let name = match provider.kind {
                Kind::Generic => "single sign-on",
                kind => kind.title(),
            };
            format!(
                "<p><a class=\"button\" href=\"{root}/sso/key/generate?next={next}\">Sign in with \
                 {name}</a></p>\n"
            )
        }
        None => String::new(),
    };
    let content = format!(
        "{}{provider}<form method=\"post\" action=\"{root}/login\">\n\
         <input type=\"hidden\" name=\"next\" value=\"{}\">\n\
         <label for=\"username\">E-mail address</label>\n\
         <input id=\"username\" name=\"username\" autocomplete=\"username\" required autofocus>\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" \
         autocomplete=\"current-password\" required>\n\
         <button>Sign in</button>\n</form>\n{forgot}",
        alert(error),
        escape(next),
    );
    page(domain, status, "Sign in", &content)
}

/// What somebody reads whom the identity provider did not bring in.
pub fn sso_failed(domain: &Domain, error: &Error) -> Response {
    let root = &domain.config.sign_in.root_path;
    let content = format!(
        "{}<p><a href=\"{root}/sso/key/generate\">Try again</a>, or <a \
         href=\"{root}/fallback/login\">sign in with a password</a>.</p>\n",
        alert(Some(told(error))),
    );
    page(domain, status(error), "Sign in", &content)
}

/// The sign-in page after a try that failed.
pub fn login_again(domain: &Domain, error: &Error, next: &str) -> Response {
    let mut response = login_page(domain, status(error), Some(told(error)), next);
    if let Some(delay) = error.retry_delay() {
        let seconds = HeaderValue::from(delay.as_secs().max(1));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoginQuery {
    next: String,
}

async fn login(State(domain): State<Domain>, Query(query): Query<LoginQuery>) -> Response {
    let federation = &domain.config.federation;
    if federation.auto_redirect && federation.usable().is_some() {
        let next: String = url::form_urlencoded::byte_serialize(query.next.as_bytes()).collect();
        let root = &domain.config.sign_in.root_path;
        return see_other(&format!("{root}/sso/key/generate?next={next}"));
    }
    login_page(&domain, StatusCode::OK, None, &query.next)
}

/// Whoever the session's cookie says.
async fn visitor(domain: &Domain, headers: &HeaderMap) -> Option<std::sync::Arc<domain::Caller>> {
    let cookie = cookies::read(headers, cookies::SESSION)?;
    let token = sessions::token_of_cookie(cookie)?;
    // a session is bound to no networks, so the address does not matter
    auth::authenticate(domain, &token, None).await.ok()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HomeQuery {
    /// An invitation, as links of older mails have it (contract §14.1).
    invitation_id: String,
}

/// Says who has signed in; stands where the web interface will.
async fn home(
    State(domain): State<Domain>,
    headers: HeaderMap,
    Query(query): Query<HomeQuery>,
) -> Response {
    let root = &domain.config.sign_in.root_path;
    if !query.invitation_id.is_empty() {
        return onboarding_page(&domain, &query.invitation_id, None).await;
    }
    let Some(caller) = visitor(&domain, &headers).await else {
        return see_other(&format!("{root}/ui/login"));
    };
    let user = caller.user.as_ref();
    let name = user.and_then(|user| user.email.as_deref());
    let name = name.or(caller.user_id.as_deref()).unwrap_or_default();
    let role = caller.role.map_or("no role", domain::Role::as_str);
    let content = format!(
        "<p>You are signed in as <b>{}</b> ({role}).</p>\n\
         <p>The <a href=\"{root}/docs\">API reference</a> says how to make keys and see what \
         they cost.</p>\n\
         <form method=\"post\" action=\"{root}/ui/logout\"><button>Sign out</button></form>\n",
        escape(name),
    );
    page(&domain, StatusCode::OK, "Signed in", &content)
}

async fn logout(
    State(domain): State<Domain>,
    client: Option<axum::Extension<Client>>,
    headers: HeaderMap,
) -> Response {
    if let Err(error) = cookies::check_own(&http::Method::POST, &headers, &domain.config.sign_in) {
        return page(
            &domain,
            status(&error),
            "Sign out",
            &alert(Some(told(&error))),
        );
    }
    if let Some(caller) = visitor(&domain, &headers).await
        && let Some(session) = caller.session.clone()
    {
        let actor = Actor {
            origin: callers::session_origin(&session, client.map(|client| client.0), &headers),
            caller,
            changed_by: None,
            is_delegate: false,
        };
        if let Err(error) = sessions::end(&domain, &actor, &session.id).await {
            return page(
                &domain,
                status(&error),
                "Sign out",
                &alert(Some(told(&error))),
            );
        }
    }
    let config = &domain.config.sign_in;
    let federation = &domain.config.federation;
    let page = match federation.auto_redirect && federation.usable().is_some() {
        // the sign-in page would lead to the provider, which would sign them in again
        true => "/fallback/login",
        false => "/ui/login",
    };
    let login = format!("{}{page}", config.root_path);
    let response = see_other(config.logout_url.as_ref().unwrap_or(&login));
    without_session(&domain, response)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OnboardingQuery {
    id: String,
    /// The same, as mailed links of the reference spell it.
    invitation_id: String,
}

async fn onboarding(
    State(domain): State<Domain>,
    Query(query): Query<OnboardingQuery>,
) -> Response {
    let id = match query.id.is_empty() {
        true => &query.invitation_id,
        false => &query.id,
    };
    onboarding_page(&domain, id, None).await
}

const INVITED: &str = "Choose a password";

async fn onboarding_page(domain: &Domain, id: &str, error: Option<&Error>) -> Response {
    let opening = match invitations::open(domain, id).await {
        Ok(opening) => opening,
        Err(error) => {
            let content = format!(
                "{}<p>Ask whoever invited you for a new link, or <a href=\"{}/ui/login\">sign \
                 in</a>.</p>\n",
                alert(Some(told(&error))),
                domain.config.sign_in.root_path,
            );
            return page(domain, status(&error), "Invitation", &content);
        }
    };
    let user = &opening.user;
    let name = user.email.as_deref().unwrap_or(&user.id);
    let hidden = format!(
        "<input type=\"hidden\" name=\"id\" value=\"{}\">\n\
         <input type=\"hidden\" name=\"user_id\" value=\"{}\">\n\
         <input type=\"hidden\" name=\"proof\" value=\"{}\">\n",
        escape(id),
        escape(&user.id),
        escape(&opening.proof),
    );
    let form = password_form(domain, "/ui/onboarding", &hidden, name);
    let content = format!(
        "{}<p>You are invited as <b>{}</b>.</p>\n{form}",
        alert(error.map(told)),
        escape(name),
    );
    page(
        domain,
        error.map_or(StatusCode::OK, status),
        INVITED,
        &content,
    )
}

/// A form that asks for a new password, twice.
fn password_form(domain: &Domain, action: &str, hidden: &str, name: &str) -> String {
    let config = &domain.config.sign_in;
    let (root, shortest, name) = (&config.root_path, config.shortest_password, escape(name));
    format!(
        "<form method=\"post\" action=\"{root}{action}\">\n{hidden}\
         <input type=\"hidden\" name=\"username\" autocomplete=\"username\" value=\"{name}\">\n\
         <label for=\"password\">New password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" minlength=\"{shortest}\" \
         autocomplete=\"new-password\" aria-describedby=\"rule\" required autofocus>\n\
         <p id=\"rule\">At least {shortest} letters, and not what many others use. Three or four \
         words are good.</p>\n\
         <label for=\"again\">The same once more</label>\n\
         <input id=\"again\" name=\"again\" type=\"password\" autocomplete=\"new-password\" \
         required>\n<button>Set the password</button>\n</form>\n"
    )
}

/// The password of a form, if both fields say the same.
fn chosen(form: &Form) -> base::Result<Secret> {
    match form.get("password") == form.get("again") {
        true => Ok(Secret::new(form.get("password"))),
        false => Err(Error::new(
            Code::PasswordWeak,
            "The two passwords are not the same.",
        )),
    }
}

async fn accept(
    State(domain): State<Domain>,
    guest: Guest,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::read(&body);
    let accepted = async {
        cookies::check_form(&headers, &domain.config.sign_in)?;
        let claim = Claim {
            id: form.get("id"),
            user_id: form.get("user_id"),
            password: chosen(&form)?,
            proof: Some(form.get("proof")),
        };
        invitations::claim(&domain, &guest.0, claim).await
    };
    match accepted.await {
        Ok(signed_in) => entered(&domain, &signed_in, ""),
        Err(error) => onboarding_page(&domain, form.get("id"), Some(&error)).await,
    }
}

const LOST: &str = "Forgot the password";

async fn forgot(State(domain): State<Domain>) -> Response {
    forgot_page(&domain, None)
}

fn forgot_page(domain: &Domain, error: Option<&Error>) -> Response {
    let content = format!(
        "{}<form method=\"post\" action=\"{}/ui/password/forgot\">\n\
         <label for=\"email\">E-mail address</label>\n\
         <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"email\" required \
         autofocus>\n<button>Send me a link</button>\n</form>\n",
        alert(error.map(told)),
        domain.config.sign_in.root_path,
    );
    page(domain, error.map_or(StatusCode::OK, status), LOST, &content)
}

async fn send_reset(
    State(domain): State<Domain>,
    guest: Guest,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::read(&body);
    let asked = async {
        cookies::check_form(&headers, &domain.config.sign_in)?;
        password_resets::request(&domain, &guest.0, form.get("email")).await
    };
    match asked.await {
        Ok(()) => page(&domain, StatusCode::OK, LOST, &format!("<p>{MAILED}</p>\n")),
        Err(error) => forgot_page(&domain, Some(&error)),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResetQuery {
    token: String,
}

async fn reset(State(domain): State<Domain>, Query(query): Query<ResetQuery>) -> Response {
    reset_page(&domain, &query.token, None).await
}

async fn reset_page(domain: &Domain, token: &str, error: Option<&Error>) -> Response {
    const TITLE: &str = "Set a new password";
    if let Err(error) = password_resets::find(domain, token).await {
        let content = format!(
            "{}<p><a href=\"{}/ui/password/forgot\">Ask for another link</a>.</p>\n",
            alert(Some(told(&error))),
            domain.config.sign_in.root_path,
        );
        return page(domain, status(&error), TITLE, &content);
    }
    let hidden = format!(
        "<input type=\"hidden\" name=\"token\" value=\"{}\">\n",
        escape(token)
    );
    let form = password_form(domain, "/ui/password/reset", &hidden, "");
    let content = format!("{}{form}", alert(error.map(told)));
    page(
        domain,
        error.map_or(StatusCode::OK, status),
        TITLE,
        &content,
    )
}

async fn set_password(
    State(domain): State<Domain>,
    guest: Guest,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::read(&body);
    let set = async {
        cookies::check_form(&headers, &domain.config.sign_in)?;
        let password = chosen(&form)?;
        password_resets::reset(&domain, &guest.0, form.get("token"), password).await
    };
    match set.await {
        Ok(signed_in) => entered(&domain, &signed_in, ""),
        Err(error) => reset_page(&domain, form.get("token"), Some(&error)).await,
    }
}
