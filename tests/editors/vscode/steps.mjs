// What the extension promises, step by step. Each begins with no file open.
import { mkdirSync, readFileSync } from 'node:fs';
import { both, detached, notebook, raised, stacked, swapped } from './programs.mjs';

const DETACHED = /^`model\(x\)\.detach\(\)` cuts the value off from its gradient: no gradient can reach the parameters of `model`/;

/** The files that there are: those that a step wants to be otherwise it writes before it opens them. */
export const files = ['all.py', 'error.log', 'fix.py', 'picture.py', 'save.py', 'train.ipynb', 'train.py'];

export const steps = {
  async squiggle(editor, assert) {
    editor.write('train.py', detached);
    await editor.show('train.py');
    await editor.squiggles(1);
    await editor.command('Problems: Focus on Problems View');
    const row = editor.locator('.markers-panel .monaco-list-row', { hasText: 'cuts the value off' });
    await row.waitFor();
    const text = (await editor.text(row)).replace(/\s+/g, ' ');
    assert.match(text, DETACHED);
    assert.match(text, /gradls GRD101 \[Ln 9, Col 14\]/);
    const status = editor.locator('.statusbar-item[id$="gradls"]');
    assert.match(await status.getAttribute('aria-label'), /version \d+\.\d+\.\d+ from the selected environment/);
    await editor.shoot('problems', { x: 352, y: 36, width: 924, height: 610 });
    await editor.command('View: Hide Panel');
  },

  async hover(editor, assert) {
    editor.write('train.py', detached);
    await editor.show('train.py');
    await editor.squiggles(1);
    const hover = await editor.hover(editor.squiggle());
    await editor.until('the words of the server', async () => (await editor.text(hover)).includes('A loss, a term'));
    await editor.shoot('hover', { x: 352, y: 36, width: 924, height: 490 });
    assert.match(await editor.text(hover), DETACHED);
  },

  async rule(editor) {
    editor.write('train.py', detached);
    await editor.show('train.py');
    await editor.squiggles(1);
    const hover = await editor.hover(editor.squiggle());
    await hover.locator('a', { hasText: 'GRD101' }).first().click();
    await editor.locator('.tab.active', { hasText: 'detached-loss' }).waitFor();
    await rulePage(editor).waitFor();
    await editor.shoot('rule');
    await editor.command('View: Close Editor');
    const words = await editor.hover(editor.squiggle());
    await words.locator('a', { hasText: 'GRD101 detached-loss' }).click();
    await rulePage(editor).waitFor();
    await editor.command('View: Close Editor');
    await editor.command('Go to Next Problem (Error, Warning, Info)');
    await editor.page.keyboard.press('Escape');
    await (await editor.fixes('Open the documentation of detached-loss')).click();
    await rulePage(editor).waitFor();
  },

  async 'fix: remove .detach()'(editor) {
    await mended(editor, detached, 'Remove the detaching call', detached.replace('.detach()', ''));
  },

  async 'fix: swap the arguments'(editor) {
    await mended(editor, swapped, 'Swap the arguments', swapped.replace('labels, model(x))', 'model(x), labels)'));
  },

  async 'fix: torch.stack'(editor) {
    await mended(editor, stacked, 'Use `torch.stack`', stacked.replace('torch.tensor(', 'torch.stack('), 'fix');
  },

  async suppress(editor) {
    const ignored = detached.replace('.detach()', '.detach()  # gradls: ignore[detached-loss]');
    await mended(editor, detached, 'Ignore detached-loss on this line', ignored);
  },

  async 'fix-all by command'(editor, assert) {
    editor.write('all.py', both);
    await editor.show('all.py');
    await editor.squiggles(2);
    await editor.command('gradls: Make all safe fixes in this file');
    await editor.squiggles(0);
    await editor.saves('all.py', (text) => text === allMended);
  },

  async 'fix-all on save'(editor) {
    editor.write('save.py', both);
    await editor.withSettings({ 'editor.codeActionsOnSave': { 'source.fixAll.gradls': 'explicit' } }, async () => {
      await editor.show('save.py');
      await editor.squiggles(2);
      await editor.saves('save.py', (text) => text === allMended);
    });
  },

  async picture(editor, assert) {
    editor.write('picture.py', detached);
    await editor.show('picture.py');
    await editor.squiggles(1);
    await editor.locator('.codelens-decoration a', { hasText: 'no gradient' }).first().click();
    const page = editor.webview();
    const cut = page.locator('a.box.cut');
    await cut.waitFor();
    await editor.shoot('picture', { x: 352, y: 36, width: 924, height: 732 });
    await cut.click();
    await editor.at(9, '\\d+ \\(17 selected');
    await page.locator('li.shown').waitFor();
    await page.locator('li.end').locator('a[href^="file:"]').first().click();
    await editor.at(11);
    // It follows edits.
    await editor.goTo(9, 31);
    for (const _ of '.detach()') {
      await editor.page.keyboard.press('Backspace');
    }
    await page.locator('header', { hasText: 'reaches 2 of 2 parameters' }).waitFor();
    assert.equal(await cut.count(), 0);
  },

  async settings(editor, assert) {
    editor.write('train.py', detached);
    await editor.show('train.py');
    await editor.squiggles(1);
    await editor.withSettings({ 'gradls.config.ignore': ['GRD101'], 'gradls.hints': 'all' }, async () => {
      await editor.squiggles(0);
      assert.equal(await editor.locator('.notification-list-item').count(), 0);
      await editor.locator('.view-line', { hasText: /^loss\s*no.gradient/ }).first().waitFor();
    });
    await editor.squiggles(1);
  },

  async sample(editor) {
    await editor.command('gradls: Open a sample with lost gradients');
    await editor.squiggles(2);
    await editor.squiggles(2, 'warning');
  },

  async commands(editor, assert) {
    editor.write('train.py', detached);
    await editor.show('train.py');
    await editor.squiggles(1);
    await editor.goTo(9, 20);
    await editor.command('gradls: Explain a rule');
    const first = editor.locator('.quick-input-list .monaco-list-row').first();
    await first.filter({ hasText: 'GRD101 detached-loss' }).click();
    await rulePage(editor).waitFor();
    await editor.command('View: Close Editor');
    await editor.goTo(11, 1);
    await editor.command('gradls: Show the gradient picture of this line');
    await editor.locator('.tab', { hasText: /^Gradient/ }).waitFor();
    const before = readFileSync(editor.pidFile, 'utf8');
    await editor.command('gradls: Restart the server');
    await editor.until('another server', () => readFileSync(editor.pidFile, 'utf8') !== before);
    await editor.squiggles(1);
    await editor.locator('.statusbar-item[id$="gradls"] a').click();
    await editor.locator('.quick-input-list .monaco-list-row', { hasText: 'Show the log' }).click();
    await editor.locator('.part.panel .action-label.checked, .part.panel .checked', { hasText: 'Output' }).first().waitFor();
    await editor.command('View: Hide Panel');
  },

  async why(editor, assert) {
    editor.write('train.py', detached);
    editor.write('error.log', raised(editor.path('train.py')));
    await editor.show('error.log');
    await editor.locator('.view-line', { hasText: 'Traceback' }).click();
    await editor.page.keyboard.press('Control+A');
    await editor.command('gradls: Explain an error of PyTorch');
    const page = editor.webview();
    await page.locator('strong', { hasText: 'Cause' }).waitFor();
    assert.match(await editor.text(page.locator('body')), /GRD101 detached-loss/);
    await editor.locator('.tab.active', { hasText: 'train.py' }).waitFor();
    await editor.locator('.tab', { hasText: 'train.py' }).click();
    await editor.at(9);
  },

  async configuration(editor) {
    editor.write('gradls.toml', 'ignroe = ["GRD1"]\n');
    await editor.show('gradls.toml');
    await editor.locator('.cdr.squiggly-warning, .cdr.squiggly-error').first().waitFor();
    await editor.locator('.view-line').first().click();
    await editor.page.keyboard.press('Control+A');
    await editor.page.keyboard.insertText('ignore = ["GRD9"]');
    await editor.locator('.cdr.squiggly-warning, .cdr.squiggly-error').first().waitFor({ state: 'detached' });
    await editor.saves('gradls.toml', (text) => text === 'ignore = ["GRD9"]');
  },

  async notebook(editor) {
    editor.write('train.ipynb', notebook(stacked));
    await editor.show('train.ipynb');
    const cell = editor.locator('.notebook-editor .code-cell-row, .notebookOverlay .code-cell-row').nth(1);
    await cell.locator('.cdr.squiggly-error').waitFor();
    await editor.shoot('notebook', { x: 352, y: 36, width: 924, height: 470 });
    await cell.locator('.codelens-decoration a', { hasText: 'no gradient' }).click();
    await editor.webview().locator('a.box.cut').click();
    await cell.locator('.selected-text').first().waitFor();
    await editor.locator('.tab', { hasText: /^Gradient/ }).click();
    await editor.command('View: Close Editor');
    await editor.clickOn(cell.locator('.cdr.squiggly-error'));
    const fix = await editor.fixes('Use `torch.stack`');
    await fix.click();
    await cell.locator('.cdr.squiggly-error').waitFor({ state: 'detached' });
    await editor.saves('train.ipynb', (text) => text.includes('torch.stack(losses)'));
  },

  async crash(editor, assert) {
    editor.write('train.py', detached.replace('.detach()', ''));
    await editor.show('train.py');
    const before = Number(readFileSync(editor.pidFile, 'utf8'));
    kill(before);
    await editor.until('another server', () => Number(readFileSync(editor.pidFile, 'utf8')) !== before);
    await editor.goTo(9, 22);
    await editor.page.keyboard.type('.detach()');
    await editor.squiggles(1);
    // It is not started for ever.
    const pid = () => Number(readFileSync(editor.pidFile, 'utf8'));
    const message = editor.locator('.notification-list-item', { hasText: 'has ended five times' });
    while (!(await message.isVisible())) {
      const old = pid();
      kill(old);
      await editor.until('another server or none', async () => pid() !== old || (await message.isVisible()), () => editor.locator('.statusbar-item[id$="gradls"]').getAttribute('aria-label'));
    }
    await editor.squiggles(0);
    await message.locator('.monaco-button', { hasText: 'Restart' }).click();
    await editor.squiggles(1);
  },

  async 'several folders'(editor) {
    for (const name of ['one', 'two']) {
      mkdirSync(editor.path(name), { recursive: true });
      editor.write(`${name}/${name}.py`, detached);
    }
    editor.write('two/gradls.toml', 'ignore = ["GRD101"]');
    editor.write('both.code-workspace', JSON.stringify({ folders: [{ path: 'one' }, { path: 'two' }] }));
    await editor.goto(`workspace=${encodeURIComponent(editor.path('both.code-workspace'))}`);
    await editor.show('two', 'two.py');
    await editor.locator('.codelens-decoration', { hasText: 'no gradient' }).waitFor();
    await editor.squiggles(0);
    await editor.show('one', 'one.py');
    await editor.squiggles(1);
  },
};

