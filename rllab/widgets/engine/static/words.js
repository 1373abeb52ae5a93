// Components made of words: containers, titles, the reading, badges, progress, tables.

const WORDS = {
  panel: () => {
    const el = make("div", "body");
    return { el, update: (spec, children) => arrange(el, children) };
  },

  head: () => {
    const el = make("div", "head");
    const title = make("h2");
    return {
      el,
      update: (spec, children) => {
        write(title, spec.title);
        arrange(el, [title, ...children]);
      },
    };
  },

  row: () => {
    const el = make("div", "row");
    return {
      el,
      update: (spec, children) => {
        el.classList.toggle("end", Boolean(spec.end));
        arrange(el, children);
      },
    };
  },

  columns: () => {
    const el = make("div", "columns");
    return {
      el,
      update: (spec, children) => {
        el.classList.toggle("three", Boolean(spec.three));
        el.classList.toggle("pair", Boolean(spec.pair));
        arrange(el, children);
      },
    };
  },

  group: () => {
    const el = make("div", "group");
    const title = make("h3");
    return {
      el,
      update: (spec, children) => {
        write(title, spec.title);
        arrange(el, spec.title ? [title, ...children] : children);
      },
    };
  },

  fold: (ctx) => {
    const el = make("div", "fold");
    const button = make("button", "quiet", { type: "button", "aria-controls": `${ctx.uid}-inside` });
    const inside = make("div", "fold-inside", { id: `${ctx.uid}-inside` });
    let open = null;
    const show = () => {
      put(button, "aria-expanded", String(open));
      inside.hidden = !open;
    };
    button.addEventListener("click", () => {
      open = !open;
      show();
    });
    el.append(button, inside);
    return {
      el,
      update: (spec, children) => {
        open ??= Boolean(spec.open);
        write(button, spec.label);
        arrange(inside, children);
        show();
      },
    };
  },

  heading: () => {
    const el = make("h3");
    return { el, update: (spec) => writeSpans(el, spec.spans) };
  },

  note: () => {
    const el = make("p", "note");
    return {
      el,
      update: (spec) => {
        writeSpans(el, spec.spans);
        el.hidden = !spec.spans.some((span) => span.text);
      },
    };
  },

  passage: () => {
    const el = make("div", "passage", { role: "group", tabindex: 0, dir: "auto" });
    return {
      el,
      update: (spec) => {
        put(el, "aria-label", spec.label);
        write(el, spec.text);
      },
    };
  },

  reading: () => {
    const el = make("div", "reading", { role: "status" });
    return {
      el,
      update: (spec) => {
        put(el, "aria-live", spec.live ? "polite" : "off");
        writeSpans(el, spec.spans);
        el.hidden = !spec.spans.length;
      },
    };
  },

  finding: () => {
    const el = make("div", "finding");
    return {
      el,
      update: (spec) => {
        el.classList.toggle("good", Boolean(spec.good));
        writeSpans(el, spec.spans);
      },
    };
  },

  alert: () => {
    const el = make("div", "alert", { role: "alert" });
    return { el, update: (spec) => write(el, spec.text) };
  },

  badges: () => {
    const el = make("div", "badges");
    return {
      el,
      update: (spec) => {
        repeat(el, spec.badges, () => make("span"), (badge, item) => {
          badge.className = `badge ${item.kind}`;
          write(badge, item.text);
        });
        el.hidden = !spec.badges.length;
      },
    };
  },

  ring: () => {
    const el = make("ol", "ring", { "aria-label": "Where we are in the loop" });
    return {
      el,
      update: (spec) => {
        repeat(el, spec.stages, () => make("li"), (item, stage) => {
          write(item, stage);
          put(item, "aria-current", stage === spec.active ? "step" : null);
        });
      },
    };
  },

  progress: () => {
    const el = make("div", "run-progress");
    const bar = make("progress");
    const words = make("span");
    el.append(bar, words);
    return {
      el,
      update: (spec) => {
        put(bar, "aria-label", spec.label);
        put(bar, "max", spec.total || 1);
        put(bar, "value", spec.total ? spec.done : null);
        write(words, spec.text);
        el.hidden = !spec.text;
      },
    };
  },

  table: () => {
    const el = make("div", "table");
    const table = make("table");
    const caption = make("caption");
    const head = make("tr");
    const body = make("tbody");
    const thead = make("thead");
    thead.append(head);
    table.append(caption, thead, body);
    el.append(table);
    return {
      el,
      update: (spec) => {
        write(caption, spec.caption);
        fillTable(head, body, spec.columns, spec.rows);
      },
    };
  },
};

function fillTable(head, body, columns, rows) {
  repeat(head, columns, () => make("th", "", { scope: "col" }), (cell, column) => {
    write(cell, column.title);
    cell.classList.toggle("number", Boolean(column.numeric));
  });
  repeat(body, rows, () => make("tr"), (line, cells) => {
    repeat(line, cells, () => make("td"), (cell, span, index) => {
      cell.classList.toggle("number", Boolean(columns[index].numeric));
      writeSpans(cell, [span]);
    });
  });
}
