//! Teams over HTTP: made, shown, changed and deleted (contract §10).

use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, each_database};
use crate::golden::Golden;

/// Makes a user with a key of their own; gives the key.
pub async fn user(app: &TestApp, id: &str) -> String {
    let body = json!({"user_id": id, "user_email": format!("{id}@example.com")});
    let made = app.post("/user/new", body).await;
    assert_eq!(made.status, 200, "{made}");
    made.text("/key")
}

/// Makes a team with these members.
pub async fn team(app: &TestApp, id: &str, members: &[(&str, &str)]) {
    let members: Vec<Value> = members
        .iter()
        .map(|(user_id, role)| json!({"user_id": user_id, "role": role}))
        .collect();
    let body = json!({"team_id": id, "team_alias": id, "members_with_roles": members});
    let made = app.post("/team/new", body).await;
    assert_eq!(made.status, 200, "{made}");
}

/// `id:role` of every member, in the order in which they joined.
pub fn members(team: &Value) -> Vec<String> {
    let members = team["members_with_roles"].as_array();
    members
        .into_iter()
        .flatten()
        .map(|member| {
            let text = |name: &str| member[name].as_str().unwrap_or_default().to_owned();
            format!("{}:{}", text("user_id"), text("role"))
        })
        .collect()
}

pub fn detail(answer: &Answer) -> &str {
    answer.json["detail"]["error"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn whoever_makes_a_team_administers_it() {
    each_database(async |app| {
        user(app, "ada").await;
        let made = app
            .post(
                "/team/new",
                json!({
                    "team_alias": "blue", "max_budget": 100, "budget_duration": "30d",
                    "models": ["gpt-4o"], "tpm_limit": 1000, "metadata": {"x": 1},
                    "tags": ["prod"], "router_settings": {"num_retries": 1},
                    "members_with_roles": [{"role": "admin", "user_id": "ada"}],
                }),
            )
            .await;
        assert_eq!(made.status, 200, "{made}");
        assert_eq!(members(&made.json), ["ada:admin", "default_user_id:admin"]);
        assert_eq!(made.json["max_budget"], json!(100.0));
        assert_eq!(made.json["metadata"], json!({"x": 1, "tags": ["prod"]}));
        assert_eq!(made.json["router_settings"], json!({"num_retries": 1}));
        let id = made.text("/team_id");
        let info = app.get(&format!("/team/info?team_id={id}")).await;
        assert_eq!(info.json["team_info"]["models"], json!(["gpt-4o"]));
        assert_eq!(
            info.json["team_info"]["members_with_roles"][0]["user_email"],
            "ada@example.com"
        );
        let shown = app.get("/v2/user/info?user_id=ada").await;
        assert_eq!(shown.json["teams"], json!([id]));
    })
    .await;
}

#[tokio::test]
async fn a_team_is_seen_by_its_members_and_each_sees_their_own() {
    each_database(async |app| {
        let (boss, worker, stranger) = (
            user(app, "boss").await,
            user(app, "worker").await,
            user(app, "stranger").await,
        );
        team(app, "t", &[("boss", "admin"), ("worker", "user")]).await;
        for owner in ["boss", "worker"] {
            let body = json!({"team_id": "t", "user_id": owner, "key_alias": owner});
            assert_eq!(app.post("/key/generate", body).await.status, 200);
        }
        let see = async |key: &str| app.get("/team/info?team_id=t").with_key(key).await;
        let count = |answer: &Answer, name: &str| answer.json[name].as_array().map(Vec::len);
        let all = see(&boss).await;
        assert_eq!(all.status, 200, "{all}");
        assert_eq!(count(&all, "keys"), Some(2));
        assert_eq!(count(&all, "team_memberships"), Some(3));
        let own = see(&worker).await;
        assert_eq!(own.json["keys"][0]["key_alias"], "worker", "{own}");
        assert_eq!(count(&own, "keys"), Some(1));
        assert_eq!(own.json["team_memberships"][0]["user_id"], "worker");
        assert_eq!(count(&own, "team_memberships"), Some(1));
        let denied = see(&stranger).await;
        assert_eq!(denied.status, 403, "{denied}");
        let missing = app.get("/team/info?team_id=nope").with_key(&boss).await;
        assert_eq!(missing.status, 404, "{missing}");
        let me = app.get("/team/t/members/me").with_key(&worker).await;
        assert_eq!(me.json["role"], "user", "{me}");
        let not_me = app.get("/team/t/members/me").with_key(&stranger).await;
        assert_eq!(not_me.status, 404, "{not_me}");

        let list = async |path: &str, key: &str| app.get(path).with_key(key).await;
        assert_eq!(list("/team/list", &worker).await.status, 401);
        assert_eq!(list("/team/list?user_id=boss", &worker).await.status, 401);
        let own = list("/team/list?user_id=worker", &worker).await;
        assert_eq!(own.json[0]["team_id"], "t", "{own}");
        assert_eq!(own.json[0]["keys"].as_array().map(Vec::len), Some(1));
        let none = list("/team/list?user_id=stranger", &stranger).await;
        assert_eq!(none.json, json!([]));
        let page = app.get("/v2/team/list?page_size=1").await;
        assert_eq!(page.json["total"], 1);
        assert_eq!(page.json["teams"][0]["members_count"], 3);
        assert_eq!(page.json["teams"][0]["keys_count"], 2);
    })
    .await;
}

#[tokio::test]
async fn teams_are_deleted_with_their_keys_all_or_none() {
    each_database(async |app| {
        for id in ["a", "b"] {
            team(app, id, &[("ada", "user")]).await;
        }
        let key = app
            .post("/key/generate", json!({"team_id": "a", "user_id": "ada"}))
            .await
            .text("/key");
        let refused = app
            .post("/team/delete", json!({"team_ids": ["a", "nope", "b"]}))
            .await;
        assert_eq!(refused.status, 404, "{refused}");
        assert_eq!(detail(&refused), "Team not found, passed team_id=nope");
        assert_eq!(app.get("/team/info?team_id=a").await.status, 200);
        assert_eq!(app.get("/v1/models").with_key(&key).await.status, 200);
        let deleted = app
            .post("/team/delete", json!({"team_ids": ["b", "a"]}))
            .await;
        assert_eq!(
            deleted.json,
            json!({"deleted_teams": ["a", "b"]}),
            "{deleted}"
        );
        assert_eq!(app.get("/team/info?team_id=a").await.status, 404);
        assert_eq!(app.get("/v1/models").with_key(&key).await.status, 401);
        let shown = app.get("/v2/user/info?user_id=ada").await;
        assert_eq!(shown.json["teams"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_blocked_team_blocks_its_keys_at_once() {
    each_database(async |app| {
        team(app, "t", &[]).await;
        let key = app
            .post("/key/generate", json!({"team_id": "t"}))
            .await
            .text("/key");
        let models = async || app.get("/v1/models").with_key(&key).await;
        assert_eq!(models().await.status, 200);
        let blocked = app.post("/team/block", json!({"team_id": "t"})).await;
        assert_eq!(blocked.json["blocked"], true, "{blocked}");
        let refused = models().await;
        assert_eq!(refused.status, 401, "{refused}");
        assert!(refused.text("/error/message").contains("Team=t is blocked"));
        let open = app.post("/team/unblock", json!({"team_id": "t"})).await;
        assert_eq!(open.json["blocked"], false);
        assert_eq!(models().await.status, 200);
        let missing = app.post("/team/block", json!({"team_id": "nope"})).await;
        assert_eq!(missing.status, 404, "{missing}");
    })
    .await;
}

#[tokio::test]
async fn a_team_without_models_left_may_use_none() {
    each_database(async |app| {
        app.post("/team/new", json!({"team_id": "t", "models": ["gpt-4o"]}))
            .await;
        let key = app
            .post("/key/generate", json!({"team_id": "t"}))
            .await
            .text("/key");
        let change = async |path: &str| {
            let body = json!({"team_id": "t", "models": ["gpt-4o"]});
            app.post(path, body).await
        };
        let removed = change("/team/model/delete").await;
        assert_eq!(
            removed.json["models"],
            json!(["no-default-models"]),
            "{removed}"
        );
        let ask = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
        let refused = app.post("/v1/chat/completions", ask).with_key(&key).await;
        assert_eq!(refused.status, 403, "{refused}");
        let added = change("/team/model/add").await;
        assert_eq!(added.json["models"], json!(["gpt-4o"]), "{added}");
    })
    .await;
}

#[tokio::test]
async fn configured_defaults_fill_what_is_not_said() {
    let settings = r#"
litellm_settings:
  default_team_params: {max_budget: 100, budget_duration: 30d, tpm_limit: 100000}
"#;
    let test = async |app: &mut TestApp| {
        let made = app.post("/team/new", json!({"team_alias": "Open"})).await;
        assert_eq!(made.json["max_budget"], json!(100.0), "{made}");
        assert_eq!(made.json["budget_duration"], "30d");
        assert_eq!(made.json["tpm_limit"], 100_000);
        let own = app.post("/team/new", json!({"max_budget": 5})).await;
        assert_eq!(own.json["max_budget"], json!(5.0), "{own}");
    };
    Setup::default().with(settings).each_database(test).await;
}

#[tokio::test]
async fn no_team_has_more_than_the_configuration_lets_it_have() {
    let settings = r"
litellm_settings:
  upperbound_team_params: {max_budget: 50, rpm_limit: 100, budget_duration: 30d}
";
    let test = async |app: &mut TestApp| {
        let filled = app.post("/team/new", json!({"team_id": "t"})).await;
        for (name, value) in [
            ("max_budget", json!(50.0)),
            ("rpm_limit", json!(100)),
            ("budget_duration", json!("30d")),
        ] {
            assert_eq!(filled.json[name], value, "{filled}");
        }
        for body in [
            json!({"max_budget": 51}),
            json!({"max_budget": 5, "rpm_limit": 101}),
            json!({"max_budget": 5, "budget_duration": "60d"}),
        ] {
            let made = app.post("/team/new", body.clone()).await;
            assert_eq!(made.status, 400, "{body}: {made}");
            let mut change = body;
            change["team_id"] = "t".into();
            let changed = app.post("/team/update", change.clone()).await;
            assert_eq!(changed.status, 400, "{change}: {changed}");
        }
        let none = json!({"team_id": "t", "max_budget": null});
        assert_eq!(app.post("/team/update", none).await.status, 400);
        let less = json!({"team_id": "t", "max_budget": 20});
        assert_eq!(app.post("/team/update", less).await.status, 200);
    };
    Setup::default().with(settings).each_database(test).await;
}

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    each_database(async |app| {
        team(app, "t", &[]).await;
        for (path, body, status) in [
            ("/team/new", json!({"team_id": "t"}), 400),
            ("/team/new", json!({"team_id": "litellm-dashboard"}), 400),
            ("/team/new", json!({"organization_id": "nope"}), 400),
            ("/team/new", json!({"max_budget": -1}), 400),
            ("/team/new", json!({"max_budget": "lots"}), 422),
            ("/team/new", json!({"max_budget": 5, "soft_budget": 5}), 400),
            (
                "/team/new",
                json!({"team_member_permissions": ["/fly"]}),
                400,
            ),
            (
                "/team/new",
                json!({"members_with_roles": [{"role": "king", "user_id": "x"}]}),
                422,
            ),
            (
                "/team/new",
                json!({"members_with_roles": [{"user_id": "x"}]}),
                422,
            ),
            (
                "/team/new",
                json!({"team_member_budget_duration": "soon"}),
                400,
            ),
            ("/team/update", json!({"max_budget": 5}), 422),
            ("/team/update", json!({"team_id": "nope"}), 404),
            ("/team/delete", json!({}), 422),
            (
                "/team/member_add",
                json!({"team_id": "t", "member": {"role": "user"}}),
                422,
            ),
            ("/team/member_add", json!({"team_id": "t"}), 422),
            (
                "/team/member_add",
                json!({"team_id": "t", "member": {"role": "user", "user_email": "nope"}}),
                400,
            ),
            ("/team/member_update", json!({"team_id": "t"}), 422),
            (
                "/team/member_update",
                json!({"team_id": "t", "user_id": "default_user_id", "temp_budget_increase": 1}),
                422,
            ),
        ] {
            let said = format!("{path} {body}");
            let refused = app.post(path, body).await;
            assert_eq!(refused.status, status, "{said}: {refused}");
        }
        assert_eq!(app.get("/v2/team/list").await.json["total"], 1);
        assert_eq!(app.get("/user/list").await.json["total"], 0);
        for query in ["page=0", "page_size=1000", "page=x"] {
            let refused = app.get(&format!("/v2/team/list?{query}")).await;
            assert_eq!(refused.status, 422, "{refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn answers_agree_with_the_recorded_ones() {
    each_database(async |app| {
        // the recording's users: ku1 administers the team, kv1 is a viewer
        let ku1 = app
            .post(
                "/user/new",
                json!({"user_id": "ku1", "user_email": "ku1@example.com", "user_role": "internal_user"}),
            )
            .await
            .text("/key");
        let body = json!({"user_id": "kv1", "user_role": "internal_user_viewer"});
        let kv1 = app.post("/user/new", body).await.text("/key");
        let mut team_id = "f3be78e9-000b-4b03-844e-7b9276e8a0c0".to_owned();
        for (name, key) in [
            ("team_new", None),
            ("team_new_member_budget", None),
            ("team_new_dup", None),
            ("team_new_unknown_org", None),
            ("team_new_by_internal", Some(&ku1)),
            ("team_info", None),
            ("team_info_missing", None),
            ("team_info_no_id", None),
            ("team_info_nonmember", Some(&ku1)),
            ("team_list", None),
            ("team_list_internal", Some(&ku1)),
            ("team_list_internal_self", Some(&ku1)),
            ("team_list_v2", None),
            ("team_update", None),
            ("team_update_missing", None),
            ("team_update_by_team_admin", Some(&ku1)),
            ("team_member_add", None),
            ("team_member_add_email", None),
            ("team_member_add_dup", None),
            ("team_member_add_noid", None),
            ("team_member_add_bad_role", None),
            ("team_member_add_team_missing", None),
            ("team_member_add_by_nonadmin", Some(&kv1)),
            ("team_member_update_missing", None),
            ("team_members_me", Some(&ku1)),
            ("team_member_delete", None),
            ("team_member_delete_missing", None),
            ("team_block", None),
            ("team_unblock", None),
            ("team_available", Some(&ku1)),
            ("team_permissions_list", None),
            ("team_permissions_update", None),
            ("team_model_add", None),
            ("team_model_delete", None),
            ("team_delete_missing", None),
            ("team_delete", None),
        ] {
            let Some(golden) = Golden::load(name) else {
                return;
            };
            let recorded = "f3be78e9-000b-4b03-844e-7b9276e8a0c0";
            let call = golden.call(app, &[(recorded, &team_id)]);
            let answer = match key {
                Some(key) => call.with_key(key).await,
                None => call.await,
            };
            golden.compare(&answer);
            if name == "team_new" {
                team_id = answer.text("/team_id");
            }
        }
    })
    .await;
}
