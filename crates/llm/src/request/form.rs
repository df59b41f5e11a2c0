//! Forms (`multipart/form-data`, RFC 7578): sound to be transcribed, pictures to be edited.
//!
//! The few parts that the gateway decides by are read where they stand, and the file is not copied.
//! What is checked is what is sent: the provider's parser must not see another `model` than this one
//! does. So whatever parsers are known to read in different ways is refused, as no client writes it:
//! bare line feeds before a boundary, text around the parts, folded headers, `name*`, encoded parts.

use std::borrow::Cow;
use std::ops::Range;

use base::{Error, Result};
use memchr::memmem;

use super::rewrite::{Edits, FormPlaces};
use super::{FORBIDDEN_MEMBERS, GATEWAY_MEMBERS, Peek, READ_MEMBERS, Reader, invalid, wrong_type};
use crate::estimate::Measure;
use crate::format::Format;
use crate::json;
use crate::sound;

/// More parts than any client sends.
const MOST_PARTS: usize = 1000;
/// The longest head of a part, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part<'a> {
    name: &'a str,
    has_filename: bool,
    /// A `content-transfer-encoding` that changes the bytes.
    is_encoded: bool,
    /// From its own boundary line up to the next one.
    whole: Range<usize>,
    content: Range<usize>,
}

/// Whether a body of this type is a form; then `format` is one that takes forms.
///
/// # Errors
/// `InvalidRequest` (400) for other multipart bodies.
pub(super) fn is_form(format: Format, content_type: &str) -> Result<bool> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let is_multipart = kind
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if !is_multipart {
        return Ok(false);
    }
    if !format.takes_forms() {
        return Err(refused(
            "this endpoint takes JSON, not a form: send it with content-type application/json",
        ));
    }
    match kind[10..].eq_ignore_ascii_case("form-data") {
        true => Ok(true),
        false => Err(refused(
            "a form must be sent with content-type multipart/form-data",
        )),
    }
}

/// Reads a form. `path_model` is the model that the path names: it counts then, and the form may do
/// without.
///
/// # Errors
/// `InvalidRequest` (400) for what is no form, for a missing `model`, and for members that stand
/// there twice; `param` names the member.
pub(super) fn peek<'a>(
    format: Format,
    content_type: &str,
    body: &'a [u8],
    path_model: Option<&str>,
) -> Result<Peek<'a>> {
    let boundary = boundary(content_type).map_err(refused)?;
    let mut parts = Parts::new(&boundary, body)?;
    let mut reader = FormReader::new(format, body);
    while let Some(part) = parts.next()? {
        reader.part(&part)?;
    }
    let first = parts.first..parts.first + parts.needle.len();
    reader.finish(first, path_model)
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Result<Vec<u8>, &'static str> {
    const NONE: &str = "the form's content-type names no boundary";
    let (_, rest) = content_type.split_once(';').ok_or(NONE)?;
    let mut found = None;
    let mut parameters = Parameters(rest.as_bytes());
    while let Some(parameter) = parameters.next()? {
        if parameter.name.eq_ignore_ascii_case(b"boundary")
            && found.replace(parameter.value).is_some()
        {
            return Err("the form's content-type names two boundaries");
        }
    }
    let boundary = found.ok_or(NONE)?;
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    match (1..=70).contains(&boundary.len()) && boundary.iter().all(allowed) {
        true => Ok(boundary.into_owned()),
        false => Err("the form's boundary must be 1 to 70 of the characters that RFC 2046 allows"),
    }
}

/// The parameters of a header's value, after its first word.
struct Parameters<'a>(&'a [u8]);

struct Parameter<'a> {
    name: &'a [u8],
    value: Cow<'a, [u8]>,
}

impl<'a> Parameters<'a> {
    fn next(&mut self) -> Result<Option<Parameter<'a>>, &'static str> {
        const MALFORMED: &str = "a header of the form is malformed";
        let text = self.0.trim_ascii();
        let text = text.strip_prefix(b";").unwrap_or(text).trim_ascii();
        if text.is_empty() {
            return Ok(None);
        }
        let equals = memchr::memchr(b'=', text).ok_or(MALFORMED)?;
        let (name, rest) = (&text[..equals], &text[equals + 1..]);
        if !is_token(name) {
            return Err(MALFORMED);
        }
        let Some(quoted) = rest.strip_prefix(b"\"") else {
            let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
            let value = rest[..end].trim_ascii();
            if value.is_empty() || value.iter().any(|byte| b"\" \t\\".contains(byte)) {
                return Err(MALFORMED);
            }
            self.0 = &rest[end..];
            let value = Cow::Borrowed(value);
            return Ok(Some(Parameter { name, value }));
        };
        let (value, after) = unquoted(quoted).ok_or(MALFORMED)?;
        let after = after.trim_ascii();
        if !(after.is_empty() || after.starts_with(b";")) {
            return Err(MALFORMED);
        }
        self.0 = after;
        Ok(Some(Parameter { name, value }))
    }
}

