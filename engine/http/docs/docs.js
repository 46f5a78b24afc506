// Shows the API's document and tries its requests. No library, no build step: this file is what runs.
"use strict";

const METHODS = ["get", "post", "patch", "put", "delete"];
const DEPTH_MAX = 8; // of examples; forms open one level at a time
const $ = (id) => document.getElementById(id);
const kept = {
  get: (name) => sessionStorage.getItem(`holdfast ${name}`) || "",
  set: (name, value) => sessionStorage.setItem(`holdfast ${name}`, value),
};
let api;

// Make an element: make("p", {class: "x", onclick: f}, "text", child, …)
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Put a text into elements, with `code` as code.
const prose = (text) => text.split("`").map((part, n) => (n % 2 ? make("code", {}, part) : part));

function resolved(form) {
  return form && form.$ref ? form.$ref.slice(2).split("/").reduce((at, step) => at[step], api) : form || {};
}

const nameOf = (form) => (form.$ref ? form.$ref.split("/").pop() : "");

// What a form is, in a few words.
function kind(form) {
  const whole = resolved(form);
  if (whole.anyOf) return whole.anyOf.map(kind).join(" or ");
  if (whole.allOf) return whole.allOf.map(kind).join(" and ");
  const types = [].concat(whole.type || ("const" in whole ? JSON.stringify(whole.const) : "anything"));
  let said = types.join(" or ").replace("array", `list of ${whole.items ? kind(whole.items) : "anything"}`);
  if (nameOf(form)) said = whole.enum ? said : nameOf(form);
  if (whole.format) said += ` (${whole.format})`;
  if (whole.enum) said += `: ${whole.enum.map((choice) => JSON.stringify(choice)).join(", ")}`;
  return said;
}

function bounds(form) {
  const said = [];
  const add = (words, value) => value !== undefined && said.push(`${words} ${value}`);
  add("at least", form.minimum);
  add("at most", form.maximum);
  if (form.minLength > 1) add("characters from", form.minLength);
  if (form.maxLength && form.maxLength < 10000) add("characters up to", form.maxLength);
  if (form.maxItems && form.maxItems < 10000) add("rows up to", form.maxItems);
  if ("default" in form) said.push(`else ${JSON.stringify(form.default)}`);
  return said.length ? ` · ${said.join(", ")}` : "";
}

// The object that is looked into: of a list its rows, of alternatives the first that has fields.
function inner(form) {
  const whole = resolved(form);
  if (whole.properties) return whole;
  if (whole.items) return inner(whole.items);
  for (const one of whole.anyOf || whole.allOf || []) {
    const found = inner(one);
    if (found) return found;
  }
  return null;
}

function fields(form) {
  const list = make("ul", { class: "form" });
  const needed = new Set(form.required || []);
  for (const [name, field] of Object.entries(form.properties)) {
    const said = [
      make("span", { class: "field" }, name),
      needed.has(name) ? make("span", { class: "needed", title: "required" }, " *") : "",
      make("span", { class: "kind" }, ` ${kind(field)}${bounds(resolved(field))}`),
    ];
    list.append(make("li", {}, inner(field) ? lazy(said, () => fields(inner(field))) : make("span", {}, ...said)));
  }
  return list;
}

// Something that is made when it is opened first.
function lazy(said, content, attributes = {}) {
  const details = make("details", attributes, make("summary", {}, ...said));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(content());
  });
  return details;
}

function formOf(content) {
  const [type, media] = Object.entries(content || {})[0] || [];
  if (!type) return null;
  if (type !== "application/json") return make("p", {}, make("code", {}, type));
  const form = inner(media.schema);
  const said = kind(media.schema);
  return make("div", {}, said === "object" ? null : make("p", { class: "kind" }, said), form ? fields(form) : null);
}

