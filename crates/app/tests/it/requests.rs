//! Requests: people ask, others decide, what is given ends; nobody gets more by it than somebody may give.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::time::Duration;

use base::{Clock, Millis};
use domain::audit::chain::{Verdict, verify};
use domain::requests;
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp};

const URL: &str = "https://gateway.example";

fn setup() -> Setup {
    let clock = Clock::fixed(Millis::parse("2026-11-21T12:00:00Z").unwrap());
    Setup::default().variable("PUBLIC_URL", URL).clock(clock)
}

/// Somebody with a key; gives the key.
async fn person(app: &TestApp, id: &str, role: &str) -> String {
    let body = json!({"user_id": id, "user_role": role});
    let made = app.post("/user/new", body).await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/key")
}

/// Team `red`: `lead` administers it, `ada` is in it and has a key there with a budget; `boss` is an
/// administrator of the gateway.
struct People {
    lead: String,
    ada: String,
    ada_in_team: String,
    bob: String,
    boss: String,
}

async fn people(app: &TestApp) -> People {
    let lead = person(app, "lead", "internal_user").await;
    let ada = person(app, "ada", "internal_user").await;
    let bob = person(app, "bob", "internal_user").await;
    let boss = person(app, "boss", "proxy_admin").await;
    let members = json!([{"role": "admin", "user_id": "lead"}, {"role": "user", "user_id": "ada"}]);
    let team = json!({"team_id": "red", "models": ["gpt-4o", "mock-model"], "max_budget": 100,
        "members_with_roles": members});
    let made = app.post("/team/new", team).await;
    assert_eq!(made.status, 200, "{made}");
    let key = json!({"user_id": "ada", "team_id": "red", "max_budget": 0, "models": ["gpt-4o"]});
    let made = app.post("/key/generate", key).await;
    assert_eq!(made.status, 200, "{made}");
    People {
        lead,
        ada,
        ada_in_team: made.text("/key"),
        bob,
        boss,
    }
}

async fn ask(app: &TestApp, key: &str, body: Value) -> Answer {
    app.post("/requests/new", body).with_key(key).await
}

async fn decide(app: &TestApp, key: &str, id: &str, what: &str, body: Value) -> Answer {
    let path = format!("/requests/{id}/{what}");
    app.post(&path, body).with_key(key).await
}

async fn call(app: &TestApp, key: &str, model: &str) -> Answer {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
    app.post("/v1/chat/completions", body).with_key(key).await
}

