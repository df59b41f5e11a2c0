//! The two pages that links lead to: asking for what was refused, deciding what was asked. Plain HTML
//! without scripts. Reading a page changes nothing (mail programs follow links by themselves); what is
//! done is done by sending its form.

use std::fmt::Write as _;

use axum::extract::{Form, FromRequestParts, State};
use axum::response::Response;
use base::{Error, Millis, Money};
use domain::Domain;
use domain::audit::{How, Origin};
use domain::mail::escape;
use domain::periods::Period;
use domain::requests::{self, Decision, Verdict};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::callers;
use crate::extract::Query;
use crate::pages;

/// Where a request without a key comes from.
pub struct Visitor(Origin);

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Visitor, Self::Rejection> {
        Ok(Visitor(callers::origin(parts, How::Link)))
    }
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct AskLink {
    token: String,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct DecideLink {
    link: String,
}

/// A form that asks.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct AskForm {
    token: String,
    /// Dollars.
    amount: String,
    /// `7d`, `1mo` …
    duration: String,
    reason: String,
}

/// A form that decides.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct DecideForm {
    link: String,
    /// `approve` or `decline`
    decision: String,
    /// Dollars.
    amount: String,
    note: String,
    /// The limit that the page has shown.
    seen_limit: String,
}

/// Shows the form that asks for what was refused.
#[utoipa::path(get, path = "/requests/ask", operation_id = "request_ask_page", tag = "requests",
    params(AskLink), responses((status = 200, body = String, content_type = "text/html")))]
pub async fn ask_page(State(domain): State<Domain>, Query(link): Query<AskLink>) -> Response {
    let offer = match requests::of_offer(&domain, &link.token) {
        Ok(offer) => offer,
        Err(error) => return refused(&domain, &error),
    };
    let mut body = String::new();
    let what = match (&offer.scope, &offer.model) {
        (Some(scope), _) => format!("more budget for your {}", scope.replace('_', " ")),
        (None, model) => format!("the model {}", model.as_deref().unwrap_or_default()),
    };
    let _ = write!(
        body,
        "<p>You ask for {} as {}. Somebody will decide.</p>\
         <form method=\"post\" action=\"ask\"><input type=\"hidden\" name=\"token\" value=\"{}\">",
        escape(&what),
        escape(&offer.user_id),
        escape(&link.token)
    );
    if offer.scope.is_some() {
        body.push_str(
            "<label for=\"amount\">Dollars</label>\n\
             <input id=\"amount\" name=\"amount\" inputmode=\"decimal\" required autofocus>\n",
        );
    }
    body.push_str(
        "<label for=\"duration\">For how long</label>\n\
         <input id=\"duration\" name=\"duration\" aria-describedby=\"rule\">\n\
         <p id=\"rule\">Such as 7d or 1mo; it may be left empty.</p>\n\
         <label for=\"reason\">Why</label>\n\
         <textarea id=\"reason\" name=\"reason\" rows=\"4\"></textarea>\n\
         <button>Ask</button>\n</form>\n",
    );
    page(&domain, StatusCode::OK, "Ask for more", &body)
}

/// Makes the request of a form.
#[utoipa::path(post, path = "/requests/ask", operation_id = "request_ask", tag = "requests",
    request_body(content = AskForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = String, content_type = "text/html")))]
pub async fn ask_form(
    State(domain): State<Domain>,
    Visitor(origin): Visitor,
    Form(form): Form<AskForm>,
) -> Response {
    let now = domain.clock.now();
    let amount = match read_amount(&form.amount, "amount") {
        Ok(amount) => amount,
        Err(error) => return refused(&domain, &error),
    };
    let text = form.duration.trim();
    let period = match (text, Period::parse(text)) {
        ("", _) => None,
        (_, Ok(period)) => Some(period.after(now).since(now)),
        (_, Err(_)) => {
            let message = "the time must be written like 12h, 7d or 1mo";
            return refused(&domain, &Error::new(base::Code::BadRequest, message));
        }
    };
    let why = Some(form.reason).filter(|reason| !reason.trim().is_empty());
    let asked = requests::ask_by_offer(&domain, origin, &form.token, amount, (period, why)).await;
    match asked {
        Err(error) => refused(&domain, &error),
        Ok(row) if row.status == requests::status::APPROVED => {
            let until = row.granted_until.map(Millis::to_rfc3339);
            let body = format!("<p>Granted until {}.</p>", until.unwrap_or_default());
            page(&domain, StatusCode::OK, "Granted", &body)
        }
        Ok(row) => {
            let body = format!(
                "<p>Your request {} waits to be decided.</p>",
                escape(&row.id)
            );
            page(&domain, StatusCode::OK, "Asked", &body)
        }
    }
}

