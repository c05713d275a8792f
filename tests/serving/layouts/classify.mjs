// Classify texts with transformers.js in Node: MODULES FOLDER NAME, and the texts as JSON on standard input.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, folder, name] = process.argv.slice(2);
const library = path.join(modules, "@huggingface/transformers/dist/transformers.node.mjs");
const { env, pipeline } = await import(pathToFileURL(library));
env.allowRemoteModels = false;
env.localModelPath = folder;
// No precision is named: the config says which there is.
const classify = await pipeline("text-classification", name);
const texts = JSON.parse(fs.readFileSync(0, "utf-8"));
const answers = [];
for (const text of texts) {
  answers.push(await classify(text, { top_k: null }));
}
console.log(JSON.stringify(answers));