#[tokio::test]
async fn more_budget_is_asked_for_granted_used_and_over_at_its_time() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let key = &people.ada_in_team;
            assert_eq!(call(app, key, "gpt-4o").await.status, 422);
            let body = json!({"kind": "budget", "amount": 5, "duration": "7d", "reason": "demo"});
            let asked = ask(app, key, body).await;
            assert_eq!(asked.status, 200, "{asked}");
            assert_eq!(asked.text("/status"), "pending");
            assert_eq!(asked.json["limit"], 0.0);
            let id = asked.text("/request_id");
            // nobody decides their own, strangers see nothing, a team's administrator has no money to give
            let own = decide(app, &people.ada, &id, "approve", json!({})).await;
            assert_eq!(own.status, 403, "{own}");
            let stranger = decide(app, &people.bob, &id, "approve", json!({})).await;
            assert_eq!(stranger.status, 404, "{stranger}");
            let lead = decide(app, &people.lead, &id, "approve", json!({})).await;
            assert_eq!(lead.status, 403, "{lead}");
            assert_eq!(call(app, key, "gpt-4o").await.status, 422);
            let done = decide(app, &people.boss, &id, "approve", json!({"note": "fine"})).await;
            assert_eq!(done.status, 200, "{done}");
            assert_eq!(done.text("/granted_until"), "2026-11-28T12:00:00.000000Z");
            let paid = call(app, key, "gpt-4o").await;
            assert_eq!(paid.status, 200, "{paid}");
            let receipt = format!("/v1/receipts/{}", paid.header("x-litellm-call-id"));
            let receipt = app.get(&receipt).with_key(key).await;
            assert_eq!(receipt.text("/grants/0/request_id"), id, "{receipt}");
            assert_eq!(receipt.json["grants"][0]["amount"]["dollars"], 5.0);
            let info = app.get("/key/info").with_key(key).await;
            assert_eq!(info.json["info"]["max_budget"], 0.0);
            // by the clock, whether anybody has looked for it or not
            app.clock
                .set(Millis::parse("2026-11-28T12:00:00Z").unwrap());
            assert_eq!(call(app, key, "gpt-4o").await.status, 422);
            requests::end_due(app.domain()).await.unwrap();
            let info = app
                .get(&format!("/requests/{id}"))
                .with_key(&people.ada)
                .await;
            assert_eq!(info.text("/status"), "ended");
            let audit = app
                .get(&format!("/audit?object_kind=request&object_id={id}"))
                .await;
            let actions: Vec<&str> = audit.json["audit_logs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry["action"].as_str().unwrap())
                .collect();
            assert_eq!(actions, ["ended", "approved", "created"], "{audit}");
            assert_eq!(audit.text("/audit_logs/0/how"), "system");
            let budgets = app.get("/audit?object_kind=key&action=updated").await;
            assert_eq!(budgets.json["total"], 2, "{budgets}");
            let domain = app.domain();
            let whole = verify(&domain.db, &domain.seals, None).await.unwrap();
            assert!(matches!(whole, Verdict::Whole { .. }));
        })
        .await;
}

#[tokio::test]
async fn a_team_s_administrator_grants_up_to_its_limit_a_month_and_less_than_the_team_has() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let rule = json!({"team_id": "red", "team_admin_limit": 10});
            let set = app
                .post("/requests/rules", rule)
                .with_key(&people.lead)
                .await;
            assert_eq!(set.status, 401, "{set}");
            let rule = json!({"team_id": "red", "team_admin_limit": 10});
            let set = app.post("/requests/rules", rule).await;
            assert_eq!(
                (set.status, &set.json["team_admin_limit"]),
                (200, &json!(10.0)),
                "{set}"
            );
            let approve = async |amount: i64| {
                let asked = ask(
                    app,
                    &people.ada_in_team,
                    json!({"kind": "budget", "amount": amount}),
                );
                let id = asked.await.text("/request_id");
                decide(app, &people.lead, &id, "approve", json!({})).await
            };
            assert_eq!(approve(11).await.status, 403);
            assert_eq!(approve(6).await.status, 200);
            // several small ones are not more than a large one
            let second = approve(5).await;
            assert_eq!(second.status, 403, "{second}");
            assert_eq!(approve(4).await.status, 200);
            let rule = json!({"team_id": "red", "team_admin_limit": 1000});
            assert_eq!(app.post("/requests/rules", rule).await.status, 200);
            let more_than_the_team = approve(101).await;
            assert_eq!(more_than_the_team.status, 403, "{more_than_the_team}");
            // a team's own budget is for others to raise
            let body = json!({"kind": "budget", "scope": "team", "team_id": "red", "amount": 1});
            let asked = ask(app, &people.ada_in_team, body).await;
            let id = asked.text("/request_id");
            let own_team = decide(app, &people.lead, &id, "approve", json!({})).await;
            assert_eq!(own_team.status, 404, "{own_team}");
            assert_eq!(
                decide(app, &people.boss, &id, "approve", json!({}))
                    .await
                    .status,
                200
            );
        })
        .await;
}