// A body to begin with: what has to be there.
function example(form, depth = 0) {
  const whole = resolved(form);
  if (depth > DEPTH_MAX) return null;
  if (whole.examples) return whole.examples[0];
  if (whole.enum) return whole.enum[0];
  if ("const" in whole) return whole.const;
  if (whole.anyOf || whole.allOf) return example((whole.anyOf || whole.allOf)[0], depth + 1);
  const type = [].concat(whole.type)[0];
  if (type === "object") {
    const names = Object.keys(whole.properties || {}).filter((name) => (whole.required || []).includes(name));
    return Object.fromEntries(names.map((name) => [name, example(whole.properties[name], depth + 1)]));
  }
  if (type === "array") return [example(whole.items, depth + 1)];
  if (type === "integer") return Math.max(1, whole.minimum || 0);
  if (type === "boolean") return false;
  if (whole.format === "date-time") return "2031-12-27T10:00:00Z";
  if (whole.format === "date") return "2031-12-27";
  if (whole.format === "email") return "me@example.org";
  if (whole.format === "uri") return "https://example.org/";
  return type === "string" ? "text" : null;
}

function operation(path, method, said) {
  const shownPath = path.replace("/api/v1/organizers/{organizer}/events/{event}/", "…/");
  const parts = shownPath.split(/(\{\w+\})/).map((part) => (part.startsWith("{") ? make("i", {}, part) : part));
  const summary = [
    make("span", { class: `method ${method}` }, method.toUpperCase()),
    make("span", { class: "path" }, ...parts),
    make("span", { class: "said" }, said.summary),
  ];
  const element = lazy(summary, () => inside(path, method, said), { class: "operation", id: said.operationId });
  element.dataset.words = `${method} ${path} ${said.summary} ${said.tags}`.toLowerCase();
  return element;
}

function inside(path, method, said) {
  const parameters = said.parameters.map(resolved);
  const inputs = parameters.map((parameter) => [parameter, input(parameter)]);
  const content = said.requestBody && said.requestBody.content["application/json"];
  let body = null;
  if (content) {
    body = make("textarea", { spellcheck: "false", "aria-label": "Body" });
    body.value = JSON.stringify(content.example ?? example(content.schema), null, 2);
    body.rows = Math.min(20, body.value.split("\n").length + 1);
  }
  const result = make("div", { "aria-live": "polite" });
  const send = make("button", { class: "send", type: "button", onclick: () => tried(path, method, inputs, body, result) }, "Send");
  return make(
    "div",
    { class: "inside" },
    make("p", {}, make("code", {}, `${method.toUpperCase()} ${path}`)),
    make("p", {}, ...prose(said.description)),
    inputs.length ? make("h3", {}, "Parameters") : null,
    make("div", { class: "inputs" }, ...inputs.map(([parameter, element]) => labelled(parameter, element))),
    body && make("h3", {}, "Body"),
    body,
    make("div", { class: "row" }, send, method === "get" ? null : make("small", {}, "This really does it.")),
    result,
    content ? make("h3", {}, "What the body may say") : null,
    content ? formOf(said.requestBody.content) : null,
    make("h3", {}, "Answers"),
    answers(said.responses),
  );
}

function answers(responses) {
  const rows = Object.entries(responses).map(([status, one]) => {
    const whole = resolved(one);
    const summary = [make("span", { class: `status ${status < 300 ? "good" : "bad"}` }, status), ` ${whole.description}`];
    return whole.content ? lazy(summary, () => formOf(whole.content)) : make("details", {}, make("summary", {}, ...summary));
  });
  return make("div", { class: "answers" }, ...rows);
}

function input(parameter) {
  const form = parameter.schema;
  const choices = form.enum || (form.type === "boolean" ? ["true", "false"] : null);
  const remembered = parameter.in === "path" ? kept.get(parameter.name) || String(parameter.example ?? "") : "";
  if (choices) {
    const blank = parameter.required ? [] : [""];
    return make("select", {}, ...[...blank, ...choices].map((choice) => make("option", {}, choice)));
  }
  return make("input", { value: remembered, placeholder: String(form.default ?? ""), spellcheck: "false" });
}

function labelled(parameter, element) {
  const about = [parameter.in === "path" ? "" : parameter.in, parameter.description].filter(Boolean).join(": ");
  return make("label", {}, make("span", { class: "field" }, parameter.name), element, make("small", {}, about));
}

