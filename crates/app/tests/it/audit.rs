//! The audit log: every change has its entry, the chain shows whatever is done to it, and everybody
//! reads what is theirs to read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::time::Duration;

use domain::audit::chain::{Fault, Verdict, verify};
use http::Method;
use serde_json::{Value, json};
use store::audit::AuditRow;
use store::sql;

use crate::app::{Answer, MASTER_KEY, Setup, TestApp, each_database};
use crate::openapi;

/// What changes nothing, although it is no GET.
const ONLY_READ: &[&str] = &[
    "POST /v2/key/info",
    "POST /budget/info",
    "POST /organization/info",
    "POST /key/health",
    "POST /spend/calculate",
    "POST /global/spend/end_users",
    "POST /v2/login/test-token",
];

/// What is walked elsewhere, with where.
const ELSEWHERE: &[(&str, &str)] = &[
    ("POST /requests/new", "requests: two people are needed"),
    ("POST /requests/{request_id}/withdraw", "requests"),
    ("POST /requests/{request_id}/approve", "requests"),
    ("POST /requests/{request_id}/decline", "requests"),
    ("POST /requests/{request_id}/collect", "requests"),
    ("POST /requests/ask", "requests: a form with a signed link"),
    (
        "POST /requests/decide",
        "requests: a form with a signed link",
    ),
    ("POST /invitation/update", "needs an invitation"),
    ("POST /invitation/delete", "needs an invitation"),
    ("POST /onboarding/claim_token", "needs an invitation"),
    ("POST /login", "needs a password"),
    ("POST /v2/login", "needs a password"),
    ("POST /session/logout", "needs a session"),
    ("POST /session/revoke", "needs a session"),
    ("POST /session/revoke_all", "needs a session"),
    ("POST /user/password/change", "needs a session"),
    ("POST /user/password/reset", "needs a mailed link"),
    (
        "POST /user/password/forgot",
        "mails a link and changes nothing",
    ),
    ("POST /scim/v2/Users", "scim"),
    ("PUT /scim/v2/Users/{user_id}", "scim"),
    ("PATCH /scim/v2/Users/{user_id}", "scim"),
    ("DELETE /scim/v2/Users/{user_id}", "scim"),
    ("POST /scim/v2/Groups", "scim"),
    ("PUT /scim/v2/Groups/{team_id}", "scim"),
    ("PATCH /scim/v2/Groups/{team_id}", "scim"),
    ("DELETE /scim/v2/Groups/{team_id}", "scim"),
    ("POST /v2/login/access-token", "needs a password"),
    (
        "POST /v2/password-recovery/{email}",
        "mails a link and changes nothing",
    ),
    ("POST /v2/reset-password", "needs a mailed link"),
    ("PATCH /v2/users/me", "needs a session"),
    ("DELETE /v2/users/me", "needs a session"),
    ("PATCH /v2/users/me/password", "needs a session"),
    ("PATCH /v2/users/me/api-key", "needs a session"),
    ("DELETE /v2/users/me/api-key", "needs a session"),
    ("DELETE /v2/users/me/api-key/{provider}", "needs a session"),
    (
        "POST /v2/users/me/api-key/{provider}/test",
        "needs a session",
    ),
    ("PATCH /v2/api-keys/{key_id}/toggle", "needs a session"),
    ("DELETE /v2/api-keys/{key_id}", "needs a session"),
    (
        "POST /v2/conversations",
        "what people say to models is in no log",
    ),
    (
        "PUT /v2/conversations/{conversation_id}",
        "what people say to models is in no log",
    ),
    (
        "DELETE /v2/conversations/{conversation_id}",
        "what people say to models is in no log",
    ),
    ("PATCH /email/event_settings", "needs a mail server"),
    ("POST /email/event_settings/reset", "needs a mail server"),
];

/// Every entry, the oldest first.
async fn entries(app: &TestApp) -> Vec<AuditRow> {
    let db = &app.domain().db;
    store::audit::list_after(db, i64::MIN, 10_000)
        .await
        .unwrap()
}

async fn verdict(app: &TestApp, expected: Option<&str>) -> Verdict {
    let domain = app.domain();
    verify(&domain.db, &domain.seals, expected).await.unwrap()
}

