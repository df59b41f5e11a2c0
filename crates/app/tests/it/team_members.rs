//! Members of teams over HTTP: who joins, who leaves, who may do either, and what each may spend
//! (contract §10.5).

use serde_json::{Value, json};

use crate::app::{Setup, TestApp, each_database};
use crate::teams::{detail, members, team, user};

/// The membership of a user, as an administrator sees it.
async fn membership(app: &TestApp, team_id: &str, user_id: &str) -> Value {
    let info = app.get(&format!("/team/info?team_id={team_id}")).await;
    let memberships = info.json["team_memberships"].as_array().cloned();
    let mut memberships = memberships.unwrap_or_default().into_iter();
    memberships
        .find(|membership| membership["user_id"] == user_id)
        .unwrap_or_default()
}

#[tokio::test]
async fn members_who_are_not_known_become_users() {
    each_database(async |app| {
        team(app, "t", &[("ghost", "user")]).await;
        let added = app
            .post(
                "/team/member_add",
                json!({"team_id": "t", "member": [
                    {"role": "user", "user_email": "New@Example.com"},
                    {"role": "admin", "user_id": "phantom"},
                ], "max_budget_in_team": 2.5}),
            )
            .await;
        assert_eq!(added.status, 200, "{added}");
        let new = &added.json["updated_users"][0];
        assert_eq!(new["user_email"], "new@example.com");
        assert_eq!(new["user_role"], "internal_user");
        assert_eq!(new["teams"], json!(["t"]));
        let membership = &added.json["updated_team_memberships"][0];
        assert_eq!(membership["litellm_budget_table"]["max_budget"], json!(2.5));
        assert_eq!(membership["budget_source"], "individual");
        for id in ["ghost", "phantom"] {
            let shown = app.get(&format!("/v2/user/info?user_id={id}")).await;
            assert_eq!(shown.json["user_role"], "internal_user", "{shown}");
        }
        let same = app
            .post(
                "/team/member_add",
                json!({"team_id": "t", "member": {"role": "user", "user_email": "NEW@example.com"}}),
            )
            .await;
        assert_eq!(same.status, 400, "{same}");
        assert_eq!(same.json["error"]["type"], "team_member_already_in_team");
        assert_eq!(app.get("/user/list").await.json["total"], 3);
    })
    .await;
}

#[tokio::test]
async fn a_refused_member_leaves_nothing_behind() {
    each_database(async |app| {
        team(app, "t", &[("ada", "user")]).await;
        let refused = app
            .post(
                "/team/member_add",
                json!({"team_id": "t", "member": [
                    {"role": "user", "user_id": "fresh"},
                    {"role": "user", "user_id": "ada"},
                ]}),
            )
            .await;
        assert_eq!(refused.status, 400, "{refused}");
        assert_eq!(app.get("/user/info?user_id=fresh").await.status, 404);
        let info = app.get("/team/info?team_id=t").await;
        assert_eq!(
            members(&info.json["team_info"]),
            ["ada:user", "default_user_id:admin"]
        );
    })
    .await;
}

#[tokio::test]
async fn two_additions_at_once_add_everybody_once() {
    each_database(async |app| {
        team(app, "t", &[]).await;
        for round in 0..4 {
            let (one, two) = (format!("one{round}"), format!("two{round}"));
            let email = format!("both{round}@example.com");
            let add = async |member: Value| {
                let body = json!({"team_id": "t", "member": member});
                app.post("/team/member_add", body).await.status
            };
            let added = tokio::join!(
                add(json!({"role": "user", "user_id": one})),
                add(json!({"role": "user", "user_id": two})),
                add(json!({"role": "user", "user_email": email})),
                add(json!({"role": "user", "user_email": email})),
            );
            assert_eq!((added.0, added.1), (200, 200));
            let mut same = [added.2, added.3];
            same.sort_unstable();
            assert_eq!(same, [200, 400]);
        }
        let info = app.get("/team/info?team_id=t").await;
        assert_eq!(members(&info.json["team_info"]).len(), 1 + 3 * 4);
    })
    .await;
}

