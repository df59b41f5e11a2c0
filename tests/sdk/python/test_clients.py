"""Official clients, as people use them, in front of each protocol that a provider may speak.

Behind the gateway is the scripted model of `crates/testkit/src/model`: it does what the prompt says, and
refuses a conversation in which a thought, signature or encrypted item is not what it gave out.
"""

import json
import urllib.parse
import urllib.request
import uuid

import pytest

from clients import CLIENTS, PNG, WEATHER, Anthropic, Ask, GoogleGenai, OpenAIChat, OpenAIResponses
from conftest import SCENE, new_key

UPSTREAMS = ["chat", "responses", "anthropic", "gemini"]
GREETING = "Hello, wörld. 😀"


def describe(request):
    """What a test is about, for the table of compatibility."""
    asked = request.node.callspec.params
    if "upstream" not in asked:
        return {}
    kind = asked.get("client") or asked.get("kind") or request.node.get_closest_marker("of").kwargs["kind"]
    feature = request.function.__name__.removeprefix("test_").replace("_", " ")
    same = {
        "connection that breaks": "failure midway",
        "count of tokens by gemini": "count of tokens",
    }
    feature = same.get(feature, feature)
    return {
        "client": f"{kind.name} (Python)",
        "protocol": kind.protocol,
        "upstream": asked["upstream"],
        "feature": feature,
    }


@pytest.fixture(scope="session")
def made():
    key = new_key()
    return {kind: kind(key) for kind in CLIENTS}


@pytest.fixture(params=CLIENTS, ids=lambda kind: f"{kind.name}-{kind.protocol}")
def client(request, made):
    return made[request.param]


@pytest.fixture(params=UPSTREAMS)
def upstream(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request):
    return request.param


def model(upstream):
    return f"scripted-{upstream}"


def received(marker):
    """What came to the provider with this text in it."""
    where = f"{SCENE['upstream']}/received?containing={urllib.parse.quote(marker)}"
    with urllib.request.urlopen(where) as response:
        return json.load(response)


def test_text(client, upstream, stream):
    answer = client.turn(model(upstream), client.begin("Hello?"), Ask(stream=stream))
    assert answer.text == GREETING
    assert answer.stop in ("end", None)
    assert answer.calls == []
    # Anthropic alone tells what was written to its cache
    prompt = 100 if upstream == "anthropic" else 90
    assert answer.usage == (prompt, 40, 30)


def test_system_prompt(client, upstream, stream):
    conversation = client.begin("Hello?", system="Answer in capitals.")
    assert client.turn(model(upstream), conversation, Ask(stream=stream)).text == GREETING.upper()


def test_tool_loop(client, upstream, stream):
    marker = uuid.uuid4().hex
    ask = Ask(stream=stream, tools=True)
    conversation = client.begin(f"What is the weather in Basel and Zürich? {marker}")
    answer = client.turn(model(upstream), conversation, ask)
    assert [(name, arguments) for _, name, arguments in answer.calls] == [
        ("get_weather", {"city": "Basel"}),
        ("get_weather", {"city": "Zürich"}),
    ]
    assert answer.text == "Let me look."
    assert answer.stop in ("tools", None)
    conversation = client.feed(conversation, answer, ["rain", "“snow”\n❄"])
    answer = client.turn(model(upstream), conversation, ask)
    assert answer.text == "The tool says: rain; “snow”\n❄"
    assert answer.calls == []
    assert len(received(marker)) == 2


def test_tool_loop_with_thoughts(client, upstream, stream):
    """Three turns; the provider checks what it sealed in every one."""
    ask = Ask(stream=stream, tools=True, thinks=True)
    conversation = client.begin("What is the weather in Basel and Oslo?")
    answer = client.turn(model(upstream), conversation, ask)
    assert len(answer.calls) == 2, answer
    if answer.thought is not None:
        # blanks at its end do not count: Gemini's clients get one with another provider's signature
        assert answer.thought.rstrip() == "Thought 0: “weather” – 天気 😀"
    conversation = client.feed(conversation, answer, ["rain", "sun"])
    answer = client.turn(model(upstream), conversation, ask)
    assert answer.text == "The tool says: rain; sun"
    conversation = [*client.feed(conversation, answer, []), *client.begin("And the weather in Rome?")]
    answer = client.turn(model(upstream), conversation, ask)
    assert [arguments for _, _, arguments in answer.calls] == [{"city": "Rome"}]
    conversation = client.feed(conversation, answer, ["hail"])
    assert client.turn(model(upstream), conversation, ask).text == "The tool says: hail"


