//! Tokens of an identity provider in place of keys: they call with the budgets of their user and team, and
//! what proves nothing calls nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::time::Duration;

use base::Clock;
use serde_json::{Value, json};
use testkit::{Fault, IdentityProvider};

use crate::app::{Answer, Setup, TestApp};

const SETTINGS: &str = "
general_settings:
  enable_jwt_auth: true
  litellm_jwtauth:
    user_id_jwt_field: sub
    user_email_jwt_field: email
    team_id_jwt_field: team
    user_id_upsert: true
    user_roles_jwt_field: roles
    user_allowed_roles: [caller]
";

async fn provider() -> (IdentityProvider, Setup) {
    let clock = Clock::fixed(Clock::system().now());
    let provider = IdentityProvider::start(clock.clone()).await;
    let setup = Setup::default()
        .clock(clock)
        .variable("JWT_PUBLIC_KEY_URL", &provider.key_set())
        .variable("JWT_AUDIENCE", testkit::identity::CLIENT_ID)
        .variable("JWT_ISSUER", &provider.issuer())
        .with(SETTINGS);
    (provider, setup)
}

async fn call(app: &TestApp, token: &str) -> Answer {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
    app.post("/v1/chat/completions", body).with_key(token).await
}

fn claims(more: Value) -> Value {
    let mut claims = json!({"sub": "ada-1", "roles": ["caller"]});
    let own = claims.as_object_mut().unwrap();
    own.extend(more.as_object().unwrap().clone());
    claims
}

#[tokio::test]
async fn a_token_calls_as_its_user_and_team() {
    let (provider, setup) = provider().await;
    setup
        .each_database(async |app| {
            let team = json!({"team_id": "t1", "models": ["gpt-4o"]});
            assert_eq!(app.post("/team/new", team).await.status, 200);
            let token = provider.token(claims(json!({"team": "t1"})));
            let asked = provider.key_requests();
            for _ in 0..3 {
                let answer = call(app, &token).await;
                assert_eq!(answer.status, 200, "{answer}");
            }
            let other = provider.token(claims(json!({"team": "t1", "jti": "other"})));
            assert_eq!(call(app, &other).await.status, 200);
            assert_eq!(
                provider.key_requests(),
                asked + 1,
                "keys are kept in memory"
            );
            let info = app.get("/user/info").with_key(&token).await;
            assert_eq!(info.json["user_id"], "ada-1", "{info}");

            let body =
                json!({"model": "mock-model", "messages": [{"role": "user", "content": "x"}]});
            let denied = app
                .post("/v1/chat/completions", body)
                .with_key(&token)
                .await;
            assert_eq!(denied.status, 403, "the team has other models: {denied}");
            let broke = json!({"team_id": "t1", "max_budget": 0});
            assert_eq!(app.post("/team/update", broke).await.status, 200);
            let answer = call(app, &token).await;
            assert_eq!(answer.json["error"]["type"], "budget_exceeded", "{answer}");
        })
        .await;
}

#[tokio::test]
async fn what_proves_nothing_calls_nothing() {
    let (provider, setup) = provider().await;
    setup
        .each_database(async |app| {
            for fault in [
                Fault::Audience,
                Fault::Issuer,
                Fault::Expired,
                Fault::NotYet,
                Fault::Unsigned,
                Fault::Shared,
                Fault::ForeignKey,
            ] {
                provider.fault(fault);
                let token = provider.token(claims(json!({})));
                let answer = call(app, &token).await;
                assert_eq!(answer.status, 401, "{fault:?}: {answer}");
                assert!(!answer.to_string().contains(&token), "{answer}");
            }
            provider.fault(None);
            for garbage in ["a.b.c", "..", "eyJhbGciOiJub25lIn0.e30."] {
                assert_eq!(call(app, garbage).await.status, 401, "{garbage}");
            }
            let (strange, nowhere) = (json!({"roles": ["x"]}), json!({"team": "none"}));
            for more in [strange, nowhere] {
                let answer = call(app, &provider.token(claims(more))).await;
                assert_eq!(answer.status, 403, "{answer}");
            }
            let token = provider.token(claims(json!({})));
            assert_eq!(call(app, &token).await.status, 200);
            app.clock.advance(Duration::from_secs(2 * 3600));
            assert_eq!(call(app, &token).await.status, 401, "it has expired");
        })
        .await;
}

#[tokio::test]
async fn a_scope_makes_an_administrator_and_nothing_else_does() {
    let (provider, setup) = provider().await;
    setup
        .each_database(async |app| {
            let plain = provider.token(claims(json!({"scope": "openid", "role": "proxy_admin"})));
            // who may not see all users is told so (contract §9.3)
            assert_eq!(app.get("/user/list").with_key(&plain).await.status, 403);
            let admin = provider.token(claims(json!({"scope": "openid litellm_proxy_admin"})));
            assert_eq!(app.get("/user/list").with_key(&admin).await.status, 200);
            // a name that it has not had: both databases ask the same provider
            provider.rotate(&format!("key-{}", provider.key_requests()));
            app.clock.advance(Duration::from_secs(120));
            let fresh = provider.token(claims(json!({})));
            assert_eq!(call(app, &fresh).await.status, 200, "keys may change");
        })
        .await;
}

#[tokio::test]
async fn tokens_are_no_keys_where_they_are_not_switched_on() {
    let clock = Clock::system();
    let provider = IdentityProvider::start(clock.clone()).await;
    let app = Setup::default().start().await;
    let answer = call(&app, &provider.token(claims(json!({})))).await;
    assert_eq!(answer.status, 401, "{answer}");
    assert_eq!(provider.key_requests(), 0);
}

#[tokio::test]
async fn teams_that_are_named_are_made_and_tokens_are_held_to_their_routes() {
    let (provider, setup) = provider().await;
    let settings = format!(
        "{SETTINGS}    team_id_upsert: true\n    admin_allowed_routes: [/team/info, /team/new]\n    \
         team_allowed_routes: [openai_routes, /team/info]\n\
         litellm_settings: {{default_team_params: {{max_budget: 7, models: [gpt-4o]}}}}\n"
    );
    setup
        .with(&settings)
        .each_database(async |app| {
            let token = provider.token(claims(json!({"team": "made-up"})));
            let answer = call(app, &token).await;
            assert_eq!(answer.status, 200, "{answer}");
            let team = app.get("/team/info?team_id=made-up").await;
            assert_eq!(team.json["team_info"]["max_budget"], 7.0, "{team}");
            assert_eq!(team.json["team_info"]["models"], json!(["gpt-4o"]));
            assert_eq!(team.json["team_info"]["members_with_roles"], json!([]));
            let again = provider.token(claims(json!({"team": "made-up", "jti": "2"})));
            assert_eq!(call(app, &again).await.status, 200);
            let refused = app.get("/key/list").with_key(&token).await;
            assert_eq!(refused.status, 403, "{refused}");

            let admin = json!({"scope": "litellm_proxy_admin", "roles": ["caller"]});
            let admin = provider.token(admin);
            let made = json!({"team_id": "red"});
            let made = app.post("/team/new", made).with_key(&admin).await;
            assert_eq!(made.status, 200, "{made}");
            assert_eq!(app.get("/key/list").with_key(&admin).await.status, 403);
            // without a user: the routes of the configuration make nobody an administrator
            let nobody = provider.token(json!({"team": "made-up", "roles": ["caller"]}));
            let other = app.get("/team/info?team_id=red").with_key(&nobody).await;
            assert_eq!(other.status, 403, "{other}");
        })
        .await;
}
