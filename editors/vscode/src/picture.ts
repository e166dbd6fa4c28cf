// The gradient picture in a webview beside the code. It follows the text while somebody edits it.
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { LanguageClient, Location } from 'vscode-languageclient/node';
import { SHOW_PICTURE } from './client';
import { emptyPage, hasLink, pageOf } from './page';

interface Answer {
  message?: string;
  title?: string;
  html?: string;
  boxes?: { id: string; location: Location | null }[];
}

const MILLISECONDS_AFTER_AN_EDIT = 400;

export class Pictures implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  private asked: { uri: vscode.Uri; line: number } | undefined;
  private answer: Answer = {};
  private timer: NodeJS.Timeout | undefined;
  private readonly watches: vscode.Disposable[];

  constructor(private readonly client: () => LanguageClient | undefined) {
    this.watches = [
      vscode.workspace.onDidChangeTextDocument((event) => {
        this.edited(event);
      }),
      vscode.window.onDidChangeActiveColorTheme(() => {
        this.render();
      }),
    ];
  }

  /** Draw for a line, from 0, of a document, and show it. */
  async show(uri: vscode.Uri, line: number): Promise<void> {
    const answer = await this.ask(uri, line);
    if (answer === undefined) {
      return;
    }
    if (answer.html === undefined) {
      void vscode.window.showInformationMessage(`gradls: ${answer.message ?? 'there is nothing to draw here'}`);
      return;
    }
    this.asked = { uri, line };
    this.answer = answer;
    this.open();
    this.render();
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.panel?.dispose();
    for (const watch of this.watches) {
      watch.dispose();
    }
  }

  private async ask(uri: vscode.Uri, line: number): Promise<Answer | undefined> {
    const client = this.client();
    if (client === undefined) {
      void vscode.window.showWarningMessage('gradls: the server does not run, so there is no picture.');
      return undefined;
    }
    const where = client.code2ProtocolConverter.asUri(uri);
    const args = [where, { line, character: 0 }, { show: false }];
    try {
      return await client.sendRequest<Answer>('workspace/executeCommand', { command: SHOW_PICTURE, arguments: args });
    } catch (error) {
      return { message: error instanceof Error ? error.message : String(error) };
    }
  }

  private open(): void {
    if (this.panel !== undefined) {
      this.panel.reveal(undefined, true);
      return;
    }
    const place = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    const panel = vscode.window.createWebviewPanel('gradls.picture', 'Gradient', place, {
      enableScripts: true,
      localResourceRoots: [],
    });
    panel.webview.onDidReceiveMessage((message: unknown) => void this.clicked(message));
    panel.onDidDispose(() => {
      this.panel = undefined;
      this.asked = undefined;
    });
    this.panel = panel;
  }

  private render(): void {
    if (this.panel === undefined) {
      return;
    }
    const { html, message, title } = this.answer;
    const { kind } = vscode.window.activeColorTheme;
    const isDark = kind === vscode.ColorThemeKind.Dark || kind === vscode.ColorThemeKind.HighContrast;
    this.panel.title = title === undefined ? 'Gradient' : `Gradient: ${title}`;
    this.panel.webview.html =
      html === undefined ? emptyPage(message ?? '') : pageOf(html, randomBytes(16).toString('base64'), isDark);
  }

  private edited(event: vscode.TextDocumentChangeEvent): void {
    const asked = this.asked;
    if (asked?.uri.toString() !== event.document.uri.toString()) {
      return;
    }
    for (const change of event.contentChanges) {
      if (change.range.end.line <= asked.line && change.range.start.line < asked.line) {
        asked.line += change.text.split('\n').length - 1 - (change.range.end.line - change.range.start.line);
      }
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refresh(asked.uri, asked.line), MILLISECONDS_AFTER_AN_EDIT);
  }

  private async refresh(uri: vscode.Uri, line: number): Promise<void> {
    const answer = this.panel === undefined ? undefined : await this.ask(uri, line);
    if (answer !== undefined) {
      this.answer = answer;
      this.render();
    }
  }

  /** Go where a box or a link of the page leads: to what the server has named, and nowhere else. */
  private async clicked(message: unknown): Promise<void> {
    const client = this.client();
    if (client === undefined || typeof message !== 'object' || message === null) {
      return;
    }
    if ('box' in message) {
      const location = this.answer.boxes?.find((box) => box.id === message.box)?.location;
      if (location) {
        const { uri, range } = client.protocol2CodeConverter.asLocation(location);
        await reveal(uri, range);
      }
    } else if ('href' in message && typeof message.href === 'string' && hasLink(this.answer.html ?? '', message.href)) {
      const [address = '', line = '1'] = message.href.split('#L');
      const at = new vscode.Position(Number(line) - 1, 0);
      await reveal(client.protocol2CodeConverter.asUri(address), new vscode.Range(at, at));
    }
  }
}

async function reveal(uri: vscode.Uri, range: vscode.Range): Promise<void> {
  const column = vscode.window.visibleTextEditors.find((each) => each.document.uri.toString() === uri.toString())?.viewColumn;
  await vscode.window.showTextDocument(uri, { selection: range, viewColumn: column ?? vscode.ViewColumn.One });
}
