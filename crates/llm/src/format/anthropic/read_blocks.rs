//! Reading the content blocks of a request: system prompt, messages, results of tools.

use std::collections::HashMap;

use base::Result;
use serde_json::Value;

use super::fields::{Fields, invalid};
use super::{LONE_SEAL, NEXT_SEAL, PREVIOUS_SEAL, citation};
use crate::conversation::{
    Content, Media, MediaKind, MediaSource, Part, Role, Seal, ToolKind, Turn,
};
use crate::format::Format;

/// Names of the tools that were called, by the id of the call.
type Names = HashMap<String, String>;

pub(super) fn system(fields: &mut Fields) -> Result<Vec<Part>> {
    match fields.value("system") {
        None => Ok(Vec::new()),
        Some(content) => parts(content, "system", &mut Names::new()),
    }
}

pub(super) fn turns(messages: Vec<Value>) -> Result<Vec<Turn>> {
    let mut names = Names::new();
    let mut turns = Vec::with_capacity(messages.len());
    for (place, message) in messages.into_iter().enumerate() {
        let mut message = Fields::of(message, format!("messages[{place}]"))?;
        let role = match message.word("role")? {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(message.wrong("role", "must be user, assistant or system")),
        };
        let content = message
            .value("content")
            .ok_or_else(|| message.wrong("content", "is required"))?;
        turns.push(Turn {
            role,
            parts: parts(content, &message.path_of("content"), &mut names)?,
            place,
        });
    }
    Ok(turns)
}

/// Reads a text, or a list of blocks.
fn parts(content: Value, path: &str, names: &mut Names) -> Result<Vec<Part>> {
    match content {
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(blocks) => {
            let mut reader = Reader {
                parts: Vec::with_capacity(blocks.len()),
                names,
                next_seal: None,
            };
            for (place, block) in blocks.into_iter().enumerate() {
                reader.block(block, format!("{path}[{place}]"))?;
            }
            Ok(reader.parts)
        }
        _ => Err(invalid(path, "must be a string or an array of blocks")),
    }
}

struct Reader<'a> {
    parts: Vec<Part>,
    names: &'a mut Names,
    /// Belongs to the part that comes next.
    next_seal: Option<Seal>,
}

