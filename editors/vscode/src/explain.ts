// The pages of the rules, as rendered Markdown.
import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

const SCHEME = 'gradls-rule';

/** The address of a rule's page: VS Code opens it as rendered Markdown, as `configurationDefaults` in package.json say. */
export const RULE_PAGES = `${SCHEME}:/{code}%20{name}.md`;

export const EXPLAIN_RULE = 'gradls.explainRule';

/** Markdown for a hover, which may have links to commands but not to schemes that VS Code does not know. */
export function withCommands(markdown: string): string {
  return markdown.replace(/\]\(gradls-rule:\/(\w+)[^)]*\)/g, (_, code: string) => {
    return `](command:${EXPLAIN_RULE}?${encodeURIComponent(JSON.stringify([code]))})`;
  });
}

interface Rule {
  code: string;
  name: string;
  severity: string;
  summary: string;
  page?: string;
}

export class Explanations implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);

  constructor(private readonly client: () => LanguageClient | undefined) {}

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const [code = ''] = uri.path.slice(1).split(' ');
    return (await this.ask([code]))?.[0]?.page ?? 'The server does not run, so this page cannot be shown.';
  }

  /** Show the page of the rule with this code or name; without one, of a rule that the user chooses. */
  async show(key: unknown): Promise<void> {
    const chosen = typeof key === 'string' ? key : await this.choose();
    if (chosen === undefined) {
      return;
    }
    const rule = (await this.ask([chosen]))?.[0];
    if (rule === undefined) {
      return;
    }
    const uri = vscode.Uri.parse(RULE_PAGES.replace('{code}', rule.code).replace('{name}', rule.name));
    await vscode.commands.executeCommand('markdown.showPreview', uri);
  }

  dispose(): void {
    this.registration.dispose();
  }

  private async choose(): Promise<string | undefined> {
    const rules = await this.ask([]);
    if (rules === undefined) {
      return undefined;
    }
    const items = rules.map((rule) => ({ label: `${rule.code} ${rule.name}`, description: rule.severity, detail: rule.summary, code: rule.code }));
    const here = this.codesHere();
    items.sort((one, other) => Number(here.has(other.code)) - Number(here.has(one.code)));
    const chosen = await vscode.window.showQuickPick(items, { placeHolder: 'A rule to explain', matchOnDetail: true });
    return chosen?.code;
  }

  /** The rules of the findings on the lines that are selected: these are offered first. */
  private codesHere(): Set<unknown> {
    const editor = vscode.window.activeTextEditor;
    if (editor === undefined) {
      return new Set();
    }
    const found = vscode.languages.getDiagnostics(editor.document.uri).filter((each) => each.source === 'gradls');
    const here = found.filter((each) => each.range.start.line <= editor.selection.end.line && editor.selection.start.line <= each.range.end.line);
    return new Set(here.map((each) => (typeof each.code === 'object' ? each.code.value : each.code)));
  }

  private async ask(keys: string[]): Promise<Rule[] | undefined> {
    const client = this.client();
    if (client === undefined) {
      void vscode.window.showWarningMessage('gradls: the server does not run, so no rule can be explained.');
      return undefined;
    }
    try {
      const params = { command: 'gradls.explain', arguments: keys };
      return (await client.sendRequest<{ rules: Rule[] }>('workspace/executeCommand', params)).rules;
    } catch (error) {
      void vscode.window.showErrorMessage(`gradls: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }
}
