//! Users over HTTP: made, shown, listed, changed and deleted (contract §9).

use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, each_database};
use crate::golden::Golden;

/// Makes a user with a key of their own; gives the id and the key.
async fn user(app: &TestApp, body: Value) -> (String, String) {
    let made = app.post("/user/new", body).await;
    assert_eq!(made.status, 200, "{made}");
    (made.text("/user_id"), made.text("/key"))
}

fn detail(answer: &Answer) -> &str {
    answer.json["detail"]["error"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn the_commands_of_the_onboarding_guide_work_as_printed() {
    each_database(async |app| {
        let made = app
            .post("/user/new", json!({"user_email": "user@example.com"}))
            .await;
        assert_eq!(made.status, 200, "{made}");
        assert_eq!(made.json["user_role"], "internal_user");
        let id = made.text("/user_id");
        let key = app
            .post("/key/generate", json!({"user_id": id, "max_budget": 100}))
            .await;
        assert_eq!(key.status, 200, "{key}");
        assert_eq!(key.json["user_id"], json!(id));
        assert_eq!(key.json["max_budget"], json!(100.0));
        for key in [key.text("/key"), made.text("/key")] {
            let models = app.get("/v1/models").with_key(&key).await;
            assert_eq!(models.status, 200, "{models}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_is_shown_to_themselves_and_to_administrators_only() {
    each_database(async |app| {
        let (id, key) = user(app, json!({"user_email": "ada@example.com"})).await;
        let (other, _) = user(app, json!({})).await;
        let own = app.get("/user/info").with_key(&key).await;
        assert_eq!(own.status, 200, "{own}");
        assert_eq!(own.json["user_id"], json!(id));
        assert_eq!(own.json["keys"].as_array().map(Vec::len), Some(1));
        assert!(!own.to_string().contains("password_hash"));
        let path = format!("/user/info?user_id={other}");
        let denied = app.get(&path).with_key(&key).await;
        assert_eq!(denied.status, 403, "{denied}");
        let slim = app
            .get(&format!("/v2/user/info?user_id={other}"))
            .with_key(&key)
            .await;
        assert_eq!(slim.status, 403, "{slim}");
        assert_eq!(app.get(&path).await.status, 200);
        let missing = app.get("/user/info?user_id=nobody").await;
        assert_eq!(missing.status, 404, "{missing}");
        let nobodys = app.post("/key/generate", json!({})).await;
        let answer = app.get("/user/info").with_key(&nobodys.text("/key")).await;
        assert_eq!(answer.status, 404, "{answer}");
    })
    .await;
}

#[tokio::test]
async fn the_master_key_sees_the_whole_gateway_without_a_user_of_its_own() {
    each_database(async |app| {
        user(app, json!({})).await;
        app.post("/team/new", json!({"team_alias": "blue"})).await;
        let all = app.get("/user/info").await;
        assert_eq!(all.json["user_id"], "default_user_id");
        assert_eq!(all.json["user_info"], Value::Null);
        assert_eq!(all.json["keys"].as_array().map(Vec::len), Some(1));
        assert_eq!(all.json["teams"].as_array().map(Vec::len), Some(1));
    })
    .await;
}

#[tokio::test]
async fn nobody_shares_an_id_or_an_address_whatever_its_case() {
    each_database(async |app| {
        user(
            app,
            json!({"user_id": "ada", "user_email": "Ada@Example.com"}),
        )
        .await;
        let shown = app.get("/v2/user/info?user_id=ada").await;
        assert_eq!(shown.json["user_email"], "ada@example.com");
        for (body, said) in [
            (json!({"user_email": "ADA@example.COM"}), "User with email"),
            (json!({"user_id": "ada"}), "User with id ada already exists"),
        ] {
            let taken = app.post("/user/new", body).await;
            assert_eq!(taken.status, 409, "{taken}");
            assert!(taken.text("/error/message").contains(said), "{taken}");
            assert!(taken.text("/error/message").contains("already exists"));
        }
        user(
            app,
            json!({"user_id": "bob", "user_email": "bob@example.com"}),
        )
        .await;
        let renamed = app
            .post(
                "/user/update",
                json!({"user_id": "bob", "user_email": "ADA@example.com"}),
            )
            .await;
        assert_eq!(renamed.status, 409, "{renamed}");
        let shown = app.get("/v2/user/info?user_id=bob").await;
        assert_eq!(shown.json["user_email"], "bob@example.com");
    })
    .await;
}

#[tokio::test]
async fn two_requests_for_one_address_make_one_user() {
    each_database(async |app| {
        for round in 0..5 {
            let email = format!("race{round}@example.com");
            let make = async || {
                let made = app.post("/user/new", json!({"user_email": email})).await;
                made.status
            };
            let made = tokio::join!(make(), make(), make(), make());
            let mut statuses = [made.0, made.1, made.2, made.3];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409, 409, 409]);
            let found = app.get(&format!("/user/list?user_email={email}")).await;
            assert_eq!(found.json["total"], 1);
        }
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_never_makes_a_user() {
    each_database(async |app| {
        let new = json!({
            "user_id": "bob", "user_email": "bob@example.com", "max_budget": 5,
            "budget_duration": "30d", "rpm_limit": "10", "metadata": {"team": "x"},
            "auto_create_key": false,
        });
        let made = app.post("/user/new", new).await;
        assert_eq!(
            (made.status, &made.json["key"]),
            (200, &json!("")),
            "{made}"
        );
        let changed = app
            .post(
                "/user/update",
                json!({"user_id": "bob", "max_budget": 10, "user_role": "proxy_admin_viewer"}),
            )
            .await;
        let data = &changed.json["data"];
        assert_eq!(data["max_budget"], json!(10.0), "{changed}");
        assert_eq!(data["budget_duration"], "30d");
        assert_eq!(data["rpm_limit"], 10);
        assert_eq!(data["metadata"], json!({"team": "x"}));
        assert_eq!(data["user_role"], "proxy_admin_viewer");
        let by_email = app
            .post(
                "/user/update",
                json!({"user_email": "BOB@example.com", "user_alias": "Bob", "max_budget": null}),
            )
            .await;
        assert_eq!(by_email.json["user_id"], "bob", "{by_email}");
        let data = &by_email.json["data"];
        assert_eq!(
            (&data["user_alias"], &data["max_budget"]),
            (&json!("Bob"), &Value::Null)
        );
        for body in [
            json!({"user_id": "nobody", "max_budget": 1}),
            json!({"user_email": "nobody@example.com"}),
        ] {
            let missing = app.post("/user/update", body).await;
            assert_eq!(missing.status, 404, "{missing}");
        }
        assert_eq!(app.get("/user/list").await.json["total"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_change_of_role_holds_for_the_next_request() {
    each_database(async |app| {
        let (id, key) = user(app, json!({})).await;
        assert_eq!(app.get("/user/list").with_key(&key).await.status, 403);
        let admin = json!({"user_id": id, "user_role": "proxy_admin"});
        app.post("/user/update", admin).await;
        assert_eq!(app.get("/user/list").with_key(&key).await.status, 200);
        app.post("/user/update", json!({"user_id": id, "blocked": true}))
            .await;
        let blocked = app.get("/user/list").with_key(&key).await;
        assert_eq!(blocked.status, 401, "{blocked}");
    })
    .await;
}

#[tokio::test]
async fn who_is_deleted_takes_keys_and_memberships_along() {
    each_database(async |app| {
        let (id, key) = user(app, json!({"user_email": "ada@example.com"})).await;
        let (kept, kept_key) = user(app, json!({})).await;
        app.post(
            "/team/new",
            json!({"team_id": "t", "members_with_roles": [{"role": "user", "user_id": id}]}),
        )
        .await;
        let unknown = app
            .post("/user/delete", json!({"user_ids": [id, "nobody"]}))
            .await;
        assert_eq!(unknown.status, 404, "{unknown}");
        assert_eq!(detail(&unknown), "User not found, passed user_id=nobody");
        assert_eq!(app.get("/user/info").with_key(&key).await.status, 200);
        let deleted = app.post("/user/delete", json!({"user_ids": [id]})).await;
        assert_eq!(
            (deleted.status, &deleted.json),
            (200, &json!(1)),
            "{deleted}"
        );
        assert_eq!(app.get("/v1/models").with_key(&key).await.status, 401);
        assert_eq!(app.get("/v1/models").with_key(&kept_key).await.status, 200);
        let team = app.get("/team/info?team_id=t").await;
        let members = team.json["team_info"]["members_with_roles"].to_string();
        assert!(!members.contains(&id), "{members}");
        let again = app
            .post("/user/new", json!({"user_email": "ada@example.com"}))
            .await;
        assert_eq!(again.status, 200, "{again}");
        assert_ne!(again.text("/user_id"), kept);
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    each_database(async |app| {
        for (id, email, role) in [
            ("a", "ann@example.com", "internal_user"),
            ("b", "ben@example.com", "proxy_admin_viewer"),
            ("c", "cat@other.org", "internal_user"),
        ] {
            user(
                app,
                json!({"user_id": id, "user_email": email, "user_role": role}),
            )
            .await;
        }
        let ids = async |query: &str| {
            let listed = app.get(&format!("/user/list?{query}")).await;
            assert_eq!(listed.status, 200, "{listed}");
            let users = listed.json["users"].as_array().cloned().unwrap_or_default();
            let ids = users.iter().map(|user| user["user_id"].to_string());
            ids.collect::<Vec<_>>().join("").replace('"', "")
        };
        assert_eq!(ids("").await, "cba");
        assert_eq!(ids("sort_by=user_email").await, "abc");
        assert_eq!(ids("sort_by=user_email&sort_order=desc").await, "cba");
        assert_eq!(ids("role=internal_user").await, "ca");
        assert_eq!(ids("user_email=EXAMPLE").await, "ba");
        assert_eq!(ids("user_ids=a,c").await, "ca");
        assert_eq!(ids("search=cat").await, "c");
        assert_eq!(ids("page=2&page_size=2").await, "a");
        let page = app.get("/user/list?page=2&page_size=2").await;
        assert_eq!(
            (&page.json["total"], &page.json["total_pages"]),
            (&json!(3), &json!(2))
        );
        assert_eq!(page.json["users"][0]["key_count"], 1);
        for (query, status) in [
            ("page=0", 422),
            ("page_size=101", 422),
            ("page=x", 422),
            ("sort_by=password", 400),
            ("sort_by=spend&sort_order=up", 400),
        ] {
            let refused = app.get(&format!("/user/list?{query}")).await;
            assert_eq!(refused.status, status, "{query}: {refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    each_database(async |app| {
        for (body, status) in [
            (json!({"user_role": "king"}), 422),
            (
                json!({"user_email": "p@example.com", "password": "secret123"}),
                422,
            ),
            (json!({"max_budget": "lots"}), 422),
            (json!({"max_budget": -1}), 400),
            (json!({"user_email": "no address"}), 400),
            (json!({"user_id": ""}), 400),
            (json!({"budget_duration": "soon"}), 400),
            (json!({"duration": "soon"}), 400),
            (json!({"teams": ["nowhere"]}), 404),
            (json!({"organizations": ["nowhere"]}), 400),
            (json!([]), 422),
            (json!({"user_id": 5}), 422),
        ] {
            let said = body.to_string();
            let refused = app.post("/user/new", body).await;
            assert_eq!(refused.status, status, "{said}: {refused}");
        }
        let empty = app.post("/user/new", Value::Null).body("").await;
        assert_eq!(empty.status, 422, "{empty}");
        let broken = app.post("/user/new", Value::Null).body("{\"a\":").await;
        assert_eq!(broken.status, 422, "{broken}");
        assert_eq!(app.get("/user/list").await.json["total"], 0);
        // a key that cannot be made leaves no user behind
        app.post("/key/generate", json!({"key_alias": "taken"}))
            .await;
        let refused = app
            .post(
                "/user/new",
                json!({"user_id": "half", "key_alias": "taken"}),
            )
            .await;
        assert_eq!(refused.status, 400, "{refused}");
        assert_eq!(app.get("/user/info?user_id=half").await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn others_than_administrators_cannot_manage_users() {
    each_database(async |app| {
        let (id, key) = user(app, json!({})).await;
        for path in ["/user/new", "/user/update", "/user/delete"] {
            let body = json!({"user_id": id, "user_role": "proxy_admin", "user_ids": [id]});
            let denied = app.post(path, body).with_key(&key).await;
            assert_eq!(denied.status, 401, "{path}: {denied}");
            let said = denied.text("/error/message");
            assert!(said.contains("Only proxy admin can be used to"), "{said}");
        }
        let (_, viewer) = user(app, json!({"user_role": "proxy_admin_viewer"})).await;
        let denied = app.post("/user/new", json!({})).with_key(&viewer).await;
        assert_eq!(denied.status, 403, "{denied}");
        assert_eq!(app.get("/user/list").with_key(&viewer).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn configured_defaults_fill_what_is_not_said() {
    let settings = r#"
litellm_settings:
  default_internal_user_params:
    user_role: internal_user_viewer
    max_budget: 7
    budget_duration: 30d
    models: [gpt-4o]
"#;
    let test = async |app: &mut TestApp| {
        let made = app.post("/user/new", json!({})).await;
        assert_eq!(made.json["user_role"], "internal_user_viewer", "{made}");
        assert_eq!(made.json["max_budget"], json!(7.0));
        assert_eq!(made.json["budget_duration"], "30d");
        assert_eq!(made.json["models"], json!(["gpt-4o"]));
        let own = json!({"user_role": "internal_user", "max_budget": 1, "models": []});
        let made = app.post("/user/new", own).await;
        assert_eq!(made.json["user_role"], "internal_user", "{made}");
        assert_eq!(made.json["max_budget"], json!(1.0));
        assert_eq!(made.json["models"], json!([]));
    };
    Setup::default().with(settings).each_database(test).await;
}

#[tokio::test]
async fn spend_that_an_administrator_sets_is_shown_and_gone_with_the_user() {
    each_database(async |app| {
        let made = app
            .post(
                "/user/new",
                json!({"user_id": "ada", "spend": 2.5, "max_budget": 2}),
            )
            .await;
        assert_eq!(made.json["spend"], json!(2.5), "{made}");
        let key = made.text("/key");
        let ask = async || {
            let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
            app.post("/v1/chat/completions", body).with_key(&key).await
        };
        let refused = ask().await;
        assert_eq!(refused.status, 422, "{refused}");
        assert_eq!(refused.json["error"]["type"], "budget_exceeded");
        let reset = app
            .post("/user/update", json!({"user_id": "ada", "spend": 0}))
            .await;
        assert_eq!(reset.json["data"]["spend"], json!(0.0), "{reset}");
        assert_ne!(ask().await.status, 422);
        app.post("/user/update", json!({"user_id": "ada", "spend": 1}))
            .await;
        app.post("/user/delete", json!({"user_ids": ["ada"]})).await;
        let again = app.post("/user/new", json!({"user_id": "ada"})).await;
        assert_eq!(again.json["spend"], json!(0.0), "{again}");
    })
    .await;
}

#[tokio::test]
async fn answers_agree_with_the_recorded_ones() {
    each_database(async |app| {
        let alice_key = "sk-Od6lwJblwuDCkAc4GbqWNg";
        let alice_id = "fce7988c-4c74-406d-a5ce-d19849a11bef";
        let mut replace: Vec<(String, String)> = Vec::new();
        for name in [
            "user_new_basic",
            "user_new_no_key",
            "user_new_duplicate_email",
            "user_new_duplicate_id",
            "user_new_bad_role",
            "user_new_password",
            "user_available_roles",
            "user_info_by_id",
            "user_info_self",
            "user_info_v2",
            "user_info_admin_no_id",
            "user_info_missing",
            "user_info_other_denied",
            "user_list",
            "user_list_filters",
            "user_list_bad_page",
            "user_list_as_internal",
            "user_update",
            "user_update_by_email",
            "user_update_noid",
            "user_update_missing",
            "internal_user_new_denied",
            "internal_user_update_self",
            "user_delete_missing",
            "user_delete",
        ] {
            let Some(golden) = Golden::load(name) else {
                return;
            };
            let pairs: Vec<(&str, &str)> = replace
                .iter()
                .map(|(from, to)| (from.as_str(), to.as_str()))
                .collect();
            let call = golden.call(app, &pairs);
            let own = matches!(
                name,
                "user_info_self"
                    | "user_info_other_denied"
                    | "user_list_as_internal"
                    | "internal_user_new_denied"
                    | "internal_user_update_self"
            );
            let answer = match own {
                true => call.with_key(&replace[0].1).await,
                false => call.await,
            };
            golden.compare(&answer);
            if name == "user_new_basic" {
                replace.push((alice_key.to_owned(), answer.text("/key")));
                replace.push((alice_id.to_owned(), answer.text("/user_id")));
            }
        }
    })
    .await;
}
