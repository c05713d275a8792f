"use strict";
// Type a text, see what the model makes of it. All that is shown is set as text, never as markup.
const at = (id) => document.getElementById(id);
const PAUSE = 1000; // milliseconds between two looks at a model that is being loaded
let model = null;

function headers() {
  const key = at("key").value;
  const sent = { "Content-Type": "application/json" };
  if (key) sent.Authorization = `Bearer ${key}`;
  return sent;
}

async function ask(path, body) {
  const settings = { headers: headers() };
  if (body) Object.assign(settings, { method: "POST", body: JSON.stringify(body) });
  const response = await fetch(path, settings);
  const content = await response.json();
  if (response.status === 401) at("key-row").hidden = false;
  if (!response.ok) throw Object.assign(new Error(content.error), { status: response.status });
  return { content, response };
}

async function introduce() {
  try {
    model = (await ask("info")).content;
  } catch (error) {
    at("about").textContent = error.message;
    if (error.status === 503) setTimeout(introduce, PAUSE);
    return;
  }
  const kind = Object.keys(model.model_type)[0];
  at("name").textContent = model.model_id;
  document.title = `${model.model_id} · Prensa`;
  at("about").textContent =
    `${model.model_architecture}, ${model.runtime} in ${model.model_dtype}, reads up to ${model.max_input_length ?? "any number of"} tokens`;
  at("pair-row").hidden = kind === "embedding" || kind === "finds words";
  if (kind === "finds answers") {
    at("text-label").textContent = "Question";
    at("pair-label").textContent = "Context";
  }
}

function inputs() {
  const text = at("text").value;
  const pair = at("pair-row").hidden ? "" : at("pair").value;
  if ("finds answers" in model.model_type) return { question: text, context: pair };
  return pair ? { text, text_pair: pair } : text;
}

function row(cells, tag) {
  const line = document.createElement("tr");
  for (const cell of cells) {
    const box = document.createElement(tag);
    box.append(cell);
    line.append(box);
  }
  return line;
}

function bar(score) {
  const meter = document.createElement("meter");
  meter.value = score;
  meter.textContent = score.toFixed(3);
  return meter;
}

// The columns and rows of an answer, whatever the model does.
function table(answer) {
  if ("embedding" in model.model_type) {
    const numbers = answer[0];
    const shown = numbers.slice(0, 8).map((number) => number.toFixed(4));
    return [["numbers", "the first of them"], [[String(numbers.length), shown.join("  ")]]];
  }
  if ("finds answers" in model.model_type) {
    return [["answer", "score", ""], [[answer.answer, answer.score.toFixed(4), bar(answer.score)]]];
  }
  if ("finds words" in model.model_type) {
    const lines = answer.map((each) => [each.word, each.entity_group, each.score.toFixed(4), bar(each.score)]);
    return [["words", "label", "score", ""], lines];
  }
  const lines = answer[0].map((each) => [each.label, each.score.toFixed(4), bar(each.score)]);
  return [["label", "score", ""], lines];
}

function show(answer, response, milliseconds) {
  const [heads, lines] = table(answer);
  at("heads").replaceChildren(row(heads, "th"));
  at("answers").replaceChildren(...lines.map((line) => row(line, "td")));
  const time = (name) => response.headers.get(`x-${name}-time`);
  at("times").textContent =
    `${milliseconds.toFixed(0)} ms from here and back, ${time("total")} ms in the server: ` +
    `${time("tokenization")} tokenizing, ${time("queue")} waiting, ${time("inference")} in the model. ` +
    `${response.headers.get("x-compute-tokens")} tokens.`;
}

function showTokens(lists) {
  const chips = [];
  for (const token of lists.flat()) {
    const chip = document.createElement("span");
    chip.className = token.special ? "token mark" : "token";
    chip.textContent = token.text || "␣";
    chip.title = String(token.id);
    chips.push(chip);
  }
  at("tokens").replaceChildren(...chips);
}

async function answer(event) {
  event.preventDefault();
  const button = at("form").querySelector("button");
  button.disabled = true;
  at("problem").hidden = true;
  try {
    if (!model) await introduce();
    const given = inputs();
    const start = performance.now();
    const { content, response } = await ask("./", { inputs: given });
    show(content, response, performance.now() - start);
    const texts = typeof given === "string" ? [given] : Object.values(given);
    showTokens((await ask("tokenize", { inputs: texts })).content);
    at("results").hidden = false;
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  } finally {
    button.disabled = false;
  }
}

at("form").addEventListener("submit", answer);
at("key").addEventListener("change", introduce);
at("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
introduce();
