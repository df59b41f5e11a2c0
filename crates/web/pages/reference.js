// Renders openapi.json as the API reference: operations by tag, each with its parameters, request
// and responses. Text enters the page through textContent only, so nothing in the document can
// become markup. An operation's details are built when it is first opened.

const METHODS = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];

const page = {
  about: document.getElementById("about"),
  contents: document.getElementById("contents"),
  filter: document.getElementById("filter"),
  found: document.getElementById("found"),
  main: document.getElementById("operations"),
  state: document.getElementById("state"),
  tags: document.getElementById("tags"),
};

/** An element with a class, attributes and children; strings become text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== ""));
  return made;
}

/** Prose with `code` between back-ticks and blank lines between paragraphs. */
function prose(text) {
  const paragraphs = (text ?? "").split(/\n\s*\n/).filter((part) => part.trim() !== "");
  return paragraphs.map((paragraph) => {
    const parts = paragraph.split("`");
    const nodes = parts.map((part, at) => (at % 2 === 1 ? element("code", {}, part) : part));
    return element("p", {}, ...nodes);
  });
}

/** All operations of the document, in its order, with what the page needs to know of each. */
function operationsOf(description) {
  const operations = [];
  for (const [path, item] of Object.entries(description.paths ?? {})) {
    for (const method of METHODS.filter((name) => item[name] !== undefined)) {
      const operation = item[method];
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])];
      operations.push({
        method,
        path,
        id: `${method}-${path}`.replace(/[^A-Za-z0-9_.-]+/g, "-"),
        tag: operation.tags?.[0] ?? "other",
        summary: operation.summary ?? "",
        details: operation.description ?? "",
        old: operation.deprecated === true,
        parameters,
        body: operation.requestBody,
        responses: operation.responses ?? {},
        words: `${method} ${path} ${operation.summary ?? ""} ${(operation.tags ?? []).join(" ")}`.toLowerCase(),
      });
    }
  }
  return operations;
}

/** Follows `$ref`s inside the document; gives the schema and the name it was found under. */
function resolve(description, schema) {
  let name;
  for (let hops = 0; schema?.$ref !== undefined && hops < 20; hops += 1) {
    const steps = schema.$ref.replace(/^#\//, "").split("/");
    const keys = steps.map((step) => step.replace(/~1/g, "/").replace(/~0/g, "~"));
    name = keys.at(-1);
    schema = keys.reduce((place, key) => place?.[key], description);
  }
  return { schema: schema ?? {}, name };
}

/** The alternatives of a schema, without `null`, and whether `null` is one of them. */
function alternatives(description, schema) {
  const all = schema.oneOf ?? schema.anyOf ?? [];
  const isNull = (one) => resolve(description, one).schema.type === "null";
  return { rest: all.filter((one) => !isNull(one)), nullable: all.some(isNull) };
}

/** A schema's kind in a few words: `string (date-time) | null`, `list of Key`. */
function kind(description, given) {
  const { schema, name } = resolve(description, given);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const { rest, nullable } = alternatives(description, schema);
  if (rest.length > 0) {
    const kinds = rest.map((one) => kind(description, one));
    return [...new Set(nullable ? [...kinds, "null"] : kinds)].join(" | ");
  }
  if (schema.allOf !== undefined) return name ?? schema.allOf.map((one) => kind(description, one)).join(" & ");
  const types = [schema.type ?? (schema.properties ? "object" : "any")].flat();
  return types.map((type) => oneKind(description, schema, name, type)).join(" | ");
}

function oneKind(description, schema, name, type) {
  if (type === "array") return `list of ${kind(description, schema.items ?? {})}`;
  if (type === "object" && name !== undefined) return name;
  if (type === "object" && typeof schema.additionalProperties === "object") {
    return `map of ${kind(description, schema.additionalProperties)}`;
  }
  return schema.format !== undefined && type !== "null" ? `${type} (${schema.format})` : type;
}

/** The object schemas inside a schema: those whose fields are worth showing below it. */
function objectsIn(description, given, depth = 0) {
  const { schema, name } = resolve(description, given);
  if (depth > 8) return [];
  const inside = (one) => objectsIn(description, one, depth + 1);
  if (schema.allOf !== undefined) {
    const parts = schema.allOf.flatMap(inside);
    const merged = { properties: {}, required: [] };
    for (const part of parts) {
      Object.assign(merged.properties, part.schema.properties);
      merged.required.push(...(part.schema.required ?? []));
    }
    return parts.length > 0 ? [{ schema: merged, name }] : [];
  }
  if (schema.oneOf ?? schema.anyOf) return (schema.oneOf ?? schema.anyOf).flatMap(inside);
  if (Object.keys(schema.properties ?? {}).length > 0) return [{ schema, name }];
  if (schema.items !== undefined) return inside(schema.items);
  if (typeof schema.additionalProperties === "object") return inside(schema.additionalProperties);
  return [];
}

/** The limits a schema states, as words. */
function limits(schema) {
  const words = [];
  const add = (key, word) => schema[key] !== undefined && words.push(`${word} ${JSON.stringify(schema[key])}`);
  add("default", "default");
  add("minimum", "at least");
  add("exclusiveMinimum", "more than");
  add("maximum", "at most");
  add("exclusiveMaximum", "less than");
  add("minLength", "length from");
  add("maxLength", "length to");
  add("maxItems", "items up to");
  add("pattern", "pattern");
  return words.join(", ");
}

/** A list of fields; fields of nested objects open on demand, so recursion ends with the reader. */
function fields(description, entries) {
  return element("ul", { class: "fields" }, ...entries.map((entry) => field(description, entry)));
}

function field(description, { name, schema: given, must, place, text }) {
  const { schema } = resolve(description, given);
  const said = limits(schema);
  const item = element("li", {},
    element("span", { class: "name" }, name), " ",
    element("span", { class: "kind" }, kind(description, given)), " ",
    place === undefined ? undefined : element("span", { class: "kind" }, `in ${place} `),
    must ? element("span", { class: "must" }, "required ") : undefined,
    schema.deprecated ? element("span", { class: "note" }, "deprecated") : undefined,
    ...prose(text ?? given.description ?? schema.description),
    said === "" ? undefined : element("p", {}, said));
  for (const object of objectsIn(description, given)) item.append(more(description, object));
  return item;
}

function more(description, { schema, name }) {
  const label = name === undefined ? "Fields" : `Fields of ${name}`;
  const fold = element("details", { class: "more" }, element("summary", {}, label));
  fold.addEventListener("toggle", () => fold.append(fields(description, entriesOf(schema))), { once: true });
  return fold;
}

function entriesOf(schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {})
    .map(([name, value]) => ({ name, schema: value, must: required.has(name) }))
    .sort((left, right) => Number(right.must) - Number(left.must));
}

