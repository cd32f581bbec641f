// Shows every page in a folder to a headless browser, on a phone and on a desk, light and dark. A page must fit, want
// nothing from anywhere and run nothing; axe must find no fault; and Tab must get through it. Pictures are kept in
// the folder `pictures`.
//
// node check.mjs BROWSER FOLDER

import { mkdir, readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const WIDTHS = [400, 1400];
const SCHEMES = ["light", "dark"];
// The longest side of a picture that the browser makes.
const TALLEST = 16000;

const [browserPath, folder] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const names = (await readdir(folder)).filter((name) => name.endsWith(".html")).sort();
if (names.length === 0) {
  throw new Error(`there is no page in ${folder}`);
}
await mkdir("pictures", { recursive: true });

// Root cannot have the browser's own sandbox; these pages are ours.
const browser = await puppeteer.launch({
  executablePath: browserPath,
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const faults = [];
let shown = 0;
try {
  for (const name of names) {
    for (const width of WIDTHS) {
      for (const scheme of SCHEMES) {
        const found = await look(name, width, scheme);
        faults.push(...found.map((fault) => `${name}, ${width}, ${scheme}: ${fault}`));
        shown += 1;
      }
    }
  }
} finally {
  await browser.close();
}
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
console.log(`${names.length} pages, shown ${shown} times: no fault`);

async function look(name, width, scheme) {
  const faults = [];
  const page = await browser.newPage();
  const url = pathToFileURL(path.resolve(folder, name)).href;
  page.on("request", (request) => {
    if (request.url().split("#")[0] !== url) {
      faults.push(`it wants ${request.url()}`);
    }
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(url);
  if ((await page.$("script")) !== null) {
    faults.push("it has a script");
  }
  faults.push(...(await fits(page)));
  const picture = path.join("pictures", `${path.basename(name, ".html")}-${width}-${scheme}.png`);
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const clip = { x: 0, y: 0, width, height: Math.min(height, TALLEST) };
  await page.screenshot({ path: picture, clip, captureBeyondViewport: true });
  faults.push(...(await keyboard(page)));
  // What is folded is looked at as well.
  await page.evaluate(() => {
    for (const one of document.querySelectorAll("details")) {
      one.open = true;
    }
  });
  faults.push(...(await fits(page)));
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  for (const violation of violations) {
    const places = violation.nodes.slice(0, 3).map((node) => node.target.join(" "));
    faults.push(`axe: ${violation.id}: ${violation.help}: ${places.join(", ")}`);
  }
  await page.close();
  return faults;
}

// Nothing goes beyond the right edge.
async function fits(page) {
  return page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    const wide = [...document.querySelectorAll("body *:not(.skip)")].filter(
      (one) => one.getBoundingClientRect().right > room + 1,
    );
    const shown = wide.slice(0, 3).map((one) => `<${one.tagName.toLowerCase()}> ${one.textContent.trim().slice(0, 40)}`);
    return shown.map((one) => `wider than the screen: ${one}`);
  });
}

// The first stop of Tab is the link past the header, which shows then; the next ones are in the order of the page.
async function keyboard(page) {
  const faults = [];
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => {
    const box = document.activeElement.getBoundingClientRect();
    return { name: document.activeElement.className, left: box.left };
  });
  if (first.name !== "skip" || first.left < 0) {
    faults.push("the first stop of Tab is not the link past the header, or does not show");
  }
  let last = -1;
  for (let stop = 0; stop < 8; stop += 1) {
    await page.keyboard.press("Tab");
    const place = await page.evaluate(() =>
      [...document.querySelectorAll("a, summary")].indexOf(document.activeElement),
    );
    if (place < 0) {
      break;
    }
    if (place <= last) {
      faults.push("Tab goes back");
    }
    last = place;
  }
  return faults;
}
