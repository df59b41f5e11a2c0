// Recorded exchanges, asked for through the SDK: the application sees what was recorded.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { clientWith, collect, exchanges, newKey } from "./gateway.mjs";

const client = clientWith(await newKey());

function call({ api, model, request }) {
  const body = { ...request, model };
  if (api === "chat") return client.chat.completions.create(body);
  if (api === "completions") return client.completions.create(body);
  return client.embeddings.create({ encoding_format: "float", ...body });
}

/** A plain copy without the model's name, which is the gateway's own, and without nulls: the SDK
 *  adds `finish_reason: null` where a provider left it out. */
function withoutModel(document) {
  const dropNull = (_name, value) => value ?? undefined;
  const { model, ...rest } = JSON.parse(JSON.stringify(document), dropNull);
  return rest;
}

for (const exchange of exchanges) {
  test(exchange.model, async () => {
    if (exchange.status >= 400 || exchange.end === "error-event") {
      const attempt = call(exchange).then((answer) => (exchange.chunks ? collect(answer) : answer));
      const error = await attempt.then(() => assert.fail("no error was thrown"), (error) => error);
      assert.ok(error instanceof OpenAI.APIError, String(error));
      if (exchange.status >= 400) assert.equal(error.status, exchange.status);
    } else if (exchange.chunks) {
      const seen = await collect(await call(exchange));
      assert.deepEqual(seen.map(withoutModel), exchange.chunks.map(withoutModel));
    } else {
      assert.deepEqual(withoutModel(await call(exchange)), withoutModel(exchange.whole));
    }
  });
}
