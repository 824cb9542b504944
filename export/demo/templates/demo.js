// The demo page: the bundle's own code for JavaScript, beside what `predict` answers.
import { Model } from "/app/model.js";

const SECONDS = 0.05; // calls are repeated for so long, as `predict`'s are
const $ = (id) => document.getElementById(id);
const about = await (await fetch("/about.json")).json();
let model, name, latest = 0, turn = Promise.resolve();

/** What was typed -> a raw input. */
function read(text) {
  if (about.kind === "text") return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (about.kind === "arrays" || /^\s*[[{]/.test(text)) throw new Error(`This is no JSON: ${error.message}`);
  }
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  const rows = lines.map((line) => line.trim().split(/[\s,;]+/).map(Number));
  if (rows.length > 1 && rows[0].some(Number.isNaN)) rows.shift(); // names of columns
  const wrong = rows.findIndex((row) => row.some(Number.isNaN));
  if (wrong >= 0) throw new Error(`Line ${wrong + 1} of the numbers holds something else: ${lines.at(wrong - rows.length).slice(0, 40)}`);
  return about.kind === "tokens" ? rows.flat() : rows;
}

/** A raw input -> what is typed for it. */
function write(value) {
  if (about.kind === "text") return value;
  if (about.kind === "tokens") return value.join(" ");
  if (about.kind === "features") return value.map((row) => row.join(", ")).join("\n");
  return JSON.stringify(value);
}

async function inBrowser(value) {
  const answer = await model.answer(value);
  let calls = 0;
  const start = performance.now();
  do {
    await model.answer(value);
    calls++;
  } while (performance.now() < start + 1000 * SECONDS);
  return { answer: plain(answer), milliseconds: (performance.now() - start) / calls };
}

async function byPredict(value, file) {
  const asked = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ value, file }) };
  const said = await (await fetch("/predict", asked)).json();
  if (said.error) throw new Error(said.error);
  return said;
}

/** Arrays of numbers as lists. */
function plain(value) {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (Array.isArray(value) || value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

function numbers(value) {
  if (typeof value === "number") return [value];
  return value && typeof value === "object" ? Object.values(value).flatMap(numbers) : [];
}

function element(kind, text, className) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function parts(answer) {
  if (answer.labels && Array.isArray(answer.scores)) return [element("p", answer.labels.join(" "))];
  const name = answer.label ?? answer.labels?.join(", ");
  if (name === undefined) return [element("pre", JSON.stringify(answer.values ?? answer))];
  const scores = Object.entries(answer.scores).sort((one, other) => other[1] - one[1]).slice(0, 10);
  return [element("b", name || "none of the labels"), ...scores.map(([label, score]) => {
    const row = element("div", undefined, "score");
    const bar = element("div", undefined, "bar");
    bar.append(element("i"));
    bar.firstChild.style.width = `${100 * score}%`;
    row.append(element("span", label), bar, element("span", `${(100 * score).toFixed(2)} %`));
    return row;
  })];
}

function show(side, result) {
  const failed = result.status === "rejected";
  $(side).querySelector("output").replaceChildren(
    ...(failed ? [element("p", result.reason.message, "failed")] : parts(result.value.answer)));
  $(side).querySelector("time").textContent = failed ? "" : `${result.value.milliseconds.toPrecision(3)} ms`;
}

/** One after the other: a file that keeps its states answers one sequence at a time. */
function ask() {
  const number = ++latest;
  turn = turn.then(() => number === latest && answer(number));
  return turn;
}

async function answer(number) {
  const text = $("input").value;
  if (!text.trim()) return;
  let results;
  try {
    const value = read(text);
    // One after the other: neither is to slow the other down.
    results = await Promise.allSettled([inBrowser(value)]);
    results.push(...(await Promise.allSettled([byPredict(value, name)])));
  } catch (reason) {
    results = [{ status: "rejected", reason }, { status: "rejected", reason }];
  }
  if (number !== latest) return; // another was asked for meanwhile
  show("browser", results[0]);
  show("predict", results[1]);
  const [mine, theirs] = results.map((result) => (result.value ? numbers(result.value.answer) : []));
  const most = Math.max(0, ...mine.map((value, i) => Math.abs(value - theirs[i])));
  $("difference").textContent = mine.length && mine.length === theirs.length
    ? `The two answers differ by ${most === 0 ? "nothing" : most.toPrecision(2)}.` : "";
  document.body.dataset.answered = number;
}

async function load() {
  name = $("file").value;
  const url = `/files/${encodeURIComponent(name)}`;
  try {
    model = await Model.load(url, ...about.load);
  } catch (error) {
    $("difference").textContent = `${about.runtime} does not take ${name}: ${error.message}`;
    $("difference").className = "failed";
    return;
  }
  $("difference").className = "soft";
  $("difference").textContent = "";
  await ask();
}

for (const [i, value] of about.examples.entries()) {
  const text = about.kind === "text" ? value : `${i + 1}: ${JSON.stringify(value)}`;
  $("example").append(new Option(text.length > 50 ? `${text.slice(0, 50)} …` : text, i));
}
$("choose").hidden = about.examples.length === 0;
if (about.examples.length) $("input").value = write(about.examples[0]);
$("example").addEventListener("change", () => {
  $("input").value = write(about.examples[Number($("example").value)]);
  ask();
});
let typing;
$("input").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(ask, 200);
});
$("file").addEventListener("change", load);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  $("input").value = (await event.dataTransfer.files[0].text()).replace(/^\ufeff/, "").trim();
  ask();
});

if (about.runtime === "LiteRT.js") { // MediaPipe loads itself
  const { loadLiteRt } = await import("@litertjs/core");
  await loadLiteRt(about.wasm, { threads: false });
}
await load();
document.body.dataset.ready = "yes";
