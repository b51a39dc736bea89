// Every page in Chromium: at the width of a phone and of a desk, light and dark, by mouse and by keyboard. Started by ./run.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const { MOECAP, CHROMIUM, TOOLS, WORK, SHOTS } = process.env;
const { chromium } = await import(join(TOOLS, "playwright-core", "index.mjs"));
const base = readFileSync(join(WORK, "url"), "utf8").trim();
const mock = readFileSync(join(WORK, "mock"), "utf8").trim();
const token = readFileSync(join(WORK, "serve.out"), "utf8").match(/#token=([0-9a-f]+)/)[1];
const kPatienceMs = 60_000; // only ends a test that would hang

const quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const context = await chromium.launchPersistentContext(mkdtempSync(join(WORK, "profile-")), {
  executablePath: CHROMIUM,
  headless: true,
  args: quiet,
  viewport: { width: 1440, height: 900 },
});
context.setDefaultTimeout(kPatienceMs);
const page = context.pages()[0] ?? (await context.newPage());
const complaints = [];
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(error.message));

const engine = "h200-engine-qwen3-30b-a3b";
const run = readdirSync(join(WORK, "results")).find((name) => name.includes(engine));
const other = readdirSync(join(WORK, "results")).find((name) => name.includes("h200-engine-mixtral"));
let shots = 0;

async function go(path) {
  await page.goto(base + path);
}

// Asks the page until it says yes; page.waitForFunction would need what its policy forbids.
async function until(predicate, argument, what = String(predicate)) {
  for (const end = Date.now() + kPatienceMs; Date.now() < end; await new Promise((done) => setTimeout(done, 50)))
    if (await page.evaluate(predicate, argument)) return;
  assert.fail(`never came: ${what}`);
}

