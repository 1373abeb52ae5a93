// Token chips and candidate bars.

const TOKENS = {
  chips: (ctx) => {
    const el = make("div", "strip");
    const prompt = make("span", "flat", { role: "group", "aria-label": "Prompt" });
    const list = make("span", "flat", { role: "listbox", "aria-orientation": "horizontal" });
    el.append(prompt, list);
    let spec = null;
    const choose = throttled(60, (index) => ctx.set(index));
    const options = () => [...list.children];
    const chosen = (option) => {
      markSelected(options(), options().indexOf(option));
      choose(options().indexOf(option));
    };
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (!option) return;
      option.focus();
      chosen(option);
    });
    roving(list, options, chosen);
    return {
      el,
      update: (next) => {
        const moved = !spec || next.selected !== spec.selected || next.items.length !== spec.items.length;
        spec = next;
        put(list, "aria-label", spec.label);
        repeat(prompt, spec.prompt, promptChip, (chip, text) => write(chip.firstChild, text));
        const places = spec.next ? [...spec.items, { t: "?", a: spec.next, next: true }] : spec.items;
        repeat(list, places, tokenChip, (chip, item, index) => drawChip(chip, item, chipName(spec, item, index)));
        markSelected(options(), spec.selected);
        if (moved) showInside(el, options()[spec.selected ?? -1]);
      },
    };
  },

  legend: () => {
    const el = make("div", "legend");
    return {
      el,
      update: (spec) => {
        repeat(el, spec.items, () => {
          const item = make("span", "legend-item");
          item.append(make("span"), make("span"));
          return item;
        }, (item, [look, words]) => {
          item.firstChild.className = `chip sample ${look}`;
          write(item.lastChild, words);
        });
      },
    };
  },

  bars: (ctx) => {
    const el = make("div", "bars", { role: "group" });
    const list = make("div", "bars-list");
    const rest = barElement("div");
    rest.classList.add("rest");
    el.append(list, rest);
    let spec = null;
    const buttons = () => [...list.children];
    list.addEventListener("click", (event) => {
      const index = buttons().indexOf(event.target.closest("button"));
      if (index >= 0) ctx.set(spec.items[index].value);
    });
    roving(list, buttons);
    return {
      el,
      update: (next) => {
        spec = next;
        put(el, "aria-label", spec.label);
        repeat(list, spec.items, () => barElement("button"), drawBar);
        oneTabStop(buttons(), 0);
        rest.hidden = !spec.rest;
        if (spec.rest) drawBar(rest, spec.rest);
      },
    };
  },
};

function promptChip() {
  const chip = make("span", "chip prompt");
  chip.append(make("bdi"), make("small"));
  return chip;
}

function tokenChip() {
  const chip = make("span", "chip", { role: "option", tabindex: -1 });
  chip.append(make("bdi"), make("small"));
  return chip;
}

/** A chip's own name, or one made of what it shows: a long line need not send hundreds of them. */
function chipName(spec, item, index) {
  if (item.a || !spec.quantity) return item.a || item.t;
  return `token ${index + 1}, ${item.t}${item.f ? ", written by you" : ""}, ${spec.quantity} ${item.n}`;
}

function drawChip(chip, item, name) {
  const tint = item.i ? ` ${item.i > 0 ? "up" : "down"}${Math.abs(item.i)}` : "";
  const look = `chip${tint}${item.f ? " forced" : ""}${item.next ? " next" : ""}`;
  if (chip.className !== look) chip.className = look;
  write(chip.firstChild, item.t);
  write(chip.lastChild, item.n);
  put(chip, "aria-label", name);
}

function markSelected(options, selected) {
  options.forEach((option, index) => put(option, "aria-selected", String(index === selected)));
  oneTabStop(options, selected ?? 0);
}

/** Scroll the strip, never the page, until the chip is in sight. */
function showInside(strip, chip) {
  if (!chip) return;
  const top = chip.offsetTop - strip.offsetTop;
  if (top < strip.scrollTop) strip.scrollTop = top;
  const bottom = top + chip.offsetHeight + 4;
  if (bottom > strip.scrollTop + strip.clientHeight) strip.scrollTop = bottom - strip.clientHeight;
}

function barElement(tag) {
  const bar = make(tag, "bar", tag === "button" ? { type: "button", tabindex: -1 } : {});
  const track = make("span", "track", { "aria-hidden": "true" });
  track.append(make("i", "fill"), make("i", "inner"), make("i", "tick"));
  bar.append(make("bdi", "bar-label"), track, make("span", "number"), make("span", "extra"));
  return bar;
}

function drawBar(bar, item) {
  const [label, track, number, extra] = bar.children;
  const [fill, inner, tick] = track.children;
  write(label, item.label);
  label.title = item.label.length > 16 ? item.label : "";
  fill.style.width = `${100 * item.width}%`;
  inner.hidden = item.inner === undefined;
  inner.style.width = `${100 * (item.inner ?? 0)}%`;
  tick.hidden = item.tick === undefined;
  tick.style.left = `${100 * (item.tick ?? 0)}%`;
  write(number, item.number);
  writeSpans(extra, item.extra);
  extra.hidden = !item.extra.length;
  put(bar, "aria-label", item.name || null);
}
