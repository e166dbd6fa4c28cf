// Reads the site in Chromium as a visitor does. The environment says where everything is (test_playground.py); what came of
// each step goes to $REPORT as JSON.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { env } = process;
const { chromium } = await import(pathToFileURL(join(env.HOST, 'host/node_modules/playwright-core/index.mjs')).href);
const SITE = env.SITE;
const PATIENCE = 120_000;
const DETACHED = `import torch

model = torch.nn.Linear(3, 1)
prediction = model(torch.randn(8, 3)).detach()
loss = prediction.pow(2).mean()
loss.backward()
`;

const browser = await chromium.launch({ executablePath: env.CHROMIUM, args: ['--no-sandbox'] });
const requests = [];
const errors = [];

/** A page of the site, in a browser that has seen nothing of it yet. */
async function opened(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1300, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  context.on('request', (request) => requests.push(request.url()));
  context.on('weberror', (error) => errors.push(error.error().message));
  context.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  return next(context, path);
}

/** A page of the site beside others. */
async function next(context, path) {
  const page = await context.newPage();
  await page.goto(SITE + path);
  return page;
}

/** Replace the program, through the clipboard. */
async function paste(page, text) {
  await page.evaluate((copied) => navigator.clipboard.writeText(copied), text);
  await page.locator('.cm-content').focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Control+V');
}

/** The mouse over the name at the beginning of a line tells this. */
async function told(page, line, what) {
  const { x, y } = await page.locator('.cm-line', { hasText: line }).boundingBox();
  const about = page.locator('.about', { hasText: what }).first();
  for (let tries = 0; !(await about.isVisible()); tries += 1) {
    assert.ok(tries < 60, 'nothing is told');
    await page.mouse.move(x + 20 + (tries % 5), y + 8);
    await about.waitFor({ timeout: 2000 }).catch(() => undefined);
  }
}

const found = (page, name) => page.locator('.finding .head', { hasText: name });
const code = (page) => page.evaluate(() => [...document.querySelectorAll('.cm-line')].map((line) => line.textContent).join('\n'));
const until = (page, check, argument) => page.waitForFunction(check, argument);
const play = await opened('playground/');

