// What the search for the server looks at, as it really is.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as vscode from 'vscode';
import type { World } from './discovery';
import { run } from './processes';
import { interpreter } from './python';
import { serverPath } from './settings';

/** Where commands may be looked for. */
export function surroundings(): Pick<World, 'searchPath' | 'trusted' | 'folders' | 'windows' | 'isFile'> {
  const onPath = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '');
  return {
    // pipx puts commands there, whether it is on the PATH or not.
    searchPath: [...onPath, path.join(os.homedir(), '.local', 'bin')],
    trusted: vscode.workspace.isTrusted,
    folders: (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath),
    windows: process.platform === 'win32',
    isFile: (file) => stat(file)?.isFile() ?? false,
  };
}

export function world(extensionPath: string): World {
  return {
    ...surroundings(),
    setting: serverPath(),
    interpreter,
    bundled: path.join(extensionPath, 'bundled'),
    isFolder: (folder) => stat(folder)?.isDirectory() ?? false,
    run: (command, args, env) => run(command, args, { cwd: extensionPath, env }),
  };
}

function stat(file: string): fs.Stats | undefined {
  try {
    return fs.statSync(file);
  } catch {
    return undefined;
  }
}
