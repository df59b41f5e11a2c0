"""Every refusal reaches the application as the SDK's own exception class."""

import time

import openai
import pytest

from conftest import client_with, manage, new_key

QUESTION = [{"role": "user", "content": "Hello?"}]


def ask(client, model="talk"):
    return client.chat.completions.create(model=model, messages=QUESTION)


def refused(kind, client, model="talk"):
    with pytest.raises(kind) as caught:
        ask(client, model)
    assert type(caught.value) is kind
    return caught.value


def test_no_such_key():
    error = refused(openai.AuthenticationError, client_with("sk-there-is-no-such-key-here"))
    assert (error.status_code, error.type) == (401, "token_not_found_in_db")


def test_no_virtual_key_at_all():
    assert refused(openai.AuthenticationError, client_with("nonsense")).status_code == 401
    with pytest.raises(openai.AuthenticationError):
        client_with("sk-there-is-no-such-key-here").models.list()


def test_blocked_key():
    key = new_key()
    assert ask(client_with(key)).choices
    manage("/key/block", {"key": key})
    assert "blocked" in refused(openai.AuthenticationError, client_with(key)).message


def test_deleted_key():
    key = new_key()
    manage("/key/delete", {"keys": [key]})
    assert refused(openai.AuthenticationError, client_with(key)).status_code == 401


def test_model_that_the_key_may_not_use():
    error = refused(openai.PermissionDeniedError, client_with(new_key(models=["embed"])))
    assert (error.type, error.param) == ("key_model_access_denied", "model")


def test_route_that_the_key_may_not_use():
    refused(openai.PermissionDeniedError, client_with(new_key(key_type="read_only")))


def test_unknown_model(client):
    error = refused(openai.BadRequestError, client, "no-such-model")
    assert error.type == "invalid_request_error"


def test_missing_messages(client):
    with pytest.raises(openai.BadRequestError):
        client.post("/chat/completions", body={"model": "talk"}, cast_to=object)


def test_model_that_is_not_found(client):
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_path_that_is_not_found(client):
    with pytest.raises(openai.NotFoundError):
        client.post("/no/such/path", body={}, cast_to=object)


def test_exhausted_budget():
    # one answer costs more than this budget; spend is counted behind the answer, so soon after
    client = client_with(new_key(max_budget=0.000001))
    deadline = time.monotonic() + 20
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        while time.monotonic() < deadline:
            ask(client)
    assert caught.value.type == "budget_exceeded"
    assert "Budget has been exceeded!" in caught.value.message


def test_budget_of_nothing():
    error = refused(openai.UnprocessableEntityError, client_with(new_key(max_budget=0)))
    assert error.type == "budget_exceeded"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_refusals_of_the_provider_keep_status_and_message(client, status, kind):
    error = refused(kind, client, f"refuses/{status}")
    assert error.status_code == status
    assert f"the provider says {status}" in error.message


def test_provider_that_cannot_be_reached(client):
    assert refused(openai.InternalServerError, client, "unreachable").status_code >= 500


def test_no_secret_is_in_an_error(client):
    for model in ["refuses/401", "refuses/500", "unreachable"]:
        with pytest.raises(openai.APIStatusError) as caught:
            ask(client, model)
        assert "scene-secret" not in caught.value.response.text
