//! Which part of the gateway answers a request: the data plane, a page of the binary, or the
//! management API.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use bytes::Bytes;
use domain::Domain;
use domain::addresses::{self, Networks};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::{Frame, SizeHint};
use http_body_util::Limited;
use hyper::body::Incoming;
use proxy::Proxy;
use tower::ServiceExt as _;

/// What an answer's body is: a call's, which is on the hot path and goes out as it is, or another.
pub enum Body {
    Call(proxy::Body),
    Other(axum::body::Body),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Body::Call(body) => Pin::new(body).poll_frame(context).map_err(axum::Error::new),
            Body::Other(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Call(body) => body.is_end_stream(),
            Body::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Call(body) => body.size_hint(),
            Body::Other(body) => body.size_hint(),
        }
    }
}

/// The management API. It is built when it is first asked, as a gateway that only passes calls on is to
/// be small: its handlers are most of the binary.
#[derive(Clone)]
pub struct Management(Arc<LazyLock<Router, Box<dyn FnOnce() -> Router + Send>>>);

impl Management {
    pub fn new(domain: Domain) -> Management {
        Management(Arc::new(LazyLock::new(Box::new(|| {
            // the limit is the configured one, not the framework's
            admin::router(domain).layer(DefaultBodyLimit::disable())
        }))))
    }

    async fn answer(&self, request: Request<axum::body::Body>) -> Response<axum::body::Body> {
        let router = Router::clone(&self.0);
        match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// All parts. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pub proxy: Proxy,
    pub management: Management,
    /// What all paths may begin with (`/llm`); empty for nothing.
    pub root_path: String,
    /// Who may say in whose name they connect.
    pub trusted_proxies: Networks,
    /// Longer bodies of management requests are refused.
    pub max_management_bytes: usize,
}

impl Gateway {
    pub async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if !self.root_path.is_empty() {
            strip(&mut request, &self.root_path);
        }
        without_slash(&mut request);
        let client = addresses::client(&self.trusted_proxies, peer.ip(), request.headers());
        if let Some(route) = proxy::route(request.method(), request.uri()) {
            let answer = self.proxy.answer(route, request, client).await;
            return answer.map(Body::Call);
        }
        if let Some(page) = page(&request) {
            return page;
        }
        Box::pin(self.manage(request, client)).await
    }

    async fn manage(&self, mut request: Request<Incoming>, client: IpAddr) -> Response<Body> {
        request
            .extensions_mut()
            .insert(admin::callers::Client(client));
        let limit = self.max_management_bytes;
        let request = request.map(|body| axum::body::Body::new(Limited::new(body, limit)));
        self.management.answer(request).await.map(Body::Other)
    }
}

/// Puts another path, with its query, in place of the request's.
fn set_path<B>(request: &mut Request<B>, path: String) {
    let mut parts = request.uri().clone().into_parts();
    let Ok(path) = PathAndQuery::try_from(path) else {
        return;
    };
    parts.path_and_query = Some(path);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Takes the slash off the end of a path that is served with it and without.
fn without_slash<B>(request: &mut Request<B>) {
    let uri = request.uri();
    let Some(path) = domain::v2::without_slash(uri.path()) else {
        return;
    };
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    set_path(request, path);
}

/// Takes the prefix off a path. A path without it stays: some proxies take it off themselves.
fn strip<B>(request: &mut Request<B>, prefix: &str) {
    let uri = request.uri();
    let Some(path) = uri.path_and_query().map(PathAndQuery::as_str) else {
        return;
    };
    let Some(rest) = path.strip_prefix(prefix) else {
        return;
    };
    let stripped = match rest.as_bytes().first() {
        Some(b'/') => rest.to_owned(),
        None | Some(b'?') => format!("/{rest}"),
        // another path that begins with the same letters
        Some(_) => return,
    };
    set_path(request, stripped);
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
        true => Response::new(Body::Other(axum::body::Body::empty())),
        false => Response::new(Body::Other(axum::body::Body::from(page.body))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_off_whole_segments_alone() {
        for (given, expected) in [
            ("/llm/v1/models?a=b", "/v1/models?a=b"),
            ("/llm", "/"),
            ("/llm?a=b", "/?a=b"),
            ("/llm/", "/"),
            ("/llms/v1", "/llms/v1"),
            ("/v1/models", "/v1/models"),
            ("http://host/llm/ui", "http://host/ui"),
        ] {
            let mut request = Request::get(given).body(()).unwrap();
            strip(&mut request, "/llm");
            assert_eq!(request.uri().to_string(), expected, "{given}");
        }
    }
}
