//! Many keys: listed, shown, changed and deleted at once.

use domain::Role;
use serde_json::json;

use crate::app::each_database;
use crate::keys::{add_user, compare, make};

#[tokio::test]
async fn lists_are_filtered_sorted_and_cut_into_pages() {
    each_database(async |app| {
        add_user(app, "ku1", Some(Role::InternalUser)).await;
        for index in 0..5 {
            let body = json!({"key_alias": format!("key_{index}"), "user_id": "ku1",
                "max_budget": 10 - index, "spend": index});
            make(app, body).await;
        }
        make(
            app,
            json!({"key_alias": "Other%", "user_id": "ku2", "team_id": "t1", "blocked": true}),
        )
        .await;
        let page = app.get("/key/list?page=2&size=4").await;
        compare("key_list", &page);
        assert_eq!(page.json["total_count"], 6);
        assert_eq!(page.json["total_pages"], 2);
        assert_eq!(page.json["keys"].as_array().unwrap().len(), 2);
        let full = app
            .get("/key/list?return_full_object=true&size=2&page=1")
            .await;
        compare("key_list_full", &full);

        let listed = async |query: &str| {
            let answer = app
                .get(&format!("/key/list?return_full_object=true&{query}"))
                .await;
            assert_eq!(answer.status, 200, "{query}: {answer}");
            let keys = answer.json["keys"].as_array().unwrap();
            assert_eq!(answer.json["total_count"], keys.len());
            keys.iter()
                .map(|key| key["key_alias"].as_str().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let all = "key_4 key_3 key_2 key_1 key_0";
        assert_eq!(listed("user_id=ku1").await, all);
        assert_eq!(listed("user_id=ku1&sort_by=spend").await, all);
        assert_eq!(
            listed("user_id=ku1&sort_by=max_budget&sort_order=asc").await,
            all
        );
        assert_eq!(
            listed("sort_by=key_alias&sort_order=asc&team_id=t1").await,
            "Other%"
        );
        assert_eq!(listed("key_alias=key_1").await, "key_1");
        assert_eq!(listed("key_alias=key").await, "");
        assert_eq!(
            listed("key_alias=KEY_&substring_matching=true&sort_by=key_alias").await,
            all
        );
        assert_eq!(listed("search=%25").await, "Other%");
        assert_eq!(listed("status=revoked").await, "Other%");
        assert_eq!(listed("status=deleted").await, "");
        assert_eq!(listed("organization_id=none").await, "");

        let aliases = app.get("/key/aliases").await;
        compare("key_aliases", &aliases);
        assert_eq!(aliases.json["total_count"], 6);
        let bad = app.get("/key/list?size=1000").await;
        compare("key_list_bad_size", &bad);
        assert_eq!(app.get("/key/list?sort_by=secret").await.status, 400);
        assert_eq!(app.get("/key/list?status=unknown").await.status, 422);
        assert_eq!(app.get("/key/list?page=abc").await.status, 422);
        let beyond = app.get(&format!("/key/list?page={}", i64::MAX)).await;
        assert_eq!(beyond.json["keys"], json!([]), "{beyond}");
    })
    .await;
}

#[tokio::test]
async fn several_keys_are_shown_changed_and_deleted_at_once() {
    each_database(async |app| {
        let one = make(app, json!({"key_alias": "custom"})).await.text("/key");
        let changes =
            json!({"keys": [{"key": one, "max_budget": 3}, {"key": "sk-zzz", "max_budget": 1}]});
        let changed = app.post("/key/bulk_update", changes).await;
        compare("key_bulk_update", &changed);
        assert_eq!(
            changed.json["successful_updates"][0]["key_info"]["max_budget"],
            3.0
        );
        assert_eq!(
            changed.json["failed_updates"][0]["failed_reason"],
            "Key not found."
        );
        let infos = app.post("/v2/key/info", json!({"keys": [one]})).await;
        compare("key_info_v2", &infos);
        let mixed = json!({"keys": ["sk-unknown"], "key_aliases": ["custom"]});
        let deleted = app.post("/key/delete", mixed).await;
        assert_eq!(deleted.json, json!({"deleted_keys": ["custom"]}));
        let again = make(app, json!({"key_alias": "custom"})).await;
        assert_eq!(again.json["key_alias"], "custom");
    })
    .await;
}