/// Makes what operations need, with names of its own; gives what stands for them in bodies.
async fn objects(app: &TestApp, name: &str) -> Value {
    let made = |answer: Answer| {
        assert_eq!(answer.status, 200, "{answer}");
        answer
    };
    let user = format!("user-{name}");
    let team = format!("team-{name}");
    let model = format!("model-{name}");
    let body = json!({"user_id": user, "user_role": "internal_user"});
    made(app.post("/user/new", body).await);
    let member = format!("member-{name}");
    let body = json!({"user_id": member, "auto_create_key": false});
    made(app.post("/user/new", body).await);
    let members = json!([{"role": "user", "user_id": user}]);
    let body = json!({"team_id": team, "models": ["gpt-4o"], "members_with_roles": members});
    made(app.post("/team/new", body).await);
    let key = json!({"key_alias": format!("key-{name}"), "max_budget": 5});
    let key = made(app.post("/key/generate", key).await);
    let body = json!({"model_name": model, "model_info": {"id": model},
        "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-of-a-provider-and-secret"}});
    made(app.post("/model/new", body).await);
    let organization = format!("organization-{name}");
    let body = json!({"organization_id": organization, "organization_alias": organization});
    made(app.post("/organization/new", body).await);
    let members = json!({"organization_id": organization,
        "member": {"role": "internal_user", "user_id": user}});
    made(app.post("/organization/member_add", members).await);
    let plan = format!("plan-{name}");
    let body = json!({"budget_id": plan, "max_budget": 2});
    made(app.post("/budget/new", body).await);
    let due = json!({"team_id": team, "auto_rotate": true, "rotation_interval": "30d"});
    let due = made(app.post("/key/generate", due).await).text("/token");
    become_due(app, &due).await;
    let body = json!({"owner_kind": "system", "provider": "openai", "name": format!("key-{name}"),
        "api_key": "sk-of-a-provider-and-secret", "base_url": "http://127.0.0.1:9"});
    let provider_key = made(app.post("/provider_keys", body).await).text("/id");
    json!({"provider_key": provider_key, "user": user, "member": member, "team": team, "model": model, "plan": plan, "due": due,
        "organization": organization,
        "key": key.text("/key"), "token": key.text("/token")})
}

