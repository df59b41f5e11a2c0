//! Signing in at an identity provider: whoever it proves comes in as themselves, and nobody else does.

use std::time::Duration;

use base::Clock;
use serde_json::{Value, json};
use testkit::identity::{CLIENT_ID, CLIENT_SECRET};
use testkit::{Fault, IdentityProvider};

use crate::app::{Answer, Setup, TestApp};
use crate::golden::Golden;
use crate::sign_in::{claims, cookies};

const PUBLIC_URL: &str = "http://gateway.example";

fn ada() -> Value {
    json!({
        "sub": "ada-1", "email": "Ada@Example.com", "email_verified": true, "name": "Ada L",
    })
}

pub fn setup(provider: &IdentityProvider, clock: &Clock) -> Setup {
    Setup::default()
        .clock(clock.clone())
        .variable("PUBLIC_URL", PUBLIC_URL)
        .variable("GENERIC_CLIENT_ID", CLIENT_ID)
        .variable("GENERIC_CLIENT_SECRET", CLIENT_SECRET)
        .variable("GENERIC_ISSUER", &provider.issuer())
}

pub async fn provider() -> (IdentityProvider, Clock) {
    let clock = Clock::fixed(Clock::system().now());
    let provider = IdentityProvider::start(clock.clone()).await;
    provider.user(ada());
    (provider, clock)
}

/// Leaves for the provider; gives where to, and the cookie.
async fn leave(app: &TestApp, query: &str) -> (String, String) {
    let path = format!("/sso/key/generate{query}");
    let left = app.get(&path).without_key().await;
    assert_eq!(left.status, 303, "{left}");
    let cookie = left.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly; SameSite=Lax; Max-Age=600"),
        "{cookie}"
    );
    (left.header("location").to_owned(), cookies(&left))
}

/// Comes back the way that the provider leads, with a cookie.
async fn back(app: &TestApp, location: &str, cookie: &str) -> Answer {
    let path = location
        .strip_prefix(PUBLIC_URL)
        .expect("back to the gateway");
    let call = app.get(path).without_key();
    match cookie.is_empty() {
        true => call.await,
        false => call.header("cookie", cookie).await,
    }
}

/// There and back.
pub async fn sign_in(app: &TestApp, provider: &IdentityProvider) -> Answer {
    let (location, cookie) = leave(app, "").await;
    back(app, &provider.sign_in(&location), &cookie).await
}

/// The claims of the session that an answer begins.
fn session(answer: &Answer) -> Value {
    assert_eq!(answer.status, 303, "{answer}");
    let cookies = cookies(answer);
    let token = cookies
        .split("; ")
        .find_map(|pair| pair.strip_prefix("token="));
    claims(token.expect("a session"))
}

/// Refused with these words, and without anything that is nobody's to know.
fn refused(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{answer}");
    let said = answer.text("/detail");
    assert!(said.contains(word), "{said}");
    for secret in [
        "code-",
        "access-",
        "eyJ",
        "secret-of-the-provider",
        CLIENT_SECRET,
    ] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(!cookies(answer).contains(" token="), "{answer}");
    assert!(!cookies(answer).starts_with("token="), "{answer}");
}

async fn users(app: &TestApp) -> Vec<Value> {
    let list = app.get("/user/list").await;
    list.json["users"].as_array().expect("users").clone()
}

async fn user(app: &TestApp, id: &str) -> Value {
    let info = app.get(&format!("/user/info?user_id={id}")).await;
    assert_eq!(info.status, 200, "{info}");
    info.json["user_info"].clone()
}

#[tokio::test]
async fn who_is_new_becomes_a_user_and_is_known_the_next_time() {
    let (provider, clock) = provider().await;
    setup(&provider, &clock)
        .with(
            "litellm_settings: {default_internal_user_params: {max_budget: 10, models: [gpt-4o]}}",
        )
        .each_database(async |app| {
            let came = sign_in(app, &provider).await;
            assert_eq!(
                came.header("location"),
                format!("{PUBLIC_URL}/ui?login=success")
            );
            let me = session(&came);
            assert_eq!(me["user_id"], "ada-1");
            assert_eq!(me["user_email"], "ada@example.com");
            assert_eq!(me["user_role"], "internal_user_viewer");
            assert_eq!(me["login_method"], "sso");
            let row = user(app, "ada-1").await;
            assert_eq!(row["sso_user_id"], "ada-1");
            assert_eq!(row["user_alias"], "Ada L");
            assert_eq!(row["max_budget"], 10.0);
            assert_eq!(row["models"], json!(["gpt-4o"]));
            let info = app.get("/user/info").without_key();
            let info = info.header("cookie", &cookies(&came)).await;
            assert_eq!(info.json["user_id"], "ada-1", "{info}");

            assert_eq!(session(&sign_in(app, &provider).await)["user_id"], "ada-1");
            assert_eq!(users(app).await.len(), 1);
            let log = app.get("/audit?object_kind=session").await;
            let log = log.body.to_vec();
            let log = String::from_utf8(log).unwrap();
            assert!(log.contains("signed_in") && log.contains("sso"), "{log}");
        })
        .await;
}

