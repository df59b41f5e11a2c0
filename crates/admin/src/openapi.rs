//! The OpenAPI document of the gateway, made from the handlers.

mod calls;
mod complete;
mod samples;

use http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, PathItem, RefOr, Schema,
};

use domain::permissions::{self, Door};

/// How the document calls a key of the gateway.
const KEY: &str = "key";

/// Adds what the handlers cannot know of themselves: the title, and that every operation needs a
/// key unless it is open.
pub fn complete(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Tollgate")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A self-hosted gateway for language models: keys, people, teams, models, spend.",
        ))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    let paths = std::mem::take(&mut document.paths.paths);
    // `{*rest}` is how the router spells a parameter that may hold slashes
    document.paths.paths = paths
        .into_iter()
        .map(|(path, item)| (path.replace("{*", "{"), item))
        .collect();
    calls::add(&mut document.paths);
    let mut components = document.components.take().unwrap_or_default();
    for schema in components.schemas.values_mut() {
        forget_absence(schema);
    }
    crate::keys::describe_kept(&mut components);
    complete::add_errors(&mut components);
    let schemas = complete::Schemas::of(&components);
    document.components = Some(
        ComponentsBuilder::from(components)
            .security_scheme(KEY, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
            .build(),
    );
    let needs_key = SecurityRequirement::new(KEY, Vec::<String>::new());
    document.security = Some(vec![needs_key]);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            let door = permissions::find(&method, path).map(|row| row.door);
            if matches!(door, Some(Door::Open | Door::AsksItself)) {
                operation.security = Some(Vec::new());
            }
            complete::operation(path, operation, door, &schemas);
        }
    }
    document
}

/// Takes away the defaults of fields that may be left out: "absent" is no value that can be sent.
fn forget_absence(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else {
        return;
    };
    match schema {
        Schema::Object(object) => {
            forget_null(&mut object.default);
            object.properties.values_mut().for_each(forget_absence);
        }
        Schema::Array(array) => forget_null(&mut array.default),
        Schema::OneOf(one) => {
            forget_null(&mut one.default);
            one.items.iter_mut().for_each(forget_absence);
        }
        Schema::AllOf(all) => all.items.iter_mut().for_each(forget_absence),
        _ => {}
    }
}

fn forget_null(default: &mut Option<serde_json::Value>) {
    *default = default.take().filter(|value| !value.is_null());
}

/// Every operation of a document: its method, its path and itself.
pub fn operations(document: &OpenApi) -> impl Iterator<Item = (Method, &str, &Operation)> {
    document.paths.paths.iter().flat_map(|(path, item)| {
        [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ]
        .into_iter()
        .filter_map(|(method, operation)| {
            let operation = operation.as_ref()?;
            Some((method, path.as_str(), operation))
        })
    })
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
