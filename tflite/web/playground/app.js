/* The page: a model, a text, and what each exit says of it. models.js is written by the build. */
import { pipeline } from "./beex-keras/index.js";
import { MODELS } from "./models.js";

const $ = (id) => document.getElementById(id);
const COLOURS = 7;
/* How many classes the legend has; one line tells of all others. */
const NAMED = 8;
const STEPS = 1000; // of the slider, where the threshold is no whole number
const MEASURED_MS = 8;

let classify; // the pipeline of the model in use
let own; // its own policy
let loading = 0; // numbers the models asked for, so that a slow one does not come last

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function shown(bytes) {
  if (bytes < 1e6) return `${Math.round(bytes / 1000)} KB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

const percent = (share) => `${(100 * share).toFixed(share > 0.9995 && share < 1 ? 2 : 1)} %`;
const number = (value) => String(Number(value.toPrecision(3)));

function fail(error) {
  $("error").textContent = error?.message ?? "";
  $("error").hidden = !error;
}

// === Models ===

/* `find` answers with the arguments of pipeline. */
async function use(find, about) {
  const turn = ++loading;
  document.body.setAttribute("aria-busy", "true");
  try {
    const made = await pipeline(...(await find()));
    if (turn !== loading) return made.dispose();
    classify?.dispose();
    classify = made;
    own = made.policy;
    $("second").hidden = !made.readsPairs;
    $("tokens").textContent = made.textLength;
    if (!$("text").value || MODELS.some(({ examples }) => examples.includes($("text").value))) {
      $("text").value = about.examples[0] ?? $("text").value;
    }
    showExamples(about.examples);
    showPolicy();
    fail();
    answer();
    showBytes(about.bytes);
    setTimeout(answer, 500); // when the browser has compiled the engine once more, for speed
  } catch (error) {
    if (turn === loading) fail(error);
  } finally {
    if (turn === loading) document.body.removeAttribute("aria-busy");
  }
}

async function useNamed(name) {
  const about = MODELS.find((model) => model.name === name);
  await use(async () => {
    const { default: model, integrity } = await import(`./beex-keras/models/${name}.js`);
    return [model, { integrity: globalThis.isSecureContext ? integrity : undefined }];
  }, about);
}

async function useFile(file) {
  for (const input of document.querySelectorAll("#models input")) input.checked = false;
  await use(async () => [await file.arrayBuffer()], { examples: [], bytes: 0 });
}

function showModels() {
  for (const { name, title, bytes } of MODELS) {
    const input = element("input", { type: "radio", name: "model", value: name });
    input.addEventListener("change", () => useNamed(name));
    $("models").append(
      element("label", {}, input, element("strong", { textContent: name }),
        element("span", { className: "size quiet", textContent: shown(bytes) }),
        element("span", { className: "about quiet", textContent: title })),
    );
  }
}

function showExamples(examples) {
  $("examples").replaceChildren(
    ...examples.map((text) => {
      const button = element("button", { type: "button", textContent: text, title: text });
      button.addEventListener("click", () => {
        $("text").value = text;
        answer();
      });
      return button;
    }),
  );
}

/* The engine and what JavaScript there is, as they were sent, and the model. */
function showBytes(model) {
  const engine = performance
    .getEntriesByType("resource")
    .filter(({ name }) => /\/beex-keras\/(?!models\/).*\.(js|wasm)$/.test(name))
    .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
  const parts = [`engine ${shown(engine)}`, model ? `model ${shown(model)}` : "model from your disk"];
  $("bytes").replaceChildren(shown(engine + model), element("small", { textContent: parts.join(", ") }));
}

// === The policy and its slider ===

const NAMES = {
  fractional_entropy: "the fall in entropy",
  entropy: "the entropy",
  confidence: "the confidence",
  patience: "the patience",
  fixed_depth: "the depth",
  change: "the change",
};

/* The ends of the slider: of whole numbers, or of real ones. */
function range({ name }) {
  const exits = classify.numExits;
  const classes = classify.labels.length;
  if (name === "patience" || name === "fixed_depth") return { least: 1, most: exits, step: 1 };
  const [least, most] = {
    fractional_entropy: [-1, 1],
    entropy: [0, Math.log(classes)],
    confidence: [1 / classes, 1],
    change: [0, Math.max(1, 2 * own.threshold)],
  }[name];
  return { least, most, step: (most - least) / STEPS };
}

function showPolicy() {
  const { least, most, step } = range(own);
  Object.assign($("threshold"), { min: least, max: most, step, value: own.threshold });
  $("policy").textContent = NAMES[own.name];
  const whole = step === 1;
  $("rule").textContent = own.below
    ? "It stops at the first exit below it, or else at the last."
    : `It stops at the first exit that ${whole ? "has" : "reaches"} it, or else at the last.`;
}

function setThreshold(threshold) {
  classify.policy = { ...own, threshold };
  answer();
}

// === Answers ===

/* Microseconds of a call, the mean of several, since clocks of browsers are coarse. */
function measured(text, pair) {
  let calls = 0;
  const start = performance.now();
  let end = start;
  while (end - start < MEASURED_MS) {
    classify(text, pair);
    calls += 1;
    end = performance.now();
  }
  return (1000 * (end - start)) / calls;
}

function answer() {
  if (!classify) return;
  const text = $("text").value;
  const pair = classify.readsPairs ? $("pair").value : undefined;
  const { threshold } = classify.policy;
  $("value").textContent = number(threshold);
  $("reset").disabled = threshold === own.threshold;
  if (!text.trim() || (pair !== undefined && !pair.trim())) {
    for (const id of ["label", "summary"]) $(id).textContent = "";
    $("summary").textContent = "Type a text, or take an example.";
    for (const id of ["exits", "legend"]) $(id).replaceChildren();
    return fail();
  }
  try {
    const said = classify.exits(text, pair);
    const microseconds = measured(text, pair);
    fail();
    showAnswer(said);
    showExits(said);
    $("time").replaceChildren(
      `${Math.round(microseconds).toLocaleString("en")} µs`,
      element("small", { textContent: `${Math.round(1e6 / microseconds).toLocaleString("en")} texts a second` }),
    );
    const left = classify.numExits - said.exit;
    $("saved").replaceChildren(
      `${left} of ${classify.numExits}`,
      element("small", { textContent: left ? "which were not computed" : "all were computed" }),
    );
  } catch (error) {
    fail(error);
  }
}

function showAnswer({ exit, exits, truncated }) {
  const { label, score, value } = exits[exit - 1];
  const isNumber = classify.answersNumber;
  $("label").textContent = isNumber ? number(value) : label;
  const where = `exit ${exit} of ${classify.numExits}`;
  const sure = isNumber ? `The number of ${where}.` : `${percent(score)} sure at ${where}.`;
  const cut = truncated ? ` Only the first ${classify.textLength} tokens were read.` : "";
  $("summary").textContent = `${sure} ${why(exit, exits)}${cut}`;
}

function why(exit, exits) {
  const { name, threshold, below } = classify.policy;
  const { policyScore } = exits[exit - 1];
  const passes = below ? policyScore < threshold : policyScore >= threshold;
  if (!passes) return "No exit passed the threshold, so it went to the last.";
  if (name === "fixed_depth") return "It stops where it is told to.";
  const relation = below ? "is below" : "reaches";
  return `It stops there, since ${NAMES[name]} of ${scored(policyScore)} ${relation} the threshold of ${number(threshold)}.`;
}

const scored = (score) => (Math.abs(score) > 1e8 ? "nearly nothing" : number(score));

function showExits({ exit, exits }) {
  const { name, threshold, below } = classify.policy;
  const rows = exits.map((said, i) => {
    const bar = classify.answersNumber ? numberBar(said) : classBar(said);
    if (name === "confidence") {
      const line = element("i", { className: "mark-line" });
      line.style.left = `${100 * threshold}%`;
      bar.append(line);
    }
    const passes = below ? said.policyScore < threshold : said.policyScore >= threshold;
    const sign = below ? (passes ? "<" : "≥") : passes ? "≥" : "<";
    const compared = `${scored(said.policyScore)} ${sign} ${number(threshold)}`;
    const last = i + 1 === exits.length ? "the last exit: stops here" : "goes on";
    const verdict = i + 1 > exit ? "left out; it would have said this" : passes ? "stops here" : last;
    const state = i + 1 === exit ? "taken" : i + 1 > exit ? "left-out" : "passed";
    return element("li", { className: state },
      element("span", { className: "name", textContent: `Exit ${i + 1}` }), bar,
      element("span", { className: "why", textContent: i + 1 > exit ? verdict : `${compared}: ${verdict}` }));
  });
  $("exits").replaceChildren(...rows);
  showLegend(exits[exit - 1]);
}

/* With more classes than colours, some share one. */
const colour = (label) => `class${classify.labels.indexOf(label) % COLOURS}`;

/* All classes beside each other, the most probable first, whose length is the confidence. */
function classBar({ probabilities }) {
  const ranked = [...probabilities].sort((a, b) => b.score - a.score);
  const parts = ranked.map(({ label, score }) => {
    const text = score > 0.2 ? `${label} ${percent(score)}` : "";
    const part = element("span", { className: colour(label), textContent: text, title: `${label} ${percent(score)}` });
    part.style.width = `${100 * score}%`;
    if (score < 0.2) part.style.padding = "0";
    return part;
  });
  return element("div", { className: "bar" }, ...parts);
}

function numberBar({ value }) {
  return element("div", { className: "bar" }, element("span", { className: "number", textContent: number(value) }));
}

function showLegend({ probabilities = [] }) {
  const ranked = [...probabilities].sort((a, b) => b.score - a.score);
  const items = ranked.slice(0, NAMED).map(({ label, score }) =>
    element("li", { className: colour(label), textContent: `${label} ${percent(score)}` }));
  const others = ranked.slice(NAMED);
  if (others.length) {
    const score = others.reduce((sum, one) => sum + one.score, 0);
    items.push(element("li", { className: "rest", textContent: `${others.length} others ${percent(score)}` }));
  }
  $("legend").replaceChildren(...items);
}

// === The page itself ===

showModels();
for (const id of ["text", "pair"]) $(id).addEventListener("input", answer);
$("threshold").addEventListener("input", ({ target }) => setThreshold(target.valueAsNumber));
$("reset").addEventListener("click", () => {
  $("threshold").value = own.threshold;
  setThreshold(own.threshold);
});
$("file").addEventListener("change", ({ target }) => target.files[0] && useFile(target.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").hidden = true;
});
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").hidden = true;
  const [file] = event.dataTransfer.files;
  if (file) useFile(file);
});
const first = document.querySelector('#models input[value="sst2-minilm"]') ?? document.querySelector("#models input");
first.checked = true;
useNamed(first.value);
