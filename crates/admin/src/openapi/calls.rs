//! The calls of models in the OpenAPI document. The data plane answers them, outside this crate's
//! router; a test of the whole gateway holds both to one list.

use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
    PathItemBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, Paths, Required, Response, ResponseBuilder, ResponsesBuilder,
    Type,
};

/// A kind of call: what its paths end in, its name, what it is, and what its body must hold.
struct Kind {
    tail: &'static str,
    name: &'static str,
    summary: &'static str,
    fields: &'static [&'static str],
    body: Body,
    answer: &'static str,
}

/// How a body is written.
#[derive(Clone, Copy)]
enum Body {
    Json,
    Form,
}

const JSON: &str = "application/json";

const fn kind(
    tail: &'static str,
    name: &'static str,
    summary: &'static str,
    fields: &'static [&'static str],
) -> Kind {
    Kind {
        tail,
        name,
        summary,
        fields,
        body: Body::Json,
        answer: JSON,
    }
}

const fn form(kind: Kind) -> Kind {
    Kind {
        body: Body::Form,
        ..kind
    }
}

/// OpenAI's calls.
const KINDS: [Kind; 10] = [
    kind(
        "chat/completions",
        "chat_completions",
        "Completes a conversation, whole or as a stream of events (OpenAI's protocol).",
        &["model", "messages"],
    ),
    kind(
        "completions",
        "completions",
        "Completes a text, whole or as a stream of events (OpenAI's protocol).",
        &["model", "prompt"],
    ),
    kind(
        "embeddings",
        "embeddings",
        "Turns texts into vectors (OpenAI's protocol).",
        &["model", "input"],
    ),
    kind(
        "responses",
        "responses",
        "Answers a conversation, whole or as a stream of events (OpenAI's Responses API).",
        &["model"],
    ),
    kind(
        "moderations",
        "moderations",
        "Says whether a text or picture is harmful (OpenAI's protocol).",
        &["input"],
    ),
    kind(
        "images/generations",
        "images_generations",
        "Makes pictures of a text (OpenAI's protocol).",
        &["prompt"],
    ),
    form(kind(
        "images/edits",
        "images_edits",
        "Changes pictures as a text says (OpenAI's protocol).",
        &["image", "prompt"],
    )),
    Kind {
        answer: "audio/mpeg",
        ..kind(
            "audio/speech",
            "audio_speech",
            "Speaks a text (OpenAI's protocol).",
            &["model", "input"],
        )
    },
    form(kind(
        "audio/transcriptions",
        "audio_transcriptions",
        "Writes down what is said (OpenAI's protocol).",
        &["model", "file"],
    )),
    form(kind(
        "audio/translations",
        "audio_translations",
        "Writes down in English what is said (OpenAI's protocol).",
        &["model", "file"],
    )),
];

/// The beginnings of paths that every one of them is served under, and what they add to its name.
const PLACES: [(&str, &str); 4] = [
    ("/v1/", ""),
    ("/", "_unversioned"),
    ("/engines/{model}/", "_of_engine"),
    ("/openai/deployments/{model}/", "_of_deployment"),
];

