//! One choice of a provider's stream, while it is said.

use serde_json::Value;

use super::read_answer;
use super::read_delta::{Call, Delta as Piece, Function, list, object, text};
use super::tool_stream::{Calls, Place};
use super::{details, read_parts, walk::Object};
use crate::conversation::{Citation, Content, Delta, Event, Opening, Part, Seal, Stop};

/// The only sound that OpenAI streams (`pcm16`): 24,000 samples a second.
const STREAMED_SOUND: &str = "audio/pcm";

/// One choice while it is said.
#[derive(Debug, Default)]
pub(super) struct Saying {
    pub index: u32,
    next_part: u32,
    open: Option<(u32, Kind)>,
    calls: Calls,
    /// What seals the open thought: the member it came from, or its details.
    member: &'static str,
    details: Vec<Value>,
    signature: Option<Seal>,
    refuses: bool,
    /// Its end was told; whatever comes after it says nothing new.
    pub has_finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reasoning,
    Text,
    Refusal,
    Sound,
}

impl Saying {
    pub fn new(index: u32) -> Saying {
        Saying {
            index,
            ..Saying::default()
        }
    }

    /// Takes what a chunk says of the choice.
    pub fn delta(&mut self, delta: &Piece<'_>, answer: &str, events: &mut Vec<Event>) {
        self.thoughts(delta, events);
        if let Some(text) = text(delta.content) {
            self.say(Kind::Text, text, events);
        } else if let Some(items) = list(delta.content) {
            for item in items {
                self.content_part(item, events);
            }
        }
        if let Some(text) = text(delta.refusal) {
            self.refuses = true;
            self.say(Kind::Refusal, text, events);
        }
        if let Some(items) = list(delta.annotations) {
            for citation in read_answer::annotations(items) {
                self.cite(citation, events);
            }
        }
        if let Some(audio) = object(delta.audio) {
            self.sound(audio, events);
        }
        for image in list(delta.images).iter().flatten() {
            if let Some(part) = read_answer::image(image) {
                self.whole(part, events);
            }
        }
        if let Some(mut extra) = object(delta.extra_content) {
            let mut members = Object::new();
            members.insert(
                "extra_content".to_owned(),
                std::mem::take(&mut extra).into(),
            );
            self.signature = details::thought_signature(&mut members).or(self.signature.take());
        }
        for call in delta.tool_calls.iter().flatten() {
            self.call(call, answer, events);
        }
        if let Some(function) = &delta.function_call {
            let call = Call {
                index: Some(0),
                function: Some(Function {
                    name: function.name,
                    arguments: function.arguments,
                    input: None,
                }),
                ..Call::default()
            };
            self.call(&call, answer, events);
        }
    }

    fn thoughts(&mut self, delta: &Piece<'_>, events: &mut Vec<Event>) {
        let members = [
            (details::TEXT_MEMBERS[0], delta.reasoning_content),
            (details::TEXT_MEMBERS[1], delta.reasoning),
        ];
        let details = list(delta.reasoning_details).unwrap_or_default();
        let told = members
            .into_iter()
            .find_map(|(name, raw)| Some((name, text(raw)?)));
        let told = told.or_else(|| {
            let text = details::text_of_details(&details);
            (!text.is_empty()).then_some((details::TEXT_MEMBERS[1], text))
        });
        if let Some((name, text)) = told {
            self.say(Kind::Reasoning, text, events);
            self.member = name;
        }
        for detail in details {
            details::add_detail(&mut self.details, detail);
        }
        for block in list(delta.thinking_blocks).into_iter().flatten() {
            self.block(block, events);
        }
    }

    /// LiteLLM repeats thoughts as blocks; what counts is what they are sealed with.
    fn block(&mut self, block: Value, events: &mut Vec<Event>) {
        let Value::Object(mut block) = block else {
            return;
        };
        let Some(part) = details::thinking_block(&mut block) else {
            return;
        };
        let Some(seal) = &part.seal else { return };
        let is_redacted = matches!(part.content, Content::Reasoning { redacted: true, .. });
        match self.open {
            Some((open, Kind::Reasoning)) if !is_redacted => {
                events.push(Event::Delta {
                    choice: self.index,
                    part: open,
                    delta: Delta::Seal(seal.clone()),
                });
                self.member = "";
                self.details.clear();
                self.close(events);
            }
            _ => self.whole(part, events),
        }
    }

    /// A part of a content that is a list (Mistral).
    fn content_part(&mut self, item: Value, events: &mut Vec<Event>) {
        if let Some(chunks) = item["thinking"].as_array() {
            let text = details::text_of_chunks(chunks);
            if !text.is_empty() {
                self.say(Kind::Reasoning, text, events);
                self.member = "thinking";
            }
        } else if let Some(text) = item["text"].as_str().filter(|text| !text.is_empty()) {
            self.say(Kind::Text, text.to_owned(), events);
        } else if let Some(part) = read_answer::image(&item) {
            self.whole(part, events);
        }
    }

