"""What recorded answers come to, read from the providers' own bytes: text, calls, stop, usage."""

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Gist:
    text: str | None = ""  # of the first choice, with a refusal
    calls: list = field(default_factory=list)  # (name, arguments)
    stop: str | None = None  # "end", "length" or "filtered"
    usage: tuple | None = None  # all of the prompt, of it cached, generated
    failed: bool = False


STOPS = {
    "length": "length",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "model_context_window_exceeded": "length",
    "max_output_tokens": "length",
    "content_filter": "filtered",
    "content_filtered": "filtered",
    "guardrail_intervened": "filtered",
    "refusal": "filtered",
    "SAFETY": "filtered",
    "RECITATION": "filtered",
    "BLOCKLIST": "filtered",
    "PROHIBITED_CONTENT": "filtered",
    "SPII": "filtered",
    "MODEL_ARMOR": "filtered",
    "IMAGE_SAFETY": "filtered",
    "ERROR_TOXIC": "filtered",
}


def stop_of(word):
    return None if word is None else STOPS.get(word, "end")


def arguments_of(text):
    """Arguments may be spaced otherwise, but mean the same; free text stays text."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        return text


def read(replay, native):
    """The gist of a recording: as it stands for a `native` client, who gets the provider's bytes, or as
    the gateway understands it."""
    replay = dict(replay, native=native)
    path = Path(replay["path"])
    file = lambda ending: Path(f"{path}.{ending}")
    if replay["streams"]:
        if file("stream.decoded.json").exists():
            decoded = json.loads(file("stream.decoded.json").read_text())
            return converse_stream(decoded)
        events = data_of(file("stream.sse").read_text())
        if not native:
            events = first_answer(events)
        gist = READ_STREAM[replay["api"]](events, replay)
        gist.failed |= replay["end"] in ("error-event", "cut")
        return gist
    return READ[replay["api"]](json.loads(file("response.json").read_text()), replay)


def data_of(text):
    events = []
    for line in text.splitlines():
        if line.startswith("data:") and line[5:].strip() not in ("[DONE]", ""):
            try:
                events.append(json.loads(line[5:]))
            except ValueError:
                pass
    return events


ENDS = ("response.completed", "response.incomplete", "response.failed", "message_stop")


def first_answer(events):
    """Some recordings hold several answers, one after the other."""
    for at, event in enumerate(events):
        if event.get("type") in ENDS:
            return events[: at + 1]
    return events


# --- OpenAI's chat, in the spellings of its providers


def words(content):
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(part.get("text") or "" for part in content if part.get("type") == "text")


def chat_usage(usage, replay):
    if not usage:
        return None
    count = lambda value: int(value or 0)
    prompt, generated = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    details = usage.get("prompt_tokens_details") or {}
    reasoning = count((usage.get("completion_tokens_details") or {}).get("reasoning_tokens"))
    cached = max(
        count(details.get("cached_tokens")),
        count(usage.get("prompt_cache_hit_tokens")),
        count(usage.get("num_cached_tokens")),
        count(usage.get("cached_tokens")),
    )
    where, model = replay["provider"], replay["asked"] or ""
    if replay["native"]:
        return prompt, count(details.get("cached_tokens")), generated
    if where == "xai" or (where == "vercel-gateway" and model.startswith("google/")):
        generated += reasoning
    if where == "mistral":
        prompt += count(details.get("audio_tokens"))
    if where == "azure" and "grok" in model:
        prompt += cached
    return prompt, min(cached, prompt), generated


def chat(body, replay):
    choices = body.get("choices") or []
    if not choices:
        return Gist(failed=True)
    message = choices[0].get("message") or {}
    functions = [call.get("function") or call.get("custom") for call in message.get("tool_calls") or []]
    if message.get("function_call"):
        functions.append(message["function_call"])
    refusal = message.get("refusal") or ""
    # clients that cannot hear read what is said
    is_sound = message.get("audio") and not replay["native"]
    return Gist(
        text=None if is_sound else words(message.get("content")) + refusal,
        calls=[(one["name"], arguments_of(one.get("arguments", one.get("input")))) for one in functions],
        stop="filtered" if refusal else stop_of(choices[0].get("finish_reason")),
        usage=chat_usage(body.get("usage"), replay),
    )


def chat_stream(events, replay):
    gist, calls, refused = Gist(), {}, False
    for event in events:
        gist.failed |= bool(event.get("error"))
        usage = event.get("usage") or (event.get("x_groq") or {}).get("usage")
        if usage:
            gist.usage = chat_usage(usage, replay)
        for choice in event.get("choices") or []:
            if choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta") or {}
            gist.text += words(delta.get("content")) + (delta.get("refusal") or "")
            refused |= bool(delta.get("refusal"))
            for place, call in enumerate(delta.get("tool_calls") or []):
                function = call.get("function") or call.get("custom") or {}
                at = call.get("index", place)
                # a call that comes whole may bear the number of another
                known = calls.get(at)
                if known is None or (call.get("id") and known[2] and call["id"] != known[2]):
                    at = at if known is None else (at, call["id"])
                    known = calls[at] = ["", "", call.get("id")]
                known[0] += function.get("name") or "" if not known[0] else ""
                piece = function.get("arguments", function.get("input")) or ""
                known[1] += piece if isinstance(piece, str) else json.dumps(piece)
            if choice.get("finish_reason"):
                gist.stop = stop_of(choice["finish_reason"])
    gist.calls = [(name, arguments_of(text)) for name, text, _ in calls.values()]
    gist.stop = "filtered" if refused else gist.stop
    return gist


# --- OpenAI's responses


def responses(body, replay):
    gist, refused = Gist(failed=body.get("status") == "failed"), False
    for item in body.get("output") or []:
        if item["type"] == "message":
            gist.text += "".join(part.get("text") or part.get("refusal") or "" for part in item["content"])
            refused |= any(part.get("refusal") for part in item["content"])
        elif item["type"] in ("function_call", "custom_tool_call"):
            name = item["name"]
            if item.get("namespace") and not replay["native"]:
                name = f"{item['namespace']}__{name}"
            gist.calls.append((name, arguments_of(item.get("arguments", item.get("input")))))
    details = body.get("incomplete_details") or {}
    gist.stop = stop_of(details.get("reason") or ("end" if body.get("status") == "completed" else None))
    gist.stop = "filtered" if refused else gist.stop
    usage = body.get("usage")
    if usage:
        cached = (usage.get("input_tokens_details") or {}).get("cached_tokens") or 0
        gist.usage = (usage["input_tokens"], cached, usage["output_tokens"])
    return gist


def responses_stream(events, replay):
    last = [event for event in events if event.get("type", "").startswith("response.") and "response" in event]
    items = [event["item"] for event in events if event.get("type") == "response.output_item.done"]
    body = dict(last[-1]["response"]) if last else {}
    if not body.get("output"):
        body["output"] = items
    gist = responses(body, replay)
    pieces = ("response.output_text.delta", "response.refusal.delta")
    told = "".join(event["delta"] for event in events if event.get("type") in pieces)
    if told and told != gist.text:
        gist.text = None  # pieces were left out of the recording: there is no one text
    gist.failed |= any(event.get("type") in ("error", "response.failed") for event in events)
    return gist


# --- Anthropic's messages


def messages_usage(usage, replay):
    if usage.get("iterations") and not replay["native"]:
        # what is charged: compactions as well, but not what another model advised
        own = [one for one in usage["iterations"] if one["type"] != "advisor_message"]
        each = [messages_usage(dict(one, iterations=None), replay) for one in own]
        return tuple(map(sum, zip(*each)))
    read, written = (usage.get(f"cache_{what}_input_tokens") or 0 for what in ("read", "creation"))
    return (usage.get("input_tokens") or 0) + read + written, read, usage.get("output_tokens") or 0


def messages(body, replay):
    blocks = body["content"]
    return Gist(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        calls=[(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        stop=stop_of(body["stop_reason"]),
        usage=messages_usage(body["usage"], replay),
    )


def messages_stream(events, replay):
    gist, blocks, usage = Gist(), {}, {}
    for event in events:
        kind = event.get("type")
        if kind == "message_start":
            usage.update(event["message"].get("usage") or {})
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"], json="")
            gist.text += event["content_block"].get("text") or ""
        elif kind == "content_block_delta":
            gist.text += event["delta"].get("text") or ""
            blocks[event["index"]]["json"] += event["delta"].get("partial_json") or ""
        elif kind == "message_delta":
            gist.stop = stop_of(event["delta"].get("stop_reason"))
            told = {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
            usage.update(told)
        elif kind == "error":
            gist.failed = True
    called = [block for block in blocks.values() if block["type"] == "tool_use"]
    gist.calls = [(block["name"], arguments_of(block["json"]) or block["input"]) for block in called]
    gist.usage = messages_usage(usage, replay) if usage else None
    return gist


# --- Gemini


def gemini_gather(chunks):
    gist, usage = Gist(), None
    for chunk in chunks:
        gist.failed |= "error" in chunk
        if (chunk.get("promptFeedback") or {}).get("blockReason"):
            gist.stop = "filtered"
        usage = chunk.get("usageMetadata") or usage
        for candidate in chunk.get("candidates") or []:
            if candidate.get("index", 0) != 0:
                continue
            for part in (candidate.get("content") or {}).get("parts") or []:
                if not part.get("thought"):
                    gist.text += part.get("text") or ""
                if part.get("functionCall", {}).get("name"):
                    call = part["functionCall"]
                    # arguments in pieces are put together in many ways: any will do
                    told = "in pieces" if call.get("willContinue") else call.get("args") or {}
                    gist.calls.append((call["name"], told))
            if candidate.get("finishReason"):
                gist.stop = stop_of(candidate["finishReason"])
    if usage:
        count = lambda name: usage.get(name) or 0
        prompt = count("promptTokenCount") + count("toolUsePromptTokenCount")
        generated = count("candidatesTokenCount") + count("thoughtsTokenCount")
        gist.usage = (prompt, count("cachedContentTokenCount"), generated) if prompt + generated else None
    return gist


# --- Bedrock and Cohere


def converse_usage(usage):
    read, written = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
    return usage["inputTokens"] + read + written, read, usage["outputTokens"]


def converse(body, _replay):
    blocks = body["output"]["message"]["content"]
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    return Gist(
        text="".join(block.get("text", "") for block in blocks),
        calls=[(use["name"], use["input"]) for use in uses],
        stop=stop_of(body["stopReason"]),
        usage=converse_usage(body["usage"]),
    )


def converse_stream(messages):
    gist, calls = Gist(), {}
    for message in messages:
        headers, payload = message["headers"], message["payload"]
        kind = headers.get(":event-type")
        if kind == "contentBlockStart" and "toolUse" in payload.get("start", {}):
            calls[payload["contentBlockIndex"]] = [payload["start"]["toolUse"]["name"], ""]
        elif kind == "contentBlockDelta":
            gist.text += payload["delta"].get("text") or ""
            if "toolUse" in payload["delta"]:
                calls[payload["contentBlockIndex"]][1] += payload["delta"]["toolUse"]["input"]
        elif kind == "messageStop":
            gist.stop = stop_of(payload["stopReason"])
        elif kind == "metadata":
            gist.usage = converse_usage(payload["usage"])
    gist.calls = [(name, arguments_of(text)) for name, text in calls.values()]
    return gist


def cohere_usage(usage):
    if not usage:
        return None
    billed = usage.get("billed_units") or usage.get("tokens")
    return int(billed["input_tokens"]), 0, int(billed["output_tokens"])


def cohere(body, _replay):
    message = body["message"]
    texts = [part for part in message.get("content") or [] if part["type"] == "text"]
    functions = [call["function"] for call in message.get("tool_calls") or []]
    return Gist(
        text="".join(part["text"] for part in texts),
        calls=[(one["name"], arguments_of(one["arguments"])) for one in functions],
        stop=stop_of(body["finish_reason"]),
        usage=cohere_usage(body.get("usage")),
    )


def cohere_stream(events, _replay):
    gist, calls = Gist(), {}
    for event in events:
        message = (event.get("delta") or {}).get("message") or {}
        if event["type"] == "content-delta":
            gist.text += message["content"].get("text") or ""
        elif event["type"] == "tool-call-start":
            function = message["tool_calls"]["function"]
            calls[event["index"]] = [function["name"], function.get("arguments") or ""]
        elif event["type"] == "tool-call-delta":
            calls[event["index"]][1] += message["tool_calls"]["function"]["arguments"]
        elif event["type"] == "message-end":
            gist.stop = stop_of(event["delta"]["finish_reason"])
            gist.usage = cohere_usage(event["delta"].get("usage"))
    gist.calls = [(name, arguments_of(text)) for name, text in calls.values()]
    return gist


READ = {
    "chat": chat,
    "responses": responses,
    "messages": messages,
    "generateContent": lambda body, _: gemini_gather([body]),
    "streamGenerateContent": lambda body, _: gemini_gather(body if isinstance(body, list) else [body]),
    "converse": converse,
    "native_chat": cohere,
}
READ_STREAM = {
    "chat": chat_stream,
    "responses": responses_stream,
    "messages": messages_stream,
    "streamGenerateContent": lambda events, _: gemini_gather(events),
    "native_chat": cohere_stream,
}
