// What a person has asked for: index, query, request and controls. Owns its place in the fragment of the page's address, so that
// a link shows what was seen. Credentials and judgements are no part of it.

/** Everything at its beginning; what is as here is not in the address. `path` and `body` are null while they are made from the
    index; `ranker` is "" (as the rule says), "rule:NUMBER" or "model:NAME". */
const BEGINNING = { index: "", q: "", path: null, body: null, ranker: "", window: null, blend: "", weight: 0.7, k: 60, budget: "" };

/** Names in the address, where they are others. */
const NUMBERS = ["window", "weight", "k"];

/** The windows that may be asked for, in hits. */
const LEAST = 2;
const MOST = 1000;

export const state = { ...BEGINNING };

/** Reads the address. */
export function load() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const [name, usual] of Object.entries(BEGINNING)) {
    const text = asked.get(name);
    const number = NUMBERS.includes(name) ? Number.parseFloat(text) : 0;
    state[name] = text === null || Number.isNaN(number) ? usual : NUMBERS.includes(name) ? number : text;
  }
  // No link asks for more than the control does.
  if (state.window !== null) state.window = Math.min(MOST, Math.max(LEAST, Math.round(state.window)));
}

/** Writes the address, without a new entry in the browser's history for each letter. */
export function save() {
  const said = new URLSearchParams();
  for (const [name, usual] of Object.entries(BEGINNING)) if (state[name] !== usual) said.set(name, state[name]);
  const fragment = said.toString();
  history.replaceState(null, "", fragment ? `#${fragment}` : location.pathname + location.search);
}

/** True where a control asks for something else than the rule. */
export const isControlled = () => ["ranker", "window", "blend", "budget"].some((name) => state[name] !== BEGINNING[name]);

/** Puts the controls back to what the rule says. */
export function resetControls() {
  for (const name of ["ranker", "window", "blend", "weight", "k", "budget"]) state[name] = BEGINNING[name];
}
