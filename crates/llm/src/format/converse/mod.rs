//! Bedrock's Converse and ConverseStream, which only providers speak.
//!
//! One shape for the models of many makers; what it has no member for goes to the model as it is, in
//! `additionalModelRequestFields`, so this folder knows what the makers' models take ([`model`]).
//! The wire is that of botocore's `bedrock-runtime` (2023-09-30).

mod blocks;
mod document_name;
mod eventstream;
mod media;
mod model;
mod parameters;
mod read_answer;
mod read_stream;
#[cfg(test)]
mod tests;
mod tools;
mod wire;
mod write_request;

pub(crate) use eventstream::next_frame;

use super::{Codec, upstream_only};

pub(crate) static CODEC: Codec = Codec {
    read_request: upstream_only::read_request,
    write_request: write_request::write,
    read_answer: |_, body| read_answer::read(body),
    write_answer: upstream_only::write_answer,
    read_stream: |_| Box::new(read_stream::Reader::default()),
    write_stream: upstream_only::write_stream,
};

/// Members that a client of any format may set, as with LiteLLM.
pub(crate) const OWN_MEMBERS: &[&str] = &[
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];

/// The tool that a model is made to call where it has no structured output of its own; its input is
/// the answer, and is given to the client as text.
const ANSWER_TOOL: &str = "tollgate_json_answer";

/// Begins the data of a seal that is redacted reasoning; any other seal is a signature, which is
/// base64 and has no colon.
const REDACTED: &str = "redacted:";
