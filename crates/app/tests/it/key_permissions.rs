//! What people may do with keys: their own, their team's, and what an administrator has limited.

use domain::Role;
use serde_json::{Value, json};
use store::Json;

use crate::app::{Answer, Setup, TestApp, each_database};
use crate::keys::{add_member, add_team, add_user, compare, make};

/// A user with a role, and a key of theirs.
async fn person(app: &TestApp, id: &str, role: Role) -> String {
    add_user(app, id, Some(role)).await;
    make(app, json!({"user_id": id})).await.text("/key")
}

/// Compares where there is a recording; a clone alone still knows that it must be a refusal.
fn compare_or_refused(name: &str, answer: &Answer) {
    assert!((400..500).contains(&answer.status), "{name}: {answer}");
    compare(name, answer);
}

const CAPS: &str = "
litellm_settings:
  upperbound_key_generate_params:
    max_budget: 100
    budget_duration: 10d
    duration: 30d
    max_parallel_requests: 1000
    tpm_limit: 1000
    rpm_limit: 1000
  default_key_generate_params:
    max_budget: 1.5
    models: [gpt-4o]
";

const RESTRICTED: &str = "
litellm_settings:
  key_generation_settings:
    team_key_generation: {allowed_team_member_roles: [admin]}
    personal_key_generation: {allowed_user_roles: [proxy_admin]}
";

#[tokio::test]
async fn people_serve_themselves_as_far_as_their_role_goes() {
    each_database(async |app| {
        let user = person(app, "ku1", Role::InternalUser).await;
        let viewer = person(app, "kv1", Role::InternalUserViewer).await;
        let overseer = person(app, "av1", Role::ProxyAdminViewer).await;
        let generate =
            async |key: &str, body: Value| app.post("/key/generate", body).with_key(key).await;

        let own = generate(&user, json!({"key_alias": "own1", "max_budget": 1})).await;
        compare("internal_key_generate", &own);
        assert_eq!(own.json["user_id"], "ku1");
        assert_eq!(own.json["created_by"], "ku1");
        let own = own.text("/key");
        for (key, body, golden) in [
            (
                &user,
                json!({"user_id": "kv1"}),
                "key_generate_by_internal_other_user",
            ),
            (
                &user,
                json!({"allowed_routes": ["/x"]}),
                "internal_key_generate_allowed_routes",
            ),
            (
                &user,
                json!({"key_type": "management"}),
                "internal_key_generate_mgmt_type",
            ),
            (
                &user,
                json!({"permissions": {"a": 1}}),
                "internal_key_generate_permissions",
            ),
            (
                &user,
                json!({"team_id": "team-b"}),
                "key_generate_team_nonmember",
            ),
            (&viewer, json!({}), "key_generate_by_viewer"),
            (&overseer, json!({}), "key_generate_by_admin_viewer"),
        ] {
            compare_or_refused(golden, &generate(key, body).await);
        }
        assert_eq!(generate(&user, json!({"spend": 1})).await.status, 403);

        let update =
            async |key: &str, body: Value| app.post("/key/update", body).with_key(key).await;
        let alias = update(&user, json!({"key": own, "key_alias": "own1b"})).await;
        compare("internal_key_update_own_alias", &alias);
        let budget = update(&user, json!({"key": own, "max_budget": 5})).await;
        compare_or_refused("internal_key_update_own_budget", &budget);
        // made by an administrator, so not theirs to change
        let given = update(&user, json!({"key": user, "models": []})).await;
        compare_or_refused("key_update_internal_own", &given);
        for body in [
            json!({"key": own, "blocked": false}),
            json!({"key": own, "user_id": "kv1"}),
            json!({"key": own, "permissions": {"get_spend_routes": true}}),
            json!({"key": own, "temp_budget_increase": 1, "temp_budget_expiry": "1d"}),
            json!({"key": own, "budget_limits": []}),
        ] {
            let refused = update(&user, body.clone()).await;
            assert_eq!(refused.status, 403, "{body}: {refused}");
        }
        let viewed = update(&viewer, json!({"key": own, "models": []})).await;
        compare_or_refused("key_update_viewer", &viewed);

        let block = app
            .post("/key/block", json!({"key": own}))
            .with_key(&user)
            .await;
        assert_eq!(block.status, 403, "{block}");
        assert!(block.json["detail"]["error"].is_string(), "{block}");
        let bulk = app
            .post("/key/bulk_update", json!({"keys": []}))
            .with_key(&user)
            .await;
        assert_eq!(bulk.status, 401, "{bulk}");

        let other = app
            .get(&format!("/key/info?key={own}"))
            .with_key(&viewer)
            .await;
        compare_or_refused("key_info_other_denied", &other);
        assert_eq!(
            app.get(&format!("/key/info?key={own}"))
                .with_key(&overseer)
                .await
                .status,
            200
        );
        let list = app.get("/key/list?user_id=kv1").with_key(&user).await;
        compare_or_refused("key_list_internal_other", &list);
        let list = app.get("/key/list").with_key(&user).await;
        assert_eq!(list.json["total_count"], 2, "{list}");
        let list = app.get("/key/list").with_key(&overseer).await;
        assert_eq!(list.json["total_count"], 4, "{list}");

        let mine = app
            .post("/key/regenerate", json!({"key": own}))
            .with_key(&user)
            .await;
        let own = mine.text("/key");
        let theirs = app
            .post("/key/regenerate", json!({"key": overseer}))
            .with_key(&user)
            .await;
        assert_eq!(theirs.status, 403, "{theirs}");
        let foreign = app
            .post("/key/delete", json!({"keys": [own, overseer]}))
            .with_key(&user)
            .await;
        assert_eq!(foreign.status, 403, "{foreign}");
        assert_eq!(app.get("/key/info").with_key(&own).await.status, 200);
        let viewed = app
            .post("/key/delete", json!({"keys": [viewer]}))
            .with_key(&viewer)
            .await;
        compare_or_refused("key_delete_internal_not_owner", &viewed);
        let deleted = app
            .post("/key/delete", json!({"keys": [own]}))
            .with_key(&user)
            .await;
        compare("internal_key_delete_own", &deleted);
    })
    .await;
}