/** A schema at the top of a request or response: its objects' fields at once, or its kind. */
function whole(description, schema) {
  const objects = objectsIn(description, schema);
  const parts = [element("p", { class: "kind" }, kind(description, schema))];
  if (objects.length === 1) return [...parts, fields(description, entriesOf(objects[0].schema))];
  return [...parts, ...objects.map((object) => more(description, object))];
}

/** An example value for a schema, as small as the schema allows. */
function example(description, given, depth = 0) {
  const { schema } = resolve(description, given);
  const stated = given.example ?? schema.example ?? schema.examples?.[0] ?? schema.default ?? schema.const;
  if (stated !== undefined) return stated;
  if (schema.enum !== undefined) return schema.enum[0];
  const { rest } = alternatives(description, schema);
  if (rest.length > 0) return depth > 6 ? null : example(description, rest[0], depth + 1);
  const type = [schema.type].flat().find((one) => one !== "null");
  if (type === "array") return depth > 6 ? [] : [example(description, schema.items ?? {}, depth + 1)];
  if (type === "string") return "…";
  if (type === "integer" || type === "number") return schema.minimum ?? 1;
  if (type === "boolean") return false;
  return exampleObject(description, given, depth);
}

function exampleObject(description, given, depth) {
  const made = {};
  if (depth > 6) return made;
  for (const { schema } of objectsIn(description, given).slice(0, 1)) {
    for (const { name, schema: value, must } of entriesOf(schema)) {
      const stated = resolve(description, value).schema.example ?? value.example;
      if (must || stated !== undefined) made[name] = example(description, value, depth + 1);
    }
  }
  return made;
}

/** The operation as a command for a terminal. */
function curl(description, operation) {
  const origin = window.location.origin;
  const lines = [`curl -X ${operation.method.toUpperCase()} "${origin}${operation.path}"`];
  lines.push('  -H "Authorization: Bearer $TOLLGATE_KEY"');
  const schema = resolve(description, operation.body).schema.content?.["application/json"]?.schema;
  if (schema !== undefined) {
    lines.push('  -H "Content-Type: application/json"');
    const body = JSON.stringify(example(description, schema), null, 2).replaceAll("'", "'\\''");
    lines.push(`  -d '${body}'`);
  }
  return lines.join(" \\\n");
}

function details(description, operation) {
  const body = element("div", { class: "body" }, ...prose(operation.details));
  const parameters = operation.parameters.map((given) => resolve(description, given).schema);
  if (parameters.length > 0) {
    const entries = parameters.map((one) => (
      { name: one.name, schema: one.schema ?? {}, must: one.required, place: one.in, text: one.description }));
    body.append(element("h3", {}, "Parameters"), fields(description, entries));
  }
  const request = resolve(description, operation.body).schema;
  for (const [type, media] of Object.entries(request.content ?? {})) {
    const must = request.required === false ? "optional " : "";
    body.append(element("h3", {}, `Request body (${must}${type})`), ...prose(request.description));
    body.append(...whole(description, media.schema ?? {}));
  }
  body.append(element("h3", {}, "Responses"));
  for (const [status, given] of Object.entries(operation.responses)) {
    body.append(answer(description, status, resolve(description, given).schema));
  }
  body.append(element("h3", {}, "From a terminal"));
  const command = element("pre", { tabindex: "0", role: "group", "aria-label": "Command" });
  command.textContent = curl(description, operation);
  body.append(command);
  return body;
}

