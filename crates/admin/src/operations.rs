//! One list of operations, of which both the router and the OpenAPI document are made, so that neither
//! has what the other lacks.
//!
//! The document is made when somebody asks for it: what it takes to make is several times what the
//! gateway holds otherwise, and most gateways are never asked.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use utoipa::Path;
use utoipa::openapi::HttpMethod;

/// Defines `operations()`, the router of the listed handlers, and `documented()`, the same with its
/// document. Handlers are listed by the module they stand in.
macro_rules! operations {
    ($($module:ident: $($handler:ident),+;)+) => {
        /// Every operation, at its path.
        pub fn operations() -> axum::Router<domain::Domain> {
            let router = axum::Router::new();
            utoipa_axum::paste! {$($(
                let router = $crate::operations::add::<$module::[<__path_ $handler>], _, _>(
                    router,
                    $module::$handler,
                );
            )+)+}
            router
        }

        /// The same with what is said of each.
        pub fn documented() -> utoipa_axum::router::OpenApiRouter<domain::Domain> {
            utoipa_axum::router::OpenApiRouter::new()
                $($(.routes(utoipa_axum::routes!($module::$handler)))+)+
        }
    };
}

pub(crate) use operations;

/// Adds a handler at the path and for the methods that its documentation `P` has.
pub(crate) fn add<P, H, T>(router: Router<domain::Domain>, handler: H) -> Router<domain::Domain>
where
    P: Path,
    H: Handler<T, domain::Domain>,
    T: 'static,
{
    let mut methods = P::methods().into_iter().map(filter);
    let Some(first) = methods.next() else {
        return router;
    };
    let all = methods.fold(first, MethodFilter::or);
    router.route(&P::path(), on(all, handler))
}

fn filter(method: HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}