#[tokio::test]
async fn teams_decide_what_their_members_do_with_keys() {
    each_database(async |app| {
        add_team(app, "team-1", |team| {
            team.models = Json(vec!["gpt-4o".to_owned()]);
        })
        .await;
        let admin = person(app, "ta", Role::InternalUser).await;
        let member = person(app, "tm", Role::InternalUser).await;
        let stranger = person(app, "ts", Role::InternalUser).await;
        add_member(app, "team-1", "ta", "admin").await;
        add_member(app, "team-1", "tm", "user").await;
        let in_team = json!({"team_id": "team-1"});
        let generate = async |key: &str, body: &Value| {
            app.post("/key/generate", body.clone()).with_key(key).await
        };

        let denied = generate(&member, &in_team).await;
        compare_or_refused("team_member_key_generate_denied", &denied);
        assert_eq!(generate(&stranger, &in_team).await.status, 400);
        let made = generate(&admin, &in_team).await;
        assert_eq!(made.status, 200, "{made}");
        let key = made.text("/key");
        let too_much = json!({"team_id": "team-1", "models": ["mock-model"]});
        assert_eq!(generate(&admin, &too_much).await.status, 403);

        let service = app.post(
            "/key/service-account/generate",
            json!({"team_id": "team-1", "key_alias": "svc1"}),
        );
        let service = service.with_key(&admin).await;
        compare("service_account", &service);
        assert_eq!(service.json["user_id"], Value::Null);
        assert_eq!(service.json["metadata"]["service_account_id"], "svc1");
        let service = service.text("/key");
        let no_team = app
            .post(
                "/key/service-account/generate",
                json!({"key_alias": "svc2"}),
            )
            .await;
        compare("service_account_noteam", &no_team);

        // members see the team's keys, its administrators run them, strangers see nothing
        let info = format!("/key/info?key={service}");
        assert_eq!(app.get(&info).with_key(&member).await.status, 200);
        assert_eq!(app.get(&info).with_key(&stranger).await.status, 403);
        let budget = json!({"key": service, "max_budget": 3});
        assert_eq!(
            app.post("/key/update", budget.clone())
                .with_key(&member)
                .await
                .status,
            403
        );
        assert_eq!(
            app.post("/key/update", budget)
                .with_key(&admin)
                .await
                .status,
            200
        );
        let block = json!({"key": service});
        assert_eq!(
            app.post("/key/block", block.clone())
                .with_key(&member)
                .await
                .status,
            403
        );
        assert_eq!(
            app.post("/key/block", block).with_key(&admin).await.status,
            200
        );
        let list = app
            .get("/key/list?include_team_keys=true")
            .with_key(&admin)
            .await;
        assert_eq!(list.json["total_count"], 3, "{list}");
        let list = app.get("/key/list?team_id=team-1").with_key(&member).await;
        assert_eq!(list.json["total_count"], 0, "{list}");
        assert_eq!(
            app.post("/key/delete", json!({"keys": [key]}))
                .with_key(&member)
                .await
                .status,
            403
        );
        assert_eq!(
            app.post("/key/delete", json!({"keys": [key]}))
                .with_key(&admin)
                .await
                .status,
            200
        );
    })
    .await;
}