/// Makes a key due to be replaced, as time does.
async fn become_due(app: &TestApp, hash: &str) {
    let now = app.clock.now();
    let mut tx = app.domain().begin().await.unwrap();
    let row = store::keys::find_by_hash(&mut tx, hash, now).await;
    let mut row = row.unwrap().expect("a key");
    row.rotate_by = Some(now + std::time::Duration::from_secs(3600));
    store::keys::update(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
}

/// A body that the operation accepts.
fn body_for(operation: &str, name: &str, made: &Value) -> Option<Value> {
    let [user, member, team, model, key] =
        ["user", "member", "team", "model", "key"].map(|name| made[name].clone());
    let in_team = json!({"team_id": team, "user_id": user});
    Some(match operation {
        "POST /key/generate" => json!({"key_alias": format!("new-{name}")}),
        "POST /key/service-account/generate" => json!({"team_id": team}),
        "POST /key/update" => json!({"key": key, "rpm_limit": 7}),
        "POST /key/bulk_update" => json!({"keys": [{"key": key, "max_budget": 9}]}),
        "POST /key/delete" => json!({"keys": [key]}),
        "POST /key/regenerate" | "POST /key/block" | "POST /key/unblock" => json!({"key": key}),
        "POST /key/{key}/regenerate" => json!({}),
        "POST /key/claim" => json!({"key": made["due"]}),
        "POST /budget/new" => json!({"budget_id": format!("new-{name}"), "max_budget": 3}),
        "POST /budget/update" => json!({"budget_id": made["plan"], "max_budget": 3}),
        "POST /budget/delete" => json!({"id": made["plan"]}),
        "POST /user/bulk_update" => json!({"users": [{"user_id": user, "max_budget": 4}]}),
        "POST /team/bulk_member_add" => {
            json!({"team_id": team, "members": [{"role": "user", "user_id": member}]})
        }
        "POST /team/key/bulk_update" => json!({"team_id": team, "key_ids": [made["due"]],
            "update_fields": {"rpm_limit": 3}}),
        "PATCH /team/{team_id}" => json!({"max_budget": 4}),
        "POST /team/{team_id}/member/{user_id}/reset_budget"
        | "POST /team/{team_id}/member/{user_id}/reset_spend" => json!({}),
        "POST /key/{key}/reset_spend" => json!({"reset_to": 0}),
        "POST /user/new" => json!({"user_id": format!("new-{name}")}),
        "POST /user/update" => json!({"user_id": user, "max_budget": 3}),
        "POST /user/delete" => json!({"user_ids": [member]}),
        "POST /team/new" => json!({"team_id": format!("new-{name}")}),
        "POST /team/update" => json!({"team_id": team, "max_budget": 3}),
        "POST /team/delete" => json!({"team_ids": [team]}),
        "POST /team/block" | "POST /team/unblock" => json!({"team_id": team}),
        "POST /team/member_add" => {
            json!({"team_id": team, "member": {"role": "user", "user_id": member}})
        }
        "POST /team/member_update" => {
            json!({"team_id": team, "user_id": user, "max_budget_in_team": 2})
        }
        "POST /team/member_delete" => in_team,
        "POST /team/model/add" => json!({"team_id": team, "models": ["mock-model"]}),
        "POST /team/model/delete" => json!({"team_id": team, "models": ["gpt-4o"]}),
        "POST /team/permissions_update" => {
            json!({"team_id": team, "team_member_permissions": ["/key/generate"]})
        }
        "POST /model/new" => json!({"model_name": format!("new-{name}"),
            "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-of-a-provider-and-secret"}}),
        "POST /model/update" => json!({"model_info": {"id": model},
            "litellm_params": {"api_key": "sk-of-a-provider-and-secret-2"}}),
        "PATCH /model/{model_id}/update" => json!({"litellm_params": {"rpm": 3}}),
        "POST /model/delete" => json!({"id": model}),
        "POST /invitation/new" => json!({"user_id": user}),
        "POST /organization/new" => json!({"organization_alias": format!("new-{name}")}),
        "PATCH /organization/update" => {
            json!({"organization_id": made["organization"], "max_budget": 3})
        }
        "PATCH /v2/organization/{organization_id}" => json!({"organization_alias": name}),
        "DELETE /organization/delete" => json!({"organization_ids": [made["organization"]]}),
        "POST /organization/member_add" => json!({"organization_id": made["organization"],
            "member": {"role": "internal_user", "user_id": member}}),
        "PATCH /organization/member_update" => json!({"organization_id": made["organization"],
            "user_id": user, "role": "org_admin"}),
        "DELETE /organization/member_delete" => {
            json!({"organization_id": made["organization"], "user_id": user})
        }
        "POST /provider_keys" => json!({"owner_kind": "system", "provider": "openai",
            "name": format!("new-{name}"), "api_key": "sk-of-a-provider-and-secret",
            "base_url": "http://127.0.0.1:9"}),
        "PATCH /provider_keys/{provider_key_id}" => {
            json!({"api_key": "sk-of-a-provider-and-secret-2"})
        }
        "DELETE /provider_keys/{provider_key_id}"
        | "POST /provider_keys/{provider_key_id}/test" => json!({}),
        "POST /credentials" => json!({"credential_name": format!("new-{name}"),
            "credential_info": {"custom_llm_provider": "openai"}, "credential_values":
            {"api_key": "sk-of-a-provider-and-secret", "api_base": "http://127.0.0.1:9"}}),
        "DELETE /credentials/{credential_name}" => json!({}),
        "POST /provider_key_policies" => json!({"policies": {"openai": "required"}}),
        "POST /v2/users" => {
            json!({"email": format!("new-{name}@example.com"), "password": "Str0ng-Passw0rd-9!"})
        }
        "PATCH /v2/users/{user_id}" => json!({"full_name": "Somebody"}),
        "DELETE /v2/users/{user_id}" => json!({}),
        "PATCH /v2/admin/llm-keys" => json!({"perplexity_api_key": "pplx-a-key-of-ours-1234"}),
        "POST /v2/api-keys" => json!({"name": name}),
        "POST /requests/rules" => json!({"team_id": team, "automatic_limit": 1}),
        _ => return None,
    })
}

