// The keyboard. Owns which key does what; the help in index.html says the same.

import { at } from "./dom.js";
import { closeAll, focusedHit, hitOf, titleOf } from "./lists.js";

/** Listens to the keyboard; `judge(hit, grade)` notes a grade. */
export function listen(judge) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isWriting = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (at("help").open) return;
    if (event.key === "Escape") return escape(event, isWriting);
    if (isWriting) {
      if (event.target.id === "query" && (event.key === "ArrowDown" || event.key === "Enter")) done(event, step(1));
      return;
    }
    const act = ACTS[event.key];
    if (act) done(event, act());
    else if (/^[0-3x]$/.test(event.key)) done(event, grade(event.key, judge));
  });
}

const ACTS = {
  "/": () => {
    at("query").focus();
    at("query").select();
    return true;
  },
  "?": () => {
    at("help").showModal();
    return true;
  },
  j: () => step(1),
  ArrowDown: () => step(1),
  k: () => step(-1),
  ArrowUp: () => step(-1),
  h: () => cross("before"),
  ArrowLeft: () => cross("before"),
  l: () => cross("after"),
  ArrowRight: () => cross("after"),
};

function done(event, wasOurs) {
  if (wasOurs) event.preventDefault();
}

function escape(event, isWriting) {
  if (isWriting) event.target.blur();
  else closeAll();
}

/** To the hit that is `by` rows further down; from outside the lists to the first. */
function step(by) {
  const here = focusedHit();
  const list = here?.list ?? at("lists").dataset.shown;
  const rows = [...at(list).children];
  const row = here ? rows.findIndex((row) => row.dataset.key === here.key) + by : 0;
  return focus(rows[Math.max(0, Math.min(rows.length - 1, row))]);
}

/** To the same hit in the other list, or to what is in its place there. */
function cross(list) {
  const here = focusedHit();
  if (!here || here.list === list) return false;
  const row = [...at(here.list).children].findIndex((row) => row.dataset.key === here.key);
  const rows = [...at(list).children];
  return focus(titleOf({ list, key: here.key })?.closest(".hit") ?? rows[Math.min(row, rows.length - 1)]);
}

function focus(row) {
  if (!row) return false;
  row.querySelector(".title").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  return true;
}

function grade(key, judge) {
  const here = focusedHit();
  const hit = here && hitOf(here);
  if (!hit) return false;
  judge(hit, key === "x" ? null : Number(key));
  return true;
}