#[tokio::test]
async fn an_account_is_linked_by_a_verified_address_alone() {
    let (provider, clock) = provider().await;
    setup(&provider, &clock)
        .each_database(async |app| {
            let made = json!({"user_id": "u1", "user_email": "ada@example.com", "user_role": "internal_user"});
            assert_eq!(app.post("/user/new", made).await.status, 200);
            for verified in [json!(false), json!("no"), Value::Null] {
                let mut claims = ada();
                claims["email_verified"] = verified;
                provider.user(claims);
                refused(&sign_in(app, &provider).await, 403, "SSO_TRUST_EMAIL");
            }
            assert_eq!(user(app, "u1").await["sso_user_id"], Value::Null);
            provider.user(ada());
            let me = session(&sign_in(app, &provider).await);
            assert_eq!(me["user_id"], "u1");
            assert_eq!(me["user_role"], "internal_user", "the role stays");
            let mut other = ada();
            other["sub"] = "mallory".into();
            provider.user(other);
            refused(&sign_in(app, &provider).await, 403, "linked to somebody else");
            assert_eq!(users(app).await.len(), 1);

            // an id of ours that somebody has at the provider is no proof of being that user
            provider.user(json!({"sub": "u1", "email": "eve@example.com", "email_verified": true}));
            let eve = session(&sign_in(app, &provider).await);
            assert_ne!(eve["user_id"], "u1");

            let blocked = json!({"user_id": "u1", "blocked": true});
            app.post("/user/update", blocked).await;
            provider.user(ada());
            let answer = sign_in(app, &provider).await;
            if user(app, "u1").await["blocked"] == true {
                refused(&answer, 403, "blocked");
            }
        })
        .await;
}

#[tokio::test]
async fn what_proves_nothing_lets_nobody_in() {
    let (provider, clock) = provider().await;
    setup(&provider, &clock)
        .each_database(async |app| {
            for (fault, word) in [
                (Fault::Nonce, "nonce"),
                (Fault::Audience, "aud"),
                (Fault::Issuer, "issuer"),
                (Fault::Expired, "expired"),
                (Fault::NotYet, "not valid yet"),
                (Fault::Unsigned, "not accepted"),
                (Fault::Shared, "not accepted"),
                (Fault::ForeignKey, "signature"),
                (Fault::OtherUser, "two people"),
                (Fault::Refuses, "invalid_grant"),
            ] {
                provider.fault(fault);
                refused(&sign_in(app, &provider).await, 401, word);
            }
            provider.fault(None);
            assert!(users(app).await.is_empty());
            session(&sign_in(app, &provider).await);
            assert_eq!(users(app).await.len(), 1);
        })
        .await;
}

#[tokio::test]
async fn the_way_back_is_taken_once_by_the_browser_that_left() {
    let (provider, clock) = provider().await;
    setup(&provider, &clock)
        .each_database(async |app| {
            let (location, cookie) = leave(app, "").await;
            let home = provider.sign_in(&location);
            refused(&back(app, &home, "").await, 401, "State cookie not found");
            refused(
                &back(app, &home, "sso_state=st").await,
                401,
                "begun elsewhere",
            );
            let (_, other) = leave(app, "").await;
            refused(&back(app, &home, &other).await, 401, "state");
            session(&back(app, &home, &cookie).await);
            refused(&back(app, &home, &cookie).await, 401, "already finished");

            let (location, cookie) = leave(app, "").await;
            let home = provider.sign_in(&location);
            app.clock.advance(Duration::from_secs(11 * 60));
            refused(&back(app, &home, &cookie).await, 401, "too long");

            let denied =
                format!("{PUBLIC_URL}/sso/callback?error=access_denied&error_description=%0anope");
            let answer = back(app, &denied, "").await;
            refused(
                &answer,
                401,
                "OAuth error: access_denied, error_description: nope",
            );
        })
        .await;
}

