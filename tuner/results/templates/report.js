// report.html: sorting and filtering of the table, the charts, and what is said of a chosen trial.
// Everything that a person wrote goes into the page as text, never as HTML.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const rows = all("#trials tbody tr");
  const chosen = { trial: null, model: null };
  document.documentElement.classList.add("scripted");

  // ------------------------------------------------------------------ the table

  const value = (row, column) => {
    const text = row.cells[column].dataset.value;
    if (text === undefined) return null;
    return text !== "" && isFinite(text) ? Number(text) : text;
  };

  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };

  function sort(head) {
    const column = head.cellIndex;
    const now = head.getAttribute("aria-sort");
    const order =
      now === null ? head.dataset.first : now === "ascending" ? "descending" : "ascending";
    const sign = order === "ascending" ? 1 : -1;
    all("#trials th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const known = rows.filter((row) => value(row, column) !== null);
    const unknown = rows.filter((row) => value(row, column) === null);
    known.sort((a, b) => sign * compare(value(a, column), value(b, column)));
    document.querySelector("#trials tbody").append(...known, ...unknown);
  }

  function filter(kind) {
    for (const row of rows) {
      const front = kind === "front" && row.hasAttribute("data-front");
      row.hidden = !(kind === "all" || front || row.dataset.status === kind);
    }
  }

  all("#trials th button").forEach((button) => {
    button.addEventListener("click", () => sort(button.closest("th")));
  });
  all("input[name=show]").forEach((input) => {
    input.addEventListener("change", () => filter(input.value));
  });

  // ------------------------------------------------------------------ the charts

  const charts = all(".chart");
  const measure = document.getElementById("measure");

  function themed(figure) {
    const style = getComputedStyle(document.documentElement);
    return JSON.parse(JSON.stringify(figure), (_, item) =>
      data.colors.includes(item) ? style.getPropertyValue(item).trim() : item
    );
  }

  // The points of the chosen trial once more, so that they stand out.
  function picked(figure) {
    const found = [];
    if (chosen.trial === null) return found;
    for (const trace of figure.data) {
      const keys = trace.customdata ?? [];
      const places = keys.flatMap((key, place) => (key === chosen.trial ? [place] : []));
      if (!places.length) continue;
      const lines = figure.meta.picked !== "markers";
      found.push({
        type: "scatter",
        mode: figure.meta.picked,
        x: places.map((place) => trace.x[place]),
        y: places.map((place) => trace.y[place]),
        yaxis: trace.yaxis ?? "y",
        line: { color: "--ink", width: 3 },
        marker: lines
          ? { color: "--ink", size: 7 }
          : { color: "--ink", size: 22, symbol: "circle-open", line: { width: 2.5 } },
        hoverinfo: "skip",
      });
    }
    return found;
  }

  function drawn(figure) {
    const above = picked(figure);
    const faint = figure.meta.picked !== "markers" && above.length > 0;
    const traces = figure.data.map((trace) => {
      const other = chosen.model !== null && trace.name && trace.name !== chosen.model;
      return other || faint ? { ...trace, opacity: other ? 0.1 : 0.3 } : trace;
    });
    const layout = {
      font: { family: "system-ui, sans-serif", size: 13, color: "--ink" },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 8, r: 12, t: 12, b: 8 },
      hovermode: "closest",
      hoverlabel: {
        align: "left",
        bgcolor: "--paper",
        bordercolor: "--soft",
        font: { family: "system-ui, sans-serif", size: 13, color: "--ink" },
      },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "--soft", activecolor: "--ink" },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      showlegend: false,
      uirevision: "kept",
      ...figure.layout,
    };
    return themed({ data: [...traces, ...above], layout });
  }

  function figureOf(chart) {
    return chart.id === "curves" ? data.curves[measure.value] : data.charts[chart.id];
  }

  function draw(chart) {
    const figure = drawn(figureOf(chart));
    // The range of another measure is another one.
    if (chart.id === "curves") figure.layout.uirevision = measure.value;
    return Plotly.react(chart, figure.data, figure.layout, {
      displaylogo: false,
      modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
      responsive: true,
    });
  }

  for (const chart of charts) {
    draw(chart).then(() => {
      chart.on("plotly_click", (event) => choose(event.points[0].customdata));
      chart.classList.add("ready");
    });
  }
  measure?.addEventListener("change", () => draw(document.getElementById("curves")));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(draw));

  all(".legend button").forEach((button) => {
    button.addEventListener("click", () => {
      chosen.model = chosen.model === button.dataset.model ? null : button.dataset.model;
      all(".legend button").forEach((other) =>
        other.setAttribute("aria-pressed", String(other.dataset.model === chosen.model))
      );
      charts.forEach(draw);
    });
  });

  // ------------------------------------------------------------------ one trial

  const panel = document.getElementById("details");
  const part = (name) => panel.querySelector(`[data-part=${name}]`);

  function choose(key) {
    chosen.trial = key;
    rows.forEach((row) => row.classList.toggle("chosen", row.dataset.trial === key));
    all("button.pick").forEach((button) =>
      button.setAttribute("aria-pressed", String(button.dataset.trial === key))
    );
    panel.hidden = key === null;
    if (key !== null) show(data.trials[key]);
    charts.forEach(draw);
  }

  function show(trial) {
    part("title").textContent = trial.title;
    part("state").textContent = trial.state;
    part("facts").replaceChildren(
      ...trial.facts.map(([name, text]) => {
        const pair = document.createElement("div");
        const term = document.createElement("dt");
        const said = document.createElement("dd");
        term.textContent = name;
        said.textContent = text;
        pair.append(term, said);
        return pair;
      })
    );
    part("message").textContent = trial.message ?? "";
    part("message").hidden = !trial.message;
    part("command").textContent = trial.command ?? "";
    part("export").hidden = !trial.command;
    part("copied").textContent = "";
  }

  async function copy() {
    const command = part("command");
    try {
      await navigator.clipboard.writeText(command.textContent);
    } catch {
      // Not allowed here: select it, so that the oldest way works, or the reader's own keys.
      getSelection().selectAllChildren(command);
      if (!document.execCommand("copy")) {
        part("copied").textContent = "Selected: copy it with Ctrl-C.";
        return;
      }
    }
    part("copied").textContent = "Copied.";
  }

  rows.forEach((row) => {
    row.addEventListener("click", () => {
      if (!String(getSelection())) choose(row.dataset.trial);
    });
  });
  part("copy").addEventListener("click", copy);
  part("close").addEventListener("click", () => choose(null));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen.trial !== null) choose(null);
  });
})();
