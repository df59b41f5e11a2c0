"""Every recorded chat, asked for in every protocol: the protocol's own SDK reads what was recorded.

The gateway translates wherever the recorded provider speaks another protocol than the client. What the
recording says is read from its bytes by `recorded.py`, and what the client gets by the official SDK.
A table of case and client is written where TOLLGATE_RESULTS says.
"""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from conftest import SCENE, URL, new_key
from recorded import Gist, arguments_of, read, stop_of, words

REPLAYS = SCENE["replays"]


class Chat:
    name = "chat"
    speaks = ("chat",)

    def __init__(self, key):
        import openai

        self.sdk = openai.OpenAI(base_url=URL + "/v1", api_key=key, max_retries=0, timeout=30)
        self.error = openai.APIError

    def ask(self, model, stream):
        body = {"model": model, "messages": [{"role": "user", "content": "Hello?"}]}
        if not stream:
            whole = self.sdk.chat.completions.create(**body)
            [choice] = whole.choices[:1]
            message = choice.message
            if message is None:
                return self.gist("", [], choice.finish_reason, whole.usage)
            calls = [self.call(call) for call in message.tool_calls or []]
            if message.function_call:
                function = message.function_call
                calls.append((function.name, arguments_of(function.arguments)))
            refusal = message.refusal or ""
            finish = "refusal" if refusal else choice.finish_reason
            return self.gist(words(message.content) + refusal, calls, finish, whole.usage)
        text, calls, finish, usage = "", {}, None, None
        options = {"include_usage": True}
        for chunk in self.sdk.chat.completions.create(stream=True, stream_options=options, **body):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                if choice.index != 0:
                    continue
                text += words(choice.delta.content) + (choice.delta.refusal or "")
                finish = "refusal" if choice.delta.refusal else finish
                for call in choice.delta.tool_calls or []:
                    known = calls.setdefault(call.index, ["", ""])
                    function = call.function or getattr(call, "custom", None)
                    if isinstance(function, dict):
                        known[0] += function.get("name") or ""
                        known[1] += function.get("input") or ""
                    else:
                        known[0] += function.name or ""
                        known[1] += function.arguments or ""
                finish = finish or choice.finish_reason
        calls = [(name, arguments_of(told)) for name, told in calls.values()]
        return self.gist(text, calls, finish, usage)

    @staticmethod
    def call(call):
        if call.type == "custom":
            return call.custom.name, arguments_of(call.custom.input)
        return call.function.name, arguments_of(call.function.arguments)

    @staticmethod
    def gist(text, calls, finish, usage):
        if usage:
            details = usage.prompt_tokens_details
            cached = (details.cached_tokens if details else 0) or 0
            usage = (usage.prompt_tokens, cached, usage.completion_tokens)
        return Gist(text, calls, stop_of(finish), usage)


class Responses(Chat):
    name = "responses"
    speaks = ("responses",)

    def ask(self, model, stream):
        body = {"model": model, "input": "Hello?", "store": False}
        if not stream:
            whole = self.sdk.responses.create(**body)
        else:
            text, whole = "", None
            for event in self.sdk.responses.create(stream=True, **body):
                if event.type in ("response.output_text.delta", "response.refusal.delta"):
                    text += event.delta
                whole = getattr(event, "response", None) or whole
                if event.type == "error":
                    raise self.error(event.message, request=None, body=None)
        if whole.status == "failed":
            raise self.error(whole.error.message, request=None, body=None)
        gist, refused = Gist(), False
        for item in whole.output or []:
            if item.type == "message":
                for part in item.content:
                    refused |= part.type == "refusal"
                    gist.text += part.text if part.type == "output_text" else part.refusal
            elif item.type == "function_call":
                gist.calls.append((item.name, arguments_of(item.arguments)))
            elif item.type == "custom_tool_call":
                gist.calls.append((item.name, arguments_of(item.input)))
        if stream and text:
            gist.text = text
        details = whole.incomplete_details
        gist.stop = "filtered" if refused else stop_of(details.reason if details else "end")
        if whole.usage:
            cached = whole.usage.input_tokens_details.cached_tokens or 0
            gist.usage = (whole.usage.input_tokens, cached, whole.usage.output_tokens)
        return gist