#[tokio::test]
async fn the_providers_keys_may_change_at_any_time() {
    let (provider, clock) = provider().await;
    let app = setup(&provider, &clock).start().await;
    session(&sign_in(&app, &provider).await);
    session(&sign_in(&app, &provider).await);
    assert_eq!(provider.key_requests(), 1);
    app.clock.advance(Duration::from_secs(60));
    provider.rotate_to_rsa("second");
    session(&sign_in(&app, &provider).await);
    assert_eq!(provider.key_requests(), 2);
    // not more often than once in a while, whatever tokens name
    provider.rotate("third");
    refused(&sign_in(&app, &provider).await, 401, "does not publish");
    assert_eq!(provider.key_requests(), 2);
    app.clock.advance(Duration::from_secs(60));
    session(&sign_in(&app, &provider).await);
}

#[tokio::test]
async fn claims_give_roles_and_teams_and_take_them_away() {
    let (provider, clock) = provider().await;
    setup(&provider, &clock)
        .variable("ALLOWED_EMAIL_DOMAINS", "example.com, @other.example")
        .variable("GENERIC_ROLE_MAPPINGS_GROUP_CLAIM", "realm.groups")
        .variable(
            "GENERIC_ROLE_MAPPINGS_ROLES",
            r#"{"proxy_admin": ["ops"], "internal_user": ["dev"]}"#,
        )
        .variable("GENERIC_ROLE_MAPPINGS_DEFAULT_ROLE", "internal_user_viewer")
        .with("general_settings: {litellm_jwtauth: {team_ids_jwt_field: realm.groups}}")
        .each_database(async |app| {
            app.post("/team/new", json!({"team_id": "dev"})).await;
            let with = |groups: Value| {
                let mut claims = ada();
                claims["realm"] = json!({ "groups": groups });
                claims
            };
            for (groups, role) in [
                (json!(["dev", "ops", "unknown"]), "proxy_admin"),
                (json!(["dev"]), "internal_user"),
                (json!([]), "internal_user_viewer"),
            ] {
                provider.user(with(groups));
                let me = session(&sign_in(app, &provider).await);
                assert_eq!(me["user_role"], role);
                assert_eq!(user(app, "ada-1").await["user_role"], role);
            }
            let team = app.get("/team/info?team_id=dev").await;
            let members = team.json["team_info"]["members_with_roles"].to_string();
            assert!(members.contains("ada-1"), "{members}");

            for (email, verified) in [("ada@evil.example", true), ("eve@example.com", false)] {
                let claims = json!({"sub": "eve", "email": email, "email_verified": verified});
                provider.user(claims);
                let answer = sign_in(app, &provider).await;
                assert_eq!(answer.status, 403, "{answer}");
            }
            assert_eq!(users(app).await.len(), 1);
        })
        .await;
}

#[tokio::test]
async fn nobody_is_led_anywhere_but_to_our_own_pages() {
    let (provider, clock) = provider().await;
    let app = setup(&provider, &clock)
        .variable("AUTO_REDIRECT_UI_LOGIN_TO_SSO", "True")
        .start()
        .await;
    for (next, page) in [
        ("%2Fui%2Fkeys", "/ui/keys"),
        ("https%3A%2F%2Fevil.example", "/ui?login=success"),
        ("%2F%2Fevil.example", "/ui?login=success"),
        ("%2F%5Cevil.example", "/ui?login=success"),
    ] {
        let (location, cookie) = leave(&app, &format!("?next={next}")).await;
        let came = back(&app, &provider.sign_in(&location), &cookie).await;
        assert_eq!(
            came.header("location"),
            format!("{PUBLIC_URL}{page}"),
            "{next}"
        );
    }
    let login = app.get("/ui/login?next=%2Fui%2Fkeys").without_key().await;
    assert_eq!(login.status, 303, "{login}");
    assert_eq!(
        login.header("location"),
        "/sso/key/generate?next=%2Fui%2Fkeys"
    );
    let fallback = app.get("/fallback/login").without_key().await;
    assert_eq!(fallback.status, 200);
    assert!(String::from_utf8_lossy(&fallback.body).contains("password"));

    provider.fault(Fault::Nonce);
    let (location, cookie) = leave(&app, "").await;
    let home = provider.sign_in(&location);
    let page = app
        .get(home.strip_prefix(PUBLIC_URL).unwrap())
        .without_key();
    let page = page
        .header("cookie", &cookie)
        .header("accept", "text/html")
        .await;
    assert_eq!(page.status, 401);
    let text = String::from_utf8_lossy(&page.body);
    assert!(
        text.contains("nonce") && text.contains("/fallback/login"),
        "{text}"
    );
}