def test_structured_output(client, upstream, stream):
    answer = client.turn(model(upstream), client.begin("Give me the facts."), Ask(stream=stream, schema=True))
    assert json.loads(answer.text) == {"city": "Zürich", "celsius": 21}


def test_image(client, upstream, stream):
    conversation = client.begin("What do you see?", image=True)
    answer = client.turn(model(upstream), conversation, Ask(stream=stream))
    assert answer.text == f"I see image/png of {len(PNG)} bytes."


def test_token_limit(client, upstream, stream):
    conversation = client.begin("Please be cut short.")
    answer = client.turn(model(upstream), conversation, Ask(stream=stream, max_tokens=64))
    assert answer.text == "Hello"
    assert answer.stop in ("length", None)


@pytest.mark.parametrize("status, streamed", [(400, False), (404, True), (429, False), (500, True)])
def test_refusal_of_the_provider(client, upstream, status, streamed):
    with pytest.raises(client.error) as refused:
        client.turn(model(upstream), client.begin(f"fail with {status}"), Ask(stream=streamed))
    assert status_of(refused.value) == status
    assert f"the model says {status}" in str(refused.value)


def test_failure_midway(client, upstream):
    with pytest.raises(client.error):
        client.turn(model(upstream), client.begin("fail midway"), Ask(stream=True))


def test_connection_that_breaks(client, upstream):
    with pytest.raises(Exception):
        client.turn(model(upstream), client.begin("break off"), Ask(stream=True))


@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: f"{kind.name}-{kind.protocol}")
def test_no_such_key(kind, upstream):
    client = kind("sk-there-is-no-such-key-here")
    with pytest.raises(client.error) as refused:
        client.turn(model(upstream), client.begin("Hello?"), Ask())
    assert status_of(refused.value) == 401


@pytest.mark.of(kind=OpenAIResponses)
def test_earlier_responses(made, upstream, stream):
    """`previous_response_id`: kept by the gateway where the provider has no such thing."""
    responses = made[OpenAIResponses].client.responses
    tool = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}
    settings = {"model": model(upstream), "tools": [tool], "reasoning": {"effort": "low"}}

    def ask(**more):
        if not stream:
            return responses.create(**settings, **more)
        with responses.stream(**settings, **more) as events:
            return events.until_done().get_final_response()

    first = ask(input="What is the weather in Basel?")
    [call] = [item for item in first.output if item.type == "function_call"]
    told = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    second = ask(input=[told], previous_response_id=first.id)
    assert second.output_text == "The tool says: rain"
    assert second.previous_response_id == first.id
    third = ask(input="And the weather in Rome?", previous_response_id=second.id)
    assert [item.name for item in third.output if item.type == "function_call"] == ["get_weather"]
    if upstream != "responses":
        assert responses.retrieve(first.id).output_text == "Let me look."
        assert [item.type for item in responses.input_items.list(second.id)][0] == "function_call_output"
        responses.delete(first.id)
        with pytest.raises(made[OpenAIResponses].error) as refused:
            responses.retrieve(first.id)
        assert status_of(refused.value) == 404


@pytest.mark.of(kind=Anthropic)
def test_count_of_tokens(made, upstream):
    sdk = made[Anthropic].client
    messages = [{"role": "user", "content": "Hello?"}]
    counted = sdk.messages.count_tokens(model=model(upstream), messages=messages).input_tokens
    assert counted == 42 if upstream == "anthropic" else counted > 0


@pytest.mark.of(kind=GoogleGenai)
def test_count_of_tokens_by_gemini(made, upstream):
    counted = made[GoogleGenai].client.models.count_tokens(model=model(upstream), contents="Hello?")
    assert counted.total_tokens == 42 if upstream == "gemini" else counted.total_tokens > 0


@pytest.mark.parametrize("kind", [OpenAIChat, Anthropic, GoogleGenai])
def test_models_are_listed(made, kind):
    listed = made[kind].client.models.list()
    names = {getattr(one, "id", None) or one.name.removeprefix("models/") for one in listed}
    assert {model(upstream) for upstream in UPSTREAMS} <= names


def status_of(error):
    """The status, wherever an SDK or its wrapper keeps it."""
    while error:
        for name in ("status_code", "code"):
            value = getattr(error, name, None)
            if isinstance(value, int):
                return value
        error = error.__cause__
    return None
