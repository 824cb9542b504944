// node encoding.mjs BUNDLE REQUESTS [VOCABULARY]: what app/javascript/encoding.js makes of each request.
import { existsSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const [, , bundle, file, other] = process.argv;
const app = await import(pathToFileURL(`${bundle}/app/javascript/encoding.js`));
const spellings = `${bundle}/app/spellings.txt`;
const words = other ?? (existsSync(spellings) ? spellings : `${bundle}/vocab.txt`);
const vocabulary = app.readVocabulary?.(readFileSync(words, "utf8"));
const requests = JSON.parse(readFileSync(file, "utf8"), (_, one) => (one === "NaN" ? NaN : one));
const answers = requests.map(({ value, output, tokenize, step }) => {
  try {
    if (tokenize) return app.tokenize(value, vocabulary);
    if (step) return { x: Array.from(app.encodeSteps(value, vocabulary)) };
    const encoded = app.encode(value, vocabulary);
    return { x: Array.from(encoded.x), answer: app.decode(Float32Array.from(output), encoded) };
  } catch (error) {
    return { error: error.message };
  }
});
console.log(JSON.stringify(answers));
