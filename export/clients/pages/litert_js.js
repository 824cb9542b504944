// Runs a file in LiteRT.js; see BrowserClient.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

const KINDS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

const post = (path, body) => fetch(path, { method: "POST", body });
const product = (sizes) => sizes.reduce((all, size) => all * size, 1);

// Time steps first to first + size of values [batch, steps, ...].
function chunk(values, [batch, steps, ...rest], first, size) {
  const one = product(rest);
  const found = new values.constructor(batch * size * one);
  for (let row = 0; row < batch; row++) {
    const from = (row * steps + first) * one;
    found.set(values.subarray(from, from + size * one), row * size * one);
  }
  return found;
}

// Chunks [batch, any, ...] behind each other along their second axis.
function joined(chunks, batch) {
  if (batch === 1) return chunks;
  const rows = [];
  for (let row = 0; row < batch; row++)
    for (const values of chunks) {
      const size = values.length / batch;
      rows.push(values.slice(row * size, (row + 1) * size));
    }
  return rows;
}

async function run() {
  const job = await (await fetch("/job.json")).json();
  const x = [];
  for (const [number, name] of job.given.entries()) {
    const { dtype, shape } = job.x[number];
    const values = new KINDS[dtype](await (await fetch(`/x_${number}`)).arrayBuffer());
    x.push({ name, shape, values, size: product(shape), part: job.sequences.includes(name) });
  }
  await loadLiteRt("/node_modules/@litertjs/core/wasm/", { threads: false });
  const model = await loadAndCompile("/model.tflite", { accelerator: "wasm" });
  const own = job.signature ? model.signatures[job.signature] : model;
  const known = own.getOutputDetails().map(({ name }) => name);
  for (const { name } of job.answers)
    if (!known.includes(name)) throw new Error(`it knows no output '${name}', but ${known}`);
  const length = x.find(({ part }) => part)?.shape[1] ?? job.size;

  async function started() {
    if (job.start) return await model.run(job.start, {});
    const states = {};
    for (const { name, shape, dtype, zero_point } of job.states)
      states[name] = new Tensor(new KINDS[dtype](product(shape)).fill(zero_point), shape);
    return states;
  }

  // The answers to batches at the same time, a part of each in turn.
  async function answered(group) {
    const states = [];
    for (const _ of group) states.push(await started());
    const found = group.map(() => job.answers.map(() => []));
    for (let first = 0; first < length; first += job.size)
      for (const [place, batch] of group.entries()) {
        const inputs = { ...states[place] };
        for (const { name, shape, values, size, part } of x) {
          const all = values.slice(batch * size, (batch + 1) * size);
          inputs[name] = part
            ? new Tensor(chunk(all, shape, first, job.size), shape.with(1, job.size))
            : new Tensor(all, shape);
        }
        const outputs = await own.run(inputs);
        for (const [number, { name, joined }] of job.answers.entries()) {
          if (!joined) found[place][number].length = 0;
          found[place][number].push(outputs[name].toTypedArray().slice());
          outputs[name].delete();
        }
        for (const tensor of Object.values(inputs)) tensor.delete();
        states[place] = Object.fromEntries(job.states.map(({ name }) => [name, outputs[name]]));
      }
    for (const own of states) for (const tensor of Object.values(own)) tensor.delete();
    return found;
  }

  const y = job.answers.map(() => []);
  for (const group of job.groups)
    for (const found of await answered(group))
      for (const [number, values] of found.entries())
        y[number].push(...joined(values, job.batch));
  for (const [number, answers] of y.entries())
    await post(`/y_${number}`, new Blob(answers));
  return {};
}

run()
  .catch((error) => ({ refused: String(error?.message ?? error) }))
  .then((said) => post("/done", JSON.stringify(said)));
