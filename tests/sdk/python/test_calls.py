"""What an application does with the official Python SDK."""

import asyncio
import json

import openai

from conftest import URL

QUESTION = [{"role": "user", "content": "Hello?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


def test_models_are_listed_and_found(client):
    names = [model.id for model in client.models.list()]
    assert {"talk", "embed", "instruct"} <= set(names)
    one = client.models.retrieve("talk")
    assert (one.id, one.object) == ("talk", "model")


def test_chat(client):
    answer = client.chat.completions.create(model="talk", messages=QUESTION)
    assert answer.model == "talk"
    assert answer.choices[0].message.content == "Hello, world."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chat_tells_call_id_and_cost(client):
    raw = client.chat.completions.with_raw_response.create(model="talk", messages=QUESTION)
    usage = raw.parse().usage
    assert raw.headers["x-litellm-call-id"]
    cost = float(raw.headers["x-litellm-response-cost"])
    # the scene's prices: 10 and 20 dollars a million tokens
    assert abs(cost - (usage.prompt_tokens * 10e-6 + usage.completion_tokens * 20e-6)) < 1e-9


def test_streaming_chat_without_usage(client):
    chunks = list(client.chat.completions.create(model="talk", messages=QUESTION, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "Hello, world."
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.model == "talk" for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks), "usage was not asked for"


def test_streaming_chat_with_usage(client):
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        model="talk", messages=QUESTION, stream=True, stream_options=options
    )
    *chunks, last = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello, world."
    assert last.choices == []
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens > 0


def test_streaming_with_the_asynchronous_client(key):
    async def text():
        client = openai.AsyncOpenAI(base_url=URL + "/v1", api_key=key, max_retries=0, timeout=20)
        async with client:
            stream = await client.chat.completions.create(
                model="talk", messages=QUESTION, stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(text()) == "Hello, world."


def test_a_stream_may_be_left_early(client):
    with client.chat.completions.create(model="talk", messages=QUESTION, stream=True) as stream:
        next(iter(stream))
    assert client.chat.completions.create(model="talk", messages=QUESTION).choices


def test_tool_loop(client):
    messages = [{"role": "user", "content": "Weather in Basel?"}]
    first = client.chat.completions.create(model="talk", messages=messages, tools=TOOLS)
    assert first.choices[0].finish_reason == "tool_calls"
    [call] = first.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Basel"}
    messages.append(first.choices[0].message)
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "rain"})
    second = client.chat.completions.create(model="talk", messages=messages, tools=TOOLS)
    assert second.choices[0].message.content == "The tool says: rain"


def test_streamed_tool_call(client):
    messages = [{"role": "user", "content": "Weather in Basel?"}]
    with client.chat.completions.stream(model="talk", messages=messages, tools=TOOLS) as stream:
        answer = stream.get_final_completion()
    [call] = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Basel"}


def test_embeddings(client):
    answer = client.embeddings.create(model="embed", input=["one", "two"], encoding_format="float")
    assert [item.index for item in answer.data] == [0, 1]
    assert all(isinstance(number, float) for item in answer.data for number in item.embedding)
    assert answer.usage.prompt_tokens > 0


def test_embeddings_as_the_sdk_asks_by_default(client):
    plain = client.embeddings.create(model="embed", input="one", encoding_format="float")
    # without a format the SDK asks for base64 and decodes it
    packed = client.embeddings.create(model="embed", input="one")
    assert len(packed.data[0].embedding) == len(plain.data[0].embedding) > 0


def test_legacy_completions(client):
    answer = client.completions.create(model="instruct", prompt="Hello?")
    assert (answer.object, answer.model) == ("text_completion", "instruct")
    assert answer.choices[0].text == "Hello, world."
    stream = client.completions.create(model="instruct", prompt="Hello?", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "Hello, world."