#[tokio::test]
async fn one_of_many_who_decide_at_once_wins() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let asked = ask(
                app,
                &people.ada_in_team,
                json!({"kind": "budget", "amount": 5}),
            );
            let id = asked.await.text("/request_id");
            let here: &TestApp = app;
            let tries = (0..12).map(|number| {
                let (people, id) = (&people, &id);
                async move {
                    let what = if number % 3 == 0 {
                        "decline"
                    } else {
                        "approve"
                    };
                    decide(here, &people.boss, id, what, json!({})).await.status
                }
            });
            let mut answers = futures_util::future::join_all(tries).await;
            answers.sort_unstable();
            assert_eq!(answers[0], 200);
            assert!(
                answers[1..].iter().all(|status| *status == 409),
                "{answers:?}"
            );
            let db = &app.domain().db;
            let increases =
                store::sql!("SELECT COUNT(*) AS count FROM budgets WHERE enforcement = 'increase'");
            let count: store::db::Counted = increases.one(db).await.unwrap();
            assert!(count.count <= 1);
        })
        .await;
}

#[tokio::test]
async fn a_request_about_a_budget_that_has_changed_is_looked_at_again() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let asked = ask(
                app,
                &people.ada_in_team,
                json!({"kind": "budget", "amount": 5}),
            );
            let id = asked.await.text("/request_id");
            let raise = json!({"key": people.ada_in_team, "max_budget": 50});
            assert_eq!(app.post("/key/update", raise).await.status, 200);
            let stale = decide(app, &people.boss, &id, "approve", json!({})).await;
            assert_eq!(stale.status, 409, "{stale}");
            let seen = json!({"seen_limit": 50});
            let done = decide(app, &people.boss, &id, "approve", seen).await;
            assert_eq!(done.status, 200, "{done}");
        })
        .await;
}

#[tokio::test]
async fn small_requests_are_granted_by_the_rule_and_no_more_than_it_says() {
    setup()
        .with("tollgate_settings: {request_automatic_limit: 10}")
        .each_database(async |app| {
            let people = people(app).await;
            let here: &TestApp = app;
            let asks = (0..6).map(|_| {
                let key = &people.ada_in_team;
                async move { ask(here, key, json!({"kind": "budget", "amount": 3})).await }
            });
            let answers = futures_util::future::join_all(asks).await;
            let granted = answers
                .iter()
                .filter(|answer| answer.text("/status") == "approved");
            assert_eq!(granted.count(), 3);
            let by_rule = answers
                .iter()
                .find(|answer| answer.text("/status") == "approved")
                .unwrap();
            assert_eq!(by_rule.text("/decided_how"), "rule");
            assert_eq!(call(app, &people.ada_in_team, "gpt-4o").await.status, 200);
            // nothing but more of one's own budget is granted by a rule
            let other = ask(app, &people.ada, json!({"kind": "key", "amount": 1})).await;
            assert_eq!(other.text("/status"), "pending");
        })
        .await;
}

#[tokio::test]
async fn a_model_is_granted_past_the_lists_that_who_decides_is_above() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let key = json!({"user_id": "ada", "team_id": "red", "models": ["gpt-4o"]});
            let key = app.post("/key/generate", key).await;
            let (key, key_id) = (key.text("/key"), key.text("/token"));
            assert_eq!(call(app, &key, "mock-model").await.status, 403);
            let asked = async |model: &str| {
                let body =
                    json!({"kind": "model", "model": model, "key_id": key_id, "duration": "1d"});
                let asked = ask(app, &key, body).await;
                assert_eq!(asked.status, 200, "{asked}");
                asked.text("/request_id")
            };
            // the team has this one, its administrator may give it
            let id = asked("mock-model").await;
            let done = decide(app, &people.lead, &id, "approve", json!({})).await;
            assert_eq!(done.status, 200, "{done}");
            assert_eq!(call(app, &key, "mock-model").await.status, 200);
            // and that one the team does not have
            let id = asked("gpt-3.5-turbo").await;
            let refused = decide(app, &people.lead, &id, "approve", json!({})).await;
            assert_eq!(refused.status, 403, "{refused}");
            assert_eq!(call(app, &key, "gpt-3.5-turbo").await.status, 403);
            let done = decide(app, &people.boss, &id, "approve", json!({})).await;
            assert_eq!(done.status, 200, "{done}");
            let paid = call(app, &key, "gpt-3.5-turbo").await;
            assert_eq!(paid.status, 200, "{paid}");
            let receipt = format!("/v1/receipts/{}", paid.header("x-litellm-call-id"));
            let receipt = app.get(&receipt).await;
            assert_eq!(
                receipt.json["grants"].as_array().unwrap().len(),
                1,
                "{receipt}"
            );
            assert_eq!(receipt.text("/grants/0/request_id"), id);
            // only for this person and team
            let other = json!({"user_id": "ada", "models": ["gpt-4o"]});
            let other = app.post("/key/generate", other).await.text("/key");
            assert_eq!(call(app, &other, "gpt-3.5-turbo").await.status, 403);
            let nothing = asked("no-such-model").await;
            let refused = decide(app, &people.boss, &nothing, "approve", json!({})).await;
            assert_eq!(refused.status, 400, "{refused}");
            let all = ask(app, &key, json!({"kind": "model", "model": "*"})).await;
            assert_eq!(all.status, 400, "{all}");
            app.clock.advance(Duration::from_secs(24 * 60 * 60));
            for model in ["mock-model", "gpt-3.5-turbo"] {
                assert_eq!(call(app, &key, model).await.status, 403, "{model}");
            }
        })
        .await;
}

