//! Errors as HTTP answers, in the bodies that compatible clients read (contract §2.1).

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use base::{Code, Error};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::dialect::Told;

/// The result of a handler.
pub type Result<T> = std::result::Result<T, Refused>;

/// An error and the body it is answered with.
#[derive(Debug)]
pub struct Refused {
    error: Arc<Error>,
    shape: Shape,
}

/// The bodies of contract §2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `{"error": {"message", "type", "param", "code"}}` (E1)
    Envelope,
    /// `{"detail": {"error": …}}` (E2)
    Detail,
    /// `{"detail": …}` (E2)
    DetailText,
    /// `{"detail": [{"type", "loc", "msg"}]}` (E3)
    Places,
}

impl Refused {
    /// Answers `{"detail": {"error": …}}`, as most of the reference's team, organization, budget
    /// and invitation handlers do.
    pub fn detail(error: Error) -> Refused {
        Refused::shaped(error, Shape::Detail)
    }

    /// Answers `{"detail": "…"}`.
    pub fn detail_text(error: Error) -> Refused {
        Refused::shaped(error, Shape::DetailText)
    }

    fn shaped(error: Error, shape: Shape) -> Refused {
        let shape = match error.code() {
            // whatever the handler, these come before it
            Code::Validation => Shape::Places,
            Code::RouteForbidden | Code::MethodNotAllowed => Shape::DetailText,
            _ => shape,
        };
        Refused {
            error: Arc::new(error),
            shape,
        }
    }

    fn body(&self) -> Value {
        let error = &self.error;
        match self.shape {
            Shape::Envelope => json!({"error": {
                "message": error.message(),
                "type": error.kind(),
                "param": error.parameter(),
                "code": error.status().to_string(),
            }}),
            Shape::Detail => json!({"detail": {"error": error.message()}}),
            Shape::DetailText => json!({"detail": error.message()}),
            Shape::Places => json!({"detail": error.details()}),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::shaped(error, Shape::Envelope)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = self.error.status();
        if status >= 500 {
            tracing::error!(error = %self.error, "request failed");
        } else {
            tracing::debug!(error = %self.error, "request refused");
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body())).into_response();
        if let Some(delay) = self.error.retry_delay() {
            let seconds = HeaderValue::from(delay.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(Told(self.error));
        response
    }
}

/// A path that does not exist.
pub async fn not_found() -> Refused {
    Refused::detail_text(Error::new(Code::NotFound, "Not Found"))
}

/// A path that exists, with a method that does not.
pub async fn method_not_allowed() -> Refused {
    Refused::from(Error::new(Code::MethodNotAllowed, "Method Not Allowed"))
}

/// What a caller reads after a bug of ours; the panic itself is in the log.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Refused::from(Error::internal("a handler panicked")).into_response()
}
