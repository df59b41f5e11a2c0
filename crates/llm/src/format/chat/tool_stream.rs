//! The calls of one choice while they come in pieces.
//!
//! A call is told as soon as its name is known, and closed when the next one begins and its arguments
//! are whole; where a provider mixes the pieces of several calls, they stay open side by side.

use super::details;
use super::read_answer::made_id;
use super::read_delta::{Call, Function, text};
use crate::conversation::{Delta, Event, Opening, Seal, ToolKind};

/// The calls of a choice, in order.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    /// The provider's number of the call.
    index: u32,
    id: Option<String>,
    /// The number of the part, once it was told.
    part: Option<u32>,
    kind: ToolKind,
    /// Arguments that came before the name.
    held: String,
    seal: Option<Seal>,
    is_closed: bool,
    whole: Wholeness,
    has_arguments: bool,
}

/// Where the events of a choice go, and what numbers they get.
pub(super) struct Place<'a> {
    pub choice: u32,
    pub next_part: &'a mut u32,
    /// The id of the answer, for ids of calls without one.
    pub answer: &'a str,
    pub events: &'a mut Vec<Event>,
}

impl Calls {
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes a piece of a call; `signature` stood beside it.
    pub fn piece(&mut self, call: &Call<'_>, signature: Option<Seal>, place: &mut Place<'_>) {
        let id = text(call.id).filter(|id| id != "null");
        let kind = match call.custom {
            Some(_) => ToolKind::Custom,
            None => ToolKind::Function,
        };
        let empty = Function::default();
        let function = call.custom.as_ref().or(call.function.as_ref());
        let function = function.unwrap_or(&empty);
        let name = text(function.name);
        let at = self.find(call.index, id.as_deref(), name.is_some());
        let at = at.unwrap_or_else(|| self.begin(call.index, kind));
        let open = &mut self.calls[at];
        if open.id.is_none() {
            open.id = id;
        }
        if open.seal.is_none() {
            open.seal = seal(call).or(signature);
        }
        if open.part.is_none()
            && let Some(name) = name
        {
            self.open(at, name, place);
        }
        if let Some(arguments) = arguments(function) {
            self.add(at, arguments, place);
        }
    }

    /// The call that a piece belongs to: of the same number, unless an id and a name begin another.
    fn find(&self, index: Option<u32>, id: Option<&str>, has_name: bool) -> Option<usize> {
        let at = match index {
            Some(index) => self.calls.iter().rposition(|call| call.index == index)?,
            None => match id {
                Some(id) => self
                    .calls
                    .iter()
                    .rposition(|call| call.id.as_deref() == Some(id))?,
                None if has_name => return None,
                None => self.calls.len().checked_sub(1)?,
            },
        };
        let call = &self.calls[at];
        let is_another = has_name
            && call.part.is_some()
            && match (&call.id, id) {
                (Some(known), Some(id)) => known != id,
                (None, _) | (_, None) => false,
            };
        (!is_another).then_some(at)
    }

    fn begin(&mut self, index: Option<u32>, kind: ToolKind) -> usize {
        let next = self.calls.iter().map(|call| call.index).max();
        let index = index.unwrap_or_else(|| next.map_or(0, |last| last.saturating_add(1)));
        self.calls.push(Open {
            index,
            id: None,
            part: None,
            kind,
            held: String::new(),
            seal: None,
            is_closed: false,
            whole: Wholeness::default(),
            has_arguments: false,
        });
        self.calls.len() - 1
    }

    fn open(&mut self, at: usize, name: String, place: &mut Place<'_>) {
        for earlier in &mut self.calls[..at] {
            if earlier.kind == ToolKind::Custom || earlier.whole.is_whole() {
                earlier.close(place);
            }
        }
        let part = *place.next_part;
        *place.next_part += 1;
        let call = &mut self.calls[at];
        call.part = Some(part);
        let made = || made_id(place.answer, u64::from(place.choice), at);
        place.events.push(Event::Open {
            choice: place.choice,
            part,
            opening: Opening::ToolCall {
                id: call.id.clone().unwrap_or_else(made),
                name,
                kind: call.kind,
                seal: call.seal.clone(),
            },
        });
        let held = std::mem::take(&mut call.held);
        if !held.is_empty() {
            self.add(at, held, place);
        }
    }

    fn add(&mut self, at: usize, arguments: String, place: &mut Place<'_>) {
        let call = &mut self.calls[at];
        let Some(part) = call.part else {
            call.held.push_str(&arguments);
            return;
        };
        // whatever follows a whole object is none of the call's
        if call.is_closed {
            return;
        }
        call.whole.feed(&arguments);
        call.has_arguments = true;
        place.events.push(Event::Delta {
            choice: place.choice,
            part,
            delta: Delta::Arguments(arguments),
        });
    }

    /// No more pieces will come.
    pub fn close(&mut self, place: &mut Place<'_>) {
        for at in 0..self.calls.len() {
            if self.calls[at].part.is_none() && !self.calls[at].held.is_empty() {
                self.open(at, String::new(), place);
            }
            self.calls[at].close(place);
        }
    }
}

impl Open {
    fn close(&mut self, place: &mut Place<'_>) {
        let Some(part) = self.part.filter(|_| !self.is_closed) else {
            return;
        };
        let choice = place.choice;
        if !self.has_arguments && self.kind == ToolKind::Function {
            place.events.push(Event::Delta {
                choice,
                part,
                delta: Delta::Arguments("{}".to_owned()),
            });
        }
        place.events.push(Event::Close { choice, part });
        self.is_closed = true;
    }
}

fn arguments(function: &Function<'_>) -> Option<String> {
    let raw = function.arguments.or(function.input)?;
    match raw.get().starts_with('{') {
        true => Some(raw.get().to_owned()),
        false => text(Some(raw)),
    }
}

fn seal(call: &Call<'_>) -> Option<Seal> {
    if call.extra_content.is_none() && call.provider_specific_fields.is_none() {
        return None;
    }
    let mut members = serde_json::Map::new();
    for (name, raw) in [
        ("extra_content", call.extra_content),
        ("provider_specific_fields", call.provider_specific_fields),
    ] {
        if let Some(object) = super::read_delta::object(raw) {
            members.insert(name.to_owned(), object.into());
        }
    }
    details::thought_signature(&mut members)
}

/// Whether the JSON text so far is a whole object.
#[derive(Debug, Default)]
struct Wholeness {
    depth: u32,
    in_string: bool,
    after_backslash: bool,
    has_begun: bool,
}

impl Wholeness {
    fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.after_backslash {
                self.after_backslash = false;
                continue;
            }
            match (byte, self.in_string) {
                (b'\\', true) => self.after_backslash = true,
                (b'"', _) => self.in_string = !self.in_string,
                (b'{' | b'[', false) => {
                    self.depth = self.depth.saturating_add(1);
                    self.has_begun = true;
                }
                (b'}' | b']', false) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.has_begun && self.depth == 0 && !self.in_string
    }
}
