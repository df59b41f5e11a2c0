"""What the tests share: where the gateway is, its management API, and keys to call it with.

TOLLGATE_URL and TOLLGATE_MASTER_KEY name a running gateway, TOLLGATE_SCENE the file that
`scene` (crates/testkit) wrote about the provider behind it. `cargo xtask sdk` starts all of it.
"""

import json
import os
import urllib.error
import urllib.request

import openai
import pytest

URL = os.environ["TOLLGATE_URL"]
MASTER_KEY = os.environ["TOLLGATE_MASTER_KEY"]

with open(os.environ["TOLLGATE_SCENE"], encoding="utf-8") as file:
    SCENE = json.load(file)
EXCHANGES = SCENE["exchanges"]


def manage(path, body):
    """Calls the management API as the administrator; gives the answer."""
    request = urllib.request.Request(
        URL + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {MASTER_KEY}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        pytest.fail(f"{path} answered {error.code}: {error.read().decode()}")


def new_key(**settings):
    return manage("/key/generate", settings)["key"]


def client_with(key):
    # retries of the SDK would hide errors and count calls twice
    return openai.OpenAI(base_url=URL + "/v1", api_key=key, max_retries=0, timeout=20)


@pytest.fixture(scope="session")
def client():
    """A client with the key of a user who may use everything."""
    user = manage("/user/new", {})["user_id"]
    with client_with(new_key(user_id=user)) as client:
        yield client


@pytest.fixture(scope="session")
def key():
    return new_key()


def pytest_runtest_logreport(report):
    """Keeps what the tests of clients found, for the table of compatibility."""
    results = os.environ.get("TOLLGATE_RESULTS")
    found = dict(report.user_properties)
    if results and "feature" in found and (report.when == "call" or report.failed):
        found["passed"] = report.passed
        with open(os.path.join(results, "python.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps(found, ensure_ascii=False) + "\n")


@pytest.fixture(autouse=True)
def described(request, record_property):
    """Says which client, protocol and feature a test is about, where it is about one."""
    module = request.module
    if hasattr(module, "describe"):
        for name, value in module.describe(request).items():
            record_property(name, value)
