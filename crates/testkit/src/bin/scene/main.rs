//! The fake provider as a process, for suites in other languages: `scene FOLDER`.
//!
//! Writes `config.yaml` (for the gateway) and `scene.json` (what the suites may expect) into the
//! folder, prints `ready`, and answers until its standard input ends, so that it never outlives
//! whoever started it.
//!
//! Behind the models `scripted-…` is [`testkit::Model`], in the protocol that the name says. What came
//! to it can be read at `GET /received?containing=TEXT`, where TEXT stands in the request's body. Every
//! recorded chat has a model of its own beside it ([`replay`]).

mod replay;
mod scripted;

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use replay::{Replay, Replays};
use scripted::Scripted;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testkit::recordings::Entry;
use testkit::{FakeProvider, Received, Recording, Reply, cases, recordings};

/// The provider's key: the gateway has to send it, and nobody else may see it.
const SECRET: &str = "scene-secret";

/// Statuses with which the models `refuses/STATUS` answer.
const REFUSALS: [u16; 7] = [400, 401, 404, 422, 429, 500, 503];

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).expect("usage: scene FOLDER");
    let exchanges = exchanges();
    let provider = FakeProvider::start().await;
    let by_model: HashMap<String, Recording> = exchanges.clone().into_iter().collect();
    let scripted = Scripted::default();
    let replays = Arc::new(Replays::new());
    let replayed = replays.clone();
    provider.otherwise(move |received| {
        let reply = scripted.answer(received);
        let reply = reply.or_else(|| replayed.answer(received));
        reply.unwrap_or_else(|| answer(received, &by_model))
    });

    let folder = Path::new(&folder);
    let names = exchanges.iter().map(|(name, _)| name.as_str());
    let origin = format!("http://{}", provider.address());
    let config = config(&origin, &provider.url(), names, &replays);
    fs::write(folder.join("config.yaml"), config.to_string())?;
    let described = exchanges
        .iter()
        .filter_map(|(name, case)| describe(name, case));
    let scene = Scene {
        upstream: &origin,
        exchanges: described.collect(),
        replays: replays.described(),
    };
    fs::write(folder.join("scene.json"), serde_json::to_string(&scene)?)?;

    writeln!(std::io::stdout(), "ready")?;
    let waiting = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    waiting.await.expect("reading does not panic").map(drop)
}

/// All exchanges of OpenAI's protocol under the names of their models: our own, and the recorded.
fn exchanges() -> Vec<(String, Recording)> {
    let wanted =
        |entry: &Entry| ["chat", "completions", "embeddings"].contains(&entry.api.as_str());
    let recorded = recordings(wanted).unwrap_or_default();
    let all = cases().into_iter().chain(recorded).filter(speaks_openai);
    all.map(|case| (case.name(), case)).collect()
}

fn speaks_openai(case: &Recording) -> bool {
    let path = case.path.split('?').next().unwrap_or_default();
    let ends = ["/chat/completions", "/completions", "/embeddings"];
    // Ollama's own protocol has an endpoint of the same name
    path != "/api/embeddings"
        && ends.iter().any(|end| path.ends_with(end))
        && case.request.is_some()
}

/// A configuration in LiteLLM's format; JSON is YAML too.
fn config<'a>(
    origin: &str,
    url: &str,
    names: impl Iterator<Item = &'a str>,
    replays: &Replays,
) -> Value {
    let deployment = |name: &str, url: &str| {
        let model = format!("openai/{name}");
        json!({
            "model_name": name,
            "litellm_params": {"model": model, "api_base": url, "api_key": SECRET},
        })
    };
    let mut models: Vec<Value> = names.map(|name| deployment(name, url)).collect();
    for name in ["talk", "embed", "instruct"] {
        let mut priced = deployment(name, url);
        priced["litellm_params"]["input_cost_per_token"] = json!(0.00001);
        priced["litellm_params"]["output_cost_per_token"] = json!(0.00002);
        models.push(priced);
    }
    models.extend(REFUSALS.map(|status| deployment(&format!("refuses/{status}"), url)));
    // port 1 is reserved and never listened on
    models.push(deployment("unreachable", "http://127.0.0.1:1/v1"));
    models.extend(scripted::models(origin));
    models.extend(replays.models(origin));
    json!({ "model_list": models })
}