/// Whether a text holds what could be used: a masked key is `sk-...abcd`.
fn holds_a_secret(text: &str) -> bool {
    text.match_indices("sk-")
        .any(|(at, _)| !text[at + 3..].starts_with("..."))
}

#[tokio::test]
async fn every_operation_that_changes_something_is_in_the_log_without_secrets() {
    each_database(async |app| {
        let document = openapi::document();
        let mut missing = Vec::new();
        for (number, (method, path, operation)) in openapi::operations(&document).enumerate() {
            let name = format!("{method} {path}");
            if method == "GET" || operation["tags"][0] == "calls" {
                continue;
            }
            let is_elsewhere = ELSEWHERE.iter().any(|(other, _)| *other == name);
            if ONLY_READ.contains(&name.as_str()) || is_elsewhere {
                continue;
            }
            let made = objects(app, &number.to_string()).await;
            let Some(body) = body_for(&name, &number.to_string(), &made) else {
                missing.push(format!("{name}: this test knows no body for it"));
                continue;
            };
            let filled = path
                .replace("{key}", made["token"].as_str().unwrap())
                .replace("{team_id}", made["team"].as_str().unwrap())
                .replace("{user_id}", made["user"].as_str().unwrap())
                .replace("{organization_id}", made["organization"].as_str().unwrap())
                .replace("{model_id}", made["model"].as_str().unwrap())
                .replace("{credential_name}", &format!("key-{number}"))
                .replace("{provider_key_id}", made["provider_key"].as_str().unwrap());
            let before = entries(app).await.len();
            let method: Method = method.parse().unwrap();
            let answer = app.call(method, &filled, Some(body)).await;
            if answer.status != 200 {
                missing.push(format!("{name}: {answer}"));
                continue;
            }
            let now = entries(app).await;
            if now.len() == before {
                missing.push(format!("{name}: no entry"));
            }
            let is_ours = |entry: &AuditRow| entry.how == "master_key" && entry.outcome == "done";
            assert!(now[before..].iter().all(is_ours), "{name}");
        }
        assert!(missing.is_empty(), "{}", missing.join("\n"));
        for entry in entries(app).await {
            let text = format!("{entry:?}");
            assert!(!holds_a_secret(&text), "{text}");
        }
        assert!(matches!(verdict(app, None).await, Verdict::Whole { .. }));
    })
    .await;
}

#[tokio::test]
async fn an_entry_says_who_how_from_where_and_what() {
    each_database(async |app| {
        let body = json!({"user_id": "ada", "user_role": "proxy_admin"});
        let key = app.post("/user/new", body).await.text("/key");
        let change = app.post("/team/new", json!({"team_id": "red", "max_budget": 1}));
        let change = change.with_key(&key).header("user-agent", "curl/8");
        let change = change.header("litellm-changed-by", "bob");
        assert_eq!(change.await.status, 200);
        let found = app.get("/audit?table_name=LiteLLM_TeamTable").await;
        assert_eq!(
            (found.status, &found.json["total"]),
            (200, &json!(1)),
            "{found}"
        );
        let entry = &found.json["audit_logs"][0];
        for (name, value) in [
            ("action", json!("created")),
            ("table_name", json!("LiteLLM_TeamTable")),
            ("object_kind", json!("team")),
            ("object_id", json!("red")),
            ("changed_by", json!("bob")),
            ("user_id", json!("ada")),
            ("how", json!("key")),
            ("client_address", json!("127.0.0.1")),
            ("user_agent", json!("curl/8")),
            ("outcome", json!("done")),
            ("before_value", Value::Null),
        ] {
            assert_eq!(entry[name], value, "{name} of {entry}");
        }
        assert_eq!(entry["updated_values"]["budgets"]["max_budget"], 1.0);
        assert!(!entry["changed_by_api_key"].as_str().unwrap().is_empty());
        let id = entry["id"].as_str().unwrap();
        let one = app.get(&format!("/audit/{id}")).await;
        assert_eq!(&one.json, entry);
        let none = app.get("/audit/nothing").await;
        assert_eq!(none.status, 404, "{none}");
        assert_eq!(
            none.text("/detail/error"),
            "Audit log with id=nothing not found"
        );
    })
    .await;
}

