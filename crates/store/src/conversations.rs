//! Conversations of the `/v2` API and what was said in them.

use base::{Millis, Money};

use crate::db::{Counted, Db, On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `conversations`.
    #[derive(Clone, Debug)]
    pub struct ConversationRow {
        pub id: String,
        pub owner_id: String,
        pub title: String,
        pub created_at: Millis,
        pub updated_at: Millis,
    }
}

row! {
    /// One row of `conversation_messages`.
    #[derive(Clone, Debug)]
    pub struct MessageRow {
        pub id: String,
        pub conversation_id: String,
        pub role: String,
        pub content: String,
        pub created_at: Millis,
        pub request_id: Option<String>,
        pub input_tokens: Option<i64>,
        pub output_tokens: Option<i64>,
        pub cost: Option<Money>,
    }
}

pub async fn insert<'a>(on: impl Into<On<'a>>, row: &ConversationRow) -> Result<()> {
    sql!(
        "INSERT INTO conversations (id, owner_id, title, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5)"
    )
    .bind(&row.id)
    .bind(&row.owner_id)
    .bind(&row.title)
    .bind(row.created_at)
    .bind(row.updated_at)
    .execute(on)
    .await
    .map(drop)
}

/// A conversation, if it is this owner's.
pub async fn find<'a>(
    on: impl Into<On<'a>>,
    id: &str,
    owner_id: &str,
) -> Result<Option<ConversationRow>> {
    sql!("SELECT * FROM conversations WHERE id = $1 AND owner_id = $2")
        .bind(id)
        .bind(owner_id)
        .optional(on)
        .await
}

/// One page of an owner's conversations, the one that was used last first.
pub async fn page(
    db: &Db,
    owner_id: &str,
    limit: i64,
    offset: i64,
) -> Result<Vec<ConversationRow>> {
    sql!(
        "SELECT * FROM conversations WHERE owner_id = $1
         ORDER BY updated_at DESC, id DESC LIMIT $2 OFFSET $3"
    )
    .bind(owner_id)
    .bind(limit)
    .bind(offset)
    .all(db)
    .await
}

pub async fn count(db: &Db, owner_id: &str) -> Result<i64> {
    let counted: Counted = sql!("SELECT COUNT(*) AS count FROM conversations WHERE owner_id = $1")
        .bind(owner_id)
        .one(db)
        .await?;
    Ok(counted.count)
}

/// Gives a conversation another title; gives 0 when there is none.
pub async fn rename<'a>(
    on: impl Into<On<'a>>,
    id: &str,
    owner_id: &str,
    title: &str,
    now: Millis,
) -> Result<u64> {
    sql!("UPDATE conversations SET title = $3, updated_at = $4 WHERE id = $1 AND owner_id = $2")
        .bind(id)
        .bind(owner_id)
        .bind(title)
        .bind(now)
        .execute(on)
        .await
}

/// Notes that something was said; gives 0 when there is no such conversation.
pub async fn touch(tx: &mut Tx, id: &str, owner_id: &str, now: Millis) -> Result<u64> {
    sql!("UPDATE conversations SET updated_at = $3 WHERE id = $1 AND owner_id = $2")
        .bind(id)
        .bind(owner_id)
        .bind(now)
        .execute(tx)
        .await
}

/// Deletes a conversation with what was said in it; gives 0 when there is none.
pub async fn delete(tx: &mut Tx, id: &str, owner_id: &str) -> Result<u64> {
    sql!(
        "DELETE FROM conversation_messages WHERE conversation_id IN
            (SELECT id FROM conversations WHERE id = $1 AND owner_id = $2)"
    )
    .bind(id)
    .bind(owner_id)
    .execute(&mut *tx)
    .await?;
    sql!("DELETE FROM conversations WHERE id = $1 AND owner_id = $2")
        .bind(id)
        .bind(owner_id)
        .execute(tx)
        .await
}

/// Deletes all conversations of a user.
pub async fn delete_of_user(tx: &mut Tx, owner_id: &str) -> Result<()> {
    sql!(
        "DELETE FROM conversation_messages WHERE conversation_id IN
            (SELECT id FROM conversations WHERE owner_id = $1)"
    )
    .bind(owner_id)
    .execute(&mut *tx)
    .await?;
    sql!("DELETE FROM conversations WHERE owner_id = $1")
        .bind(owner_id)
        .execute(tx)
        .await
        .map(drop)
}

pub async fn insert_message(tx: &mut Tx, row: &MessageRow) -> Result<()> {
    sql!(
        "INSERT INTO conversation_messages (
            id, conversation_id, role, content, created_at, request_id, input_tokens,
            output_tokens, cost)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(&row.id)
    .bind(&row.conversation_id)
    .bind(&row.role)
    .bind(&row.content)
    .bind(row.created_at)
    .bind(&row.request_id)
    .bind(row.input_tokens)
    .bind(row.output_tokens)
    .bind(row.cost)
    .execute(tx)
    .await
    .map(drop)
}

/// One page of what was said, the oldest first.
pub async fn messages(
    db: &Db,
    conversation_id: &str,
    limit: i64,
    offset: i64,
) -> Result<Vec<MessageRow>> {
    sql!(
        "SELECT * FROM conversation_messages WHERE conversation_id = $1
         ORDER BY created_at, id LIMIT $2 OFFSET $3"
    )
    .bind(conversation_id)
    .bind(limit)
    .bind(offset)
    .all(db)
    .await
}

pub async fn count_messages(db: &Db, conversation_id: &str) -> Result<i64> {
    let counted: Counted =
        sql!("SELECT COUNT(*) AS count FROM conversation_messages WHERE conversation_id = $1")
            .bind(conversation_id)
            .one(db)
            .await?;
    Ok(counted.count)
}