/// Shows what is to be decided.
#[utoipa::path(get, path = "/requests/decide", operation_id = "request_decide_page", tag = "requests",
    params(DecideLink), responses((status = 200, body = String, content_type = "text/html")))]
pub async fn decide_page(State(domain): State<Domain>, Query(link): Query<DecideLink>) -> Response {
    let letter = match requests::of_letter(&domain, &link.link).await {
        Ok(letter) => letter,
        Err(error) => return refused(&domain, &error),
    };
    let row = letter.request;
    let mut body = format!(
        "<p><strong>{}</strong> asks for {}.</p>",
        escape(&letter.who),
        escape(&requests::in_words(&row))
    );
    if let Some(reason) = &row.reason {
        let _ = write!(body, "<blockquote>{}</blockquote>", escape(reason));
    }
    if let Some(limit) = letter.limit {
        let _ = write!(body, "<p>The limit is ${limit} now.</p>");
        if row.asked_limit != Some(limit) {
            body.push_str("<p><strong>It has changed since it was asked.</strong></p>");
        }
    }
    let _ = write!(
        body,
        "<form method=\"post\" action=\"decide\">\
         <input type=\"hidden\" name=\"link\" value=\"{}\">",
        escape(&link.link)
    );
    if let Some(limit) = letter.limit {
        let _ = write!(
            body,
            "<input type=\"hidden\" name=\"seen_limit\" value=\"{limit}\">"
        );
    }
    if let Some(amount) = row.amount {
        let _ = write!(
            body,
            "<label for=\"amount\">Dollars</label>\n\
             <input id=\"amount\" name=\"amount\" inputmode=\"decimal\" value=\"{amount}\">\n"
        );
    }
    body.push_str(
        "<label for=\"note\">Note</label>\n\
         <textarea id=\"note\" name=\"note\" rows=\"3\"></textarea>\n\
         <p class=\"both\"><button name=\"decision\" value=\"approve\">Approve</button> \
         <button class=\"second\" name=\"decision\" value=\"decline\">Decline</button></p>\n</form>\n",
    );
    page(&domain, StatusCode::OK, "Decide a request", &body)
}

/// Decides as a form says.
#[utoipa::path(post, path = "/requests/decide", operation_id = "request_decide", tag = "requests",
    request_body(content = DecideForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = String, content_type = "text/html")))]
pub async fn decide_form(
    State(domain): State<Domain>,
    Visitor(origin): Visitor,
    Form(form): Form<DecideForm>,
) -> Response {
    let decision = match read_decision(&form) {
        Ok(decision) => decision,
        Err(error) => return refused(&domain, &error),
    };
    match requests::decide_by_letter(&domain, origin, &form.link, decision).await {
        Err(error) => refused(&domain, &error),
        Ok(row) => {
            let body = format!(
                "<p>The request of {} is {}.</p>",
                escape(&row.user_id),
                escape(&row.status)
            );
            page(&domain, StatusCode::OK, "Decided", &body)
        }
    }
}

fn read_decision(form: &DecideForm) -> base::Result<Decision> {
    let verdict = match form.decision.as_str() {
        "approve" => Verdict::Approve,
        "decline" => Verdict::Decline,
        _ => {
            let message = "the decision is approve or decline";
            return Err(Error::new(base::Code::BadRequest, message));
        }
    };
    Ok(Decision {
        verdict,
        amount: read_amount(&form.amount, "amount")?,
        duration: None,
        note: Some(form.note.clone()),
        seen_limit: read_amount(&form.seen_limit, "seen_limit")?,
    })
}

fn read_amount(text: &str, name: &'static str) -> base::Result<Option<Money>> {
    match text.trim() {
        "" => Ok(None),
        text => {
            let amount = Money::from_dollars(text).filter(|amount| *amount >= Money::ZERO);
            let wrong = || {
                let message = format!("{name} must be a number of dollars");
                Error::new(base::Code::BadRequest, message)
            };
            amount.map(Some).ok_or_else(wrong)
        }
    }
}

fn refused(domain: &Domain, error: &Error) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    if status.is_server_error() {
        tracing::error!(%error, "request failed");
    }
    let body = pages::alert(Some(error.message()));
    page(domain, status, "That does not work", &body)
}

/// A whole page, whose forms go nowhere else.
fn page(domain: &Domain, status: StatusCode, title: &str, body: &str) -> Response {
    const POLICY: HeaderValue = HeaderValue::from_static(
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    );
    let mut response = pages::page(domain, status, title, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}