#[tokio::test]
async fn entries_are_found_by_each_filter_page_by_page() {
    each_database(async |app| {
        for name in ["one", "two", "three"] {
            app.post("/team/new", json!({"team_id": name})).await;
        }
        app.post("/team/block", json!({"team_id": "two"})).await;
        let total = async |query: &str| {
            let answer = app.get(&format!("/audit?object_kind=team&{query}")).await;
            assert_eq!(answer.status, 200, "{query}: {answer}");
            answer.json["total"].as_i64().unwrap()
        };
        for (query, expected) in [
            ("", 4),
            ("object_id=two", 2),
            ("action=blocked", 1),
            ("action=rotated", 0),
            ("user_id=default_user_id", 4),
            ("user_id=nobody", 0),
            ("changed_by=default_user_id", 4),
            ("how=master_key", 4),
            ("how=key", 0),
            ("outcome=refused", 0),
            ("start_date=2026-01-01&end_date=2100-01-01", 4),
            ("start_date=2100-01-01", 0),
            ("end_date=2000-01-01", 0),
            ("q=THREE", 1),
            ("q=100%25", 0),
            ("changed_by_api_key=none", 0),
        ] {
            assert_eq!(total(query).await, expected, "{query}");
        }
        let page = app.get("/audit?object_kind=team&page=2&page_size=3").await;
        assert_eq!(
            page.json["audit_logs"].as_array().unwrap().len(),
            1,
            "{page}"
        );
        assert_eq!(page.json["total_pages"], 2);
        let first = app.get("/audit?object_kind=team&sort_order=asc").await;
        assert_eq!(first.text("/audit_logs/0/object_id"), "one");
        let newest = app.get("/audit?object_kind=team").await;
        assert_eq!(newest.text("/audit_logs/0/action"), "blocked");
        for (query, status) in [
            ("page=0", 422),
            ("start_date=soon", 400),
            ("sort_order=x", 400),
        ] {
            assert_eq!(app.get(&format!("/audit?{query}")).await.status, status);
        }
    })
    .await;
}

#[tokio::test]
async fn the_log_is_exported_whole_and_without_formulas() {
    each_database(async |app| {
        let change = app.post("/team/new", json!({"team_id": "=cmd()"}));
        change.header("litellm-changed-by", "@SUM(A1)").await;
        let more = 1_001;
        let domain = app.domain();
        let mut tx = domain.begin().await.unwrap();
        for number in 0..more {
            tx.note(store::audit::NewEntry {
                id: format!("entry-{number}"),
                object_kind: "bulk".to_owned(),
                ..Default::default()
            });
        }
        domain.commit(tx, &[]).await.unwrap();
        let csv = app.get("/audit/export").await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        let text = String::from_utf8(csv.body.to_vec()).unwrap();
        let count = entries(app).await.len();
        assert_eq!(text.lines().count(), count + 1);
        assert!(text.starts_with("sequence,time,how,"), "{text}");
        assert!(text.contains("\"'=cmd()\"") && text.contains("\"'@SUM(A1)\""));
        assert!(!text.contains(",\"="), "a formula");
        let lines = app.get("/audit/export?format=jsonl&object_kind=bulk").await;
        let text = String::from_utf8(lines.body.to_vec()).unwrap();
        let parsed: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(parsed.len(), more);
        let mut sequences: Vec<i64> = parsed
            .iter()
            .map(|entry| entry["sequence"].as_i64().unwrap())
            .collect();
        assert!(sequences.is_sorted_by(|one, next| one > next));
        sequences.dedup();
        assert_eq!(sequences.len(), more);
        assert_eq!(app.get("/audit/export?format=xls").await.status, 422);
    })
    .await;
}