function answer(description, status, response) {
  const mood = { 2: "good", 4: "odd", 5: "bad" }[status[0]] ?? "";
  const part = element("div", { class: "answer" },
    element("span", { class: `status ${mood}` }, status), ...prose(response.description).slice(0, 1));
  for (const [type, media] of Object.entries(response.content ?? {})) {
    if (media.schema === undefined) continue;
    const fold = element("details", { class: "more" }, element("summary", {}, `Body (${type})`));
    fold.addEventListener("toggle", () => fold.append(...whole(description, media.schema)), { once: true });
    part.append(fold);
  }
  return part;
}

function card(description, operation) {
  const path = element("span", { class: operation.old ? "path old" : "path" }, operation.path);
  const made = element("details", { class: "operation", id: operation.id },
    element("summary", {},
      element("span", { class: `method ${operation.method}` }, operation.method.toUpperCase()),
      path,
      element("span", { class: "line" }, operation.old ? "Deprecated. " : "", operation.summary)));
  made.addEventListener("toggle", () => made.append(details(description, operation)), { once: true });
  return made;
}

/** Builds contents and sections; gives for each operation the parts that the filter hides. */
function build(description, operations) {
  const order = (description.tags ?? []).map((tag) => tag.name);
  const tags = [...new Set([...order, ...operations.map((operation) => operation.tag)])];
  const shown = [];
  for (const tag of tags) {
    const own = operations.filter((operation) => operation.tag === tag);
    if (own.length === 0) continue;
    const about = (description.tags ?? []).find((one) => one.name === tag)?.description;
    const section = element("section", {}, element("h2", {}, tag), ...prose(about));
    const list = element("ul");
    const entry = element("li", {}, element("span", { class: "tag" }, tag), list);
    for (const operation of own) {
      const link = element("a", { href: `#${operation.id}` }, `${operation.method.toUpperCase()} ${operation.path}`);
      const line = element("li", {}, link);
      const made = card(description, operation);
      list.append(line);
      section.append(made);
      shown.push({ operation, link, parts: [line, made], groups: [entry, section] });
    }
    page.tags.append(entry);
    page.main.append(section);
  }
  return shown;
}

/** Shows the operations that hold every word of the filter box. */
function filter(shown) {
  const words = page.filter.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const groups = new Map();
  let found = 0;
  for (const { operation, parts, groups: own } of shown) {
    const fits = words.every((word) => operation.words.includes(word));
    found += fits ? 1 : 0;
    for (const part of parts) part.hidden = !fits;
    for (const group of own) groups.set(group, (groups.get(group) ?? false) || fits);
  }
  for (const [group, fits] of groups) group.hidden = !fits;
  page.found.textContent = words.length === 0 ? `${shown.length} operations` : `${found} of ${shown.length} operations`;
  page.state.hidden = found > 0;
  page.state.textContent = found > 0 ? "" : "No operation holds all these words.";
}

/** Opens the operation that the address names and brings it into view. */
function followAddress(shown) {
  const id = decodeURIComponent(window.location.hash.slice(1));
  for (const { operation, link, parts } of shown) {
    link.removeAttribute("aria-current");
    if (operation.id !== id) continue;
    link.setAttribute("aria-current", "true");
    const made = parts[1];
    made.open = true;
    made.scrollIntoView();
    made.querySelector("summary").focus({ preventScroll: true });
  }
}

function fail(message) {
  page.found.textContent = "";
  page.state.hidden = false;
  const again = element("button", { type: "button" }, "Try again");
  again.addEventListener("click", start);
  page.state.replaceChildren(element("span", { class: "failure", role: "alert" }, message), again);
}

async function start() {
  page.state.textContent = "Loading the description of the API…";
  let description;
  try {
    const response = await fetch("openapi.json", { headers: { accept: "application/json" } });
    if (!response.ok) return fail(`The description of the API could not be loaded (status ${response.status}).`);
    description = await response.json();
  } catch {
    return fail("The description of the API could not be loaded: no connection, or no JSON came.");
  }
  const info = description.info ?? {};
  page.about.replaceChildren(`${info.title ?? "API"} ${info.version ?? ""} · `,
    element("a", { href: "openapi.json" }, "openapi.json"));
  const shown = build(description, operationsOf(description));
  if (shown.length === 0) return fail("The description of the API lists no operation.");
  page.contents.hidden = false;
  if (window.matchMedia("(max-width: 760px)").matches) page.contents.open = false;
  page.filter.addEventListener("input", () => filter(shown));
  window.addEventListener("hashchange", () => followAddress(shown));
  filter(shown);
  followAddress(shown);
}

start();