impl Reader<'_> {
    fn block(&mut self, block: Value, path: String) -> Result<()> {
        let kind = match block.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            _ => return Err(invalid(format!("{path}.type"), "is required")),
        };
        if !is_understood(&kind) {
            self.push(Part::new(Content::Native {
                format: Format::Anthropic,
                value: block,
            }));
            return Ok(());
        }
        let mut fields = Fields::of(block, path)?;
        let cache = fields.cache_mark()?;
        let count = self.parts.len();
        match &*kind {
            "text" => self.text(&mut fields)?,
            "image" => self.image(fields)?,
            "document" => self.document(fields)?,
            "search_result" => self.search_result(fields)?,
            "thinking" => self.thinking(&mut fields)?,
            "redacted_thinking" => self.redacted_thinking(&mut fields)?,
            "tool_use" => self.tool_use(&mut fields)?,
            "tool_result" => self.tool_result(&mut fields)?,
            "tool_reference" => {
                let name = fields.required_string("tool_name")?;
                self.push(Part::text(name));
            }
            // the summary that takes the place of what was said before
            _ => self.push(Part::text(fields.string("content")?.unwrap_or_default())),
        }
        if let Some(last) = self.parts[count..].last_mut() {
            last.cache = cache;
        }
        Ok(())
    }

    fn push(&mut self, mut part: Part) {
        if part.seal.is_none() {
            part.seal = self.next_seal.take();
        }
        self.parts.push(part);
    }

    fn text(&mut self, fields: &mut Fields) -> Result<()> {
        let text = fields.required_string("text")?;
        let citations = fields.array("citations").unwrap_or_default();
        self.push(Part::new(Content::Text {
            text,
            citations: citations
                .unwrap_or_default()
                .into_iter()
                .map(citation::read)
                .collect(),
        }));
        Ok(())
    }

    fn thinking(&mut self, fields: &mut Fields) -> Result<()> {
        let text = fields.required_string("thinking")?;
        let signature = fields.string("signature")?.unwrap_or_default();
        let seal = Seal::read(Format::Anthropic, &signature);
        let mut part = Part::new(Content::Reasoning {
            text,
            redacted: false,
        });
        // an empty seal stands for reasoning that its provider did not seal
        part.seal = Some(seal).filter(|seal| !seal.data.is_empty());
        self.parts.push(part);
        Ok(())
    }

    fn redacted_thinking(&mut self, fields: &mut Fields) -> Result<()> {
        let data = fields.required_string("data")?;
        if let Some(text) = data.strip_prefix(NEXT_SEAL) {
            self.next_seal = Some(Seal::read(Format::Anthropic, text));
            return Ok(());
        }
        if let Some(text) = data.strip_prefix(PREVIOUS_SEAL) {
            if let Some(last) = self.parts.last_mut() {
                last.seal = Some(Seal::read(Format::Anthropic, text));
            }
            return Ok(());
        }
        let lone = data.strip_prefix(LONE_SEAL);
        let mut part = match lone {
            Some(_) => Part::text(""),
            None => Part::new(Content::Reasoning {
                text: String::new(),
                redacted: true,
            }),
        };
        part.seal = Some(Seal::read(Format::Anthropic, lone.unwrap_or(&data)));
        self.parts.push(part);
        Ok(())
    }

    fn tool_use(&mut self, fields: &mut Fields) -> Result<()> {
        let id = fields.required_string("id")?;
        let name = fields.required_string("name")?;
        let arguments = match fields.value("input") {
            None => "{}".to_owned(),
            Some(input @ Value::Object(_)) => input.to_string(),
            Some(_) => return Err(fields.wrong("input", "must be an object")),
        };
        self.names.insert(id.clone(), name.clone());
        self.push(Part::new(Content::ToolCall {
            id,
            name,
            arguments,
            kind: ToolKind::Function,
        }));
        Ok(())
    }

    fn tool_result(&mut self, fields: &mut Fields) -> Result<()> {
        let call_id = fields.required_string("tool_use_id")?;
        let parts = match fields.value("content") {
            None => Vec::new(),
            Some(content) => parts(content, &fields.path_of("content"), self.names)?,
        };
        self.push(Part::new(Content::ToolResult {
            name: self.names.get(&call_id).cloned(),
            call_id,
            parts,
            is_error: fields.boolean("is_error")?.unwrap_or(false),
            kind: ToolKind::Function,
        }));
        Ok(())
    }

    fn image(&mut self, mut fields: Fields) -> Result<()> {
        let mut source = required_source(&mut fields)?;
        let (media_type, source) = match source.word("type")? {
            "base64" => base64(&mut source)?,
            "url" => (None, MediaSource::Url(source.required_string("url")?)),
            "file" => (None, file(&mut source)?),
            _ => return Err(source.wrong("type", "must be base64, url or file")),
        };
        self.push(Part::new(Content::Media(Media {
            kind: MediaKind::Image,
            media_type,
            source,
            name: None,
            detail: None,
            is_citable: false,
            transcript: None,
        })));
        Ok(())
    }

    fn document(&mut self, mut fields: Fields) -> Result<()> {
        let name = fields.string("title")?;
        let is_citable = is_citable(&mut fields)?;
        if let Some(context) = fields.string("context")? {
            self.push(Part::text(context));
        }
        let mut source = required_source(&mut fields)?;
        let (media_type, source) = match source.word("type")? {
            "base64" => base64(&mut source)?,
            "text" => (
                source.string("media_type")?,
                MediaSource::Text(source.required_string("data")?),
            ),
            "url" => (None, MediaSource::Url(source.required_string("url")?)),
            "file" => (None, file(&mut source)?),
            "content" => return self.content_source(source, name, is_citable),
            _ => {
                let why = "must be base64, text, url, file or content";
                return Err(source.wrong("type", why));
            }
        };
        self.push(document(media_type, source, name, is_citable));
        Ok(())
    }

    /// A document put together from blocks: one text, unless there are images in it.
    fn content_source(
        &mut self,
        mut source: Fields,
        name: Option<String>,
        is_citable: bool,
    ) -> Result<()> {
        let path = source.path_of("content");
        let content = source
            .value("content")
            .ok_or_else(|| source.wrong("content", "is required"))?;
        let blocks = parts(content, &path, self.names)?;
        match joined(&blocks, "\n") {
            Some(text) => {
                let source = MediaSource::Text(text);
                self.push(document(None, source, name, is_citable));
            }
            None => {
                self.parts.extend(name.map(Part::text));
                self.parts.extend(blocks);
            }
        }
        Ok(())
    }

    /// A search result is a text with a title, and says where it is from.
    fn search_result(&mut self, mut fields: Fields) -> Result<()> {
        let name = fields.string("title")?;
        let origin = fields.string("source")?;
        let is_citable = is_citable(&mut fields)?;
        let path = fields.path_of("content");
        let content = fields
            .value("content")
            .ok_or_else(|| fields.wrong("content", "is required"))?;
        let blocks = parts(content, &path, self.names)?;
        let mut text =
            joined(&blocks, "\n").ok_or_else(|| fields.wrong("content", "must hold text only"))?;
        if let Some(origin) = origin {
            text = format!("Source: {origin}\n{text}");
        }
        let source = MediaSource::Text(text);
        self.push(document(None, source, name, is_citable));
        Ok(())
    }
}

fn is_understood(kind: &str) -> bool {
    matches!(
        kind,
        "text"
            | "image"
            | "document"
            | "search_result"
            | "thinking"
            | "redacted_thinking"
            | "tool_use"
            | "tool_result"
            | "tool_reference"
            | "compaction"
    )
}

fn required_source(fields: &mut Fields) -> Result<Fields> {
    fields
        .object("source")?
        .ok_or_else(|| fields.wrong("source", "is required"))
}

fn base64(source: &mut Fields) -> Result<(Option<String>, MediaSource)> {
    Ok((
        Some(source.required_string("media_type")?),
        MediaSource::Base64(source.required_string("data")?),
    ))
}

fn file(source: &mut Fields) -> Result<MediaSource> {
    Ok(MediaSource::File {
        format: Format::Anthropic,
        id: source.required_string("file_id")?,
    })
}

fn is_citable(fields: &mut Fields) -> Result<bool> {
    match fields.object("citations")? {
        None => Ok(false),
        Some(mut citations) => Ok(citations.boolean("enabled")?.unwrap_or(false)),
    }
}

fn document(
    media_type: Option<String>,
    source: MediaSource,
    name: Option<String>,
    is_citable: bool,
) -> Part {
    let is_text = matches!(source, MediaSource::Text(_));
    Part::new(Content::Media(Media {
        kind: MediaKind::Document,
        media_type: media_type.or_else(|| is_text.then(|| "text/plain".to_owned())),
        source,
        name,
        detail: None,
        is_citable,
        transcript: None,
    }))
}

/// All texts as one; `None` where something else is among them.
fn joined(parts: &[Part], between: &str) -> Option<String> {
    let texts: Option<Vec<&str>> = parts
        .iter()
        .map(|part| match &part.content {
            Content::Text { text, .. } => Some(&**text),
            _ => None,
        })
        .collect();
    texts.map(|texts| texts.join(between))
}
