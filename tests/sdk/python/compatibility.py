"""Writes docs/compatibility.md from what the suites found, or says where it is no longer true.

    compatibility.py RESULTS DOCUMENT [--check]

RESULTS is the folder that TOLLGATE_RESULTS named while they ran.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

UPSTREAMS = {
    "chat": "OpenAI chat",
    "responses": "OpenAI responses",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
}
PROTOCOLS = dict(UPSTREAMS, messages="Anthropic")
FEATURES = {
    "text": "text, stop reason, token counts with cached tokens",
    "system prompt": "system prompt",
    "tool loop": "parallel calls of tools and their results",
    "tool loop with thoughts": "the same with thinking: signatures, encrypted reasoning and thought "
    "signatures come back to the provider byte for byte, over several turns",
    "structured output": "answers by a JSON schema",
    "image": "images in base64",
    "token limit": "an answer that ends for want of tokens",
    "refusal of the provider": "errors of the provider with their status and message",
    "failure midway": "errors amid a stream, and connections that break",
    "no such key": "keys that the gateway refuses",
    "earlier responses": "`previous_response_id`, with reading and deleting what is kept (OpenAI responses)",
    "count of tokens": "count_tokens (Anthropic, Gemini)",
}
NOTES = [
    "- Gemini breaks a stream off with an object that is no event. It passes as it is, and `@ai-sdk/google` does",
    "  not look for it: the stream just ends. Errors of other providers reach it.",
    "- `langchain-google-genai` asks for a temperature of 0.7 unless told, which Claude refuses while it thinks; it is",
    "  tried with 1.",
    "- Codex offers a web search with every call. Before the provider that speaks chat alone it is tried with",
    '  `web_search = "disabled"`.',
    "- Recordings of streams that were broken on purpose may end in an error. Clients of the recorded protocol get the",
    "  recorded bytes, whatever their SDK makes of them.",
]
APIS = {
    "chat": "OpenAI chat, and all that speak it",
    "responses": "OpenAI responses",
    "messages": "Anthropic",
    "generateContent": "Gemini",
    "streamGenerateContent": "Gemini, streamed",
    "converse": "Bedrock Converse",
    "converse-stream": "Bedrock Converse, streamed",
    "native_chat": "Cohere v2",
}


def main(results, document, check):
    found = [
        json.loads(line)
        for file in sorted(Path(results).glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    replays = [row for file in Path(results).glob("replay-*.json") for row in json.loads(file.read_text())]
    document = Path(document)
    before = document.read_text() if document.exists() else ""
    text = "\n".join([*head(), *clients(found), *features(), *agents(found)]) + "\n"
    # without the recordings their part stays as it is
    text += "\n".join(recorded(replays)) + "\n" if replays else before[before.find(RECORDED) :]
    if not check:
        document.write_text(text)
    elif before != text:
        sys.exit(f"{document} is not what the suites found; write it with `cargo xtask compatibility`")


def head():
    yield "# Compatibility"
    yield ""
    yield "Written by `cargo xtask compatibility` from the results of the tests in `tests/sdk`; `cargo ci`"
    yield "compares it. Every client stands before the gateway as its documentation shows it, and a scripted"
    yield "model behind it, which speaks one protocol and refuses whatever its provider would refuse."
    yield ""


def clients(found):
    yield "## Clients"
    yield ""
    yield "Columns are what the provider speaks. “all” is every feature below that the client has, streamed and not."
    yield ""
    yield table_row(["client", "speaks", *UPSTREAMS.values()])
    yield table_row(["---"] * 6)
    cells = defaultdict(lambda: defaultdict(set))
    for row in found:
        if row["feature"] != "task":
            cell = cells[row["client"], row["protocol"]][row["upstream"]]
            if not row["passed"]:
                cell.add(row["feature"])
    for (client, protocol), row in sorted(cells.items()):
        shown = [PROTOCOLS[protocol]]
        for upstream in UPSTREAMS:
            lacking = sorted(row[upstream])
            shown.append("all but " + ", ".join(lacking) if lacking else "all" if upstream in row else "")
        yield table_row([client, *shown])
    yield ""


def features():
    yield "What is tried:"
    yield ""
    for name, what in FEATURES.items():
        yield f"- {name}: {what}"
    yield ""
    yield "What has to be known:"
    yield ""
    yield from NOTES
    yield ""


def agents(found):
    yield "## Coding agents"
    yield ""
    yield "Each writes a file with its own tools, looks at it, and says what it holds."
    yield ""
    yield table_row(["agent", "speaks", *UPSTREAMS.values()])
    yield table_row(["---"] * 6)
    cells = defaultdict(dict)
    for row in found:
        if row["feature"] == "task":
            cells[row["client"], row["protocol"]][row["upstream"]] = row["passed"]
    for (agent, protocol), row in sorted(cells.items()):
        done = ["done" if row.get(upstream) else "not done" for upstream in UPSTREAMS]
        yield table_row([agent, PROTOCOLS[protocol], *done])
    yield ""


RECORDED = "## Recorded answers\n"


def recorded(replays):
    yield RECORDED
    yield "Answers that were recorded at real providers, asked for in each protocol: how many the official SDK"
    yield "of that protocol reads with the recorded text, calls of tools, stop reason and token counts."
    yield ""
    names = ["chat", "responses", "messages", "gemini"]
    yield table_row(["the provider speaks", "recordings", *(PROTOCOLS[name] for name in names)])
    yield table_row(["---"] * 6)
    for api, title in APIS.items():
        rows = [row for row in replays if row["api"] == api]
        counts = []
        for name in names:
            mine = [row for row in rows if row["client"] == name]
            passed = sum(row["problem"] is None for row in mine)
            counts.append("all" if passed == len(mine) else f"{passed} of {len(mine)}")
        if rows:
            yield table_row([title, len({row["case"] for row in rows}), *counts])


def table_row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--check" in sys.argv)
