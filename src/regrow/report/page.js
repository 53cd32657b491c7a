// Draws the figures when they come into view, in the colours of the page, and again when those change.
"use strict";
(async () => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const hidden = new Set();
  const drawn = new Set();
  const paper = { width: 672, height: 260 }; // CSS pixels of an A4 page inside its margins
  let printing = false;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: false,
    doubleClick: "reset",
    scrollZoom: false,
  };

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Plotly cannot read CSS variables: put the page's present value in the place of every "var(--name)".
  function resolved(value) {
    if (typeof value === "string") {
      const found = /^var\((--[\w-]+)\)$/.exec(value);
      return found ? css(found[1]) : value;
    }
    if (Array.isArray(value)) return value.map(resolved);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolved(inner)]));
    }
    return value;
  }

  function axis(own) {
    const small = narrow.matches;
    return {
      gridcolor: css("--rule"),
      linecolor: css("--rule"),
      tickcolor: css("--rule"),
      zeroline: false,
      nticks: small && own.type !== "category" && !own.tickvals ? 5 : undefined,
      ...own,
      title: { ...(own.title || {}), standoff: small ? 8 : 12, font: { size: small ? 12 : 13, color: css("--muted") } },
    };
  }

  function layout(own) {
    const small = narrow.matches;
    return {
      ...own,
      ...(printing ? { width: paper.width, height: Math.min(own.height, paper.height) } : { autosize: true }),
      xaxis: axis(own.xaxis || {}),
      yaxis: axis(own.yaxis || {}),
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: css("--sans"), size: small ? 11 : 12, color: css("--ink") },
      hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--rule"), font: { color: css("--ink"), family: css("--sans") } },
      hovermode: "closest",
      dragmode: small ? false : "zoom",
      margin: { l: small ? 44 : 60, r: small ? 8 : 16, t: own.showlegend ? 34 : 12, b: small ? 44 : 54 },
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", traceorder: "normal", font: { color: css("--muted") } },
    };
  }

  function draw(node) {
    const own = resolved(figures[node.id]);
    for (const trace of own.data) trace.visible = !hidden.has(trace.legendgroup || "");
    const done = drawn.has(node) ? Plotly.react(node, own.data, layout(own.layout), config) : Plotly.newPlot(node, own.data, layout(own.layout), config);
    drawn.add(node);
    document.documentElement.dataset.drawn = String(drawn.size);
    return done;
  }

  // plotly.js lies in the page, packed. The content security policy knows its hash and lets nothing else run.
  async function unpack(id) {
    const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (character) => character.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }
  const library = document.createElement("script");
  library.textContent = await unpack("plotly");
  document.head.append(library);
  document.getElementById("undrawn").remove();

  const nodes = [...document.querySelectorAll(".plot")];
  const redraw = () => drawn.forEach(draw);
  const drawAll = () => nodes.forEach(draw);

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting && !drawn.has(entry.target)) {
          watcher.unobserve(entry.target);
          draw(entry.target);
        }
      }
    },
    { rootMargin: "800px 0px" },
  );
  nodes.forEach((node) => watcher.observe(node));
  dark.addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);

  // The legend: a button shows or hides its arm in every figure.
  document.querySelectorAll("button[data-arm]").forEach((button) => {
    button.addEventListener("click", () => {
      const arm = button.dataset.arm;
      if (!hidden.delete(arm)) hidden.add(arm);
      document.querySelectorAll("button[data-arm]").forEach((other) => {
        if (other.dataset.arm === arm) other.setAttribute("aria-pressed", String(!hidden.has(arm)));
      });
      redraw();
    });
  });

  // Paper is light and as wide as it is: everything unfolded, drawn at a width that fits.
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((part) => { part.open = true; });
    document.documentElement.classList.add("printing");
    printing = true;
    drawAll();
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    printing = false;
    redraw();
    drawn.forEach((node) => Plotly.Plots.resize(node));
  });
})();
