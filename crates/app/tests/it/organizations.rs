//! Organizations over HTTP (contract §11): made, changed, joined, left, deleted; what they have is a
//! ceiling, and who administers one gives nothing more.

use http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, each_database};
use crate::keys::add_user;

async fn organization(app: &TestApp, more: Value) -> String {
    let mut body = json!({"organization_alias": "acme"});
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let made = app.post("/organization/new", body).await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/organization_id")
}

/// A key of somebody who is in the organization.
async fn member(app: &TestApp, organization: &str, user_id: &str, role: &str) -> String {
    add_user(app, user_id, Some(domain::Role::InternalUser)).await;
    let joins = json!({"organization_id": organization,
        "member": {"role": role, "user_id": user_id}});
    let joined = app.post("/organization/member_add", joins).await;
    assert_eq!(joined.status, 200, "{joined}");
    let made = app.post("/key/generate", json!({"user_id": user_id})).await;
    made.text("/key")
}

fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer}");
}

#[tokio::test]
async fn an_organization_is_made_changed_and_deleted_with_all_that_is_in_it() {
    each_database(async |app| {
        let id = organization(
            app,
            json!({"organization_id": "acme", "models": ["gpt-4o"],
            "max_budget": 50, "budget_duration": "30d", "tpm_limit": 10, "rpm_limit": 5,
            "metadata": {"cost_center": 7}}),
        )
        .await;
        let info = app.get("/organization/info?organization_id=acme").await;
        assert_eq!(info.status, 200, "{info}");
        assert_eq!(info.json["models"], json!(["gpt-4o"]));
        assert_eq!(info.json["litellm_budget_table"]["max_budget"], json!(50.0));
        assert_eq!(info.json["litellm_budget_table"]["rpm_limit"], json!(5));
        assert_eq!(info.json["metadata"]["cost_center"], json!(7));
        let again = json!({"organization_id": "acme", "organization_alias": "other"});
        refused(&app.post("/organization/new", again).await, 400);

        let change = json!({"organization_id": id, "max_budget": 60, "models": []});
        let changed = app
            .call(Method::PATCH, "/organization/update", Some(change))
            .await;
        assert_eq!(
            changed.json["litellm_budget_table"]["max_budget"],
            json!(60.0),
            "{changed}"
        );
        let unknown = json!({"organisation_alias": "x"});
        let unknown = app
            .call(Method::PATCH, "/v2/organization/acme", Some(unknown))
            .await;
        refused(&unknown, 422);
        let named = json!({"organization_alias": "Acme"});
        let named = app
            .call(Method::PATCH, "/v2/organization/acme", Some(named))
            .await;
        assert_eq!(named.text("/organization_alias"), "Acme");

        let key = member(app, &id, "ann", "internal_user").await;
        let team = json!({"team_id": "t", "organization_id": id});
        assert_eq!(app.post("/team/new", team).await.status, 200);
        let of_team = app
            .post("/key/generate", json!({"team_id": "t"}))
            .await
            .text("/key");
        let gone = json!({"organization_ids": ["acme", "nobody"]});
        refused(
            &app.call(Method::DELETE, "/organization/delete", Some(gone))
                .await,
            404,
        );
        let gone = json!({"organization_ids": ["acme"]});
        let gone = app
            .call(Method::DELETE, "/organization/delete", Some(gone))
            .await;
        assert_eq!(gone.text("/0/organization_id"), "acme");
        refused(
            &app.get("/organization/info?organization_id=acme").await,
            404,
        );
        refused(&app.get("/team/info?team_id=t").await, 404);
        refused(&app.get("/key/info").with_key(&of_team).await, 401);
        assert_eq!(app.get("/key/info").with_key(&key).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn members_join_change_and_leave() {
    each_database(async |app| {
        let id = organization(app, json!({"max_budget": 10})).await;
        let joins = json!({"organization_id": id, "max_budget_in_organization": 2, "member": [
            {"role": "internal_user", "user_email": "New@Example.com"},
            {"role": "org_admin", "user_id": "boss"}]});
        let joined = app.post("/organization/member_add", joins.clone()).await;
        assert_eq!(joined.status, 200, "{joined}");
        assert_eq!(
            joined.text("/updated_users/0/user_email"),
            "new@example.com"
        );
        let memberships = &joined.json["updated_organization_memberships"];
        assert_eq!(
            memberships[0]["litellm_budget_table"]["max_budget"],
            json!(2.0)
        );
        assert_eq!(memberships[1]["user_role"], json!("org_admin"));
        refused(&app.post("/organization/member_add", joins).await, 400);
        for (member, status) in [
            (json!({"role": "proxy_admin", "user_id": "x"}), 422),
            (json!({"role": "internal_user"}), 422),
            (json!({"user_id": "x"}), 422),
        ] {
            let wrong = json!({"organization_id": id, "member": member});
            refused(&app.post("/organization/member_add", wrong).await, status);
        }
        let change = json!({"organization_id": id, "user_id": "boss", "role": "internal_user",
            "max_budget_in_organization": 3});
        let changed = app
            .call(Method::PATCH, "/organization/member_update", Some(change))
            .await;
        assert_eq!(changed.text("/user_role"), "internal_user");
        assert_eq!(
            changed.json["litellm_budget_table"]["max_budget"],
            json!(3.0)
        );
        let leaves = json!({"organization_id": id, "user_email": "new@example.com"});
        let path = "/organization/member_delete";
        let left = app.call(Method::DELETE, path, Some(leaves.clone())).await;
        assert_eq!(left.status, 200, "{left}");
        refused(&app.call(Method::DELETE, path, Some(leaves)).await, 404);
        let info = app
            .get(&format!("/organization/info?organization_id={id}"))
            .await;
        assert_eq!(
            info.json["members"].as_array().map(Vec::len),
            Some(1),
            "{info}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_an_organization_has_is_a_ceiling_for_its_teams() {
    each_database(async |app| {
        let id = organization(app, json!({"models": ["gpt-4o"], "max_budget": 10})).await;
        let team = |more: Value| {
            let mut team = json!({"organization_id": id});
            for (name, value) in more.as_object().expect("fields") {
                team[name] = value.clone();
            }
            app.post("/team/new", team)
        };
        refused(&team(json!({"models": ["gpt-3.5-turbo"]})).await, 400);
        refused(&team(json!({"max_budget": 11})).await, 400);
        let made = team(json!({"team_id": "t", "models": ["gpt-4o"], "max_budget": 10})).await;
        assert_eq!(made.status, 200, "{made}");
        let more = json!({"team_id": "t", "models": ["gpt-3.5-turbo"]});
        refused(&app.post("/team/model/add", more).await, 400);
        let more = json!({"team_id": "t", "max_budget": 10.5});
        refused(&app.post("/team/update", more).await, 400);
        let rich = json!({"team_id": "rich", "max_budget": 100});
        assert_eq!(app.post("/team/new", rich).await.status, 200);
        let moves = json!({"team_id": "rich", "organization_id": id});
        refused(&app.post("/team/update", moves).await, 400);
        let named = json!({"team_id": "t", "team_alias": "named"});
        assert_eq!(app.post("/team/update", named).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn who_administers_an_organization_manages_it_within_what_it_has() {
    each_database(async |app| {
        let id = organization(app, json!({"models": ["gpt-4o"], "max_budget": 10})).await;
        let boss = member(app, &id, "boss", "org_admin").await;
        let post = |path: &'static str, body: Value| app.post(path, body).with_key(&boss);

        let user = json!({"user_id": "ann", "organizations": [id], "auto_create_key": false,
            "max_budget": 5});
        let made = post("/user/new", user).await;
        assert_eq!(made.status, 200, "{made}");
        refused(&post("/user/new", json!({"user_id": "free"})).await, 403);
        refused(
            &post(
                "/user/new",
                json!({"user_id": "root", "organizations": [id],
            "user_role": "proxy_admin"}),
            )
            .await,
            403,
        );
        refused(
            &post(
                "/user/new",
                json!({"user_id": "rich", "organizations": [id],
            "max_budget": 11}),
            )
            .await,
            403,
        );
        for user in ["free", "root", "rich"] {
            refused(&app.get(&format!("/user/info?user_id={user}")).await, 404);
        }
        let role = json!({"user_id": "ann", "user_role": "proxy_admin_viewer"});
        refused(&post("/user/update", role).await, 403);
        let alias = json!({"user_id": "ann", "user_alias": "Ann"});
        assert_eq!(post("/user/update", alias).await.status, 200);
        let listed = app.get("/user/list").with_key(&boss).await;
        assert_eq!(listed.json["total"], json!(2), "{listed}");

        let team = json!({"team_id": "t", "organization_id": id, "max_budget": 4});
        assert_eq!(post("/team/new", team).await.status, 200);
        refused(&post("/team/new", json!({"team_id": "free"})).await, 403);
        let out = json!({"team_id": "t", "organization_id": null});
        refused(&post("/team/update", out).await, 403);
        let key = post("/key/generate", json!({"user_id": "ann", "team_id": "t"})).await;
        assert_eq!(key.status, 200, "{key}");
        let dear = json!({"user_id": "ann", "team_id": "t", "max_budget": 5});
        refused(&post("/key/generate", dear).await, 403);
        let blocked = post("/key/block", json!({"key": key.text("/token")})).await;
        assert_eq!(blocked.status, 200, "{blocked}");

        let raise = json!({"organization_id": id, "max_budget": 20});
        let path = "/organization/update";
        let patch = |body: Value| app.call(Method::PATCH, path, Some(body)).with_key(&boss);
        refused(&patch(raise).await, 403);
        refused(
            &patch(json!({"organization_id": id, "max_budget": null})).await,
            403,
        );
        refused(
            &patch(json!({"organization_id": id, "models": []})).await,
            403,
        );
        let lower = patch(json!({"organization_id": id, "max_budget": 9})).await;
        assert_eq!(lower.status, 200, "{lower}");
        let deleted = json!({"user_ids": ["ann"]});
        assert_eq!(post("/user/delete", deleted).await.status, 200);
        let gone = json!({"organization_ids": [id]});
        let gone = app.call(Method::DELETE, "/organization/delete", Some(gone));
        refused(&gone.with_key(&boss).await, 401);
    })
    .await;
}

#[tokio::test]
async fn a_plain_member_sees_the_organization_and_of_it_themselves() {
    each_database(async |app| {
        let id = organization(app, json!({"metadata": {"plan": "secret"}})).await;
        let ann = member(app, &id, "ann", "internal_user").await;
        member(app, &id, "bob", "internal_user").await;
        organization(app, json!({"organization_id": "other"})).await;
        let info = app.get(&format!("/organization/info?organization_id={id}"));
        let info = info.with_key(&ann).await;
        assert_eq!(info.status, 200, "{info}");
        assert_eq!(info.json["members"][0]["user_id"], json!("ann"));
        assert!(!info.to_string().contains("bob") && !info.to_string().contains("secret"));
        let listed = app.get("/organization/list").with_key(&ann).await;
        assert_eq!(listed.json.as_array().map(Vec::len), Some(1), "{listed}");
        for other in ["other", "not-there"] {
            let path = format!("/organization/info?organization_id={other}");
            refused(&app.get(&path).with_key(&ann).await, 403);
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_counts_for_the_organization_and_for_the_member_in_it() {
    each_database(async |app| {
        let id = organization(app, json!({"max_budget": 10})).await;
        let joins = json!({"organization_id": id, "max_budget_in_organization": 0.000001,
            "member": {"role": "internal_user", "user_id": "ann"}});
        assert_eq!(
            app.post("/organization/member_add", joins).await.status,
            200
        );
        let team = json!({"team_id": "t", "organization_id": id,
            "members_with_roles": [{"role": "user", "user_id": "ann"}]});
        assert_eq!(app.post("/team/new", team).await.status, 200);
        let key = app
            .post("/key/generate", json!({"user_id": "ann", "team_id": "t"}))
            .await;
        let key = key.text("/key");
        let call = || {
            let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
            app.post("/v1/chat/completions", body).with_key(&key)
        };
        let first = call().await;
        assert_eq!(first.status, 200, "{first}");
        let second = call().await;
        refused(&second, 422);
        assert!(
            second
                .text("/error/message")
                .contains("OrganizationMember=ann"),
            "{second}"
        );
        let info = app
            .get(&format!("/organization/info?organization_id={id}"))
            .await;
        assert!(info.json["spend"].as_f64() > Some(0.0), "{info}");
        assert_eq!(info.json["members"][0]["spend"], info.json["spend"]);
        let dates = "start_date=2020-01-01&end_date=2100-01-01";
        let path = format!("/organization/daily/activity?{dates}&organization_ids={id}");
        let activity = app.get(&path).await;
        assert_eq!(
            activity.json["metadata"]["total_successful_requests"],
            json!(1),
            "{activity}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_key_makes_no_key_that_can_do_more() {
    each_database(async |app| {
        add_user(app, "ann", Some(domain::Role::InternalUser)).await;
        let small = app
            .post(
                "/key/generate",
                json!({"user_id": "ann", "models": ["gpt-4o"],
            "max_budget": 1, "duration": "1d", "rpm_limit": 3}),
            )
            .await
            .text("/key");
        let post = |body: Value| app.post("/key/generate", body).with_key(&small);
        refused(&post(json!({"models": ["gpt-3.5-turbo"]})).await, 403);
        refused(&post(json!({"max_budget": 2})).await, 403);
        refused(&post(json!({"rpm_limit": 4})).await, 403);
        refused(&post(json!({"duration": "2d"})).await, 403);
        let made = post(json!({})).await;
        assert_eq!(made.status, 200, "{made}");
        assert_eq!(made.json["models"], json!(["gpt-4o"]));
        assert_eq!(made.json["max_budget"], json!(1.0));
        assert_eq!(made.json["rpm_limit"], json!(3));
        assert!(made.json["expires"].is_string());
    })
    .await;
}
