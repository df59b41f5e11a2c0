"""LiteLLM's own client for its management API (`litellm.proxy.client`), as its README uses it."""

import uuid

import pytest
import requests
from litellm.proxy.client import (
    Client,
    HealthManagementClient,
    UnauthorizedError,
    UsersManagementClient,
)
from litellm.proxy.client.exceptions import NotFoundError

from conftest import MASTER_KEY, URL

QUESTION = [{"role": "user", "content": "Hello?"}]


def name(of):
    return f"{of}-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def admin():
    return Client(base_url=URL, api_key=MASTER_KEY)


@pytest.fixture(scope="module")
def user(admin):
    made = admin.http.request(
        "POST", "/user/new", json={"user_role": "internal_user", "auto_create_key": False}
    )
    return made["user_id"]


def test_keys_are_made_listed_changed_and_deleted(admin, user):
    alias = name("alias")
    made = admin.keys.generate(
        models=["talk"],
        aliases={"nickname": "talk"},
        spend=0,
        duration="1h",
        key_alias=alias,
        user_id=user,
    )
    key = made["key"]
    assert key.startswith("sk-")
    info = admin.keys.info(key=key)["info"]
    assert (info["key_alias"], info["models"], info["user_id"]) == (alias, ["talk"], user)
    listed = admin.keys.list(page=1, size=5, user_id=user, return_full_object=True)
    assert [found["key_alias"] for found in listed["keys"]] == [alias]
    assert admin.keys.list(key_alias=alias)["total_count"] == 1
    changed = name("changed")
    admin.keys.update(key=key, key_alias=changed, models=["talk", "embed"], duration="2h")
    info = admin.keys.info(key=key)["info"]
    assert (info["key_alias"], info["models"]) == (changed, ["talk", "embed"])
    assert admin.keys.delete(keys=[key])["deleted_keys"] == [key]
    assert admin.keys.info(key=key)["info"]["status"] == "deleted"
    with pytest.raises(requests.exceptions.HTTPError) as caught:
        admin.keys.delete(keys=[key])
    assert caught.value.response.status_code == 404


def test_keys_are_deleted_by_their_aliases(admin):
    alias = name("alias")
    admin.keys.generate(key_alias=alias)
    admin.keys.delete(key_aliases=[alias])
    assert admin.keys.list(key_alias=alias)["total_count"] == 0


def test_users_are_made_found_and_deleted():
    email = f"{name('ada')}@example.com"
    users = UsersManagementClient(base_url=URL, api_key=MASTER_KEY)
    made = users.create_user({"user_email": email, "user_role": "internal_user"})
    user_id = made["user_id"]
    assert users.get_user(user_id)["user_info"]["user_email"] == email
    assert users.get_user_v2(user_id)["user_email"] == email
    listed = users.list_users({"user_email": email})
    assert [found["user_id"] for found in listed] == [user_id]
    own = UsersManagementClient(base_url=URL, api_key=made["key"])
    assert own.get_user()["user_id"] == user_id
    users.delete_user([user_id])
    with pytest.raises(NotFoundError):
        users.get_user(user_id)


def test_teams_are_listed(admin, user):
    alias = name("team")
    body = {"team_alias": alias, "members_with_roles": [{"role": "user", "user_id": user}]}
    team_id = admin.http.request("POST", "/team/new", json=body)["team_id"]
    assert team_id in [team["team_id"] for team in admin.teams.list()]
    assert [team["team_id"] for team in admin.teams.list(user_id=user)] == [team_id]
    page = admin.teams.list_v2(team_alias=alias, page=1, page_size=5, sort_by="team_alias")
    assert [team["team_alias"] for team in page["teams"]] == [alias]
    assert isinstance(admin.teams.get_available(), list)


def test_models_are_made_changed_and_deleted(admin):
    model, model_id = name("model"), name("id")
    settings = {"model": "openai/gpt-4o", "api_key": "sk-of-nobody", "api_base": URL + "/nowhere"}
    admin.models.new(model_name=model, model_params=settings, model_info={"id": model_id})
    assert model in [found["id"] for found in admin.models.list()]
    found = admin.models.get(model_id=model_id)
    assert (found["model_name"], found["model_info"]["id"]) == (model, model_id)
    assert "sk-of-nobody" not in str(found)
    assert admin.models.get(model_name=model)["model_info"]["id"] == model_id
    admin.models.update(
        model_id=model_id, model_params={"rpm": 7}, model_info={"id": model_id}
    )
    assert admin.models.get(model_id=model_id)["litellm_params"]["rpm"] == 7
    groups = [group["model_group"] for group in admin.model_groups.info()]
    assert model in groups
    admin.models.delete(model_id=model_id)
    with pytest.raises(NotFoundError):
        admin.models.get(model_id=model_id)


def test_chat_answers_whole_and_piece_by_piece(admin):
    key = admin.keys.generate(models=["talk"])["key"]
    own = Client(base_url=URL, api_key=key)
    whole = own.chat.completions(model="talk", messages=QUESTION, temperature=0.5, max_tokens=50)
    said = whole["choices"][0]["message"]["content"]
    assert said
    pieces = own.chat.completions_stream(model="talk", messages=QUESTION)
    deltas = [choice["delta"] for piece in pieces for choice in piece["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas)


def test_a_wrong_key_is_its_unauthorized_error():
    nobody = Client(base_url=URL, api_key="sk-there-is-no-such-key-here")
    for call in [nobody.models.list, nobody.keys.list, nobody.model_groups.info]:
        with pytest.raises(UnauthorizedError):
            call()


def test_health_is_told():
    health = HealthManagementClient(base_url=URL, api_key=MASTER_KEY)
    assert health.get_readiness()["status"] == "healthy"
