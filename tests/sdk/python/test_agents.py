"""Coding agents doing a task: write a file with their tools, look at it, and say what it holds.

The model behind the gateway is scripted, in each protocol that a provider may speak; everything
between it and the file system is the agent's own. TOLLGATE_AGENTS names the folder of their programs.
"""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

import pytest

from conftest import SCENE, URL, new_key

PROGRAMS = Path(os.environ["TOLLGATE_AGENTS"])
UPSTREAMS = ["chat", "responses", "anthropic", "gemini"]
CONTENT = "Grüße from the agent: 1 < 2 & ‘ok’"


def describe(request):
    """What a test is about, for the table of compatibility."""
    is_claude = "claude" in request.function.__name__
    return {
        "client": "Claude Code" if is_claude else "Codex CLI",
        "protocol": "messages" if is_claude else "responses",
        "upstream": request.node.callspec.params["upstream"],
        "feature": "task",
    }


@pytest.fixture(scope="session")
def key():
    return new_key()


def run(command, home, work, **variables):
    """Runs an agent in a home of its own; gives what it prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "NO_PROXY": "127.0.0.1",
        "LANG": "C.UTF-8",
        **variables,
    }
    done = subprocess.run(
        command,
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def place(tmp_path):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    return home, work


def task(file):
    return f"Create the file {file} with the content: {CONTENT}"


def turns(file):
    """The conversation's calls that came to the provider."""
    where = f"{SCENE['upstream']}/received?containing={file.name}"
    with urllib.request.urlopen(where) as response:
        return json.load(response)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_claude_code(place, key, upstream):
    home, work = place
    file = work / f"claude-code-{upstream}.txt"
    model = f"scripted-{upstream}"
    said = run(
        [PROGRAMS / "claude", "-p", task(file), "--dangerously-skip-permissions"],
        home,
        work,
        IS_SANDBOX="1",
        ANTHROPIC_BASE_URL=URL,
        ANTHROPIC_API_KEY=key,
        ANTHROPIC_MODEL=model,
        ANTHROPIC_DEFAULT_HAIKU_MODEL=model,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        CLAUDE_CODE_MAX_RETRIES="0",
        DISABLE_AUTOUPDATER="1",
        DISABLE_ERROR_REPORTING="1",
        DISABLE_TELEMETRY="1",
    )
    assert file.read_text().strip() == CONTENT
    assert "The file holds:" in said and CONTENT in said
    assert len(turns(file)) >= 3


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_codex(place, key, upstream):
    home, work = place
    file = work / f"codex-{upstream}.txt"
    folder = home / ".codex"
    folder.mkdir()
    # a provider of chats alone has no search for the agent to offer
    search = 'web_search = "disabled"' if upstream == "chat" else ""
    (folder / "config.toml").write_text(
        f"""
{search}
model = "scripted-{upstream}"
model_provider = "tollgate"
model_reasoning_effort = "low"
model_reasoning_summary = "auto"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.tollgate]
name = "Tollgate"
base_url = "{URL}/v1"
wire_api = "responses"
env_key = "TOLLGATE_KEY"
request_max_retries = 0
stream_max_retries = 0
"""
    )
    said = run(
        [
            PROGRAMS / "codex",
            "exec",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
            task(file),
        ],
        home,
        work,
        TOLLGATE_KEY=key,
    )
    assert file.read_text().strip() == CONTENT
    assert "The file holds:" in said and CONTENT in said
    assert len(turns(file)) >= 3
