//! Gemini's generateContent, streamGenerateContent and countTokens.

use serde_json::{Value, json};

use super::say::{Asked, Offered, Saying};
use super::{
    CACHED, FRESH, GENERATED, Outcome, Refusal, THOUGHT, bad, decide, event, list, only, pieces,
    refused, seal, stream, text,
};
use crate::provider::{Received, Reply};

const KNOWN: &[&str] = &[
    "contents",
    "systemInstruction",
    "system_instruction",
    "tools",
    "toolConfig",
    "tool_config",
    "safetySettings",
    "generationConfig",
    "generation_config",
    "cachedContent",
    "labels",
    "store",
    "serviceTier",
    "model",
];

const SETTINGS: &[&str] = &[
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
    "mediaResolution",
    "speechConfig",
    "imageConfig",
    "enableEnhancedCivicAnswers",
    "responseFormat",
];

pub fn answer(
    number: usize,
    received: &Received,
    body: &Value,
    authorised: bool,
    action: &str,
) -> Reply {
    if action == "countTokens" && authorised {
        return Reply::json(&json!({"totalTokens": 42}));
    }
    let answered = read(body, authorised).and_then(|mut asked| {
        asked.number = number;
        let saying = decide(&asked)?;
        match action {
            "streamGenerateContent" if received.path.contains("alt=sse") => {
                Ok(stream(events(&saying), &saying))
            }
            "generateContent" => whole(&saying),
            other => bad(format!("{other} is not known")),
        }
    });
    answered.unwrap_or_else(|refusal| refused(&refusal, &json!({"error": error(&refusal)})))
}

fn error(refusal: &Refusal) -> Value {
    let status = match refusal.status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"code": refusal.status, "message": refusal.message, "status": status})
}

fn read(body: &Value, authorised: bool) -> Outcome<Asked> {
    if !authorised {
        return Err(Refusal {
            status: 401,
            message: "API key not valid".to_owned(),
        });
    }
    only(body, KNOWN)?;
    let settings = member(body, "generationConfig", "generation_config");
    if settings.is_object() {
        only(settings, SETTINGS)?;
    }
    let calling = &member(body, "toolConfig", "tool_config")["functionCallingConfig"];
    let allowed = list(&calling["allowedFunctionNames"]);
    let declared = list(&body["tools"]).iter().flat_map(|tool| {
        list(member(
            tool,
            "functionDeclarations",
            "function_declarations",
        ))
    });
    let mut asked = Asked {
        forced: allowed
            .first()
            .filter(|_| allowed.len() == 1)
            .map(|name| text(name).to_owned()),
        must_call: calling["mode"] == "ANY",
        may_call: calling["mode"] != "NONE",
        tools: declared
            .map(|declared| Offered {
                name: text(&declared["name"]).to_owned(),
                is_custom: false,
            })
            .collect(),
        wants_json: settings["responseMimeType"] == "application/json",
        thinks: *member(
            member(settings, "thinkingConfig", "thinking_config"),
            "includeThoughts",
            "include_thoughts",
        ) == true,
        ..Asked::default()
    };
    let system = member(body, "systemInstruction", "system_instruction");
    list(&system["parts"])
        .iter()
        .for_each(|part| asked.system(text(&part["text"])));
    let mut open: Vec<String> = Vec::new();
    for (at, content) in list(&body["contents"]).iter().enumerate() {
        let parts = list(&content["parts"]);
        if parts.is_empty() {
            return bad(format!("contents[{at}].parts must not be empty"));
        }
        match content["role"].as_str() {
            Some("model") => open = model(&asked, at, parts)?,
            Some("user" | "function") | None => user(&mut asked, at, parts, &mut open)?,
            Some(other) => return bad(format!("contents[{at}]: role {other} is not valid")),
        }
    }
    match open.is_empty() && !list(&body["contents"]).is_empty() {
        true => Ok(asked),
        false => bad("contents: a function response must follow each function call"),
    }
}

fn member<'a>(object: &'a Value, name: &str, other: &str) -> &'a Value {
    object.get(name).unwrap_or(&object[other])
}

/// Checks what comes back of the model's own turn; gives the names of its calls.
fn model(asked: &Asked, at: usize, parts: &[Value]) -> Outcome<Vec<String>> {
    let round = asked.round();
    let mut names = Vec::new();
    for part in parts {
        let sealed = member(part, "thoughtSignature", "thought_signature");
        let call = member(part, "functionCall", "function_call");
        if !sealed.is_null() && !seal::is(text(sealed), "gemini", round) {
            return bad(format!("contents[{at}]: Corrupted thought signature."));
        }
        if call.is_object() {
            if names.is_empty() && sealed.is_null() {
                return bad(format!(
                    "contents[{at}]: Function call is missing a thought_signature in functionCall parts"
                ));
            }
            names.push(text(&call["name"]).to_owned());
        }
    }
    Ok(names)
}

