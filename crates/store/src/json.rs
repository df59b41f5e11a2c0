//! JSON columns: text in the database, a typed value in Rust.

use std::ops::{Deref, DerefMut};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::db::Value;
use crate::row::Column;

/// A value kept as JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

/// A JSON object whose names we do not prescribe.
pub type Object = serde_json::Map<String, serde_json::Value>;

impl<T> Deref for Json<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: DeserializeOwned> Column for Json<T> {
    type Stored = String;
    fn from_stored(stored: String) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Json(serde_json::from_str(&stored)?))
    }
}

impl<T: Serialize> From<&Json<T>> for Value {
    fn from(json: &Json<T>) -> Value {
        let text = serde_json::to_string(&json.0).expect("columns hold plain data with text keys");
        Value::Text(Some(text))
    }
}

impl<T: Serialize> From<Option<&Json<T>>> for Value {
    fn from(json: Option<&Json<T>>) -> Value {
        json.map_or(Value::Text(None), Value::from)
    }
}
