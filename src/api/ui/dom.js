// Elements, put together from tags, properties and children. Owns that text is only ever put in as text: nothing here or
// elsewhere in the page makes markup of it.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id, which is in index.html. */
export const at = (id) => document.getElementById(id);

/** An element. Of `properties`, those with a dash and `role` are attributes, `on` holds listeners, `style` and `data` are as
    elements have them; children are elements or texts, and what is null or false is left out. */
export function make(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** An element of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A number as a person reads it: three significant digits, no exponent where that can be helped. */
export function shown(number) {
  if (number === null || number === undefined || !Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (size >= 1000) return Math.round(number).toLocaleString("en");
  return number.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3).replace("-", "−");
}

/** A time in milliseconds as a person reads it. */
export const time = (ms) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;

/** Hands a text to the browser as a file to save. */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