#[tokio::test]
async fn a_key_is_collected_once_by_whoever_asked_for_it() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let reader = person(app, "eva", "internal_user_viewer").await;
            let body = json!({"kind": "key", "key_alias": "eva's", "amount": 2, "duration": "2d"});
            let asked = ask(app, &reader, body).await;
            assert_eq!(asked.status, 200, "{asked}");
            let id = asked.text("/request_id");
            let early = decide(app, &reader, &id, "collect", json!({})).await;
            assert_eq!(early.status, 409, "{early}");
            let done = decide(app, &people.boss, &id, "approve", json!({"amount": 1})).await;
            assert_eq!(done.status, 200, "{done}");
            assert!(!done.to_string().contains("sk-"), "{done}");
            let foreign = decide(app, &people.boss, &id, "collect", json!({})).await;
            assert_eq!(foreign.status, 404, "{foreign}");
            let collected = decide(app, &reader, &id, "collect", json!({})).await;
            assert_eq!(collected.status, 200, "{collected}");
            assert_eq!(collected.text("/expires"), "2026-11-23T12:00:00.000000Z");
            let key = collected.text("/key");
            assert_eq!(call(app, &key, "gpt-4o").await.status, 200);
            let info = app.get("/key/info").with_key(&key).await;
            assert_eq!(info.json["info"]["max_budget"], 1.0, "{info}");
            assert_eq!(info.json["info"]["user_id"], "eva");
            let again = decide(app, &reader, &id, "collect", json!({})).await;
            assert_eq!(again.status, 409, "{again}");
            app.clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
            assert_eq!(call(app, &key, "gpt-4o").await.status, 401);
        })
        .await;
}

#[tokio::test]
async fn a_place_in_a_team_is_given_and_goes_with_the_keys_made_there() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let body = json!({"kind": "seat", "team_id": "red", "duration": "1d"});
            let asked = ask(app, &people.bob, body.clone()).await;
            assert_eq!(asked.status, 200, "{asked}");
            let id = asked.text("/request_id");
            let twice = ask(app, &people.ada, body).await;
            assert_eq!(twice.status, 400, "{twice}");
            let done = decide(app, &people.lead, &id, "approve", json!({})).await;
            assert_eq!(done.status, 200, "{done}");
            let team = app
                .get("/team/info?team_id=red")
                .with_key(&people.bob)
                .await;
            assert_eq!(team.status, 200, "{team}");
            let key = json!({"user_id": "bob", "team_id": "red"});
            let key = app.post("/key/generate", key).await.text("/key");
            assert_eq!(call(app, &key, "gpt-4o").await.status, 200);
            app.clock.advance(Duration::from_secs(24 * 60 * 60));
            requests::end_due(app.domain()).await.unwrap();
            assert_eq!(call(app, &key, "gpt-4o").await.status, 401);
            let team = app
                .get("/team/info?team_id=red")
                .with_key(&people.bob)
                .await;
            assert_ne!(team.status, 200, "{team}");
        })
        .await;
}

