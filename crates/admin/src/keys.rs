//! Virtual keys (contract §8).

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::Json;

/// What the check of a key's own logging found.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyHealth {
    /// `healthy`: the key was accepted.
    #[schema(value_type = String)]
    pub key: &'static str,
    /// Keys have no logging of their own here, so there is nothing to test: always null.
    pub logging_callbacks: Value,
}

/// Says whether the key in the header works.
#[utoipa::path(post, path = "/key/health", tag = "keys", responses((status = 200, body = KeyHealth)))]
pub async fn health(_: Anyone) -> Result<Json<KeyHealth>> {
    Ok(Json(KeyHealth {
        key: "healthy",
        logging_callbacks: Value::Null,
    }))
}
