// Official clients, as people use them, in front of each protocol that a provider may speak; see
// `test_clients.py`. The scripted model behind the gateway checks what it sealed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { clients, pngBytes } from "./clients.mjs";
import { newKey } from "./gateway.mjs";

const key = await newKey();
const greeting = "Hello, wörld. 😀";
const seals = "“snow”\n❄";
const told = { Basel: "rain", Zürich: seals };

/** The status of an SDK's error. */
const statusOf = (error) => error.status ?? error.statusCode ?? error.code;

for (const Client of clients) {
  const client = new Client(key);
  for (const upstream of ["chat", "responses", "anthropic", "gemini"]) {
    const model = `scripted-${upstream}`;
    for (const stream of [false, true]) {
      const name = (what) => `${Client.title} > ${upstream} > ${stream ? "streamed" : "whole"} > ${what}`;
      const run = (ask) => client.run(model, { stream, ...ask });

      test(name("text"), async () => {
        const answer = await run({ prompt: "Hello?" });
        assert.equal(answer.text, greeting);
        assert.equal(answer.stop, "end");
        // Anthropic alone tells what was written to its cache
        assert.deepEqual(answer.usage, [upstream === "anthropic" ? 100 : 90, 40, 30]);
      });

      test(name("system prompt"), async () => {
        const answer = await run({ prompt: "Hello?", system: "Answer in capitals." });
        assert.equal(answer.text, greeting.toUpperCase());
      });

      for (const thinks of [false, true]) {
        test(name(thinks ? "tool loop with thoughts" : "tool loop"), async () => {
          const prompt = "What is the weather in Basel and Zürich?";
          const answer = await run({ prompt, thinks, answer: ({ city }) => told[city] });
          const asked = answer.calls.map(({ name, input }) => ({ name, input }));
          assert.deepEqual(asked, [
            { name: "get_weather", input: { city: "Basel" } },
            { name: "get_weather", input: { city: "Zürich" } },
          ]);
          assert.equal(answer.text, `The tool says: rain; ${seals}`);
          assert.equal(answer.stop, "end");
        });
      }

      test(name("structured output"), async () => {
        const answer = await run({ prompt: "Give me the facts.", schema: true });
        assert.deepEqual(JSON.parse(answer.text), { city: "Zürich", celsius: 21 });
      });

      test(name("image"), async () => {
        const answer = await run({ prompt: "What do you see?", image: true });
        assert.equal(answer.text, `I see image/png of ${pngBytes.length} bytes.`);
      });

      test(name("token limit"), async () => {
        const answer = await run({ prompt: "Please be cut short.", maxTokens: 64 });
        assert.equal(answer.text, "Hello");
        assert.equal(answer.stop, "length");
      });

      for (const status of [404, 429, 500]) {
        test(name(`refusal of the provider ${status}`), async () => {
          const error = await run({ prompt: `fail with ${status}` }).then(
            (answer) => assert.fail(`was answered: ${JSON.stringify(answer)}`),
            (error) => error,
          );
          assert.equal(statusOf(error), status, String(error));
          assert.match(error.message, new RegExp(`the model says ${status}`));
        });
      }
    }

    // Gemini breaks off with an object that is no event, and `@ai-sdk/google` reads events alone
    if (Client.title.includes("@ai-sdk/google") && upstream === "gemini") continue;
    test(`${Client.title} > ${upstream} > streamed > failure midway`, async () => {
      await assert.rejects(client.run(model, { prompt: "fail midway", stream: true }));
    });
  }
}