#[tokio::test]
async fn requests_are_seen_and_withdrawn_by_their_own_and_end_with_them() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let budget = json!({"kind": "budget", "amount": 5});
            let first = ask(app, &people.ada_in_team, budget.clone())
                .await
                .text("/request_id");
            let second = ask(app, &people.ada_in_team, budget.clone())
                .await
                .text("/request_id");
            let third = ask(app, &people.ada_in_team, budget)
                .await
                .text("/request_id");
            for (key, seen) in [
                (&people.ada, 3),
                (&people.lead, 3),
                (&people.bob, 0),
                (&people.boss, 3),
            ] {
                let list = app.get("/requests/list").with_key(key).await;
                assert_eq!(list.json["total"], seen, "{list}");
            }
            let foreign = app
                .get(&format!("/requests/{first}"))
                .with_key(&people.bob)
                .await;
            assert_eq!(foreign.status, 404, "{foreign}");
            let foreign = decide(app, &people.lead, &first, "withdraw", json!({})).await;
            assert_eq!(foreign.status, 404, "{foreign}");
            let own = decide(app, &people.ada, &first, "withdraw", json!({})).await;
            assert_eq!(
                (own.status, own.text("/status").as_str()),
                (200, "withdrawn")
            );
            let late = decide(app, &people.boss, &first, "approve", json!({})).await;
            assert_eq!(late.status, 409, "{late}");
            let given = decide(app, &people.boss, &second, "approve", json!({})).await;
            assert_eq!(given.status, 200, "{given}");
            assert_eq!(call(app, &people.ada_in_team, "gpt-4o").await.status, 200);
            let back = decide(app, &people.boss, &second, "withdraw", json!({})).await;
            assert_eq!((back.status, back.text("/status").as_str()), (200, "ended"));
            assert_eq!(call(app, &people.ada_in_team, "gpt-4o").await.status, 422);
            let gone = app.post("/user/delete", json!({"user_ids": ["ada"]})).await;
            assert_eq!(gone.status, 200, "{gone}");
            let late = decide(app, &people.boss, &third, "approve", json!({})).await;
            assert_eq!(late.status, 409, "{late}");
        })
        .await;
}

#[tokio::test]
async fn a_refusal_leads_to_a_form_that_asks() {
    setup()
        .each_database(async |app| {
            let people = people(app).await;
            let refused = call(app, &people.ada_in_team, "gpt-4o").await;
            assert_eq!(refused.status, 422);
            let url = refused.text("/error/details/request_url");
            let path = url.strip_prefix(URL).unwrap().to_owned();
            let page = app.get(&path).without_key().await;
            assert_eq!(page.status, 200, "{page}");
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
            let policy = page.header("content-security-policy");
            assert!(policy.contains("default-src 'none'"), "{policy}");
            let list = app.get("/requests/list").await;
            assert_eq!(list.json["total"], 0, "looking at it asks for nothing");
            let token = path.split_once("token=").unwrap().1;
            let form = async |token: &str, amount: &str| {
                let body = format!("token={token}&amount={amount}&duration=3d&reason=%3Cb%3E");
                let call = app
                    .post("/requests/ask", Value::Null)
                    .without_key()
                    .body(body);
                call.header("content-type", "application/x-www-form-urlencoded")
                    .await
            };
            assert_eq!(form(token, "x").await.status, 400);
            assert_eq!(form(&token[..token.len() - 1], "5").await.status, 400);
            assert_eq!(form("nonsense", "5").await.status, 400);
            let asked = form(token, "5").await;
            assert_eq!(asked.status, 200, "{asked}");
            let list = app.get("/requests/list").await;
            assert_eq!(list.json["requests"][0]["user_id"], "ada", "{list}");
            assert_eq!(list.json["requests"][0]["amount"], 5.0);
            let refused = call(app, &people.ada_in_team, "mock-model").await;
            assert_eq!(refused.status, 403, "{refused}");
            let url = refused.text("/error/details/request_url");
            let page = app.get(url.strip_prefix(URL).unwrap()).without_key().await;
            assert!(page.to_string().contains("mock-model"), "{page}");
            app.clock.advance(Duration::from_secs(25 * 60 * 60));
            assert_eq!(form(token, "5").await.status, 400);
        })
        .await;
}