const steps = {
  async 'a sample is checked'() {
    await found(play, 'written-before-backward').waitFor();
    assert.equal(await play.locator('.finding').count(), 4);
  },

  async 'what is pasted is checked'() {
    await paste(play, DETACHED);
    await until(play, () => document.querySelectorAll('.finding').length === 1);
    await found(play, 'detached-loss').waitFor();
    assert.match(await play.locator('.finding .story').innerText(), /line 6/);
    assert.equal(await play.locator('.cm-lintRange-error').first().textContent(), 'model(torch.randn(8, 3)).detach()');
    assert.match(await play.locator('.note.cut').first().textContent(), /no gradient: detach/);
    assert.equal(await play.locator('.lens').first().textContent(), 'no gradient: this raises');
  },

  async 'the mouse over a name tells of its gradient'() {
    await told(play, 'loss = prediction', /loss does not require grad/);
  },

  async 'the tensors are listed'() {
    await play.getByRole('tab', { name: 'Tensors' }).click();
    const row = play.locator('.tensors tr', { hasText: 'model(torch.randn(8, 3))' }).first();
    await row.waitFor();
    assert.match(await row.innerText(), /requires grad/);
  },

  async 'the gradient is drawn, and a box leads to its line'() {
    await play.getByRole('tab', { name: 'Picture' }).click();
    const cut = play.locator('svg.picture a.cut').first();
    await cut.waitFor();
    assert.equal(await play.locator('svg.picture a.lost.parameters').count(), 1);
    await cut.click();
    assert.match(await play.evaluate(() => String(getSelection())), /model\(torch.randn\(8, 3\)\)\.detach/);
  },

  async 'a fix is made where it is asked for'() {
    await play.getByRole('tab', { name: 'Findings' }).click();
    await play.locator('.fixes button').first().click();
    await until(play, () => document.querySelector('.panel .nothing')?.textContent === 'No findings.');
    assert.ok((await code(play)).includes('prediction = model(torch.randn(8, 3))\n'));
  },

  async 'all safe fixes are made'() {
    await play.locator('select').first().selectOption('GRD201 written-before-backward');
    await found(play, 'written-before-backward').waitFor();
    await play.getByRole('button', { name: 'Make all safe fixes' }).click();
    await until(play, () => document.querySelector('.panel .nothing')?.textContent === 'No findings.');
    assert.ok((await code(play)).includes('out = out + x'));
  },

  async 'a link holds the program'() {
    await paste(play, `${DETACHED}# größer 😀\n`);
    await found(play, 'detached-loss').waitFor();
    await play.getByRole('button', { name: 'Share' }).click();
    await until(play, () => location.hash.startsWith('#code='));
    const other = await next(play.context(), `playground/${new URL(play.url()).hash}`);
    await other.locator('.cm-line', { hasText: 'größer' }).waitFor();
    assert.ok((await code(other)).includes('# größer 😀'));
    await other.close();
  },

  async 'the page of a rule leads there with its example'() {
    const rule = await next(play.context(), 'rules/GRD201/');
    await rule.locator('a.try').first().click();
    await found(rule, 'written-before-backward').waitFor();
    assert.ok((await code(rule)).includes('out += x'));
    await rule.close();
  },

  async 'what does not parse is said, and the rest is checked'() {
    await paste(play, `${DETACHED}\ndef f(:\n`);
    await play.locator('.finding.problem').waitFor();
  },

  async 'a program is never HTML'() {
    for (const evil of ['<img src=x onerror=window.hacked=1>', '`![](https://elsewhere.example)', '`<b onclick=hacked>']) {
      await paste(play, `import torch\n\nw = torch.ones(2, requires_grad=True)\nd = {"${evil}": w}\n`
        + `loss = d["${evil}"].detach().sum()\nloss.backward()\n`);
      const word = evil.replace(/.*?(onerror|elsewhere|onclick).*/, '$1');
      await play.locator('.finding', { hasText: word }).waitFor();
      await told(play, '.detach().sum()', new RegExp(word));
    }
    await play.getByRole('tab', { name: 'Picture' }).click();
    await play.locator('svg.picture a.cut').first().waitFor();
    await play.getByRole('tab', { name: 'Findings' }).click();
    assert.equal(await play.evaluate(() => window.hacked), undefined);
    assert.equal(await play.locator('#gradls-playground :is(.said, .about) :is(img:not([class^="cm-"]), b)').count(), 0);
  },

  async 'a program that is too deep for Python does not end it'() {
    await paste(play, `x = ${'('.repeat(3000)}1${')'.repeat(3000)}\n`);
    await play.locator('.finding.problem, .status.failed').first().waitFor();
    assert.equal(await found(play, 'detached-loss').count(), 0);
    await paste(play, DETACHED);
    await found(play, 'detached-loss').waitFor();
    errors.length = 0; // Python may have ended, and was started anew
  },

  async 'a browser without WebAssembly is told so'() {
    const page = await opened('');
    await page.context().addInitScript(() => { delete globalThis.WebAssembly; });
    await page.goto(`${SITE}playground/`);
    await page.getByText('This browser has no WebAssembly').waitFor();
    await page.context().close();
  },

  async 'the search finds a message of PyTorch'() {
    const page = await opened('installation/');
    await page.locator('input.md-search__input').pressSequentially('modified by an inplace operation');
    await page.locator('.md-search-result__link[href*="rules/GRD"], .md-search-result__link[href*="errors"]').first().waitFor();
    await page.context().close();
  },

  async 'pages fit a telephone'() {
    const page = await opened('', { viewport: { width: 390, height: 800 }, colorScheme: 'dark' });
    for (const path of ['', 'rules/GRD201/', 'errors/', 'configuration/', 'command-line/', 'editors/neovim/', 'playground/']) {
      await page.goto(SITE + path);
      const [wide, narrow] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(wide <= narrow, `${path} is ${wide} pixels wide`);
    }
    await page.context().close();
  },

  async 'nothing is asked of other servers'() {
    assert.ok(requests.some((address) => address.endsWith('.wasm')));
    assert.deepEqual(requests.filter((address) => !address.startsWith(SITE) && !/^(data|blob):/.test(address)), []);
    assert.deepEqual(errors, []);
  },
};

const report = {};
for (const [name, step] of Object.entries(steps)) {
  const began = Date.now();
  try {
    await step();
    report[name] = null;
  } catch (error) {
    report[name] = String(error.message ?? error);
    await play.screenshot({ path: join(env.SHOTS, `failed-${Object.keys(report).length}.png`) }).catch(() => undefined);
    break;
  } finally {
    console.log(name, report[name] ?? 'done', Date.now() - began);
  }
}
writeFileSync(env.REPORT, JSON.stringify({ report, steps: Object.keys(steps), errors }));
await browser.close();
