// The clients that people use, each behind the same few functions, so that one test fits all: see
// `clients.py` for the raw SDKs. The Vercel AI SDK runs the loop of tools itself.

import { Anthropic } from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { GoogleGenAI } from "@google/genai";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";

const { TOLLGATE_URL: URL } = process.env;

const object = (properties) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
const weather = object({ city: { type: "string" } });
const facts = object({ city: { type: "string" }, celsius: { type: "integer" } });
const png =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const pngBytes = Buffer.from(png, "base64");
const dataUrl = `data:image/png;base64,${png}`;

const stops = {
  stop: "end",
  tool_calls: "tools",
  length: "length",
  end_turn: "end",
  tool_use: "tools",
  max_tokens: "length",
  STOP: "end",
  MAX_TOKENS: "length",
  completed: "end",
  incomplete: "length",
};

async function collect(stream) {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
}

/** Runs tools until the model calls none; gives the last answer and all calls. */
async function loop(client, model, ask, conversation, answerTool) {
  const calls = [];
  for (let turn = 0; turn < 5; turn++) {
    const answer = await client.turn(model, conversation, ask);
    if (answer.calls.length === 0) return { ...answer, calls };
    calls.push(...answer.calls);
    const results = answer.calls.map((call) => answerTool(call.input));
    conversation = client.feed(conversation, answer, results);
  }
  throw new Error("the model goes on calling tools");
}

class OpenAIChat {
  static title = "openai (npm) > chat";
  constructor(apiKey) {
    this.sdk = new OpenAI({ baseURL: `${URL}/v1`, apiKey, maxRetries: 0, timeout: 30_000 });
  }
  run = (model, ask) => loop(this, model, ask, this.begin(ask), ask.answer);
  begin({ prompt, system, image }) {
    const content = image
      ? [{ type: "text", text: prompt }, { type: "image_url", image_url: { url: dataUrl } }]
      : prompt;
    return [...(system ? [{ role: "system", content: system }] : []), { role: "user", content }];
  }
  async turn(model, messages, { stream, answer, thinks, schema, maxTokens }) {
    const body = { model, messages };
    if (answer) {
      body.tools = [{ type: "function", function: { name: "get_weather", parameters: weather } }];
    }
    if (thinks) body.reasoning_effort = "low";
    if (schema) {
      const wanted = { name: "facts", schema: facts, strict: true };
      body.response_format = { type: "json_schema", json_schema: wanted };
    }
    if (maxTokens) body.max_completion_tokens = maxTokens;
    const whole = stream
      ? await this.sdk.chat.completions
          .stream({ ...body, stream_options: { include_usage: true } })
          .finalChatCompletion()
      : await this.sdk.chat.completions.create(body);
    const [{ message, finish_reason }] = whole.choices;
    const { prompt_tokens, completion_tokens, prompt_tokens_details } = whole.usage;
    return {
      text: message.content ?? "",
      calls: (message.tool_calls ?? []).map((call) => ({
        id: call.id,
        name: call.function.name,
        input: JSON.parse(call.function.arguments),
      })),
      stop: stops[finish_reason],
      usage: [prompt_tokens, prompt_tokens_details?.cached_tokens, completion_tokens],
      kept: message,
    };
  }
  feed(messages, { kept, calls }, results) {
    const told = calls.map(({ id }, at) => ({ role: "tool", tool_call_id: id, content: results[at] }));
    return [...messages, kept, ...told];
  }
}