class Messages:
    name = "messages"
    speaks = ("messages",)

    def __init__(self, key):
        import anthropic

        self.sdk = anthropic.Anthropic(base_url=URL, api_key=key, max_retries=0, timeout=30)
        self.error = anthropic.APIError

    def ask(self, model, stream):
        messages = [{"role": "user", "content": "Hello?"}]
        body = {"model": model, "messages": messages, "max_tokens": 1000}
        if stream:
            with self.sdk.messages.stream(**body) as events:
                whole = events.get_final_message()
        else:
            whole = self.sdk.messages.create(**body)
        blocks, usage = whole.content, whole.usage
        cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        return Gist(
            "".join(block.text for block in blocks if block.type == "text"),
            [(block.name, block.input) for block in blocks if block.type == "tool_use"],
            stop_of(whole.stop_reason),
            (usage.input_tokens + cached + written, cached, usage.output_tokens),
        )


class Gemini:
    name = "gemini"
    speaks = ("generateContent", "streamGenerateContent")

    def __init__(self, key):
        from google import genai
        from google.genai import errors, types

        options = types.HttpOptions(base_url=URL, timeout=30_000)
        self.sdk = genai.Client(api_key=key, http_options=options)
        self.error = errors.APIError

    def ask(self, model, stream):
        body = {"model": model, "contents": "Hello?"}
        if stream:
            chunks = list(self.sdk.models.generate_content_stream(**body))
        else:
            chunks = [self.sdk.models.generate_content(**body)]
        gist = Gist()
        for chunk in chunks:
            if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
                gist.stop = "filtered"
            usage = chunk.usage_metadata
            if usage:
                generated = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
                prompt = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
                gist.usage = (prompt, usage.cached_content_token_count or 0, generated)
            for candidate in chunk.candidates or []:
                if candidate.index:
                    continue
                for part in (candidate.content.parts if candidate.content else None) or []:
                    if part.text and not part.thought:
                        gist.text += part.text
                    if part.function_call and part.function_call.name:
                        gist.calls.append((part.function_call.name, part.function_call.args or {}))
                if candidate.finish_reason:
                    gist.stop = stop_of(candidate.finish_reason.value)
        return gist


CLIENTS = [Chat, Responses, Messages, Gemini]

ODD = (
    "malformed-stream",
    "malformed-content",
    "programmatic-tool-calling",
    "streamed-function-args",
    # abridged: OpenAI's SDK does not take its last event
    "multiple-output-items",
)



def outcome(client, replay):
    """`None` where the client reads what was recorded, or what is another."""
    if replay["status"] >= 400:
        try:
            client.ask(replay["model"], replay["streams"])
        except client.error as error:
            status = getattr(error, "status_code", None) or getattr(error, "code", None)
            return None if status == replay["status"] else f"status {status} for {replay['status']}"
        return "no error was raised"
    native = replay["api"] in client.speaks
    # what providers break and leave open, or send as several answers, has no one right reading
    odd = any(feature in ODD for feature in replay["features"]) or replay["end"] in ("cut", "error-event")
    wanted = read(replay, native)
    try:
        got = client.ask(replay["model"], replay["streams"])
    except Exception as error:
        told = isinstance(error, client.error) and (wanted.failed or odd)
        return None if told or (native and odd) else f"{type(error).__name__}: {error}"
    if native and odd:
        return None
    if wanted.failed:
        return f"a failure became {got}"
    # what was not recorded may be anything
    if wanted.text is None:
        got.text = None
    if wanted.usage is None:
        got.usage = None
    if wanted.stop is None:
        got.stop = None
    if len(wanted.calls) == len(got.calls):
        pairs = zip(wanted.calls, got.calls)
        got.calls = [known if known[0] == call[0] and free(known[1]) else call for known, call in pairs]
    return None if got == wanted else f"{difference(wanted, got)}"


def free(arguments):
    """Free text of a custom tool, which stands in a member `input` where tools are functions, and what
    was cut short, which some SDKs complete."""
    return isinstance(arguments, str)


def difference(wanted, got):
    told = []
    for member in dataclasses.fields(Gist):
        one, other = getattr(wanted, member.name), getattr(got, member.name)
        if one != other:
            told.append(f"{member.name}: recorded {one!r:.300}, got {other!r:.300}")
    return "; ".join(told)


@pytest.mark.skipif(not REPLAYS, reason="the recordings are not there")
@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.name)
def test_recorded_answers(kind):
    client = kind(new_key())
    failures = []
    table = []
    for replay in REPLAYS:
        try:
            problem = outcome(client, replay)
        except Exception as error:  # an SDK that cannot read it
            problem = f"{type(error).__name__}: {error}"
        table.append({"case": replay["model"], "api": replay["api"], "client": kind.name, "problem": problem})
        if problem:
            failures.append(f"{replay['model']}: {problem}")
    results = os.environ.get("TOLLGATE_RESULTS")
    if results:
        Path(results, f"replay-{kind.name}.json").write_text(json.dumps(table))
    assert not failures, f"{len(failures)} of {len(REPLAYS)}:\n" + "\n".join(failures)
