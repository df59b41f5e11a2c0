//! Bodies and queries of requests. Whatever is wrong with one is answered in the shapes of contract
//! §2.1, never with the web framework's own.

use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use base::{Code, Error};
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Refused;
use crate::fields::{self, Object, Wrong};

/// A JSON body, of a request or of an answer.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

/// A JSON body that may be left out, which means the same as `{}`.
#[derive(Clone, Debug)]
pub struct OptionalJson<T>(pub T);

/// The parameters in the path of a request.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

/// The query of a request.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Json<T>, Refused> {
        let body = bytes(request).await?;
        if body.is_empty() {
            let wrong = Wrong::new("missing", "Field required");
            return Err(fields::invalid("body", wrong).into());
        }
        Ok(Json(fields::read(parse(&body)?, "body")?))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<OptionalJson<T>, Refused> {
        let body = bytes(request).await?;
        let value = match body.is_empty() {
            true => Value::Object(Object::new()),
            false => parse(&body)?,
        };
        Ok(OptionalJson(fields::read(value, "body")?))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Refused> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(parameters)) => Ok(Path(parameters)),
            Err(_) => {
                Err(Error::new(Code::BadRequest, "the path holds something that is no text").into())
            }
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Refused> {
        let mut object = Object::new();
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = Value::String(value.into_owned());
            match object.get_mut(name.as_ref()) {
                None => drop(object.insert(name.into_owned(), value)),
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        Ok(Query(fields::read(Value::Object(object), "query")?))
    }
}

async fn bytes(request: Request) -> Result<Bytes, Refused> {
    request
        .extract::<Bytes, _>()
        .await
        .map_err(|rejection: BytesRejection| match rejection.status() {
            http::StatusCode::PAYLOAD_TOO_LARGE => {
                Error::new(Code::BodyTooLarge, "the request body is too large").into()
            }
            _ => Error::new(Code::BadRequest, "the request body could not be read").into(),
        })
}

fn parse(body: &[u8]) -> base::Result<Value> {
    serde_json::from_slice(body).map_err(|error| {
        let mut wrong = Wrong::new("json_invalid", "JSON decode error");
        wrong.place = vec![error.column().into()];
        fields::invalid("body", wrong)
    })
}
