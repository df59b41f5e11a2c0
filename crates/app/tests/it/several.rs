//! Changing and finding many at once: users, members, keys of a team.

use domain::Role;
use serde_json::{Value, json};

use crate::app::{Setup, TestApp, each_database};
use crate::keys::{add_member, add_team, add_user, make};

async fn two_users(app: &TestApp) {
    for (id, email) in [("ann", "Ann@Example.com"), ("bob", "bob@example.com")] {
        let body = json!({"user_id": id, "user_email": email, "auto_create_key": false});
        let made = app.post("/user/new", body).await;
        assert_eq!(made.status, 200, "{made}");
    }
}

#[tokio::test]
async fn users_are_changed_each_by_themselves_or_all_alike() {
    each_database(async |app| {
        two_users(app).await;
        let body = json!({"users": [
            {"user_id": "ann", "max_budget": 5},
            {"user_email": "BOB@example.com", "user_role": "internal_user_viewer"},
            {"user_id": "nobody", "max_budget": 5},
            {"user_id": "bob", "user_email": "ann@EXAMPLE.com"},
        ]});
        let changed = app.post("/user/bulk_update", body).await;
        assert_eq!(changed.status, 200, "{changed}");
        let counts = ["total_requested", "successful_updates", "failed_updates"];
        assert_eq!(
            counts.map(|name| changed.json[name].as_i64()),
            [Some(4), Some(2), Some(2)]
        );
        assert_eq!(
            changed.json["results"][0]["updated_user"]["max_budget"],
            5.0
        );
        assert_eq!(changed.text("/results/1/user_id"), "bob");
        assert_eq!(changed.text("/results/2/user_id"), "nobody");
        assert!(changed.text("/results/3/error").contains("already exists"));

        let body = json!({"all_users": true, "user_updates": {"tpm_limit": 7}});
        let all = app.post("/user/bulk_update", body).await;
        assert_eq!(all.json["failed_updates"], 0, "{all}");
        assert_eq!(
            app.get("/user/info?user_id=ann").await.json["user_info"]["tpm_limit"],
            7
        );
        for wrong in [
            json!({}),
            json!({"users": []}),
            json!({"all_users": true}),
            json!({"users": [{"user_id": "ann"}], "all_users": true}),
        ] {
            assert_eq!(app.post("/user/bulk_update", wrong).await.status, 422);
        }
        let many: Vec<Value> = (0..501)
            .map(|n| json!({"user_id": n.to_string()}))
            .collect();
        assert_eq!(
            app.post("/user/bulk_update", json!({"users": many}))
                .await
                .status,
            400
        );
    })
    .await;
}

#[tokio::test]
async fn users_are_found_by_those_who_may_see_them() {
    each_database(async |app| {
        two_users(app).await;
        let found = app.get("/user/filter/ui?user_email=ANN").await;
        assert_eq!(
            found.json,
            json!([{"user_id": "ann", "user_email": "ann@example.com", "user_alias": null}])
        );
        let seats = app.get("/user/available_users").await;
        assert_eq!(seats.json["total_users_used"], 2, "{seats}");
        assert_eq!(seats.json["total_users"], Value::Null);

        add_user(app, "carl", Some(Role::InternalUser)).await;
        let carl = make(app, json!({"user_id": "carl"})).await.text("/key");
        let nobody = app.get("/user/filter/ui").with_key(&carl).await;
        assert_eq!((nobody.status, &nobody.json), (200, &json!([])));
        add_team(app, "t", |_| {}).await;
        add_member(app, "t", "carl", "admin").await;
        add_member(app, "t", "bob", "user").await;
        let own = app.get("/user/filter/ui").with_key(&carl).await;
        let ids: Vec<&str> = own
            .json
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it["user_id"].as_str())
            .collect();
        assert_eq!(ids.len(), 2, "{own}");
        assert!(!ids.contains(&"ann"));

        let settings = app.get("/get/internal_user_settings").await;
        crate::keys::compare("get_internal_user_settings", &settings);
        assert_eq!(settings.text("/values/user_role"), "internal_user");
    })
    .await;
}

