//! What an operator sees: pages, unknown paths, limits of connections, the end.

use crate::app::{Setup, each_database};

#[tokio::test]
async fn the_reference_page_is_served_without_a_key() {
    let app = Setup::default().start().await;
    let page = app.get("/docs").without_key().await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    let tag = page.header("etag").to_owned();
    let again = app.get("/docs").header("if-none-match", &tag).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[tokio::test]
async fn a_stopped_gateway_starts_again_on_its_data() {
    each_database(async |app| {
        app.restart().await;
        assert_eq!(app.get("/docs").await.status, 200);
    })
    .await;
}
