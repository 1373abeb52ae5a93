// Small helpers for the document. Text is only ever set as text: nothing in these files builds markup.

const FOCUSABLE = new Set(["button", "input", "select"]);

/** Make an element. JupyterLab's command mode takes x, 0 0, the arrows... from whatever has the focus, unless
 *  the very element says no: the same word on the panel around it is not enough. */
function make(tag, className = "", attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (FOCUSABLE.has(tag) || "tabindex" in attributes) element.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const [name, value] of Object.entries(attributes)) put(element, name, value);
  return element;
}

/** Set an attribute; null, undefined and false take it away, true writes it empty. */
function put(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value === true ? "" : value)) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

/** Set text, touching the document only when it changes (live regions would speak again). */
function write(element, text) {
  const next = text ?? "";
  if (element.textContent !== next) element.textContent = next;
}

/** Make these the children, in this order, without moving those that already stand right. */
function arrange(parent, elements) {
  const wanted = new Set(elements);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let place = parent.firstChild;
  for (const element of elements) {
    if (element === place) place = place.nextSibling;
    else parent.insertBefore(element, place);
  }
}

/** Keep one element per item, by position: create, update, drop. */
function repeat(parent, items, create, update) {
  while (parent.childElementCount > items.length) parent.lastElementChild.remove();
  while (parent.childElementCount < items.length) parent.append(create(parent.childElementCount));
  items.forEach((item, index) => update(parent.children[index], item, index));
}

/** Fill an element with running text: plain, bold, toned, or a term that explains itself. */
function writeSpans(element, spans) {
  const signature = JSON.stringify(spans);
  if (element.rllabSpans === signature) return;
  element.rllabSpans = signature;
  element.replaceChildren(...spans.map(spanElement));
}

function spanElement(span) {
  if (span.tip) return termElement(span);
  const element = make(span.bold ? "b" : "span", span.tone ? `tone-${span.tone}` : "");
  const isolated = make("bdi");
  isolated.textContent = span.text;
  element.append(isolated);
  return element;
}

let termCount = 0;

function termElement(span) {
  const id = `rllab-tip-${(termCount += 1)}`;
  const holder = make("span", "term");
  const button = make("button", "term-word", { type: "button", "aria-describedby": id });
  const tip = make("span", "term-tip", { role: "tooltip", id });
  button.textContent = span.text;
  tip.textContent = span.tip;
  holder.append(button, tip);
  return holder;
}

/** Call at most every `wait` milliseconds; the last call is never lost. */
function throttled(wait, call) {
  let timer = null;
  let latest = null;
  let last = 0;
  const fire = () => {
    timer = null;
    last = performance.now();
    call(...latest);
  };
  return (...values) => {
    latest = values;
    if (timer === null) timer = setTimeout(fire, Math.max(0, wait - (performance.now() - last)));
  };
}

/** One tab stop for a list of elements: arrows, Home and End move the focus inside it. */
function roving(container, elements, moved = () => {}) {
  const focusAt = (index) => {
    const list = elements();
    const next = list[Math.max(0, Math.min(list.length - 1, index))];
    if (!next) return;
    for (const element of list) element.tabIndex = element === next ? 0 : -1;
    next.focus();
    moved(next);
  };
  container.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const list = elements();
    const here = list.indexOf(event.target.closest("[tabindex]"));
    if (here < 0) return;
    const target = {
      ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: list.length - 1,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    focusAt(target);
  });
}

/** Let exactly one of the elements be reachable with Tab: the preferred one. */
function oneTabStop(elements, preferred) {
  const focused = elements.find((element) => element === document.activeElement);
  const stop = focused ?? elements[preferred] ?? elements[0];
  for (const element of elements) element.tabIndex = element === stop ? 0 : -1;
}
