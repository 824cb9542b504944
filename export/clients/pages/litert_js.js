// Runs a file in LiteRT.js; see BrowserClient.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

const KINDS = {
  float32: Float32Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int64: BigInt64Array,
};

const post = (path, body) => fetch(path, { method: "POST", body });

async function run() {
  const job = await (await fetch("/job.json")).json();
  const x = [];
  for (const [number, { name, dtype, shape }] of job.inputs.entries()) {
    if (!(dtype in KINDS)) throw new Error(`a page has no arrays of ${dtype} ('${name}')`);
    const values = new KINDS[dtype](await (await fetch(`/x_${number}`)).arrayBuffer());
    x.push({ name, shape, values, size: shape.reduce((all, size) => all * size, 1) });
  }
  await loadLiteRt("/node_modules/@litertjs/core/wasm/", { threads: false });
  const model = await loadAndCompile("/model.tflite", { accelerator: "wasm" });
  const known = model.getOutputDetails().map(({ name }) => name);
  for (const { name } of job.outputs)
    if (!known.includes(name)) throw new Error(`it knows no output '${name}', but ${known}`);
  const y = job.outputs.map(() => []);
  for (const batch of job.order) {
    const inputs = {};
    for (const { name, shape, values, size } of x)
      inputs[name] = new Tensor(values.slice(batch * size, (batch + 1) * size), shape);
    const outputs = await model.run(inputs);
    for (const [number, { name }] of job.outputs.entries()) {
      y[number].push(outputs[name].toTypedArray().slice());
      outputs[name].delete();
    }
    for (const tensor of Object.values(inputs)) tensor.delete();
  }
  for (const [number, answers] of y.entries())
    await post(`/y_${number}`, new Blob(answers));
  return {};
}

run()
  .catch((error) => ({ refused: String(error?.message ?? error) }))
  .then((said) => post("/done", JSON.stringify(said)));