#[tokio::test]
async fn only_administrators_manage_members() {
    each_database(async |app| {
        let (boss, worker, stranger) = (
            user(app, "boss").await,
            user(app, "worker").await,
            user(app, "stranger").await,
        );
        team(app, "t", &[("boss", "admin"), ("worker", "user")]).await;
        let add = |id: &str| json!({"team_id": "t", "member": {"role": "user", "user_id": id}});
        for key in [&worker, &stranger] {
            for (path, body) in [
                ("/team/member_add", add("eve")),
                (
                    "/team/member_update",
                    json!({"team_id": "t", "user_id": "worker", "role": "admin"}),
                ),
                (
                    "/team/member_delete",
                    json!({"team_id": "t", "user_id": "boss"}),
                ),
                (
                    "/team/permissions_update",
                    json!({"team_id": "t", "team_member_permissions": ["/key/generate"]}),
                ),
            ] {
                let denied = app.post(path, body).with_key(key).await;
                assert_eq!(denied.status, 403, "{path}: {denied}");
                assert!(detail(&denied).contains("team admin"), "{denied}");
            }
            let denied = app
                .post("/team/update", json!({"team_id": "t", "max_budget": 9}))
                .with_key(key)
                .await;
            assert_eq!(denied.status, 403, "{denied}");
        }
        let added = app
            .post("/team/member_add", add("new"))
            .with_key(&boss)
            .await;
        assert_eq!(added.status, 200, "{added}");
        let changed = app
            .post(
                "/team/member_update",
                json!({"team_id": "t", "user_id": "worker", "role": "admin",
                    "max_budget_in_team": 9, "tpm_limit": 10, "rpm_limit": 1}),
            )
            .with_key(&boss)
            .await;
        assert_eq!(changed.status, 200, "{changed}");
        assert_eq!(changed.json["max_budget_in_team"], json!(9.0));
        let now_may = app
            .post(
                "/team/member_delete",
                json!({"team_id": "t", "user_id": "new"}),
            )
            .with_key(&worker)
            .await;
        assert_eq!(now_may.status, 200, "{now_may}");
        // settings of the team are for administrators of the gateway
        let denied = app
            .post("/team/update", json!({"team_id": "t", "max_budget": 9}))
            .with_key(&boss)
            .await;
        assert_eq!(denied.status, 403, "{denied}");
        let said = denied.text("/error/message");
        assert!(
            said.contains("Team admins on this proxy cannot edit"),
            "{said}"
        );
        for path in [
            "/team/new",
            "/team/delete",
            "/team/block",
            "/team/model/add",
        ] {
            let body = json!({"team_id": "t", "team_ids": ["t"], "models": ["gpt-4o"]});
            let denied = app.post(path, body).with_key(&boss).await;
            assert_eq!(denied.status, 401, "{path}: {denied}");
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_leaves_takes_their_keys_of_the_team_along() {
    each_database(async |app| {
        let personal = user(app, "ada").await;
        team(app, "t", &[("ada", "user"), ("bob", "user")]).await;
        let key = async |owner: &str| {
            let body = json!({"team_id": "t", "user_id": owner});
            app.post("/key/generate", body).await.text("/key")
        };
        let (of_ada, of_bob) = (key("ada").await, key("bob").await);
        let left = app
            .post(
                "/team/member_delete",
                json!({"team_id": "t", "user_email": "ADA@example.com"}),
            )
            .await;
        assert_eq!(left.status, 200, "{left}");
        assert_eq!(members(&left.json), ["bob:user", "default_user_id:admin"]);
        assert_eq!(app.get("/v1/models").with_key(&of_ada).await.status, 401);
        assert_eq!(app.get("/v1/models").with_key(&of_bob).await.status, 200);
        assert_eq!(app.get("/v1/models").with_key(&personal).await.status, 200);
        let again = app
            .post(
                "/team/member_delete",
                json!({"team_id": "t", "user_id": "ada"}),
            )
            .await;
        assert_eq!(
            (again.status, detail(&again)),
            (400, "User not found in team")
        );
    })
    .await;
}

#[tokio::test]
async fn a_stranger_cannot_be_changed_as_a_member() {
    each_database(async |app| {
        team(app, "t", &[]).await;
        user(app, "ada").await;
        for id in ["ada", "ghost"] {
            let body = json!({"team_id": "t", "user_id": id, "max_budget_in_team": 9});
            let refused = app.post("/team/member_update", body).await;
            assert_eq!(refused.status, 404, "{refused}");
        }
        let unknown = json!({"team_id": "nope", "user_id": "ada", "role": "user"});
        assert_eq!(app.post("/team/member_update", unknown).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn all_members_share_a_plan_until_they_have_a_budget_of_their_own() {
    each_database(async |app| {
        let made = app
            .post(
                "/team/new",
                json!({
                    "team_id": "t", "team_member_budget": 5, "team_member_budget_duration": "30d",
                    "team_member_rpm_limit": 10, "metadata": {"team_member_budget_id": "foreign"},
                    "members_with_roles": [{"role": "user", "user_id": "ada"},
                        {"role": "user", "user_id": "bob"}],
                }),
            )
            .await;
        assert_eq!(made.status, 200, "{made}");
        let plan = made.text("/metadata/team_member_budget_id");
        assert_ne!(plan, "foreign");
        let ada = membership(app, "t", "ada").await;
        assert_eq!(ada["budget_id"], json!(plan));
        assert_eq!(ada["budget_source"], "team_default");
        assert_eq!(ada["litellm_budget_table"]["max_budget"], json!(5.0));
        assert_eq!(ada["litellm_budget_table"]["rpm_limit"], 10);
        app.post(
            "/team/member_update",
            json!({"team_id": "t", "user_id": "bob", "max_budget_in_team": 1}),
        )
        .await;
        let raised = app
            .post(
                "/team/update",
                json!({"team_id": "t", "team_member_budget": 7, "metadata": {"y": 2}}),
            )
            .await;
        assert_eq!(
            raised.json["data"]["metadata"]["team_member_budget_id"],
            json!(plan)
        );
        assert_eq!(raised.json["data"]["metadata"]["y"], 2);
        let (ada, bob) = (
            membership(app, "t", "ada").await,
            membership(app, "t", "bob").await,
        );
        assert_eq!(
            ada["litellm_budget_table"]["max_budget"],
            json!(7.0),
            "{ada}"
        );
        assert_eq!(
            bob["litellm_budget_table"]["max_budget"],
            json!(1.0),
            "{bob}"
        );
        assert_eq!(bob["budget_source"], "individual");
        app.post(
            "/team/member_add",
            json!({"team_id": "t", "member": {"role": "user", "user_id": "cleo"}}),
        )
        .await;
        let cleo = membership(app, "t", "cleo").await;
        assert_eq!(
            cleo["litellm_budget_table"]["max_budget"],
            json!(7.0),
            "{cleo}"
        );
    })
    .await;
}

#[tokio::test]
async fn open_teams_can_be_joined_by_oneself_and_as_a_user_only() {
    let settings = r#"
litellm_settings:
  default_internal_user_params: {user_role: internal_user, available_teams: [open]}
"#;
    let test = async |app: &mut TestApp| {
        let key = user(app, "ada").await;
        for id in ["open", "closed"] {
            team(app, id, &[]).await;
        }
        let offered = app.get("/team/available").with_key(&key).await;
        assert_eq!(offered.json[0]["team_id"], "open", "{offered}");
        assert_eq!(offered.json.as_array().map(Vec::len), Some(1));
        let join = async |body: Value| app.post("/team/member_add", body).with_key(&key).await;
        for body in [
            json!({"team_id": "open", "member": {"role": "admin", "user_id": "ada"}}),
            json!({"team_id": "open", "member": {"role": "user", "user_id": "bob"}}),
            json!({"team_id": "open", "member": {"role": "user", "user_id": "ada"},
                "max_budget_in_team": 1000}),
            json!({"team_id": "closed", "member": {"role": "user", "user_id": "ada"}}),
        ] {
            let denied = join(body).await;
            assert_eq!(denied.status, 403, "{denied}");
        }
        let own = json!({"team_id": "open", "member": {"role": "user", "user_id": "ada"}});
        let joined = join(own).await;
        assert_eq!(joined.status, 200, "{joined}");
        let offered = app.get("/team/available").with_key(&key).await;
        assert_eq!(offered.json, json!([]));
    };
    Setup::default().with(settings).each_database(test).await;
}

#[tokio::test]
async fn budgets_of_teams_and_members_hold_from_the_next_call_on() {
    each_database(async |app| {
        team(app, "t", &[("ada", "user")]).await;
        let key = app
            .post("/key/generate", json!({"team_id": "t", "user_id": "ada"}))
            .await
            .text("/key");
        let ask = async || {
            let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
            app.post("/v1/chat/completions", body).with_key(&key).await
        };
        let limit = async |path: &str, body: Value| {
            let changed = app.post(path, body).await;
            assert_eq!(changed.status, 200, "{changed}");
        };
        assert_eq!(ask().await.status, 200);
        let of_member =
            |amount: Value| json!({"team_id": "t", "user_id": "ada", "max_budget_in_team": amount});
        limit("/team/member_update", of_member(json!(0))).await;
        let refused = ask().await;
        assert_eq!(refused.status, 422, "{refused}");
        let said = refused.text("/error/message");
        assert!(said.contains("TeamMember=ada:t"), "{said}");
        limit("/team/member_update", of_member(Value::Null)).await;
        assert_eq!(ask().await.status, 200);
        limit("/team/update", json!({"team_id": "t", "max_budget": 0})).await;
        let refused = ask().await;
        assert_eq!(refused.status, 422, "{refused}");
        assert!(refused.text("/error/message").contains("Team=t"));
        limit("/team/update", json!({"team_id": "t", "max_budget": 5})).await;
        assert_eq!(ask().await.status, 200);
        let info = app.get("/team/info?team_id=t").await;
        let ada = membership(app, "t", "ada").await;
        assert_eq!(ada["spend"], info.json["team_info"]["spend"], "{info}");
        assert_eq!(ada["spend"], info.json["keys"][0]["spend"]);
        assert!(ada["spend"].as_f64().is_some_and(|spend| spend > 0.0));
    })
    .await;
}

#[tokio::test]
async fn who_is_deleted_while_joining_is_no_member_without_being_a_user() {
    each_database(async |app| {
        team(app, "t", &[]).await;
        for round in 0..6 {
            let id = format!("ada{round}");
            user(app, &id).await;
            let join = async || {
                let body = json!({"team_id": "t", "member": {"role": "user", "user_id": id}});
                app.post("/team/member_add", body).await
            };
            let leave = async || app.post("/user/delete", json!({"user_ids": [id]})).await;
            let (joined, left) = tokio::join!(join(), leave());
            assert_eq!((joined.status, left.status), (200, 200), "{joined} {left}");
            let info = app.get("/team/info?team_id=t").await;
            let is_member = members(&info.json["team_info"]).contains(&format!("{id}:user"));
            let is_user = app.get(&format!("/user/info?user_id={id}")).await.status == 200;
            assert_eq!(is_member, is_user, "{info}");
        }
    })
    .await;
}