#[tokio::test]
async fn a_half_configuration_says_what_is_missing() {
    let app = Setup::default()
        .variable("GENERIC_CLIENT_ID", "c")
        .variable("GENERIC_TOKEN_ENDPOINT", "https://id.example/token")
        .start()
        .await;
    let readiness = app.get("/sso/readiness").await;
    assert_eq!(readiness.status, 503, "{readiness}");
    assert_eq!(
        readiness.json["missing_environment_variables"],
        json!([
            "GENERIC_AUTHORIZATION_ENDPOINT",
            "GENERIC_USERINFO_ENDPOINT",
            "PUBLIC_URL"
        ])
    );
    let left = app.get("/sso/key/generate").without_key().await;
    refused(&left, 503, "GENERIC_AUTHORIZATION_ENDPOINT");

    let app = Setup::default()
        .variable("PUBLIC_URL", PUBLIC_URL)
        .variable("OKTA_CLIENT_ID", "c")
        .variable("OKTA_CLIENT_SECRET", "s")
        .variable("OKTA_ISSUER", "http://127.0.0.1:9")
        .start()
        .await;
    let left = app.get("/sso/key/generate").without_key().await;
    refused(&left, 502, "an administrator must check");
}

#[tokio::test]
async fn github_tells_who_somebody_is_through_its_api() {
    let (provider, clock) = provider().await;
    let setup = Setup::default()
        .clock(clock)
        .variable("PUBLIC_URL", PUBLIC_URL)
        .variable("GITHUB_CLIENT_ID", CLIENT_ID)
        .variable("GITHUB_CLIENT_SECRET", CLIENT_SECRET)
        .variable("GITHUB_SSO_URL", &provider.issuer())
        .variable("GITHUB_SSO_API_URL", &provider.issuer());
    let app = setup.start().await;
    let emails = |verified: bool| {
        json!({"id": 7, "login": "ada", "emails": [
            {"email": "old@example.com", "primary": false, "verified": true},
            {"email": "ada@example.com", "primary": true, "verified": verified},
        ]})
    };
    provider.user(emails(true));
    let me = session(&sign_in(&app, &provider).await);
    assert_eq!(me["user_id"], "github-7");
    assert_eq!(me["user_email"], "ada@example.com");
    provider.fault(Fault::Refuses);
    refused(&sign_in(&app, &provider).await, 401, "invalid_grant");
}

#[tokio::test]
async fn it_answers_as_the_reference_does() {
    let (provider, clock) = provider().await;
    provider.user(json!({
        "sub": "sso-sub-1", "preferred_username": "sso-user-1", "email": "sso.user@example.com",
        "email_verified": true, "role": "internal_user",
    }));
    // endpoints given one by one, as the reference has them: no tokens of identity, no discovery
    let app = Setup::default()
        .clock(clock)
        .variable("PROXY_BASE_URL", PUBLIC_URL)
        .variable("PROXY_LOGOUT_URL", "http://gateway.example/bye")
        .variable("GENERIC_CLIENT_ID", CLIENT_ID)
        .variable("GENERIC_CLIENT_SECRET", CLIENT_SECRET)
        .variable("GENERIC_USER_ID_ATTRIBUTE", "preferred_username")
        .variable("GENERIC_USER_DISPLAY_NAME_ATTRIBUTE", "sub")
        .variable(
            "GENERIC_AUTHORIZATION_ENDPOINT",
            &format!("{}/authorize", provider.issuer()),
        )
        .variable(
            "GENERIC_TOKEN_ENDPOINT",
            &format!("{}/token", provider.issuer()),
        )
        .variable(
            "GENERIC_USERINFO_ENDPOINT",
            &format!("{}/userinfo", provider.issuer()),
        )
        .with(
            "litellm_settings: {default_internal_user_params: {max_budget: 10, \
             budget_duration: 1mo, models: [gpt-4o]}}",
        )
        .start()
        .await;
    let me = session(&sign_in(&app, &provider).await);
    assert_eq!(me["user_id"], "sso-user-1");
    assert_eq!(user(&app, "sso-user-1").await["user_alias"], "sso-sub-1");
    for name in [
        "cfg2_sso_callback_badstate",
        "cfg2_sso_callback_error",
        "cfg2_sso_readiness",
        "cfg2_sso_user",
        "cfg2_ui_settings",
        "cfg2_ui_config",
    ] {
        let Some(golden) = Golden::load(name) else {
            return;
        };
        let answer = golden.call(&app, &[]).await;
        golden.compare(&answer);
    }
}