/// A quoted string without its quotes, and what follows. A quote that is escaped ends the string for
/// some parsers: then nothing may follow in it that could be read as another parameter.
fn unquoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut at = 0;
    let mut escaped = false;
    loop {
        at += memchr::memchr2(b'"', b'\\', &text[at..])?;
        match (text[at], text.get(at + 1)) {
            (b'"', _) => break,
            (_, Some(b'"' | b'\\')) => {
                escaped |= text[at + 1] == b'"';
                at += 2;
            }
            _ => at += 1,
        }
    }
    let raw = &text[..at];
    if escaped && raw.contains(&b';') {
        return None;
    }
    let value = match escaped {
        true => Cow::Owned(without_escapes(raw)),
        false => Cow::Borrowed(raw),
    };
    Some((value, &text[at + 1..]))
}

/// `\"` becomes `"`.
fn without_escapes(raw: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if !(byte == b'\\' && bytes.peek() == Some(&b'"')) {
            plain.push(byte);
        }
    }
    plain
}

fn is_token(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(allowed)
}

/// The parts of a form, one after the other.
struct Parts<'a> {
    body: &'a [u8],
    /// Two dashes and the boundary.
    needle: Vec<u8>,
    finder: memmem::Finder<'static>,
    /// Where the first boundary line begins.
    first: usize,
    /// Where the boundary line of the next part begins.
    at: usize,
    count: usize,
    is_closed: bool,
}

impl<'a> Parts<'a> {
    fn new(boundary: &[u8], body: &'a [u8]) -> Result<Parts<'a>> {
        let needle = [b"--", boundary].concat();
        let mut parts = Parts {
            body,
            finder: memmem::Finder::new(&needle).into_owned(),
            needle,
            first: 0,
            at: 0,
            count: 0,
            is_closed: false,
        };
        let first = parts.boundary_after(0)?.ok_or_else(|| {
            refused("the form holds no part: its boundary, as content-type names it, is nowhere")
        })?;
        if !body[..first].iter().all(|byte| b"\r\n".contains(byte)) {
            return Err(refused("the form has text before its first part"));
        }
        (parts.first, parts.at) = (first, first);
        Ok(parts)
    }

    /// The next boundary line, from `start` on.
    fn boundary_after(&self, start: usize) -> Result<Option<usize>> {
        let mut start = start;
        while let Some(found) = self.finder.find(self.body.get(start..).unwrap_or_default()) {
            let at = start + found;
            let before = &self.body[..at];
            if before.is_empty() || before.ends_with(b"\r\n") {
                return Ok(Some(at));
            }
            if before.ends_with(b"\n") || before.ends_with(b"\r") {
                return Err(refused(
                    "a boundary of the form stands after a line that does not end in CR LF",
                ));
            }
            start = at + 1;
        }
        Ok(None)
    }

    fn next(&mut self) -> Result<Option<Part<'a>>> {
        if self.is_closed {
            return Ok(None);
        }
        let after = self.at + self.needle.len();
        let rest = &self.body[after..];
        if let Some(epilogue) = rest.strip_prefix(b"--") {
            self.is_closed = true;
            return match epilogue.iter().all(|byte| b"\r\n".contains(byte)) {
                true => Ok(None),
                false => Err(refused("the form has text after its last part")),
            };
        }
        if !rest.starts_with(b"\r\n") {
            return Err(match rest.len() < 2 {
                true => cut(),
                false => refused("a line of the form begins like its boundary and goes on"),
            });
        }
        self.count += 1;
        if self.count > MOST_PARTS {
            return Err(refused("the form has more than 1000 parts"));
        }
        let next = self.boundary_after(after)?.ok_or_else(cut)?;
        let part = self.part(self.at, after + 2, next)?;
        self.at = next;
        Ok(Some(part))
    }

