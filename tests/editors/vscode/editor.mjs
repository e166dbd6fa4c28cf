// What a person does in VS Code, in a headless Chromium.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const CHROMIUM = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const SECONDS_TO_OPEN = 60;

export class Editor {
  /** `patience` is how long, in milliseconds, anything may take that is waited for. */
  constructor({ host, chromium, port, folder, shots, patience }) {
    Object.assign(this, { host, chromium, port, folder, shots, patience });
  }

  async open() {
    const { chromium } = createRequire(join(this.host, 'host', 'package.json'))('playwright-core');
    this.browser = await chromium.launch({ executablePath: this.chromium, headless: true, args: CHROMIUM });
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 } });
    this.page = await context.newPage();
    this.page.setDefaultTimeout(this.patience);
    await this.goto(`folder=${encodeURIComponent(this.folder)}`);
  }

  /** Opens a window for what the query names. On a busy machine one stays empty now and then: then it is opened again. */
  async goto(query) {
    const open = async () => {
      await this.page.goto(`http://127.0.0.1:${this.port}/?${query}`, { timeout: SECONDS_TO_OPEN * 1000 });
      await this.page.waitForSelector('.explorer-folders-view .monaco-list-row', { timeout: SECONDS_TO_OPEN * 1000 });
    };
    await open().catch(open);
  }

  async close() {
    await this.browser?.close();
  }

  locator(selector, options) {
    return this.page.locator(selector, options);
  }

  // -- files

  path(name) {
    return join(this.folder, name);
  }

  write(name, text) {
    writeFileSync(this.path(name), text);
  }

  read(name) {
    return readFileSync(this.path(name), 'utf8');
  }

  /** Opens a file, or one in a folder of the workspace, that has been there from the beginning: where VS Code has no
   * native modules it watches no files. */
  async show(...names) {
    const row = (each) => this.locator('.explorer-folders-view .monaco-list-row').getByText(each, { exact: true });
    const name = names.pop();
    for (const folder of names) {
      await row(folder).click();
      // A click opens or closes it; this only opens it.
      await this.page.keyboard.press('ArrowRight');
    }
    await row(name).dblclick();
    await this.locator('.tab.active', { hasText: name }).waitFor();
  }

  async closeAll() {
    await this.page.keyboard.press('Escape');
    await this.page.keyboard.press('Escape');
    await this.command('View: Revert and Close Editor', { optional: true });
    await this.command('View: Close All Editors');
    const discard = this.locator('.monaco-dialog-box .monaco-button', { hasText: "Don't Save" });
    if (await discard.isVisible().catch(() => false)) {
      await discard.click();
    }
  }

  /** Saves, and waits until the file has a text that satisfies `holds`. */
  async saves(name, holds) {
    await this.page.keyboard.press('Control+S');
    await this.until(`${name} to be saved as wanted`, () => holds(this.read(name)), () => this.read(name));
  }

  // -- doing

  /** Runs a command from the palette. */
  async command(title, { optional = false } = {}) {
    await this.ask('F1', `>${title}`);
    // The row with this very text: the first one may be another that was used of late.
    const rows = this.locator('.quick-input-list .monaco-list-row .label-name');
    const row = rows.filter({ hasText: new RegExp(`^${title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`) }).first();
    try {
      await row.click({ timeout: optional ? 1000 : this.patience });
    } catch (error) {
      await this.page.keyboard.press('Escape');
      if (!optional) {
        throw error;
      }
    }
  }

  /** Opens the palette with a key and writes into it. While an earlier one closes the key is lost. */
  async ask(key, text) {
    const input = this.locator('.quick-input-widget input').first();
    await this.until(`the palette after ${key}`, async () => {
      await this.page.keyboard.press(key);
      return input.fill(text, { timeout: 1500 }).then(() => true, () => false);
    });
  }

  /** Puts the cursor into the text, at a line and column from 1. */
  async goTo(line, column) {
    await this.ask('Control+G', `:${line}:${column}`);
    await this.locator('.quick-input-list .monaco-list-row', { hasText: `line ${line} at column ${column}` }).click();
    await this.at(line, column);
  }

  /** Waits until the cursor is at a line, and a column if one is given. */
  async at(line, column) {
    const item = this.locator('.statusbar-item[id="status.editor.selection"]');
    await item.filter({ hasText: new RegExp(`Ln ${line}, Col ${column ?? '\\d+'}\\b`) }).waitFor();
  }

  /** The entry of the menu of quick fixes that begins with a text, once the menu is open. */
  async fixes(title) {
    const entry = this.locator('.action-widget .monaco-list-row.action', { hasText: title });
    // A hint that comes while the menu opens closes it.
    await this.until(`the fix ${title}`, async () => {
      if (!(await entry.isVisible())) {
        await this.page.keyboard.press('Control+.');
      }
      return entry.waitFor({ timeout: 2500 }).then(() => true, () => false);
    });
    return entry;
  }

  /** Clicks on the text that something is drawn around. */
  async clickOn(target) {
    const { x, y } = await this.middle(target);
    await this.page.mouse.click(x, y);
  }

  async middle(target) {
    const { x, y, width, height } = await target.boundingBox();
    return { x: x + width / 2, y: y + height / 2 };
  }

  /** Rests the pointer on something and gives the hover that opens. */
  async hover(target) {
    const { x, y } = await this.middle(target);
    await this.page.mouse.move(x, y, { steps: 3 });
    const hover = this.locator('.monaco-hover:visible .monaco-hover-content').first();
    await hover.waitFor();
    return hover;
  }

  /** Acts while the user's settings are these besides others, as set in their file. */
  async withSettings(settings, act) {
    const before = readFileSync(this.settings, 'utf8');
    const set = async (text) => {
      await this.command('Preferences: Open User Settings (JSON)');
      await this.locator('.tab.active', { hasText: 'settings.json' }).waitFor();
      await this.locator('.view-line', { hasText: 'workbench.startupEditor' }).click();
      await this.page.keyboard.press('Control+A');
      await this.page.keyboard.insertText(text);
      await this.page.keyboard.press('Control+S');
      await this.until('the settings to be saved', () => readFileSync(this.settings, 'utf8') === text);
      await this.command('View: Close Editor');
    };
    await set(JSON.stringify({ ...JSON.parse(before), ...settings }));
    try {
      await act();
    } finally {
      await set(before);
    }
  }

  // -- seeing

  squiggle(kind = 'error') {
    return this.locator(`.monaco-editor .cdr.squiggly-${kind}`);
  }

  async squiggles(count, kind = 'error') {
    await this.until(`${count} squiggles`, async () => (await this.squiggle(kind).count()) === count,
      async () => `there are ${await this.squiggle(kind).count()}`);
  }

  /** What the webview shows that was opened last. */
  webview() {
    return this.page.frameLocator('iframe.webview.ready').last().frameLocator('iframe#active-frame');
  }

  async text(locator) {
    return (await locator.innerText()).replaceAll('\u00a0', ' ');
  }

  /** Waits until `holds` is true. */
  async until(what, holds, instead = () => '') {
    const end = Date.now() + this.patience;
    while (!(await holds())) {
      if (Date.now() > end) {
        throw new Error(`waited in vain for ${what}: ${await instead()}`);
      }
      await this.page.waitForTimeout(50);
    }
  }

  /** A picture of the window, or of a part of it. */
  async shoot(name, clip) {
    await this.page.screenshot({ path: join(this.shots, `${name}.png`), clip });
  }
}
