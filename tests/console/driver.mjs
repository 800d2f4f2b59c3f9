// Drives the console in a real headless Chromium: one scenario, named by the first argument, with what it needs to know (JSON) as the second.
// Whatever a scenario does, nothing may be asked of another origin, no script may run that the console has not, and no page may fail.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [, , name, json] = process.argv;
const known = JSON.parse(json);
const { chromium } = createRequire(`${known.modules}/`)("playwright-core");
const { scenarios } = await import("./scenarios.mjs");

const browser = await chromium.launch({ executablePath: known.chromium, args: ["--no-sandbox", "--disable-gpu"] });
const problems = [];
const pages = [];
// A page that says what is wrong with an address is an error to the browser.
const expected = [/Failed to load resource: the server responded with a status of (400|401|403|404|409|429)/];

/** A browser of its own, with nobody signed in. */
async function visitor(options = {}) {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 900 }, ...options });
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`));
  });
  context.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(known.url).origin) problems.push(`asked ${request.url()}`);
    // The key travels once, in the form that signs in; no address shows one.
    if (request.url().includes("rk_")) problems.push(`a key in ${request.url()}`);
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => problems.push(`a script failed: ${error}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !expected.some((one) => one.test(message.text()))) problems.push(message.text());
  });
  page.setDefaultTimeout(45_000);
  pages.push(page);
  return page;
}

/** Signs in, and ends on the overview. */
async function signIn(page, key = known.key) {
  await page.goto(`${known.url}/console`);
  await page.getByLabel(/API key|API 密钥/).fill(key);
  await page.locator("main button").click();
  await page.locator("#figures").waitFor();
  await page.waitForLoadState();
}

/** Follows a link, or sends a form, and ends when the page that it leads to is whole: a click does not wait for it. */
async function follow(page, control) {
  const here = page.url();
  await control.click();
  await page.waitForURL((url) => url.href !== here);
}

/** Looks at a page for what somebody else's text could have done. */
async function unharmed(page) {
  assert.equal(await page.evaluate(() => window.pwned), undefined, `somebody else's text ran on ${page.url()}`);
  assert.equal(await page.locator("iframe, object, embed, img, [onerror], [onload], [style*=expression]").count(), 0, page.url());
}

try {
  await scenarios[name]({ known, visitor, signIn, follow, unharmed, assert, expect: (message) => expected.push(message) });
  assert.deepEqual(problems, []);
} catch (error) {
  console.error(error, problems);
  for (const page of pages) {
    const shown = await page.locator("main").innerText({ timeout: 1_000 }).catch(String);
    console.error(`${page.url()} shows:\n${shown.slice(0, 1_000)}`);
  }
  process.exitCode = 1;
} finally {
  await browser.close();
}