    /// The part whose head begins at `head`, up to the boundary at `next`.
    fn part(&self, start: usize, head: usize, next: usize) -> Result<Part<'a>> {
        let text = &self.body[head..next];
        let window = &text[..text.len().min(LONGEST_HEAD)];
        let length = memmem::find(window, b"\r\n\r\n")
            .ok_or_else(|| refused("a part of the form has no head, or one that is too long"))?;
        let content = head + length + 4;
        if content + 2 > next {
            return Err(refused("a part of the form has no content"));
        }
        let described = Head::read(&text[..length]).map_err(refused)?;
        Ok(Part {
            name: described.name,
            has_filename: described.has_filename,
            is_encoded: described.is_encoded,
            whole: start..next,
            content: content..next - 2,
        })
    }
}

/// What the head of a part says.
struct Head<'a> {
    name: &'a str,
    has_filename: bool,
    is_encoded: bool,
}

impl<'a> Head<'a> {
    fn read(text: &'a [u8]) -> Result<Head<'a>, &'static str> {
        const MALFORMED: &str = "the head of a part of the form is malformed";
        let mut disposition = None;
        let mut is_encoded = false;
        let mut rest = text;
        while !rest.is_empty() {
            let end = memmem::find(rest, b"\r\n").unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 2..).unwrap_or_default();
            let colon = memchr::memchr(b':', line).ok_or(MALFORMED)?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if !is_token(name) || line.iter().any(|byte| b"\r\n\0".contains(byte)) {
                return Err(MALFORMED);
            }
            if name.eq_ignore_ascii_case(b"content-disposition")
                && disposition.replace(value).is_some()
            {
                return Err(MALFORMED);
            }
            if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
                let is_plain = |plain: &[u8]| value.eq_ignore_ascii_case(plain);
                is_encoded |= !(is_plain(b"binary") || is_plain(b"8bit") || is_plain(b"7bit"));
            }
        }
        let disposition =
            disposition.ok_or("a part of the form has no content-disposition with a name")?;
        Head::disposition(disposition, is_encoded)
    }

    fn disposition(value: &'a [u8], is_encoded: bool) -> Result<Head<'a>, &'static str> {
        const NAMELESS: &str = "a part of the form has no content-disposition with a name";
        let end = memchr::memchr(b';', value).ok_or(NAMELESS)?;
        if !value[..end].trim_ascii().eq_ignore_ascii_case(b"form-data") {
            return Err("a part of the form is of another disposition than form-data");
        }
        let mut name = None;
        let mut has_filename = false;
        let mut parameters = Parameters(&value[end..]);
        while let Some(parameter) = parameters.next()? {
            match parameter.name.to_ascii_lowercase().as_slice() {
                b"name" if name.is_some() => return Err("a part of the form has two names"),
                b"name" => {
                    // an escaped name is another one for another parser
                    let Cow::Borrowed(plain) = parameter.value else {
                        return Err("a part's name holds a quote");
                    };
                    let plain = std::str::from_utf8(plain).map_err(|_| NAMELESS)?;
                    if plain.contains(['\\', '%']) {
                        return Err("a part's name holds a character that is not allowed there");
                    }
                    name = Some(plain);
                }
                b"name*" => return Err("a part's name must be given as name, not as name*"),
                b"filename" | b"filename*" => has_filename = true,
                _ => {}
            }
        }
        Ok(Head {
            name: name.ok_or(NAMELESS)?,
            has_filename,
            is_encoded,
        })
    }
}

/// What is known while the parts of a form go by.
struct FormReader<'a> {
    reader: Reader<'a>,
    has_model: bool,
    measure: Measure,
}

