// The environment that is selected in the Python extension, through its public interface.
import { PythonExtension } from '@vscode/python-extension';
import * as vscode from 'vscode';

const NOT_THERE = 'The Python extension is not installed, so no environment is selected.';

/** The interpreter that is selected for a folder, by default the first of the workspace; or why there is none. */
export async function interpreter(folder?: vscode.Uri): Promise<{ python: string } | { why: string }> {
  if (!vscode.workspace.isTrusted) {
    return { why: 'The workspace is not trusted.' };
  }
  const api = await pythonApi();
  if (api === undefined) {
    return { why: NOT_THERE };
  }
  const selected = api.environments.getActiveEnvironmentPath(folder ?? vscode.workspace.workspaceFolders?.[0]?.uri);
  const environment = await api.environments.resolveEnvironment(selected);
  const python = environment?.executable.uri?.fsPath;
  return python === undefined ? { why: 'No environment with a Python is selected in the Python extension.' } : { python };
}

/** The interpreter that is selected for all folders; undefined if there is none, or if they differ. */
export async function commonInterpreter(): Promise<string | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  const found = await Promise.all((folders.length > 0 ? folders : [undefined]).map((each) => interpreter(each?.uri)));
  const pythons = new Set(found.map((each) => ('python' in each ? each.python : undefined)));
  return pythons.size === 1 ? [...pythons][0] : undefined;
}

/** Calls `changed` when another environment is selected, and when the Python extension comes: after a workspace is
 * trusted, or when it is installed. */
export function watchEnvironments(changed: () => void): vscode.Disposable {
  const watches: vscode.Disposable[] = [];
  const watch = async (): Promise<boolean> => {
    const api = await pythonApi();
    if (api === undefined || watches.length > 1) {
      return false;
    }
    watches.push(api.environments.onDidChangeActiveEnvironmentPath(changed));
    return true;
  };
  watches.push(
    vscode.extensions.onDidChange(() => {
      void watch().then((hasCome) => {
        if (hasCome) {
          changed();
        }
      });
    }),
  );
  void watch();
  return new vscode.Disposable(() => {
    watches.forEach((each) => void each.dispose());
  });
}

async function pythonApi(): Promise<PythonExtension | undefined> {
  try {
    return await PythonExtension.api();
  } catch {
    return undefined;
  }
}
