// Offers to install the server. Nothing is run before the user has seen the command and agreed to it.
import * as os from 'node:os';
import * as vscode from 'vscode';
import { findCommand, OLDEST_SERVER, type Miss } from './discovery';
import { run } from './processes';
import { interpreter } from './python';
import { surroundings } from './world';

const REQUIREMENT = `gradls>=${OLDEST_SERVER}`;

export interface Way {
  label: string;
  command: string;
  args: string[];
}

/** The ways to install the server here, the best first. */
export function ways(python: string | undefined, pipx: string | undefined): Way[] {
  const found: Way[] = [];
  if (python !== undefined) {
    found.push({ label: 'With pip, in the selected environment', command: python, args: ['-m', 'pip', 'install', REQUIREMENT] });
  }
  if (pipx !== undefined) {
    found.push({ label: 'With pipx, for all projects', command: pipx, args: ['install', REQUIREMENT] });
  }
  return found;
}

/** Says what is missing and how to mend it, in a message; true if the server was installed. */
export async function offer(misses: Miss[], log: vscode.LogOutputChannel): Promise<boolean> {
  const [INSTALL, TRUST, SETTINGS, LOG] = ['Install…', 'Manage trust', 'Set its path', 'Show the log'];
  const isSet = misses.some((miss) => miss.place === 'setting');
  const first = vscode.workspace.isTrusted ? INSTALL : TRUST;
  const choices = isSet ? [SETTINGS, LOG] : [first, SETTINGS, LOG];
  const chosen = await vscode.window.showWarningMessage(`gradls has no server to run. ${summary(misses)}`, ...choices);
  if (chosen === INSTALL) {
    return install(log);
  }
  if (chosen === TRUST) {
    await vscode.commands.executeCommand('workbench.trust.manage');
  } else if (chosen === SETTINGS) {
    await vscode.commands.executeCommand('workbench.action.openSettings', 'gradls.path');
  } else if (chosen === LOG) {
    log.show();
  }
  return false;
}

/** What is missing, in a sentence or two: what the user can mend first. */
export function summary(misses: Miss[]): string {
  const sayable = misses.filter((miss) => miss.place !== 'bundled' || !miss.why.includes('brings no server'));
  return sayable.map((miss) => miss.why).join(' ');
}

/** Asks how, then installs; true if that went well. */
export async function install(log: vscode.LogOutputChannel): Promise<boolean> {
  const selected = await interpreter();
  const possible = ways('python' in selected ? selected.python : undefined, findCommand('pipx', surroundings()));
  if (possible.length === 0) {
    const why = 'why' in selected ? selected.why : '';
    await vscode.window.showErrorMessage(
      `gradls cannot be installed from here: ${why} pipx is not there either. Select an environment in the Python ` +
        `extension, or run \`pip install gradls\` yourself and set gradls.path.`,
    );
    return false;
  }
  const picks = possible.map((way) => ({ label: way.label, detail: shown(way), way }));
  const chosen = await vscode.window.showQuickPick(picks, {
    title: 'Install the gradls server',
    placeHolder: 'This command is run when you choose it; Escape runs nothing',
    ignoreFocusOut: true,
  });
  return chosen === undefined ? false : perform(chosen.way, log);
}

async function perform(way: Way, log: vscode.LogOutputChannel): Promise<boolean> {
  log.info(`installing: ${shown(way)}`);
  const progress = { location: vscode.ProgressLocation.Notification, title: `gradls: ${shown(way)}` };
  try {
    const outcome = await vscode.window.withProgress(progress, () =>
      run(way.command, way.args, {
        cwd: os.homedir(),
        env: { PYTHONSAFEPATH: '1', PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' },
        seconds: 600,
        said: (text) => {
          log.info(text.trimEnd());
        },
      }),
    );
    if (outcome.status === 0) {
      return true;
    }
    void complain(reason(outcome.stderr), log);
  } catch (error) {
    void complain(error instanceof Error ? error.message : String(error), log);
  }
  return false;
}

/** What the installer has complained about, in words that say what to do. */
export function reason(stderr: string): string {
  if (stderr.includes('externally-managed-environment')) {
    return 'This Python belongs to the operating system and takes no packages. Select a virtual environment, or use pipx.';
  }
  if (stderr.includes('No module named pip')) {
    return 'This environment has no pip. Install gradls with what made it, for instance `uv pip install gradls`.';
  }
  const lines = stderr.trim().split('\n');
  return lines.find((line) => /^ERROR|^error/.test(line)) ?? lines.at(-1) ?? '';
}

async function complain(why: string, log: vscode.LogOutputChannel): Promise<void> {
  const chosen = await vscode.window.showErrorMessage(`gradls could not be installed. ${why}`, 'Show the log');
  if (chosen !== undefined) {
    log.show();
  }
}

function shown(way: Way): string {
  return [way.command, ...way.args].map((part) => (/[\s<>]/.test(part) ? `"${part}"` : part)).join(' ');
}
