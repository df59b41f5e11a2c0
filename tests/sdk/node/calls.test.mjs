// What an application does with the official SDK for TypeScript and JavaScript.

import assert from "node:assert/strict";
import { test } from "node:test";
import { clientWith, collect, newKey, question, textOf } from "./gateway.mjs";

const client = clientWith(await newKey());
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

test("models are listed and found", async () => {
  const names = (await collect(await client.models.list())).map((model) => model.id);
  for (const name of ["talk", "embed", "instruct"]) assert.ok(names.includes(name), name);
  assert.equal((await client.models.retrieve("talk")).id, "talk");
});

test("chat", async () => {
  const { data, response } = await client.chat.completions
    .create({ model: "talk", messages: question })
    .withResponse();
  assert.equal(data.model, "talk");
  assert.equal(data.choices[0].message.content, "Hello, world.");
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.ok(response.headers.get("x-litellm-call-id"));
  assert.ok(Number(response.headers.get("x-litellm-response-cost")) > 0);
});

test("streaming chat without usage", async () => {
  const stream = await client.chat.completions.create({ model: "talk", messages: question, stream: true });
  const chunks = await collect(stream);
  assert.equal(textOf(chunks), "Hello, world.");
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  assert.ok(chunks.every((chunk) => chunk.model === "talk"));
  assert.ok(chunks.every((chunk) => !chunk.usage), "usage was not asked for");
});

test("streaming chat with usage", async () => {
  const stream = await client.chat.completions.create({
    model: "talk",
    messages: question,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await collect(stream);
  assert.equal(textOf(chunks), "Hello, world.");
  const { choices, usage } = chunks.at(-1);
  assert.deepEqual(choices, []);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

test("a stream may be left early", async () => {
  const stream = await client.chat.completions.create({ model: "talk", messages: question, stream: true });
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;
  }
  const after = await client.chat.completions.create({ model: "talk", messages: question });
  assert.equal(after.choices[0].finish_reason, "stop");
});

test("tool loop by the SDK's runner", async () => {
  const asked = [];
  const runner = client.chat.completions.runTools({
    model: "talk",
    messages: [{ role: "user", content: "Weather in Basel?" }],
    tools: [
      {
        type: "function",
        function: {
          ...tools[0].function,
          parse: JSON.parse,
          function: ({ city }) => {
            asked.push(city);
            return "rain";
          },
        },
      },
    ],
  });
  assert.equal(await runner.finalContent(), "The tool says: rain");
  assert.deepEqual(asked, ["Basel"]);
});

test("streamed tool call", async () => {
  const messages = [{ role: "user", content: "Weather in Basel?" }];
  const stream = client.chat.completions.stream({ model: "talk", messages, tools });
  const [call] = (await stream.finalChatCompletion()).choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Basel" });
});

test("embeddings, plain and as the SDK asks by default", async () => {
  const input = ["one", "two"];
  const plain = await client.embeddings.create({ model: "embed", input, encoding_format: "float" });
  assert.deepEqual(plain.data.map((item) => item.index), [0, 1]);
  assert.ok(plain.usage.prompt_tokens > 0);
  // without a format the SDK asks for base64 and decodes it
  const packed = await client.embeddings.create({ model: "embed", input });
  assert.equal(packed.data[0].embedding.length, plain.data[0].embedding.length);
  assert.ok(packed.data[0].embedding.every(Number.isFinite));
});

test("legacy completions", async () => {
  const request = { model: "instruct", prompt: "Hello?" };
  const answer = await client.completions.create(request);
  assert.equal(answer.model, "instruct");
  assert.equal(answer.choices[0].text, "Hello, world.");
  const chunks = await collect(await client.completions.create({ ...request, stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), "Hello, world.");
});