async function tried(path, method, inputs, body, result) {
  const headers = { Accept: "application/json" };
  if ($("token").value) headers.Authorization = `Token ${$("token").value}`;
  const query = new URLSearchParams();
  let url = path;
  for (const [parameter, element] of inputs) {
    const value = element.value.trim();
    if (parameter.in === "path") {
      if (!value) return element.focus();
      kept.set(parameter.name, value);
      url = url.replace(`{${parameter.name}}`, encodeURIComponent(value));
    } else if (value && parameter.in === "query") {
      const values = parameter.schema.type === "array" ? value.split(",") : [value];
      for (const one of values) query.append(parameter.name, one.trim());
    } else if (value) headers[parameter.name] = value;
  }
  if (String(query)) url += `?${query}`;
  const options = { method: method.toUpperCase(), headers };
  if (body) {
    headers["Content-Type"] = "application/json";
    options.body = body.value;
  }
  result.replaceChildren(make("p", {}, "Waiting …"));
  const began = performance.now();
  try {
    const response = await fetch(url, options);
    const blob = await response.blob();
    const spent = `${Math.round(performance.now() - began)} ms`;
    result.replaceChildren(
      make("p", {}, make("span", { class: `status ${response.ok ? "good" : "bad"}` }, `${response.status} ${response.statusText}`), ` · ${spent} · ${blob.size} bytes`),
      await shown(response, blob),
      lazy(["As curl"], () => make("pre", {}, curl(url, options))),
    );
  } catch (error) {
    result.replaceChildren(make("p", { class: "bad" }, `No answer: ${error.message}`));
  }
  return undefined;
}

async function shown(response, blob) {
  if (!blob.size) return make("p", {}, "No body.");
  if (!(response.headers.get("Content-Type") || "").includes("json")) {
    return make("p", {}, make("a", { href: URL.createObjectURL(blob), download: "answer" }, "Save the file"));
  }
  const text = await blob.text();
  try {
    return make("pre", {}, JSON.stringify(JSON.parse(text), null, 2));
  } catch {
    return make("pre", {}, text);
  }
}

function curl(url, options) {
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const words = [`curl -X ${options.method} ${quoted(location.origin + url)}`];
  for (const [name, value] of Object.entries(options.headers)) {
    words.push(`-H ${quoted(`${name}: ${name === "Authorization" ? "Token …" : value}`)}`);
  }
  if (options.body) words.push(`-d ${quoted(options.body)}`);
  return words.join(" \\\n  ");
}

function search() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("section.subject")) {
    let any = false;
    for (const element of section.querySelectorAll(".operation")) {
      element.hidden = !words.every((word) => element.dataset.words.includes(word));
      any = any || !element.hidden;
    }
    section.hidden = !any;
  }
}

function opened() {
  const element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (element && element.tagName === "DETAILS") element.open = true;
  if (element) element.scrollIntoView();
}

function menu(open) {
  $("subjects").classList.toggle("open", open);
  $("menu").setAttribute("aria-expanded", String(open));
  if (open) scrollTo(0, 0);
}

async function begin() {
  $("token").value = kept.get("token");
  $("token").addEventListener("input", () => kept.set("token", $("token").value));
  $("search").addEventListener("input", search);
  $("menu").addEventListener("click", () => menu(!$("subjects").classList.contains("open")));
  addEventListener("hashchange", opened);
  const response = await fetch("../openapi.json");
  if (!response.ok) throw new Error(`the document answers ${response.status}`);
  api = await response.json();
  $("version").textContent = api.info.version;
  $("about").append(
    ...api.info.description.split("\n\n").map((paragraph) => make("p", {}, ...prose(paragraph))),
    make("p", {}, make("a", { href: "../openapi.json" }, "The document (OpenAPI 3.1)")),
  );
  for (const tag of api.tags) {
    const operations = [];
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const method of METHODS) {
        if (methods[method] && methods[method].tags.includes(tag.name)) operations.push(operation(path, method, methods[method]));
      }
    }
    const id = `subject-${tag.name.toLowerCase().replaceAll(" ", "-")}`;
    $("main").append(make("section", { class: "subject", id }, make("h2", {}, tag.name), make("p", {}, tag.description), ...operations));
    const link = make("a", { href: `#${id}`, onclick: () => menu(false) }, tag.name, make("span", {}, String(operations.length)));
    $("list").append(make("li", {}, link));
  }
  $("state").remove();
  opened();
}

begin().catch((error) => {
  $("state").textContent = `The document could not be shown: ${error.message}`;
});