fn user(asked: &mut Asked, at: usize, parts: &[Value], open: &mut Vec<String>) -> Outcome<()> {
    for part in parts {
        let answer = member(part, "functionResponse", "function_response");
        if answer.is_object() {
            let Some(place) = open.iter().position(|name| answer["name"] == json!(name)) else {
                return bad(format!("contents[{at}]: {answer} answers no function call"));
            };
            open.remove(place);
            if !answer["response"].is_object() {
                return bad(format!("contents[{at}]: a response must be an object"));
            }
            asked.result(result(&answer["response"]));
            continue;
        }
        let data = member(part, "inlineData", "inline_data");
        let file = member(part, "fileData", "file_data");
        if data.is_object() {
            let kind = text(member(data, "mimeType", "mime_type"));
            // Google's own SDK for Python writes the other alphabet of base64
            let data = text(&data["data"]).replace('-', "+").replace('_', "/");
            asked.user("", vec![super::say_data(kind, &data)?]);
        } else if file.is_object() {
            let uri = text(member(file, "fileUri", "file_uri"));
            asked.user("", vec![uri.to_owned()]);
        } else {
            asked.user(text(&part["text"]), Vec::new());
        }
    }
    match open.is_empty() {
        true => Ok(()),
        false => bad(format!(
            "contents[{at}]: the number of function response parts must equal the number of function calls"
        )),
    }
}

/// A tool's words, wherever a client puts them.
fn result(response: &Value) -> String {
    let known = ["output", "result", "error", "content"]
        .iter()
        .find_map(|name| response.get(*name));
    match known {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => response.to_string(),
    }
}

/// The parts of the answer; a stream's texts come in pieces.
fn parts(saying: &Saying, streams: bool) -> Vec<Value> {
    let cut = |text: &str| match streams {
        true => pieces(text),
        false => vec![text.to_owned()],
    };
    let mut parts = Vec::new();
    if let Some(thought) = &saying.thought {
        parts.extend(
            cut(thought)
                .into_iter()
                .map(|text| json!({"text": text, "thought": true})),
        );
    }
    parts.extend(
        cut(&saying.text)
            .into_iter()
            .map(|text| json!({ "text": text })),
    );
    for (at, called) in saying.calls.iter().enumerate() {
        let arguments: Value = serde_json::from_str(&called.arguments).unwrap_or_default();
        let mut part = json!({"functionCall": {"name": called.name, "args": arguments}});
        if at == 0 {
            part["thoughtSignature"] = json!(seal::of("gemini", saying.round));
        }
        parts.push(part);
    }
    parts
}

fn finish(saying: &Saying) -> &'static str {
    match saying.is_cut_short {
        true => "MAX_TOKENS",
        false => "STOP",
    }
}

fn usage(saying: &Saying) -> Value {
    let thought = if saying.thought.is_some() { THOUGHT } else { 0 };
    json!({
        "promptTokenCount": FRESH + CACHED,
        "cachedContentTokenCount": CACHED,
        "candidatesTokenCount": GENERATED - thought,
        "thoughtsTokenCount": thought,
        "totalTokenCount": FRESH + CACHED + GENERATED,
    })
}

fn chunk(saying: &Saying, parts: &Value, finish: Value) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    if !finish.is_null() {
        candidate["finishReason"] = finish;
    }
    json!({"candidates": [candidate], "usageMetadata": usage(saying),
        "modelVersion": "gemini-scripted", "responseId": format!("scripted{}", saying.number)})
}

fn whole(saying: &Saying) -> Outcome<Reply> {
    if saying.fails_midway || saying.breaks_off {
        return Err(Refusal {
            status: 500,
            message: "the model failed midway".to_owned(),
        });
    }
    let parts = json!(parts(saying, false));
    Ok(Reply::json(&chunk(saying, &parts, json!(finish(saying)))))
}

fn events(saying: &Saying) -> Vec<String> {
    let parts = parts(saying, true);
    let last = parts.len().saturating_sub(1);
    let chunks = parts.into_iter().enumerate().map(|(at, part)| {
        let finish = match at == last {
            true => json!(finish(saying)),
            false => Value::Null,
        };
        event(None, &chunk(saying, &json!([part]), finish)).replace('\n', "\r\n")
    });
    let mut events: Vec<String> = chunks.collect();
    if saying.fails_midway {
        events.pop();
        let error = error(&Refusal {
            status: 503,
            message: "the model failed midway".to_owned(),
        });
        events.push(json!({ "error": error }).to_string());
    }
    events
}
