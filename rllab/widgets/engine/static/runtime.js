// Unpacks plotly.js once per page and hands it to every chart that waits for it.

/** @import { Model } from "./specs.d.ts" */

function shared() {
  globalThis.rllabShared ??= {};
  const place = globalThis.rllabShared;
  if (!place.plotly) {
    place.plotly = new Promise((resolve, reject) => Object.assign(place, { resolve, reject }));
    place.plotly.catch(() => {}); // each chart reports it in its own place
  }
  return place;
}

/** @param {ArrayBuffer} packed */
async function unpack(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const source = await new Response(stream).text();
  // The bundle must see neither the page's module loader nor a stray `module`, to attach itself to window.
  const script = document.createElement("script");
  const blob = new Blob(["(function(define,module,exports){", source, "\n}).call(window)"], { type: "text/javascript" });
  script.src = URL.createObjectURL(blob);
  await new Promise((loaded, failed) => {
    script.onload = loaded;
    script.onerror = failed;
    document.head.append(script);
  });
  URL.revokeObjectURL(script.src);
  return window.Plotly;
}

export default {
  /** @param {{ model: Model }} widget */
  initialize({ model }) {
    const place = shared();
    if (place.started) return;
    place.started = true;
    unpack(model.get("source")).then(place.resolve, place.reject);
  },
};