/** Somebody who opens a workspace for the first time: it is not trusted yet, and there is no server. */
export const newcomer = {
  async 'limited mode'(editor, assert) {
    await editor.show('train.py');
    const message = editor.locator('.notification-list-item', { hasText: 'gradls has no server to run' });
    await message.waitFor();
    const text = await editor.text(message);
    assert.match(text, /The workspace is not trusted, so no Python of its own is run\. There is no command `gradls` on the PATH\./);
    await editor.shoot('missing');
    assert.equal(readFileSync(editor.runs, 'utf8'), '');
  },

  async 'trust, then installation'(editor, assert) {
    await editor.command('Notifications: Show Notifications');
    await editor.locator('.notification-list-item .monaco-button', { hasText: 'Manage trust' }).click();
    await editor.locator('.workspace-trust-editor .monaco-button', { hasText: /^Trust$/ }).click();
    const message = editor.locator('.notification-list-item', { hasText: 'is not installed in the selected environment' });
    await message.waitFor();
    assert.doesNotMatch(readFileSync(editor.runs, 'utf8'), /pip/);
    await message.locator('.monaco-button', { hasText: 'Install' }).click();
    const pip = editor.locator('.quick-input-list .monaco-list-row', { hasText: 'With pip, in the selected environment' });
    await pip.waitFor();
    await editor.shoot('install');
    assert.match(await editor.text(pip), /python -m pip install "gradls>=/);
    await pip.click();
    await editor.show('train.py');
    await editor.squiggles(1);
    assert.match(readFileSync(editor.runs, 'utf8'), /^-m pip install gradls>=\d/m);
  },
};

function rulePage(editor) {
  return editor.webview().locator('h1', { hasText: 'GRD101 detached-loss' });
}

/** Ends a server as a crash does. */
function kill(server) {
  try {
    process.kill(server, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') {
      throw error;
    }
  }
}

const allMended = both.replace('labels, model(x))', 'model(x), labels)').replace('torch.tensor(', 'torch.stack(');

/** Chooses a quick fix at the finding in `before`, and sees `after` on the disk. */
async function mended(editor, before, title, after, shot) {
  editor.write('fix.py', before);
  await editor.show('fix.py');
  await editor.squiggles(1);
  await editor.command('Go to Next Problem (Error, Warning, Info)');
  await editor.page.keyboard.press('Escape');
  const fix = await editor.fixes(title);
  if (shot) {
    await editor.shoot(shot, { x: 352, y: 36, width: 924, height: 340 });
  }
  await fix.click();
  await editor.squiggles(0);
  await editor.saves('fix.py', (text) => text === after);
}