impl<'a> FormReader<'a> {
    fn new(format: Format, body: &'a [u8]) -> FormReader<'a> {
        FormReader {
            reader: Reader::new(format, body),
            has_model: false,
            measure: Measure::default(),
        }
    }

    fn part(&mut self, part: &Part<'a>) -> Result<()> {
        // SDKs write lists and objects as `tags[]` and `metadata[tags][]`
        let root = part.name.split('[').next().unwrap_or_default();
        if FORBIDDEN_MEMBERS.contains(&root) {
            return Err(invalid(
                format!("{root} is not allowed in the request body"),
                root.to_owned(),
            ));
        }
        let content = &self.reader.body[part.content.clone()];
        if part.has_filename {
            self.file(part, content);
        } else {
            self.measure.text += content.len() as u64;
        }
        match part.name {
            "model" => self.model(part)?,
            "stream" => {
                self.once(part)?;
                self.reader.stream = boolean(self.text(part, "stream")?)?;
            }
            "n" => {
                self.once(part)?;
                let count = self.text(part, "n")?.parse();
                self.reader.answers =
                    count.map_err(|_| wrong_type("n", "a whole number that is not negative"))?;
            }
            "user" => {
                self.once(part)?;
                self.reader.end_user = Some(Cow::Borrowed(self.text(part, "user")?));
            }
            _ => {}
        }
        if self.is_for_gateway(root, part.name, content) {
            self.reader.edits.removed.push(part.whole.clone());
        }
        Ok(())
    }

    fn file(&mut self, part: &Part<'_>, content: &[u8]) {
        if part.name == "file" {
            let known = self.measure.milliseconds;
            self.measure.milliseconds = known.saturating_add(sound::milliseconds(content));
        }
    }

    fn model(&mut self, part: &Part<'a>) -> Result<()> {
        self.once(part)?;
        let name = self.text(part, "model")?;
        match name.is_empty() {
            // it would stand there twice once it is put in
            true => self.reader.edits.removed.push(part.whole.clone()),
            false => {
                self.reader.edits.model = part.content.clone();
                self.reader.model = Some(Cow::Borrowed(name));
                self.has_model = true;
            }
        }
        Ok(())
    }

    fn once(&mut self, part: &Part<'_>) -> Result<()> {
        let bit = READ_MEMBERS.iter().position(|name| *name == part.name);
        bit.map_or(Ok(()), |bit| self.reader.once(bit))
    }

    /// A part as the text that every parser reads in it.
    fn text(&self, part: &Part<'a>, name: &'static str) -> Result<&'a str> {
        let content = &self.reader.body[part.content.clone()];
        let text = std::str::from_utf8(content).ok();
        text.filter(|text| {
            !part.has_filename && !part.is_encoded && !text.contains(|c: char| c.is_control())
        })
        .ok_or_else(|| wrong_type(name, "a line of plain text, no file"))
    }

    /// Whether a part is for the gateway alone; its tags are taken.
    fn is_for_gateway(&mut self, root: &str, name: &str, content: &[u8]) -> bool {
        let is_own = GATEWAY_MEMBERS.contains(&root);
        let whole = 0..content.len();
        let below = &name[root.len()..];
        let tags = match (root, below) {
            ("tags", _) | ("metadata" | "litellm_metadata", "[tags]" | "[tags][]") => {
                match content.first() {
                    Some(b'[') => json::strings(content, whole),
                    _ => vec![String::from_utf8_lossy(content).into_owned()],
                }
            }
            ("metadata" | "litellm_metadata", "") => match json::find(content, whole, b"tags") {
                Some(tags) => json::strings(content, tags),
                None => return is_own,
            },
            _ => return is_own,
        };
        for tag in tags {
            if !tag.is_empty() && !self.reader.tags.contains(&tag) {
                self.reader.tags.push(tag);
            }
        }
        true
    }

    fn finish(self, first: Range<usize>, path_model: Option<&str>) -> Result<Peek<'a>> {
        let FormReader {
            mut reader,
            has_model,
            measure,
        } = self;
        if let Some(model) = path_model {
            reader.model = Some(Cow::Owned(model.to_owned()));
        }
        reader.edits.form = Some(FormPlaces { first, has_model });
        reader.measure = measure;
        reader.finish()
    }
}

fn boolean(text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err(wrong_type("stream", "a boolean")),
    }
}

fn refused(why: &'static str) -> Error {
    invalid(format!("Invalid form: {why}."), "request_body")
}

fn cut() -> Error {
    refused("it ends before its last boundary")
}

/// What puts the model's name for the provider into a form: in place of the client's, or as a part of
/// its own before the first one.
pub(super) fn model_change(
    body: &[u8],
    edits: &Edits,
    places: &FormPlaces,
    model: &str,
) -> Option<(Range<usize>, String)> {
    if !places.has_model {
        let boundary = String::from_utf8_lossy(&body[places.first.clone()]);
        let part = format!(
            "{boundary}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n"
        );
        return Some((places.first.start..places.first.start, part));
    }
    let place = edits.model.clone();
    (body[place.clone()] != *model.as_bytes()).then(|| (place, model.to_owned()))
}