class OpenAIResponses extends OpenAIChat {
  static title = "openai (npm) > responses";
  begin({ prompt, system, image }) {
    const content = image
      ? [
          { type: "input_text", text: prompt },
          { type: "input_image", image_url: dataUrl, detail: "auto" },
        ]
      : prompt;
    return [...(system ? [{ role: "system", content: system }] : []), { role: "user", content }];
  }
  async turn(model, input, { stream, answer, thinks, schema, maxTokens }) {
    const body = { model, input, store: false };
    if (answer) {
      body.tools = [{ type: "function", name: "get_weather", parameters: weather, strict: true }];
    }
    if (thinks) {
      body.reasoning = { effort: "low", summary: "auto" };
      body.include = ["reasoning.encrypted_content"];
    }
    if (schema) body.text = { format: { type: "json_schema", name: "facts", schema: facts, strict: true } };
    if (maxTokens) body.max_output_tokens = maxTokens;
    const whole = stream
      ? await this.sdk.responses.stream(body).finalResponse()
      : await this.sdk.responses.create(body);
    const called = whole.output.filter((item) => item.type === "function_call");
    const { input_tokens, input_tokens_details, output_tokens } = whole.usage;
    return {
      text: whole.output_text,
      calls: called.map((call) => ({
        id: call.call_id,
        name: call.name,
        input: JSON.parse(call.arguments),
      })),
      stop: called.length > 0 ? "tools" : stops[whole.status],
      usage: [input_tokens, input_tokens_details.cached_tokens, output_tokens],
      kept: whole.output.map(({ parsed_arguments, ...item }) => item),
    };
  }
  feed(items, { kept, calls }, results) {
    const told = calls.map(({ id }, at) => ({
      type: "function_call_output",
      call_id: id,
      output: results[at],
    }));
    return [...items, ...kept, ...told];
  }
}

class AnthropicMessages {
  static title = "@anthropic-ai/sdk (npm) > messages";
  constructor(apiKey) {
    this.sdk = new Anthropic({ baseURL: URL, apiKey, maxRetries: 0, timeout: 30_000 });
  }
  run = (model, ask) => loop(this, model, ask, this.begin(ask), ask.answer);
  begin({ prompt, image }) {
    const source = { type: "base64", media_type: "image/png", data: png };
    const content = image ? [{ type: "text", text: prompt }, { type: "image", source }] : prompt;
    return [{ role: "user", content }];
  }
  async turn(model, messages, { stream, system, answer, thinks, schema, maxTokens }) {
    const body = { model, messages, max_tokens: maxTokens ?? 4096 };
    if (system) body.system = [{ type: "text", text: system }];
    if (answer) body.tools = [{ name: "get_weather", input_schema: weather }];
    if (thinks) body.thinking = { type: "enabled", budget_tokens: 1024 };
    if (schema) body.output_config = { format: { type: "json_schema", schema: facts } };
    const whole = stream
      ? await this.sdk.messages.stream(body).finalMessage()
      : await this.sdk.messages.create(body);
    const { input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens } =
      whole.usage;
    return {
      text: whole.content.map((block) => block.text ?? "").join(""),
      calls: whole.content.filter((block) => block.type === "tool_use"),
      stop: stops[whole.stop_reason],
      usage: [
        input_tokens + (cache_read_input_tokens ?? 0) + (cache_creation_input_tokens ?? 0),
        cache_read_input_tokens,
        output_tokens,
      ],
      kept: whole.content,
    };
  }
  feed(messages, { kept, calls }, results) {
    const told = calls.map(({ id }, at) => ({
      type: "tool_result",
      tool_use_id: id,
      content: results[at],
    }));
    return [...messages, { role: "assistant", content: kept }, { role: "user", content: told }];
  }
}

class Google {
  static title = "@google/genai (npm) > gemini";
  constructor(apiKey) {
    this.sdk = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: URL, timeout: 30_000 } });
  }
  run = (model, ask) => loop(this, model, ask, this.begin(ask), ask.answer);
  begin({ prompt, image }) {
    const parts = [{ text: prompt }];
    if (image) parts.push({ inlineData: { mimeType: "image/png", data: png } });
    return [{ role: "user", parts }];
  }
  async turn(model, contents, { stream, system, answer, thinks, schema, maxTokens }) {
    const config = {};
    if (system) config.systemInstruction = system;
    if (answer) {
      const declared = { name: "get_weather", parametersJsonSchema: weather };
      config.tools = [{ functionDeclarations: [declared] }];
    }
    if (thinks) config.thinkingConfig = { includeThoughts: true, thinkingBudget: 1024 };
    if (schema) {
      config.responseMimeType = "application/json";
      config.responseJsonSchema = facts;
    }
    if (maxTokens) config.maxOutputTokens = maxTokens;
    const body = { model, contents, config };
    const chunks = stream
      ? await collect(await this.sdk.models.generateContentStream(body))
      : [await this.sdk.models.generateContent(body)];
    const candidates = chunks.flatMap((chunk) => chunk.candidates ?? []);
    const parts = candidates.flatMap((candidate) => candidate.content?.parts ?? []);
    const called = parts.flatMap((part) => part.functionCall ?? []);
    const usage = chunks.findLast((chunk) => chunk.usageMetadata).usageMetadata;
    return {
      text: parts.map((part) => (part.thought ? "" : (part.text ?? ""))).join(""),
      calls: called.map(({ id, name, args }) => ({ id, name, input: args })),
      stop: called.length > 0 ? "tools" : stops[candidates.at(-1).finishReason],
      usage: [
        usage.promptTokenCount,
        usage.cachedContentTokenCount,
        (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
      ],
      kept: { role: "model", parts },
    };
  }
  feed(contents, { kept, calls }, results) {
    const parts = calls.map(({ id, name }, at) => ({
      functionResponse: { id, name, response: { output: results[at] } },
    }));
    return [...contents, kept, { role: "user", parts }];
  }
}