#[tokio::test]
async fn people_read_what_they_did_and_what_concerns_what_they_administer() {
    each_database(async |app| {
        let user = async |id: &str, role: &str| {
            let body = json!({"user_id": id, "user_role": role});
            app.post("/user/new", body).await.text("/key")
        };
        let lead = user("lead", "internal_user").await;
        let plain = user("plain", "internal_user").await;
        let auditor = user("auditor", "proxy_admin_viewer").await;
        let members = json!([{"role": "admin", "user_id": "lead"},
            {"role": "user", "user_id": "plain"}]);
        let red = json!({"team_id": "red", "members_with_roles": members});
        assert_eq!(app.post("/team/new", red).await.status, 200);
        app.post("/team/new", json!({"team_id": "blue"})).await;
        let own = json!({"key_alias": "mine"});
        assert_eq!(
            app.post("/key/generate", own).with_key(&plain).await.status,
            200
        );
        let seen = async |key: &str| {
            let answer = app.get("/audit?page_size=100").with_key(key).await;
            assert_eq!(answer.status, 200, "{answer}");
            let entries = answer.json["audit_logs"].as_array().unwrap().clone();
            let name = |entry: &Value| entry["object_id"].as_str().unwrap().to_owned();
            (entries.iter().map(name).collect::<Vec<_>>(), entries)
        };
        let (of_lead, _) = seen(&lead).await;
        assert!(of_lead.contains(&"red".to_owned()), "{of_lead:?}");
        assert!(!of_lead.contains(&"blue".to_owned()), "{of_lead:?}");
        let (_, of_plain) = seen(&plain).await;
        assert_eq!(of_plain.len(), 1, "{of_plain:?}");
        assert_eq!(of_plain[0]["user_id"], "plain");
        let (of_auditor, all) = seen(&auditor).await;
        assert!(of_auditor.contains(&"blue".to_owned()));
        let foreign = all
            .iter()
            .find(|entry| entry["object_id"] == "blue")
            .unwrap();
        let path = format!("/audit/{}", foreign["id"].as_str().unwrap());
        assert_eq!(app.get(&path).with_key(&plain).await.status, 404);
        assert_eq!(app.get(&path).with_key(&auditor).await.status, 200);
        let export = app.get("/audit/export?format=jsonl").with_key(&plain).await;
        assert_eq!(String::from_utf8_lossy(&export.body).lines().count(), 1);
        assert_eq!(app.get("/audit/head").with_key(&plain).await.status, 401);
        let nobody = app.post("/key/generate", json!({})).await.text("/key");
        assert_eq!(app.get("/audit").with_key(&nobody).await.status, 403);
    })
    .await;
}

