//! The calls of models in the OpenAPI document. The data plane answers them, outside this crate's
//! router; a test of the whole gateway holds both to one list.

use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, Paths, Required, ResponseBuilder, ResponsesBuilder, Type,
};

/// A kind of call: what its paths end in, its name, what it is, and what its body must hold.
const KINDS: [(&str, &str, &str, [&str; 2]); 3] = [
    (
        "chat/completions",
        "chat_completions",
        "Completes a conversation, whole or as a stream of events (OpenAI's protocol).",
        ["model", "messages"],
    ),
    (
        "completions",
        "completions",
        "Completes a text, whole or as a stream of events (OpenAI's protocol).",
        ["model", "prompt"],
    ),
    (
        "embeddings",
        "embeddings",
        "Turns texts into vectors (OpenAI's protocol).",
        ["model", "input"],
    ),
];

/// The beginnings of paths that every kind is served under, and what they add to its name.
const PLACES: [(&str, &str); 4] = [
    ("/v1/", ""),
    ("/", "_unversioned"),
    ("/engines/{model}/", "_of_engine"),
    ("/openai/deployments/{model}/", "_of_deployment"),
];

/// Adds every call to a document.
pub fn add(paths: &mut Paths) {
    for (tail, name, summary, fields) in KINDS {
        for (place, suffix) in PLACES {
            let names_model = place.contains("{model}");
            let needed = fields.into_iter().skip(usize::from(names_model));
            let mut operation = operation(&format!("{name}{suffix}"), summary, needed);
            if names_model {
                operation.parameters = Some(vec![model().into()]);
            }
            let item = PathItemBuilder::new()
                .operation(HttpMethod::Post, operation)
                .build();
            paths.paths.insert(format!("{place}{tail}"), item);
        }
    }
}

fn model() -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name("model")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn operation<'a>(id: &str, summary: &str, needed: impl Iterator<Item = &'a str>) -> Operation {
    let any = || ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let mut body = ObjectBuilder::new();
    for name in needed {
        let is_model = name == "model";
        body = match is_model {
            true => body.property(name, ObjectBuilder::new().schema_type(Type::String)),
            false => body.property(name, any()),
        };
        body = body.required(name);
    }
    let content = ContentBuilder::new().schema(Some(body)).build();
    let answer = ContentBuilder::new()
        .schema(Some(ObjectBuilder::new()))
        .build();
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag("calls")
        .summary(Some(summary))
        .request_body(Some(
            RequestBodyBuilder::new()
                .content("application/json", content)
                .required(Some(Required::True))
                .build(),
        ))
        .responses(
            ResponsesBuilder::new()
                .response(
                    "200",
                    ResponseBuilder::new()
                        .description("The model's answer.")
                        .content("application/json", answer)
                        .build(),
                )
                .build(),
        )
        .build()
}
