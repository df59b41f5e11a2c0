// Every refusal reaches the application as the SDK's own exception class.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { clientWith, manage, newKey, question } from "./gateway.mjs";

const client = clientWith(await newKey());
const ask = (from, model = "talk") => from.chat.completions.create({ model, messages: question });

async function refused(promise, kind) {
  const error = await promise.then(
    () => assert.fail(`was not refused with ${kind.name}`),
    (error) => error,
  );
  assert.equal(error.constructor, kind, String(error));
  return error;
}

test("no such key", async () => {
  const error = await refused(ask(clientWith("sk-there-is-no-such-key-here")), OpenAI.AuthenticationError);
  assert.equal(error.type, "token_not_found_in_db");
});

test("blocked key", async () => {
  const key = await newKey();
  await manage("/key/block", { key });
  await refused(ask(clientWith(key)), OpenAI.AuthenticationError);
});

test("model that the key may not use", async () => {
  const error = await refused(ask(clientWith(await newKey({ models: ["embed"] }))), OpenAI.PermissionDeniedError);
  assert.equal(error.type, "key_model_access_denied");
});

test("unknown model", async () => {
  await refused(ask(client, "no-such-model"), OpenAI.BadRequestError);
});

test("model that is not found", async () => {
  await refused(client.models.retrieve("no-such-model"), OpenAI.NotFoundError);
});

test("exhausted budget", async () => {
  // one answer costs more than this budget; spend is counted behind the answer, so soon after
  const poor = clientWith(await newKey({ max_budget: 0.000001 }));
  const deadline = Date.now() + 20_000;
  const untilRefused = async () => {
    while (Date.now() < deadline) await ask(poor);
  };
  const error = await refused(untilRefused(), OpenAI.UnprocessableEntityError);
  assert.equal(error.type, "budget_exceeded");
});

const refusals = [
  [400, OpenAI.BadRequestError],
  [404, OpenAI.NotFoundError],
  [422, OpenAI.UnprocessableEntityError],
  [429, OpenAI.RateLimitError],
  [500, OpenAI.InternalServerError],
  [503, OpenAI.InternalServerError],
];
for (const [status, kind] of refusals) {
  test(`the provider's ${status} keeps its status and message`, async () => {
    const error = await refused(ask(client, `refuses/${status}`), kind);
    assert.equal(error.status, status);
    assert.match(error.message, new RegExp(`the provider says ${status}`));
  });
}

test("provider that cannot be reached", async () => {
  await refused(ask(client, "unreachable"), OpenAI.InternalServerError);
});
