// The two lists and the lines between them. Owns how a hit looks; what it says of itself when it is opened is in details.js.

import { details } from "./details.js";
import { at, draw, make, shown } from "./dom.js";

export const keyOf = (hit) => `${hit.index ?? ""}/${hit.id}`;

const TITLES = ["title", "name", "headline", "subject", "label", "question", "heading"];
const SNIPPET = 240;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

/** The hits that are open, by list and key. They stay open over changes. */
const opened = new Set();

/** The lists as they are shown: `before`, `after` (hits), `query`, `gradeOf` and `judge`. */
let shownNow = null;

/** Shows both lists. */
export function show(page) {
  shownNow = page;
  const tops = page.animated ? topsOf(at("after")) : new Map();
  const focused = focusedHit();
  for (const name of ["before", "after"]) at(name).replaceChildren(...page[name].map((hit, row) => item(name, hit, row)));
  if (focused) titleOf(focused)?.focus({ preventScroll: true });
  connect();
  move(tops);
}

/** The hits again as they are, for other grades or details. */
export const repeat = () => shownNow && show({ ...shownNow, animated: false });

/** Which hit has the focus: { list, key }. */
export function focusedHit() {
  const row = document.activeElement?.closest(".hit");
  return row ? { list: row.parentElement.id, key: row.dataset.key } : null;
}

/** The hit of this list and key. */
export const hitOf = ({ list, key }) => shownNow?.[list].find((hit) => keyOf(hit) === key);

export function titleOf({ list, key }) {
  const row = [...at(list).children].find((row) => row.dataset.key === key);
  return row?.querySelector(".title");
}

export function toggle({ list, key }) {
  const name = `${list} ${key}`;
  if (!opened.delete(name)) opened.add(name);
  repeat();
}

/** Closes every hit; false where none was open. */
export function closeAll() {
  const some = opened.size > 0;
  opened.clear();
  if (some) repeat();
  return some;
}

function item(list, hit, row) {
  const key = keyOf(hit);
  const isOpen = opened.has(`${list} ${key}`);
  const { title, text } = words(hit);
  const id = `${list}-details-${row}`;
  const where = { list, key };
  const button = make("button", {
    type: "button", className: "title", "aria-expanded": String(isOpen), "aria-controls": isOpen ? id : null,
    on: { click: () => toggle(where) },
  }, ...marked(title, shownNow.query));
  const score = hit.score?.[list] ?? null;
  return make("li", { className: "hit", data: { key }, on: { mouseenter: () => point(key), mouseleave: () => point(null) } },
    make("span", { className: "rank" }, String(row + 1)),
    make("div", { className: "text" }, button, make("p", { className: "snippet" }, ...snippet(hit, text))),
    make("div", { className: "numbers" },
      make("span", { className: "scoring" }, list === "after" && movement(hit), make("span", { className: "score", title: "Score" }, shown(score))),
      grades(hit, title)),
    isOpen && make("div", { id, className: "details" }, ...details(hit)));
}

/** How far a hit has moved, for the eye and for the ear. */
function movement({ rank }) {
  const by = (rank?.before ?? 0) - (rank?.after ?? 0);
  if (!rank?.before || !rank?.after) return null;
  const isNew = !shownNow.before.some((hit) => hit.rank?.after === rank.after);
  const [name, sign, said] = by > 0 ? ["up", `▲ ${by}`, `up ${by}, from ${rank.before}`] : by < 0 ? ["down", `▼ ${-by}`, `down ${-by}, from ${rank.before}`] : ["same", "=", "not moved"];
  const told = isNew ? `${said}: it was on no page of this length before` : said;
  return make("span", { className: `move ${name}${isNew ? " new" : ""}`, title: told, role: "img", "aria-label": told }, sign);
}

function grades(hit, title) {
  const grade = shownNow.gradeOf(hit);
  const button = (number) => make("button", {
    type: "button", className: `grade g${number}`, "aria-pressed": String(grade === number), "aria-label": `Grade ${number}`,
    on: { click: () => shownNow.judge(hit, grade === number ? null : number) },
  }, String(number));
  return make("span", { className: "grades", role: "group", "aria-label": `Judge ${title}` }, [0, 1, 2, 3].map(button));
}

/** What of a document is shown as its title and its text. */
function words(hit) {
  const texts = Object.entries(hit.source ?? {}).flatMap(([name, value]) => {
    const first = Array.isArray(value) ? value[0] : value;
    return typeof first === "string" && first.trim() ? [[name, first]] : [];
  });
  const named = TITLES.map((title) => texts.find(([name]) => name.toLowerCase() === title)).find(Boolean);
  const short = named ?? texts.find(([, text]) => text.length < 120);
  const title = short?.[1] ?? hit.id;
  const longest = texts.filter((entry) => entry !== short).sort((one, other) => other[1].length - one[1].length)[0];
  return { title, text: longest?.[1] ?? hit.passage ?? "" };
}

/** A few lines of the text; of a passage that was read in pieces, the piece that won. */
function snippet(hit, text) {
  if (!hit.window || !hit.passage) return marked(cut(text), shownNow.query);
  const letters = [...hit.passage];
  const won = letters.slice(hit.window.start, hit.window.end).join("");
  return [hit.window.start > 0 && "… ", make("mark", {}, ...marked(cut(won), shownNow.query))];
}

const cut = (text) => (text.length > SNIPPET ? `${text.slice(0, SNIPPET)}…` : text);

/** A text with the words of the query in bold. */
function marked(text, query) {
  const known = new Set(wordsIn(query).filter((word) => word.length > 2));
  return text.split(/([\p{L}\p{N}]+)/u).map((part) => (known.has(part.toLowerCase()) ? make("b", {}, part) : part));
}

const wordsIn = (text) => (text ?? "").toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** Lets the line and both rows of a hit stand out. */
function point(key) {
  for (const element of document.querySelectorAll("[data-key]")) element.classList.toggle("pointed", element.dataset.key === key);
}

/** Draws a line from each hit of the one list to its place in the other. */
export function connect() {
  const lines = at("lines");
  const { height, width, top } = lines.getBoundingClientRect();
  if (!shownNow || !width) return lines.replaceChildren();
  const middles = (list) => new Map([...at(list).children].map((row) => {
    const place = row.querySelector(".title").getBoundingClientRect();
    return [row.dataset.key, place.top + place.height / 2 - top];
  }));
  const [left, right] = [middles("before"), middles("after")];
  const line = (key, from, to, name) => draw("path", {
    d: `M0 ${from} C${width / 2} ${from} ${width / 2} ${to} ${width} ${to}`, class: name, "data-key": key,
  });
  const found = [];
  shownNow.after.forEach((hit, row) => {
    const [key, to] = [keyOf(hit), right.get(keyOf(hit))];
    const was = shownNow.before.findIndex((other) => keyOf(other) === key);
    if (was < 0) found.push(line(key, height, to, "new"));
    else found.push(line(key, left.get(key), to, was > row ? "up" : was < row ? "down" : "same"));
  });
  for (const key of left.keys()) if (!right.has(key)) found.push(line(key, left.get(key), height, "gone"));
  return lines.replaceChildren(...found);
}

const topsOf = (list) => new Map([...list.children].map((row) => [row.dataset.key, row.getBoundingClientRect().top]));

/** Lets hits that were there before glide to their new places. */
function move(tops) {
  if (STILL.matches) return;
  for (const row of at("after").children) {
    const by = (tops.get(row.dataset.key) ?? NaN) - row.getBoundingClientRect().top;
    if (by) row.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 180, easing: "ease-out" });
  }
}

new ResizeObserver(connect).observe(at("lists"));