#[tokio::test]
async fn a_member_with_permissions_uses_them() {
    let app = Setup::default().start().await;
    add_team(&app, "perm", |team| {
        let permissions = ["/key/generate", "/key/update", "/key/delete"];
        team.member_permissions = Json(permissions.map(str::to_owned).into());
    })
    .await;
    let member = person(&app, "ku1", Role::InternalUser).await;
    add_member(&app, "perm", "ku1", "user").await;
    let body = json!({"team_id": "perm", "key_alias": "permkey"});
    let made = app.post("/key/generate", body).with_key(&member).await;
    compare("team_member_key_generate_allowed", &made);
    let key = made.text("/key");
    let change = json!({"key": key, "models": ["gpt-4o"]});
    let changed = app.post("/key/update", change).with_key(&member).await;
    compare("team_member_key_update", &changed);
    let deleted = app
        .post("/key/delete", json!({"keys": [key]}))
        .with_key(&member)
        .await;
    compare("team_member_key_delete", &deleted);
}

#[tokio::test]
async fn who_may_make_keys_can_be_restricted() {
    let app = Setup::default().with(RESTRICTED).start().await;
    let user = person(&app, "ku1", Role::InternalUser).await;
    let refused = app
        .post("/key/generate", json!({"key_alias": "x"}))
        .with_key(&user)
        .await;
    compare_or_refused("cfg2_key_personal_denied", &refused);
    add_team(&app, "open-team", |team| {
        team.member_permissions = Json(vec!["/key/generate".to_owned()]);
    })
    .await;
    add_member(&app, "open-team", "ku1", "user").await;
    let body = json!({"team_id": "open-team"});
    let refused = app.post("/key/generate", body).with_key(&user).await;
    compare_or_refused("cfg2_key_team_role_denied", &refused);
}

#[tokio::test]
async fn a_key_that_an_administrator_has_limited_manages_what_it_names() {
    each_database(async |app| {
        let management = make(app, json!({"key_type": "management"}))
            .await
            .text("/key");
        let made = app.post("/key/generate", json!({"user_id": "somebody"}));
        let made = made.with_key(&management).await;
        assert_eq!(
            (made.status, &made.json["user_id"]),
            (200, &json!("somebody"))
        );
        let list = app.get("/key/list").with_key(&management).await;
        assert_eq!(list.json["total_count"], 2, "{list}");
        // a preset that anybody can give to a key opens nothing of other people's
        let reader = make(app, json!({"key_type": "read_only"}))
            .await
            .text("/key");
        assert_eq!(app.get("/key/list").with_key(&reader).await.status, 403);
        let other = app.get(&format!("/key/info?key={management}"));
        assert_eq!(other.with_key(&reader).await.status, 403);
    })
    .await;
}

#[tokio::test]
async fn configured_caps_and_defaults_hold() {
    let app = Setup::default().with(CAPS).start().await;
    let filled = make(&app, json!({"max_budget": null})).await;
    compare("cfg2_key_upperbound_fill", &filled);
    assert_eq!(filled.json["max_budget"], 1.5);
    assert_eq!(filled.json["models"], json!(["gpt-4o"]));
    assert_eq!(filled.json["rpm_limit"], 1000);
    assert_eq!(filled.json["budget_duration"], "10d");
    assert!(filled.json["expires"].is_string());
    let over = app.post("/key/generate", json!({"max_budget": 1000})).await;
    compare_or_refused("cfg2_key_upperbound_budget", &over);
    let over = app.post("/key/generate", json!({"duration": "90d"})).await;
    compare_or_refused("cfg2_key_upperbound_duration", &over);

    let user = person(&app, "ku1", Role::InternalUser).await;
    let own = app
        .post("/key/generate", json!({}))
        .with_key(&user)
        .await
        .text("/key");
    for change in [
        json!({"key": own, "rpm_limit": 5000}),
        json!({"key": own, "rpm_limit": null}),
        json!({"key": own, "duration": "-1"}),
        json!({"key": own, "duration": "1y"}),
    ] {
        let refused = app
            .post("/key/update", change.clone())
            .with_key(&user)
            .await;
        assert_eq!(refused.status, 400, "{change}: {refused}");
    }
}
