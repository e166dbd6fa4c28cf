// The item in the status bar: what the server does, and the commands.
import * as vscode from 'vscode';
import type { Server } from './discovery';

export type Condition =
  | { kind: 'starting' }
  | { kind: 'running'; server: Server }
  | { kind: 'missing'; why: string }
  | { kind: 'failed'; why: string };

const PLACES = {
  setting: 'the setting gradls.path',
  environment: 'the selected environment',
  bundled: 'this extension',
  path: 'the PATH',
};

const MENU = [
  { label: '$(debug-restart) Restart the server', command: 'gradls.restart' },
  { label: '$(output) Show the log', command: 'gradls.showLogs' },
  { label: '$(wand) Make all safe fixes in this file', command: 'gradls.fixAll' },
  { label: '$(type-hierarchy) Show the gradient picture of this line', command: 'gradls.picture' },
  { label: '$(book) Explain a rule', command: 'gradls.explainRule' },
  { label: '$(gear) Open the settings', command: 'workbench.action.openSettings', argument: '@ext:gradls.gradls' },
];
const INSTALL = { label: '$(cloud-download) Install the server', command: 'gradls.install' };

export class Status implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem('gradls', vscode.StatusBarAlignment.Right, 100);
  private readonly watch: vscode.Disposable;
  private condition: Condition = { kind: 'starting' };

  constructor() {
    this.item.name = 'gradls';
    this.item.command = 'gradls.showMenu';
    this.watch = vscode.window.onDidChangeActiveTextEditor(() => {
      this.update();
    });
    this.update();
  }

  show(condition: Condition): void {
    this.condition = condition;
    this.update();
  }

  async menu(): Promise<void> {
    const isMissing = this.condition.kind === 'missing';
    const title = describe(this.condition);
    const chosen = await vscode.window.showQuickPick(isMissing ? [INSTALL, ...MENU] : MENU, { title, placeHolder: title });
    if (chosen !== undefined) {
      await vscode.commands.executeCommand(chosen.command, ...('argument' in chosen ? [chosen.argument] : []));
    }
  }

  dispose(): void {
    this.watch.dispose();
    this.item.dispose();
  }

  private update(): void {
    const { kind } = this.condition;
    const isBad = kind === 'missing' || kind === 'failed';
    const sign = { starting: '$(loading~spin)', running: '$(check)', missing: '$(warning)', failed: '$(error)' }[kind];
    this.item.text = `${sign} gradls`;
    this.item.tooltip = `gradls: ${describe(this.condition)}`;
    this.item.backgroundColor = isBad ? new vscode.ThemeColor('statusBarItem.warningBackground') : undefined;
    const isPython = vscode.window.activeTextEditor?.document.languageId === 'python';
    if (isPython || isBad || vscode.window.activeNotebookEditor !== undefined) {
      this.item.show();
    } else {
      this.item.hide();
    }
  }
}

function describe(condition: Condition): string {
  switch (condition.kind) {
    case 'starting':
      return 'the server starts';
    case 'running': {
      const limited = vscode.workspace.isTrusted ? '' : '; limited, since the workspace is not trusted';
      return `version ${condition.server.version} from ${PLACES[condition.server.place]}${limited}`;
    }
    case 'missing':
    case 'failed':
      return condition.why;
  }
}
