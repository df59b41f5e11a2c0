// Says what failed, and at the end how many tests ended how; silence is success.

import { inspect } from "node:util";

export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type === "test:fail" && data.details.error.failureType !== "subtestsFailed") {
      const { cause = data.details.error } = data.details.error;
      yield `✖ ${data.name}\n${cause.stack ?? inspect(cause)}\n\n`;
    }
    if (type === "test:stderr") yield data.message;
    if (type === "test:diagnostic" && data.nesting === 0) yield `ℹ ${data.message}\n`;
  }
}
