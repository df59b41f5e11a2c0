"""The clients that people use, each behind the same few functions, so that one test fits all.

A client has a conversation (`begin`), sends it (`turn`), and answers the calls of tools (`feed`), by
the means of its own SDK: what the SDK keeps of an answer is what goes back.
"""

import base64
import json
import os
from dataclasses import dataclass, field

URL = os.environ["TOLLGATE_URL"]

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FACTS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
    "required": ["city", "celsius"],
    "additionalProperties": False,
}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
DATA_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()


@dataclass
class Ask:
    """What is asked beside the conversation."""

    stream: bool = False
    tools: bool = False
    thinks: bool = False
    schema: bool = False
    max_tokens: int | None = None


@dataclass
class Answer:
    text: str = ""
    # what the SDK shows of the thoughts; None where it shows none in any case
    thought: str | None = None
    calls: list = field(default_factory=list)  # (id, name, arguments)
    stop: str | None = None  # "end", "tools" or "length"
    # all of the prompt, what of it was cached, what was generated
    usage: tuple | None = None
    # the SDK's own, as it goes back
    kept: object = None


STOPS = {
    "stop": "end",
    "tool_calls": "tools",
    "length": "length",
    "end_turn": "end",
    "tool_use": "tools",
    "max_tokens": "length",
    "STOP": "end",
    "MAX_TOKENS": "length",
    "completed": "end",
    "incomplete": "length",
}


