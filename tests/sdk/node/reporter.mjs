// Says what failed, and at the end how many tests ended how; silence is success. What the tests of
// clients found (`client > protocol > upstream > mode > feature`) is kept for the table of compatibility.

import { appendFileSync } from "node:fs";
import { inspect } from "node:util";

const { TOLLGATE_RESULTS } = process.env;

function keep(name, passed) {
  const [client, protocol, upstream, mode, feature] = name.split(" > ");
  if (!TOLLGATE_RESULTS || !feature) return;
  const found = { client, protocol, upstream, mode, feature: feature.replace(/ [0-9]+$/, ""), passed };
  appendFileSync(`${TOLLGATE_RESULTS}/node.jsonl`, `${JSON.stringify(found)}\n`);
}

export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type === "test:pass" || type === "test:fail") keep(data.name, type === "test:pass");
    if (type === "test:fail" && data.details.error.failureType !== "subtestsFailed") {
      const { cause = data.details.error } = data.details.error;
      yield `✖ ${data.name}\n${cause.stack ?? inspect(cause)}\n\n`;
    }
    if (type === "test:stderr") yield data.message;
    if (type === "test:diagnostic" && data.nesting === 0) yield `ℹ ${data.message}\n`;
  }
}
