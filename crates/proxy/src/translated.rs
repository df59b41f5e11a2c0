//! Calls whose provider speaks another protocol than the client, and those that the gateway can answer
//! where the provider has no such endpoint.

use base::{Code, Error, Result};
use bytes::Bytes;
use domain::deployment::{Chosen, Upstream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use llm::request::Peek;
use llm::response::Observed;
use llm::{Format, Shown, To, Usage, translate};
use serde_json::Value;

use crate::Services;
use crate::handle::Call;
use crate::respond::Answer;

/// The request for the provider, in its own format.
pub fn request(
    services: &Services,
    call: &mut Call,
    chosen: &Chosen,
    upstream: &Upstream,
    body: &Bytes,
    peek: &Peek<'_>,
) -> Result<Bytes> {
    let to = To {
        provider: upstream.provider,
        model: &chosen.model,
        max_output_tokens: match call.upstream_format.must_limit_output() {
            true => domain::model_facts::of(chosen).max_output_tokens,
            false => None,
        },
    };
    let drops = services.domain.config.drop_params || upstream.drops_params || call.is_adapted;
    // without what was meant for the gateway alone
    let cleaned = llm::request::rewrite(body, peek, &peek.model, false);
    // where nothing was left out, what was read of the body says where things stand
    let (cleaned, input) = match <[Bytes; 1]>::try_from(cleaned) {
        Ok([whole]) if whole.len() == body.len() => (whole, peek.input.as_ref()),
        Ok([part]) => (part, None),
        Err(segments) => (segments.concat().into(), None),
    };
    if !call.format.is_chat() {
        let (from, to_format) = (call.format, call.upstream_format);
        let translated = translate::other_request(from, to_format, &to, &cleaned, drops)?;
        call.dropped = translated.dropped;
        call.echo = translate::of_request(from, &cleaned, None);
        return Ok(translated.body.into());
    }
    let mut conversation = translate::read_request(call.format, &cleaned)?;
    conversation.stream = call.stream;
    let translated =
        translate::write_request(call.format, call.upstream_format, &to, &conversation, drops)?;
    call.dropped = translated.dropped;
    call.echo = translate::of_request(call.format, &cleaned, input);
    if call.format == Format::OpenAiResponses {
        if let (Some(Value::Object(echo)), Some(id)) = (&mut call.echo, &call.goes_on_from) {
            echo.insert("previous_response_id".to_owned(), id.as_str().into());
        }
        let echo = call.echo.as_ref();
        let keeps = echo.is_some_and(|request| request["store"] != false);
        call.keep = keeps.then(|| Value::Array(llm::turns::input_items(&cleaned)).to_string());
    }
    Ok(translated.body.into())
}

/// How an answer is shown to this call's client.
pub fn shown(call: &mut Call) -> Shown {
    Shown {
        id: call.id.0.simple().to_string(),
        model: call.requested_model.clone(),
        created: call.started_at.0 / 1000,
        include_usage: call.wants_stream_usage,
        as_array: call.as_array,
        request: call.echo.take(),
    }
}

/// The type of a body in the client's format.
pub fn content_type(call: &Call) -> HeaderValue {
    HeaderValue::from_static(match call.stream {
        true if !call.as_array => "text/event-stream; charset=utf-8",
        _ => "application/json",
    })
}

/// What the gateway answers itself where the provider has no such endpoint: counts of tokens, as
/// estimates that say so.
///
/// # Errors
/// `InvalidRequest` for what is no request of its format.
pub fn by_gateway(call: &mut Call, model: &str, body: &Bytes) -> Result<Option<Answer>> {
    let counted = translate::count_by_tokenizer(call.format, model, body)?;
    call.is_estimate = counted.is_some();
    Ok(counted.map(|body| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Answer::Whole {
            status: StatusCode::OK,
            headers,
            body: body.into(),
            observed: Box::new(Observed {
                finished: true,
                usage: Some(Usage::default()),
                ..Observed::default()
            }),
            failure: None,
        }
    }))
}

/// The provider has no endpoint of this kind, and its chat cannot stand in for it.
pub fn not_there(call: &Call, upstream: &Upstream) -> Error {
    Error::new(
        Code::InvalidRequest,
        format!(
            "{} has no endpoint for {}; call a model of another provider, or another endpoint",
            upstream.provider.title,
            call.format.call_type(),
        ),
    )
    .param("model")
}