/// Calls of one path each.
const OTHERS: [(&str, Kind); 12] = [
    (
        "/v1/messages",
        kind(
            "",
            "messages",
            "Answers a conversation, whole or as a stream of events (Anthropic's protocol).",
            &["model", "max_tokens", "messages"],
        ),
    ),
    (
        "/v1/messages/count_tokens",
        kind(
            "",
            "messages_count_tokens",
            "Counts the tokens of a conversation (Anthropic's protocol).",
            &["model", "messages"],
        ),
    ),
    (
        "/v1beta/models/{model}:generateContent",
        kind(
            "",
            "generate_content",
            "Answers a conversation (Gemini's protocol).",
            &["contents"],
        ),
    ),
    (
        "/v1beta/models/{model}:streamGenerateContent",
        kind(
            "",
            "stream_generate_content",
            "Answers a conversation as a stream, of events with `alt=sse` (Gemini's protocol).",
            &["contents"],
        ),
    ),
    (
        "/v1beta/models/{model}:countTokens",
        kind(
            "",
            "gemini_count_tokens",
            "Counts the tokens of a conversation (Gemini's protocol).",
            &[],
        ),
    ),
    (
        "/v1beta/models/{model}:embedContent",
        kind(
            "",
            "embed_content",
            "Turns a text into a vector (Gemini's protocol).",
            &["content"],
        ),
    ),
    (
        "/v1beta/models/{model}:batchEmbedContents",
        kind(
            "",
            "batch_embed_contents",
            "Turns texts into vectors (Gemini's protocol).",
            &["requests"],
        ),
    ),
    (
        "/v2/llm/chat/completions",
        kind(
            "",
            "v2_chat",
            "Answers a chat (the /v2 API). `model_id` is a model's id, its provider's name of it, or its \
             short name; `messages` are role and text; `conversation_id`, `max_tokens` and `temperature` \
             may be left out.",
            &["model_id", "messages"],
        ),
    ),
    (
        "/v2/llm/chat/completions/stream",
        kind(
            "",
            "v2_chat_stream",
            "The same as a stream of events, the last of which says `\"done\": true`.",
            &["model_id", "messages"],
        ),
    ),
    ("/v1/rerank", rerank("rerank")),
    ("/rerank", rerank("rerank_unversioned")),
    ("/v2/rerank", rerank("rerank_v2")),
];

const fn rerank(name: &'static str) -> Kind {
    kind(
        "",
        name,
        "Puts texts in the order of their relevance (Cohere's protocol).",
        &["model", "query", "documents"],
    )
}

/// What else there is of answers that are kept, below `responses/{response_id}`.
const KEPT: [(HttpMethod, &str, &str, &str); 4] = [
    (
        HttpMethod::Get,
        "",
        "responses_get",
        "Shows an answer that is kept.",
    ),
    (
        HttpMethod::Delete,
        "",
        "responses_delete",
        "Forgets an answer that is kept.",
    ),
    (
        HttpMethod::Post,
        "/cancel",
        "responses_cancel",
        "Stops an answer that is made in the background.",
    ),
    (
        HttpMethod::Get,
        "/input_items",
        "responses_input_items",
        "Lists what an answer that is kept was given.",
    ),
];

/// Where OpenAI's realtime sessions are opened.
const REALTIME: [(&str, &str, &str); 4] = [
    ("/v1/realtime", "realtime", "model"),
    ("/realtime", "realtime_unversioned", "model"),
    ("/openai/v1/realtime", "realtime_of_openai", "model"),
    ("/openai/realtime", "realtime_of_azure", "deployment"),
];

/// OpenAI's endpoints that are passed on to it.
const OPENAI_ONLY: [(&str, &str); 5] = [
    ("files", "Files"),
    ("batches", "Batches"),
    ("fine_tuning", "Fine-tuning"),
    ("uploads", "Uploads"),
    ("vector_stores", "Vector stores"),
];

const METHODS: [(HttpMethod, &str); 5] = [
    (HttpMethod::Get, "get"),
    (HttpMethod::Post, "post"),
    (HttpMethod::Put, "put"),
    (HttpMethod::Patch, "patch"),
    (HttpMethod::Delete, "delete"),
];

/// Adds every call to a document.
pub fn add(paths: &mut Paths) {
    for kind in &KINDS {
        for (place, suffix) in PLACES {
            let path = format!("{place}{}", kind.tail);
            let id = format!("{}{suffix}", kind.name);
            insert(paths, &path, HttpMethod::Post, call(&path, &id, kind));
        }
    }
    for (path, kind) in &OTHERS {
        insert(paths, path, HttpMethod::Post, call(path, kind.name, kind));
    }
    for (method, tail, name, summary) in KEPT {
        for (place, suffix) in &PLACES[..2] {
            let path = format!("{place}responses/{{response_id}}{tail}");
            let operation = operation(&format!("{name}{suffix}"), summary)
                .parameter(in_path("response_id"))
                .build();
            insert(paths, &path, method.clone(), operation);
        }
    }
    for (path, name, parameter) in REALTIME {
        insert(paths, path, HttpMethod::Get, realtime(name, parameter));
    }
    passed_on(paths);
}