#[tokio::test]
async fn an_organization_s_administrator_reads_what_concerns_its_teams() {
    each_database(async |app| {
        let db = &app.domain().db;
        let body = json!({"user_id": "head", "user_role": "internal_user"});
        let head = app.post("/user/new", body).await.text("/key");
        sql!("INSERT INTO organizations (id, created_at, updated_at) VALUES ('acme', 1, 1)")
            .execute(db)
            .await
            .unwrap();
        sql!(
            "INSERT INTO organization_members (organization_id, user_id, role, created_at)
             VALUES ('acme', 'head', 'org_admin', 1)"
        )
        .execute(db)
        .await
        .unwrap();
        let of = json!({"team_id": "inside", "organization_id": "acme"});
        assert_eq!(app.post("/team/new", of).await.status, 200);
        app.post("/team/new", json!({"team_id": "outside"})).await;
        let key = json!({"team_id": "inside", "key_alias": "theirs"});
        assert_eq!(app.post("/key/generate", key).await.status, 200);
        let answer = app.get("/audit?page_size=100").with_key(&head).await;
        let text = answer.to_string();
        assert!(text.contains("theirs") && text.contains("inside"), "{text}");
        assert!(!text.contains("outside"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_in_the_log_but_not_every_time() {
    each_database(async |app| {
        let body = json!({"user_id": "eve", "user_role": "internal_user"});
        let key = app.post("/user/new", body).await.text("/key");
        for _ in 0..5 {
            let tried = app
                .post("/user/new", json!({"user_id": "x"}))
                .with_key(&key);
            assert_eq!(tried.await.status, 401);
            let tried = app
                .post("/team/update", json!({"team_id": "t"}))
                .with_key(&key);
            assert_eq!(tried.await.status, 403);
            let wrong = app
                .post("/user/new", json!({}))
                .with_key("sk-wrong-key-of-nobody");
            assert_eq!(wrong.await.status, 401);
        }
        let refused = async || {
            let all = entries(app).await.into_iter();
            all.filter(|entry| entry.outcome == "refused")
                .collect::<Vec<_>>()
        };
        let waiting = async {
            while refused().await.len() < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(testkit::PATIENCE, waiting)
            .await
            .unwrap();
        let refused = refused().await;
        assert_eq!(refused.len(), 3, "{refused:?}");
        let of_eve = |entry: &&AuditRow| entry.actor_user_id.as_deref() == Some("eve");
        let mut tried: Vec<&str> = refused
            .iter()
            .filter(of_eve)
            .map(|entry| entry.object_id.as_str())
            .collect();
        tried.sort_unstable();
        assert_eq!(tried, ["POST /team/update", "POST /user/new"]);
        let nobody = refused
            .iter()
            .find(|entry| entry.actor_user_id.is_none())
            .unwrap();
        assert!(
            nobody
                .reason
                .as_deref()
                .unwrap()
                .contains("Invalid proxy server token")
        );
        assert_eq!(nobody.client_address.as_deref(), Some("127.0.0.1"));
        assert!(!format!("{refused:?}").contains(&key));
    })
    .await;
}

#[tokio::test]
async fn the_database_refuses_to_change_or_delete_entries() {
    each_database(async |app| {
        app.post("/team/new", json!({"team_id": "red"})).await;
        let db = &app.domain().db;
        for statement in [
            sql!("UPDATE audit SET action = 'nothing'"),
            sql!("DELETE FROM audit"),
            sql!("UPDATE audit_subjects SET id = 'nobody'"),
            sql!("DELETE FROM audit_subjects"),
        ] {
            let refused = statement.execute(db).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
        if app.database.dialect == "Postgres" {
            let refused = sql!("TRUNCATE audit").execute(db).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
    })
    .await;
}

/// What somebody does who owns the database.
async fn without_triggers(app: &TestApp) {
    let db = &app.domain().db;
    let statements = match app.database.dialect {
        "Postgres" => vec![
            sql!("DROP TRIGGER audit_append_only ON audit"),
            sql!("DROP TRIGGER audit_subjects_append_only ON audit_subjects"),
        ],
        _ => vec![
            sql!("DROP TRIGGER audit_no_update"),
            sql!("DROP TRIGGER audit_no_delete"),
            sql!("DROP TRIGGER audit_subjects_no_delete"),
        ],
    };
    for statement in statements {
        statement.execute(db).await.unwrap();
    }
}

#[tokio::test]
async fn whatever_the_owner_of_the_database_does_to_it_is_found() {
    for (harm, sequence, fault) in [
        (
            sql_text("UPDATE audit SET actor_user_id = 'eve' WHERE sequence = 3"),
            3,
            Fault::Changed,
        ),
        (
            sql_text("DELETE FROM audit WHERE sequence = 2"),
            2,
            Fault::Missing,
        ),
        (
            sql_text("DELETE FROM audit_subjects WHERE sequence = 4"),
            4,
            Fault::Changed,
        ),
        (
            sql_text("DELETE FROM audit WHERE sequence > 4"),
            5,
            Fault::Missing,
        ),
        (
            sql_text("UPDATE audit_head SET sequence = 3"),
            4,
            Fault::Beyond,
        ),
        (sql_text("UPDATE audit_head SET hash = 'x'"), 5, Fault::End),
        (
            sql_text("UPDATE audit SET seal = 'x' WHERE sequence = 1"),
            1,
            Fault::Forged,
        ),
    ] {
        each_database(async |app| {
            for number in 1..=5 {
                let team = json!({"team_id": format!("team-{number}")});
                app.post("/team/new", team).await;
            }
            let rows = entries(app).await;
            assert!(rows.len() > 5);
            // five entries are enough
            without_triggers(app).await;
            let db = &app.domain().db;
            sql!("DELETE FROM audit_subjects WHERE sequence > 5")
                .execute(db)
                .await
                .unwrap();
            sql!("DELETE FROM audit WHERE sequence > 5")
                .execute(db)
                .await
                .unwrap();
            sql!("UPDATE audit_head SET sequence = 5, hash = $1")
                .bind(&rows[4].hash)
                .execute(db)
                .await
                .unwrap();
            assert!(matches!(
                verdict(app, None).await,
                Verdict::Whole { entries: 5, .. }
            ));
            // a log that was cut off with its end looks whole to whoever knows nothing else
            let kept = rows.last().unwrap().hash.clone();
            let Verdict::Broken(broken) = verdict(app, Some(&kept)).await else {
                panic!("the cut is not found");
            };
            assert_eq!(broken.fault, Fault::Expected);

            harm().execute(db).await.unwrap();
            let Verdict::Broken(broken) = verdict(app, None).await else {
                panic!("it is not found: {fault:?}");
            };
            assert_eq!((broken.sequence, broken.fault), (sequence, fault));
        })
        .await;
    }
}

fn sql_text(text: &'static str) -> impl Fn() -> store::db::Query {
    move || store::db::query(text)
}

#[tokio::test]
async fn the_sub_command_says_what_it_found_also_beside_a_running_gateway() {
    each_database(async |app| {
        app.post("/team/new", json!({"team_id": "red"})).await;
        let head = app.get("/audit/head").await;
        let hash = head.text("/hash");
        app.post("/team/new", json!({"team_id": "blue"})).await;
        let config = app.config();
        let (said, is_whole) = tollgate::verify::check(&config, Some(&hash)).await.unwrap();
        assert!(
            is_whole && said.starts_with("the audit log is whole: "),
            "{said}"
        );
        let wrong = "0".repeat(64);
        let (said, is_whole) = tollgate::verify::check(&config, Some(&wrong))
            .await
            .unwrap();
        assert!(
            !is_whole && said.contains("has the expected hash"),
            "{said}"
        );
        app.stop().await;
        let (said, is_whole) = tollgate::verify::check(&config, None).await.unwrap();
        assert!(is_whole, "{said}");
        let mut other = app.config();
        other.encryption_keys = vec![base::Secret::new("another key than it was")];
        let (said, is_whole) = tollgate::verify::check(&other, None).await.unwrap();
        assert!(!is_whole && said.contains("encryption key"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn several_replicas_write_one_chain_and_do_not_wait_for_each_other_for_ever() {
    let databases = testkit::databases().await;
    let Some(database) = databases.into_iter().find(|one| one.dialect == "Postgres") else {
        return;
    };
    let again = database.again().await.expect("PostgreSQL opens again");
    let one = TestApp::start(Setup::default(), database).await;
    let two = TestApp::start(Setup::default(), again).await;
    let apps = [&one, &two];
    let members: Vec<String> = (0..8).map(|number| format!("user-{number}")).collect();
    for id in &members {
        let body = json!({"user_id": id, "auto_create_key": false});
        assert_eq!(one.post("/user/new", body).await.status, 200);
    }
    for team in ["red", "blue"] {
        let team = json!({"team_id": team});
        assert_eq!(one.post("/team/new", team).await.status, 200);
    }
    // each change locks rows that others want too, in whatever order they come
    let begun = std::time::Instant::now();
    let changes = (0..120_usize).map(|number| {
        let app = apps[number % 2];
        let team = ["red", "blue"][number / 2 % 2];
        let user = &members[number % members.len()];
        async move {
            match number % 5 {
                0 => app.post("/team/block", json!({"team_id": team})).await,
                1 => {
                    let body =
                        json!({"team_id": team, "member": {"role": "user", "user_id": user}});
                    app.post("/team/member_add", body).await
                }
                2 => {
                    let body = json!({"user_id": user, "max_budget": number});
                    app.post("/user/update", body).await
                }
                3 => app.post("/key/generate", json!({"user_id": user})).await,
                _ => {
                    let body = json!({"user_id": format!("new-{number}"), "teams": [team]});
                    app.post("/user/new", body).await
                }
            }
        }
    });
    let answers = futures_util::future::join_all(changes);
    let answers = tokio::time::timeout(testkit::PATIENCE, answers)
        .await
        .unwrap();
    let took = begun.elapsed();
    for answer in &answers {
        // somebody may be in the team already; nothing else may fail
        assert!(matches!(answer.status, 200 | 400), "{answer}");
    }
    let Verdict::Whole { entries, .. } = verdict(&one, None).await else {
        panic!("the chain is broken");
    };
    assert!(entries > 120, "{entries}");
    eprintln!("120 changes of two replicas took {took:?}, with {entries} entries");
}

#[tokio::test]
async fn entries_are_counted_from_the_first_start() {
    let app = Setup::default().start().await;
    let head = app.get("/audit/head").with_key(MASTER_KEY).await;
    assert_eq!(head.json["sequence"], 0);
    assert_eq!(head.json["since"], Value::Null);
}