#[tokio::test]
async fn many_members_join_each_by_themselves() {
    each_database(async |app| {
        two_users(app).await;
        app.post("/team/new", json!({"team_id": "t"})).await;
        let body = json!({"team_id": "t", "max_budget_in_team": 2, "members": [
            {"role": "user", "user_id": "ann"},
            {"role": "user", "user_id": "ann"},
            {"role": "admin", "user_email": "New@Example.com"},
        ]});
        let added = app.post("/team/bulk_member_add", body).await;
        assert_eq!(added.status, 200, "{added}");
        let counts = [
            "total_requested",
            "successful_additions",
            "failed_additions",
        ];
        assert_eq!(
            counts.map(|name| added.json[name].as_i64()),
            [Some(3), Some(2), Some(1)]
        );
        assert_eq!(added.text("/results/2/user_email"), "new@example.com");
        let budget = &added.json["results"][0]["updated_team_membership"]["litellm_budget_table"];
        assert_eq!(budget["max_budget"], 2.0);
        let all = json!({"team_id": "t", "all_users": true});
        let all = app.post("/team/bulk_member_add", all).await;
        assert_eq!(all.json["successful_additions"], 1, "{all}");
        assert_eq!(all.text("/results/0/user_id"), "bob");

        let bob = make(app, json!({"user_id": "bob"})).await.text("/key");
        let body = json!({"team_id": "t", "members": [{"role": "user", "user_id": "x"}]});
        let refused = app.post("/team/bulk_member_add", body).with_key(&bob).await;
        assert_eq!(refused.status, 403, "{refused}");
        let missing = json!({"team_id": "none", "members": [{"role": "user", "user_id": "x"}]});
        assert_eq!(app.post("/team/bulk_member_add", missing).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn a_member_s_spend_and_limits_are_reset() {
    each_database(async |app| {
        two_users(app).await;
        let team = json!({"team_id": "t", "team_member_budget": 9});
        assert_eq!(app.post("/team/new", team).await.status, 200);
        let member = json!({"team_id": "t", "max_budget_in_team": 2, "member": {"role": "user", "user_id": "ann"}});
        app.post("/team/member_add", member).await;
        let reset = app.post("/team/t/member/ann/reset_spend", json!({"reset_to": 0})).await;
        assert_eq!(reset.status, 200, "{reset}");
        assert_eq!((&reset.json["spend"], &reset.json["max_budget"]), (&json!(0.0), &json!(2.0)));
        let over = app.post("/team/t/member/ann/reset_spend", json!({"reset_to": 1})).await;
        assert_eq!(over.status, 400, "{over}");
        let again = app.post("/team/t/member/ann/reset_budget", json!({})).await;
        assert_eq!(again.status, 200, "{again}");
        assert_eq!(again.text("/budget_source"), "team_default");
        assert_eq!(again.json["litellm_budget_table"]["max_budget"], 9.0);
        let stranger = app.post("/team/t/member/bob/reset_spend", json!({})).await;
        assert_eq!(stranger.status, 404, "{stranger}");
    })
    .await;
}

#[tokio::test]
async fn the_keys_of_a_team_are_changed_at_once_by_its_administrators() {
    each_database(async |app| {
        add_team(app, "t", |_| {}).await;
        for (id, role) in [("boss", "admin"), ("ann", "user")] {
            add_user(app, id, Some(Role::InternalUser)).await;
            add_member(app, "t", id, role).await;
        }
        let boss = make(app, json!({"user_id": "boss"})).await.text("/key");
        let ann = make(app, json!({"user_id": "ann", "team_id": "t"})).await;
        let other = make(app, json!({})).await;
        let body = json!({"team_id": "t", "key_ids": [ann.text("/key"), other.text("/token")],
            "update_fields": {"rpm_limit": 5, "team_id": null}});
        let changed = app
            .post("/team/key/bulk_update", body.clone())
            .with_key(&boss)
            .await;
        assert_eq!(changed.status, 200, "{changed}");
        assert_eq!(
            changed.json["successful_updates"][0]["key_info"]["rpm_limit"],
            5
        );
        assert_eq!(
            changed.json["successful_updates"][0]["key_info"]["team_id"],
            "t"
        );
        assert_eq!(
            changed.text("/failed_updates/0/failed_reason"),
            "the team has no such key"
        );
        let refused = app
            .post("/team/key/bulk_update", body)
            .with_key(&ann.text("/key"))
            .await;
        assert_eq!(refused.status, 403, "{refused}");
        let patched = app
            .call(
                http::Method::PATCH,
                "/team/t",
                Some(json!({"team_alias": "T", "rpm_limit": 3})),
            )
            .await;
        assert_eq!(
            (patched.status, patched.text("/data/team_alias")),
            (200, "T".to_owned()),
            "{patched}"
        );
    })
    .await;
}

#[tokio::test]
async fn personal_keys_and_aliases_are_restricted_where_configured() {
    let app = Setup::default()
        .with("general_settings: {default_team_disabled: true}\nlitellm_settings: {enable_key_alias_format_validation: true, max_internal_user_budget: 4, internal_user_budget_duration: 1mo}")
        .start()
        .await;
    let user = app.post("/user/new", json!({"user_id": "ann"})).await;
    assert_eq!(
        (&user.json["max_budget"], &user.json["budget_duration"]),
        (&json!(4.0), &json!("1mo")),
        "{user}"
    );
    let admin = json!({"user_id": "root", "user_role": "proxy_admin", "auto_create_key": false});
    assert_eq!(
        app.post("/user/new", admin).await.json["max_budget"],
        Value::Null
    );
    let own = user.text("/key");
    let refused = app.post("/key/generate", json!({})).with_key(&own).await;
    assert_eq!(refused.status, 400, "{refused}");
    add_team(&app, "t", |team| {
        team.member_permissions.0.push("/key/generate".to_owned())
    })
    .await;
    add_member(&app, "t", "ann", "user").await;
    let made = app
        .post("/key/generate", json!({"team_id": "t"}))
        .with_key(&own)
        .await;
    assert_eq!(made.status, 200, "{made}");
    for (alias, status) in [
        ("a b", 400),
        ("x", 400),
        ("-ab", 400),
        ("team/key_1.a@b", 200),
        (&"a".repeat(256), 400),
    ] {
        let made = app.post("/key/generate", json!({"key_alias": alias})).await;
        assert_eq!(made.status, status, "{alias}: {made}");
    }
}
