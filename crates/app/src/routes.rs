//! Which part of the gateway answers a request: the data plane, a page of the binary, or the
//! management API.

use std::net::SocketAddr;

use axum::Router;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tower::ServiceExt as _;

/// What an answer's body is.
pub type Body = axum::body::Body;

/// All parts. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pub management: Router,
    /// Longer bodies of management requests are refused.
    pub max_management_bytes: u64,
}

impl Gateway {
    pub async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        if let Some(page) = page(&request) {
            return page;
        }
        self.manage(request).await
    }

    async fn manage(&self, request: Request<Incoming>) -> Response<Body> {
        match self.management.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// A static page of the binary.
fn page(request: &Request<Incoming>) -> Option<Response<Body>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let page = web::page(request.uri().path())?;
    let known = request.headers().get(IF_NONE_MATCH);
    let unchanged = known.is_some_and(|tag| tag.as_bytes() == page.etag.as_bytes());
    let mut response = match unchanged {
        true => Response::new(Body::empty()),
        false => Response::new(Body::from(page.body)),
    };
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(web::CONTENT_SECURITY_POLICY),
    );
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
    if let Ok(tag) = HeaderValue::try_from(page.etag) {
        headers.insert(ETAG, tag);
    }
    Some(response)
}
