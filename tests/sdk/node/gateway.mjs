// What the tests share: where the gateway is, its management API, and keys to call it with.
//
// TOLLGATE_URL and TOLLGATE_MASTER_KEY name a running gateway, TOLLGATE_SCENE the file that `scene`
// (crates/testkit) wrote about the provider behind it. `cargo xtask sdk` starts all of it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const { TOLLGATE_URL, TOLLGATE_MASTER_KEY, TOLLGATE_SCENE } = process.env;

export const exchanges = JSON.parse(readFileSync(TOLLGATE_SCENE, "utf8")).exchanges;
export const question = [{ role: "user", content: "Hello?" }];

/** Calls the management API as the administrator; gives the answer. */
export async function manage(path, body) {
  const response = await fetch(TOLLGATE_URL + path, {
    method: "POST",
    headers: { authorization: `Bearer ${TOLLGATE_MASTER_KEY}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  assert.equal(response.status, 200, `${path} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}

export async function newKey(settings = {}) {
  return (await manage("/key/generate", settings)).key;
}

export function clientWith(apiKey) {
  // retries of the SDK would hide errors and count calls twice
  return new OpenAI({ baseURL: `${TOLLGATE_URL}/v1`, apiKey, maxRetries: 0, timeout: 20_000 });
}

export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

export function textOf(chunks) {
  return chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
}