    fn say(&mut self, kind: Kind, text: String, events: &mut Vec<Event>) {
        self.more(kind, None, Delta::Text(text), events);
    }

    /// A piece of sound, of what is said in it, or both.
    fn sound(&mut self, mut piece: Object, events: &mut Vec<Event>) {
        let mut string = |name: &str| match piece.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let id = string("id");
        if let Some(data) = string("data") {
            self.more(Kind::Sound, id.clone(), Delta::Sound(data), events);
        }
        if let Some(text) = string("transcript") {
            self.more(Kind::Sound, id, Delta::Text(text), events);
        }
    }

    /// Goes on with the open part, or begins one. `id`: of sound.
    fn more(&mut self, kind: Kind, id: Option<String>, delta: Delta, events: &mut Vec<Event>) {
        let part = match self.open {
            Some((part, open)) if open == kind => part,
            _ => {
                let opening = match kind {
                    Kind::Reasoning => Opening::Reasoning,
                    Kind::Text => Opening::Text,
                    Kind::Refusal => Opening::Refusal,
                    Kind::Sound => Opening::Sound {
                        id,
                        media_type: STREAMED_SOUND.to_owned(),
                    },
                };
                let part = self.begin(opening, events);
                self.open = Some((part, kind));
                part
            }
        };
        events.push(Event::Delta {
            choice: self.index,
            part,
            delta,
        });
    }

    fn begin(&mut self, opening: Opening, events: &mut Vec<Event>) -> u32 {
        self.close(events);
        self.seal_alone(events);
        let part = self.next_part;
        self.next_part += 1;
        events.push(Event::Open {
            choice: self.index,
            part,
            opening,
        });
        part
    }

    fn whole(&mut self, part: Part, events: &mut Vec<Event>) {
        let number = self.begin(Opening::Whole(Box::new(part)), events);
        events.push(Event::Close {
            choice: self.index,
            part: number,
        });
    }

    /// Closes the open text or thought; a thought is sealed with where it came from.
    fn close(&mut self, events: &mut Vec<Event>) {
        let Some((part, kind)) = self.open.take() else {
            return;
        };
        let choice = self.index;
        let seal = match kind {
            Kind::Reasoning if !self.details.is_empty() => {
                Some(details::seal_of_details(std::mem::take(&mut self.details)))
            }
            Kind::Reasoning if !self.member.is_empty() => {
                Some(details::seal_of_member(self.member))
            }
            _ => None,
        };
        if let Some(seal) = seal {
            let delta = Delta::Seal(seal);
            events.push(Event::Delta {
                choice,
                part,
                delta,
            });
        }
        events.push(Event::Close { choice, part });
    }

    /// Sealed thoughts that no text came with, or that came after it.
    fn seal_alone(&mut self, events: &mut Vec<Event>) {
        if !self.details.is_empty() {
            let seal = details::seal_of_details(std::mem::take(&mut self.details));
            let thought = read_parts::reasoning(String::new(), true, Some(seal));
            self.whole(thought, events);
        }
    }

    fn cite(&mut self, citation: Citation, events: &mut Vec<Event>) {
        let part = match self.open {
            Some((part, Kind::Text)) => part,
            _ => {
                let part = self.begin(Opening::Text, events);
                self.open = Some((part, Kind::Text));
                part
            }
        };
        events.push(Event::Delta {
            choice: self.index,
            part,
            delta: Delta::Citation(Box::new(citation)),
        });
    }

    fn call(&mut self, call: &Call<'_>, answer: &str, events: &mut Vec<Event>) {
        self.close(events);
        self.seal_alone(events);
        let mut place = Place {
            choice: self.index,
            next_part: &mut self.next_part,
            answer,
            events,
        };
        // Gemini's signature stands on the message, too, and is of the first call
        self.calls.piece(call, self.signature.take(), &mut place);
    }

    /// Closes what is open, and tells the end. `sources` are those of the whole answer.
    pub fn finish(
        &mut self,
        reason: Option<(&str, Option<String>)>,
        sources: &[Citation],
        answer: &str,
        events: &mut Vec<Event>,
    ) {
        for source in sources {
            self.cite(source.clone(), events);
        }
        if let (Some(seal), Some((part, Kind::Text))) = (self.signature.take(), self.open) {
            events.push(Event::Delta {
                choice: self.index,
                part,
                delta: Delta::Seal(seal),
            });
        }
        self.close(events);
        self.calls.close(&mut Place {
            choice: self.index,
            next_part: &mut self.next_part,
            answer,
            events,
        });
        self.seal_alone(events);
        let calls = !self.calls.is_empty();
        let stop = match reason {
            Some((reason, matched)) => read_answer::stop(reason, matched, calls, self.refuses),
            None if calls => Stop::ToolCalls,
            None => Stop::End,
        };
        self.has_finished = true;
        events.push(Event::Finish {
            choice: self.index,
            stop,
        });
    }
}