class OpenAIChat:
    name = "openai"
    protocol = "chat"

    def __init__(self, key):
        import openai

        self.client = openai.OpenAI(base_url=URL + "/v1", api_key=key, max_retries=0, timeout=30)
        self.error = openai.APIError
        self.cut_short = openai.LengthFinishReasonError

    def begin(self, prompt, system=None, image=False):
        content = prompt
        if image:
            content = [
                {"type": "text", "text": prompt},
                {"type": "image_url", "image_url": {"url": DATA_URL}},
            ]
        first = [{"role": "system", "content": system}] if system else []
        return [*first, {"role": "user", "content": content}]

    def settings(self, ask):
        settings = {}
        if ask.tools:
            function = {"name": "get_weather", "parameters": WEATHER}
            settings["tools"] = [{"type": "function", "function": function}]
        if ask.thinks:
            settings["reasoning_effort"] = "low"
        if ask.schema:
            wanted = {"name": "facts", "schema": FACTS, "strict": True}
            settings["response_format"] = {"type": "json_schema", "json_schema": wanted}
        if ask.max_tokens:
            settings["max_completion_tokens"] = ask.max_tokens
        return settings

    def turn(self, model, messages, ask):
        settings = dict(self.settings(ask), model=model, messages=messages)
        if ask.stream:
            # the SDK's helper joins the pieces
            options = {"include_usage": True}
            with self.client.chat.completions.stream(stream_options=options, **settings) as stream:
                thought = ""
                for event in stream:
                    if event.type == "chunk" and event.chunk.choices:
                        delta = event.chunk.choices[0].delta
                        thought += getattr(delta, "reasoning_content", None) or ""
                try:
                    whole = stream.get_final_completion()
                except self.cut_short as error:
                    whole = error.completion
        else:
            whole = self.client.chat.completions.create(**settings)
            thought = getattr(whole.choices[0].message, "reasoning_content", None) or ""
        [choice] = whole.choices
        usage = whole.usage
        cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
        calls = choice.message.tool_calls or []
        # as the documentation shows it: what an application keeps is this much
        kept = {"role": "assistant", "content": choice.message.content}
        if calls:
            kept["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in calls
            ]
        return Answer(
            text=choice.message.content or "",
            thought=thought,
            calls=[(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls],
            stop=STOPS[choice.finish_reason],
            usage=(usage.prompt_tokens, cached, usage.completion_tokens),
            kept=kept,
        )

    def feed(self, messages, answer, results):
        told = [
            {"role": "tool", "tool_call_id": id, "content": result}
            for (id, _, _), result in zip(answer.calls, results)
        ]
        return [*messages, answer.kept, *told]


class OpenAIResponses(OpenAIChat):
    name = "openai"
    protocol = "responses"

    def begin(self, prompt, system=None, image=False):
        content = prompt
        if image:
            content = [
                {"type": "input_text", "text": prompt},
                {"type": "input_image", "image_url": DATA_URL, "detail": "auto"},
            ]
        first = [{"role": "developer", "content": system}] if system else []
        return [*first, {"role": "user", "content": content}]

    def settings(self, ask):
        settings = {"store": False}
        if ask.tools:
            settings["tools"] = [
                {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}
            ]
        if ask.thinks:
            settings["reasoning"] = {"effort": "low", "summary": "auto"}
            settings["include"] = ["reasoning.encrypted_content"]
        if ask.schema:
            wanted = {"type": "json_schema", "name": "facts", "schema": FACTS, "strict": True}
            settings["text"] = {"format": wanted}
        if ask.max_tokens:
            settings["max_output_tokens"] = ask.max_tokens
        return settings

    def turn(self, model, items, ask):
        settings = dict(self.settings(ask), model=model, input=items)
        if ask.stream:
            for event in self.client.responses.create(stream=True, **settings):
                if event.type == "error":
                    raise self.error(event.message, request=None, body=None)
                whole = getattr(event, "response", None)
            if whole.status == "failed":
                raise self.error(whole.error.message, request=None, body=None)
        else:
            whole = self.client.responses.create(**settings)
        calls = [item for item in whole.output if item.type == "function_call"]
        summaries = [item.summary for item in whole.output if item.type == "reasoning"]
        usage = whole.usage
        return Answer(
            text=whole.output_text,
            thought="".join(part.text for summary in summaries for part in summary),
            calls=[(call.call_id, call.name, json.loads(call.arguments)) for call in calls],
            stop="tools" if calls else STOPS[whole.status],
            usage=(
                usage.input_tokens,
                usage.input_tokens_details.cached_tokens,
                usage.output_tokens,
            ),
            kept=[item.to_dict(mode="json", exclude_none=True) for item in whole.output],
        )

    def feed(self, items, answer, results):
        told = [
            {"type": "function_call_output", "call_id": id, "output": result}
            for (id, _, _), result in zip(answer.calls, results)
        ]
        # the SDK adds what it parsed of the arguments
        kept = [{k: v for k, v in item.items() if k != "parsed_arguments"} for item in answer.kept]
        return [*items, *kept, *told]


class Anthropic:
    name = "anthropic"
    protocol = "messages"

    def __init__(self, key):
        import anthropic

        self.client = anthropic.Anthropic(base_url=URL, api_key=key, max_retries=0, timeout=30)
        self.error = anthropic.APIError

    def begin(self, prompt, system=None, image=False):
        content = prompt
        if image:
            data = base64.b64encode(PNG).decode()
            source = {"type": "base64", "media_type": "image/png", "data": data}
            content = [{"type": "image", "source": source}, {"type": "text", "text": prompt}]
        self.system = system
        return [{"role": "user", "content": content}]

    def settings(self, ask):
        settings = {"max_tokens": ask.max_tokens or 4096}
        if self.system:
            settings["system"] = self.system
        if ask.tools:
            settings["tools"] = [{"name": "get_weather", "input_schema": WEATHER}]
        if ask.thinks:
            settings["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if ask.schema:
            settings["output_config"] = {"format": {"type": "json_schema", "schema": FACTS}}
        return settings

    def turn(self, model, messages, ask):
        settings = dict(self.settings(ask), model=model, messages=messages)
        if ask.stream:
            with self.client.messages.stream(**settings) as stream:
                whole = stream.get_final_message()
        else:
            whole = self.client.messages.create(**settings)
        usage = whole.usage
        cached = usage.cache_read_input_tokens or 0
        written = usage.cache_creation_input_tokens or 0
        blocks = whole.content
        return Answer(
            text="".join(block.text for block in blocks if block.type == "text"),
            thought="".join(block.thinking for block in blocks if block.type == "thinking"),
            calls=[(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"],
            stop=STOPS[whole.stop_reason],
            usage=(usage.input_tokens + cached + written, cached, usage.output_tokens),
            kept=[block.to_dict() for block in blocks],
        )

    def feed(self, messages, answer, results):
        told = [
            {"type": "tool_result", "tool_use_id": id, "content": result}
            for (id, _, _), result in zip(answer.calls, results)
        ]
        more = [{"role": "user", "content": told}] if told else []
        return [*messages, {"role": "assistant", "content": answer.kept}, *more]


class GoogleGenai:
    name = "google-genai"
    protocol = "gemini"

    def __init__(self, key):
        from google import genai
        from google.genai import errors, types

        self.types = types
        self.error = errors.APIError
        options = types.HttpOptions(base_url=URL, timeout=30_000)
        self.client = genai.Client(api_key=key, http_options=options)

    def begin(self, prompt, system=None, image=False):
        self.system = system
        parts = [self.types.Part.from_text(text=prompt)]
        if image:
            parts.append(self.types.Part.from_bytes(data=PNG, mime_type="image/png"))
        return [self.types.Content(role="user", parts=parts)]

    def settings(self, ask):
        settings = {"system_instruction": self.system, "max_output_tokens": ask.max_tokens}
        if ask.tools:
            declared = {"name": "get_weather", "parameters_json_schema": WEATHER}
            settings["tools"] = [{"function_declarations": [declared]}]
        if ask.thinks:
            settings["thinking_config"] = {"include_thoughts": True, "thinking_budget": 1024}
        if ask.schema:
            settings["response_mime_type"] = "application/json"
            settings["response_json_schema"] = FACTS
        return self.types.GenerateContentConfig(**settings)

    def turn(self, model, contents, ask):
        settings = {"model": model, "contents": contents, "config": self.settings(ask)}
        if ask.stream:
            chunks = list(self.client.models.generate_content_stream(**settings))
        else:
            chunks = [self.client.models.generate_content(**settings)]
        told = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
        parts = [part for one in told if one.content for part in one.content.parts or []]
        calls = [part.function_call for part in parts if part.function_call]
        texts = [part for part in parts if part.text]
        stops = [one.finish_reason.value for one in told if one.finish_reason]
        usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata][-1]
        return Answer(
            text="".join(part.text for part in texts if not part.thought),
            thought="".join(part.text for part in texts if part.thought),
            calls=[(call.id, call.name, call.args) for call in calls],
            stop="tools" if calls else STOPS[stops[-1]],
            usage=(
                usage.prompt_token_count,
                usage.cached_content_token_count or 0,
                (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
            ),
            kept=self.types.Content(role="model", parts=parts),
        )

    def feed(self, contents, answer, results):
        parts = [
            self.types.Part(
                function_response=self.types.FunctionResponse(
                    id=id, name=name, response={"output": result}
                )
            )
            for (id, name, _), result in zip(answer.calls, results)
        ]
        more = [self.types.Content(role="user", parts=parts)] if parts else []
        return [*contents, answer.kept, *more]


class LangChain:
    """What LangChain's integrations have in common: messages, and models that take them."""

    def __init__(self, key):
        self.key = key
        self.error = Exception

    def begin(self, prompt, system=None, image=False):
        from langchain_core.messages import HumanMessage, SystemMessage

        content = prompt
        if image:
            data = base64.b64encode(PNG).decode()
            content = [
                {"type": "text", "text": prompt},
                {"type": "image", "base64": data, "mime_type": "image/png"},
            ]
        first = [SystemMessage(system)] if system else []
        return [*first, HumanMessage(content)]

    def turn(self, model, messages, ask):
        from langchain_core.tools import tool

        @tool
        def get_weather(city: str) -> str:
            """Tells the weather."""
            return city

        chat = self.model(model, ask)
        if ask.schema:
            schema = dict(FACTS, title="facts", description="Facts of a city.")
            asked = chat.with_structured_output(schema, **self.structured)
            return Answer(text=json.dumps(asked.invoke(messages)))
        runnable = chat.bind_tools([get_weather]) if ask.tools else chat
        if ask.stream:
            whole = None
            for chunk in runnable.stream(messages):
                whole = chunk if whole is None else whole + chunk
        else:
            whole = runnable.invoke(messages)
        usage = whole.usage_metadata
        cached = usage.get("input_token_details", {}).get("cache_read", 0)
        return Answer(
            text=str(whole.text),
            calls=[(call["id"], call["name"], call["args"]) for call in whole.tool_calls],
            usage=(usage["input_tokens"], cached, usage["output_tokens"]),
            kept=whole,
        )

    def feed(self, messages, answer, results):
        from langchain_core.messages import ToolMessage

        told = [
            ToolMessage(result, tool_call_id=id, name=name)
            for (id, name, _), result in zip(answer.calls, results)
        ]
        return [*messages, answer.kept, *told]


class LangChainChat(LangChain):
    name = "langchain-openai"
    protocol = "chat"
    structured = {"method": "json_schema"}

    def settings(self, ask):
        return {"reasoning_effort": "low"} if ask.thinks else {}

    def model(self, model, ask):
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(
            model=model,
            base_url=URL + "/v1",
            api_key=self.key,
            max_retries=0,
            max_tokens=ask.max_tokens,
            stream_usage=True,
            **self.settings(ask),
        )


class LangChainResponses(LangChainChat):
    protocol = "responses"

    def settings(self, ask):
        settings = {"use_responses_api": True, "store": False}
        if ask.thinks:
            settings["reasoning"] = {"effort": "low", "summary": "auto"}
            settings["include"] = ["reasoning.encrypted_content"]
        return settings


class LangChainAnthropic(LangChain):
    name = "langchain-anthropic"
    protocol = "messages"
    structured = {"method": "json_schema"}

    def model(self, model, ask):
        from langchain_anthropic import ChatAnthropic

        thinking = {"type": "enabled", "budget_tokens": 1024} if ask.thinks else None
        return ChatAnthropic(
            model=model,
            base_url=URL,
            api_key=self.key,
            max_retries=0,
            max_tokens=ask.max_tokens or 4096,
            thinking=thinking,
        )


class LangChainGoogle(LangChain):
    name = "langchain-google-genai"
    protocol = "gemini"
    structured = {"method": "json_schema"}

    def model(self, model, ask):
        from langchain_google_genai import ChatGoogleGenerativeAI

        settings = {"include_thoughts": True, "thinking_budget": 1024} if ask.thinks else {}
        # its own default is 0.7, which no Claude takes while it thinks
        settings["temperature"] = 1.0
        return ChatGoogleGenerativeAI(
            model=model,
            base_url=URL,
            google_api_key=self.key,
            max_retries=0,
            max_output_tokens=ask.max_tokens,
            **settings,
        )


class LiteLlm(OpenAIChat):
    """LiteLLM's SDK, which is told of another address for OpenAI's protocol."""

    name = "litellm"
    protocol = "chat"

    def __init__(self, key):
        # it would fetch its table of prices
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        import litellm

        litellm.telemetry = False
        litellm.suppress_debug_info = True
        self.litellm = litellm
        self.key = key
        self.error = Exception

    def settings(self, ask):
        settings = super().settings(ask)
        if "max_completion_tokens" in settings:
            settings["max_tokens"] = settings.pop("max_completion_tokens")
        if ask.thinks:
            # it does not know these models to think
            settings["allowed_openai_params"] = ["reasoning_effort"]
        return settings

    def turn(self, model, messages, ask):
        settings = dict(
            self.settings(ask),
            model=f"openai/{model}",
            messages=messages,
            api_base=URL + "/v1",
            api_key=self.key,
            max_retries=0,
            timeout=30,
        )
        if ask.stream:
            options = {"include_usage": True}
            stream = self.litellm.completion(stream=True, stream_options=options, **settings)
            whole = self.litellm.stream_chunk_builder(list(stream), messages=messages)
        else:
            whole = self.litellm.completion(**settings)
        choice = whole.choices[0]
        usage = whole.usage
        details = usage.prompt_tokens_details
        message = choice.message
        calls = message.tool_calls or []
        return Answer(
            text=message.content or "",
            thought=getattr(message, "reasoning_content", None) or "",
            calls=[(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls],
            # it says "stop" of every stream that it has put together
            stop=None if ask.stream else STOPS[choice.finish_reason],
            usage=(
                usage.prompt_tokens,
                details.cached_tokens if details else 0,
                usage.completion_tokens,
            ),
            kept=message.model_dump(exclude_none=True),
        )


CLIENTS = [
    OpenAIChat,
    OpenAIResponses,
    Anthropic,
    GoogleGenai,
    LangChainChat,
    LangChainResponses,
    LangChainAnthropic,
    LangChainGoogle,
    LiteLlm,
]
