// The form above the lists: index, query, controls and request. Owns that what it shows is what `state` says, and that state
// follows what a person does.

import { at, make } from "./dom.js";
import { mistakeIn, withQuery } from "./requests.js";
import { isControlled, resetControls, state } from "./state.js";

const OTHER = "\u0000other";

/** Lets `changed(what, delay)` know of each change: `what` is "index", "request" or "search". */
export function listen(changed, usualRequest) {
  const on = (id, event, act) => at(id).addEventListener(event, act);
  on("search", "submit", (event) => event.preventDefault());
  on("index", "change", () => {
    const other = at("index").value === OTHER;
    at("other-index-field").hidden = !other;
    if (other) at("other-index").focus();
    else choose(at("index").value);
  });
  on("other-index", "change", () => choose(at("other-index").value.trim()));
  const choose = (index) => {
    Object.assign(state, { index, path: null, body: null });
    changed("index", 0);
  };
  on("query", "input", () => set("q", at("query").value, 120));
  on("with", "change", () => set("ranker", at("with").value));
  on("window", "input", () => set("window", Number(at("window").value), 30));
  on("blend", "change", () => set("blend", at("blend").value));
  on("weight", "input", () => set("weight", Number(at("weight").value), 30));
  on("k", "input", () => at("k").validity.valid && at("k").value && set("k", Number(at("k").value), 120));
  on("budget", "change", () => set("budget", at("budget").value));
  on("reset", "click", () => {
    resetControls();
    changed("search", 0);
  });
  const set = (name, value, delay = 0) => {
    state[name] = value;
    changed("search", delay);
  };
  const written = () => {
    const usual = usualRequest();
    const given = { path: at("path").value.trim(), body: at("body").value };
    for (const name of ["path", "body"]) state[name] = given[name] === usual[name] ? null : given[name];
    changed("request", 250);
  };
  on("path", "input", written);
  on("body", "input", written);
  on("own-request", "click", () => {
    Object.assign(state, { path: null, body: null });
    changed("request", 0);
  });
}

/** The indices to choose from. Where they are not told, the name is typed. */
export function offerIndices(indices) {
  const option = ({ name, documents }) =>
    make("option", { value: name }, Number.isFinite(documents) ? `${name} (${documents.toLocaleString("en")})` : name);
  const known = indices.some(({ name }) => name === state.index);
  at("index").replaceChildren(...indices.map(option), make("option", { value: OTHER }, "another…"));
  at("index").value = known ? state.index : OTHER;
  at("other-index-field").hidden = known;
  at("other-index").value = known ? "" : state.index;
}

/** The rules and models to rank with. */
export function offerRankers({ rules, models }) {
  const group = (label, options) => options.length > 0 && make("optgroup", { label }, options);
  const ofRule = (rule) => make("option", { value: `rule:${rule.number}` }, `rule ${rule.number}: ${rule.index.join(", ")}`);
  const ofModel = (name) => make("option", { value: `model:${name}` }, name);
  at("with").replaceChildren(make("option", { value: "" }, "as the rule says"),
    ...[group("As another rule", rules.map(ofRule)), group("One model", models.map(ofModel))].filter(Boolean));
  const widest = Math.max(200, ...rules.map(({ window }) => window));
  at("window").max = String(widest);
}

/** Shows the state, and of the last plan what the rule says. */
export function showState(request, plan) {
  put("query", state.q);
  put("with", state.ranker);
  const window = state.window ?? plan?.window ?? 100;
  put("window", String(window));
  at("window-value").textContent = String(window);
  put("blend", state.blend);
  put("budget", state.budget);
  put("weight", String(state.weight));
  at("weight-value").textContent = state.weight.toFixed(2);
  put("k", String(state.k));
  at("weight-field").hidden = state.blend !== "linear";
  at("k-field").hidden = state.blend !== "rrf";
  at("reset").hidden = !isControlled();
  put("path", request.path);
  put("body", request.body);
  at("own-request").hidden = state.path === null && state.body === null;
  const sent = withQuery(request, state.q);
  at("request-line").textContent = `${sent.body.trim() ? "POST" : "GET"} ${sent.path}`;
  const mistake = mistakeIn(sent.body);
  at("body-mistake").textContent = mistake ?? "";
  at("body").setAttribute("aria-invalid", String(mistake !== null));
}

/** Sets a control, unless a person is writing in it. */
function put(id, value, isWritten = at(id) === document.activeElement) {
  if (at(id).value !== value && !isWritten) at(id).value = value;
}

/** Shows what was read from the address, whatever has the focus. */
export function showLoaded(request) {
  put("query", state.q, false);
  put("path", request.path, false);
  put("body", request.body, false);
}

const ways = { basic: ["User", "Password"], ApiKey: ["API key"], Bearer: ["Token"], cookies: [] };

/** Asks for the credentials that were refused; `given` gets them. `whose`: "cluster" or "proxy". */
export function askForAccess(whose, given) {
  const form = at("access");
  if (!form.hidden && form.dataset.whose === whose) return;
  form.dataset.whose = whose;
  const secret = (label, type = "password") =>
    make("label", { className: "field" }, make("span", {}, label), make("input", { type, autocomplete: "off", required: true }));
  const fields = make("span", { className: "fields" });
  const way = make("select", { on: { change: () => fill() } },
    [["basic", "user and password"], ["ApiKey", "API key"], ["Bearer", "token"], ["cookies", "this browser’s cookies"]]
      .map(([value, label]) => make("option", { value }, label)));
  const fill = () => fields.replaceChildren(...ways[way.value].map((label) => secret(label, label === "User" ? "text" : "password")));
  if (whose === "cluster") fill();
  else fields.replaceChildren(secret("Key of the rerank API"));
  form.replaceChildren(
    make("p", {}, whose === "cluster" ? "The cluster wants to know who you are." : "The rerank API wants a key (api.keys_env)."),
    ...(whose === "cluster" ? [make("label", { className: "field" }, make("span", {}, "With"), way)] : []),
    fields, make("button", {}, "Sign in"));
  form.onsubmit = (event) => {
    event.preventDefault();
    const texts = [...fields.querySelectorAll("input")].map((input) => input.value);
    form.hidden = true;
    form.replaceChildren();
    given(whose === "proxy" ? { key: texts[0] } : credentials(way.value, texts));
  };
  form.hidden = false;
}

function credentials(way, [first, second]) {
  if (way === "cookies") return { cluster: null, cookies: true };
  if (way !== "basic") return { cluster: `${way} ${first}`, cookies: false };
  const bytes = new TextEncoder().encode(`${first}:${second}`);
  return { cluster: `Basic ${btoa(String.fromCharCode(...bytes))}`, cookies: false };
}
