// The user's settings, and what the server is told of them.
import * as os from 'node:os';
import * as vscode from 'vscode';

export const SECTION = 'gradls';

/** The setting `gradls.path` with its variables replaced; empty if it is not set. */
export function serverPath(): string {
  const text = vscode.workspace.getConfiguration(SECTION).get<string>('path', '').trim();
  return replaced(text, vscode.workspace.workspaceFolders?.[0]?.uri.fsPath);
}

export function replaced(text: string, folder: string | undefined): string {
  return text
    .replace(/^~(?=$|[\\/])/, os.homedir())
    .replace('${workspaceFolder}', folder ?? '')
    .replace(/\$\{env:(\w+)\}/g, (_, name: string) => process.env[name] ?? '');
}

/**
 * The section `gradls` as the server wants it: without what the user has not set, which the project decides, and with
 * the interpreter to look into. `scope` is the folder that it is for.
 */
export function forServer(section: unknown, python: string | undefined, scope?: vscode.Uri): Record<string, unknown> {
  const given = isRecord(section) ? section : {};
  const config = isRecord(given.config) ? given.config : {};
  const set = Object.entries(config).filter(([, value]) => !isEmpty(value));
  return {
    python: isEmpty(given.python) ? python : given.python,
    ...(isSet('hints', scope) && { hints: given.hints }),
    config: Object.fromEntries(set),
  };
}

function isSet(key: string, scope: vscode.Uri | undefined): boolean {
  const found = vscode.workspace.getConfiguration(SECTION, scope).inspect(key);
  return found?.globalValue !== undefined || found?.workspaceValue !== undefined || found?.workspaceFolderValue !== undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);
}
