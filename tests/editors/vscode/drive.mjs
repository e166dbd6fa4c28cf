// Drives VS Code through everything that the extension promises. The environment says where everything is (see
// test_vscode.py); what came of each step goes to $REPORT as JSON. $STEPS chooses some. With $STOP it stops at the first that
// fails twice: on a busy machine a window loses a key or an event now and then, which is not what is tested here.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { Editor } from './editor.mjs';
import { detached } from './programs.mjs';
import { files, newcomer, steps } from './steps.mjs';

const { env } = process;
const editor = new Editor({
  host: env.HOST, chromium: env.CHROMIUM, port: env.PORT, folder: env.FOLDER, shots: env.SHOTS, patience: Number(env.PATIENCE),
});
Object.assign(editor, { settings: env.SETTINGS, pidFile: env.PID_FILE, runs: env.RUNS });
const wanted = env.STEPS?.split(',');
const report = [];
try {
  for (const name of files) {
    editor.write(name, name === 'train.py' ? detached : '');
  }
  await editor.open();
  for (const [name, step] of Object.entries(env.NEWCOMER ? newcomer : steps)) {
    if (wanted && !wanted.includes(name)) {
      continue;
    }
    const began = Date.now();
    const first = await tried(name, step);
    const failure = first && env.STOP ? await tried(name, step) : first;
    report.push({ name, failure, first, seconds: (Date.now() - began) / 1000 });
    console.log(JSON.stringify(report.at(-1)));
    if (failure && env.STOP) {
      break;
    }
  }
} catch (error) {
  report.push({ name: 'open', failure: String(error.stack ?? error) });
}

/** Why a step failed, or null. No file is open after it. */
async function tried(name, step) {
  try {
    await step(editor, assert);
    return null;
  } catch (error) {
    await editor.shoot(`failed-${name}`);
    return String(error.message ?? error);
  } finally {
    await editor.closeAll().catch(() => undefined);
  }
}

writeFileSync(env.REPORT, JSON.stringify(report));
await editor.close();
