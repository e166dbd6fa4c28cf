// What an error of PyTorch means that the user has before them, and where in the code it comes from.
import * as vscode from 'vscode';
import type { LanguageClient, Location } from 'vscode-languageclient/node';

const SCHEME = 'gradls-why';
const WHY = 'gradls.why';

interface Answer {
  markdown: string;
  locations: (Location & { likely: boolean })[];
}

export class Reasons implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private page = '';

  constructor(private readonly client: () => LanguageClient | undefined) {}

  provideTextDocumentContent(): string {
    return this.page;
  }

  /** Explain what is selected in an editor, or else what was copied if that is an error, or else what the user types. */
  async explain(): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const isSelected = editor !== undefined && !editor.selection.isEmpty;
    await this.show(isSelected ? editor.document.getText(editor.selection) : ((await copied()) ?? (await typed())));
  }

  /** Explain what is selected in the terminal. */
  async explainTerminal(): Promise<void> {
    await vscode.commands.executeCommand('workbench.action.terminal.copySelection');
    await this.show(await vscode.env.clipboard.readText());
  }

  dispose(): void {
    this.registration.dispose();
    this.changed.dispose();
  }

  private async show(text: string | undefined): Promise<void> {
    const answer = text?.trim() ? await this.ask(text) : undefined;
    if (answer === undefined) {
      return;
    }
    this.page = answer.markdown;
    const uri = vscode.Uri.from({ scheme: SCHEME, path: '/Why.md' });
    this.changed.fire(uri);
    const [first] = answer.locations;
    const client = this.client();
    if (first !== undefined && client !== undefined) {
      const { uri: file, range } = client.protocol2CodeConverter.asLocation(first);
      await vscode.window.showTextDocument(file, { selection: range, viewColumn: vscode.ViewColumn.One });
      await vscode.commands.executeCommand('markdown.showPreviewToSide', uri);
    } else {
      await vscode.commands.executeCommand('markdown.showPreview', uri);
    }
  }

  private async ask(text: string): Promise<Answer | undefined> {
    const client = this.client();
    if (client === undefined) {
      void vscode.window.showWarningMessage('gradls: the server does not run, so the error cannot be explained.');
      return undefined;
    }
    try {
      return await client.sendRequest<Answer>('workspace/executeCommand', { command: WHY, arguments: [text] });
    } catch (error) {
      void vscode.window.showErrorMessage(`gradls: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }
}

async function copied(): Promise<string | undefined> {
  const text = await vscode.env.clipboard.readText();
  return /\b(?:Error|Traceback|Exception)\b|\w(?:Error|Exception):/.test(text) ? text : undefined;
}

function typed(): Thenable<string | undefined> {
  return vscode.window.showInputBox({
    prompt: 'The message of the error. A whole traceback says more: select it, or copy it, before you call this.',
    placeHolder: 'RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn',
  });
}