/// What the suites are told.
#[derive(Serialize)]
struct Scene<'a> {
    /// Where the provider is, for questions about what came to it.
    upstream: &'a str,
    exchanges: Vec<Exchange<'a>>,
    replays: Vec<Replay<'a>>,
}

/// What a suite has to send and what the SDK has to show for it. Texts of documents are kept as
/// they are: reading and writing a number may change its last digit.
#[derive(Serialize)]
struct Exchange<'a> {
    model: &'a str,
    api: &'a str,
    status: u16,
    end: Option<&'a str>,
    request: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    whole: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<Vec<&'a RawValue>>,
}

/// `None` for an exchange that an SDK cannot repeat: its request or answer is no JSON, or the recorded
/// request does not ask for the stream that came.
fn describe<'a>(name: &'a str, case: &'a Recording) -> Option<Exchange<'a>> {
    let request: &RawValue = serde_json::from_slice(case.request.as_deref()?).ok()?;
    let streams = case.streams();
    if asks(request, "/stream") != streams {
        return None;
    }
    let whole = if streams {
        None
    } else {
        Some(serde_json::from_slice(&case.response).ok()?)
    };
    Some(Exchange {
        model: name,
        api: &case.entry.api,
        status: case.entry.status,
        end: case.entry.stream_end.as_deref(),
        request,
        whole,
        chunks: streams.then(|| visible_chunks(request, &case.response)),
    })
}

/// The chunks of a stream that the client gets: all, but for a chunk that holds nothing but usage
/// when the client did not ask for usage.
fn visible_chunks<'a>(request: &RawValue, stream: &'a [u8]) -> Vec<&'a RawValue> {
    let asked = asks(request, "/stream_options/include_usage");
    let lines = stream.split(|&byte| byte == b'\n');
    let data = lines.filter_map(|line| line.strip_prefix(b"data:"));
    let chunks = data.filter_map(|data| serde_json::from_slice::<&RawValue>(data).ok());
    chunks.filter(|chunk| asked || !only_usage(chunk)).collect()
}

/// Whether a member of a request, named by its JSON pointer, is `true`.
fn asks(request: &RawValue, pointer: &str) -> bool {
    let request: Value = serde_json::from_str(request.get()).unwrap_or_default();
    request.pointer(pointer) == Some(&Value::Bool(true))
}

fn only_usage(chunk: &RawValue) -> bool {
    let chunk: Value = serde_json::from_str(chunk.get()).unwrap_or_default();
    chunk["choices"] == json!([]) && chunk["usage"].is_object()
}

fn answer(received: &Received, exchanges: &HashMap<String, Recording>) -> Reply {
    if received.header("authorization") != format!("Bearer {SECRET}") {
        return Reply::error(
            401,
            "invalid_request_error",
            "this is not the provider's key",
        );
    }
    let asked = received.json();
    let model = asked["model"].as_str().unwrap_or_default();
    if let Some(recording) = exchanges.get(model) {
        return Reply::recorded(recording);
    }
    if let Some(status) = model
        .strip_prefix("refuses/")
        .and_then(|status| status.parse().ok())
    {
        return Reply::error(status, "some_error", &format!("the provider says {status}"));
    }
    match model {
        "talk" => talk(&asked),
        "instruct" => Reply::text(["Hello", ", ", "world", "."]),
        _ => Reply::plausible(),
    }
}

/// Asks for a tool when there are tools, reads its answer out, and greets otherwise.
fn talk(asked: &Value) -> Reply {
    let last = asked["messages"]
        .as_array()
        .and_then(|messages| messages.last());
    let last = last.unwrap_or(&Value::Null);
    if last["role"] == "tool" {
        return Reply::text([
            "The tool says: ",
            last["content"].as_str().unwrap_or_default(),
        ]);
    }
    if !asked["tools"].is_array() {
        return Reply::text(["Hello", ", ", "world", "."]);
    }
    let case = if asked["stream"] == true {
        "chat-stream-tool-call"
    } else {
        "chat-tool-call"
    };
    Reply::recorded(&Recording::own(case))
}
