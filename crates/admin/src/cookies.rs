//! Cookies of people who sign in, and the protection of what a browser sends with them.
//!
//! A browser adds cookies to requests that other sites make, so a request that changes something and
//! is authenticated by its cookie must show that it comes from our own pages: by what the browser
//! says of its origin, or by a header that other sites cannot add.

use std::time::Duration;

use base::{Code, Error};
use domain::config::SignInConfig;
use http::{HeaderMap, HeaderValue, Method, header};

/// The session (contract §14.4).
pub const SESSION: &str = "token";
/// A sign-in that is under way at an identity provider (contract §15).
pub const STATE: &str = "sso_state";
/// What makes a browser known to whom has signed in with it.
pub const DEVICE: &str = "tollgate_device";
/// A header that shows that a request is not another site's: such a site would have to ask first.
pub const OWN_HEADER: &str = "x-tollgate-request";

const YEAR_IN_SECONDS: u64 = 365 * 24 * 60 * 60;

/// The value of a cookie.
pub fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.to_str().unwrap_or_default().split(';'));
    let value = pairs.find_map(|pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name).then(|| value.trim_matches('"'))
    })?;
    (!value.is_empty()).then_some(value)
}

/// A cookie that lasts as long as the browser is open, for our own pages alone.
pub fn session(config: &SignInConfig, value: &str) -> HeaderValue {
    cookie(config, SESSION, value, "")
}

/// Takes the session's cookie away.
pub fn no_session(config: &SignInConfig) -> HeaderValue {
    cookie(config, SESSION, "", "; Max-Age=0")
}

/// The cookie of a sign-in at an identity provider, which leads back from there.
pub fn state(config: &SignInConfig, value: &str, age: Duration) -> HeaderValue {
    let age = format!("; Max-Age={}", age.as_secs());
    cookie(config, STATE, value, &age)
}

/// Takes it away.
pub fn no_state(config: &SignInConfig) -> HeaderValue {
    cookie(config, STATE, "", "; Max-Age=0")
}

/// The cookie of a device.
pub fn device(config: &SignInConfig, value: &str) -> HeaderValue {
    let age = format!("; Max-Age={YEAR_IN_SECONDS}");
    cookie(config, DEVICE, value, &age)
}

fn cookie(config: &SignInConfig, name: &str, value: &str, more: &str) -> HeaderValue {
    let secure = if config.is_secure() { "; Secure" } else { "" };
    let path = match config.root_path.as_str() {
        "" => "/",
        path => path,
    };
    let text = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}{more}");
    HeaderValue::from_str(&text).expect("tokens and paths are plain ASCII")
}

/// Whether a request that came with a cookie was made by our own pages.
///
/// # Errors
/// [`Code::Forbidden`] when it changes something and does not show that.
pub fn check_own(method: &Method, headers: &HeaderMap, config: &SignInConfig) -> base::Result<()> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    if headers.contains_key(OWN_HEADER) || is_own_origin(headers, config) == Some(true) {
        return Ok(());
    }
    Err(foreign())
}

/// Whether a form was sent by our own pages, as far as the browser says; clients that are no browsers
/// say nothing.
///
/// # Errors
/// [`Code::Forbidden`] when it comes from elsewhere.
pub fn check_form(headers: &HeaderMap, config: &SignInConfig) -> base::Result<()> {
    match is_own_origin(headers, config) {
        Some(false) => Err(foreign()),
        _ => Ok(()),
    }
}

fn foreign() -> Error {
    Error::new(
        Code::Forbidden,
        format!(
            "the request comes from another site: with a session's cookie, send the header \
             {OWN_HEADER}, or authenticate with a key"
        ),
    )
}

/// What the browser says of the page that made a request; `None` when it says nothing.
fn is_own_origin(headers: &HeaderMap, config: &SignInConfig) -> Option<bool> {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    if let Some(site) = text("sec-fetch-site") {
        return Some(matches!(site, "same-origin" | "none"));
    }
    let origin = text("origin")?;
    let host = text("host").unwrap_or_default();
    let is_of_host = origin
        .split_once("://")
        .is_some_and(|(_, origin_host)| !host.is_empty() && origin_host == host);
    let is_public = config.public_url.as_ref().is_some_and(|url| {
        let own = url::Url::parse(url).map(|url| url.origin().ascii_serialization());
        own.is_ok_and(|own| own == origin)
    });
    Some(is_of_host || is_public)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn cookies_are_read_by_their_whole_name() {
        let headers = headers(&[("cookie", "xtoken=1; token=\"abc\""), ("cookie", "a=b")]);
        assert_eq!(read(&headers, "token"), Some("abc"));
        assert_eq!(read(&headers, "a"), Some("b"));
        assert_eq!(read(&headers, "oken"), None);
    }

    #[test]
    fn cookies_are_for_our_pages_alone() {
        let config = SignInConfig {
            public_url: Some("https://a.example".to_owned()),
            root_path: "/llm".to_owned(),
            ..SignInConfig::default()
        };
        assert_eq!(
            session(&config, "v").to_str().unwrap(),
            "token=v; Path=/llm; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            no_session(&SignInConfig::default()).to_str().unwrap(),
            "token=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
        );
    }

    #[test]
    fn other_sites_change_nothing() {
        let config = SignInConfig {
            public_url: Some("https://a.example/llm".to_owned()),
            ..SignInConfig::default()
        };
        let may = |pairs: &[(&'static str, &str)]| {
            check_own(&Method::POST, &headers(pairs), &config).is_ok()
        };
        assert!(may(&[("sec-fetch-site", "same-origin")]));
        assert!(may(&[("origin", "https://a.example")]));
        assert!(may(&[("origin", "http://gw:4000"), ("host", "gw:4000")]));
        assert!(may(&[(OWN_HEADER, "1")]));
        assert!(!may(&[]));
        assert!(!may(&[("sec-fetch-site", "cross-site")]));
        assert!(!may(&[("sec-fetch-site", "same-site")]));
        assert!(!may(&[("origin", "null")]));
        assert!(!may(&[
            ("origin", "https://a.example.evil"),
            ("host", "a.example")
        ]));
        assert!(check_own(&Method::GET, &headers(&[]), &config).is_ok());
        assert!(check_form(&headers(&[]), &config).is_ok());
        assert!(check_form(&headers(&[("origin", "https://evil")]), &config).is_err());
    }
}