/// What is passed on to providers as it is.
fn passed_on(paths: &mut Paths) {
    for (method, verb) in METHODS {
        let id = format!("pass_through_{verb}");
        let summary = "Passes a request on to a provider, as it is but for the key.";
        let operation = operation(&id, summary)
            .parameter(provider())
            .parameter(in_path("path"))
            .build();
        insert(paths, "/{provider}/{path}", method.clone(), operation);
        for (name, title) in OPENAI_ONLY {
            let summary = format!("{title} of OpenAI, passed on to it.");
            let whole = format!("{name}_{verb}");
            let below =
                self::operation(&format!("{whole}_below"), &summary).parameter(in_path("path"));
            insert(
                paths,
                &format!("/v1/{name}/{{path}}"),
                method.clone(),
                below.build(),
            );
            if matches!(method, HttpMethod::Get | HttpMethod::Post) && name != "fine_tuning" {
                let operation = self::operation(&whole, &summary).build();
                insert(paths, &format!("/v1/{name}"), method.clone(), operation);
            }
        }
    }
}

fn insert(paths: &mut Paths, path: &str, method: HttpMethod, operation: Operation) {
    let item = PathItemBuilder::new().operation(method, operation).build();
    match paths.paths.get_mut(path) {
        Some(known) => PathItem::merge_operations(known, item),
        None => drop(paths.paths.insert(path.to_owned(), item)),
    }
}

fn call(path: &str, id: &str, kind: &Kind) -> Operation {
    let names_model = path.contains("{model}");
    let fields = kind.fields.iter().copied();
    let needed = fields.filter(|name| !(names_model && *name == "model"));
    let mut operation = operation(id, kind.summary)
        .request_body(Some(body(needed, kind.body)))
        .responses(
            ResponsesBuilder::new()
                .response("200", answer(kind.answer))
                .build(),
        );
    if names_model {
        operation = operation.parameter(in_path("model"));
    }
    operation.build()
}

fn operation(id: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag("calls")
        .summary(Some(summary))
        .responses(
            ResponsesBuilder::new()
                .response("200", answer(JSON))
                .build(),
        )
}

fn realtime(id: &str, parameter: &str) -> Operation {
    let model = ParameterBuilder::new()
        .name(parameter)
        .parameter_in(ParameterIn::Query)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    let switched = ResponseBuilder::new()
        .description("The connection goes on as a WebSocket.")
        .build();
    operation(
        id,
        "Opens a session with a model over WebSocket (OpenAI's realtime protocol). Browsers send their \
         key as the subprotocol `openai-insecure-api-key.<key>`.",
    )
    .parameter(model)
    .responses(ResponsesBuilder::new().response("101", switched).build())
    .build()
}

fn in_path(name: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// The prefixes of providers' own paths.
fn provider() -> Parameter {
    let own = llm::provider::PROVIDERS
        .iter()
        .map(|provider| provider.name);
    let others = llm::provider::PREFIXES.iter().map(|(prefix, _)| *prefix);
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(own.chain(others)));
    let mut parameter = in_path("provider");
    parameter.schema = Some(schema.into());
    parameter
}

fn body<'a>(needed: impl Iterator<Item = &'a str>, written: Body) -> RequestBody {
    let mut body = ObjectBuilder::new();
    for name in needed {
        let is_model = name == "model";
        body = match is_model {
            true => body.property(name, ObjectBuilder::new().schema_type(Type::String)),
            false => body.property(name, ObjectBuilder::new().schema_type(SchemaType::AnyValue)),
        };
        body = body.required(name);
    }
    let content = ContentBuilder::new().schema(Some(body)).build();
    let kind = match written {
        Body::Json => JSON,
        Body::Form => "multipart/form-data",
    };
    RequestBodyBuilder::new()
        .content(kind, content)
        .required(Some(Required::True))
        .build()
}

fn answer(kind: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(ObjectBuilder::new()))
        .build();
    ResponseBuilder::new()
        .description("The answer.")
        .content(kind, content)
        .build()
}