#[tokio::test]
async fn a_link_out_of_a_mail_decides_once_and_only_when_its_form_is_sent() {
    setup()
        .variable("SMTP_HOST", "127.0.0.1")
        .variable("SMTP_PORT", "9")
        .variable("SMTP_SENDER_EMAIL", "gateway@example.com")
        .variable("SMTP_TLS", "False")
        .each_database(async |app| {
            let people = people(app).await;
            for id in ["boss", "lead"] {
                let body = json!({"user_id": id, "user_email": format!("{id}@example.com")});
                assert_eq!(app.post("/user/update", body).await.status, 200);
            }
            let known =
                json!({"user_id": "ada", "user_email": "ada@example.com", "user_alias": "Ada"});
            assert_eq!(app.post("/user/update", known).await.status, 200);
            let body =
                json!({"kind": "budget", "amount": 5, "reason": "<script>", "duration": "36h"});
            let asked = ask(app, &people.ada_in_team, body).await;
            let id = asked.text("/request_id");
            let domain = app.domain();
            let link = async |approver: &str| {
                let rows: Vec<store::requests::LinkRow> =
                    store::sql!("SELECT * FROM request_links WHERE approver_id = $1")
                        .bind(approver)
                        .all(&domain.db)
                        .await
                        .unwrap();
                let said = json!([rows[0].id, id, approver, rows[0].expires_at]).to_string();
                format!(
                    "{}.{}",
                    rows[0].id,
                    domain.seals.seal("request-letter", &said)
                )
            };
            let (of_boss, of_lead) = (link("boss").await, link("lead").await);
            for _ in 0..3 {
                let page = app
                    .get(&format!("/requests/decide?link={of_boss}"))
                    .without_key()
                    .await;
                assert_eq!(page.status, 200, "{page}");
                let text = page.to_string();
                assert!(
                    text.contains("&lt;script&gt;") && !text.contains("<script>"),
                    "{text}"
                );
                let who = "<strong>Ada &lt;ada@example.com&gt;</strong> asks for $5 more";
                assert!(text.contains(who), "{text}");
                assert!(text.contains("in team red, for 36 hours."), "{text}");
            }
            let send = async |link: &str, decision: &str| {
                let body = format!("link={link}&decision={decision}&amount=4&seen_limit=0");
                let call = app
                    .post("/requests/decide", Value::Null)
                    .without_key()
                    .body(body);
                call.header("content-type", "application/x-www-form-urlencoded")
                    .await
            };
            // a link gives nobody more rights than they have
            assert_eq!(send(&of_lead, "approve").await.status, 403);
            assert_eq!(
                send(&of_boss[..of_boss.len() - 1], "approve").await.status,
                400
            );
            assert_eq!(send(&of_boss, "perhaps").await.status, 400);
            let done = send(&of_boss, "approve").await;
            assert_eq!(done.status, 200, "{done}");
            assert_ne!(send(&of_boss, "decline").await.status, 200);
            let info = app.get(&format!("/requests/{id}")).await;
            assert_eq!(info.text("/status"), "approved");
            assert_eq!(info.json["granted_amount"], 4.0);
            assert_eq!(info.text("/decided_by"), "boss");
            let audit = app.get("/audit?object_kind=request&action=approved").await;
            assert_eq!(audit.text("/audit_logs/0/how"), "link");
            assert_eq!(call(app, &people.ada_in_team, "gpt-4o").await.status, 200);
        })
        .await;
}