/** The Vercel AI SDK with one of its providers. */
class Vercel {
  async run(name, { prompt, system, image, stream, answer, thinks, schema, maxTokens }) {
    const content = [{ type: "text", text: prompt }];
    if (image) content.push({ type: "file", data: pngBytes, mediaType: "image/png" });
    const calls = [];
    const failures = [];
    const settings = {
      model: this.model(name),
      system,
      messages: [{ role: "user", content }],
      maxRetries: 0,
      maxOutputTokens: maxTokens,
      providerOptions: this.options(thinks === true),
      stopWhen: stepCountIs(5),
      onError: ({ error }) => failures.push(error),
    };
    if (schema) settings.output = Output.object({ schema: jsonSchema(facts) });
    if (answer) {
      const execute = (input) => {
        calls.push({ name: "get_weather", input });
        return answer(input);
      };
      settings.tools = {
        get_weather: tool({ inputSchema: jsonSchema(weather), execute }),
      };
    }
    let result;
    if (stream) {
      result = streamText(settings);
      await result.consumeStream();
      if (failures.length > 0) throw failures[0];
    } else {
      result = await generateText(settings);
    }
    const usage = await result.usage;
    const reason = await result.finishReason;
    return {
      text: await result.text,
      calls,
      stop: { stop: "end", length: "length", "tool-calls": "tools" }[reason],
      usage: [usage.inputTokens, usage.inputTokenDetails?.cacheReadTokens ?? usage.cachedInputTokens, usage.outputTokens],
    };
  }
}

class VercelChat extends Vercel {
  static title = "ai + @ai-sdk/openai > chat";
  constructor(apiKey) {
    super();
    this.provider = createOpenAI({ baseURL: `${URL}/v1`, apiKey });
  }
  model = (name) => this.provider.chat(name);
  options = (thinks) => ({ openai: thinks ? { reasoningEffort: "low", forceReasoning: true } : {} });
}

class VercelResponses extends VercelChat {
  static title = "ai + @ai-sdk/openai > responses";
  model = (name) => this.provider.responses(name);
  options = (thinks) => ({
    openai: thinks
      ? {
          store: false,
          reasoningEffort: "low",
          reasoningSummary: "auto",
          forceReasoning: true,
          include: ["reasoning.encrypted_content"],
        }
      : { store: false },
  });
}

class VercelAnthropic extends Vercel {
  static title = "ai + @ai-sdk/anthropic > messages";
  constructor(apiKey) {
    super();
    this.provider = createAnthropic({ baseURL: `${URL}/v1`, apiKey });
  }
  model = (name) => this.provider(name);
  options = (thinks) => ({
    anthropic: thinks ? { thinking: { type: "enabled", budgetTokens: 1024 } } : {},
  });
}

class VercelGoogle extends Vercel {
  static title = "ai + @ai-sdk/google > gemini";
  constructor(apiKey) {
    super();
    this.provider = createGoogleGenerativeAI({ baseURL: `${URL}/v1beta`, apiKey });
  }
  model = (name) => this.provider(name);
  options = (thinks) => ({
    google: thinks ? { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } : {},
  });
}

export const clients = [
  OpenAIChat,
  OpenAIResponses,
  AnthropicMessages,
  Google,
  VercelChat,
  VercelResponses,
  VercelAnthropic,
  VercelGoogle,
];
