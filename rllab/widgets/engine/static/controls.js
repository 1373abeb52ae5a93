// Components that the learner acts on: buttons, boxes, lists, sliders.

const CONTROLS = {
  button: (ctx) => {
    const el = make("button", "", { type: "button" });
    // aria-disabled instead of disabled: the focus stays where the learner left it
    el.addEventListener("click", () => {
      if (el.getAttribute("aria-disabled") !== "true") ctx.press();
    });
    return {
      el,
      update: (spec) => {
        write(el, spec.label);
        el.classList.toggle("main", Boolean(spec.main));
        put(el, "aria-disabled", spec.disabled ? "true" : null);
        put(el, "aria-pressed", spec.pressed === null ? null : String(spec.pressed));
        put(el, "aria-label", spec.name || null);
      },
    };
  },

  text: (ctx) => {
    const el = make("label", "field");
    const label = make("span", "label");
    const input = make("input", "", { type: "text", spellcheck: "false", autocomplete: "off", dir: "auto" });
    el.append(label, input);
    let spec = {};
    let sent = null;
    const commit = () => {
      if (input.value !== sent) ctx.set((sent = input.value));
    };
    input.addEventListener("change", commit);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      commit();
      if (spec.enter) ctx.press(spec.enter);
    });
    return {
      el,
      update: (next) => {
        nameField(label, input, next);
        el.classList.toggle("grow", !next.small);
        el.classList.toggle("small", Boolean(next.small));
        put(input, "placeholder", next.placeholder || null);
        put(input, "inputmode", next.small ? "decimal" : null);
        input.readOnly = Boolean(next.disabled);
        // What is being typed is the learner's: only a change made by Python replaces it.
        if (next.value !== spec.value || (document.activeElement !== input && next.value !== input.value)) {
          if (input.value !== next.value) input.value = next.value;
          sent = next.value;
        }
        spec = next;
      },
      settle: () => {
        if (input.value === sent) input.value = sent = spec.value;
      },
    };
  },

  select: (ctx) => {
    const el = make("label", "field");
    const label = make("span", "label");
    const input = make("select");
    el.append(label, input);
    let spec = null;
    input.addEventListener("change", () => ctx.set(input.value));
    return {
      el,
      update: (next) => {
        spec = next;
        nameField(label, input, spec);
        repeat(input, spec.options, () => make("option"), (option, [value, words]) => {
          put(option, "value", value);
          write(option, words);
        });
        if (!ctx.waits()) input.value = spec.value;
        input.disabled = Boolean(spec.disabled);
      },
      settle: () => {
        input.value = spec.value;
      },
    };
  },

  slider: (ctx) => {
    const el = make("label", "field slider");
    const label = make("span", "label");
    const input = make("input", "", { type: "range", min: 0, step: 1 });
    const shown = make("output", "number");
    el.append(label, input, shown);
    let spec = null;
    let moved = false; // since the last answer: the hand knows better than a picture that was under way
    const stop = () => spec.options[Number(input.value)] ?? spec.options[0];
    const show = () => {
      write(shown, stop()[1]);
      put(input, "aria-valuetext", stop()[1]);
    };
    let unsent = false;
    const send = throttled(100, () => {
      unsent = false;
      ctx.set(stop()[0]);
    });
    input.addEventListener("input", () => {
      moved = true;
      unsent = true;
      show();
      send();
    });
    return {
      el,
      update: (next) => {
        const changed = !spec || next.index !== spec.index;
        spec = next;
        write(label, spec.label);
        put(input, "max", spec.options.length - 1);
        put(input, "aria-label", spec.label);
        input.disabled = Boolean(spec.disabled);
        const width = Math.max(...spec.options.map((option) => option[1].length));
        shown.style.minWidth = `${width}ch`;
        if (changed && !moved) input.value = String(spec.index);
        show();
      },
      settle: () => {
        if (unsent) return;
        moved = false;
        input.value = String(spec.index);
        show();
      },
    };
  },

  radios: (ctx) => {
    const el = make("div", "radios", { role: "radiogroup" });
    let spec = null;
    const check = () => {
      for (const option of el.children) option.firstChild.checked = option.firstChild.value === spec.value;
    };
    return {
      el,
      update: (next) => {
        spec = next;
        put(el, "aria-label", spec.label);
        repeat(el, spec.options, () => radio(ctx), (option, [value, words]) => {
          option.firstChild.value = value;
          write(option.lastChild, words);
        });
        if (!ctx.waits()) check();
      },
      settle: check,
    };
  },
};

function radio(ctx) {
  const option = make("label");
  const input = make("input", "", { type: "radio", name: ctx.uid });
  input.addEventListener("change", () => ctx.set(input.value));
  option.append(input, make("span"));
  return option;
}

/** A field's name is always there for a screen reader, and on the screen where it is asked for. */
function nameField(label, input, spec) {
  write(label, spec.label);
  label.hidden = !spec.showLabel;
  put(input, "aria-label", spec.label);
}
