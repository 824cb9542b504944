// Classifies texts in MediaPipe; see MediaPipeJs.
import { FilesetResolver, TextClassifier } from "@mediapipe/tasks-text";

const post = (path, body) => fetch(path, { method: "POST", body });

async function run() {
  const texts = await (await fetch("/texts.json")).json();
  const wasm = await FilesetResolver.forTextTasks("/node_modules/@mediapipe/tasks-text/wasm");
  const classifier = await TextClassifier.createFromModelPath(wasm, "/model.tflite");
  const labels = [];
  const scores = [];
  for (const text of texts) {
    const row = [];
    for (const { index, categoryName, score } of classifier.classify(text).classifications[0]
      .categories) {
      labels[index] = categoryName;
      row[index] = score;
    }
    scores.push(...row);
  }
  classifier.close();
  await post("/y_0", new Float32Array(scores));
  return { labels };
}

run()
  .catch((error) => ({ refused: String(error?.message ?? error) }))
  .then((said) => post("/done", JSON.stringify(said)));
