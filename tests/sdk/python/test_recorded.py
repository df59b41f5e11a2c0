"""Recorded exchanges, asked for through the SDK: the application sees what was recorded.

The repository's own cases are always among them; recordings of providers where they are present.
"""

import openai
import pytest

from conftest import EXCHANGES

NAMES = [exchange["model"] for exchange in EXCHANGES]


def call(client, exchange):
    request = dict(exchange["request"], model=exchange["model"])
    if exchange["api"] == "chat":
        endpoint, named = client.chat.completions, ["model", "messages", "stream"]
    elif exchange["api"] == "completions":
        endpoint, named = client.completions, ["model", "prompt", "stream"]
    else:
        request.setdefault("encoding_format", "float")
        endpoint, named = client.embeddings, ["model", "input", "encoding_format"]
    known = {name: request.pop(name) for name in named if name in request}
    known.setdefault(named[1], None)
    return endpoint.create(**known, extra_body=request)


def without_model(document):
    return {name: value for name, value in document.items() if name != "model"}


@pytest.mark.parametrize("exchange", EXCHANGES, ids=NAMES)
def test_exchange(client, exchange):
    if exchange["status"] >= 400 or exchange.get("end") == "error-event":
        with pytest.raises(openai.APIError) as caught:
            list(call(client, exchange))
        if exchange["status"] >= 400:
            assert caught.value.status_code == exchange["status"]
    elif "chunks" in exchange:
        seen = [without_model(chunk.to_dict()) for chunk in call(client, exchange)]
        assert seen == [without_model(chunk) for chunk in exchange["chunks"]]
    else:
        assert without_model(call(client, exchange).to_dict()) == without_model(exchange["whole"])