async function shoot(name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${String(++shots).padStart(2, "0")}-${name}.png`), fullPage: true });
}

// What a page must be in every dress.
async function checkPage(name) {
  const { over, charts, empty, headings, dark, unnamed } = await page.evaluate(() => {
    const light = (color) => color.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
    const marks = ".dot,.hollow,.bar,.line,.area,.band,.thin,.roof,.step,[class*=' h'],[class^='h']";
    const charts = [...document.querySelectorAll("figure svg.chart")];
    return {
      over: document.documentElement.scrollWidth - window.innerWidth,
      charts: charts.length,
      empty: charts.filter((chart) => !chart.querySelector(marks)).map((chart) => chart.textContent.slice(0, 60)),
      headings: document.querySelectorAll("h1").length,
      dark: light(getComputedStyle(document.body).backgroundColor) < light(getComputedStyle(document.body).color),
      unnamed: [...document.querySelectorAll("input:not([type=hidden]),select,button,a,summary")]
        .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim())).length,
    };
  });
  assert.ok(over <= 0, `${name}: ${over} px wider than the window`);
  assert.deepEqual(empty, [], `${name}: charts without data`);
  assert.equal(unnamed, 0, `${name}: controls without a name`);
  assert.equal(headings, 1, `${name}: one main heading`);
  assert.deepEqual(complaints, [], `${name}: the browser complains`);
  return { charts, dark };
}

const pages = {
  leaderboard: ["/", 4],
  runs: ["/runs", 0],
  run: [`/runs/${run}`, 4],
  compare: [`/compare?cell=${run}&cell=${other}&by=model&force=1`, 4],
  live: ["/live", 4],
  nothing: ["/compare", 0],
  plan: ["/plan", 1],
  import: ["/import", 0],
};
async function everyPageInEveryDress() {
  for (const width of [390, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    for (const [name, [path, fewest]] of Object.entries(pages)) {
      await go(path);
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        const { charts, dark } = await checkPage(`${name}, ${width} px, ${colorScheme}`);
        assert.ok(charts >= fewest, `${name}: ${charts} charts`);
        assert.equal(dark, colorScheme === "dark", `${name}: ${colorScheme}`);
        await shoot(`${name}-${width}-${colorScheme}`);
      }
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
}

async function leaderboardByMouse() {
  await go("/");
  const rows = page.locator(".board tbody tr");
  const before = await rows.count();
  await page.fill("#filters input[name=q]", "mixtral");
  await until((count) => document.querySelectorAll(".board tbody tr").length < count, before);
  assert.match(page.url(), /q=mixtral/, "a state is a link");
  for (const text of await rows.allTextContents()) assert.match(text, /mixtral/i);
  await page.click('.board thead a:has-text("TPOT")');
  await page.waitForSelector(".board th[aria-sort=ascending]");
  assert.match(page.url(), /sort=tpot_mean_s/);
  await page.reload();
  assert.equal(await page.inputValue("#filters select[name=sort]"), "tpot_mean_s", "the link brings the state back");
  await page.click(".columns summary");
  await page.check(".boxes input[value=power_w]");
  await page.waitForSelector('.board thead :text("power")');
}

// Nothing but keys: filter, walk, choose two cells, compare them.
async function compareByKeyboard() {
  await go("/");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip", "the first stop skips the navigation");
  await page.locator("body").click({ position: { x: 5, y: 400 } });
  await page.keyboard.press("/");
  await page.keyboard.type(`${engine} BF16`);
  await until((name) => {
    const rows = [...document.querySelectorAll(".board tbody tr")];
    return rows.length > 1 && rows.every((row) => row.querySelector("a").href.includes(name));
  }, engine);
  await page.keyboard.press("Tab");
  await page.evaluate(() => document.activeElement.blur());
  for (const key of ["j", "x", "j", "x"]) await page.keyboard.press(key);
  await until(() => document.querySelector("#chosen").textContent === "2 chosen");
  await page.locator("#compare button").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/compare\?cell=/);
  const ids = await page.evaluate(() => [...document.querySelectorAll("svg.chart")].map((chart) => chart.getAttribute("aria-labelledby") ?? chart.id));
  for (const wanted of ["cap-radar", "pareto-cost-performance", "roofline", "expert-share", "by-level"])
    assert.ok(ids.some((id) => id.includes(wanted)), `compare draws ${wanted}: ${ids}`);
  await checkPage("chosen cells compared");
  await page.evaluate(() => sessionStorage.clear());
}

async function exportsOfARun() {
  await go(`/runs/${run}`);
  await page.click(".menu summary");
  for (const name of ["Report, one file", "CSV", "JSON", "roofline.svg"]) {
    const download = page.waitForEvent("download");
    await page.click(`.menu a:text-is("${name}")`);
    const file = join(WORK, "download");
    await (await download).saveAs(file);
    assert.ok(readFileSync(file).length > 500, name);
  }
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".menu[open]").count(), 0, "Escape closes the menu");
}

async function plannerBySlider() {
  await go("/plan?model=Qwen/Qwen3-30B-A3B&clients=16");
  const before = await page.textContent("#answer h1");
  const slider = page.locator("label.slide:has(input[name=clients]) input[type=range]");
  await slider.focus();
  for (let i = 0; i < 8; ++i) await page.keyboard.press("PageUp");
  await until((text) => document.querySelector("#answer h1")?.textContent !== text, before);
  assert.ok(Number(await page.inputValue("input[name=clients]")) > 16);
  await page.waitForURL(/clients=(?!16&)/);
  await page.fill("input[name=tpot]", "never");
  await page.waitForSelector("#answer .alarm");
  complaints.length = 0; // the browser notes the answer 400
}

// Measures the simulated server; `ended` comes with the exit code.
function startLoad(requests, resultsDir) {
  const lengths = ["--input-tokens", "64", "--output-tokens", "32"];
  const load = spawn(MOECAP, ["load", mock, "--clients", "2", "--requests", String(requests), "--warmup", "2", ...lengths,
    "--repeats", "1", "--results-dir", resultsDir], { stdio: "ignore" });
  return { load, ended: new Promise((done) => load.on("exit", done)) };
}

// A page that is open shows a run when it begins, and how it ends: by events, and where those are held back by asking.
async function aRunLive() {
  for (const held of [false, true]) {
    if (held) await page.route("**/api/events*", (route) => route.abort());
    await go("/live");
    const shown = await page.locator("#running .live").count();
    const { ended } = startLoad(held ? 40 : 12, join(WORK, "results"));
    await until(() => /[1-9]\d* of \d+ requests/.test(document.querySelector("#running").textContent));
    assert.equal(await page.locator("#running .live").count(), shown + 1);
    if (!held) await shoot("live");
    assert.equal(await ended, 0);
    if (!held) await until(() => document.querySelector("#running .live .complete"));
    else await until((count) => document.querySelectorAll("#running .live").length === count, shown);
    await page.unroute("**/api/events*");
    complaints.length = 0; // the browser notes what was held back
  }
}

async function importWithTheToken() {
  const elsewhere = join(WORK, "elsewhere");
  assert.equal(await startLoad(2, elsewhere).ended, 0);
  const brought = readdirSync(elsewhere).find((name) => name.endsWith("-load"));
  await go(`/import#token=${token}`);
  await until(() => !location.hash, "the token leaves the address");
  await page.setInputFiles("input[name=folder]", join(elsewhere, brought));
  await page.waitForSelector("#said a, #said.failed");
  assert.match(await page.textContent("#said"), /is imported/);
  await page.click("#said a");
  assert.equal((await checkPage("the run that was brought")).charts > 0, true);
  await go("/import");
  writeFileSync(join(WORK, "bad.json"), "{}");
  await page.setInputFiles("input[name=files]", join(WORK, "bad.json"));
  await page.waitForSelector("#said.failed");
  complaints.length = 0;
}

try {
  for (const part of [everyPageInEveryDress, leaderboardByMouse, compareByKeyboard, exportsOfARun, plannerBySlider, aRunLive, importWithTheToken]) {
    const start = Date.now();
    await part();
    console.log(`ok ${part.name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  }
} finally {
  await context.close();
}
