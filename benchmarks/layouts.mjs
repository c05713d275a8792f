// Have transformers.js classify texts with several models in turns: MODULES FOLDER NAME…, and the texts as JSON
// on standard input. Prints, for each model, its answers and the milliseconds that each took.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, folder, ...names] = process.argv.slice(2);
const library = path.join(modules, "@huggingface/transformers/dist/transformers.node.mjs");
const { env, pipeline } = await import(pathToFileURL(library));
env.allowRemoteModels = false;
env.localModelPath = folder;
const texts = JSON.parse(fs.readFileSync(0, "utf-8"));
const models = {};
const results = {};
for (const name of names) {
  const start = performance.now();
  // One thread, as a page has without cross-origin isolation.
  models[name] = await pipeline("text-classification", name, { session_options: { intraOpNumThreads: 1 } });
  await models[name](texts[0]);
  results[name] = { ready: performance.now() - start, answers: [], milliseconds: [] };
}
for (const text of texts) {
  for (const name of names) {
    const start = performance.now();
    const answer = await models[name](text, { top_k: null });
    results[name].milliseconds.push(performance.now() - start);
    results[name].answers.push(answer);
  }
}
console.log(JSON.stringify(results));
