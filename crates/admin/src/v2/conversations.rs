//! Conversations (the `/v2` API): one's own, and nobody else's.

use axum::extract::State;
use base::Money;
use domain::conversations::{self, LONGEST_TITLE};
use domain::{Domain, Patch};
use serde::{Deserialize, Serialize};
use store::conversations::{ConversationRow, MessageRow};
use utoipa::ToSchema;

use super::{Detail, PartQuery, check_id, check_length, naive, part};
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path, Query};
use crate::fields::{Required, Sent};

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Conversation)]
pub struct Conversation {
    title: String,
    id: String,
    owner_id: String,
    created_at: String,
    /// When it was renamed or something was said.
    updated_at: String,
}

impl From<ConversationRow> for Conversation {
    fn from(row: ConversationRow) -> Conversation {
        Conversation {
            title: row.title,
            id: row.id,
            owner_id: row.owner_id,
            created_at: naive(row.created_at),
            updated_at: naive(row.updated_at),
        }
    }
}

/// Conversations.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Conversations)]
pub struct Conversations {
    data: Vec<Conversation>,
    /// How many there are in all.
    count: i64,
}

/// Lists one's conversations, the one that was used last first.
#[utoipa::path(get, path = "/v2/conversations", operation_id = "v2_conversations", tag = "v2", params(PartQuery),
    responses((status = 200, body = Conversations), (status = 401, body = Detail), (status = 422, body = Detail)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<PartQuery>,
) -> Result<Json<Conversations>> {
    let part = part(&query.skip, &query.limit)?;
    let page = conversations::list(&domain, &actor, part).await?;
    Ok(Json(Conversations {
        data: page.rows.into_iter().map(Conversation::from).collect(),
        count: page.count,
    }))
}

/// A conversation to be begun.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = V2NewConversation, example = json!({"title": "Plans"}))]
pub struct NewConversation {
    #[schema(value_type = String)]
    title: Required<String>,
}

/// Begins a conversation.
#[utoipa::path(post, path = "/v2/conversations", operation_id = "v2_create_conversation", tag = "v2",
    request_body = NewConversation,
    responses((status = 200, body = Conversation), (status = 401, body = Detail), (status = 422, body = Detail)))]
pub async fn create(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<NewConversation>,
) -> Result<Json<Conversation>> {
    check_length("title", &sent.title.0, 0, LONGEST_TITLE)?;
    let row = conversations::create(&domain, &actor, sent.title.0).await?;
    Ok(Json(row.into()))
}

/// Shows a conversation.
#[utoipa::path(get, path = "/v2/conversations/{conversation_id}", operation_id = "v2_conversation", tag = "v2",
    params(("conversation_id" = String, Path)),
    responses((status = 200, body = Conversation), (status = 404, body = Detail), (status = 422, body = Detail)))]
pub async fn info(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<Conversation>> {
    let id = checked(id)?;
    let row = conversations::find(&domain, &actor, &id).await?;
    Ok(Json(row.into()))
}

fn checked(id: String) -> base::Result<String> {
    check_id("conversation_id", &id)?;
    Ok(id.to_lowercase())
}

/// Another title.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = V2ConversationUpdate, example = json!({"title": "Better plans"}))]
pub struct Renamed {
    #[schema(value_type = Option<String>)]
    title: Sent<String>,
}

/// Gives a conversation another title.
#[utoipa::path(put, path = "/v2/conversations/{conversation_id}", operation_id = "v2_rename_conversation",
    tag = "v2", params(("conversation_id" = String, Path)), request_body = Renamed,
    responses((status = 200, body = Conversation), (status = 404, body = Detail), (status = 422, body = Detail)))]
pub async fn rename(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    Json(sent): Json<Renamed>,
) -> Result<Json<Conversation>> {
    let id = checked(id)?;
    let row = match sent.title.0 {
        Patch::Value(title) => {
            check_length("title", &title, 0, LONGEST_TITLE)?;
            conversations::rename(&domain, &actor, &id, &title).await?
        }
        Patch::Absent | Patch::Null => conversations::find(&domain, &actor, &id).await?,
    };
    Ok(Json(row.into()))
}

/// That it is gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Deleted)]
pub struct Deleted {
    ok: bool,
}

/// Deletes a conversation with all that was said in it. What it used stays in the ledger.
#[utoipa::path(delete, path = "/v2/conversations/{conversation_id}", operation_id = "v2_delete_conversation",
    tag = "v2", params(("conversation_id" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = Detail), (status = 422, body = Detail)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<Deleted>> {
    let id = checked(id)?;
    conversations::delete(&domain, &actor, &id).await?;
    Ok(Json(Deleted { ok: true }))
}

/// Something that was said.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2ConversationMessage)]
pub struct Message {
    role: String,
    content: String,
    id: String,
    conversation_id: String,
    created_at: String,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    /// Dollars; null for what was asked, and for what has no price.
    #[schema(value_type = Option<f64>)]
    cost: Option<Money>,
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Message {
        Message {
            role: row.role,
            content: row.content,
            id: row.id,
            conversation_id: row.conversation_id,
            created_at: naive(row.created_at),
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cost: row.cost,
        }
    }
}

/// What was said.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2ConversationMessages)]
pub struct Messages {
    data: Vec<Message>,
    /// How many there are in all.
    count: i64,
}

/// Lists what was said in a conversation, the oldest first.
#[utoipa::path(get, path = "/v2/conversations/{conversation_id}/messages", operation_id = "v2_messages",
    tag = "v2", params(("conversation_id" = String, Path), PartQuery),
    responses((status = 200, body = Messages), (status = 404, body = Detail), (status = 422, body = Detail)))]
pub async fn messages(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    Query(query): Query<PartQuery>,
) -> Result<Json<Messages>> {
    let id = checked(id)?;
    let part = part(&query.skip, &query.limit)?;
    let page = conversations::messages(&domain, &actor, &id, part).await?;
    Ok(Json(Messages {
        data: page.rows.into_iter().map(Message::from).collect(),
        count: page.count,
    }))
}
