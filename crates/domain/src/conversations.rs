//! Conversations of people: what they asked through the `/v2` API and what they were answered.
//!
//! They are their owner's alone, administrators included: another's does not exist. The ledger keeps
//! what a conversation took when it is deleted.

use base::{Code, Error, Millis, Money, Result, ids};
use store::conversations::{ConversationRow, MessageRow};

use crate::{Caller, Domain, storage};

/// The longest title, in characters.
pub const LONGEST_TITLE: usize = 255;

/// Part of a list, and how many entries there are in all.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub count: i64,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub skip: i64,
    pub limit: i64,
}

/// Whose conversations a caller has.
///
/// # Errors
/// [`Code::Forbidden`] for a key that is nobody's.
pub fn owner(caller: &Caller) -> Result<&str> {
    caller.user_id.as_deref().ok_or_else(|| {
        Error::new(
            Code::Forbidden,
            "this API key belongs to no user, and only users have accounts, conversations and usage \
             here: use a user's key, or sign in",
        )
    })
}

/// The caller's conversations, the one that was used last first.
pub async fn list(domain: &Domain, caller: &Caller, part: Part) -> Result<Page<ConversationRow>> {
    let (db, owner) = (&domain.db, owner(caller)?);
    let rows = store::conversations::page(db, owner, part.limit, part.skip)
        .await
        .map_err(storage)?;
    let count = store::conversations::count(db, owner)
        .await
        .map_err(storage)?;
    Ok(Page { rows, count })
}

/// Begins a conversation.
pub async fn create(domain: &Domain, caller: &Caller, title: String) -> Result<ConversationRow> {
    let now = domain.clock.now();
    let row = ConversationRow {
        id: ids::new_id(now),
        owner_id: owner(caller)?.to_owned(),
        title,
        created_at: now,
        updated_at: now,
    };
    store::conversations::insert(&domain.db, &row)
        .await
        .map_err(storage)?;
    Ok(row)
}

/// # Errors
/// [`Code::NotFound`] for one that is not there, or somebody else's.
pub async fn find(domain: &Domain, caller: &Caller, id: &str) -> Result<ConversationRow> {
    store::conversations::find(&domain.db, id, owner(caller)?)
        .await
        .map_err(storage)?
        .ok_or_else(not_found)
}

fn not_found() -> Error {
    Error::new(Code::NotFound, "Conversation not found")
}

/// Gives a conversation another title.
///
/// # Errors
/// As [`find`].
pub async fn rename(
    domain: &Domain,
    caller: &Caller,
    id: &str,
    title: &str,
) -> Result<ConversationRow> {
    let now = domain.clock.now();
    store::conversations::rename(&domain.db, id, owner(caller)?, title, now)
        .await
        .map_err(storage)?;
    find(domain, caller, id).await
}

/// Deletes a conversation with all that was said in it.
///
/// # Errors
/// As [`find`].
pub async fn delete(domain: &Domain, caller: &Caller, id: &str) -> Result<()> {
    let owner = owner(caller)?;
    let mut tx = domain.begin().await?;
    let deleted = store::conversations::delete(&mut tx, id, owner)
        .await
        .map_err(storage)?;
    tx.commit().await.map_err(storage)?;
    match deleted {
        0 => Err(not_found()),
        _ => Ok(()),
    }
}

/// What was said, the oldest first.
///
/// # Errors
/// As [`find`].
pub async fn messages(
    domain: &Domain,
    caller: &Caller,
    id: &str,
    part: Part,
) -> Result<Page<MessageRow>> {
    let conversation = find(domain, caller, id).await?;
    let db = &domain.db;
    let rows = store::conversations::messages(db, &conversation.id, part.limit, part.skip)
        .await
        .map_err(storage)?;
    let count = store::conversations::count_messages(db, &conversation.id)
        .await
        .map_err(storage)?;
    Ok(Page { rows, count })
}

/// A question and its answer, to be kept.
#[derive(Clone, Debug)]
pub struct Turn {
    pub conversation_id: String,
    /// The conversation is to be begun with this turn.
    pub is_first: bool,
    pub owner_id: String,
    pub request_id: String,
    pub asked_at: Millis,
    /// Who said the last thing that the model was given, and what.
    pub question: (String, String),
    pub answer_id: String,
}

/// What a turn was answered.
#[derive(Clone, Debug)]
pub struct Answered {
    pub text: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// `None`: unpriced.
    pub cost: Option<Money>,
}

/// The title of a conversation that nobody gave one.
fn title(at: Millis) -> String {
    let text = at.to_rfc3339();
    let (day, time) = (text.get(..10), text.get(11..16));
    format!(
        "Chat {} {}",
        day.unwrap_or_default(),
        time.unwrap_or_default()
    )
}

/// Keeps a turn: all of it, or nothing. A conversation that was deleted meanwhile stays deleted.
///
/// # Errors
/// When the database does not answer.
pub async fn keep(domain: &Domain, turn: &Turn, answered: &Answered) -> Result<()> {
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    if turn.is_first {
        let row = ConversationRow {
            id: turn.conversation_id.clone(),
            owner_id: turn.owner_id.clone(),
            title: title(turn.asked_at),
            created_at: turn.asked_at,
            updated_at: now,
        };
        store::conversations::insert(&mut tx, &row)
            .await
            .map_err(storage)?;
    } else {
        let touched =
            store::conversations::touch(&mut tx, &turn.conversation_id, &turn.owner_id, now)
                .await
                .map_err(storage)?;
        if touched == 0 {
            return Ok(());
        }
    }
    let (role, content) = turn.question.clone();
    let question = MessageRow {
        id: ids::new_id(turn.asked_at),
        conversation_id: turn.conversation_id.clone(),
        role,
        content,
        created_at: turn.asked_at,
        request_id: None,
        input_tokens: None,
        output_tokens: None,
        cost: None,
    };
    let answer = MessageRow {
        id: turn.answer_id.clone(),
        role: "assistant".to_owned(),
        content: answered.text.clone(),
        // after its question, whatever the clock says
        created_at: now.max(Millis(turn.asked_at.0 + 1)),
        request_id: Some(turn.request_id.clone()),
        input_tokens: i64::try_from(answered.input_tokens).ok(),
        output_tokens: i64::try_from(answered.output_tokens).ok(),
        cost: answered.cost,
        ..question.clone()
    };
    for message in [&question, &answer] {
        store::conversations::insert_message(&mut tx, message)
            .await
            .map_err(storage)?;
    }
    tx.commit().await.map_err(storage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_called_by_its_time() {
        let at = Millis::parse("2026-11-21T10:37:42Z").unwrap();
        assert_eq!(title(at), "Chat 2026-11-21 10:37");
    }
}
