// All safe fixes of the file in front, on request.
import * as vscode from 'vscode';

const KIND = vscode.CodeActionKind.SourceFixAll.append('gradls');

export async function fixAll(): Promise<void> {
  const document = vscode.window.activeTextEditor?.document;
  if (document?.languageId !== 'python') {
    void vscode.window.showInformationMessage('gradls: open a Python file to mend it.');
    return;
  }
  const whole = new vscode.Range(0, 0, document.lineCount, 0);
  const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
    'vscode.executeCodeActionProvider', document.uri, whole, KIND.value, 1,
  );
  const edit = actions.find((action) => action.kind?.contains(KIND))?.edit;
  if (edit === undefined) {
    void vscode.window.showInformationMessage('gradls: there is nothing here that can be mended safely.');
  } else if (!(await vscode.workspace.applyEdit(edit))) {
    void vscode.window.showWarningMessage('gradls: the text has changed meanwhile, so nothing was mended.');
  }
}
